//! Modules of a crate import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sources of a crate by module, `worker::session` for `worker/session.rs`. Tests are left out.
fn sources(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8");
        let module = format!("{prefix}{stem}");
        if stem == "tests" || module == "lib" || module == "main" {
            continue;
        }
        if path.is_dir() {
            sources(&path, &format!("{module}::"), found);
        } else {
            found.insert(module, fs::read_to_string(&path).expect("a source in UTF-8"));
        }
    }
}

/// The code of a source without comments and without what is compiled for tests.
fn code(source: &str) -> String {
    let library = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let library = library.split("#[cfg(test)]\npub(super) mod tests {").next().unwrap_or_default();
    let mut lines = library.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut code = String::new();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            lines.next();
        } else {
            code.extend([line, "\n"]);
        }
    }
    code
}

/// The paths that begin with `path`, the text after `crate::` or `super::`: one, or one per name in braces.
fn paths(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("::");
    let end = path.find(|char: char| !char.is_alphanumeric() && char != '_' && char != ':');
    let (start, rest) = path.split_at(end.unwrap_or(path.len()));
    match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((names, _)) => {
            names.split(',').map(|name| format!("{start}{}", name.trim())).collect()
        }
        None => vec![start.to_owned()],
    }
}

/// The modules that a module imports: its children, and those in its paths that start with `crate` or `super`.
fn imports(module: &str, code: &str, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let from_crate = code.split("crate::").skip(1).map(str::to_owned);
    let from_parent = code.split("super::").skip(1).map(|path| format!("{parent}::{path}"));
    let children = known
        .keys()
        .filter(|name| name.rsplit_once("::").is_some_and(|(its_parent, _)| its_parent == module));
    let named = from_crate.chain(from_parent).flat_map(|path| paths(&path)).filter_map(|path| {
        let mut path = path.as_str();
        // The last parts may name an item of a module.
        while !known.contains_key(path) {
            path = path.rsplit_once("::")?.0;
        }
        Some(path.to_owned())
    });
    named.chain(children.cloned()).filter(|name| name != module).collect()
}

/// The modules that are part of a circle, or import one that is.
fn circles(sources: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut open: BTreeMap<_, _> = sources
        .iter()
        .map(|(name, source)| (name.clone(), imports(name, &code(source), sources)))
        .collect();
    loop {
        let before = open.len();
        let names: BTreeSet<_> = open.keys().cloned().collect();
        open.values_mut().for_each(|imports| imports.retain(|import| names.contains(import)));
        open.retain(|_, imports| !imports.is_empty());
        if open.len() == before {
            return open;
        }
    }
}

#[test]
fn protocol_firmware_and_aggregator_have_no_import_circles() {
    for folder in ["protocol/src", "firmware/src", "host/aggregator/src"] {
        let mut found = BTreeMap::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        sources(&root, "", &mut found);
        assert!(found.len() > 15, "{folder}: {} modules", found.len());
        let circles = circles(&found);
        assert!(circles.is_empty(), "{folder}: {circles:#?}");
    }
}

#[test]
fn host_has_no_import_circles() {
    let mut found = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src"), "", &mut found);
    assert!(found.len() > 120, "{} modules", found.len());
    let circles = circles(&found);
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn import_circles_are_found() {
    let crate_of = |sources: &[(&str, &str)]| {
        sources.iter().map(|&(name, source)| (name.to_owned(), source.to_owned())).collect()
    };
    let names =
        |sources: &[(&str, &str)]| circles(&crate_of(sources)).into_keys().collect::<Vec<_>>();
    let a = ("a", "use crate::b::B;");
    assert_eq!(
        names(&[a, ("b", "pub struct B;\n// crate::a\n#[cfg(test)]\nuse crate::a::A;")]),
        [""; 0]
    );
    assert_eq!(
        names(&[a, ("b", "use crate::c::{C, D};"), ("c", "fn f(a: crate::a::A) {}")]),
        ["a", "b", "c"]
    );
    assert_eq!(names(&[("a", "mod b;"), ("a::b", "use super::A;"), ("c", "")]), ["a", "a::b"]);
    assert_eq!(
        names(&[("a", ""), ("a::b", "use super::{c, d::D};"), ("a::c", "use super::b;")]),
        ["a", "a::b", "a::c"]
    );
    assert_eq!(names(&[("a", ""), ("a::b", "use super::c::C;"), ("a::c", "")]), [""; 0]);
}
