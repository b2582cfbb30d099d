//! The boards that tests of all boards are about.

use crate::boards::board::{BOARDS, Board, BoardError};
use crate::units::shown::shown;
use std::env;

/// The environment variable that names some of them, separated by commas.
pub const VARIABLE: &str = "SMIDGEN_BOARDS";

/// Boards that tests are about.
#[derive(Debug, PartialEq, Eq)]
pub struct Tested {
    /// Those of the table that were chosen.
    pub boards: Vec<&'static Board>,
    /// What to tell if they are not all.
    pub notice: Option<String>,
}

/// Returns the boards that [`VARIABLE`] names, or all without it.
///
/// # Errors
/// If a name is unknown.
pub fn tested() -> Result<Tested, BoardError> {
    let names = env::var_os(VARIABLE).map(|names| shown(&names).to_string());
    chosen(names.as_deref())
}

fn chosen(names: Option<&str>) -> Result<Tested, BoardError> {
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Ok(Tested { boards: BOARDS.iter().collect(), notice: None });
    };
    let named = names.split(',').map(Board::find).collect::<Result<Vec<_>, _>>()?;
    let boards = BOARDS.iter().filter(|board| named.contains(board)).collect();
    let notice = format!("{VARIABLE} is {names}: no other board is tested");
    Ok(Tested { boards, notice: Some(notice) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_boards_are_tested_unless_some_are_named() {
        for names in [None, Some("")] {
            let all = chosen(names).unwrap();
            assert_eq!((all.boards.len(), all.notice), (BOARDS.len(), None));
        }
        let two = chosen(Some("mps2-m3,microbit")).unwrap();
        let names: Vec<_> = two.boards.iter().map(|board| board.name).collect();
        assert_eq!(names, ["microbit", "mps2-m3"]);
        let notice = "SMIDGEN_BOARDS is mps2-m3,microbit: no other board is tested";
        assert_eq!(two.notice.as_deref(), Some(notice));
    }

    #[test]
    fn unknown_name_is_refused() {
        let refusal = chosen(Some("microbit,mine")).unwrap_err().to_string();
        assert!(refusal.starts_with("unknown board `mine`: choose one of microbit, "), "{refusal}");
    }
}
