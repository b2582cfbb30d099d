//! Data sets beside the repository, which are not part of it.

use smidgen::problem::dataset::Dataset;
use std::{env, io::Write, path::PathBuf};

/// The data set of this name; see [`path`].
///
/// # Panics
/// If the file is there but not a data set.
pub fn dataset(name: &str, test: &str) -> Option<Dataset> {
    let path = path(name, test)?;
    let path = path.to_str().expect("the path is text");
    Some(Dataset::load(path).unwrap_or_else(|error| panic!("{error}")))
}

/// The file of this name in `$SMIDGEN_DATA`, or in `../shared/data` beside the repository.
///
/// Where it is missing, a line on standard error says that `test` is skipped, whether or not the test
/// harness captures output, and `None` is returned.
pub fn path(name: &str, test: &str) -> Option<PathBuf> {
    let path = folder().join(name);
    if path.exists() {
        return Some(path);
    }
    let skipped = format!("SKIPPED: {test}: ../shared/data/{name} is not here\n");
    std::io::stderr().write_all(skipped.as_bytes()).expect("standard error is open");
    None
}

fn folder() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    env::var_os("SMIDGEN_DATA").map_or_else(beside, PathBuf::from)
}
