//! The command that runs QEMU for a board: which QEMU, its arguments, and the watch that ends it.

use crate::boards::board::Board;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

/// Environment variable that names the emulator; the default is [`QEMU`] in the path.
pub(super) const CHOICE: &str = "SMIDGEN_QEMU";
const QEMU: &str = "qemu-system-arm";

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
/// File name of the socket for QEMU's commands.
pub(super) const CONTROL: &str = "control";
/// Name of the file with the memory that survives a power cut.
const MEMORY: &str = "memory";

/// Path of the image for QEMU. The image may contain a key, so it is passed as a descriptor of an unnamed file.
const IMAGE: &str = "/dev/fd/4";

/// Starts QEMU in a folder for a board with an identity, which may be told how many channels its sensor has.
pub(super) fn spawn(
    board: &Board,
    mut image: &File,
    (identity, channels): (u64, Option<u8>),
    folder: &Path,
) -> io::Result<Child> {
    // On systems where opening /dev/fd duplicates the descriptor, the previous emulator left it at the end.
    image.rewind()?;
    let seed = seed()?.to_string();
    let options = board.qemu_options(&identity.to_string(), Some(&seed), channels);
    let options = options.ok_or(io::ErrorKind::Unsupported)?;
    // QEMU runs in the folder, so that no character of its path can be misread in the options.
    let names = if board.has_sensor_line { &[LINE, SENSOR][..] } else { &[LINE] };
    // The line to the host is created last: once it is open, so is the other one.
    let chardevs = names.iter().rev().map(|name| {
        ["-chardev".into(), format!("socket,id={name},server=on,wait=off,path={name}")]
    });
    let serials = names.iter().map(|name| ["-serial".into(), format!("chardev:{name}")]);
    let control = format!("unix:{CONTROL},server=on,wait=off");
    let memory = (board.kept_memory_len != 0).then(|| {
        let object = format!(
            "memory-backend-file,id={MEMORY},size={},mem-path={MEMORY},share=on",
            board.kept_memory_len
        );
        ["-object".into(), object, "-machine".into(), format!("memory-backend={MEMORY}")]
    });
    Command::new("sh")
        .args(["-c", WATCHED, "sh"])
        .arg(program())
        .args(options)
        .args(["-qmp", &control])
        .args(chardevs.chain(serials).flatten())
        .args(memory.iter().flatten())
        .args(["-kernel", IMAGE])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(image.try_clone()?)
        .stderr(fs::File::create(log(folder))?)
        // A process group of its own keeps Ctrl-C from QEMU: smidgen ends its boards itself.
        .process_group(0)
        .spawn()
}

/// Returns a random seed for the link salts of a board with a key, which has no source of randomness in QEMU.
fn seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(seed).max(1))
}

/// Returns the emulator: a name, or an absolute path, since it runs in another directory.
pub(super) fn program() -> OsString {
    let program = env::var_os(CHOICE).filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| QEMU.into());
    let is_name = Path::new(&program).components().count() == 1;
    if is_name {
        program
    } else {
        path::absolute(&program).map_or(program, PathBuf::into_os_string)
    }
}

/// Returns whether a program exists. A name is searched in the path; an absolute path is not changed by joining.
pub(super) fn is_in_path(program: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Returns the path of QEMU's log.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("qemu.log")
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
}
