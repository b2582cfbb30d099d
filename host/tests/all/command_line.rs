//! Tests of the binary in a fresh directory: its files, and its refusals.

mod numbers;
mod paths;
mod refusals;
#[cfg(unix)]
mod requests;
#[cfg(unix)]
mod surroundings;
mod tables;
mod theory;
mod time;

use crate::support::boards::{answering, board, board_named, ready, served_by, work, worker};
use crate::support::{Running, command, json_lines, smidgen, stderr, summary_of};
use serde_json::Value;
use smidgen_protocol::message::{Ready, VERSION};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use tempfile::{TempDir, tempdir};

/// Runs the binary, which must refuse, and returns its one error.
fn refusal_in(directory: &TempDir, arguments: &str) -> String {
    let output = smidgen(directory.path(), arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {text}");
    assert!(!text.contains("panicked"), "{arguments}: {text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments}: {text}");
    assert_once(errors[0]);
    errors[0].to_owned()
}

/// Asserts that no clause occurs twice: errors must not repeat their cause.
fn assert_once(sentence: &str) {
    let clauses: Vec<&str> = sentence.split(['(', ')', ':', ';', ',']).map(str::trim).collect();
    for (n, clause) in clauses.iter().enumerate().filter(|(_, clause)| clause.len() > 12) {
        assert!(!clauses[n + 1..].contains(clause), "`{clause}` occurs twice: {sentence}");
    }
}

fn refusal(arguments: &str) -> String {
    refusal_in(&tempdir().expect("there is room"), arguments)
}

fn assert_says(sentence: &str, words: &[&str]) {
    for word in words {
        assert!(sentence.contains(word), "`{word}` is not in: {sentence}");
    }
}

#[test]
fn simulation_writes_records_and_a_report() {
    let directory = tempdir().expect("there is room");
    let output = smidgen(directory.path(), "simulate --rows 200 --workers 3 --rounds 10 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let run = directory.path().join("run");
    let rounds = json_lines(&run.join("rounds.jsonl"));
    assert_eq!(rounds.len(), 11, "x^0 to x^10");
    let summary = summary_of(&run);
    let last = &rounds[10];
    assert_eq!(last["round"], 10);
    assert_eq!(summary["transcript"], last["transcript"]);
    assert_eq!(summary["rounds"], 10);
    for direction in ["uplink", "downlink"] {
        for count in ["payload_bytes", "wire_bytes", "frames", "retransmitted_frames"] {
            let sum: u64 =
                rounds.iter().map(|r| r[direction][count].as_u64().expect("a count")).sum();
            assert_eq!(summary[direction][count].as_u64(), Some(sum), "{direction} {count}");
        }
    }
    for key in ["l", "l_am", "l_qm", "gamma", "loss", "gradient_norm_squared", "wall_seconds"] {
        assert!(summary[key].is_f64(), "{key}");
    }
    assert_eq!(summary["configuration"]["workers"], 3);
    let report = fs::read_to_string(run.join("report.html")).expect("the report is there");
    assert!(report.contains("<svg"), "the report has pictures");

    fs::remove_file(run.join("report.html")).expect("it was there");
    let output = smidgen(directory.path(), "report run");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(run.join("report.html").exists(), "the report is there again");
}

#[test]
fn bytes_per_worker_sum_to_bytes_per_phase() {
    let directory = tempdir().expect("there is room");
    let faults = "--faults loss=0.1,corrupt=0.05,duplicate=0.1,split";
    let simulate = format!("simulate --rows 200 --workers 3 --rounds 10 {faults} --out run");
    assert!(smidgen(directory.path(), &simulate).status.success());
    let summary = summary_of(&directory.path().join("run"));
    let count = |value: &Value| value.as_u64().expect("a count");
    for direction in ["uplink", "downlink"] {
        for figure in ["payload_bytes", "wire_bytes", "frames", "retransmitted_frames"] {
            let workers = summary["workers"].as_array().expect("a list");
            let by_worker: u64 = workers.iter().map(|w| count(&w[direction][figure])).sum();
            let by_time: u64 = [&summary["setup"], &summary, &summary["closing"]]
                .map(|part| count(&part[direction][figure]))
                .iter()
                .sum();
            assert_eq!(by_worker, by_time, "{direction} {figure}");
        }
        assert!(count(&summary["closing"][direction]["wire_bytes"]) > 0, "{direction}");
    }
}

#[test]
fn diverging_run_is_reported() {
    let directory = tempdir().expect("there is room");
    let simulate = "simulate --rows 100 --step 1e9 --rounds 10 --out run";
    let output = smidgen(directory.path(), simulate);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_says(&stderr(&output), &["warning: the run diverged", "--step"]);
    assert_says(&String::from_utf8_lossy(&output.stdout), &["It diverged"]);
    let run = directory.path().join("run");
    assert!(!run.join("baseline.jsonl").exists(), "there is nothing to compare");
    let report = fs::read_to_string(run.join("report.html")).expect("the report is there");
    assert_says(&report, &["This run diverged"]);
}

#[test]
fn outcome_of_the_target_is_reported() {
    let directory = tempdir().expect("there is room");
    for (target, reached) in [("1", true), ("1e-30", false)] {
        let simulate = format!("simulate --rows 100 --rounds 3 --target {target} --out run");
        let output = smidgen(directory.path(), &simulate);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_says(&said, &[if reached { "was reached" } else { "was not reached" }]);
        let run = directory.path().join("run");
        assert_eq!(summary_of(&run)["target_reached"], reached);
    }
}

#[test]
fn replaced_run_is_reported() {
    let directory = tempdir().expect("there is room");
    let simulate = || stderr(&smidgen(directory.path(), "simulate --rows 50 --rounds 2 --out run"));
    assert!(!simulate().contains("replacing"));
    assert_says(&simulate(), &["replacing the run in run"]);
}

#[test]
fn report_of_a_killed_or_damaged_run_has_a_warning() {
    let directory = tempdir().expect("there is room");
    let output = smidgen(directory.path(), "simulate --rows 50 --rounds 5 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let run = directory.path().join("run");
    let rounds = fs::read(run.join("rounds.jsonl")).expect("the rounds are there");
    fs::write(run.join("rounds.jsonl"), &rounds[..rounds.len() - 20]).expect("there is room");
    fs::write(run.join("summary.json"), "{ \"finished\": fal").expect("there is room");
    assert_says(&refusal_in(&directory, "report run"), &["summary.json", "or remove it"]);
    fs::remove_file(run.join("summary.json")).expect("it was there");
    assert!(smidgen(directory.path(), "report run").status.success());
    let report = fs::read_to_string(run.join("report.html")).expect("the report is there");
    assert_says(&report, &["did not finish", "its 5 complete rounds"]);
}

#[test]
fn the_demo_leaves_a_report() {
    let directory = tempdir().expect("there is room");
    let output = smidgen(directory.path(), "demo --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_says(&String::from_utf8_lossy(&output.stdout), &["smidgen simulate --", "report.html"]);
    assert!(directory.path().join("run/report.html").exists());
}

#[test]
fn ports_are_listed_or_advice_is_given() {
    let output = smidgen(tempdir().expect("there is room").path(), "ports");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("PORT ") || said.contains("plug a board in"), "{said}");
}

#[test]
fn closed_stdout_is_not_a_failure() {
    let mut plan = Running::start(&mut command(Path::new("."), "plan --rows 50"));
    drop(plan.child().stdout.take());
    let output = plan.output();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn faults_on_real_links_do_not_change_the_transcript() {
    let directory = tempdir().expect("there is room");
    let options = "--rows 100 --rounds 10 --k 3";
    let faults = "--faults loss=0.1,corrupt=0.05,duplicate=0.1,split --seed 3";
    let (one, two) = (board(1), board(2));
    let run = format!("run --port {one} --port {two} {options} {faults} --out run");
    let output = smidgen(directory.path(), &run);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = smidgen(directory.path(), &format!("simulate --workers 2 {options} --out sim"));
    assert!(output.status.success(), "{}", stderr(&output));
    let [run, sim] = ["run", "sim"].map(|name| summary_of(&directory.path().join(name)));
    assert_eq!(run["transcript"], sim["transcript"]);
    let again = |direction: &str| run[direction]["retransmitted_frames"].as_u64().expect("a count");
    assert!(again("downlink") > 0, "nothing was lost: {run}");
}

#[test]
fn boards_on_sockets_give_the_transcript_of_simulation() {
    let directory = tempdir().expect("there is room");
    let options = "--rows 100 --rounds 10 --k 3";
    let (one, two) = (board(1), board(2));
    let run = format!("run --port {one} --port {two} {options} --out run");
    let output = smidgen(directory.path(), &run);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = smidgen(directory.path(), &format!("simulate --workers 2 {options} --out sim"));
    assert!(output.status.success(), "{}", stderr(&output));
    let transcripts = |name: &str| -> Vec<Value> {
        let rounds = json_lines(&directory.path().join(name).join("rounds.jsonl"));
        rounds.into_iter().map(|round| round["transcript"].clone()).collect()
    };
    assert_eq!(transcripts("run"), transcripts("sim"));
}

#[test]
fn command_line_takes_precedence_over_a_file() {
    let directory = tempdir().expect("there is room");
    fs::write(directory.path().join("run.toml"), "rows = 100\nrounds = 5\nk = 2\n").expect("room");
    let output = smidgen(directory.path(), "simulate --config run.toml --k 3 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary_of(&directory.path().join("run"));
    assert_eq!((&summary["configuration"]["k"], &summary["rounds"]), (&3.into(), &5.into()));
}

/// An experiment on a bundled data set and on a missing one.
const EXPERIMENT: &str = r#"
title = "Tiny"
paper = "Something."
measured = "Something else."
text = "For a test."
options = "--rows 100 --k 2 --rounds 20"
against = ["rounds"]
bars = true

[[panel]]
name = "here"
options = "--dataset digits"

[[panel]]
name = "nowhere"
options = "--dataset nowhere"

[[curve]]
label = "old step"
options = "--step qm"

[[curve]]
label = "new step"
options = "--step am"
"#;

#[test]
fn experiments_with_data_run_and_others_are_skipped() {
    let directory = tempdir().expect("there is room");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("tiny.toml"), EXPERIMENT).expect("there is room");
    let output = smidgen(directory.path(), "reproduce tiny.toml --data data --out page");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let skipped: Vec<_> = said.lines().filter(|line| line.starts_with("SKIPPED: ")).collect();
    assert_eq!(skipped.len(), 2, "at the beginning and at the end: {said}");
    let file = Path::new("data").join("nowhere").display().to_string();
    assert_says(skipped[0], &["tiny, nowhere", &file, "LIBSVM data page", "csie.ntu", "--data"]);
    assert_says(&said, &["tiny, here, new step: round 20, ‖∇f‖²"]);

    let page = fs::read_to_string(path("page/reproduction.md")).expect("the page is there");
    assert_says(&page, &["## Tiny", "| Something. | Something else. |", "`--step am`"]);
    for chart in ["tiny-here-rounds.svg", "tiny-here-bytes.svg"] {
        assert!(page.contains(&format!("(reproduction/{chart})")), "{page}");
        assert!(path("page/reproduction").join(chart).exists(), "{chart}");
    }
    assert_says(&page, &["**nowhere** is not run: no data for `--dataset nowhere`."]);
    assert_eq!(page.matches("nowhere").count(), 2, "{page}");
}
