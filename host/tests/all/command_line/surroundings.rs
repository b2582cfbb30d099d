//! Tests of the binary without its checkout, a compiler or threads.

use super::{assert_says, smidgen, stderr};
use crate::support::boards::board;
use crate::support::{BINARY, executable, program, script, skip};
use rustix::process::{Resource, Rlimit, setrlimit};
use smidgen::boards::board::BOARDS;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use tempfile::tempdir;

const CHOICE: &str = "SMIDGEN_BOARD_COMPILER";

/// Writes a copy of the binary in which the path of its checkout is replaced by one that does not exist.
fn without_checkout(path: &Path) {
    let checkout = env!("CARGO_MANIFEST_DIR").as_bytes();
    let (mut gone, (last, _)) = (checkout.to_vec(), checkout.split_last().expect("it has a name"));
    *gone.last_mut().expect("it has a name") = if *last == b'_' { b'-' } else { b'_' };
    let mut binary = fs::read(BINARY).expect("the binary is there");
    let mut places = 0;
    for start in 0..binary.len() - checkout.len() {
        if binary[start..].starts_with(checkout) {
            binary[start..start + gone.len()].copy_from_slice(&gone);
            places += 1;
        }
    }
    assert!(places > 0, "the binary does not say where it was built");
    executable(path, &binary);
}

#[test]
fn binary_without_its_checkout_trains_and_refuses_images() {
    let directory = tempdir().expect("there is room");
    let installed = directory.path().join("installed");
    without_checkout(&installed);
    let run = |arguments: &str| {
        program(&installed, directory.path(), arguments).output().expect("the binary starts")
    };
    let output = run("simulate --rows 60 --rounds 3 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    for board in BOARDS {
        let output = run(&format!("image --board {}", board.name));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_says(
            &stderr(&output),
            &["/../firmware/boards: to build images", "leave the checkout in place"],
        );
    }
}

/// State of the compiler in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InPath {
    /// The system's own, if there is one.
    System,
    /// An empty path, without any program.
    Nothing,
    Forbidden,
    WithTarget,
    WithSources,
    WithNeither,
}

impl InPath {
    /// Creates its directory of programs, and returns the value of `PATH`.
    fn make(self, folder: &Path) -> OsString {
        let system = OsString::from("/usr/bin:/bin");
        let made = match self {
            Self::System => return system,
            Self::Nothing => return folder.into(),
            Self::Forbidden => {
                fs::write(folder.join("rustc"), "").expect("there is room");
                return folder.into();
            }
            Self::WithTarget => "target",
            Self::WithSources => "sysroot/lib/rustlib/src/rust/library/core",
            Self::WithNeither => "nothing",
        };
        fs::create_dir_all(folder.join(made)).expect("there is room");
        let place = folder.to_str().expect("the temporary folder has a plain name");
        let rustc = format!(
            "case \"$*\" in *target-libdir*) echo '{place}/target' ;; *sysroot*) echo '{place}/sysroot' ;; esac"
        );
        script(&folder.join("rustc"), &rustc);
        script(&folder.join("cargo"), "echo 'error: not built here' >&2\nexit 101");
        [folder.as_os_str(), &system].join(OsStr::new(":"))
    }
}

/// Compiler that is chosen by a setting.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Compiler(&'static str),
    NoCompiler,
    Refused,
}

/// Returns values of the variable that chooses the compiler; `None` leaves it unset.
fn choices() -> impl Iterator<Item = Option<&'static OsStr>> {
    let choices = ["", "rustup", "debian", "gcc", "Debian", " rustup"].map(OsStr::new);
    iter::once(None).chain(choices.into_iter().chain([OsStr::from_bytes(b"\xff")]).map(Some))
}

/// Returns a command with this path and choice that cannot download anything.
fn asked(program: &str, folder: &Path, path: &OsStr, choice: Option<&OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", path)
        .env_remove(CHOICE)
        .env_remove("RUSTC")
        .envs(choice.map(|choice| (CHOICE, choice)));
    // The chosen compiler starts to build, and fails at the first dependency.
    command.env("CARGO_HOME", folder.join("home")).env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_TARGET_DIR", folder.join("target-dir"));
    command
}

/// Returns the first compiler that a choice allows and that can build. The one in the path comes first.
fn expected(in_path: InPath, choice: Option<&OsStr>) -> Decision {
    let debian = Path::new("/usr/lib/rustlib/src/rust/library/core").is_dir();
    let rustup = match in_path {
        InPath::System => debian,
        InPath::Nothing | InPath::Forbidden | InPath::WithNeither => false,
        InPath::WithTarget | InPath::WithSources => true,
    };
    let (rustup, debian) = match choice.map(OsStr::to_str) {
        None | Some(Some("")) => (rustup, debian),
        Some(Some("rustup")) => (rustup, false),
        Some(Some("debian")) => (false, debian),
        Some(_) => return Decision::Refused,
    };
    match (rustup, debian) {
        (true, _) => Decision::Compiler("rustc"),
        (false, true) => Decision::Compiler("/usr/bin/rustc"),
        (false, false) => Decision::NoCompiler,
    }
}

fn of_binary(folder: &Path, path: &OsStr, choice: Option<&OsStr>) -> Decision {
    let mut image = asked(BINARY, folder, path, choice);
    let output = image.args(["image", "--board", "microbit"]).current_dir(folder).output();
    let said = stderr(&output.expect("the binary starts"));
    let says = |words: &str| said.contains(words);
    match () {
        () if says("set it to `rustup` or `debian`") => Decision::Refused,
        () if says("no installed Rust compiler can build for") => Decision::NoCompiler,
        () if says("rustc cannot be started (No such file") => Decision::NoCompiler,
        () if says("rustc cannot be started (Permission denied") => Decision::NoCompiler,
        () if says("RUSTC=/usr/bin/rustc") => Decision::Compiler("/usr/bin/rustc"),
        () if says("the image cannot be built") => Decision::Compiler("rustc"),
        () => panic!("{said}"),
    }
}

#[test]
fn compiler_that_cannot_start_is_distinguished_from_an_unsuitable_one() {
    for (in_path, sentence) in [
        (
            InPath::Nothing,
            "error: rustc cannot be started (No such file or directory (os error 2)): run `scripts/setup.sh` once",
        ),
        (
            InPath::Forbidden,
            "error: rustc cannot be started (Permission denied (os error 13)): make it executable, or run \
             `scripts/setup.sh` once",
        ),
        (
            InPath::WithNeither,
            "error: no installed Rust compiler can build for thumbv6m-none-eabi: run `scripts/setup.sh` once",
        ),
    ] {
        let folder = tempdir().expect("there is room");
        let path = in_path.make(folder.path());
        let mut image = asked(BINARY, folder.path(), &path, Some(OsStr::new("rustup")));
        let output = image.args(["image", "--board", "microbit"]).output();
        let said = stderr(&output.expect("the binary starts"));
        assert_eq!(said.lines().last(), Some(sentence), "{in_path:?}");
    }
}

#[test]
fn variable_and_path_choose_the_compiler() {
    let with = [InPath::WithTarget, InPath::WithSources, InPath::WithNeither];
    let without = [InPath::System, InPath::Nothing, InPath::Forbidden];
    for in_path in without.into_iter().chain(with) {
        let folder = tempdir().expect("there is room");
        let path = in_path.make(folder.path());
        for choice in choices() {
            let binary = of_binary(folder.path(), &path, choice);
            assert_eq!(binary, expected(in_path, choice), "{in_path:?}, {choice:?}");
        }
    }
}

/// Returns the compiler that the setup script accepts.
fn of_script(folder: &Path, path: &OsStr, choice: Option<&OsStr>) -> Decision {
    let mut setup = asked("/bin/sh", folder, path, choice);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/setup.sh");
    let output = setup.args([script, "compiler"]).output().expect("there is a shell");
    match output.stdout.trim_ascii() {
        b"rustc" => Decision::Compiler("rustc"),
        b"/usr/bin/rustc" => Decision::Compiler("/usr/bin/rustc"),
        b"" if stderr(&output).contains("set it to `rustup` or `debian`") => Decision::Refused,
        b"" if output.status.code() == Some(1) => Decision::NoCompiler,
        _ => panic!("{output:?}"),
    }
}

/// The setup script runs before there is a binary, so it has the rule for the compiler a second time.
#[test]
fn setup_accepts_the_compiler_that_the_binary_chooses() {
    let parts = ["/usr/bin/cargo-clippy", "/usr/bin/ld.lld"].map(Path::new);
    let is_complete = parts.into_iter().all(Path::exists);
    for in_path in [InPath::System, InPath::WithTarget, InPath::WithSources, InPath::WithNeither] {
        let folder = tempdir().expect("there is room");
        let path = in_path.make(folder.path());
        for choice in choices() {
            let expected = match expected(in_path, choice) {
                // The script installs the linker and the lints as well.
                Decision::Compiler("/usr/bin/rustc") if !is_complete => Decision::NoCompiler,
                decision => decision,
            };
            let accepted = of_script(folder.path(), &path, choice);
            assert_eq!(accepted, expected, "{in_path:?}, {choice:?}");
        }
    }
}

/// The setup script runs before there is a binary, so it reads the targets from the source of the table.
#[test]
fn setup_installs_the_targets_of_all_boards() {
    let script = "eval \"$(grep '^bare_targets=' scripts/setup.sh)\"; echo $bare_targets";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = shell.output().expect("there is a shell");
    let targets: BTreeSet<_> = BOARDS.iter().map(|board| board.target).collect();
    let printed = String::from_utf8(output.stdout).expect("targets are text");
    assert_eq!(printed.split_whitespace().collect::<BTreeSet<_>>(), targets);
}

/// Returns a command limited to one process, run by another user if possible, since the limit counts all processes of a
/// user.
fn alone(binary: &Path, directory: &Path, arguments: &str) -> Command {
    let mut command = program(binary, directory, arguments);
    // A command that starts no process will do as the emulator; some machines have no QEMU.
    command.env("HOME", directory).env("SMIDGEN_QEMU", binary);
    let user = fs::metadata("/proc/self").map_or(1, |process| process.uid());
    if user == 0 {
        // The limit does not apply to root. Concurrent tests use different users.
        command.uid(60_000 + process::id() % 5_000);
    }
    let one = Rlimit { current: Some(1), maximum: Some(1) };
    let limit = move || Ok(setrlimit(Resource::Nproc, one)?);
    // SAFETY: between fork and exec the closure makes only one system call, which is async-signal-safe.
    unsafe { command.pre_exec(limit) };
    command
}

/// Returns whether every user can read the checkout.
fn is_open_to_all() -> bool {
    let is_open = |folder: &Path| {
        fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o005 == 0o005)
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().all(is_open)
}

/// The warning of every command that cannot handle signals.
const DEAF: &str =
    "warning: Ctrl-C will end a run without a report: Resource temporarily unavailable";

#[test]
fn command_without_threads_succeeds_or_reports_one_error() {
    let directory = tempdir().expect("there is room");
    // The command runs as another user.
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).expect("it is ours");
    let binary = directory.path().join("smidgen");
    executable(&binary, &fs::read(BINARY).expect("the binary is there"));
    let port = format!("run --rows 60 --rounds 3 --out ported --port {}", board(1));
    let no_compiler = if is_open_to_all() {
        "error: rustc cannot be started (Resource temporarily unavailable (os error 11)): \
         end other programs, or raise the limit on processes (`ulimit -u`)"
    } else {
        "error: the sources of the boards are not in "
    };
    let cases = [
        ("simulate --rows 60 --rounds 3 --out run", Ok("Open run/report.html in a browser.")),
        ("plan --rows 60 --target 0.1", Ok("The target is ‖∇f‖² ≤ 0.100")),
        ("report run", Ok("Open run/report.html in a browser.")),
        ("resume run --rounds 5", Ok("5 rounds, loss ")),
        ("ports", Ok("")),
        ("key fleet.key", Ok("fleet.key contains a new key.")),
        ("demo --out demo", Ok("Open demo/report.html in a browser.")),
        ("image --board microbit", Err(no_compiler)),
        ("emulate --board mps2-m3 --rows 60 --rounds 3 --out emulated", Err(no_compiler)),
        (&port, Ok("Open ported/report.html in a browser.")),
    ];
    for (arguments, expected) in cases {
        let output = match alone(&binary, directory.path(), arguments).output() {
            Ok(output) => output,
            Err(error) => {
                return skip("without_threads", &format!("no process of another user: {error}"));
            }
        };
        let (said, code) = (stderr(&output), output.status.code());
        println!("{arguments}: {code:?}: {said}");
        assert!(said.starts_with(DEAF), "{arguments}: {said}");
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error")).collect();
        match expected {
            Ok(words) => {
                let told = String::from_utf8_lossy(&output.stdout);
                assert!(!told.is_empty() && told.contains(words), "{arguments}: {told}");
                assert_eq!((code, &errors[..]), (Some(0), &[][..]), "{arguments}: {said}");
            }
            Err(sentence) => {
                let [error] = errors[..] else { panic!("{arguments}: {said}") };
                assert!(error.starts_with(sentence), "{arguments}: {said}");
                assert_eq!((code, said.lines().last()), (Some(2), Some(error)), "{arguments}");
            }
        }
    }
    // With threads, the same commands can use the files of these.
    assert!(smidgen(directory.path(), "report run").status.success());
}
