//! The real binary in a fresh directory: what it leaves, and how it refuses.

use embedded_io_adapters::std::FromStd;
use serde_json::Value;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{Ready, SCHEMA, Up, VERSION};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use tempfile::{TempDir, tempdir};

/// Runs `smidgen` in `directory`.
fn smidgen(directory: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smidgen"))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it in a fresh directory and returns the one sentence with which it refuses.
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

/// A cause that is said twice is one that a reader must compare with itself.
fn assert_once(sentence: &str) {
    let clauses: Vec<&str> = sentence.split(['(', ')', ':', ';', ',']).map(str::trim).collect();
    for (n, clause) in clauses.iter().enumerate().filter(|(_, clause)| clause.len() > 12) {
        assert!(!clauses[n + 1..].contains(clause), "`{clause}` is said twice: {sentence}");
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

/// A line that somebody serves: `smidgen run --port` gets its address.
fn served_by(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    format!("tcp:{address}")
}

/// A board behind a line.
fn board(identity: u64) -> String {
    served_by(move |stream| {
        let board = Board { name: "thread", identity };
        let mut worker = Worker::new::<Logistic>(board, vec![0; 1 << 14]);
        // The host hanging up ends the board, with an error or without.
        let _ = serve(&mut FromStd::new(stream), &mut worker, &mut Logistic, &mut ());
    })
}

fn summary_of(run: &Path) -> Value {
    let text = fs::read(run.join("summary.json")).expect("the summary is there");
    serde_json::from_slice(&text).expect("the summary is JSON")
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the records are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn a_simulation_leaves_records_and_a_report() {
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
fn the_bytes_of_the_workers_are_those_of_setup_rounds_and_closing() {
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
fn a_diverging_run_is_called_one() {
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
fn a_target_is_said_to_be_reached_or_not() {
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
fn a_run_says_that_it_replaces_another() {
    let directory = tempdir().expect("there is room");
    let simulate = || stderr(&smidgen(directory.path(), "simulate --rows 50 --rounds 2 --out run"));
    assert!(!simulate().contains("replacing"));
    assert_says(&simulate(), &["replacing the run in run"]);
}

#[test]
fn the_report_of_a_killed_or_damaged_run_says_so() {
    let directory = tempdir().expect("there is room");
    let output = smidgen(directory.path(), "simulate --rows 50 --rounds 5 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let run = directory.path().join("run");
    let rounds = fs::read(run.join("rounds.jsonl")).expect("the rounds are there");
    fs::write(run.join("rounds.jsonl"), &rounds[..rounds.len() - 20]).expect("there is room");
    fs::write(run.join("summary.json"), "{ \"finished\": fal").expect("there is room");
    assert_says(&refusal_in(&directory, "report run"), &["summary.json", "remove the file"]);
    fs::remove_file(run.join("summary.json")).expect("it was there");
    assert!(smidgen(directory.path(), "report run").status.success());
    let report = fs::read_to_string(run.join("report.html")).expect("the report is there");
    assert_says(&report, &["did not come to its end", "the 5 rounds that are whole"]);
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
fn ports_are_listed_or_their_lack_is_explained() {
    let output = smidgen(tempdir().expect("there is room").path(), "ports");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("PORT ") || said.contains("plug a board in"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_reader_who_has_heard_enough_is_no_failure() {
    let mut plan = Command::new(env!("CARGO_BIN_EXE_smidgen"))
        .args(["plan", "--rows", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(plan.stdout.take());
    let output = plan.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_written_nothing_is_sent() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let plan = Command::new(env!("CARGO_BIN_EXE_smidgen"))
        .args(["plan", "--rows", "50"])
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(plan.status.code(), Some(2));
    assert_says(&stderr(&plan), &["error: cannot write to standard output"]);

    let output = smidgen(Path::new("/"), "simulate --rows 50 --rounds 2 --out /proc/run");
    assert_eq!(output.status.code(), Some(2));
    assert_says(&stderr(&output), &["error: cannot write /proc/run"]);
    assert!(!stderr(&output).contains("sending shards"), "{}", stderr(&output));
}

#[test]
fn faults_on_real_links_cost_frames_and_leave_the_transcript() {
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
fn boards_behind_sockets_give_the_transcript_of_simulation() {
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
fn a_plan_tells_memory_bytes_and_seconds() {
    let directory = tempdir().expect("there is room");
    for (chance, mean) in [("", "the mean"), ("--compressor randk", "the expected mean")] {
        let output = smidgen(directory.path(), &format!("plan --rows 400 {chance}"));
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_says(&text, &["d = 64", "microbit", "up a board", "115200 baud", "γ_qm", "L_AM"]);
        assert_says(&text, &[&format!("In so many rounds {mean} of ‖∇f‖² is at most")]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "it fits: {text}");
    }
    assert!(
        fs::read_dir(directory.path()).expect("there").next().is_none(),
        "a plan leaves nothing"
    );
}

/// The names in an object, in their order.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn a_plan_in_json_has_names_that_stay() {
    let directory = tempdir().expect("there is room");
    let arguments =
        "plan --rows 400 --lambda 0 --k 1,2,4,8 --participation 0.5 --target 1e-3 --json";
    let output = smidgen(directory.path(), arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(
        names(&plan),
        [
            "alpha",
            "batch",
            "baud",
            "boards",
            "dataset",
            "dimension",
            "gamma",
            "gamma_tuned",
            "in_expectation",
            "k",
            "memory_bytes",
            "method",
            "noise_floor",
            "participation",
            "quantisation_error",
            "rare_features",
            "rounding_loss",
            "rows",
            "smoothness",
            "step",
            "steps",
            "target",
            "theory_gamma",
            "traffic",
            "trial",
            "update",
            "value_bits",
            "workers",
            "xi",
        ]
    );
    assert_eq!(names(&plan["smoothness"]), ["l", "l_am", "l_i", "l_qm", "l_var"]);
    assert_eq!(names(&plan["rare_features"]), ["c_w", "r"]);
    assert_eq!(
        names(&plan["target"]),
        ["gradient_norm_squared", "is_given", "start_gradient_norm_squared"]
    );
    assert_eq!(names(&plan["trial"]), ["gradient_norm_squared", "rounds", "target_round"]);
    let traffic = &plan["traffic"];
    let parts = ["round", "run", "setup", "to_target_by_theory", "to_target_in_trial"];
    assert_eq!(names(traffic), parts);
    for part in parts {
        assert_eq!(
            names(&traffic[part]),
            [
                "downlink_bytes_per_board",
                "link_seconds",
                "rounds",
                "total_bytes",
                "uplink_bytes_per_board",
            ]
        );
    }
    let steps = plan["steps"].as_array().expect("a list");
    let number = |value: &Value| value.as_f64().expect("a number");
    for (step, name) in steps.iter().zip(["qm", "am", "exact", "clone", "rare"]) {
        assert_eq!(names(step), ["formula", "gamma", "gamma_over_qm", "name", "rounds_to_target"]);
        assert_eq!(step["name"], name);
        let gain = number(&step["gamma"]) / number(&steps[0]["gamma"]);
        assert!((number(&step["gamma_over_qm"]) / gain - 1.0).abs() < 1e-12);
    }
    let per_worker = ["k", "alpha", "xi", "participation"].map(|name| &plan[name]);
    for list in per_worker.into_iter().chain([&plan["smoothness"]["l_i"]]) {
        assert_eq!(list.as_array().map(Vec::len), Some(4));
    }
    assert_eq!(traffic["to_target_in_trial"]["rounds"], number(&plan["trial"]["target_round"]));
    assert_eq!(traffic["to_target_by_theory"]["rounds"], steps[1]["rounds_to_target"]);
    assert!(plan["update"].is_null(), "who does not take part sends next to nothing");
}

#[test]
fn options_come_from_a_file_and_the_command_line_wins() {
    let directory = tempdir().expect("there is room");
    fs::write(directory.path().join("run.toml"), "rows = 100\nrounds = 5\nk = 2\n").expect("room");
    let output = smidgen(directory.path(), "simulate --config run.toml --k 3 --out run");
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary_of(&directory.path().join("run"));
    assert_eq!((&summary["configuration"]["k"], &summary["rounds"]), (&3.into(), &5.into()));
}

#[test]
fn bad_data_are_refused() {
    let directory = tempdir().expect("there is room");
    let file = |name: &str, content: &[u8]| {
        fs::write(directory.path().join(name), content).expect("there is room");
    };
    file("1.txt", b"+1 1:0.5 2:1\n-1 1:0.25 2:");
    file("2.txt", b"these are words\n");
    file("3.txt", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    file("4.txt", b"");
    file("5.txt", b"+1 1:0.5 2:-1e160\n-1 1:2\n+1 2:1\n-1 2:2\n");
    let refusal = |dataset: &str| refusal_in(&directory, &format!("simulate --dataset {dataset}"));
    assert_says(&refusal("1.txt"), &["1.txt, line 2, column 11", "cut short"]);
    assert_says(&refusal("2.txt"), &["2.txt, line 1, column 1"]);
    assert_says(&refusal("3.txt"), &["3.txt", "unpack"]);
    assert_says(&refusal("4.txt"), &["4.txt", "empty"]);
    assert_says(&refusal("5.txt"), &["5.txt", "-1e160 in column 2", "scale the data"]);
    assert_says(&refusal("nowhere"), &["nowhere", "digits", "breast-cancer"]);
}

#[test]
fn impossible_options_are_refused() {
    assert_says(&refusal("simulate --k 65"), &["--k 65", "64"]);
    assert_says(&refusal("simulate --workers 2000"), &["1797 rows", "2000 workers"]);
    assert_says(&refusal("simulate --rows 0"), &["1797"]);
    assert_says(&refusal("simulate --split one-each --workers 3"), &["1797 workers", "not 3"]);
    for option in ["--k", "--participation"] {
        let sentence = refusal(&format!("simulate --rows 50 --workers 3 {option} 1,1"));
        assert_says(&sentence, &[option, "2 values for 3 workers", "one for each"]);
    }
    assert_says(&refusal("simulate --rows 50 --faults loss=1"), &["--faults", "--baud"]);
    assert_says(&refusal("simulate --value-bits 1"), &["--value-bits"]);
    assert_says(&refusal("simulate --batch 0"), &["--batch"]);
    // On the wire a seed has 32 bits, so a larger one would be another's alias.
    assert_says(&refusal("simulate --seed 4294967295"), &["--seed", "4294967294"]);
    for step in ["qm", "am"] {
        let options = format!("--method ef21-sgdm --participation 0.5 --step {step}");
        let sentence = refusal(&format!("simulate --rows 50 {options}"));
        assert_says(&sentence, &[step, "ef21-sgdm", "--participation", "auto or a number"]);
    }
    assert_says(&refusal("simulate --rows 50 --step rare"), &["--step rare", "--lambda 0"]);
    assert_says(&refusal("simulate --method gd --batch 9"), &["--method gd", "--batch", "ef21"]);
    for without_all in ["--batch 9", "--absent skip"] {
        let watched = refusal(&format!("simulate --check-theory --step am {without_all}"));
        assert_says(&watched, &["--check-theory", "all workers with all rows"]);
    }
    assert_says(&refusal("simulate --faults loss=2"), &["loss=2"]);
    assert_says(&refusal("emulate --board arduino"), &["arduino", "microbit"]);
    assert_says(&refusal("image --board arduino"), &["arduino", "microbit"]);
    assert_says(&refusal("report nowhere"), &["nowhere"]);
    assert_says(&refusal("simulate --config nowhere.toml"), &["nowhere.toml"]);
}

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let directory = tempdir().expect("there is room");
    fs::write(directory.path().join("thesis.tex"), "years of work").expect("there is room");
    assert_says(&refusal_in(&directory, "simulate --rows 50 --rounds 2 --out ."), &["no run"]);
}

#[test]
fn a_port_that_does_not_exist_is_refused() {
    assert_says(&refusal("run --port /dev/nowhere"), &["/dev/nowhere", "smidgen ports"]);
    assert_says(&refusal("run --port unix:/nowhere"), &["/nowhere"]);
}

#[test]
fn a_port_where_something_else_talks_is_refused() {
    let chatter = served_by(|mut stream| {
        for _ in 0..200 {
            if stream.write_all(b"$GPGGA,123519,4807.038,N\r\n").is_err() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let sentence = refusal(&format!("run --port {chatter} --rows 50"));
    assert_says(&sentence, &[&chatter, "bytes came", "firmware"]);
}

#[test]
fn a_silent_port_is_refused() {
    let silent = served_by(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_says(&refusal(&format!("run --port {silent} --rows 50")), &[&silent, "nothing came"]);
}

#[test]
fn two_boards_with_one_identity_are_refused() {
    let (one, two) = (board(7), board(7));
    let sentence = refusal(&format!("run --port {one} --port {two} --rows 50"));
    assert_says(&sentence, &["same identity", "worker 1", "worker 2"]);
}

#[test]
fn a_firmware_of_another_version_is_refused() {
    let other = served_by(|mut stream| {
        let ready = Ready {
            version: VERSION + 1,
            schema: SCHEMA,
            echo: 1,
            board: "future",
            identity: 1,
            memory: 1 << 20,
            objectives: "logistic",
            session: 0,
            opened: 0,
            model_digest: 0,
            estimator_digest: 0,
            rejected: [0; Reject::COUNT],
            overruns: 0,
            saturated: 0,
        };
        let (mut frame, mut byte) = ([0; FRAME_LEN_MAX], [0]);
        let len = Up::Ready(ready).emit(&[], &Context::SETUP, &mut frame);
        // Whoever asks gets this answer.
        while stream.read_exact(&mut byte).is_ok() {
            if byte == [0] && stream.write_all(&frame[..len]).is_err() {
                return;
            }
        }
    });
    let sentence = refusal(&format!("run --port {other} --rows 50"));
    assert_says(&sentence, &["version 2", "version 1", "flash"]);
}

#[test]
fn a_firmware_without_the_objective_is_refused() {
    let sentence = refusal(&format!("run --port {} --rows 50 --objective least-squares", board(7)));
    assert_says(&sentence, &["computes logistic and not least-squares", "flash"]);
}

#[test]
fn a_perceptron_has_no_step_by_theory() {
    for options in ["--step am", "--step qm", "--method dcgd"] {
        let sentence = refusal(&format!("simulate --rows 50 --objective perceptron {options}"));
        assert_says(&sentence, &["no theory has a step", "--step a number"]);
    }
    let sentence = refusal("simulate --rows 50 --objective perceptron --method ef21-w --step 1");
    assert_says(&sentence, &["smoothness constants"]);
}

#[test]
fn boards_tell_how_smooth_their_functions_are() {
    let directory = tempdir().expect("there is room");
    let options = "--rows 300 --workers 3 --rounds 5 --step am";
    let summary = |constants: &str| {
        let simulate = format!("simulate {options} --constants {constants} --out {constants}");
        let output = smidgen(directory.path(), &simulate);
        assert!(output.status.success(), "{}", stderr(&output));
        let summary = summary_of(&directory.path().join(constants));
        (stderr(&output), summary)
    };
    let ((_, data), (said, boards)) = (summary("data"), summary("boards"));
    assert_says(&said, &["the workers report L_i from"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for worker in 0..3 {
        let [exact, bound] = [&data, &boards].map(|s| number(&s["workers"][worker]["l_i"]));
        // Pixels are not negative: the bound is all but the eigenvalue.
        assert!(bound >= exact && bound < 1.000_001 * exact, "{bound} {exact}");
    }
    assert!(boards["l"].is_null(), "nobody knows L");
    let (safe, known) = (number(&boards["gamma"]), number(&data["gamma"]));
    assert!(safe < known && safe > 0.9 * known, "L_AM stands for L: {safe} {known}");

    for options in
        ["--step 0.5", "--step rare --lambda 0", "--method ef21-w", "--objective perceptron"]
    {
        let sentence = refusal(&format!("simulate --rows 50 --constants boards {options}"));
        assert_says(&sentence, &["--constants boards", "leave it out"]);
    }
}

#[test]
fn theory_is_checked_every_round_where_it_says_something() {
    let directory = tempdir().expect("there is room");
    for options in ["--step am", "--step qm --init full --value-bits 32", "--method gd --step am"] {
        let arguments =
            format!("simulate --rows 300 --rounds 150 --check-theory {options} --out run");
        let output = smidgen(directory.path(), &arguments);
        assert!(output.status.success(), "{options}: {}", stderr(&output));
    }
    for options in [
        "",
        "--step 10",
        "--step am --method dcgd",
        "--step am --participation 0.5",
        "--step am --k 4,4,4,8",
    ] {
        let sentence = refusal(&format!("simulate --rows 300 --check-theory {options}"));
        assert_says(&sentence, &["--check-theory", "--step am"]);
    }
}

/// One experiment on a bundled set and on one that is nowhere.
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
fn experiments_run_where_their_data_are() {
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

#[test]
fn experiments_that_cannot_be_run_are_refused() {
    let directory = tempdir().expect("there is room");
    let write = |text: &str| {
        fs::write(directory.path().join("tiny.toml"), text).expect("there is room");
    };
    write(&EXPERIMENT.replace("--dataset digits", "--dataset anywhere"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    assert_says(&error, &["no data for any experiment", "--data"]);
    write(&EXPERIMENT.replace("--k 2", "--k 999"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    // Curves are run side by side: either of the two may fail first.
    assert_says(&error, &["tiny, here, ", " step: --k 999 exceeds"]);
    write(&EXPERIMENT.replace("against", "aginst"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    assert_says(&error, &["experiment tiny: line 7: unknown field `aginst`"]);
    assert_says(&refusal("reproduce everything"), &["`everything` is no experiment", "logistic"]);
}
