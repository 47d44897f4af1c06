//! `CONFORMANCE.md` held against the tree: what it names exists, what it counts is so.
//! The form of the document is told at its top.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod checker;
mod counts;
mod document;
mod tree;

use document::{Document, Row};
use std::collections::HashSet;
use tree::Tree;

/// What the last column of a row without a test begins with; the reason follows.
const NOT_APPLICABLE: &str = "not applicable:";

/// The same for a rule that is not followed.
const DIFFERS: &str = "differs:";

/// What the column of the code holds then.
const NO_CODE: &str = "–";

#[test]
fn what_the_document_names_exists() {
    let problems = problems(include_str!("../../CONFORMANCE.md"));
    assert!(
        problems.is_empty(),
        "CONFORMANCE.md\n{}",
        problems.join("\n")
    );
}

/// Everything wrong with the document `text`, a line each.
fn problems(text: &str) -> Vec<String> {
    let document = Document::parse(text);
    let tree = Tree::of_the_repository();
    let mut problems = document.problems.clone();
    let mut seen = HashSet::new();
    for row in &document.rows {
        if !seen.insert((&row.clause, &row.rule)) {
            problems.push(row.problem("stands here twice"));
        }
        problems.extend(verdict(row, &tree).iter().map(|what| row.problem(what)));
    }
    problems.extend(counts::problems(&document));
    problems
}

/// A rule is obeyed somewhere and shown by a test, or there is a reason.
fn verdict(row: &Row, tree: &Tree) -> Vec<String> {
    let Some(reason) = row.reason() else {
        let mut problems = tree.missing_code(&row.code);
        problems.extend(tree.missing_tests(&row.test));
        return problems;
    };
    let mut problems = Vec::new();
    if reason.split_whitespace().count() < 2 {
        problems.push("has no reason".to_owned());
    }
    if row.code != NO_CODE {
        problems.push("has a reason and names code".to_owned());
    }
    problems
}
