//! The README's table of limits is the code's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iscsi_proto::limits as protocol;
use itemlift::target::limits as server;

/// A limit as the table can show it: a number of bytes, seconds or things.
trait Shown {
    fn shown(self) -> f64;
}

impl Shown for Duration {
    fn shown(self) -> f64 {
        self.as_secs_f64()
    }
}

macro_rules! shown_as_they_are {
    ($($number:ty),*) => {
        $(impl Shown for $number {
            fn shown(self) -> f64 {
                self as f64
            }
        })*
    };
}

shown_as_they_are!(u32, u64, usize);

macro_rules! limits {
    ($module:ident: $($name:ident)*) => {
        vec![$((stringify!($name), $module::$name.shown())),*]
    };
}

fn of_protocol() -> Vec<(&'static str, f64)> {
    limits!(protocol:
        MAX_RECV_DATA_SEGMENT MAX_SEND_DATA_SEGMENT MAX_AHS READ_CHUNK READ_BUDGET COMMAND_WINDOW
        IMMEDIATE_COMMANDS MAX_QUEUED_ANSWERS MAX_QUEUED_ANSWER_BYTES DATA_OUT_BUDGET MAX_TEXT MAX_KEYS MAX_KEY_NAME
        MAX_VALUE MAX_BINARY_VALUE MAX_LOGIN_PDUS LOGIN_DEADLINE KEEPALIVE_INTERVAL
        KEEPALIVE_DEADLINE LOGOUT_DEADLINE)
}

fn of_server() -> Vec<(&'static str, f64)> {
    limits!(server:
        CONNECTIONS CONNECTIONS_PER_ADDRESS STRANGERS STRANGERS_PER_ADDRESS STRANGER_GRACE
        INTRODUCTION_TIME CONTROL_CONNECTIONS CONTROL_CONNECTIONS_PER_ADDRESS HANDSHAKE_TIME HTTP_HEAD_TIME HTTP_IDLE_TIME HTTP_STREAMS
        LINGER_TIME LINGER_BYTES LAST_WORDS_TIME CLOSE_TIME SEND_STALL INPUT_ROOM QUIET_INPUT_ROOM
        WRITE_BATCH_BYTES UNSENT_BYTES WRITE_BATCH_PDUS WRITE_SLICES TLS_BUFFER TURN_BYTES READ_BYTES
        BLOCKING_READS_PER_DISK BLOCKING_READS_PER_SOURCE BLOCKING_READS READ_AHEAD_BYTES READ_AHEAD_STEP_BYTES READ_AHEAD_STEPS OWN_BYTES IN_FLIGHT_BYTES POOL_SHARE QUIET_TIME
        SPARE_BUFFER_BYTES REINSTATEMENT_TIME SESSIONS)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One row of the table.
struct Row {
    /// Whether its section is of one of the two files that hold nothing but limits.
    of_limits: bool,
    /// The constants named in the last column.
    names: Vec<String>,
    /// The numbers of the second.
    numbers: Vec<f64>,
}

fn rows() -> Vec<Row> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split("\n## Limits\n").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let mut of_limits = false;
    let rows = table.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').collect();
        let [_, what, value, place, _] = columns[..] else {
            panic!("three columns: {row}");
        };
        if what.trim().starts_with("**") {
            of_limits = place.contains("limits.rs");
        }
        Row {
            of_limits,
            names: names(place),
            numbers: numbers(value),
        }
    })
    .collect()
}

/// What stands in backquotes and is written as constants are.
fn names(text: &str) -> Vec<String> {
    let is_name = |word: &&str| {
        let mut letters = word.bytes();
        !word.is_empty()
            && letters.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// Numbers, multiplied by the unit behind them.
fn numbers(text: &str) -> Vec<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| {
        let digits = word.trim_end_matches([',', ';']).replace(',', "");
        digits.parse::<f64>().ok()
    };
    let unit = |word: Option<&&str>| match word.map(|word| word.trim_end_matches([',', ';'])) {
        Some("KiB") => 1024.0,
        Some("MiB") => 1024.0 * 1024.0,
        Some("GiB") => 1024.0 * 1024.0 * 1024.0,
        Some("min") => 60.0,
        Some("h") => 3600.0,
        _ => 1.0,
    };
    let found = words.iter().enumerate();
    found
        .filter_map(|(at, word)| Some(number(word)? * unit(words.get(at + 1))))
        .collect()
}

#[test]
fn every_limit_is_in_the_table_with_its_value() {
    let mut shown = BTreeMap::new();
    let limits: Vec<_> = of_protocol().into_iter().chain(of_server()).collect();
    for row in rows().into_iter().filter(|row| row.of_limits) {
        let is_limit = |name: &String| limits.iter().any(|(limit, _)| limit == name);
        if !row.names.iter().any(is_limit) {
            continue;
        }
        let (names, numbers) = (row.names, row.numbers);
        assert_eq!(names.len(), numbers.len(), "{names:?}: {numbers:?}");
        for (name, number) in names.into_iter().zip(numbers) {
            assert!(shown.insert(name.clone(), number).is_none(), "{name} twice");
        }
    }
    for (name, value) in limits {
        let shown = shown
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(
            (shown - value).abs() < 1e-9,
            "{name} is {value}, the table says {shown}"
        );
    }
}

#[test]
fn no_limit_is_left_out() {
    for (file, known) in [
        ("iscsi-proto/src/limits.rs", of_protocol()),
        ("src/target/limits.rs", of_server()),
    ] {
        let source = fs::read_to_string(root().join(file)).unwrap();
        let declared = source.lines().filter_map(|line| {
            let name = line.strip_prefix("pub const ")?;
            Some(name.split(':').next().unwrap().to_owned())
        });
        let declared: Vec<String> = declared.collect();
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        assert_eq!(declared.len(), known.len(), "{file}");
        for name in declared {
            assert!(
                known.contains(&name.as_str()),
                "{name} of {file} is not checked"
            );
        }
    }
}

#[test]
fn what_the_table_names_exists() {
    let mut sources = String::new();
    for folder in [
        "src",
        "disk-image/src",
        "iscsi-proto/src",
        "chap/src",
        "recovery-mount",
    ] {
        gather(&root().join(folder), &mut sources);
    }
    let named: Vec<String> = rows().into_iter().flat_map(|row| row.names).collect();
    assert!(named.len() > 80, "{named:?}");
    for name in named {
        let rust = sources.contains(&format!("const {name}:"));
        let python = sources.contains(&format!("\n{name} = "));
        assert!(rust || python, "{name} is in the table and nowhere else");
    }
}

fn gather(folder: &Path, into: &mut String) {
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for path in entries {
        if path.is_dir() {
            gather(&path, into);
        } else if path
            .extension()
            .is_some_and(|ext| ext == "rs" || ext == "py")
        {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
