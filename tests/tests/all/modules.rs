//! Rules about the sources of the product: modules import each other in one direction only, and what is decided by a
//! method or another open list is decided in an exhaustive match.

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

/// Enums that will get further variants.
const GROWING: [&str; 14] = [
    "Bias",
    "Compressor",
    "Downlink",
    "Eta",
    "Init",
    "Labels",
    "Method",
    "Objective",
    "Part",
    "Population",
    "Regulariser",
    "Split",
    "Step",
    "StepRule",
];

/// The lines that compare a value with one variant of a growing enum, for which a new variant would be like all others.
fn comparisons(code: &str) -> Vec<&str> {
    let is_growing = |path: &str| {
        let path = path.trim_start_matches("message::").trim_start_matches("method::");
        path.split_once("::").is_some_and(|(name, _)| GROWING.contains(&name))
    };
    let compares = |line: &&str| {
        let sides = ["== ", "!= ", "matches!(self, "].map(|sign| line.split(sign).skip(1));
        let [equal, unequal, own] = sides.map(|sides| sides.collect::<Vec<_>>());
        let listed = line.split("matches!(").skip(1).filter_map(|rest| rest.split_once(", "));
        let listed = listed.map(|(_, pattern)| pattern);
        !own.is_empty() || equal.into_iter().chain(unequal).chain(listed).any(is_growing)
    };
    code.lines().filter(compares).map(str::trim).collect()
}

#[test]
fn growing_enums_are_matched_exhaustively() {
    for folder in ["protocol/src", "firmware/src", "host/aggregator/src", "host/src"] {
        let mut found = BTreeMap::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        sources(&root, "", &mut found);
        for (module, source) in found {
            let code = code(&source);
            let comparisons = comparisons(&code);
            assert!(comparisons.is_empty(), "{folder}: {module}: {comparisons:#?}");
        }
    }
}

#[test]
fn comparisons_with_a_variant_are_found() {
    for line in [
        "if self.downlink == Downlink::Model {",
        "let kept = init != message::Init::Zero;",
        "matches!(self, Self::RandK { .. })",
        "x && matches!(compressor, Compressor::TopK)",
    ] {
        assert_eq!(comparisons(line), [line]);
    }
    let others = "match downlink {\nDownlink::Model => 1,\n}\nif self.stage == Stage::Idle && name == name::NAME {}";
    assert_eq!(comparisons(others), [""; 0]);
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
