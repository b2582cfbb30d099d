//! Tests of emulators that end: the run goes on without them, or names the reason.

use super::{BUILD_MAX, emulation, text};
use crate::support::{Running, command, script, wait_until, wait_within};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A script that runs QEMU and interferes with it.
fn emulator(directory: &Path, content: &str) -> PathBuf {
    let path = directory.join("emulator");
    script(&path, content);
    path
}

/// Output of a run once its links are open.
const STARTED: &str = "sending ";

/// Returns an `emulate` command with such an emulator, whose stderr goes to a file.
fn with_emulator(directory: &Path, script: &str, options: &str) -> Command {
    let rows = if options.contains("--recordings") { "" } else { "--rows 60" };
    let options = format!("emulate {rows} --step am --out doomed {options}");
    let mut emulate = command(directory, &options);
    let said = fs::File::create(directory.join("said")).expect("there is room");
    emulate.env("SMIDGEN_QEMU", emulator(directory, script)).stdout(Stdio::null()).stderr(said);
    emulate
}

fn said(directory: &Path) -> String {
    fs::read_to_string(directory.join("said")).unwrap_or_default()
}

/// Returns the error of `emulate` with such an emulator.
fn failure(directory: &Path, script: &str) -> String {
    let status = with_emulator(directory, script, "--board mps2-m3").status();
    let said = said(directory);
    assert!(!status.expect("the binary starts").success(), "{said}");
    said
}

/// Starts a run with such an emulator that takes longer than a test.
fn endless(directory: &Path, script: &str, options: &str) -> Running {
    let options = format!("{options} --rounds 1000000");
    let run = Running::group(&mut with_emulator(directory, script, &options));
    wait_within(BUILD_MAX, "boards are started", || {
        assert!(!run.has_ended(), "{}", said(directory));
        said(directory).contains(STARTED)
    });
    run
}

/// Returns the number of closed rounds of that run.
fn rounds(directory: &Path) -> usize {
    let records = fs::read_to_string(directory.join("doomed/rounds.jsonl"));
    records.unwrap_or_default().lines().count()
}

/// Returns a part of a script that ends the script by a signal once a shell condition holds.
fn crash_once(condition: &str) -> String {
    // If the script ends first, this part ends with it.
    let wait = format!("until {condition}; do sleep 0.05; kill -0 $$ 2>/dev/null || exit; done");
    format!("({wait}; echo out of wits >&2; kill -SEGV $$) &")
}

/// Like the above, in the middle of a run.
fn crash_in_the_middle(directory: &Path) -> String {
    let records = directory.join("doomed/rounds.jsonl");
    let path = text(&records);
    crash_once(&format!("[ -s {path} ] && [ $(wc -l <{path}) -gt 5 ]"))
}

#[test]
fn emulator_that_ends_at_once_is_reported_with_its_last_line() {
    let test = "emulator_that_ends_at_once_is_reported_with_its_last_line";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    let directory = directory.path();
    let said = failure(directory, r"printf 'no such \377 machine\n' >&2; exit 3");
    assert!(
        said.contains(r"it ended with exit status: 3, saying `no such \xff machine`"),
        "{said}"
    );
    // An emulator that ends once its link is open, like a crash at the first instructions.
    let path = directory.join("said");
    let crash = crash_once(&format!("grep -q '{STARTED}' {}", text(&path)));
    let begun = Instant::now();
    let said = failure(directory, &format!("{crash} exec qemu-system-arm \"$@\" -S"));
    let ending = said.lines().last().expect("it says something");
    let advice = "no round was closed, so start the run again";
    for word in ["mps2-m3 1", "signal: 11", "out of wits", advice] {
        assert!(ending.contains(word), "`{word}` is not in: {ending}");
    }
    println!("the run ended after {:?}", begun.elapsed());
}

#[test]
fn emulator_that_ends_during_a_run_is_reported_and_restarted() {
    let test = "emulator_that_ends_during_a_run_is_reported_and_restarted";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    let directory = directory.path();
    let crash = crash_in_the_middle(directory);
    let script = format!("[ -e died ] || {{ touch died; {crash} }}\nexec qemu-system-arm \"$@\"");
    let run = endless(directory, &script, "--board mps2-m3");
    let said = || said(directory);
    wait_until("it is named", || said().contains("started again: it ended with signal: 11"));
    assert!(said().contains("emulated mps2-m3 1 was started again"), "{}", said());
    assert!(said().contains("saying `out of wits`"), "{}", said());
    let before = rounds(directory);
    wait_until("rounds go on", || rounds(directory) > before + 10);
    drop(run);
}

#[test]
fn board_that_loses_its_rows_records_them_again() {
    let test = "board_that_loses_its_rows_records_them_again";
    let Some(directory) = emulation(test, &["stm32f405"]) else { return };
    let directory = directory.path();
    let crash = crash_in_the_middle(directory);
    let script = format!("[ -e died ] || {{ touch died; {crash} }}\nexec qemu-system-arm \"$@\"");
    let recordings = "x,label\n".to_owned() + &"1,a\n2,a\n-3,b\n2,b\n".repeat(5);
    fs::write(directory.join("person.csv"), recordings).expect("there is room");
    let options = "--board stm32f405 --recordings . --window 2 --objective softmax";
    let run = endless(directory, &script, options);
    let said = || said(directory);
    wait_until("it is named", || said().contains("started again: it ended with signal: 11"));
    wait_until("its rows are", || said().contains("stm32f405 1 has recorded its rows again"));
    let before = rounds(directory);
    wait_until("rounds are closed again", || rounds(directory) > before + 10);
    drop(run);
}

/// A board that is started again, and does not answer while it should record.
#[test]
fn run_is_stopped_in_order_or_fails_with_the_reason_while_a_board_records_again() {
    let test = "run_is_stopped_in_order_or_fails_with_the_reason_while_a_board_records_again";
    let Some(directory) = emulation(test, &["stm32f405"]) else { return };
    let directory = directory.path();
    let (crash, pid) = (crash_in_the_middle(directory), directory.join("pid"));
    let script = format!(
        "[ -e died ] && echo $$ >{} && exec qemu-system-arm \"$@\" -S\n\
         touch died; {crash}\nexec qemu-system-arm \"$@\"",
        text(&pid)
    );
    let recordings = "x,label\n".to_owned() + &"1,a\n2,a\n-3,b\n2,b\n".repeat(5);
    fs::write(directory.join("person.csv"), recordings).expect("there is room");
    let options = "--board stm32f405 --recordings . --window 2 --objective softmax";
    let id = || fs::read_to_string(&pid).ok()?.trim_end().parse().ok().and_then(Pid::from_raw);
    let start = || {
        let run = endless(directory, &script, options);
        wait_until("it starts again", || said(directory).contains("was started again"));
        wait_until("its process runs", || id().is_some());
        run
    };
    let mut run = start();
    run.signal(Signal::INT);
    assert_eq!(run.end().code(), Some(130), "{}", said(directory));
    assert!(!said(directory).contains("cannot be restarted"), "{}", said(directory));
    assert!(directory.join("doomed/report.html").exists());

    fs::remove_dir_all(directory.join("doomed")).expect("it exists");
    fs::remove_file(&pid).expect("it exists");
    let mut run = start();
    kill_process(id().expect("it was written"), Signal::KILL).expect("it runs");
    assert_eq!(run.end().code(), Some(2), "{}", said(directory));
    assert!(said(directory).contains("signal: 9 (SIGKILL), "), "{}", said(directory));
    assert!(said(directory).contains(", again"), "{}", said(directory));
}

/// An emulator that does not open its socket until the test ends it. It is then reported with its last line.
#[test]
fn slow_restart_of_an_emulator_does_not_delay_others() {
    let test = "slow_restart_of_an_emulator_does_not_delay_others";
    let Some(directory) = emulation(test, &["mps2-m3"]) else { return };
    let directory = directory.path();
    let (crash, place) = (crash_in_the_middle(directory), text(directory));
    let script = format!(
        "if mkdir {place}/taken 2>/dev/null; then touch mine; {crash}\n\
         elif [ -e mine ]; then until [ -e {place}/end ]; do sleep 0.05; done; echo no socket >&2; exit 3\n\
         fi\n\
         exec qemu-system-arm \"$@\""
    );
    let run = endless(directory, &script, "--board mps2-m3=2 --absent skip=1");
    let said = || said(directory);
    wait_until("it is named", || said().contains("mps2-m3 1 was started again"));
    let before = rounds(directory);
    // Few rounds: it must be ended before its time-out.
    wait_until("rounds go on without it", || rounds(directory) > before + 3);
    assert!(!said().contains("cannot be restarted"), "{}", said());
    fs::write(directory.join("end"), "").expect("there is room");
    wait_until("its end is named", || said().contains("exit status: 3, saying `no socket`"));
    let before = rounds(directory);
    wait_until("rounds go on without it for good", || rounds(directory) > before + 20);
    drop(run);
}
