//! The checker itself, by documents of one row each.

use crate::problems;

fn of_rows(rows: &[&str]) -> String {
    let head = "| clause | rule | where | test |\n|---|---|---|---|\n";
    problems(&format!("{head}{}", rows.join("\n"))).join("; ")
}

const CODE: &str = "`session/window.rs` `Window::arrive`";
const TEST: &str = "`numbering::broken_digests`";

#[test]
fn rows_that_are_right() {
    let rows = [
        "| 4.2.2.1 | a | `session/window.rs` `Window::arrive` `may_come`, `digest.rs` `crc32c` | \
         `numbering::broken_digests`, `pdu/login.rs::request` |",
        "| 4.2.2.1, 13 | b | `pdu/mod.rs` `Opcode::LoginRequest` | `guest/many_disks` |",
        "| 12.1.3 | c | `chap/src/secret.rs` `MIN_SECRET` `Secret` | \
         `chap/tests/exchange.rs::hostile_targets` |",
        "| SPC-4 6.4 | d | `src/target/driver/mod.rs` `drive` | \
         `tests/target/hostile.rs::nothing_but_a_login_comes_first` |",
        "| C | e | – | not applicable: no such thing |",
    ];
    assert_eq!(of_rows(&rows), "");
}

#[test]
fn rows_that_are_wrong() {
    let cases = [
        (
            format!("| 4 | r | `session/windows.rs` `arrive` | {TEST} |"),
            "no file session/windows.rs",
        ),
        (
            format!("| 4 | r | `session/window.rs` `arrives` | {TEST} |"),
            "defines no arrives",
        ),
        (
            format!("| 4 | r | `session/window.rs` `Windows::arrive` | {TEST} |"),
            "Windows::arrive",
        ),
        (
            format!("| 4 | r | `session/window.rs` | {TEST} |"),
            "without a name",
        ),
        (format!("| 4 | r | `arrive` | {TEST} |"), "before a file"),
        (format!("| 4 | r | – | {TEST} |"), "no name in backticks"),
        (format!("| 4 | r |  | {TEST} |"), "names no code"),
        (
            format!("| 4 | r | {CODE} | `numbering::broken` |"),
            "no test numbering::broken",
        ),
        (
            format!("| 4 | r | {CODE} | `numbering::*` |"),
            "no test numbering::*",
        ),
        // A function without #[test].
        (
            format!("| 4 | r | {CODE} | `chap/tests/exchange.rs::offer` |"),
            "no test chap",
        ),
        (
            format!("| 4 | r | {CODE} | `guest/no_such_scenario` |"),
            "no test guest",
        ),
        (format!("| 4 | r | {CODE} | – |"), "no name in backticks"),
        (format!("| 4 | r | {CODE} |  |"), "names no test"),
        (
            "| 4 | r | – | not applicable |".to_owned(),
            "no name in backticks",
        ),
        (
            "| 4 | r | – | not applicable: |".to_owned(),
            "has no reason",
        ),
        (
            format!("| 4 | r | {CODE} | not applicable: no such thing |"),
            "names code",
        ),
        (format!("| 4. | r | {CODE} | {TEST} |"), "is no clause"),
        (format!("| 4.02 | r | {CODE} | {TEST} |"), "is no clause"),
        (format!("| §4 | r | {CODE} | {TEST} |"), "is no clause"),
        (format!("| 4 | {CODE} | {TEST} |"), "3 columns"),
    ];
    for (row, what) in cases {
        let found = of_rows(&[&row]);
        assert!(found.contains(what), "{row}: {found}");
    }
}

#[test]
fn rows_that_do_not_fit_each_other() {
    let row = |clause: &str, rule: &str| format!("| {clause} | {rule} | {CODE} | {TEST} |");
    let twice = of_rows(&[&row("4.2", "a"), &row("4.2", "a")]);
    assert!(twice.contains("twice"), "{twice}");
    let order = of_rows(&[&row("4.10", "a"), &row("4.9", "b")]);
    assert!(order.contains("after a later one"), "{order}");
    assert_eq!(
        of_rows(&[
            &row("SPC-4 6.4", "a"),
            &row("SBC-3 5.3", "b"),
            &row("SPC-4 6.5", "c")
        ]),
        ""
    );
}

#[test]
fn tables_of_another_form() {
    let found = problems("| clause | where |\n|---|---|\n").join("; ");
    assert!(
        found.contains("line 1: a table of no known form"),
        "{found}"
    );
}

#[test]
fn counts_that_are_wrong() {
    let document = |counts: &str| {
        let found = problems(&format!(
            "| chapter | lines | target | initiator | neither | rows | tested | not applicable | differ |\n\
             |---|---|---|---|---|---|---|---|---|\n{counts}\n\n\
             | clause | MUST | rule | where | test |\n|---|---|---|---|---|\n\
             | 4.1 | 2 | a | {CODE} | {TEST} |\n| 4.2 | 1 | b | – | not applicable: no such thing |\n\
             | 4.3 | 1 | c | – | differs: for a reason |\n"
        ));
        found.join("; ")
    };
    let four = "| 4 | 6 | 4 | 1 | 1 | 3 | 1 | 1 | 1 |";
    let all = "| all | 6 | 4 | 1 | 1 | 3 | 1 | 1 | 1 |";
    assert_eq!(document(&format!("{four}\n{all}")), "");
    let wrong = document("| 4 | 6 | 3 | 2 | 1 | 3 | 1 | 1 | 1 |");
    assert!(wrong.contains("counts of chapter 4"), "{wrong}");
    let wrong = document("| 4 | 6 | 4 | 1 | 1 | 3 | 2 | 1 | 0 |");
    assert!(wrong.contains("counts of chapter 4"), "{wrong}");
    let wrong = document(&format!("{four}\n| all | 7 | 4 | 2 | 1 | 3 | 1 | 1 | 1 |"));
    assert!(wrong.contains("counts of all"), "{wrong}");
    let wrong = document("| 5 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |");
    assert!(wrong.contains("not counted"), "{wrong}");
}
