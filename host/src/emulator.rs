//! Boards that QEMU emulates, each behind a unix socket that stands for its serial line.

use crate::board::Board;
use crate::shown::shown;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tempfile::TempDir;
use thiserror::Error;

const QEMU: &str = "qemu-system-arm";

/// Announces an identity in the RAM of a board, as `firmware/boards/support/src/identity.rs` describes it.
const IDENTITY_MAGIC: u64 = u64::from_le_bytes(*b"smidgen!");

/// Starts a program and ends it when nobody holds the other end of its standard input any more, so that an emulator
/// does not outlive a smidgen that was killed. A line on standard input calls the watchman off.
const WATCHED: &str = r#"exec 3<&0; (read -r _ <&3 || kill -9 $$) & exec "$@" </dev/null 3<&-"#;

/// Names of its sockets in its folder: the serial line, and where QEMU takes commands.
const LINE: &str = "line";
const CONTROL: &str = "control";

/// The longest that QEMU may take to open its socket.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The longest temporary folder in which the path of a socket stays legal everywhere.
const FOLDER_LEN_MAX: usize = 70;

/// Why an emulated board does not run.
#[derive(Debug, Error)]
pub enum EmulatorError {
    /// QEMU is not installed.
    #[error("{QEMU} is not installed: run `scripts/setup.sh` once")]
    Missing,
    /// QEMU ended.
    #[error("{QEMU} cannot emulate the board {board}: {reason}")]
    Ended {
        /// Name of the board.
        board: &'static str,
        /// What QEMU said.
        reason: String,
    },
    /// QEMU does not open its socket.
    #[error(
        "{QEMU} did not open its socket in {START_TIMEOUT:?}: the machine may be overloaded, try again"
    )]
    Slow,
    /// Something else went wrong.
    #[error(
        "the emulator of a board cannot be started ({0}): is there a `sh`, and room in the temporary folder?"
    )]
    Io(#[from] io::Error),
}

/// One emulated board. It ends with this value, and with the process that holds it.
#[derive(Debug)]
pub struct Emulator {
    board: &'static Board,
    image: PathBuf,
    identity: u64,
    folder: TempDir,
    socket: PathBuf,
    process: Child,
}

impl Emulator {
    /// Starts a board with an image and an identity; its socket accepts a connection when this returns.
    pub fn start(
        board: &'static Board,
        image: &Path,
        identity: u64,
    ) -> Result<Self, EmulatorError> {
        if !is_in_path(QEMU) {
            return Err(EmulatorError::Missing);
        }
        let folder = folder()?;
        let socket = folder.path().join(LINE);
        let process = spawn(board, image, identity, folder.path())?;
        let mut emulator = Self { board, image: image.into(), identity, folder, socket, process };
        emulator.wait_for_socket()?;
        Ok(emulator)
    }

    /// The board.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// The socket that stands for its serial line; it serves one connection at a time.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether QEMU runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Takes the power away: what the board had in RAM is gone. Does nothing to a board without power.
    pub fn kill(&mut self) {
        // All three fail only where QEMU has ended by itself, which is what they are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(mut watchman) = self.process.stdin.take() {
            let _ = watchman.write_all(b"\n");
        }
    }

    /// Takes the power away and gives it back: same image, identity and socket, nothing in RAM.
    pub fn restart(&mut self) -> Result<(), EmulatorError> {
        self.kill();
        if self.socket.exists() {
            fs::remove_file(&self.socket)?;
        }
        self.process = spawn(self.board, &self.image, self.identity, self.folder.path())?;
        self.wait_for_socket()
    }

    /// Presses the reset button: what the board had in RAM is gone, what it wrote to its flash is still there.
    pub fn reset(&mut self) -> Result<(), EmulatorError> {
        let mut control = UnixStream::connect(self.folder.path().join(CONTROL))?;
        control.set_read_timeout(Some(START_TIMEOUT))?;
        let mut answers = BufReader::new(control.try_clone()?).lines();
        for command in ["qmp_capabilities", "system_reset"] {
            writeln!(control, r#"{{"execute": "{command}"}}"#)?;
            // Before the first answer comes a greeting, and events come in between.
            let done = |line: &io::Result<String>| match line {
                Ok(line) => line.contains(r#""return""#),
                Err(_) => true,
            };
            answers.find(done).unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))?;
        }
        Ok(())
    }

    fn wait_for_socket(&mut self) -> Result<(), EmulatorError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while UnixStream::connect(&self.socket).is_err() {
            if !self.is_running() {
                return Err(EmulatorError::Ended {
                    board: self.board.name,
                    reason: self.complaint(),
                });
            }
            if Instant::now() > deadline {
                return Err(EmulatorError::Slow);
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// What QEMU said before it ended: the line that begins with its name, less the name.
    fn complaint(&self) -> String {
        let text = fs::read_to_string(log(self.folder.path())).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("qemu"));
        let said = line.and_then(|line| line.split_once(": ")).map(|(_, said)| said);
        shown(said.unwrap_or("it ended without a word")).to_string()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(board: &Board, image: &Path, identity: u64, folder: &Path) -> io::Result<Child> {
    let address = board.identity_address;
    let word =
        |address: u32, data: u64| format!("loader,addr={address:#x},data={data:#x},data-len=8");
    // QEMU runs in the folder: no byte of the folder's path can upset the options.
    let line = format!("socket,id=line,server=on,wait=off,path={LINE}");
    let control = format!("unix:{CONTROL},server=on,wait=off");
    Command::new("sh")
        .args(["-c", WATCHED, "sh", QEMU, "-M", board.machine, "-nographic", "-monitor", "none"])
        .args(["-qmp", &control])
        .args(["-chardev", &line, "-serial", "chardev:line"])
        .args(["-device", &word(address, IDENTITY_MAGIC), "-device", &word(address + 8, identity)])
        .args(["-device", &word(address + 16, seed()?)])
        .arg("-kernel")
        .arg(image)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(log(folder))?)
        // Ctrl-C is for the host, which ends its boards when it is done.
        .process_group(0)
        .spawn()
}

/// What a board without a source of randomness makes its links of, if it has a key: each time the power comes another one.
fn seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(seed).max(1))
}

/// A private folder with a path short enough for a socket in it.
fn folder() -> io::Result<TempDir> {
    let usual = env::temp_dir();
    let short = usual.as_os_str().len() <= FOLDER_LEN_MAX;
    let parent = if short { usual.as_path() } else { Path::new("/tmp") };
    tempfile::Builder::new().prefix("smidgen-").tempdir_in(parent)
}

fn log(folder: &Path) -> PathBuf {
    folder.join("qemu.log")
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh", "sleep", "60"]).stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn an_emulator_ends_with_the_process_that_holds_it() {
        let mut program = watched();
        drop(program.stdin.take());
        let status = program.wait().unwrap();
        assert!(!status.success(), "it was not killed: {status}");
    }

    #[test]
    fn a_watchman_who_is_called_off_kills_nothing() {
        let mut program = watched();
        program.stdin.take().unwrap().write_all(b"\n").unwrap();
        thread::sleep(Duration::from_millis(200));
        let running = program.try_wait().unwrap().is_none();
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(running);
    }
}
