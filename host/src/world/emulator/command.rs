//! The command that runs the emulator of a board: which program, its arguments, and the watch that ends it.

use super::failure::EmulatorError;
use crate::boards::board::{Board, Emulation};
use crate::boards::qemu::{Qemu, Told};
use crate::boards::{esp32_c3, rp2040};
use crate::units::program::{ProgramError, is_in_path, output};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// A shell script that runs a program and kills it when the write end of its standard input is closed, so that an
/// emulator does not outlive a smidgen that was killed. A line on standard input ends the watch. The program reads what
/// is open as standard output under the name [`IMAGE`].
///
/// A parent-death signal is no alternative: only Linux has one, so macOS would need this script as well. It also
/// arrives when the thread that started the program ends, while a pipe lives as long as its [`Child`], and requesting
/// it between fork and exec takes `unsafe`. QEMU has its own watch (`-run-with exit-with-parent=on`) from version
/// 10.2.
const WATCHED: &str =
    r#"exec 3<&0 4<&1 >/dev/null; (read -r _ <&3 || kill -9 $$) & exec "$@" </dev/null 3<&-"#;

/// File name of the socket of the serial line.
pub(super) const LINE: &str = "line";
/// File name of the socket of the sensor's line.
pub(super) const SENSOR: &str = "sensor";
/// File name of the socket for commands of QEMU's protocol.
pub(super) const CONTROL: &str = "control";
/// Name of the file with the memory that survives a power cut.
const MEMORY: &str = "memory";

/// Path of the image for the emulator. The image may contain a key, so it is passed as a descriptor of an unnamed file.
const IMAGE: &str = "/dev/fd/4";

/// Starts the emulator in a folder for a board with an identity, which may be told how many channels its sensor has.
pub(super) fn spawn(
    board: &Board,
    mut image: &File,
    (identity, channels): (u64, Option<u8>),
    folder: &Path,
) -> io::Result<Child> {
    // On systems where opening /dev/fd duplicates the descriptor, the previous emulator left it at the end.
    image.rewind()?;
    let (identity, seed) = (identity.to_string(), seed()?.to_string());
    let told = Told { identity: &identity, seed: Some(&seed), channels };
    let emulation = board.emulation.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let arguments = match emulation {
        Emulation::Qemu(qemu) => qemu_arguments(qemu, board.identity_address, told),
        Emulation::Rp2040 => {
            let line = format!("unix:{LINE}");
            rp2040::arguments(&line, IMAGE, board.identity_address, told)
        }
        Emulation::Esp32C3 => {
            let line = format!("unix:{LINE}");
            esp32_c3::arguments(&line, IMAGE, board.identity_address, told)
        }
    };
    Command::new("sh")
        .args(["-c", WATCHED, "sh"])
        .arg(program(emulation).0)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(image.try_clone()?)
        .stderr(fs::File::create(log(folder))?)
        // A process group of its own keeps Ctrl-C from emulators: smidgen ends its boards itself.
        .process_group(0)
        .spawn()
}

/// Returns QEMU's arguments. It runs in the folder, so that no character of its path can be misread in them.
fn qemu_arguments(qemu: &Qemu, address: u32, told: Told) -> Vec<String> {
    let names = if qemu.has_sensor_line { &[LINE, SENSOR][..] } else { &[LINE] };
    // The line to the host is created last: once it is open, so is the other one.
    let chardevs = names.iter().rev().map(|name| {
        ["-chardev".into(), format!("socket,id={name},server=on,wait=off,path={name}")]
    });
    let serials = names.iter().map(|name| ["-serial".into(), format!("chardev:{name}")]);
    let memory = (qemu.kept_memory_len != 0).then(|| {
        let object = format!(
            "memory-backend-file,id={MEMORY},size={},mem-path={MEMORY},share=on",
            qemu.kept_memory_len
        );
        ["-object".into(), object, "-machine".into(), format!("memory-backend={MEMORY}")]
    });
    let control = ["-qmp".into(), format!("unix:{CONTROL},server=on,wait=off")];
    let image = ["-kernel".into(), IMAGE.into()];
    let mut arguments = qemu.options(address, told);
    arguments.extend(control);
    arguments.extend(chardevs.chain(serials).flatten());
    arguments.extend(memory.into_iter().flatten());
    arguments.extend(image);
    arguments
}

/// Returns a random seed for the link salts of a board with a key, which has no source of randomness in emulation.
fn seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(seed).max(1))
}

/// Checks that the emulator of a board is installed, in a version that has the board.
pub(super) fn find(board: &Board) -> Result<(), EmulatorError> {
    let emulation = board.emulation.as_ref().ok_or(EmulatorError::NotEmulated(board.name))?;
    let (program, variable) = program(emulation);
    if !is_in_path(&program) {
        return Err(EmulatorError::Missing { program, variable });
    }
    let needed = match emulation {
        Emulation::Qemu(Qemu { version_min, .. }) => *version_min,
        Emulation::Rp2040 | Emulation::Esp32C3 => None,
    };
    let Some(needed) = needed else { return Ok(()) };
    match version(&program)? {
        Some(version) if version < needed => {
            let board = board.name;
            Err(EmulatorError::TooOld { board, needed, program, version, variable })
        }
        // A program that does not tell its version is tried.
        Some(_) | None => Ok(()),
    }
}

/// Returns the major version of a QEMU. Each program is asked once.
fn version(program: &OsStr) -> Result<Option<u32>, ProgramError> {
    static KNOWN: Mutex<BTreeMap<OsString, Option<u32>>> = Mutex::new(BTreeMap::new());
    // No thread panics with the map.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&version) = known.get(program) {
        return Ok(version);
    }
    let told = output(Command::new(program).arg("--version"))?.stdout;
    let version = parse_version(&String::from_utf8_lossy(&told));
    known.insert(program.into(), version);
    Ok(version)
}

/// Reads the major version in QEMU's answer: `QEMU emulator version 7.2.22 (Debian …)`.
fn parse_version(told: &str) -> Option<u32> {
    told.strip_prefix("QEMU emulator version ")?.split('.').next()?.parse().ok()
}

/// Returns the program that emulates a board, a name or an absolute path, since it runs in another directory; and the
/// environment variable that chooses it.
fn program(emulation: &Emulation) -> (OsString, &'static str) {
    let (default, variable) = match emulation {
        Emulation::Qemu(Qemu { system, .. }) => (system.program(), system.variable()),
        Emulation::Rp2040 => (rp2040::PROGRAM, rp2040::VARIABLE),
        Emulation::Esp32C3 => (esp32_c3::PROGRAM, esp32_c3::VARIABLE),
    };
    let program = env::var_os(variable).filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| default.into());
    let is_name = Path::new(&program).components().count() == 1;
    let program = if is_name {
        program
    } else {
        path::absolute(&program).map_or(program, PathBuf::into_os_string)
    };
    (program, variable)
}

/// Returns the path of the emulator's log.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("emulator.log")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;
    use std::time::Duration;

    pub(crate) fn watched_process() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh", "sleep", "60"]).stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn emulator_ends_when_its_pipe_closes() {
        let mut program = watched_process();
        drop(program.stdin.take());
        let status = program.wait().unwrap();
        assert!(!status.success(), "it was not killed: {status}");
    }

    #[test]
    fn watch_that_was_ended_kills_nothing() {
        let mut program = watched_process();
        program.stdin.take().unwrap().write_all(b"\n").unwrap();
        thread::sleep(Duration::from_millis(200));
        let running = program.try_wait().unwrap().is_none();
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(running);
    }
    #[test]
    fn version_is_read_or_unknown() {
        let told = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright (c) 2003";
        assert_eq!(parse_version(told), Some(10));
        assert_eq!(parse_version("QEMU emulator version 7.2.22"), Some(7));
        for told in ["", "version 7.2", "QEMU emulator version x.2"] {
            assert_eq!(parse_version(told), None, "{told}");
        }
    }
}
