//! Parts of source code.

use std::fmt::{Display, Write};

/// Numbers on a line of an array.
const PER_LINE: usize = 12;

/// Replaces characters that could end a comment or a line, or that a compiler warns of.
pub(super) fn comment(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || " .,;:()+-_=%'".contains(char);
    text.chars().map(|char| if is_plain(char) { char } else { '_' }).collect()
}

/// Appends numbers, some on each line.
pub(super) fn numbers<T: Display>(
    code: &mut String,
    indent: &str,
    numbers: impl IntoIterator<Item = T>,
) {
    for (index, number) in numbers.into_iter().enumerate() {
        code.push_str(match index % PER_LINE {
            0 if index > 0 => "\n",
            0 => "",
            _ => " ",
        });
        if index % PER_LINE == 0 {
            code.push_str(indent);
        }
        write!(code, "{number},").expect("writing to a string");
    }
    code.push('\n');
}
