//! The documentation names tests that exist, and ARCHITECTURE.md names files that exist.

use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: [&str; 16] = [
    "README.md",
    "ARCHITECTURE.md",
    "firmware/boards/README.md",
    "docs/faults.md",
    "docs/guide.md",
    "docs/methods.md",
    "docs/new-board.md",
    "docs/own-objective.md",
    "docs/promises.md",
    "docs/recordings.md",
    "docs/reproduction.md",
    "docs/scale-columns.md",
    "docs/security.md",
    "docs/step-auto.md",
    "docs/theory.md",
    "docs/walk.md",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The filters of every `cargo test` of the program `all`, each with its package.
fn filters(text: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    for command in text.split("cargo test ").skip(1) {
        let command = command.split(['`', '#']).next().unwrap_or_default();
        let Some((options, filters)) = command.split_once("--test all") else { continue };
        let package = options.split_whitespace().skip_while(|word| *word != "-p").nth(1);
        let package = package.expect("the command names a package");
        let is_filter = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || "_:".contains(c));
        let words = filters.split_whitespace().filter(is_filter);
        found.extend(words.map(|filter| (package.to_owned(), filter.to_owned())));
    }
    found
}

/// The names of the tests in a folder of modules, as `cargo test` prints them.
fn names(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8");
        if path.is_dir() {
            names(&path, &format!("{prefix}{stem}::"), found);
            continue;
        }
        let source = fs::read_to_string(&path).expect("a source in UTF-8");
        let lines = source.lines().map(str::trim).collect::<Vec<_>>();
        let tests = lines.windows(2).filter(|pair| pair[0] == "#[test]");
        let tests = tests.filter_map(|pair| pair[1].strip_prefix("fn ")?.split('(').next());
        found.extend(tests.map(|test| format!("{prefix}{stem}::{test}")));
    }
}

#[test]
fn documented_commands_name_existing_tests() {
    let folders = [("smidgen-tests", "tests/tests/all"), ("smidgen", "host/tests/all")];
    let tests = folders.map(|(package, folder)| {
        let mut found = vec![];
        names(&top().join(folder), "", &mut found);
        (package, found)
    });
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(top().join(document)).expect("the document is there");
        for (package, filter) in filters(&text) {
            let (_, names) = tests.iter().find(|(name, _)| *name == package).expect("a package");
            let exists = names.iter().any(|name| name.contains(&filter));
            assert!(
                exists,
                "{document} has a command with the filter `{filter}`, but no test of {package} has that in its name: \
                 write the name of one of its tests in {document}"
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} filters were found");
}

/// The words in backticks that look like names of tests: at least five words in lower case.
fn named_tests(text: &str) -> Vec<&str> {
    let is_name = |word: &&str| {
        let is_word = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        word.split('_').count() >= 5 && word.split('_').all(is_word)
    };
    text.split('`').filter(is_name).collect()
}

/// The text of all Rust sources in a folder.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *found += &fs::read_to_string(&path).expect("a source in UTF-8");
        }
    }
}

#[test]
fn tests_named_in_documents_exist() {
    let mut code = String::new();
    for folder in ["protocol", "firmware", "host", "tests"] {
        sources(&top().join(folder), &mut code);
    }
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(top().join(document)).expect("the document is there");
        for name in named_tests(&text) {
            assert!(
                code.contains(&format!("fn {name}(")),
                "{document} names the test `{name}`, which does not exist: write the name of a test that does"
            );
            count += 1;
        }
    }
    assert!(count >= 2, "{count} names were found");
}

#[test]
fn filters_of_commands_are_found() {
    let text = "`cargo test -p one --test all\na::b`, cargo test --release -p two --test all -- c:: d:: --nocapture # x";
    let expected = [("one", "a::b"), ("two", "c::"), ("two", "d::")];
    assert_eq!(filters(text), expected.map(|(package, filter)| (package.into(), filter.into())));
}

/// The files below a folder, without what is built or hidden.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        match path.is_dir() {
            true if name == "target" || name.starts_with('.') => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The names of files on the map, from a heading on.
fn names_on_map(map: &str, heading: &str) -> Vec<PathBuf> {
    let part = map.split_once(heading).expect("the map has this heading").1;
    let is_file = |name: &&str| [".rs", ".css", ".md", ".x"].iter().any(|end| name.ends_with(end));
    // By paragraphs, since a block of code has an odd number of backticks.
    let quoted = part.split("\n\n").flat_map(|text| text.split('`').skip(1).step_by(2));
    quoted.filter(is_file).map(PathBuf::from).collect()
}

#[test]
fn map_names_existing_files() {
    let mut found = vec![];
    files(&top(), &mut found);
    let map = fs::read_to_string(top().join("ARCHITECTURE.md")).expect("the map is there");
    let names = names_on_map(&map, "# Architecture");
    assert!(names.len() > 60, "{} names of files were found", names.len());
    for name in names {
        let exists = found.iter().any(|path| path.ends_with(&name));
        let name = name.display();
        assert!(exists, "ARCHITECTURE.md names {name}, but there is no such file: remove the name");
    }
}

#[test]
fn map_names_every_source_file() {
    let mut found = vec![];
    for folder in
        ["protocol/src", "firmware/src", "firmware/boards", "host/aggregator/src", "host/src"]
    {
        files(&top().join(folder), &mut found);
    }
    let is_of_tests = |path: &Path| {
        let path = path.strip_prefix(top()).expect("a file below the top");
        path.iter().any(|part| part == "tests" || part == "tests.rs")
    };
    let is_source = |path: &Path| path.extension().is_some_and(|end| end == "rs" || end == "css");
    // Each package of a board has these two, and the map says so once.
    let is_of_each_board = |path: &Path| {
        let inside = path.strip_prefix(top().join("firmware/boards"));
        inside.is_ok_and(|path| path.ends_with("src/main.rs") || path.ends_with("src/lib.rs"))
    };
    found.retain(|path| is_source(path) && !is_of_tests(path) && !is_of_each_board(path));
    assert!(found.len() > 200, "{} files were found", found.len());
    let map = fs::read_to_string(top().join("ARCHITECTURE.md")).expect("the map is there");
    let names = names_on_map(&map, "## Code map");
    let count =
        |paths: &[PathBuf], name| paths.iter().filter(|path| path.file_name() == name).count();
    for path in &found {
        // The map has names relative to a folder, so files of one name are told apart by their number.
        let name = path.file_name();
        let missing = count(&names, name) < count(&found, name);
        assert!(
            !missing,
            "ARCHITECTURE.md does not name {}: add its name, with what it contains, to the list of its folder in the \
             section \"Code map\"",
            path.strip_prefix(top()).expect("a file below the top").display()
        );
    }
}
