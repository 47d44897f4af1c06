//! The tables of the document: rows in the order of their clauses.

use crate::{DIFFERS, NOT_APPLICABLE};

/// What was read.
pub(crate) struct Document {
    /// Rows of every table of rules.
    pub(crate) rows: Vec<Row>,
    /// The table of counts, below its header: chapter, then numbers.
    pub(crate) counts: Vec<(String, Vec<usize>)>,
    /// Lines that have not the form of a table.
    pub(crate) problems: Vec<String>,
}

/// One rule.
pub(crate) struct Row {
    line: usize,
    /// As written: `4.2.2.1`, `SPC-4 6.4.2`.
    pub(crate) clause: String,
    /// In our words.
    pub(crate) rule: String,
    /// Column `where`.
    pub(crate) code: String,
    /// Column `test`.
    pub(crate) test: String,
    /// Column `MUST`: lines of the standard that hold the rule. 0 in tables without the column.
    pub(crate) musts: usize,
}

impl Row {
    /// Why there is no test: the rule does not apply, or is not followed.
    pub(crate) fn reason(&self) -> Option<&str> {
        let differs = || self.test.strip_prefix(DIFFERS);
        self.test.strip_prefix(NOT_APPLICABLE).or_else(differs)
    }

    /// Whether the rule is not followed.
    pub(crate) fn differs(&self) -> bool {
        self.test.starts_with(DIFFERS)
    }

    /// `what` is wrong with this row.
    pub(crate) fn problem(&self, what: &str) -> String {
        format!("line {}, clause {}: {what}", self.line, self.clause)
    }
}

const RULES: [&[&str]; 3] = [
    &["clause", "rule", "where", "test"],
    &["clause", "behaviour", "where", "test"],
    &["clause", "MUST", "rule", "where", "test"],
];

const COUNTS: &[&str] = &[
    "chapter",
    "lines",
    "target",
    "initiator",
    "neither",
    "rows",
    "tested",
    "not applicable",
    "differ",
];

impl Document {
    /// Reads every table of `text`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut document = Self {
            rows: Vec::new(),
            counts: Vec::new(),
            problems: Vec::new(),
        };
        let lines: Vec<&str> = text.lines().collect();
        let mut number = 0;
        while number < lines.len() {
            let end = (number..lines.len())
                .find(|&at| !lines[at].starts_with('|'))
                .unwrap_or(lines.len());
            if end > number {
                document.table(&lines[number..end], number + 1);
            }
            number = end + 1;
        }
        document
    }

    /// One table, whose header is line `first`.
    fn table(&mut self, lines: &[&str], first: usize) {
        let header = cells(lines[0]);
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let ruled = lines
            .get(1)
            .is_some_and(|line| line.chars().all(|c| "|-: ".contains(c)));
        let of_rules = RULES.contains(&header.as_slice());
        if !ruled || !(of_rules || header == COUNTS) {
            self.problems
                .push(format!("line {first}: a table of no known form"));
            return;
        }
        let before = self.rows.len();
        for (line, cells) in (first + 2..).zip(lines[2..].iter().map(|line| cells(line))) {
            if cells.len() != header.len() {
                self.problems
                    .push(format!("line {line}: {} columns", cells.len()));
            } else if of_rules {
                self.rule(line, cells);
            } else {
                self.count(line, &cells);
            }
        }
        self.order(before);
    }

    fn rule(&mut self, line: usize, mut cells: Vec<String>) {
        let mut musts = 0;
        if cells.len() == 5 {
            match cells.remove(1).parse() {
                Ok(lines) => musts = lines,
                Err(_) => self
                    .problems
                    .push(format!("line {line}: no number of MUSTs")),
            }
        }
        let [clause, rule, code, test] = cells.try_into().unwrap();
        self.rows.push(Row {
            line,
            clause,
            rule,
            code,
            test,
            musts,
        });
    }

    fn count(&mut self, line: usize, cells: &[String]) {
        let numbers: Result<Vec<usize>, _> = cells[1..].iter().map(|cell| cell.parse()).collect();
        match numbers {
            Ok(numbers) => self.counts.push((cells[0].clone(), numbers)),
            Err(_) => self
                .problems
                .push(format!("line {line}: not all are numbers")),
        }
    }

    /// The clauses of one table are well formed, and those of one standard ascend.
    fn order(&mut self, from: usize) {
        let mut last: Vec<(String, Vec<u32>)> = Vec::new();
        for row in &self.rows[from..] {
            let Some(clauses) = clauses(&row.clause) else {
                self.problems.push(row.problem("is no clause"));
                continue;
            };
            let (standard, clause) = clauses[0].clone();
            match last.iter_mut().find(|(other, _)| *other == standard) {
                Some((_, before)) if *before > clause => {
                    self.problems.push(row.problem("comes after a later one"));
                }
                Some((_, before)) => *before = clause,
                None => last.push((standard, clause)),
            }
        }
    }
}

/// `4.2.2.1, 13.13` or `SPC-4 6.4.2, SBC-3 5.8`: the standard's name and the numbers. An
/// appendix sorts behind the chapters: `C` is 103.
pub(crate) fn clauses(cell: &str) -> Option<Vec<(String, Vec<u32>)>> {
    cell.split(", ").map(clause).collect()
}

fn clause(text: &str) -> Option<(String, Vec<u32>)> {
    let (standard, numbers) = text.rsplit_once(' ').unwrap_or(("", text));
    let numbers = numbers
        .split('.')
        .enumerate()
        .map(|(place, part)| number(place, part));
    Some((standard.to_owned(), numbers.collect::<Option<_>>()?))
}

fn number(place: usize, part: &str) -> Option<u32> {
    match part.as_bytes() {
        [letter @ b'A'..=b'Z'] if place == 0 => Some(100 + u32::from(letter - b'A' + 1)),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => part.parse().ok(),
        _ => None,
    }
}

/// The cells of a line of a table. `\|` is a stroke inside of a cell.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\0");
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().replace('\0', "|"))
        .collect()
}
