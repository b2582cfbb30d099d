//! Images for boards, built from `firmware/boards` with an installed compiler.
//!
//! A compiler with the board's target is used as it is. A compiler with the sources of the core library, such as
//! Debian's, compiles the library too: this takes half a minute more and gives the same program.
//! `SMIDGEN_BOARD_COMPILER` chooses one.

use crate::boards::board::Board;
use crate::boards::{binary, uf2};
use crate::objective;
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

/// The feature of images that log.
const LOG: &str = "defmt";

/// Keeps the versions of dependencies.
const LOCKED: &str = "--locked";

/// The workspace of the board packages.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards");

/// Environment variable that chooses the compiler, `rustup` or `debian`, which `scripts/setup.sh` installs.
const CHOICE: &str = "SMIDGEN_BOARD_COMPILER";

/// Data bytes per line of Intel HEX.
const HEX_LINE_LEN: usize = 16;

/// Reasons why an image cannot be built or written.
#[derive(Debug, Error)]
pub enum ImageError {
    /// smidgen was built from a package, or the checkout that it was built from has moved.
    #[error(
        "the sources of the boards are not in {}: to build images, build smidgen in a checkout of its repository, and \
         leave the checkout in place", shown(.0)
    )]
    SourcesGone(PathBuf),
    /// `SMIDGEN_BOARD_COMPILER` has an invalid value.
    #[error("{CHOICE} is `{0}`: set it to `rustup` or `debian`, or unset it")]
    Choice(String),
    /// No compiler supports the target.
    #[error("no installed Rust compiler can build for {target}: run `scripts/setup.sh` once")]
    NoCompiler {
        /// The target triple.
        target: &'static str,
    },
    /// A program cannot be started, or this process was asked to stop.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The build failed.
    #[error(
        "the image cannot be built ({reason}): run `{command}` in {} for details",
        shown(folder)
    )]
    Build {
        /// The first error.
        reason: String,
        /// The command that failed.
        command: String,
        /// The folder of its sources.
        folder: PathBuf,
    },
    /// A program with objectives of its own has no image for the board.
    #[error(
        "this program has no image for {board}: write a package in {}, as docs/own-objective.md shows",
        shown(folder)
    )]
    NoOwnImage {
        /// Name of the board.
        board: &'static str,
        /// Where the package would be.
        folder: PathBuf,
    },
    /// The program does not fit the memory of the board.
    #[error("the image is too large ({reason}): {advice}")]
    TooLarge {
        /// What the linker says.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// The image of a program with objectives of its own was not linked with the script of its board.
    #[error(
        "{} lacks the start-up code of its board: its package needs the build script that docs/own-objective.md shows",
        shown(.0)
    )]
    NotLinked(PathBuf),
    /// The image cannot be read, or its conversion cannot be written.
    #[error("{} cannot be converted for flashing: {reason}", shown(path))]
    Converted {
        /// The image.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The image has no empty place for a key.
    #[error("{} has no place for a key, or already contains one; build it again", shown(.0))]
    NoPlace(PathBuf),
    /// The image cannot be read.
    #[error("the image {} cannot be read ({source}): build it again", shown(path))]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The image with a key for an emulator cannot be written.
    #[error(
        "no image can be written in {} ({source}): free some space there, or set TMPDIR to another directory",
        shown(folder)
    )]
    Unnamed {
        /// The temporary directory.
        folder: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The image with a key cannot be written.
    #[error("the image with the key, {}, cannot be written: {source}", shown(path))]
    Keyed {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Builds the image of a board and returns its path, an ELF file. Fast if nothing has changed.
pub fn build(board: &Board) -> Result<PathBuf, ImageError> {
    build_with(board, &[])
}

/// Like [`build`], with a log over a debug probe.
pub fn build_with_log(board: &Board) -> Result<PathBuf, ImageError> {
    build_with(board, &["--features", LOG])
}

fn build_with(board: &Board, features: &[&str]) -> Result<PathBuf, ImageError> {
    let Some(own) = objective::known().images() else {
        let program = [LOCKED, "--package", board.package, "--bins"];
        return build_program(board, Path::new(WORKSPACE), &[&program, features].concat());
    };
    let folder = Path::new(own).join(board.package);
    if !folder.join("Cargo.toml").is_file() {
        return Err(ImageError::NoOwnImage { board: board.name, folder });
    }
    // Its lock file follows the dependencies of smidgen, so it need not be up to date.
    linked(build_program(board, &folder, &[&["--bins"], features].concat())?)
}

/// Refuses an image that was not linked with the script of its board.
fn linked(image: PathBuf) -> Result<PathBuf, ImageError> {
    match fs::read(&image) {
        Ok(elf) if has_script(&elf) => Ok(image),
        Ok(_) => Err(ImageError::NotLinked(image)),
        Err(source) => Err(ImageError::Unreadable { path: image, source }),
    }
}

/// Returns whether an image has a symbol that only the linker scripts of boards define. Sections of the program are kept
/// without them.
fn has_script(elf: &[u8]) -> bool {
    let file = ElfFile32::<Endianness>::parse(elf);
    file.is_ok_and(|file| file.symbol_by_name("_identity").is_some())
}

/// Builds an example of the board's package, a program other than the worker.
pub fn build_example(board: &Board, name: &str) -> Result<PathBuf, ImageError> {
    let program = [LOCKED, "--package", board.package, "--example", name];
    build_program(board, Path::new(WORKSPACE), &program)
}

fn build_program(board: &Board, folder: &Path, program: &[&str]) -> Result<PathBuf, ImageError> {
    let mut command = cargo_in(folder, board.target)?;
    command.args(["build", "--release", "--target", board.target]).args(program);
    let shown = as_typed(&command);
    command.arg("--message-format=json-render-diagnostics");
    let Output { status, stdout, stderr } = output(&mut command)?;
    executable(&stdout).filter(|_| status.success()).ok_or_else(|| {
        let stderr = String::from_utf8_lossy(&stderr);
        match overflow(&stderr) {
            Some(reason) => {
                let advice = room(
                    program,
                    &format!("run `{shown}` in {}", crate::units::shown::shown(folder)),
                );
                ImageError::TooLarge { reason, advice }
            }
            None => ImageError::Build {
                reason: first_error(&stderr),
                command: shown,
                folder: folder.into(),
            },
        }
    })
}

/// Returns a cargo command in the workspace of the boards, with a compiler for `target`.
///
/// # Errors
/// If the sources of the boards or a compiler are missing.
pub fn cargo(target: &'static str) -> Result<Command, ImageError> {
    cargo_in(Path::new(WORKSPACE), target)
}

/// As [`cargo`], for another folder.
fn cargo_in(folder: &Path, target: &'static str) -> Result<Command, ImageError> {
    check_sources(folder)?;
    let choice = env::var_os(CHOICE).unwrap_or_default();
    let mut command = Toolchain::find(target, &choice)?.cargo(target);
    command.current_dir(folder);
    Ok(command)
}

/// Checks that the checkout that this smidgen was built from still exists.
fn check_sources(workspace: &Path) -> Result<(), ImageError> {
    match workspace.join("Cargo.toml").is_file() {
        true => Ok(()),
        false => Err(ImageError::SourcesGone(workspace.into())),
    }
}

/// Converts an image to Intel HEX, for boards that present a drive, and returns the path of the file next to it.
pub fn hex(image: &Path) -> Result<PathBuf, ImageError> {
    converted(image, "hex", |parts| {
        let text = create_object_file_representation(&records(parts));
        Ok(text.expect("there is one end, at the end").into_bytes())
    })
}

/// Converts an image to UF2 for a family of chips, for boards that present a drive for that, and returns the path of the
/// file next to it.
pub fn uf2(image: &Path, family: u32) -> Result<PathBuf, ImageError> {
    converted(image, "uf2", |parts| Ok(uf2::file(parts.iter().copied(), family)))
}

/// Converts an image to a plain binary file, from its lowest address on, and returns the path of the file next to it.
pub fn bin(image: &Path) -> Result<PathBuf, ImageError> {
    converted(image, "bin", |parts| binary::file(parts).ok_or("its parts are too far apart"))
}

/// Writes the contents of flash in an image to a file next to it, as `convert` does, and returns its path.
fn converted(
    image: &Path,
    extension: &str,
    convert: impl FnOnce(&[(u32, &[u8])]) -> Result<Vec<u8>, &'static str>,
) -> Result<PathBuf, ImageError> {
    let failed = |reason: String| ImageError::Converted { path: image.into(), reason };
    let path = image.with_extension(extension);
    let elf = fs::read(image).map_err(|error| failed(error.to_string()))?;
    let parts = parts(&elf).ok_or_else(|| failed("it is not a complete ELF file".into()))?;
    let content = convert(&parts).map_err(|reason| failed(reason.into()))?;
    // The image may contain a key, so the file gets its permissions.
    let mode = fs::metadata(image).map_err(|error| failed(error.to_string()))?.permissions().mode();
    private_file::replace(&path, &content, mode & 0o666)
        .map_err(|error| failed(error.to_string()))?;
    Ok(path)
}

/// Writes a copy of an image with a key to `path`, readable only by its owner.
pub fn keyed(image: &Path, key: &Key, path: &Path) -> Result<(), ImageError> {
    let elf = with_key(image, key)?;
    private_file::replace(path, &elf, 0o600)
        .map_err(|source| ImageError::Keyed { path: path.into(), source })
}

/// Like [`keyed`], but writes an unnamed file, which vanishes with this process.
pub fn keyed_unnamed(image: &Path, key: &Key) -> Result<File, ImageError> {
    let elf = with_key(image, key)?;
    private_file::unnamed(&elf).map_err(|source| ImageError::Unnamed {
        folder: private_file::temporary(),
        source: source.kind().into(),
    })
}

/// Returns the bytes of an image with a key.
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

/// Returns the place for a key in an image: a section that looks like erased flash.
fn key_place(elf: &[u8]) -> Option<Range<usize>> {
    let file = ElfFile32::<Endianness>::parse(elf).ok()?;
    let (start, len) = file.section_by_name(".smidgen_key")?.file_range()?;
    let place = usize::try_from(start).ok()?..usize::try_from(start.checked_add(len)?).ok()?;
    (elf.get(place.clone())? == Key::NONE).then_some(place)
}

/// Returns the contents of flash in an ELF file with their addresses, or `None` if the file is damaged.
fn parts(elf: &[u8]) -> Option<Vec<(u32, &[u8])>> {
    let file = ElfFile32::<Endianness>::parse(elf).ok()?;
    let endian = file.endian();
    let loaded = file.elf_program_headers().iter().filter(|part| part.p_type(endian) == PT_LOAD);
    loaded.map(|part| Some((part.p_paddr(endian), part.data(endian, elf).ok()?))).collect()
}

/// Returns the lines of Intel HEX for contents of flash.
fn records(parts: &[(u32, &[u8])]) -> Vec<Record> {
    let (mut records, mut page) = (vec![], None);
    for &(mut address, mut bytes) in parts {
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
    records
}

/// A compiler for bare metal and its cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Toolchain {
    cargo: &'static str,
    rustc: &'static str,
    /// True if it has the sources of the core library instead of the target.
    builds_core: bool,
    /// True if it includes a linker for bare metal.
    has_linker: bool,
}

impl Toolchain {
    /// The toolchain in the path.
    const RUSTUP: (&str, &str) = ("cargo", "rustc");
    /// Debian's toolchain.
    const DEBIAN: (&str, &str) = ("/usr/bin/cargo", "/usr/bin/rustc");

    /// Finds the first toolchain that `choice` allows and that can build for `target`.
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
                // A temporary shortage says nothing about the toolchain, so no other one is tried.
                Err(error) if error.is_temporary() => return Err(error.into()),
                Err(error) => failures.push(error),
            }
        }
        let none_starts = failures.len() == allowed.len();
        let first = failures.into_iter().next().filter(|_| none_starts);
        Err(first.map_or(ImageError::NoCompiler { target }, ImageError::from))
    }

    /// Returns a toolchain of this cargo and rustc, if they can build for `target`.
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

    /// Returns a cargo command without the environment of an outer cargo.
    fn cargo(self, target: &str) -> Command {
        let mut command = Command::new(self.cargo);
        for variable in ["CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
            command.env_remove(variable);
        }
        if self.rustc != Self::RUSTUP.1 {
            command.env("RUSTC", self.rustc);
        }
        // Build scripts of dependencies panic on a variable that is not UTF-8, and cargo omits such paths in messages.
        let is_odd = |(name, value): &(OsString, OsString)| {
            name != "PATH" && (name.to_str().is_none() || value.to_str().is_none())
        };
        for (name, _) in env::vars_os().filter(is_odd) {
            command.env_remove(name);
        }
        if self.builds_core {
            // A variable, since `cargo clippy` starts another cargo, which does not get options of this one.
            command.envs([("CARGO_UNSTABLE_BUILD_STD", "core"), ("RUSTC_BOOTSTRAP", "1")]);
        }
        if !self.has_linker {
            let target = target.to_uppercase().replace(['-', '.'], "_");
            command.env(format!("CARGO_TARGET_{target}_LINKER"), "ld.lld");
        }
        command
    }
}

/// Returns the directory in which `rustc` looks for the libraries of `target`, or of the host.
fn library_of(rustc: &str, target: Option<&str>) -> Result<Option<PathBuf>, ProgramError> {
    let target = target.map(|target| format!("--target={target}"));
    ask(rustc, ["--print=target-libdir"].into_iter().chain(target.as_deref()))
}

/// Returns whether `rustc` includes a linker for bare metal.
fn has_linker(rustc: &str) -> Result<bool, ProgramError> {
    let library = library_of(rustc, None)?;
    Ok(library.is_some_and(|folder| folder.with_file_name("bin/rust-lld").exists()))
}

fn has_sources(rustc: &str) -> Result<bool, ProgramError> {
    let sysroot = ask(rustc, ["--print=sysroot"])?;
    Ok(sysroot.is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir()))
}

/// Returns a path that `rustc` prints, or `None` if it fails.
fn ask<'a>(
    rustc: &str,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Result<Option<PathBuf>, ProgramError> {
    let output = output(Command::new(rustc).args(arguments).current_dir(WORKSPACE))?;
    let printed = OsStr::from_bytes(output.stdout.trim_ascii());
    Ok(output.status.success().then(|| printed.into()))
}

/// The relevant part of cargo's messages.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    executable: Option<PathBuf>,
}

/// Returns the last executable in cargo's messages.
fn executable(stdout: &[u8]) -> Option<PathBuf> {
    let mut lines = stdout.rsplit(|&byte| byte == b'\n');
    lines.find_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable)
}

fn first_error(text: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("error"));
    let line = lines.next().and_then(|line| line.split_once(": "));
    shown(line.map_or("it gives no reason", |(_, reason)| reason)).to_string()
}

/// Returns how to make room for a program, which `command` builds.
fn room(program: &[&str], command: &str) -> String {
    match (program.contains(&LOG), objective::known().images()) {
        (true, _) => "leave the log out".into(),
        (false, Some(_)) => {
            "leave some objectives out of the set, and give its package the profile \
             `opt-level = \"s\"`, `lto = true`, `codegen-units = 1`"
                .into()
        }
        (false, None) => format!("{command} for details"),
    }
}

/// Returns what the linker says if the program does not fit.
fn overflow(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("will not fit in region"))?;
    let (_, reason) = line.split_once("error: ")?;
    Some(shown(reason.trim()).to_string())
}

/// Formats a command so that it can be typed in a shell.
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

    /// Returns the versions of the dependencies of `smidgen-firmware` in the lockfile in `folder`.
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
    fn boards_and_host_lock_the_same_versions() {
        let root = locked(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let boards = locked(WORKSPACE);
        // Features of boards add packages that the host does not have, and that do nothing on it.
        let names: BTreeSet<_> = root.iter().map(|(name, _)| name).collect();
        let different = boards.difference(&root).filter(|(name, _)| names.contains(name));
        let different: Vec<_> = different.collect();
        assert!(
            boards.len() > 10 && different.is_empty(),
            "the host has other versions of {different:?}"
        );
    }

    #[test]
    fn first_error_is_the_reason() {
        let text =
            "warning: unused\nerror[E0308]: mismatched types\n  --> x\nerror: could not compile\n";
        assert_eq!(first_error(text), "mismatched types");
        assert_eq!(first_error(""), "it gives no reason");
    }

    #[test]
    fn overflow_of_memory_is_the_reason() {
        let text = "error: linking with `rust-lld` failed\n  = note: rust-lld: error: section '.text' will not fit in \
                    region 'FLASH': overflowed by 1360 bytes\n          rust-lld: error: section '.rodata' will not fit \
                    in region 'FLASH': overflowed by 9000 bytes\n";
        let reason = "section '.text' will not fit in region 'FLASH': overflowed by 1360 bytes";
        assert_eq!(overflow(text).as_deref(), Some(reason));
        assert_eq!(overflow("error: mismatched types"), None);
    }

    #[test]
    fn image_without_the_script_of_its_board_is_refused() {
        let program = tempfile::NamedTempFile::new().unwrap();
        fs::copy(env::current_exe().unwrap(), program.path()).unwrap();
        let refused = linked(program.path().into()).unwrap_err().to_string();
        assert!(refused.contains("lacks the start-up code of its board"), "{refused}");
        let gone = linked("/no/such/image".into()).unwrap_err().to_string();
        assert!(gone.starts_with("the image /no/such/image cannot be read"), "{gone}");
    }

    #[test]
    fn moved_checkout_is_named_by_its_old_place() {
        assert!(check_sources(Path::new(WORKSPACE)).is_ok());
        let old_place = tempfile::tempdir().unwrap();
        let missed = check_sources(&old_place.path().join("firmware/boards")).unwrap_err();
        let place = shown(old_place.path());
        assert_eq!(
            missed.to_string(),
            format!(
                "the sources of the boards are not in {place}/firmware/boards: to build images, build smidgen in a \
                 checkout of its repository, and leave the checkout in place"
            )
        );
    }

    #[test]
    fn invalid_choice_of_compiler_is_refused() {
        let refused = Toolchain::find("thumbv6m-none-eabi", OsStr::new("gcc")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "SMIDGEN_BOARD_COMPILER is `gcc`: set it to `rustup` or `debian`, or unset it"
        );
    }

    #[test]
    fn failed_command_can_be_typed_again() {
        let (cargo, rustc) = ("/usr/bin/cargo", "/no/rustc");
        let toolchain = Toolchain { cargo, rustc, builds_core: true, has_linker: false };
        assert_eq!(
            as_typed(&toolchain.cargo("thumbv8m.main-none-eabihf")),
            "CARGO_TARGET_THUMBV8M_MAIN_NONE_EABIHF_LINKER=ld.lld CARGO_UNSTABLE_BUILD_STD=core RUSTC=/no/rustc \
             RUSTC_BOOTSTRAP=1 /usr/bin/cargo"
        );
    }
}
