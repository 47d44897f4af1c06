//! Foreign text made safe: for file names, comments and Python literals.
//!
//! A VM may be called anything, newlines and quotes included. Nothing of it may leave the place that it is written to.

/// The longest piece of a file name that comes from foreign text, in characters.
const MAX_FILE_NAME_PIECE: usize = 64;

/// A piece of a file name: ASCII letters, digits, `.`, `_` and `-`; anything else becomes one `-`. Never empty, never
/// hidden, never an option.
pub(crate) fn file_name_piece(text: &str) -> String {
    let mut piece = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-') {
            piece.push(character);
        } else if !piece.ends_with('-') {
            piece.push('-');
        }
    }
    let piece: String = piece
        .trim_matches(['-', '.'])
        .chars()
        .take(MAX_FILE_NAME_PIECE)
        .collect();
    if piece.is_empty() {
        "unnamed".to_owned()
    } else {
        piece
    }
}

/// Text for one comment line: printable ASCII stays, the rest is written as `\xHH`, `\uHHHH` or `\UHHHHHHHH`.
///
/// The result is cut to `width` characters, so that a long name does not hide what follows it.
pub(crate) fn comment(text: &str, width: usize) -> String {
    let escaped = escape(text, |character| character == '\\');
    if escaped.len() <= width {
        return escaped;
    }
    let mut cut: String = escaped.chars().take(width.saturating_sub(3)).collect();
    cut.push_str("...");
    cut
}

/// The lines of an ASCII text, broken between words; a word that is wider than a line is cut.
pub(crate) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for mut word in text.split(' ') {
        loop {
            let line_is_empty = lines.last().is_none_or(String::is_empty);
            let taken = lines.last().map_or(0, String::len);
            let room = width.saturating_sub(taken + usize::from(!line_is_empty));
            if !line_is_empty && word.len() > room {
                lines.push(String::new());
                continue;
            }
            let (piece, rest) = word.split_at_checked(room.max(1)).unwrap_or((word, ""));
            if let Some(line) = lines.last_mut() {
                line.push_str(if line_is_empty { "" } else { " " });
                line.push_str(piece);
            }
            if rest.is_empty() {
                break;
            }
            word = rest;
        }
    }
    lines
}

/// A Python string literal in double quotes that evaluates to `text`.
pub(crate) fn python_literal(text: &str) -> String {
    format!(
        "\"{}\"",
        escape(text, |character| matches!(character, '\\' | '"'))
    )
}

fn escape(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let code = u32::from(character);
        match code {
            0x20..=0x7e if !special(character) => escaped.push(character),
            0..=0xff => escaped.push_str(&format!("\\x{code:02x}")),
            0x100..=0xffff => escaped.push_str(&format!("\\u{code:04x}")),
            _ => escaped.push_str(&format!("\\U{code:08x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[&str] = &[
        "",
        "web01",
        "a\nimport os\n",
        "\"; import os; os.system('id') #",
        "'''\"\"\"",
        "$(reboot) `id` | ; & > /etc/passwd",
        "../../etc/cron.d/x",
        "-rf",
        ".hidden",
        "サーバー 01",
        "\u{1f600}\u{202e}gnp\\",
        "nul\0byte\r\u{85}\u{2028}",
        "\\x22\\",
        "# SIG AAAA",
    ];

    #[test]
    fn file_names() {
        assert_eq!(file_name_piece("web01"), "web01");
        assert_eq!(file_name_piece("../../etc/cron.d/x"), "etc-cron.d-x");
        assert_eq!(file_name_piece("-rf"), "rf");
        assert_eq!(file_name_piece("サーバー"), "unnamed");
        for text in HOSTILE {
            let piece = file_name_piece(text);
            assert!(
                (1..=64).contains(&piece.len()) && !piece.starts_with(['.', '-']),
                "{piece:?}"
            );
            assert!(
                piece
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
                "{piece:?}"
            );
        }
    }

    #[test]
    fn comments_stay_on_their_line() {
        for text in HOSTILE {
            let line = comment(text, 60);
            assert!(
                line.len() <= 60 && line.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
                "{line:?}"
            );
        }
        assert_eq!(comment("a\nb", 60), "a\\x0ab");
        assert_eq!(comment(&"x".repeat(100), 10), "xxxxxxx...");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(folded("", 5), [""]);
        assert_eq!(folded("ab cd efg", 5), ["ab cd", "efg"]);
        assert_eq!(folded("a bcdefghijk l", 5), ["a", "bcdef", "ghijk", "l"]);
        assert_eq!(folded("abcde", 5), ["abcde"]);
        assert_eq!(folded("  a", 5).concat().trim(), "a");
    }

    #[test]
    fn python_reads_back_what_was_written() {
        let program =
            "import ast, sys; sys.stdout.buffer.write(ast.literal_eval(sys.argv[1]).encode())";
        for text in HOSTILE {
            let literal = python_literal(text);
            assert!(literal.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let run = std::process::Command::new("python3")
                .args(["-c", program, &literal])
                .output()
                .expect("python3");
            assert_eq!(String::from_utf8(run.stdout).unwrap(), *text);
        }
    }
}
