//! The model of a run: where it is written, predictions, exports, and runs that start from it.

mod exports;
pub(crate) mod personal;
mod recordings;
mod units;

use crate::support::{
    Running, command, json_lines, records, skip, smidgen, stderr, summary_of, transcripts,
};
use rustix::process::Signal;
use smidgen::record::Model;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

/// Returns the Python that `scripts/setup.sh` installs with the packages that read exports; without it, reports that a
/// test is skipped in part.
fn python(test: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python3");
    if python.is_file() {
        return Some(python);
    }
    skip(
        test,
        "target/python is missing, so NumPy, safetensors and ONNX are not checked; run scripts/setup.sh",
    );
    None
}

const RUN: &str =
    "simulate --rows 200 --workers 3 --k 2 --rounds 20 --checkpoint-every 8 --out run";

/// Runs the binary, which must succeed, and returns what it prints.
fn told(folder: &TempDir, arguments: &str) -> String {
    let output = smidgen(folder.path(), arguments);
    assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs the binary, which must fail, and returns its error.
fn refused(folder: &TempDir, arguments: &str) -> String {
    let output = smidgen(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    let said = stderr(&output);
    let errors: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let [error] = errors[..] else { panic!("{arguments}: {said}") };
    error.to_owned()
}

fn model(folder: &TempDir, run: &str) -> Model {
    Model::read(folder.path().join(run)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_run_leaves_the_model_of_its_last_round() {
    let folder = tempdir().expect("there is room");
    for method in ["ef21", "ef21-sgdm", "ef14", "gd"] {
        let said = told(&folder, &format!("{RUN} --step 0.1 --method {method}"));
        let (model, summary) = (model(&folder, "run"), summary_of(&folder.path().join("run")));
        assert_eq!((model.round, model.dimension, model.classes.len()), (20, 64, 2), "{method}");
        assert_eq!(model.transcript, summary["transcript"], "{method}");
        assert_eq!(model.loss, summary["loss"].as_f64(), "{method}");
        let line =
            "The model of round 20 is run/model.json: try `smidgen predict run --dataset FILE` or";
        assert!(said.contains(line), "{method}: {said}");
        let report =
            fs::read_to_string(folder.path().join("run/report.html")).expect("it is there");
        assert!(report.contains("<code>model.json</code> beside this page"), "{method}");
    }
}

#[test]
fn killed_run_leaves_the_model_of_a_checkpoint() {
    let folder = tempdir().expect("there is room");
    let arguments = RUN.replace("--rounds 20", "--rounds 3000000");
    let mut running = Running::start(&mut command(folder.path(), &arguments));
    let path = folder.path().join("run");
    running.wait_until("a checkpoint is written", || {
        Model::read(&path).is_ok_and(|model| model.round >= 16)
    });
    running.signal(Signal::KILL);
    running.end();
    let model = model(&folder, "run");
    assert!(model.round.is_multiple_of(8), "{}", model.round);
    let round = &json_lines(&path.join("rounds.jsonl"))[model.round as usize];
    assert_eq!(round["transcript"], model.transcript);
}

#[test]
fn resumed_run_leaves_the_model_of_an_undisturbed_one() {
    let folder = tempdir().expect("there is room");
    told(&folder, &RUN.replace("--rounds 20", "--rounds 30"));
    let undisturbed = model(&folder, "run");
    told(&folder, RUN);
    told(&folder, "resume run --rounds 30");
    assert_eq!(model(&folder, "run"), undisturbed);
}

#[test]
fn prediction_shows_accuracy_and_writes_a_line_per_row() {
    let folder = tempdir().expect("there is room");
    told(&folder, "simulate --objective softmax --step 3 --rounds 60 --out run");
    let said = told(&folder, "predict run --dataset digits --out rows.csv");
    assert!(said.contains("\nAccuracy 9") && said.contains("rows.csv has a line for each row."));
    let longest = said.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{said}");
    let csv = fs::read_to_string(folder.path().join("rows.csv")).expect("it is written");
    assert_eq!(csv.lines().count(), 1798);
    let right = csv.lines().skip(1).filter(|line| {
        let fields: Vec<_> = line.split(',').collect();
        fields[1] == fields[2]
    });
    let accuracy = format!("{} of 1", right.count());
    assert!(said.replace('\u{202f}', "").contains(&accuracy), "{accuracy}: {said}");
    assert_eq!(
        told(&folder, "predict run/model.json --dataset digits"),
        said.replace("rows.csv has a line for each row.\n", "")
    );
}

#[test]
fn files_that_a_command_reads_are_not_replaced() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let path = |name: &str| folder.path().join(name);
    fs::write(path("rows.libsvm"), "1 1:1 64:1\n").expect("there is room");
    std::os::unix::fs::symlink("rows.libsvm", path("link")).expect("there is room");
    let read =
        || ["run/model.json", "rows.libsvm"].map(|name| fs::read(path(name)).expect("it is there"));
    let before = read();
    for (arguments, out) in [
        ("predict run --dataset rows.libsvm", "rows.libsvm"),
        ("predict run --dataset rows.libsvm", "link"),
        ("predict run --dataset digits", "run/../run/model.json"),
        ("predict run/model.json --dataset digits", "run/model.json"),
        ("export run --format onnx", "run/model.json"),
        ("export run/model.json --format c", "run/model.json"),
    ] {
        let error = refused(&folder, &format!("{arguments} --out {out}"));
        let said = "is a file that this command reads, and would be replaced; name another file";
        assert_eq!(error, format!("--out {out} {said}"));
    }
    assert!(read() == before);
    for arguments in ["predict run --dataset missing.csv", "export run --format c"] {
        let error = refused(&folder, &format!("{arguments} --out nowhere/file"));
        let said = "does not exist: create it, or name another file with --out";
        assert_eq!(error, format!("the directory nowhere {said}"), "before the work");
    }
    // A directory of recordings may be read by its name, so a file of it is not among those that are named.
    fs::write(path("notes.csv"), "time,x,label\n").expect("there is room");
    let error = refused(&folder, "predict run --dataset digits --out notes.csv");
    assert!(error.starts_with("notes.csv exists and has no predictions"), "{error}");
    fs::write(path("empty.csv"), "").expect("there is room");
    for _ in 0..2 {
        told(&folder, "predict run --dataset digits --out empty.csv");
    }
    assert_eq!(fs::read_to_string(path("notes.csv")).expect("it is there"), "time,x,label\n");
}

#[test]
fn model_or_data_that_cannot_be_used_are_refused_with_one_sentence() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let text = fs::read_to_string(folder.path().join("run/model.json")).expect("it is there");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("room");
    write("new.json", &text.replace("\"schema\": 1", "\"schema\": 2"));
    write("half.json", &text[..text.len() / 2]);
    write("two.csv", "a,b,label\n1,2,even\n");
    write("other.libsvm", &["7", "even"].map(|_| "7 1:1 64:1\n").concat());
    for (arguments, expected) in [
        ("predict none --dataset digits", "cannot read the model none: No such file"),
        ("predict . --dataset digits", ". contains no model.json: "),
        ("predict new.json --dataset digits", "new.json has version 2 of the format of models"),
        ("predict half.json --dataset digits", "half.json, line "),
        ("predict two.csv --dataset digits", "two.csv, line 1: column 1, expected value; the file"),
        ("predict run --dataset none", "none is neither a bundled data set nor a file"),
        ("predict run --dataset two.csv", "two.csv: 3 columns are features, but the model has 64"),
        (
            "predict run --dataset other.libsvm",
            "row 1 of other.libsvm has the class `7`, which the",
        ),
        ("export none --format onnx", "cannot read the model none: "),
        ("simulate --from none", "cannot read the model none: "),
        ("simulate --full-scale 2", "--window, --hop, --features, --rate and --full-scale say how"),
        (
            "simulate --from run --objective svm",
            "the model run has the objective logistic, but the",
        ),
        ("simulate --from run --intercept", "a run with --from prepares rows as the model run"),
        (
            "simulate --from run --dataset breast-cancer",
            "breast-cancer: 30 columns are features, but the model has 64",
        ),
        ("simulate --from half.json", "half.json, line "),
    ] {
        let error = refused(&folder, arguments);
        assert!(error.starts_with(expected), "{arguments}: {error}");
    }
    assert!(!folder.path().join("smidgen-out").exists(), "no refused run has a directory");
}

#[test]
fn run_continues_from_a_model_and_can_be_resumed() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let first = model(&folder, "run");
    let second = RUN.replace("--out run", "--out second --from run");
    told(&folder, &second.replace("--rounds 20", "--rounds 30"));
    let undisturbed = records(&folder.path().join("second"));
    let rounds = json_lines(&folder.path().join("second/rounds.jsonl"));
    let (before, after) = (first.loss.expect("it is known"), &rounds[0]["loss"]);
    // The last loss of a run is known to an eighth of its last change.
    assert!((after.as_f64().expect("a number") / before - 1.0).abs() < 1e-2);
    told(&folder, &second);
    told(&folder, "resume second --rounds 30");
    let resumed = records(&folder.path().join("second"));
    assert_eq!(transcripts(&resumed), transcripts(&undisturbed));
    assert_eq!(summary_of(&folder.path().join("second"))["configuration"]["from"], "run");
}

#[test]
fn run_does_not_replace_the_model_that_it_starts_from() {
    let folder = tempdir().expect("there is room");
    let run = RUN.replace("--out run", "");
    told(&folder, &run);
    symlink("smidgen-out", folder.path().join("link")).expect("there is room");
    let before = files(&folder.path().join("smidgen-out"));
    for from in ["smidgen-out", "smidgen-out/model.json", "./link"] {
        let error = refused(&folder, &format!("{run} --from {from}"));
        let said = "a run in smidgen-out would replace the model that it builds on; name another";
        assert!(error.starts_with(said), "{error}");
        assert!(files(&folder.path().join("smidgen-out")) == before);
        told(&folder, &format!("plan --rows 200 --workers 3 --from {from}"));
    }
}

#[test]
fn run_that_closes_no_round_leaves_the_earlier_one_as_it_was() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let before = files(&folder.path().join("run"));
    // Nobody listens on the port.
    refused(&folder, "run --port tcp:127.0.0.1:1 --rows 200 --out run");
    assert!(files(&folder.path().join("run")) == before);
}

/// Returns the files of a run but the lock, which names its last holder.
fn files(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(run).expect("it is there").map(|entry| entry.expect("it is there"));
    let paths = entries.map(|entry| entry.path()).filter(|path| !path.ends_with(".lock"));
    paths.map(|path| (path.clone(), fs::read(path).expect("it is a file"))).collect()
}

#[test]
fn standardised_columns_keep_the_scaling_of_the_model() {
    let folder = tempdir().expect("there is room");
    let row = |shift: u32, row: u32| {
        let (one, two) = (row * row % 17 + shift, 3 * row % 11);
        format!("{one},{two},{}\n", if one > 8 + shift { "warm" } else { "cold" })
    };
    let table = |shift| (0..60).fold("x,y,state\n".to_owned(), |text, n| text + &row(shift, n));
    fs::write(folder.path().join("old.csv"), table(0)).expect("there is room");
    fs::write(folder.path().join("new.csv"), table(5)).expect("there is room");
    let options = "--rounds 20 --checkpoint-every 8";
    told(
        &folder,
        &format!("simulate --dataset old.csv --standardise --intercept {options} --out old"),
    );
    told(&folder, &format!("simulate --dataset new.csv --from old {options} --out new"));
    let [old, new] = ["old", "new"].map(|run| model(&folder, run));
    assert_eq!(old.classes, ["cold", "warm"]);
    assert_eq!(new.input, old.input, "the new data have other means");
    let said = told(&folder, "predict new --dataset new.csv");
    assert!(said.contains("cold") && said.contains("Accuracy"), "{said}");
}
