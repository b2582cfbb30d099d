//! The name of this program in commands that it advises.
//!
//! A program with objectives of its own has the command line of smidgen under another name.

use crate::units::shown::typed;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

/// How messages in the sources begin a command.
const COMMAND: &str = "`smidgen ";

/// The name of this program as it is typed, written at most once.
///
/// It is global because errors become text where nothing can be passed.
static NAME: OnceLock<String> = OnceLock::new();

/// Sets the name, from the path by which this program was started. Without it, the name is `smidgen`.
pub fn set(path: &OsStr) {
    if let Some(name) = Path::new(path).file_name() {
        // A process has one name.
        let _ = NAME.set(typed(name));
    }
}

/// Replaces the name in commands such as `smidgen ports` by that of this program.
pub fn in_commands(text: &str) -> Cow<'_, str> {
    NAME.get().map_or(text.into(), |name| replaced(text, name))
}

fn replaced<'a>(text: &'a str, name: &str) -> Cow<'a, str> {
    match name {
        "smidgen" => text.into(),
        other => text.replace(COMMAND, &format!("`{other} ")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_the_name_of_the_program() {
        let advice = "the port is missing; `smidgen ports` lists them, and smidgen looks for a missing board";
        let own =
            "the port is missing; `own ports` lists them, and smidgen looks for a missing board";
        assert_eq!(replaced(advice, "own"), own);
        assert!(matches!(replaced(advice, "smidgen"), Cow::Borrowed(same) if same == advice));
    }
}
