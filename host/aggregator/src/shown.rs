//! Foreign text, made fit for one line of a message.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write};

/// Displays a foreign text: see [`shown`].
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(&'a OsStr);

/// Displays a text in one line. Control characters, line ends, marks that reorder text and bytes that are not UTF-8
/// appear as escapes such as `\u{1b}` and `\xff`.
pub fn shown<T: AsRef<OsStr> + ?Sized>(text: &T) -> Shown<'_> {
    Shown(text.as_ref())
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_encoded_bytes().utf8_chunks() {
            for char in chunk.valid().chars() {
                if is_harmless(char) { f.write_char(char) } else { write!(f, "{}", escape(char)) }?;
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Escapes a character: `\n` and `\t` by their letters, every other one by its number.
pub fn escape(char: char) -> impl Iterator<Item = char> + Display {
    char.escape_default()
}

/// A character is a visible mark, or a space.
pub fn is_harmless(char: char) -> bool {
    let is_unseen = matches!(char,
        // Marks of direction, embeddings and overrides, isolates; line and paragraph separators; characters without
        // width.
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        // Annotations, and invisible letters.
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !char.is_control() && !is_unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character of each kind that must be escaped.
    const HOSTILE: &str =
        "\u{1b}[2Jred\u{7}\r\n\t\u{9b}31m\u{202e}txt\u{2066}\u{2028}\u{feff}\u{7f}\u{e0041}";

    #[test]
    fn hostile_text_becomes_one_readable_line() {
        assert_eq!(
            shown(HOSTILE).to_string(),
            r"\u{1b}[2Jred\u{7}\r\n\t\u{9b}31m\u{202e}txt\u{2066}\u{2028}\u{feff}\u{7f}\u{e0041}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(shown(OsStr::from_bytes(b"a\xff/\xc3")).to_string(), r"a\xff/\xc3");
    }
}
