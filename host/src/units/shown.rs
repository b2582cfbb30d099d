//! Escaping of text from outside, such as file names, output of boards and programs, and contents of data.
//!
//! ```text
//!  path, name, bytes ── shown ──► one line, escaped              for a message, a record, a report
//!  path              ── typed ──► a word of a shell command      for a command that the reader may copy
//!  message, page     ── lines ──► lines, escaped                 the last filter before a terminal or a page
//! ```
//!
//! Paths are converted to text only here: clippy refuses `Path::display` and the like elsewhere.

use serde::Serializer;
pub use smidgen_aggregator::shown::{Shown, shown};
use smidgen_aggregator::shown::{escape, is_harmless};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;

/// Escapes a text like [`shown`], but keeps its newlines.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_kept = |char| char == '\n' || is_harmless(char);
    if text.chars().all(is_kept) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    for char in text.chars() {
        if is_kept(char) { kept.push(char) } else { kept.extend(escape(char)) }
    }
    kept.into()
}

/// Returns a word of a shell command, quoted if necessary.
pub fn typed<T: AsRef<OsStr> + ?Sized>(word: &T) -> String {
    let word = word.as_ref();
    let plain = |char: char| char.is_alphanumeric() || "/._-+,:=@%".contains(char);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.into(),
        Some(text) if text.chars().all(is_harmless) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => ansi_c(word.as_encoded_bytes()),
    }
}

/// Quotes a word as `$'…'`, in which bytes can be escaped.
fn ansi_c(word: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for &byte in word {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', byte.into()]),
            b' '..=b'~' => quoted.push(byte.into()),
            _ => write!(quoted, "\\x{byte:02x}").expect("writing to a string"),
        }
    }
    quoted + "'"
}

/// Serializes a path as it is shown on a terminal.
pub fn serialize<T: AsRef<OsStr>, S: Serializer>(text: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&shown(text))
}

/// Like [`serialize`], for a path that may be missing.
pub fn serialize_some<T: AsRef<OsStr>, S: Serializer>(
    text: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serialize(text, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character of each kind that must be escaped.
    const HOSTILE: &str =
        "\u{1b}[2Jred\u{7}\r\n\t\u{9b}31m\u{202e}txt\u{2066}\u{2028}\u{feff}\u{7f}\u{e0041}";

    #[test]
    fn harmless_text_is_unchanged() {
        for text in ["", "run 1, again.txt", "Grüße/ελ/数/🦀", "a\u{301} b\u{a0}c", r"C:\new"]
        {
            assert_eq!(shown(text).to_string(), text);
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn lines_keep_only_newlines() {
        assert_eq!(lines("one\ntwo\u{1b}[31m\r\n"), "one\ntwo\\u{1b}[31m\\r\n");
    }

    #[test]
    fn shell_reads_a_typed_word_as_the_original() {
        use std::os::unix::ffi::OsStrExt;
        let words: [&[u8]; 8] = [
            b"plain/run-1",
            b"two words",
            b"it's",
            b"",
            b"$HOME `ls` \"x\" \\ ; & * ~",
            b"new\nline \x1b' \\",
            b"\xff\xfe, \xc3",
            HOSTILE.as_bytes(),
        ];
        for word in words {
            let typed = typed(OsStr::from_bytes(word));
            assert!(typed.chars().all(is_harmless), "{typed:?}");
            let echo = format!("printf %s {typed}");
            let output = std::process::Command::new("bash").args(["-c", &echo]).output().unwrap();
            assert_eq!(output.stdout, word, "{typed}");
        }
    }
}
