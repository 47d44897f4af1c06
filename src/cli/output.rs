//! What commands print: tables for people, JSON for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::failure::Failure;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns, for people.
    Table,
    /// For programs.
    Json,
}

/// Prints a line. A reader that went away, as in `| head`, is not an error.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            "the output was not written",
            error,
            "see where standard output goes",
        )),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new("the output was not written", error, ""))?;
    say(&text)
}

/// Prints rows below a header; `nothing` if there are none.
pub(super) fn say_table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    nothing: &str,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| visible(&cell)));
    }
    if table.is_empty() {
        return say(nothing);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    say(&lines.join("\n"))
}

/// A text that a terminal shows as it is: control characters and those that turn the direction of writing are escaped.
pub(super) fn visible(text: &str) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A number of things: `1 disk`, `2 disks`.
pub(super) fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// A number of bytes: `512 B`, `1.5 GiB`, `64 TiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, rounded to nearest, so that no float decides; a unit never shows 1024.0.
    let mut shift = 10;
    for unit in UNITS {
        let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
        if tenths < 10_240 || shift == 60 {
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                tenth => format!("{}.{tenth} {unit}", tenths / 10),
            };
        }
        shift += 10;
    }
    format!("{bytes} B")
}

/// A moment: `2026-11-20 02:00 UTC`.
pub(super) fn moment(time: Timestamp) -> String {
    let time = time.to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The time until `end`: `11 h 59 min`, `45 s`; `-` if it is over.
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    match end.duration_since(now).as_secs() {
        ..=0 => "-".into(),
        seconds @ 1..=59 => format!("{seconds} s"),
        seconds @ 60..=3599 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1 GiB"),
            ((1 << 20) - 1, "1 MiB"),
            (64 << 40, "64 TiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn counts() {
        let shown = [0, 1, 2].map(|number| counted(number, "disk"));
        assert_eq!(shown, ["0 disks", "1 disk", "2 disks"]);
    }

    #[test]
    fn nothing_reaches_the_terminal_unseen() {
        assert_eq!(
            visible("a\nb\x1b[31m\u{202e}ü"),
            "a\\nb\\u{1b}[31m\\u{202e}ü"
        );
    }

    #[test]
    fn time_left() {
        let end: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
        let at = |now: &str| left(end, now.parse().unwrap());
        assert_eq!(at("2026-11-20T02:00:01Z"), "11 h 59 min");
        assert_eq!(at("2026-11-20T13:59:15Z"), "45 s");
        assert_eq!(at("2026-11-20T14:00:00Z"), "-");
        assert_eq!(moment(end), "2026-11-20 14:00 UTC");
    }
}
