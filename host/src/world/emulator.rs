//! Boards that QEMU emulates, each behind a unix socket that stands for its serial line.

use crate::boards::board::Board;
use crate::units::interrupt::{self, Ended};
use crate::units::program::scarcity;
use crate::units::shown::shown;
use folder::Folder;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use thiserror::Error;

mod folder;
pub mod watched;

/// The variable that names the emulator, where it is not [`QEMU`] of the path.
const CHOICE: &str = "SMIDGEN_QEMU";
const QEMU: &str = "qemu-system-arm";

/// Starts a program and ends it when nobody holds the other end of its standard input any more, so that an emulator
/// does not outlive a smidgen that was killed. A line on standard input calls the watchman off. What is open as standard output is
/// for the program to read, as [`IMAGE`].
const WATCHED: &str =
    r#"exec 3<&0 4<&1 >/dev/null; (read -r _ <&3 || kill -9 $$) & exec "$@" </dev/null 3<&-"#;

/// Names of its sockets in its folder: the serial line, and where QEMU takes commands.
const LINE: &str = "line";
const CONTROL: &str = "control";

/// The longest that QEMU may take to open its socket.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Bytes of its log in which the last words of QEMU are looked for.
const TAIL_LEN_MAX: u64 = 4096;

/// Where QEMU finds the image: it may hold a key, so no file with a name does.
const IMAGE: &str = "/dev/fd/4";

/// Why an emulated board does not run.
#[derive(Debug, Error)]
pub enum EmulatorError {
    /// QEMU is not installed.
    #[error("{} is not installed: run `scripts/setup.sh` once, or name another QEMU in {CHOICE}", shown(.0))]
    Missing(OsString),
    /// QEMU does not get so far.
    #[error("QEMU cannot emulate the board {board}: {trouble}")]
    Trouble {
        /// Name of the board.
        board: &'static str,
        /// What keeps it.
        trouble: Trouble,
    },
    /// This process shall end.
    #[error(transparent)]
    Interrupted(#[from] Ended),
    /// The temporary folder is of no use.
    #[error(
        "no folder can be made in {} ({source}): set TMPDIR to a folder in which you may write, with a path of at most {} bytes",
        shown(path),
        folder::PATH_LEN_MAX
    )]
    Temporary {
        /// The temporary folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else went wrong.
    #[error(
        "the emulator of a board cannot be started ({0}): {advice}",
        advice = scarcity(.0).unwrap_or("is there a `sh`, and room in the temporary folder?")
    )]
    Io(#[from] io::Error),
}

/// What keeps an emulator from working.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// QEMU has ended: its status, and what it said last.
    #[error("it ended with {status}, {last_words}")]
    Ended {
        /// How it ended.
        status: String,
        /// What it said last.
        last_words: String,
        /// How long its socket was open; none if nobody saw it.
        life: Option<Duration>,
    },
    /// QEMU runs, but nothing can be connected to it.
    #[error("it did not open its socket in {START_TIMEOUT:?}; the machine may be overloaded")]
    Deaf,
}

/// How far an emulator is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It has no socket yet, and was started then.
    Starting(Instant),
    /// Its socket is open since then.
    Open(Instant),
}

/// One emulated board. It ends with this value, and with the process that holds it.
#[derive(Debug)]
pub struct Emulator {
    board: &'static Board,
    image: File,
    identity: u64,
    folder: Folder,
    socket: PathBuf,
    process: Child,
    stage: Stage,
}

impl Emulator {
    /// Finds out whether boards can be started at all, and removes what killed processes left.
    pub fn check() -> Result<(), EmulatorError> {
        let program = program();
        if !is_in_path(&program) {
            return Err(EmulatorError::Missing(program));
        }
        Folder::new().map(|folder| folder.remove_abandoned())
    }

    /// Starts a board with an image and an identity; its socket accepts a connection when this returns.
    ///
    /// The image needs no name. It is not written to, but its position is the emulator's: no two share one.
    pub fn start(board: &'static Board, image: File, identity: u64) -> Result<Self, EmulatorError> {
        let program = program();
        if !is_in_path(&program) {
            return Err(EmulatorError::Missing(program));
        }
        let folder = Folder::new()?;
        let socket = folder.path().join(LINE);
        let process = spawn(board, &image, identity, folder.path())?;
        let stage = Stage::Starting(Instant::now());
        let mut emulator = Self { board, image, identity, folder, socket, process, stage };
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

    /// What keeps it from working, if anything does. Waits for nothing.
    pub fn trouble(&mut self) -> Option<Trouble> {
        let open = match self.stage {
            // Also one that has ended by now may have opened it.
            Stage::Starting(_) if self.socket.exists() => Stage::Open(Instant::now()),
            stage => stage,
        };
        self.stage = open;
        self.death().or_else(|| match self.stage {
            Stage::Starting(since) => (since.elapsed() > START_TIMEOUT).then_some(Trouble::Deaf),
            Stage::Open(_) => None,
        })
    }

    fn death(&mut self) -> Option<Trouble> {
        let status = self.process.try_wait().transpose()?.map_or_else(
            |error| format!("nobody knows how ({error})"),
            |status| status.to_string(),
        );
        let log = tail(&log(self.folder.path())).unwrap_or_default();
        let life = match self.stage {
            Stage::Starting(_) => None,
            Stage::Open(since) => Some(since.elapsed()),
        };
        Some(Trouble::Ended { status, last_words: last_words(&log), life })
    }

    /// Takes the power away: what the board had in RAM is gone. Does nothing to a board without power.
    pub fn kill(&mut self) {
        // `wait` closes standard input, at which the watchman kills the process with QEMU's number; by then that may be another one.
        if let Some(mut watchman) = self.process.stdin.take() {
            let _ = watchman.write_all(b"\n");
        }
        // All three fail only where QEMU has ended by itself, which is what they are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Takes the power away and gives it back: same image, identity and socket, nothing in RAM. The socket accepts a connection
    /// when this returns.
    pub fn restart(&mut self) -> Result<(), EmulatorError> {
        self.start_again()?;
        self.wait_for_socket()
    }

    /// As [`restart`](Self::restart), but without a wait: the socket opens later, or [`trouble`](Self::trouble) says why not.
    pub fn start_again(&mut self) -> Result<(), EmulatorError> {
        self.kill();
        if self.socket.exists() {
            fs::remove_file(&self.socket)?;
        }
        self.process = spawn(self.board, &self.image, self.identity, self.folder.path())?;
        self.stage = Stage::Starting(Instant::now());
        Ok(())
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
            let is_late = Instant::now() > deadline;
            if let Some(trouble) = self.trouble().or(is_late.then_some(Trouble::Deaf)) {
                return Err(EmulatorError::Trouble { board: self.board.name, trouble });
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

fn spawn(board: &Board, mut image: &File, identity: u64, folder: &Path) -> io::Result<Child> {
    // Where opening a descriptor again does not begin anew, the emulator before has read to the end.
    image.rewind()?;
    let options = board.qemu_options(&identity.to_string(), Some(&seed()?.to_string()));
    // QEMU runs in the folder: no byte of the folder's path can upset the options.
    let line = format!("socket,id=line,server=on,wait=off,path={LINE}");
    let control = format!("unix:{CONTROL},server=on,wait=off");
    Command::new("sh")
        .args(["-c", WATCHED, "sh"])
        .arg(program())
        .args(options)
        .args(["-qmp", &control])
        .args(["-chardev", &line, "-serial", "chardev:line"])
        .args(["-kernel", IMAGE])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(image.try_clone()?)
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

/// The end of a file, which may have grown long.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(len.saturating_sub(TAIL_LEN_MAX)))?;
    let mut tail = Vec::new();
    file.take(TAIL_LEN_MAX).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The last line of a log that is not blank, as part of a sentence.
fn last_words(log: &[u8]) -> String {
    let last = log.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).rfind(|l| !l.is_empty());
    last.map_or("without a word".into(), |last| {
        format!("saying `{}`", shown(OsStr::from_bytes(last)))
    })
}

fn log(folder: &Path) -> PathBuf {
    folder.join("qemu.log")
}

/// The emulator: a name, or an absolute path, since it runs in a folder of its own.
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

/// Whether a program is there: a name in a folder of the path, or a path, to which joining changes nothing.
fn is_in_path(program: &OsStr) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn watched() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh", "sleep", "60"]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// An emulator that never opens its socket.
    pub fn starting() -> Emulator {
        let folder = Folder::new().unwrap();
        let socket = folder.path().join(LINE);
        let (board, image) = (Board::find("mps2-m3").unwrap(), tempfile::tempfile().unwrap());
        let (process, stage) = (watched(), Stage::Starting(Instant::now()));
        Emulator { board, image, identity: 1, folder, socket, process, stage }
    }

    pub fn ago(duration: Duration) -> Instant {
        Instant::now().checked_sub(duration).expect("the machine runs for longer")
    }

    #[test]
    fn last_words_are_shown_whatever_their_bytes() {
        assert_eq!(last_words(b""), "without a word");
        assert_eq!(last_words(b"\n \r\n"), "without a word");
        assert_eq!(last_words(b"first\nno board \xff\x1b\r\n\n"), r"saying `no board \xff\u{1b}`");
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

    #[test]
    fn a_socket_is_waited_for_once_and_not_for_ever() {
        let mut emulator = starting();
        assert_eq!(emulator.trouble(), None);
        emulator.stage = Stage::Starting(ago(2 * START_TIMEOUT));
        assert_eq!(emulator.trouble(), Some(Trouble::Deaf));
        fs::write(&emulator.socket, "").unwrap();
        assert_eq!(emulator.trouble(), None);
        fs::remove_file(&emulator.socket).unwrap();
        assert_eq!(emulator.trouble(), None, "it was there");
        emulator.kill();
        let Some(Trouble::Ended { status, last_words, life }) = emulator.trouble() else {
            panic!("it has ended")
        };
        assert_eq!([&*status, &*last_words], ["signal: 9 (SIGKILL)", "without a word"]);
        assert!(life.is_some());
    }

    #[test]
    fn an_emulator_that_ends_without_a_socket_has_no_life() {
        let mut emulator = starting();
        emulator.kill();
        assert!(matches!(emulator.trouble(), Some(Trouble::Ended { life: None, .. })));
        // One that nobody looked at meanwhile leaves its socket.
        fs::write(&emulator.socket, "").unwrap();
        assert!(matches!(emulator.trouble(), Some(Trouble::Ended { life: Some(_), .. })));
    }

    #[test]
    fn the_last_words_of_a_long_log_are_found_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "x\n".repeat(100_000) + "the end\n").unwrap();
        assert_eq!(tail(&log).unwrap().len() as u64, TAIL_LEN_MAX);
        assert_eq!(last_words(&tail(&log).unwrap()), "saying `the end`");
    }
}
