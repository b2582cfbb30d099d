//! Packages of `examples`, which stand outside the workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A package of `examples`.
pub struct Example {
    folder: PathBuf,
    target: PathBuf,
}

impl Example {
    /// The package of this name.
    pub fn new(name: &str) -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let top = top.canonicalize().expect("the repository is there");
        Self { folder: top.join("examples").join(name), target: top.join("target/examples") }
    }

    /// Runs cargo in its folder, and returns what it prints on standard output.
    ///
    /// # Panics
    /// If cargo fails.
    pub fn cargo(&self, arguments: &[&str]) -> String {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // All examples share the dependencies, once compiled.
        command.current_dir(&self.folder).args(arguments).arg("--locked");
        succeed(command.env("CARGO_TARGET_DIR", &self.target))
    }

    /// A command of its program, which was built before, in a folder.
    pub fn program(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.target.join("debug").join(name));
        command.current_dir(folder).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// Runs a command, and returns what it prints on standard output.
///
/// # Panics
/// If it fails.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}
