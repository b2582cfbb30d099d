//! A board of one's own: a copy of the package `template`, and its lines in the files that list boards.

mod lines;

use crate::boards::board::BOARDS;
use crate::units::shown::shown;
use lines::{TABLE, renamed};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

pub use lines::ListError;

/// The files of the template by their names in the package.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../../firmware/boards/template/Cargo.toml")),
    ("memory.x", include_str!("../../../firmware/boards/template/memory.x")),
    ("src/lib.rs", include_str!("../../../firmware/boards/template/src/lib.rs")),
    ("src/main.rs", include_str!("../../../firmware/boards/template/src/main.rs")),
];
/// The mark of a line to change.
const MARK: &str = "CHANGE ";

/// The folder of the packages of boards, in a checkout.
const BOARD_FOLDER: &str = "firmware/boards";
/// Longest name: worker and host exchange it.
const NAME_LEN_MAX: usize = 24;
/// Names of crates that every compiler has, and of what cargo writes.
const TAKEN: [&str; 5] = ["core", "std", "alloc", "test", "target"];
/// Words of Rust, which cannot name a crate.
const WORDS: [&str; 45] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "unsafe",
    "while",
];

/// Reasons why no board is written.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// The name is not allowed.
    #[error(
        "`{0}` cannot be the name of a board: take up to {NAME_LEN_MAX} small letters, digits and hyphens that start \
         with a letter, and no word of Rust, such as `my-board`"
    )]
    Name(String),
    /// There is such a board, or a folder of that name.
    #[error("there is a board, a package or a folder {0} already: choose another name")]
    Exists(String),
    /// The folder is no checkout.
    #[error(
        "{} has no {TABLE}: give the folder of a checkout of smidgen as `--checkout`",
        shown(.0)
    )]
    NoCheckout(PathBuf),
    /// A file that lists boards cannot be changed.
    #[error(transparent)]
    List(#[from] ListError),
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", shown(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The checkout that smidgen was built from.
pub fn checkout() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The folder of the package.
    pub package: PathBuf,
    /// The files that have a line or a row for it.
    pub listed_in: Vec<PathBuf>,
    /// Number of places to change.
    pub changes: usize,
    /// The lock file of the workspace names the new package; if not, the next build without `--locked` adds it.
    pub is_locked: bool,
}

/// Writes a new board of this name into a checkout.
///
/// # Errors
/// If the name is invalid or taken, or a file cannot be read or written. Files that list boards are changed last.
pub fn write(checkout: &Path, name: &str) -> Result<Written, TemplateError> {
    check(name)?;
    let folder = checkout.join(BOARD_FOLDER);
    let package = folder.join(name);
    if !checkout.join(TABLE).is_file() || !folder.join("Cargo.toml").is_file() {
        return Err(TemplateError::NoCheckout(checkout.into()));
    }
    // A package of this name, also one that a board depends on, would be meant as well.
    let locked = fs::read_to_string(folder.join("Cargo.lock")).unwrap_or_default();
    let is_package = locked.contains(&format!("name = \"{name}\"\n"));
    if package.exists() || is_package || BOARDS.iter().any(|board| board.name == name) {
        return Err(TemplateError::Exists(name.into()));
    }
    // All texts are made before the first file is written.
    let listed = lines::with_board(checkout, name)?;
    fs::create_dir_all(package.join("src")).map_err(failed(&package))?;
    for (file, text) in FILES {
        let path = package.join(file);
        fs::write(&path, renamed(text, name)).map_err(failed(&path))?;
    }
    for (path, text) in &listed {
        fs::write(path, text).map_err(failed(path))?;
    }
    let changes = FILES.iter().map(|(_, text)| text.matches(MARK).count()).sum();
    let listed_in = listed.into_iter().map(|(path, _)| path).collect();
    Ok(Written { package, listed_in, changes, is_locked: lock(&folder) })
}

/// The error of a file that cannot be written.
fn failed(path: &Path) -> impl FnOnce(io::Error) -> TemplateError {
    let path = path.to_owned();
    move |source| TemplateError::Write { path, source }
}

fn check(name: &str) -> Result<(), TemplateError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_valid = name.len() <= NAME_LEN_MAX
        && name.bytes().all(is_plain)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !TAKEN.contains(&name)
        && !WORDS.contains(&name);
    if is_valid { Ok(()) } else { Err(TemplateError::Name(name.into())) }
}

/// Adds the package to the lock file, which builds require.
fn lock(workspace: &Path) -> bool {
    let mut cargo = Command::new("cargo");
    cargo.args(["update", "--workspace", "--offline", "--quiet"]).current_dir(workspace);
    cargo.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::lines::TEMPLATE;
    use super::*;

    #[test]
    fn row_is_that_of_the_package() {
        let (_, map) = FILES[1];
        let identity = format!("IDENTITY : ORIGIN = 0x{:08X}, ", TEMPLATE.identity_address);
        assert!(map.contains(&identity), "{identity}");
        assert_eq!((TEMPLATE.name, TEMPLATE.package), ("template", "template"));
    }

    #[test]
    fn names_are_those_of_packages() {
        for name in ["my-board", "b2", "nucleo-f446re"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "My",
            "1a",
            "-a",
            "a-",
            "a_b",
            "é",
            "match",
            "core",
            "target",
            &"a".repeat(25),
            "a/b",
        ] {
            let refused = check(name).unwrap_err().to_string();
            assert!(refused.contains("cannot be the name of a board"), "{name}: {refused}");
        }
    }

    #[test]
    fn copy_has_its_own_name_everywhere() {
        for (file, text) in FILES {
            assert!(!renamed(text, "my-board").contains(TEMPLATE.name), "{file}");
        }
        assert!(renamed(FILES[3].1, "my-board").contains("image!(my_board::run)"));
    }

    #[test]
    fn refusals_change_nothing() {
        let checkout = tempfile::tempdir().unwrap();
        let refused = |name: &str| write(checkout.path(), name).unwrap_err().to_string();
        assert!(refused("mine").contains("give the folder of a checkout"));
        let (boards, table) = (checkout.path().join(BOARD_FOLDER), checkout.path().join(TABLE));
        fs::create_dir_all(&boards).unwrap();
        fs::create_dir_all(table.parent().unwrap()).unwrap();
        fs::write(boards.join("Cargo.toml"), "[workspace]\n").unwrap();
        fs::write(&table, "").unwrap();
        assert!(refused("microbit").contains("already: choose another name"));
        assert!(refused("mine").contains("has no line `members = [` to add the board at"));
        assert!(!boards.join("mine").exists());
    }
}
