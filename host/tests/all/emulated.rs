//! Tests of the binary with emulated boards: the commands that `image` prints work, every QEMU gives the transcript of
//! simulation, and an emulator that ends is reported.
//!
//! If boards cannot be emulated, a test prints a line that it is skipped; with `SMIDGEN_NO_SKIP` set it fails.

mod endings;
mod flashing;
mod new_board;
// It looks for remaining emulators in /proc.
#[cfg(target_os = "linux")]
mod temporary;

use crate::support::{
    Running, command, script, skip, smidgen, stderr, summary_of, wait_until, wait_within,
};
use smidgen::boards::board::{BOARDS, Board, Emulation, Flash, emulated as emulated_boards};
use smidgen::boards::qemu::{Qemu, System};
use smidgen::boards::tested::{Tested, tested};
use smidgen::record::Model;
use smidgen::world::emulator::Emulator;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::{TempDir, tempdir};

/// Options of a short run.
const SHORT: &str = "--rows 60 --rounds 8";
/// Time-out for images to be checked: cargo waits while it builds other images for another test.
const BUILD_MAX: Duration = Duration::from_secs(600);
/// First port for boards.
const PORT_MIN: u16 = 10_000;
/// Number of ports.
const PORTS: u32 = 20_000;

/// The names of all boards that are tested and emulated here. Those that need a later QEMU, or an emulator that comes
/// from a registry of packages and is missing, are skipped by name.
fn all_boards(test: &str) -> Vec<&'static str> {
    let is_emulated_here = |board: &&Board| {
        // Other failures are reported by what starts the board.
        let Err(error) = Emulator::check(board) else { return true };
        let is_skipped = error.is_of_a_complete_setup(board);
        if is_skipped {
            eprintln!("SKIPPED: {test}: {}: {error}", board.name);
        }
        !is_skipped
    };
    let Tested { boards, notice } = tested().unwrap_or_else(|error| panic!("{error}"));
    if let Some(notice) = notice {
        eprintln!("SKIPPED: {test}: {notice}");
    }
    let boards = boards.into_iter().filter(|board| board.emulation.is_some());
    boards.filter(is_emulated_here).map(|board| board.name).collect()
}

/// Returns a directory to run in and builds the images of these boards, if they can be emulated.
fn emulation(test: &str, boards: &[&str]) -> Option<TempDir> {
    if boards.is_empty() {
        eprintln!("SKIPPED: {test}: none of the tested boards is emulated");
        return None;
    }
    let directory = tempdir().expect("there is room");
    let boards: Vec<_> = boards.iter().map(|board| format!("--board {board}")).collect();
    let probe = format!("emulate {} --rows 60 --rounds 1 --out probe", boards.join(" "));
    let output = smidgen(directory.path(), &probe);
    let why = stderr(&output);
    if output.status.success() {
        return Some(directory);
    }
    assert!(why.contains("scripts/setup.sh"), "{test}: {why}");
    skip(test, why.lines().last().unwrap_or("it says nothing"));
    None
}

fn transcript(run: &Path) -> String {
    summary_of(run)["transcript"].as_str().expect("a transcript").to_owned()
}

/// Returns the transcript of a simulation with this number of workers.
fn simulated(directory: &Path, workers: usize) -> String {
    let output =
        smidgen(directory, &format!("simulate {SHORT} --workers {workers} --out simulated"));
    assert!(output.status.success(), "{}", stderr(&output));
    transcript(&directory.join("simulated"))
}

/// Starts a shell command.
fn shell(command: &str, directory: &Path) -> Running {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(directory);
    Running::group(shell.stdin(Stdio::null()).stdout(Stdio::piped()))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the temporary folder has a plain name")
}

/// Returns a port that no other test uses, below the ephemeral ports of the system.
fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Concurrent runs of these tests begin at different ports.
    let begin = process::id().wrapping_mul(64);
    let next = || begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
    let mut ports = (0..PORTS).map(|_| PORT_MIN + next() as u16);
    let port = ports.find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    port.expect("the loopback has a port")
}

/// Starts a board by a shell command at a port and returns its address.
fn start_at_port(directory: &Path, command: impl Fn(u16) -> String) -> (String, Running) {
    // QEMU ends if another program has taken the port.
    let mut attempts = (0..5).map(|_| {
        let port = free_port();
        let board = shell(&command(port), directory);
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until("it listens or has ended", || listens() || board.has_ended());
        (format!("tcp:127.0.0.1:{port}"), board)
    });
    let board =
        attempts.find_map(|(address, board)| (!board.has_ended()).then_some((address, board)));
    board.unwrap_or_else(|| panic!("it does not start: {}", command(free_port())))
}

/// Trains with boards that were started by shell commands, and compares with a simulation.
fn assert_trains(directory: &Path, addresses: &[String], options: &str) {
    let ports: Vec<_> = addresses.iter().map(|address| format!("--port {address}")).collect();
    let run = format!("run {} {SHORT} {options} --out run", ports.join(" "));
    let output = smidgen(directory, &run);
    assert!(output.status.success(), "{run}: {}", stderr(&output));
    let expected = simulated(directory, addresses.len());
    assert_eq!(transcript(&directory.join("run")), expected, "{run}");
    for run in ["run", "simulated"] {
        fs::remove_dir_all(directory.join(run)).expect("it was there");
    }
}

/// Returns the command that `image` prints to start a board, after checking its port.
fn printed(directory: &Path, arguments: &str) -> (String, String) {
    let output = smidgen(directory, &format!("image {arguments}"));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("it is text");
    let mut commands = text.lines().filter_map(|line| line.strip_prefix("  "));
    let mut next = || commands.next().expect("`image` prints two commands").to_owned();
    (next(), next())
}

/// Boards of a kind differ only in N, which sets their port and identity.
#[test]
fn command_printed_by_image_starts_boards_that_train() {
    let test = "command_printed_by_image_starts_boards_that_train";
    let boards = all_boards(test);
    let Some(directory) = emulation(test, &boards) else { return };
    for board in boards {
        let (start, train) = printed(directory.path(), &format!("--board {board}"));
        assert_eq!(train, "smidgen run --port tcp:127.0.0.1:4001");
        let boards = [1, 2].map(|n| {
            let start = start.replace("N=1;", &format!("N={n};"));
            assert!(start.contains("tcp:127.0.0.1:$((4000 + N)),"), "{start}");
            start_at_port(directory.path(), |port| {
                start.replace("$((4000 + N)),", &format!("{port},"))
            })
        });
        let addresses = boards.each_ref().map(|(address, _)| address.clone());
        assert_trains(directory.path(), &addresses, "");
        drop(boards);
    }
}

#[test]
fn printed_command_gives_a_keyed_board_its_seed() {
    let test = "printed_command_gives_a_keyed_board_its_seed";
    let Some(directory) = emulation(test, &["stm32f405", "mps2-m3"]) else { return };
    assert!(smidgen(directory.path(), "key fleet.key").status.success());
    // Two boards without a source of randomness in QEMU.
    for board in ["stm32f405", "mps2-m3"] {
        let (start, train) = printed(directory.path(), &format!("--board {board} --key fleet.key"));
        assert_eq!(train, "smidgen run --port tcp:127.0.0.1:4001 --key fleet.key");
        let at = |port: u16| start.replace("$((4000 + N))", &port.to_string());
        let (address, started) = start_at_port(directory.path(), at);
        assert_trains(directory.path(), &[address], "--key fleet.key");
        drop(started);
    }
}

/// Returns the command by which `cargo run` runs images, in a workspace of boards.
fn runner(workspace: &Path) -> Vec<String> {
    let text = fs::read_to_string(workspace.join(".cargo/config.toml"));
    let config: toml::Table = text.expect("the file is there").parse().expect("it is TOML");
    let runner = &config["target"]["cfg(target_os = \"none\")"]["runner"];
    runner.clone().try_into().expect("it is a list of words")
}

/// Returns what `cargo run` has to run with an image, or `None` if that depends on the program that flashes the board.
fn run_by_cargo(board: &Board, image: &str) -> Option<String> {
    match board.flash {
        Flash::Probe(chip) | Flash::Drive { chip, .. } | Flash::Uf2 { chip, .. } => {
            Some(format!("probe-rs run --chip {chip} {image}\n"))
        }
        Flash::Espflash(chip) => Some(format!("espflash flash --chip {chip} {image}\n")),
        Flash::Program(_) => None,
        Flash::Unsupported => {
            let Some(Emulation::Qemu(Qemu { system, machine, .. })) = &board.emulation else {
                panic!("{} can be neither flashed nor run in QEMU", board.name)
            };
            let line = "-nographic -monitor none -serial tcp:127.0.0.1:4001,server=on,wait=off";
            Some(format!("{} -M {machine} {line} -kernel {image}\n", system.program()))
        }
    }
}

/// Checks that `cargo run`, in a workspace of boards, flashes or emulates one of these boards, which share an image.
fn assert_cargo_run_starts(boards: &[&Board], workspace: &Path) {
    let Board { package, target, .. } = boards[0];
    let image = format!("target/{target}/release/{package}");
    let expected: Option<Vec<_>> = boards.iter().map(|board| run_by_cargo(board, &image)).collect();
    let Some(expected) = expected else { return };
    let programs = tempdir().expect("there is room");
    for program in ["qemu-system-arm", "qemu-system-riscv32", "probe-rs", "espflash"] {
        script(&programs.path().join(program), "echo ${0##*/} $*");
    }
    let words = runner(workspace);
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let mut command = Command::new(&words[0]);
    let output = command.args(&words[1..]).arg(&image).env("PATH", path).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        expected.contains(&said),
        "The line of the package {package} in firmware/boards/.cargo/config.toml has to run one of {expected:#?}, but it \
         runs {said:?}: {}",
        stderr(&output)
    );
}

#[test]
fn cargo_run_starts_a_board_of_the_package() {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards"));
    for board in BOARDS {
        let of_image =
            |other: &&Board| (other.package, other.target) == (board.package, board.target);
        let boards: Vec<_> = BOARDS.iter().filter(of_image).collect();
        assert_cargo_run_starts(&boards, workspace);
    }
}

/// Returns the commands in `firmware/boards/README.md`: those that choose a kind of link, and those that start a board.
fn documented() -> (Vec<String>, Vec<String>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/boards/README.md");
    let text = fs::read_to_string(path).expect("the page is there");
    let lines = |start: &str| {
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect::<Vec<_>>()
    };
    let starts = ["qemu-system-", "target/rp2040js/node ", "target/labwired/bin/python3 "];
    let starts = starts.map(lines).concat();
    (lines("LINE="), starts)
}

/// The page has the command of every board, and no other.
#[test]
fn documented_commands_are_those_of_the_boards() {
    let (_, starts) = documented();
    for board in emulated_boards() {
        let command = board.documented_command().expect("it is emulated");
        assert!(
            starts.contains(&command),
            "Add the command that starts {} to the section \"In QEMU by hand\" of firmware/boards/README.md, in place \
             of one that it had before:\n{command}",
            board.name
        );
    }
    for start in &starts {
        let is_of = |board: &Board| board.documented_command().as_ref() == Some(start);
        assert!(
            emulated_boards().any(is_of),
            "Remove this command from firmware/boards/README.md, since it starts no board of the table:\n{start}"
        );
    }
}

#[test]
fn documented_commands_start_every_board_on_every_link() {
    let test = "documented_commands_start_every_board_on_every_link";
    let boards = all_boards(test);
    let Some(directory) = emulation(test, &boards) else { return };
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize();
    let top = top.expect("the repository is there");
    let (links, mut starts) = documented();
    assert_eq!(links.len(), 3, "{links:#?}");
    let command = |name: &&str| Board::find(name).expect("it exists").documented_command();
    let commands: Vec<_> = boards.iter().filter_map(command).collect();
    starts.retain(|start| commands.contains(start));
    assert_eq!(starts.len(), boards.len(), "{starts:#?}");
    for link in links {
        let mut fleet = Vec::new();
        // The scripts for other emulators open no terminals.
        let is_possible = |start: &&String| !link.contains("pty") || start.starts_with("qemu-");
        for (n, start) in (1..).zip(starts.iter().filter(is_possible)) {
            let socket = directory.path().join(format!("board-{n}"));
            let link = link.replace("/tmp/board-$N", text(&socket));
            let target = env::var("CARGO_TARGET_DIR").map_or_else(
                |_| "firmware/boards/target".to_owned(),
                |folder| text(&top.join(folder)).to_owned(),
            );
            let start = start.replace("firmware/boards/target", &target);
            let at = |port: u16| {
                let link = link.replace("$((4000 + N))", &port.to_string());
                format!("N={n}\n{link}\n{start}")
            };
            let (address, board) = match link.split([':', '=']).nth(1) {
                Some("\"tcp") => start_at_port(&top, at),
                Some("\"unix") => {
                    let board = shell(&at(0), &top);
                    wait_until(&link, || UnixStream::connect(&socket).is_ok());
                    (format!("unix:{}", text(&socket)), board)
                }
                Some(_) | None => {
                    let mut board = shell(&at(0), &top);
                    (terminal(board.child()), board)
                }
            };
            fleet.push((address, board));
        }
        let addresses: Vec<_> = fleet.iter().map(|(address, _)| address.clone()).collect();
        assert_trains(directory.path(), &addresses, "");
    }
}

/// Returns the pseudo-terminal that QEMU reports.
fn terminal(board: &mut Child) -> String {
    let stdout = board.stdout.as_mut().expect("it is piped");
    let mut said = Vec::new();
    while !said.contains(&b'\n') {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).expect("it can be read"), 1, "QEMU ended");
        said.push(byte[0]);
    }
    let said = String::from_utf8(said).expect("it is text");
    let path = said.split_whitespace().find(|word| word.starts_with("/dev/"));
    path.unwrap_or_else(|| panic!("no terminal in: {said}")).to_owned()
}

/// Checks that a run with these boards, in QEMU or in others that variables name, has the transcript of simulation.
fn assert_conforms(directory: &Path, boards: &[&str], programs: &[(&str, OsString)]) {
    let expected = simulated(directory, boards.len());
    let boards: Vec<_> = boards.iter().map(|board| format!("--board {board}")).collect();
    let emulate = format!("emulate {} {SHORT} --out emulated", boards.join(" "));
    let mut command = command(directory, &emulate);
    command.envs(programs.iter().map(|(variable, program)| (variable, program)));
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{programs:?}: {}", stderr(&output));
    let said = stderr(&output);
    assert!(!said.contains("started again"), "{said}");
    let transcript = transcript(&directory.join("emulated"));
    // That of the last round, or of the best one.
    let model = |run| Model::read(directory.join(run)).expect("the run leaves a model").transcript;
    assert_eq!(model("emulated"), model("simulated"));
    for run in ["emulated", "simulated"] {
        fs::remove_dir_all(directory.join(run)).expect("it was there");
    }
    assert_eq!(transcript, expected, "{programs:?}");
}

/// `scripts/setup.sh` installs a second QEMU if Debian has one, and `scripts/test.sh` passes its path.
#[test]
fn every_qemu_gives_the_transcript_of_simulation() {
    let test = "every_qemu_gives_the_transcript_of_simulation";
    let boards = all_boards(test);
    let Some(directory) = emulation(test, &boards) else { return };
    assert_conforms(directory.path(), &boards, &[]);
    let all: Vec<_> = emulated_boards().map(|board| board.name).collect();
    let others = [(System::Arm, &all), (System::Riscv32, &boards)].map(|(system, boards)| {
        let variable = system.variable();
        let other = variable.replace("SMIDGEN_", "SMIDGEN_OTHER_");
        env::var_os(&other).map(|program| ((variable, program), boards)).ok_or(other)
    });
    for other in &others {
        match other {
            Ok((other, boards)) => {
                assert_conforms(directory.path(), boards, std::slice::from_ref(other));
            }
            Err(other) => skip(test, &format!("{other} names no second QEMU")),
        }
    }
}

#[test]
fn qemu_that_is_too_old_for_a_board_is_named() {
    let directory = tempdir().expect("there is room");
    let program = directory.path().join("qemu");
    script(&program, "echo 'QEMU emulator version 9.2.1 (by hand)'");
    let mut emulate = command(directory.path(), "emulate --board stm32l475 --rows 60 --out run");
    let output = emulate.env("SMIDGEN_QEMU", &program).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for part in ["stm32l475 needs QEMU 10 or later", "is QEMU 9", "a newer one in SMIDGEN_QEMU"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!directory.path().join("run").exists(), "nothing was started");
}
