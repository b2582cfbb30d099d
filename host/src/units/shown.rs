//! Text from outside, made fit to be read: names of files, what boards and other programs say, what stands in data.
//!
//! ```text
//!  path, name, bytes ── shown ──► one line without surprises     in a message, a record, a report
//!  path              ── typed ──► a word that a shell takes      in a command that the reader may copy
//!  message, page     ── lines ──► the same with its lines        the last filter before a terminal or a page
//! ```
//!
//! Nothing else of this program makes text of a path: clippy refuses `Path::display` and its like.

use serde::Serializer;
pub use smidgen_aggregator::shown::{Shown, shown};
use smidgen_aggregator::shown::{escape, is_harmless};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;

/// A text with its lines, and else as [`shown`].
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

/// A word as a shell takes it, quoted if need be.
pub fn typed<T: AsRef<OsStr> + ?Sized>(word: &T) -> String {
    let word = word.as_ref();
    let plain = |char: char| char.is_alphanumeric() || "/._-+,:=@%".contains(char);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.into(),
        Some(text) if text.chars().all(is_harmless) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => ansi_c(word.as_encoded_bytes()),
    }
}

/// The same in the quotes that take escapes.
fn ansi_c(word: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for &byte in word {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', byte.into()]),
            b' '..=b'~' => quoted.push(byte.into()),
            _ => write!(quoted, "\\x{byte:02x}").expect("a string takes everything"),
        }
    }
    quoted + "'"
}

/// Writes a path into a record for people, who see the same there as on a terminal.
pub fn serialize<T: AsRef<OsStr>, S: Serializer>(text: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&shown(text))
}

/// The same of one that may be missing.
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

    /// One of each kind that must not get through.
    const HOSTILE: &str =
        "\u{1b}[2Jred\u{7}\r\n\t\u{9b}31m\u{202e}txt\u{2066}\u{2028}\u{feff}\u{7f}\u{e0041}";

    #[test]
    fn harmless_text_stays() {
        for text in ["", "run 1, again.txt", "Grüße/ελ/数/🦀", "a\u{301} b\u{a0}c", r"C:\new"]
        {
            assert_eq!(shown(text).to_string(), text);
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn lines_keep_their_ends_only() {
        assert_eq!(lines("one\ntwo\u{1b}[31m\r\n"), "one\ntwo\\u{1b}[31m\\r\n");
    }

    #[test]
    fn a_shell_takes_what_is_typed() {
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
