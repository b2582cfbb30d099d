//! The name of this program in commands that it advises.
//!
//! A program with objectives of its own has the command line of smidgen under another name.

use crate::units::shown::typed;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

/// The name of the program of this package.
const SMIDGEN: &str = "smidgen";
/// What precedes commands in the sources.
const MARKS: [&str; 2] = ["`", "Example: "];

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

/// Returns the name, unless it is `smidgen`.
pub fn other() -> Option<&'static str> {
    NAME.get().map(String::as_str).filter(|&name| name != SMIDGEN)
}

/// Returns a command of this program with these arguments.
pub fn command(arguments: &str) -> String {
    format!("{} {arguments}", other().unwrap_or(SMIDGEN))
}

/// Replaces the name in commands such as `smidgen ports` by that of this program.
pub fn in_commands(text: &str) -> Cow<'_, str> {
    other().map_or(text.into(), |name| replaced(text, name).into())
}

fn replaced(text: &str, name: &str) -> String {
    MARKS.iter().fold(text.to_owned(), |text, mark| {
        text.replace(&format!("{mark}{SMIDGEN} "), &format!("{mark}{name} "))
    })
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
        assert_eq!(replaced("Example: smidgen demo", "own"), "Example: own demo");
        // Tests set no name.
        assert!(matches!(in_commands(advice), Cow::Borrowed(same) if same == advice));
        assert_eq!(command("ports"), "smidgen ports");
    }
}
