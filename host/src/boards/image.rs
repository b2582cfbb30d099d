//! Images for boards, built from `firmware/boards` with the compiler that is at hand.
//!
//! A compiler that has the board's target needs nothing else. One that comes with the sources of the core library, as
//! Debian's does, compiles that too: slower by half a minute, and the same program. `SMIDGEN_BOARD_COMPILER` chooses one.

use crate::boards::board::Board;
use crate::units::private_file;
use crate::units::program::{ProgramError, output};
use crate::units::shown::{shown, typed};
use ihex::{Record, create_object_file_representation};
use object::Endianness;
use object::elf::PT_LOAD;
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Object, ObjectSection};
use serde::Deserialize;
use smidgen_protocol::seal::Key;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use thiserror::Error;
use zeroize::Zeroizing;

/// The workspace of the board packages.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards");

/// The variable that chooses the compiler: `rustup` or `debian`. `scripts/setup.sh` installs what it names.
const CHOICE: &str = "SMIDGEN_BOARD_COMPILER";

/// Bytes in a line of Intel HEX.
const HEX_LINE_LEN: usize = 16;

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The sources are not where they were when smidgen was built.
    #[error(
        "the sources of the boards are not in {} any more, where this smidgen was built: put the checkout back, or install \
         smidgen again from where it is now", shown(.0)
    )]
    SourcesGone(PathBuf),
    /// `SMIDGEN_BOARD_COMPILER` names no compiler.
    #[error("{CHOICE} is `{0}`: set it to `rustup` or `debian`, or unset it")]
    Choice(String),
    /// No compiler for the target.
    #[error("no Rust compiler here can build for {target}: run `scripts/setup.sh` once")]
    NoCompiler {
        /// The target triple.
        target: &'static str,
    },
    /// A program cannot be started, or this process shall end.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The compiler is not content.
    #[error("the image cannot be built ({reason}): `{command}` in firmware/boards tells more")]
    Build {
        /// First error.
        reason: String,
        /// The command that failed.
        command: String,
    },
    /// The image cannot be read, or what became of it not written.
    #[error("{} cannot be converted to Intel HEX: {reason}", shown(path))]
    Hex {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The image has no room for a key.
    #[error("{} has no room for a key, or holds one already; build it anew", shown(.0))]
    NoPlace(PathBuf),
    /// The image cannot be read.
    #[error("the image {} cannot be read ({source}): build it anew", shown(path))]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no room for an image with a key that an emulator shall have.
    #[error(
        "no image can be written in {} ({source}): make room there, or set TMPDIR to a folder that has some",
        shown(folder)
    )]
    Unnamed {
        /// The temporary folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The image with a key cannot be written.
    #[error("the image with the key, {}, cannot be written: {source}", shown(path))]
    Keyed {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Builds the image of a board, an ELF file; returns where it is. Quick if nothing has changed.
pub fn build(board: &Board) -> Result<PathBuf, ImageError> {
    build_program(board, &["--bins"])
}

/// Builds an example of the board's package: a program that is no worker.
pub fn build_example(board: &Board, name: &str) -> Result<PathBuf, ImageError> {
    build_program(board, &["--example", name])
}

fn build_program(board: &Board, program: &[&str]) -> Result<PathBuf, ImageError> {
    let mut command = cargo(board.target)?;
    command.args(["build", "--locked", "--release", "--target", board.target]);
    command.args(["--package", board.package]).args(program);
    let shown = as_typed(&command);
    command.arg("--message-format=json-render-diagnostics");
    let Output { status, stdout, stderr } = output(&mut command)?;
    executable(&stdout).filter(|_| status.success()).ok_or_else(|| ImageError::Build {
        reason: first_error(&String::from_utf8_lossy(&stderr)),
        command: shown,
    })
}

/// Cargo in the workspace of the boards, with a compiler that builds for `target`.
///
/// # Errors
/// If the sources of the boards or a compiler are missing.
pub fn cargo(target: &'static str) -> Result<Command, ImageError> {
    check_sources(Path::new(WORKSPACE))?;
    let choice = env::var_os(CHOICE).unwrap_or_default();
    Ok(Toolchain::find(target, &choice)?.cargo(target))
}

/// A smidgen that was installed may outlive the checkout that it was built from.
fn check_sources(workspace: &Path) -> Result<(), ImageError> {
    match workspace.join("Cargo.toml").is_file() {
        true => Ok(()),
        false => Err(ImageError::SourcesGone(workspace.into())),
    }
}

/// Converts an image to Intel HEX, for boards that are drives; the result lies beside it.
pub fn hex(image: &Path) -> Result<PathBuf, ImageError> {
    let failed = |reason: String| ImageError::Hex { path: image.into(), reason };
    let path = image.with_extension("hex");
    let elf = fs::read(image).map_err(|error| failed(error.to_string()))?;
    let records = records(&elf).ok_or_else(|| failed("it is no whole ELF file".into()))?;
    let text = create_object_file_representation(&records).expect("there is one end, at the end");
    // As secret as the image, which may hold a key.
    let mode = fs::metadata(image).map_err(|error| failed(error.to_string()))?.permissions().mode();
    private_file::replace(&path, text.as_bytes(), mode & 0o666)
        .map_err(|error| failed(error.to_string()))?;
    Ok(path)
}

/// Writes a copy of an image that holds a key to `path`, which nobody but its owner can read.
pub fn keyed(image: &Path, key: &Key, path: &Path) -> Result<(), ImageError> {
    let elf = with_key(image, key)?;
    private_file::replace(path, &elf, 0o600)
        .map_err(|source| ImageError::Keyed { path: path.into(), source })
}

/// The same in a file without a name: whatever ends this process ends the file.
pub fn keyed_unnamed(image: &Path, key: &Key) -> Result<File, ImageError> {
    let elf = with_key(image, key)?;
    private_file::unnamed(&elf).map_err(|source| ImageError::Unnamed {
        folder: private_file::temporary(),
        source: source.kind().into(),
    })
}

/// The bytes of an image, with a key in its place.
fn with_key(image: &Path, key: &Key) -> Result<Zeroizing<Vec<u8>>, ImageError> {
    let failed = |source| ImageError::Unreadable { path: image.into(), source };
    let mut elf = Zeroizing::new(fs::read(image).map_err(failed)?);
    let place = key_place(&elf).ok_or_else(|| ImageError::NoPlace(image.into()))?;
    elf[place].copy_from_slice(key.bytes());
    Ok(elf)
}

/// Opens an image for an emulator.
pub fn open(image: &Path) -> Result<File, ImageError> {
    File::open(image).map_err(|source| ImageError::Unreadable { path: image.into(), source })
}

/// Where an image has room for a key: in a section that looks like erased flash.
fn key_place(elf: &[u8]) -> Option<Range<usize>> {
    let file = ElfFile32::<Endianness>::parse(elf).ok()?;
    let (start, len) = file.section_by_name(".smidgen_key")?.file_range()?;
    let place = usize::try_from(start).ok()?..usize::try_from(start.checked_add(len)?).ok()?;
    (elf.get(place.clone())? == Key::NONE).then_some(place)
}

/// What an ELF file puts into flash, and where; `None` if it is damaged.
fn records(elf: &[u8]) -> Option<Vec<Record>> {
    let file = ElfFile32::<Endianness>::parse(elf).ok()?;
    let endian = file.endian();
    let loaded = file.elf_program_headers().iter().filter(|part| part.p_type(endian) == PT_LOAD);
    let (mut records, mut page) = (vec![], None);
    for part in loaded {
        let mut address = part.p_paddr(endian);
        let mut bytes = part.data(endian, elf).ok()?;
        while !bytes.is_empty() {
            if page.replace(address >> 16) != Some(address >> 16) {
                records.push(Record::ExtendedLinearAddress((address >> 16) as u16));
            }
            let page_end = (1 << 16) - (address as usize & 0xFFFF);
            let (line, rest) = bytes.split_at(bytes.len().min(HEX_LINE_LEN).min(page_end));
            records.push(Record::Data { offset: address as u16, value: line.to_vec() });
            (address, bytes) = (address + line.len() as u32, rest);
        }
    }
    records.push(Record::EndOfFile);
    Some(records)
}

/// A compiler for bare metal, and the cargo beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Toolchain {
    cargo: &'static str,
    rustc: &'static str,
    /// It has the sources of the core library instead of the target.
    builds_core: bool,
    /// It comes with its linker for bare metal.
    has_linker: bool,
}

impl Toolchain {
    /// The one in the path.
    const RUSTUP: (&str, &str) = ("cargo", "rustc");
    /// Debian's.
    const DEBIAN: (&str, &str) = ("/usr/bin/cargo", "/usr/bin/rustc");

    /// The first that can build for `target`, among those that `choice` allows.
    fn find(target: &'static str, choice: &OsStr) -> Result<Self, ImageError> {
        let allowed: &[_] = match choice.to_str() {
            Some("") => &[Self::RUSTUP, Self::DEBIAN],
            Some("rustup") => &[Self::RUSTUP],
            Some("debian") => &[Self::DEBIAN],
            Some(_) | None => return Err(ImageError::Choice(shown(choice).to_string())),
        };
        let mut failures = Vec::new();
        for &(cargo, rustc) in allowed {
            match Self::able(cargo, rustc, target) {
                Ok(Some(toolchain)) => return Ok(toolchain),
                Ok(None) => {}
                // Do not fall back because of a temporary shortage.
                Err(error) if error.is_temporary() => return Err(error.into()),
                Err(error) => failures.push(error),
            }
        }
        let none_starts = failures.len() == allowed.len();
        let first = failures.into_iter().next().filter(|_| none_starts);
        Err(first.map_or(ImageError::NoCompiler { target }, ImageError::from))
    }

    /// These two, if they can build for `target`.
    fn able(
        cargo: &'static str,
        rustc: &'static str,
        target: &str,
    ) -> Result<Option<Self>, ProgramError> {
        let has_target = library_of(rustc, Some(target))?.is_some_and(|folder| folder.is_dir());
        if !has_target && !has_sources(rustc)? {
            return Ok(None);
        }
        let has_linker = has_linker(rustc)?;
        Ok(Some(Self { cargo, rustc, builds_core: !has_target, has_linker }))
    }

    /// Cargo in the workspace of the boards, free of what a cargo around us meant for the host.
    fn cargo(self, target: &str) -> Command {
        let mut command = Command::new(self.cargo);
        command.current_dir(WORKSPACE);
        for variable in ["CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
            command.env_remove(variable);
        }
        if self.rustc != Self::RUSTUP.1 {
            command.env("RUSTC", self.rustc);
        }
        // Build scripts of others panic over a variable that is not text, and cargo does not report a path that is none.
        let is_odd = |(name, value): &(OsString, OsString)| {
            name != "PATH" && (name.to_str().is_none() || value.to_str().is_none())
        };
        for (name, _) in env::vars_os().filter(is_odd) {
            command.env_remove(name);
        }
        if self.builds_core {
            command.env("RUSTC_BOOTSTRAP", "1");
            command.args(["-Z", "build-std=core"]);
        }
        if !self.has_linker {
            let target = target.to_uppercase().replace(['-', '.'], "_");
            command.env(format!("CARGO_TARGET_{target}_LINKER"), "ld.lld");
        }
        command
    }
}

/// The folder in which `rustc` looks for the libraries of `target`, or of the host.
fn library_of(rustc: &str, target: Option<&str>) -> Result<Option<PathBuf>, ProgramError> {
    let target = target.map(|target| format!("--target={target}"));
    ask(rustc, ["--print=target-libdir"].into_iter().chain(target.as_deref()))
}

/// Whether `rustc` comes with its linker for bare metal.
fn has_linker(rustc: &str) -> Result<bool, ProgramError> {
    let library = library_of(rustc, None)?;
    Ok(library.is_some_and(|folder| folder.with_file_name("bin/rust-lld").exists()))
}

fn has_sources(rustc: &str) -> Result<bool, ProgramError> {
    let sysroot = ask(rustc, ["--print=sysroot"])?;
    Ok(sysroot.is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir()))
}

/// A path that `rustc` prints; `None` if it knows of none.
fn ask<'a>(
    rustc: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Result<Option<PathBuf>, ProgramError> {
    let output = output(Command::new(rustc).args(arguments).current_dir(WORKSPACE))?;
    let printed = OsStr::from_bytes(output.stdout.trim_ascii());
    Ok(output.status.success().then(|| printed.into()))
}

/// The part of cargo's messages that matters here.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    executable: Option<PathBuf>,
}

/// The last image that cargo says it has built.
fn executable(stdout: &[u8]) -> Option<PathBuf> {
    let mut lines = stdout.rsplit(|&byte| byte == b'\n');
    lines.find_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable)
}

fn first_error(text: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("error"));
    let line = lines.next().and_then(|line| line.split_once(": "));
    shown(line.map_or("it says no more", |(_, reason)| reason)).to_string()
}

/// A command as it could be typed.
fn as_typed(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", typed(name), typed(value?))));
    let words = [command.get_program()].into_iter().chain(command.get_args());
    variables.chain(words.map(typed)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Versions of what `smidgen-firmware` stands on, by the lockfile in `folder`.
    fn locked(folder: &str) -> BTreeSet<(String, String)> {
        #[derive(Deserialize)]
        struct Lockfile {
            package: Vec<Package>,
        }
        #[derive(Deserialize)]
        struct Package {
            name: String,
            version: String,
            #[serde(default)]
            dependencies: Vec<String>,
        }
        let text = fs::read_to_string(Path::new(folder).join("Cargo.lock")).unwrap();
        let Lockfile { package } = toml::from_str(&text).unwrap();
        // An entry is `NAME`, or `NAME VERSION` where a workspace has several versions.
        let plain = package.iter().map(|package| (package.name.clone(), package));
        let precise = |package: &Package| format!("{} {}", package.name, package.version);
        let precise = package.iter().map(|package| (precise(package), package));
        let by_entry: BTreeMap<_, _> = plain.chain(precise).collect();
        let (mut found, mut open) = (BTreeSet::new(), vec!["smidgen-firmware".to_owned()]);
        while let Some(entry) = open.pop() {
            let package = by_entry[&entry];
            if found.insert((package.name.clone(), package.version.clone())) {
                open.extend(package.dependencies.iter().cloned());
            }
        }
        found
    }

    #[test]
    fn boards_and_host_stand_on_the_same_versions() {
        let root = locked(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let boards = locked(WORKSPACE);
        let different: Vec<_> = boards.difference(&root).collect();
        assert!(
            boards.len() > 10 && different.is_empty(),
            "the host has other versions of {different:?}"
        );
    }

    #[test]
    fn the_first_error_is_the_reason() {
        let text =
            "warning: unused\nerror[E0308]: mismatched types\n  --> x\nerror: could not compile\n";
        assert_eq!(first_error(text), "mismatched types");
        assert_eq!(first_error(""), "it says no more");
    }

    #[test]
    fn a_checkout_that_was_moved_is_missed_by_its_old_place() {
        assert!(check_sources(Path::new(WORKSPACE)).is_ok());
        let old_place = tempfile::tempdir().unwrap();
        let missed = check_sources(&old_place.path().join("firmware/boards")).unwrap_err();
        let place = shown(old_place.path());
        assert_eq!(
            missed.to_string(),
            format!(
                "the sources of the boards are not in {place}/firmware/boards any more, where this smidgen was built: put \
                 the checkout back, or install smidgen again from where it is now"
            )
        );
    }

    #[test]
    fn a_choice_of_no_compiler_is_refused() {
        let refused = Toolchain::find("thumbv6m-none-eabi", OsStr::new("gcc")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "SMIDGEN_BOARD_COMPILER is `gcc`: set it to `rustup` or `debian`, or unset it"
        );
    }

    #[test]
    fn a_failed_command_can_be_typed_again() {
        let (cargo, rustc) = ("/usr/bin/cargo", "/no/rustc");
        let toolchain = Toolchain { cargo, rustc, builds_core: true, has_linker: false };
        assert_eq!(
            as_typed(&toolchain.cargo("thumbv8m.main-none-eabihf")),
            "CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_LINKER=ld.lld RUSTC=/no/rustc RUSTC_BOOTSTRAP=1 \
             /usr/bin/cargo -Z build-std=core"
        );
    }
}
