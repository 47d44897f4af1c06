//! What the source tree holds: definitions and tests by file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Folders named from the repository's root; every other path is below `iscsi-proto/src`.
const FROM_THE_ROOT: [&str; 4] = ["chap/", "iscsi-proto/", "src/", "tests/"];

/// Begins the name of a scenario of the Debian guest.
const GUEST: &str = "guest/";

const KINDS: [&str; 8] = [
    "fn ", "struct ", "enum ", "const ", "static ", "type ", "trait ", "mod ",
];

/// The repository.
pub(crate) struct Tree {
    root: PathBuf,
    read: RefCell<HashMap<PathBuf, Option<Rc<str>>>>,
}

impl Tree {
    /// The one that this test belongs to.
    pub(crate) fn of_the_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .to_owned();
        Self {
            root,
            read: RefCell::default(),
        }
    }

    /// What of a cell such as `` `session/window.rs` `arrive` `may_come`, `digest.rs` `crc32c` ``
    /// does not exist.
    pub(crate) fn missing_code(&self, cell: &str) -> Vec<String> {
        let names = match backticked(cell) {
            Ok(names) => names,
            Err(problem) => return vec![problem],
        };
        let mut problems = Vec::new();
        let mut file: Option<(&str, usize)> = None;
        for name in names {
            if name.ends_with(".rs") {
                problems.extend(without_names(file));
                file = Some((name, 0));
                if self.source(name).is_none() {
                    problems.push(format!("no file {name}"));
                }
            } else if let Some((path, count)) = &mut file {
                *count += 1;
                if self
                    .source(path)
                    .is_some_and(|source| !defines(&source, name))
                {
                    problems.push(format!("{path} defines no {name}"));
                }
            } else {
                problems.push(format!("{name} stands before a file"));
            }
        }
        problems.extend(without_names(file));
        if file.is_none() {
            problems.push("names no code".to_owned());
        }
        problems
    }

    /// Which of the tests in a cell do not exist.
    pub(crate) fn missing_tests(&self, cell: &str) -> Vec<String> {
        let names = match backticked(cell) {
            Ok(names) => names,
            Err(problem) => return vec![problem],
        };
        if names.is_empty() {
            return vec!["names no test and is not said to be not applicable".to_owned()];
        }
        let missing = names.iter().filter(|name| !self.is_test(name));
        missing.map(|name| format!("no test {name}")).collect()
    }

    fn is_test(&self, name: &str) -> bool {
        if let Some(scenario) = name.strip_prefix(GUEST) {
            let source = self.source(&format!("tests/guest/scenarios/{scenario}.py"));
            return source.is_some_and(|source| source.lines().any(|l| l.starts_with("def run(")));
        }
        let Some((file, function)) = name.rsplit_once("::") else {
            return false;
        };
        let source = if file.ends_with(".rs") {
            self.source(file)
        } else {
            self.source(&format!("iscsi-proto/tests/scripted/{file}.rs"))
        };
        source.is_some_and(|source| has_test(&source, function))
    }

    /// The text of a file, once read.
    fn source(&self, path: &str) -> Option<Rc<str>> {
        let from_root = FROM_THE_ROOT.iter().any(|folder| path.starts_with(folder));
        let below = if from_root { "" } else { "iscsi-proto/src" };
        let path = self.root.join(below).join(path);
        let mut read = self.read.borrow_mut();
        let text = read
            .entry(path)
            .or_insert_with_key(|path| read_to_string(path).ok().map(Rc::from));
        text.clone()
    }
}

fn without_names(file: Option<(&str, usize)>) -> Option<String> {
    file.filter(|(_, names)| *names == 0)
        .map(|(path, _)| format!("{path} without a name in it"))
}

/// The names of a cell; nothing but commas stands between them.
fn backticked(cell: &str) -> Result<Vec<&str>, String> {
    let parts: Vec<&str> = cell.split('`').collect();
    let between = parts.iter().step_by(2);
    if let Some(text) = between
        .map(|text| text.trim())
        .find(|text| !["", ","].contains(text))
    {
        return Err(format!("\"{text}\" is no name in backticks"));
    }
    Ok(parts.into_iter().skip(1).step_by(2).collect())
}

/// `name` is a function, type, constant or module of `source`; `Type::name` also a variant or an
/// item of a type that `source` names.
fn defines(source: &str, name: &str) -> bool {
    let Some((owner, member)) = name.split_once("::") else {
        return source.lines().any(|line| is_item(line, name));
    };
    let has_owner = source
        .lines()
        .any(|line| is_item(line, owner) || line.starts_with("impl") && begins_a_word(line, owner));
    has_owner
        && source
            .lines()
            .any(|line| is_item(line, member) || starts_with_word(line.trim_start(), member))
}

fn is_item(line: &str, name: &str) -> bool {
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        rest = public.trim_start_matches(|c: char| c != ' ').trim_start();
        // `pub(in a::b)` holds a space.
        rest = rest.split_once(") ").map_or(rest, |(visibility, after)| {
            if visibility.contains('(') {
                rest
            } else {
                after
            }
        });
    }
    rest = rest
        .strip_prefix("const fn ")
        .map_or(rest, |_| &rest["const ".len()..]);
    rest = rest.strip_prefix("async ").unwrap_or(rest);
    KINDS.iter().any(|kind| {
        rest.strip_prefix(kind)
            .is_some_and(|item| starts_with_word(item, name))
    })
}

fn begins_a_word(line: &str, name: &str) -> bool {
    line.split(|c: char| !is_name(c)).any(|word| word == name)
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(is_name))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `fn name` has `#[test]` or `#[tokio::test…]` above it.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let functions =
        (0..lines.len()).filter(|&at| is_item(lines[at], name) && lines[at].contains("fn "));
    functions.into_iter().any(|at| {
        let above = lines[..at].iter().rev();
        above
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}
