//! The lines and rows that list a new board, in the files that list all boards.

use crate::boards::board::{Board, Flash, qemu};
use crate::boards::qemu::Qemu;
use crate::units::shown::shown;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The board that is copied.
pub(super) static TEMPLATE: Board = include!("../template_row.rs");
/// Its row in the table of boards.
const ROW: &str = include_str!("../template_row.rs");
/// The file with the table.
pub(super) const TABLE: &str = "host/src/boards/board.rs";

/// Reasons why a board is not listed.
#[derive(Debug, Error)]
pub enum ListError {
    /// A file has changed so much that the place is not found.
    #[error(
        "{} has no line `{mark}` to add the board at, so nothing was written: restore that line, as the repository has it",
        shown(path)
    )]
    NoPlace {
        /// The file.
        path: PathBuf,
        /// The missing line, or its start.
        mark: &'static str,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Where a line is added.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the end of the array that begins after this mark.
    TableEnd(&'static str),
    /// In the sorted list of lines with the same first letter that begins after this mark.
    SortedAfter(&'static str),
    /// After the last row of the table whose head starts so.
    LastRowOf(&'static str),
    /// After the last line that starts so.
    LastOf(&'static str),
}

/// The files that list boards, from the root of a checkout, with the lines of a new board and their places.
fn additions(name: &str) -> [(&'static str, Place, String); 5] {
    let target = TEMPLATE.target;
    let own = |text: &str| renamed(text, name);
    let command = TEMPLATE.documented_command().unwrap_or_default();
    let (_, machine) = command.split_once(" -M ").unwrap_or_default();
    let machine = machine.split(' ').next().unwrap_or_default();
    [
        (
            "firmware/boards/Cargo.toml",
            Place::SortedAfter("members = ["),
            format!("    \"{name}\","),
        ),
        (
            "firmware/boards/.cargo/config.toml",
            Place::SortedAfter("case $image in"),
            format!("    */{name}) qemu qemu-system-arm {machine} ;;"),
        ),
        (
            "firmware/boards/README.md",
            Place::LastRowOf("| board | package | target |"),
            format!("| `{name}` | {name} | {target} | UART 0 | – | nothing: no recorder |"),
        ),
        ("firmware/boards/README.md", Place::LastOf("qemu-system-"), own(&command)),
        (
            TABLE,
            Place::TableEnd("pub static BOARDS: &[Board] = &["),
            format!("    {},", own(ROW.trim_end())),
        ),
    ]
}

/// Replaces the name of the template: in code, a crate has underscores for hyphens.
pub(super) fn renamed(text: &str, name: &str) -> String {
    let path = format!("{}::", name.replace('-', "_"));
    text.replace(&format!("{}::", TEMPLATE.name), &path).replace(TEMPLATE.name, name)
}

/// Returns the files of a checkout that list boards, with their texts once they list a board of this name too.
pub(super) fn with_board(checkout: &Path, name: &str) -> Result<Vec<(PathBuf, String)>, ListError> {
    let mut files: Vec<(PathBuf, String)> = vec![];
    for (file, place, line) in additions(name) {
        let path = checkout.join(file);
        if files.last().is_none_or(|(last, _)| *last != path) {
            match fs::read_to_string(&path) {
                Ok(text) => files.push((path, text)),
                Err(source) => return Err(ListError::Read { path, source }),
            }
        }
        let Some((path, text)) = files.last_mut() else { continue };
        let added = with_line(text, place, &line);
        let mark = place.mark();
        *text = added.ok_or_else(|| ListError::NoPlace { path: path.clone(), mark })?;
    }
    Ok(files)
}

impl Place {
    fn mark(self) -> &'static str {
        match self {
            Self::TableEnd(mark)
            | Self::SortedAfter(mark)
            | Self::LastRowOf(mark)
            | Self::LastOf(mark) => mark,
        }
    }

    /// Returns the index of the line before which one is added.
    fn find(self, lines: &[&str], line: &str) -> Option<usize> {
        let begins = |start: &str| lines.iter().position(|line| line.starts_with(start));
        // The first line after `start` that is `wanted`.
        let after = |start: usize, wanted: &dyn Fn(&str) -> bool| {
            let rest = lines.iter().skip(start + 1);
            Some(start + 1 + rest.take_while(|line| !wanted(line)).count())
        };
        match self {
            Self::TableEnd(mark) => after(begins(mark)?, &|it| it == "];"),
            Self::SortedAfter(mark) => {
                let (line, letter) = (line.trim(), |it: &str| it.trim().chars().next());
                after(begins(mark)?, &|it| letter(it) != letter(line) || it.trim() > line)
            }
            Self::LastRowOf(mark) => after(begins(mark)?, &|it| !it.starts_with('|')),
            Self::LastOf(mark) => Some(1 + lines.iter().rposition(|it| it.starts_with(mark))?),
        }
    }
}

/// Returns a text with one more line.
fn with_line(text: &str, place: Place, line: &str) -> Option<String> {
    let mut lines: Vec<_> = text.lines().collect();
    let at = place.find(&lines, line)?;
    lines.insert(at, line);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_added_at_its_place() {
        let list = "members = [\n    \"a\",\n    \"c\",\n]\nother\n";
        let added = |place, line| with_line(list, place, line);
        let sorted = Place::SortedAfter("members = [");
        for (line, after) in
            [("    \"0\",", "["), ("    \"b\",", "\"a\","), ("    \"d\",", "\"c\",")]
        {
            let text = added(sorted, line).unwrap();
            assert!(text.contains(&format!("{after}\n{line}\n")), "{text}");
        }
        // A line of another kind ends the list.
        let cases = "case $image in\n    */b) ;;\n    # the rest\n    *) ;;\nesac\n";
        let with = with_line(cases, Place::SortedAfter("case"), "    */c) ;;").unwrap();
        assert_eq!(with, cases.replace("    #", "    */c) ;;\n    #"));
        assert_eq!(added(Place::LastOf("other"), "x"), Some(format!("{list}x\n")));
        assert_eq!(added(Place::LastOf("missing"), "x"), None);
        assert_eq!(added(Place::LastRowOf("| a |"), "x"), None);
        let table = "| a | b |\n|---|---|\n| 1 | 2 |\n\ntext\n";
        let added = with_line(table, Place::LastRowOf("| a |"), "| 3 | 4 |").unwrap();
        assert_eq!(added, "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\ntext\n");
    }

    #[test]
    fn lines_name_the_board() {
        for (file, _, line) in additions("my-board") {
            assert!(line.contains("my-board") && !line.contains(TEMPLATE.name), "{file}: {line}");
        }
    }
}
