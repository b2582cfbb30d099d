//! Tests of the binary when it is killed at any time, interrupted, or given damaged files: a run resumes from its
//! latest valid checkpoint and ends like an undisturbed one.

use crate::support::{
    self, Running, command, ignore, make_pipe, smidgen as run, stderr, summary_of, transcripts,
    wait_until,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

/// Number of kills.
const KILLS: usize = 200;
/// Longest time from the start of a run to its kill, in microseconds.
const KILL_TIME_MAX_US: u64 = 120_000;
const RUN: &str =
    "simulate --rows 200 --workers 3 --k 2 --rounds 3000 --checkpoint-every 7 --out run";

fn records(directory: &Path) -> String {
    support::records(&directory.join("run"))
}

/// Returns the records of an undisturbed run.
fn undisturbed(arguments: &str) -> String {
    let folder = tempdir().expect("there is room");
    let output = run(folder.path(), arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    records(folder.path())
}

/// Starts an endless run, and waits until it is under way.
fn under_way(directory: &Path, command: &mut Command) -> Running {
    let file = directory.join("run/rounds.jsonl");
    let mut running = Running::start(command);
    running.wait_until("it is under way", || {
        fs::metadata(&file).is_ok_and(|file| file.len() > 10_000)
    });
    running
}

fn endless(options: &str) -> String {
    RUN.replace("3000", "3000000") + options
}

/// Returns the checkpoints in the directory of a run, the latest first.
fn checkpoints(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("run")).expect("there is a run");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let name =
        |path: &PathBuf| path.file_name().expect("it has a name").to_string_lossy().into_owned();
    let mut found: Vec<_> = paths
        .filter(|path| name(path).starts_with("checkpoint-") && !name(path).ends_with(".part"))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found
}

/// Starts and resumes a run until it ends by itself, killing it after random times. Returns the number of kills.
fn tormented(folder: &TempDir, rng: &mut ChaCha8Rng) -> usize {
    let (mut kills, mut arguments) = (0, RUN);
    // On a busy machine a run may need longer to make progress, so the longest time grows until it does.
    let (mut longest_us, mut reached) = (KILL_TIME_MAX_US, 0);
    for _ in 0..10 * KILLS {
        let child = Running::start(&mut command(folder.path(), arguments));
        sleep(Duration::from_micros(rng.random_range(0..longest_us)));
        child.signal(Signal::KILL);
        let output = child.output();
        let said = stderr(&output);
        match output.status.code() {
            Some(0) => return kills,
            // It was killed after its last checkpoint.
            Some(2) if said.contains("the run is complete") => return kills,
            // It was killed before its first one.
            Some(2) if said.contains("no checkpoint") || said.contains("name the directory") => {
                arguments = RUN;
            }
            Some(code) => panic!("it ended with {code}: {said}"),
            None => (kills, arguments) = (kills + 1, "resume run"),
        }
        let len = fs::metadata(folder.path().join("run/rounds.jsonl")).map_or(0, |file| file.len());
        longest_us =
            if len > reached { KILL_TIME_MAX_US } else { longest_us + KILL_TIME_MAX_US / 10 };
        reached = reached.max(len);
    }
    panic!("the run does not finish");
}

#[test]
fn two_hundred_kills_do_not_change_the_transcript() {
    let whole = undisturbed(RUN);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let folder = tempdir().expect("there is room");
        kills += tormented(&folder, &mut rng);
        runs += 1;
        assert_eq!(transcripts(&records(folder.path())), transcripts(&whole), "run {runs}");
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn damaged_checkpoints_are_skipped_and_reported() {
    let folder = tempdir().expect("there is room");
    assert!(run(folder.path(), &RUN.replace("3000", "40")).status.success());
    let [latest, before] = &checkpoints(folder.path())[..] else { panic!("two are kept") };
    let bytes = fs::read(latest).expect("it can be read");
    fs::write(latest, &bytes[..bytes.len() - 3]).expect("it can be written");

    let output = run(folder.path(), "resume run --rounds 3000");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("checkpoint-0000000040: it is damaged or truncated"), "{said}");
    assert_eq!(transcripts(&records(folder.path())), transcripts(&undisturbed(RUN)));
    assert!(!before.exists(), "later ones have taken its place");

    let latest = &checkpoints(folder.path())[0];
    let mut newer = b"smidgen checkpoint 7\n".to_vec();
    newer.extend(crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(&newer).to_le_bytes());
    fs::write(latest, &newer).expect("it can be written");
    let output = run(folder.path(), "resume run --rounds 3001");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another version of smidgen"), "{}", stderr(&output));
    assert_eq!(fs::read(latest).expect("it is there"), newer, "nothing is lost");
}

#[test]
fn changed_data_and_lost_records_are_refused() {
    let folder = tempdir().expect("there is room");
    let path = folder.path().join("data.txt");
    let rows = |last: &str| format!("{}-1 2:{last}\n", "1 1:0.5\n-1 2:1 3:0.25\n".repeat(20));
    fs::write(&path, rows("1")).expect("there is room");
    let arguments = "simulate --dataset data.txt --k 1 --rounds 30 --checkpoint-every 10 --out run";
    assert!(run(folder.path(), arguments).status.success());

    fs::write(&path, rows("2")).expect("there is room");
    let output = run(folder.path(), "resume run --rounds 50");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("have changed since the checkpoint"), "{}", stderr(&output));

    fs::write(&path, rows("1")).expect("there is room");
    let file = folder.path().join("run/rounds.jsonl");
    let all = fs::read_to_string(&file).expect("it can be read");
    fs::write(&file, &all[..all.len() / 2]).expect("it can be written");
    let output = run(folder.path(), "resume run --rounds 50");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("ends before round 30"), "{}", stderr(&output));
}

#[test]
fn failed_checkpoint_write_ends_the_run_and_keeps_earlier_ones() {
    let folder = tempdir().expect("there is room");
    let arguments = endless(" --checkpoint-dir run/safe");
    let mut child = Running::start(&mut command(folder.path(), &arguments));
    let safe = folder.path().join("run/safe");
    let written = || fs::read_dir(&safe).is_ok_and(|entries| entries.count() > 2);
    child.wait_until("it keeps some", written);
    let aside = folder.path().join("aside");
    fs::rename(&safe, &aside).expect("it can be moved");
    let output = child.output();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));

    fs::rename(&aside, &safe).expect("it can be moved");
    let output = run(folder.path(), "resume run/safe --rounds 3000");
    let complete = stderr(&output).contains("the run is complete");
    assert!(output.status.success() || complete, "{}", stderr(&output));
}

/// A moved run is resumed in its new place, and a new run under its old name is not touched.
#[test]
fn moved_run_resumes_next_to_a_new_run_of_its_old_name() {
    let folder = tempdir().expect("there is room");
    let at = |name: &str| folder.path().join(name);
    assert!(run(folder.path(), &RUN.replace("3000", "40")).status.success());
    fs::rename(at("run"), at("moved")).expect("it can be moved");
    assert!(run(folder.path(), &RUN.replace("3000", "60")).status.success());
    let other = fs::read(at("run/rounds.jsonl")).expect("it is there");

    let output = run(folder.path(), "resume moved --rounds 50");
    assert!(output.status.success(), "{}", stderr(&output));
    let count = |name: &str| fs::read_to_string(at(name)).expect("it is there").lines().count();
    assert_eq!(count("moved/rounds.jsonl"), 51);
    assert_eq!(fs::read(at("run/rounds.jsonl")).expect("it is there"), other);

    // Records of another run next to the checkpoints are not taken for its own.
    let altered =
        String::from_utf8(other).expect("it is text").replacen("40,\"loss\":", "40,\"loss\":1", 1);
    fs::write(at("moved/rounds.jsonl"), altered.replace("\"transcript\":\"", "\"transcript\":\"0"))
        .expect("it can be written");
    let output = run(folder.path(), "resume moved --rounds 70");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("belongs to another run"), "{}", stderr(&output));
}

/// Copies a directory recursively.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it can be read") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("it is one");
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        }
    }
}

#[test]
fn copied_run_resumes_in_the_copy() {
    for (checkpoint, named) in
        [("", "copy/run"), ("run/safe", "copy/run/safe"), ("safe", "copy/safe")]
    {
        let folder = tempdir().expect("there is room");
        let original = folder.path().join("original");
        fs::create_dir(&original).expect("it can be made");
        let mut arguments = RUN.replace("3000", "20");
        if !checkpoint.is_empty() {
            arguments += &format!(" --checkpoint-dir {checkpoint}");
        }
        assert!(run(&original, &arguments).status.success());
        let before = records(&original);
        copy(&original, &folder.path().join("copy"));

        let output = run(folder.path(), &format!("resume {named} --rounds 30"));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(records(&original), before, "{named}: the original is left alone");
        assert_eq!(records(&folder.path().join("copy")).lines().count(), 31, "{named}");
        let output = run(folder.path(), &format!("resume {named} --rounds 31"));
        assert!(output.status.success(), "again: {}", stderr(&output));
    }
}

/// If its last records are damaged, a run resumes from a checkpoint that matches the records before, to the same
/// transcript.
#[test]
fn resumed_run_starts_before_the_damage_in_its_records() {
    let folder = tempdir().expect("there is room");
    assert!(run(folder.path(), &RUN.replace("3000", "40")).status.success());
    let saved = folder.path().join("saved");
    copy(&folder.path().join("run"), &saved);
    let whole = records(folder.path());
    let last = whole.trim_end().rfind('\n').expect("there are lines") + 1;
    let third = whole.match_indices('\n').nth(2).expect("there are lines").0 + 1;
    let fourth = whole.match_indices('\n').nth(3).expect("there are lines").0 + 1;
    let cases = [
        (whole[..last].to_owned(), Ok("ends before round 40")),
        (whole[..last + 20].to_owned(), Ok("ends before round 40")),
        (whole[..last].to_owned() + "\0\0\0\0", Ok("ends before round 40")),
        (whole[..last].to_owned() + "\0\0\n", Ok("line 41")),
        (whole[..third].to_owned() + &whole[fourth..], Err("round 3 is missing")),
        (whole[..third].to_owned() + "{}\n" + &whole[fourth..], Err("line 4")),
    ];
    for (text, outcome) in cases {
        let directory = folder.path().join("run");
        fs::remove_dir_all(&directory).expect("it can be removed");
        copy(&saved, &directory);
        fs::write(directory.join("rounds.jsonl"), &text).expect("there is room");
        let output = run(folder.path(), "resume run --rounds 60");
        let said = stderr(&output);
        let (code, words) = match outcome {
            Ok(words) => (0, words),
            Err(words) => (2, words),
        };
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "`{words}` is not in: {said}");
        if code == 0 {
            let undisturbed = undisturbed(&RUN.replace("3000", "60"));
            assert_eq!(transcripts(&records(folder.path())), transcripts(&undisturbed));
        } else {
            assert_eq!(records(folder.path()), text, "nothing is lost");
        }
    }
}

#[test]
fn files_that_are_not_regular_do_not_block_report_or_resume() {
    let folder = tempdir().expect("there is room");
    let at = |name: &str| folder.path().join("run").join(name);
    assert!(run(folder.path(), &RUN.replace("3000", "20")).status.success());
    make_pipe(&at("checkpoint-0000000900"));
    fs::create_dir(at("checkpoint-0000000901")).expect("it can be made");
    let output = run(folder.path(), "resume run --rounds 30");
    let said = stderr(&output);
    assert!(
        said.contains("checkpoint-0000000900: it cannot be read: it is a named pipe"),
        "{said}"
    );
    assert!(said.contains("checkpoint-0000000901: it cannot be read: it is a directory"), "{said}");
    assert!(output.status.success(), "{said}");

    let mut rounds = 30;
    for name in ["rounds.jsonl", "summary.json", "baseline.jsonl"] {
        let before = fs::read(at(name)).unwrap_or_default();
        let _ = fs::remove_file(at(name));
        make_pipe(&at(name));
        rounds += 10;
        for command in ["report run".into(), format!("resume run --rounds {rounds}")] {
            let output = run(folder.path(), &command);
            let said = stderr(&output);
            if command.starts_with("report") || name == "rounds.jsonl" {
                assert_eq!(output.status.code(), Some(2), "{name}, {command}: {said}");
                assert!(
                    said.contains("is a named pipe, not a regular file"),
                    "{name}, {command}: {said}"
                );
            } else {
                assert!(output.status.success(), "it is replaced: {name}, {command}: {said}");
            }
        }
        if name == "rounds.jsonl" {
            fs::remove_file(at(name)).expect("it is there");
            fs::write(at(name), before).expect("there is room");
        }
    }
}

/// A resumed run that read its data from a stream would wait forever.
#[test]
fn run_whose_data_are_not_a_regular_file_is_not_resumed() {
    let rows = "1 1:0.5\n-1 2:1 3:0.25\n".repeat(20);
    for (dataset, what) in [
        ("data", "it is a named pipe, not a regular file"),
        ("/dev/stdin", "it is a named pipe, not a regular file"),
        ("data", "it is a directory, not a regular file"),
        ("data", "No such file or directory (os error 2)"),
    ] {
        let folder = tempdir().expect("there is room");
        let data = folder.path().join("data");
        let options = "--workers 2 --k 1 --rounds 3 --out run";
        fs::write(&data, &rows).expect("there is room");
        let mut simulate =
            command(folder.path(), &format!("simulate --dataset {dataset} {options}"));
        simulate.stdin(fs::File::open(&data).expect("it is there"));
        let output = simulate.output().expect("the binary starts");
        assert!(output.status.success(), "{}", stderr(&output));
        let before = records(folder.path());

        fs::remove_file(&data).expect("it is there");
        if what.contains("a directory") {
            fs::create_dir(&data).expect("there is room");
        } else if what.contains("a named pipe") {
            make_pipe(&data);
        }
        // Its standard input stays open, without data.
        let mut resume = command(folder.path(), "resume run --rounds 5");
        let resume = Running::start(resume.stdin(Stdio::piped()));
        wait_until(&format!("{dataset}, {what}: it has ended"), || resume.has_ended());
        let output = resume.output();
        let said = stderr(&output);
        let sentence = format!(
            "error: the data in {dataset} cannot be read again: {what}; \
             replace it by a regular file with the same data, or start the run again\n"
        );
        assert_eq!((output.status.code(), &said), (Some(2), &sentence));
        assert_eq!(records(folder.path()), before, "nothing is lost");
    }
}

/// Every command that would write to the directory of a running process is refused, and the run is not disturbed.
#[test]
fn second_writer_is_refused_with_the_name_of_the_first() {
    for checkpoint in ["", " --checkpoint-dir safe"] {
        let folder = tempdir().expect("there is room");
        let child = under_way(folder.path(), &mut command(folder.path(), &endless(checkpoint)));
        let elsewhere =
            format!("{} --out other --checkpoint-dir safe", RUN.replace(" --out run", ""));
        let resumed = if checkpoint.is_empty() { "resume run" } else { "resume safe" };
        let mut others = vec![RUN.to_owned(), resumed.into(), "demo --out run".into()];
        others.extend((!checkpoint.is_empty()).then_some(elsewhere));
        for other in others {
            let output = run(folder.path(), &other);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{other}: {said}");
            let holder = format!("process {} (", child.id());
            assert!(said.contains(&holder) && said.contains("is writing to"), "{other}: {said}");
        }
        assert!(run(folder.path(), "report run").status.success(), "reading needs no lock");
        assert!(!child.has_ended(), "it is not disturbed");
        drop(child);

        let rounds = records(folder.path()).lines().count() + 50;
        let output = run(folder.path(), &format!("{resumed} --rounds {rounds}"));
        assert!(output.status.success(), "a killed run leaves no lock: {}", stderr(&output));
        let whole = undisturbed(&RUN.replace("3000", &rounds.to_string()));
        assert_eq!(transcripts(&records(folder.path())), transcripts(&whole));
    }
}

/// Runs the binary with a limit on the size of files, in bytes.
fn limited(directory: &Path, arguments: &str, limit: u64) -> Output {
    use rustix::process::{Resource, Rlimit, setrlimit};
    use std::os::unix::process::CommandExt;

    let mut command = command(directory, arguments);
    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
    let limit = move || Ok(setrlimit(Resource::Fsize, limit)?);
    // SAFETY: between fork and exec the closure makes only one system call, which is async-signal-safe.
    unsafe { command.pre_exec(limit) };
    command.output().expect("the binary starts")
}

/// Like on a full disk, whichever file does not fit: one error, no partial file, and the run can be resumed later.
#[test]
fn full_disk_is_an_error_and_the_run_can_be_resumed() {
    let arguments = RUN.replace("3000", "60");
    let whole = undisturbed(&arguments);
    let mut outcomes = std::collections::BTreeSet::new();
    let mut resumed = 0;
    for limit in [0, 100, 3_000, 10_000, 20_000, 30_000, 60_000, 1 << 30] {
        let folder = tempdir().expect("there is room");
        let output = limited(folder.path(), &arguments, limit);
        let said = stderr(&output);
        outcomes.insert(output.status.code());
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(2), "{limit}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{limit}: {said}");
        assert!(said.contains("raise the limit on the size of files"), "{limit}: {said}");
        let entries = fs::read_dir(folder.path().join("run")).expect("it was made");
        let names = entries.map(|entry| entry.expect("it can be read").file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
        assert!(left.is_empty(), "{limit}: {left:?}");
        if said.contains("smidgen resume run") {
            resumed += 1;
            let output = run(folder.path(), "resume run");
            let complete = stderr(&output).contains("the run is complete");
            assert!(output.status.success() || complete, "{limit}: {}", stderr(&output));
            assert_eq!(transcripts(&records(folder.path())), transcripts(&whole), "{limit}");
        }
    }
    assert!(resumed > 1, "some runs can be resumed: {resumed}");
    assert_eq!(outcomes.len(), 2, "some limits are in the way and some are not: {outcomes:?}");
}

#[test]
fn broken_symbolic_link_is_named() {
    let folder = tempdir().expect("there is room");
    for (link, to) in [("dangling", "nowhere"), ("looping", "looping")] {
        std::os::unix::fs::symlink(to, folder.path().join(link)).expect("it can be made");
        for option in [
            format!("--out {link}"),
            format!("--out {link}/run"),
            format!("--checkpoint-dir {link}"),
        ] {
            let output = run(folder.path(), &format!("simulate --rows 50 --rounds 2 {option}"));
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{option}: {said}");
            assert!(
                said.contains(&format!("{link} is a broken symbolic link")),
                "{option}: {said}"
            );
        }
    }
}

/// Options given to `resume` hold for later resumptions, and a run that has reached its target is complete.
#[test]
fn goals_outlive_the_process() {
    let folder = tempdir().expect("there is room");
    assert!(run(folder.path(), &RUN.replace("3000", "20")).status.success());
    assert!(run(folder.path(), "resume run --rounds 30").status.success());
    let output = run(folder.path(), "resume run");
    assert!(stderr(&output).contains("complete, with 30 rounds"), "{}", stderr(&output));

    let target = format!("{} --target 1e-2", RUN.replace("--out run", "--out target"));
    assert!(run(folder.path(), &target).status.success());
    let output = run(folder.path(), "resume target");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the run is complete"), "{}", stderr(&output));
}

#[test]
fn methods_that_cannot_be_resumed_write_no_checkpoints() {
    let folder = tempdir().expect("there is room");
    let arguments = "simulate --rows 50 --rounds 5 --method ef14 --step 0.1 --out run";
    let output = run(folder.path(), &format!("{arguments} --checkpoint-dir run"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("has a vector that the host does not know"),
        "{}",
        stderr(&output)
    );
    assert!(run(folder.path(), arguments).status.success());
    assert_eq!(checkpoints(folder.path()).len(), 0);
}

#[test]
fn summary_survives_a_resumption() {
    let arguments = "simulate --rows 200 --workers 3 --constants boards --out run --rounds";
    let summary = |folder: &TempDir| summary_of(&folder.path().join("run"));
    let [whole, parted] = [(); 2].map(|()| tempdir().expect("there is room"));
    assert!(run(whole.path(), &format!("{arguments} 40")).status.success());
    assert!(run(parted.path(), &format!("{arguments} 20")).status.success());
    let before = summary(&parted);
    assert!(run(parted.path(), "resume run --rounds 40").status.success());
    let (whole, parted) = (summary(&whole), summary(&parted));
    for field in ["l", "l_am", "l_qm", "gamma", "theory_gamma", "saturated", "transcript"] {
        assert_eq!(parted[field], whole[field], "{field}");
    }
    assert!(parted["l_am"].is_number() && parted["l"].is_null());
    assert!(parted["wall_seconds"].as_f64() > before["wall_seconds"].as_f64());
    assert!(parted["elapsed_seconds"].as_f64() > before["elapsed_seconds"].as_f64());
    for (worker, before) in (0..3).map(|worker| (worker, &before["workers"][worker]["times"])) {
        let times = &parted["workers"][worker]["times"];
        assert_eq!((&before["rounds"], &times["rounds"]), (&21.into(), &41.into()));
        let round_trip = |times: &serde_json::Value| times["total"]["round_trip_seconds"].as_f64();
        assert!(round_trip(times) > round_trip(before), "{times} and {before}");
    }
}

#[test]
fn interrupted_run_stops_in_order_and_can_be_resumed() {
    for request in [Signal::INT, Signal::TERM] {
        let folder = tempdir().expect("there is room");
        let child = under_way(folder.path(), &mut command(folder.path(), &endless("")));
        child.signal(request);
        let output = child.output();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stderr(&output).contains("`smidgen resume run` resumes it"), "{}", stderr(&output));
        assert!(folder.path().join("run/report.html").exists());

        let rounds = records(folder.path()).lines().count();
        let output = run(folder.path(), &format!("resume run --rounds {}", rounds + 100));
        assert!(output.status.success(), "{}", stderr(&output));
        let whole = undisturbed(&RUN.replace("3000", &format!("{}", rounds + 100)));
        assert_eq!(transcripts(&records(folder.path())), transcripts(&whole));
    }
}

/// These tests may themselves ignore SIGINT, if a script starts `cargo test &`.
#[test]
fn tests_in_the_background_can_interrupt_their_children() {
    let test = "resume::interrupted_run_stops_in_order_and_can_be_resumed";
    let tests = std::env::current_exe().expect("this is one");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP INT TERM; exec \"$0\" --exact \"$1\""]).arg(tests).arg(test);
    let output = shell.output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", stderr(&output));
}

#[test]
fn run_in_the_background_ignores_sigint_and_handles_sigterm() {
    let folder = tempdir().expect("there is room");
    let mut run = command(folder.path(), &endless(""));
    ignore(&mut run, &[Signal::INT]);
    let mut child = under_way(folder.path(), &mut run);
    child.signal(Signal::INT);
    let rounds = || records(folder.path()).lines().count();
    let before = rounds();
    child.wait_until("rounds close after SIGINT", || rounds() > before + 1000);
    child.signal(Signal::TERM);
    let output = child.output();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
}
