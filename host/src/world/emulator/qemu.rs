//! One board in QEMU: its process, its sockets and its failures.

use super::folder::{Folder, FolderError};
use crate::boards::board::Board;
use crate::units::interrupt::{self, StopRequested};
use crate::units::program::scarcity;
use crate::units::shown::shown;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use thiserror::Error;

/// Environment variable that names the emulator; the default is [`QEMU`] in the path.
const CHOICE: &str = "SMIDGEN_QEMU";
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

/// Name of the link to the socket of its line while that is shown.
const SHOWN: &str = "port";
/// File name of the socket of the serial line.
const LINE: &str = "line";
/// File name of the socket of the sensor's line.
const SENSOR: &str = "sensor";
/// File name of the socket for QEMU's commands.
const CONTROL: &str = "control";
/// Name of the file with the memory that survives a power cut.
const MEMORY: &str = "memory";

/// Time-out for QEMU to open its socket.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Length of the end of QEMU's log that is searched for its last line.
const TAIL_LEN_MAX: u64 = 4096;

/// Path of the image for QEMU. The image may contain a key, so it is passed as a descriptor of an unnamed file.
const IMAGE: &str = "/dev/fd/4";

/// Reasons why an emulated board does not run.
#[derive(Debug, Error)]
pub enum EmulatorError {
    /// QEMU is not installed.
    #[error("{} is not installed: run `scripts/setup.sh` once, or name another QEMU in {CHOICE}", shown(.0))]
    Missing(OsString),
    /// QEMU does not open its socket.
    #[error("QEMU cannot emulate the board {board}: {failure}")]
    Failed {
        /// Name of the board.
        board: &'static str,
        /// The reason.
        failure: Failure,
    },
    /// This process was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] StopRequested),
    /// No directory can be created for it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Any other error.
    #[error(
        "the emulator of a board cannot be started ({0}): {advice}",
        advice = scarcity(.0).unwrap_or("check for `sh`, and for free space in the temporary directory")
    )]
    Io(#[from] io::Error),
}

/// Failure of an emulator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// QEMU has ended.
    #[error("it ended with {status}, {last_line}")]
    Ended {
        /// Its exit status.
        status: String,
        /// The last line of its log, as a part of a sentence.
        last_line: String,
        /// Time since its socket was first seen; `None` if it never was.
        uptime: Option<Duration>,
    },
    /// QEMU is running, but has not opened its socket.
    #[error("it did not open its socket in {START_TIMEOUT:?}; the machine may be overloaded")]
    NoSocket,
}

/// Stage of an emulator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Started at this time, without a socket yet.
    Starting(Instant),
    /// Its socket was first seen at this time.
    Open(Instant),
}

/// The sockets of a board.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// Name of the board.
    pub board: &'static str,
    /// The line to the host.
    pub host: PathBuf,
    /// The line of the sensor, if it has one.
    pub sensor: Option<PathBuf>,
}

/// An emulated board. QEMU ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Emulator {
    board: &'static Board,
    image: File,
    identity: u64,
    /// Number of channels of its sensor, if the board is told it.
    channels: Option<u8>,
    folder: Folder,
    pub(super) socket: PathBuf,
    pub(super) process: Child,
    pub(super) stage: Stage,
}

impl Emulator {
    /// Checks that boards can be started, and removes directories that killed processes left.
    pub fn check() -> Result<(), EmulatorError> {
        let program = program();
        if !is_in_path(&program) {
            return Err(EmulatorError::Missing(program));
        }
        Folder::new()?.remove_abandoned();
        Ok(())
    }

    /// Starts a board with an image and an identity, and waits until its socket accepts connections.
    ///
    /// The image may be an unnamed file. It is not written, but its position changes, so that emulators must not
    /// share one.
    pub fn start(board: &'static Board, image: File, identity: u64) -> Result<Self, EmulatorError> {
        Self::start_with(board, image, identity, None)
    }

    /// Like [`start`](Self::start), and tells the board how many channels its sensor has.
    pub fn start_with(
        board: &'static Board,
        image: File,
        identity: u64,
        channels: Option<u8>,
    ) -> Result<Self, EmulatorError> {
        let program = program();
        if !is_in_path(&program) {
            return Err(EmulatorError::Missing(program));
        }
        let folder = Folder::new()?;
        let socket = folder.path().join(LINE);
        let process = spawn(board, &image, (identity, channels), folder.path())?;
        let stage = Stage::Starting(Instant::now());
        let mut emulator =
            Self { board, image, identity, channels, folder, socket, process, stage };
        emulator.wait_for_socket()?;
        Ok(emulator)
    }

    /// Returns the board.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// Returns the socket of its serial line, which serves one connection at a time.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the socket of the line of its sensor, if it has one, for a `Feeder`.
    pub fn sensor_socket(&self) -> Option<PathBuf> {
        self.board.has_sensor_line.then(|| self.folder.path().join(SENSOR))
    }

    /// Returns the sockets of its lines.
    pub(super) fn lines(&self) -> Lines {
        let (board, host) = (self.board.name, self.socket.clone());
        Lines { board, host, sensor: self.sensor_socket() }
    }

    /// Returns a path to its socket that exists while it is [shown](Self::show).
    pub fn shown_socket(&self) -> PathBuf {
        self.folder.path().join(SHOWN)
    }

    /// Shows its socket, so that a link finds it.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn show(&self) -> io::Result<()> {
        symlink(LINE, self.shown_socket())
    }

    /// Hides its socket: a link that looks for it waits.
    pub(super) fn hide(&self) -> io::Result<()> {
        fs::remove_file(self.shown_socket())
    }

    /// Returns its failure, if there is one, without waiting.
    pub fn failure(&mut self) -> Option<Failure> {
        let open = match self.stage {
            // Checked first: QEMU may have opened the socket and ended since.
            Stage::Starting(_) if self.socket.exists() => Stage::Open(Instant::now()),
            stage => stage,
        };
        self.stage = open;
        self.exit().or_else(|| match self.stage {
            Stage::Starting(since) => {
                (since.elapsed() > START_TIMEOUT).then_some(Failure::NoSocket)
            }
            Stage::Open(_) => None,
        })
    }

    fn exit(&mut self) -> Option<Failure> {
        let status = self.process.try_wait().transpose()?.map_or_else(
            |error| format!("an unknown status ({error})"),
            |status| status.to_string(),
        );
        let log = tail(&log(self.folder.path())).unwrap_or_default();
        let uptime = match self.stage {
            Stage::Starting(_) => None,
            Stage::Open(since) => Some(since.elapsed()),
        };
        Some(Failure::Ended { status, last_line: last_line(&log), uptime })
    }

    /// Powers the board off, which clears its RAM but for the memory that QEMU keeps in a file. Does nothing to a board
    /// that is off.
    pub fn kill(&mut self) {
        // All three fail only if QEMU has ended by itself. The watch ends last, since this process may be killed at any
        // moment, but before `wait`: that frees QEMU's process id, and closes standard input, on which the watch would
        // kill whatever has the id by then.
        let _ = self.process.kill();
        if let Some(mut watchman) = self.process.stdin.take() {
            let _ = watchman.write_all(b"\n");
        }
        let _ = self.process.wait();
    }

    /// Powers the board off and on again, with the same image, identity and socket, and waits until the socket accepts
    /// connections.
    pub fn restart(&mut self) -> Result<(), EmulatorError> {
        self.start_again()?;
        self.wait_for_socket()
    }

    /// Like [`restart`](Self::restart), but without waiting: the socket opens later, or [`failure`](Self::failure)
    /// returns the failure.
    pub fn start_again(&mut self) -> Result<(), EmulatorError> {
        self.kill();
        if self.socket.exists() {
            fs::remove_file(&self.socket)?;
        }
        let told = (self.identity, self.channels);
        self.process = spawn(self.board, &self.image, told, self.folder.path())?;
        self.stage = Stage::Starting(Instant::now());
        Ok(())
    }

    /// Resets the board: its worker starts anew, its flash keeps its contents.
    pub fn reset(&mut self) -> Result<(), EmulatorError> {
        let mut control = UnixStream::connect(self.folder.path().join(CONTROL))?;
        control.set_read_timeout(Some(START_TIMEOUT))?;
        let mut answers = BufReader::new(control.try_clone()?).lines();
        for command in ["qmp_capabilities", "system_reset"] {
            writeln!(control, r#"{{"execute": "{command}"}}"#)?;
            // A greeting precedes the first answer, and events may come in between.
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
            let is_late = Instant::now() > deadline;
            if let Some(failure) = self.failure().or(is_late.then_some(Failure::NoSocket)) {
                return Err(EmulatorError::Failed { board: self.board.name, failure });
            }
            interrupt::check()?;
            thread::sleep(POLL_INTERVAL);
        }
        self.stage = Stage::Open(Instant::now());
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
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

/// Returns the end of a file, at most [`TAIL_LEN_MAX`] bytes.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(len.saturating_sub(TAIL_LEN_MAX)))?;
    let mut tail = Vec::new();
    file.take(TAIL_LEN_MAX).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Returns the last line of a log that is not blank, as a part of a sentence.
fn last_line(log: &[u8]) -> String {
    let last = log.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).rfind(|l| !l.is_empty());
    last.map_or("without a message".into(), |last| {
        format!("saying `{}`", shown(OsStr::from_bytes(last)))
    })
}

fn log(folder: &Path) -> PathBuf {
    folder.join("qemu.log")
}

/// Returns the emulator: a name, or an absolute path, since it runs in another directory.
fn program() -> OsString {
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
fn is_in_path(program: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn watched_process() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh", "sleep", "60"]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// An emulator that never opens its socket.
    pub(crate) fn starting() -> Emulator {
        let folder = Folder::new().unwrap();
        let socket = folder.path().join(LINE);
        let (board, image) = (Board::find("mps2-m3").unwrap(), tempfile::tempfile().unwrap());
        let (process, stage) = (watched_process(), Stage::Starting(Instant::now()));
        Emulator { board, image, identity: 1, channels: None, folder, socket, process, stage }
    }

    pub(crate) fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs for longer")
    }

    #[test]
    fn last_line_of_any_bytes_is_shown() {
        assert_eq!(last_line(b""), "without a message");
        assert_eq!(last_line(b"\n \r\n"), "without a message");
        assert_eq!(last_line(b"first\nno board \xff\x1b\r\n\n"), r"saying `no board \xff\u{1b}`");
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
    fn socket_must_open_within_the_time_out() {
        let mut emulator = starting();
        assert_eq!(emulator.failure(), None);
        emulator.stage = Stage::Starting(ago(2 * START_TIMEOUT));
        assert_eq!(emulator.failure(), Some(Failure::NoSocket));
        fs::write(&emulator.socket, "").unwrap();
        assert_eq!(emulator.failure(), None);
        fs::remove_file(&emulator.socket).unwrap();
        assert_eq!(emulator.failure(), None, "it was open before");
        emulator.kill();
        let Some(Failure::Ended { status, last_line, uptime }) = emulator.failure() else {
            panic!("the emulator has not ended")
        };
        assert_eq!([&*status, &*last_line], ["signal: 9 (SIGKILL)", "without a message"]);
        assert!(uptime.is_some());
    }

    #[test]
    fn emulator_that_ends_without_a_socket_has_no_uptime() {
        let mut emulator = starting();
        emulator.kill();
        assert!(matches!(emulator.failure(), Some(Failure::Ended { uptime: None, .. })));
        // The socket of an emulator that was not observed meanwhile stays.
        fs::write(&emulator.socket, "").unwrap();
        assert!(matches!(emulator.failure(), Some(Failure::Ended { uptime: Some(_), .. })));
    }

    #[test]
    fn last_line_of_a_long_log_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "x\n".repeat(100_000) + "the end\n").unwrap();
        assert_eq!(tail(&log).unwrap().len() as u64, TAIL_LEN_MAX);
        assert_eq!(last_line(&tail(&log).unwrap()), "saying `the end`");
    }
}
