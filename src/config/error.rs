//! What is wrong with a configuration file, and on which line.

use std::path::PathBuf;

/// What is wrong with `itemlift.toml`: where, what, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}: {what}", .line.map(|line| format!(", line {line}")).unwrap_or_default(), path = .path.display())]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, if one is at fault.
    pub line: Option<usize>,
    /// One sentence.
    pub what: String,
}

/// The line that holds the byte at `offset`, counted from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The line that sets `key`, counted from 1.
pub(super) fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let is_key = |line: &str| {
        line.trim_start()
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(is_key).map(|index| index + 1)
}
