//! The table of counts at the top, recomputed from the rows.

use crate::document::{Document, Row, clauses};

/// Where the table of counts and the rows below it disagree.
pub(crate) fn problems(document: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sums = [0; 8];
    for (chapter, numbers) in &document.counts {
        let of_document = chapter == "all";
        let rows: Vec<&Row> = document
            .rows
            .iter()
            .filter(|row| counted(row).is_some_and(|own| of_document || own == *chapter))
            .collect();
        let [_, _, initiator, neither, ..] = numbers[..] else {
            continue;
        };
        let target: usize = rows.iter().map(|row| row.musts).sum();
        let tested = rows.iter().filter(|row| row.reason().is_none()).count();
        let differ = rows.iter().filter(|row| row.differs()).count();
        let right = [
            target + initiator + neither,
            target,
            initiator,
            neither,
            rows.len(),
            tested,
            rows.len() - tested - differ,
            differ,
        ];
        if right != numbers[..] {
            problems.push(format!(
                "counts of chapter {chapter}: {numbers:?}, the rows say {right:?}"
            ));
        }
        if of_document && numbers[..] != sums {
            problems.push(format!(
                "counts of all: {numbers:?}, the chapters say {sums:?}"
            ));
        }
        sums.iter_mut()
            .zip(numbers)
            .for_each(|(sum, number)| *sum += number);
    }
    let uncounted = document.rows.iter().filter(|row| {
        counted(row).is_some_and(|own| !document.counts.iter().any(|(chapter, _)| *chapter == own))
    });
    if !document.counts.is_empty() {
        problems.extend(uncounted.map(|row| row.problem("is of a chapter that is not counted")));
    }
    problems
}

/// The chapter that a row is counted in: the rows of other standards are not.
fn counted(row: &Row) -> Option<String> {
    let (standard, _) = clauses(&row.clause)?.into_iter().next()?;
    standard
        .is_empty()
        .then(|| row.clause.split(['.', ',']).next().unwrap().to_owned())
}
