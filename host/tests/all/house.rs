//! Test of the imports between the rooms of the host.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the rooms from left to right, as listed in the documentation of the library.
fn rooms(library: &str) -> Vec<&str> {
    let list = library.lines().find(|line| line.contains(" < ")).expect("the rooms are listed");
    list.trim_start_matches("//!").split('<').map(str::trim).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the rooms that a source imports, not counting tests and comments.
fn imports(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
        let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn room_imports_only_rooms_to_its_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = fs::read_to_string(root.join("lib.rs")).expect("the library is there");
    let rooms = rooms(&library);
    let position = |name: &str| rooms.iter().position(|room| *room == name);
    let (mut found, mut seen) = (vec![], 0);
    sources(&root, &mut found);
    for path in found {
        let inside = path.strip_prefix(&root).expect("it was found there");
        let first = inside.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
        let Some(here) = position(first.trim_end_matches(".rs")) else { continue };
        if inside.iter().any(|part| part == "tests.rs" || part == "tests") {
            continue;
        }
        let source = fs::read_to_string(&path).expect("a source is text");
        for import in imports(&source) {
            let there = position(import);
            assert!(there.is_some_and(|there| there <= here), "{inside:?} imports {import}");
            seen += 1;
        }
    }
    assert!(seen > 150, "only {seen} imports were found");
}

#[test]
fn imports_in_comments_and_tests_are_not_counted() {
    let source = "use crate::world::World;\n// crate::cmd\nfn f() -> crate::units::Text {}\n\
        #[cfg(test)] use crate::run::x;";
    assert_eq!(imports(source).collect::<Vec<_>>(), ["world", "units"]);
}
