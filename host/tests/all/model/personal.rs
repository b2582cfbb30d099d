//! Runs that continue a model on recordings of one person, or on rows of a board.

use super::{model, refused, told};
use crate::support::summary_of;
use serde_json::Value;
use smidgen::cli::{self, Command};
use smidgen::problem::dataset::Windows;
use smidgen::problem::dataset::recordings::{Recordings, WorkerRecordings};
use smidgen::record::Model;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Returns recordings as a file: values in the unit of the channels, which f64 holds exactly.
fn csv(windows: &Windows, file: &WorkerRecordings) -> String {
    let names: Vec<_> = windows.channels.iter().map(|channel| &*channel.name).collect();
    let mut text = format!("{},recording,label\n", names.join(","));
    for (number, recording) in file.recordings.iter().enumerate() {
        for sample in recording.samples.chunks(names.len()) {
            for (&value, channel) in sample.iter().zip(&windows.channels) {
                let unit = channel.full_scale.expect("files have units") / f64::from(1 << 15);
                write!(text, "{},", f64::from(value) * unit).expect("memory");
            }
            writeln!(text, "{number},{}", recording.class).expect("memory");
        }
    }
    text
}

/// Writes the bundled recordings to `all`, those of a person also to `one`, and those of the others to `rest`.
fn write_people(folder: &TempDir, person: &str) {
    let cli = cli::parse(["smidgen", "simulate"].map(Into::into)).expect("options");
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
    let example = Recordings::read(Path::new("example"), &options, None, None);
    let Recordings { windows, workers, .. } = example.expect("it is bundled");
    for part in ["one", "rest"] {
        fs::create_dir(folder.path().join(part)).expect("there is room");
    }
    for WorkerRecordings { worker, recordings } in workers {
        let part = folder.path().join(if worker == person { "one" } else { "rest" });
        let (held_out, others) = recordings.into_iter().partition(|recording| recording.is_test);
        for (end, recordings) in [("", others), ("_TEST", held_out)] {
            let file = WorkerRecordings { worker: worker.clone(), recordings };
            let path = part.join(format!("{worker}{end}.csv"));
            fs::write(path, csv(&windows, &file)).expect("there is room");
        }
    }
}

/// Returns number, place, label and prediction of each recorded row of the person.
fn predictions(folder: &TempDir, run: &str) -> Vec<String> {
    told(folder, &format!("predict {run} --recordings one --out {run}.csv"));
    let text = fs::read_to_string(folder.path().join(format!("{run}.csv")));
    let fields = |line: &str| line.split(',').take(5).collect::<Vec<_>>().join(",");
    text.expect("it is written").lines().map(fields).collect()
}

/// Returns whether coordinates are those of a model, on the grid of a run that continues it.
pub(crate) fn is_unmoved(still: &Model, model: &Model) -> bool {
    let unit = f64::from(-i32::from(still.exponent)).exp2();
    still.values.iter().zip(&model.values).all(|(one, other)| (one - other).abs() <= unit)
}

const ONE: &str = "simulate --recordings one --objective softmax --from base";

#[test]
fn person_continues_the_model_of_the_others() {
    let folder = tempdir().expect("there is room");
    write_people(&folder, "person-4");
    told(&folder, "simulate --recordings rest --objective softmax --rounds 10 --out base");
    let base = model(&folder, "base");

    // The target is reached before the first step.
    told(&folder, &format!("{ONE} --target 1e6 --out still"));
    let still = model(&folder, "still");
    assert!(is_unmoved(&still, &base) && still.input == base.input);
    assert_eq!(predictions(&folder, "still"), predictions(&folder, "base"));
    let test = |run: &str| summary_of(&folder.path().join(run))["test"].clone();
    let number = |value: &Value| value.as_f64().expect("a number");

    told(&folder, &format!("{ONE} --rounds 40 --out mine"));
    let (before, after) = (test("still"), test("mine"));
    println!("person-4: {before} with the model of the others, then {after}");
    assert!(number(&before["accuracy"]) < 0.8 && number(&after["accuracy"]) == 1.0);
    assert!(number(&after["loss"]) < 0.5 * number(&before["loss"]), "{before} {after}");
    let mine = model(&folder, "mine");
    assert_eq!((&mine.input, &mine.classes), (&base.input, &base.classes));
    assert_eq!(summary_of(&folder.path().join("mine"))["configuration"]["from"], "base");

    told(&folder, &format!("{ONE} --rounds 20 --out parts"));
    told(&folder, "resume parts --rounds 40");
    assert_eq!(model(&folder, "parts").transcript, mine.transcript);
    told(&folder, "plan --recordings one --objective softmax --from base");
}

#[test]
fn person_with_fewer_classes_and_louder_samples_keeps_classes_and_scales() {
    let folder = tempdir().expect("there is room");
    write_people(&folder, "person-4");
    let file = |name: &str| folder.path().join(name);
    let text = fs::read_to_string(file("rest/person-1.csv")).expect("it is written");
    let quieter = |line: &str| {
        let mut fields: Vec<_> = line.split(',').map(str::to_owned).collect();
        for field in &mut fields[..3] {
            *field = (field.parse::<f64>().expect("a number") / 16.0).to_string();
        }
        fields.join(",") + "\n"
    };
    let lines: Vec<_> = text.lines().collect();
    let quiet: String = lines[1..].iter().map(|line| quieter(line)).collect();
    fs::write(file("quiet.csv"), format!("{}\n{quiet}", lines[0])).expect("there is room");
    told(
        &folder,
        "simulate --recordings quiet.csv --full-scale 4 --workers 1 --objective softmax --k 2 --value-bits 8 \
         --rounds 30 --out base",
    );
    // No stairs, and samples beyond the full scale, which a sensor limits.
    for name in ["one/person-4.csv", "one/person-4_TEST.csv"] {
        let text = fs::read_to_string(file(name)).expect("it is written");
        let lines: Vec<_> = text.lines().filter(|line| !line.ends_with("stairs")).collect();
        let loud = lines.join("\n").replace("\n1.", "\n91.");
        assert!(loud.contains("running") && loud.contains("\n91."));
        fs::write(file(name), loud).expect("there is room");
    }
    told(&folder, &format!("{ONE} --k 2 --value-bits 8 --rounds 30 --out mine"));
    let [base, mine] = ["base", "mine"].map(|run| model(&folder, run));
    assert_eq!(base.classes, ["resting", "running", "stairs", "walking"]);
    assert_eq!((&mine.input, &mine.classes), (&base.input, &base.classes));
    // Boards and host agree about features beyond 1.
    let summary = summary_of(&folder.path().join("mine"));
    let (held_out, test) = (&summary["held_out"], &summary["test"]);
    let right = held_out["right"].as_f64().expect("a number");
    let rows = held_out["rows"].as_f64().expect("a number");
    assert_eq!((rows, right / rows), (18.0, test["accuracy"].as_f64().expect("a number")));
    assert!(right / rows > 0.9, "{held_out}");
}

#[test]
fn recordings_and_options_that_the_model_contradicts_are_refused() {
    let folder = tempdir().expect("there is room");
    told(&folder, "simulate --recordings example --objective softmax --rounds 1 --out base");
    told(&folder, super::RUN);
    let write = |name: &str, columns: &str, values: &str, seconds: f64| {
        let lines = (0..60).map(|t| format!("{},{values}\n", f64::from(t) * seconds));
        let text = format!("time,{columns}\n") + &lines.collect::<String>();
        fs::write(folder.path().join(name), text).expect("there is room");
    };
    write("good.csv", "x,y,z,label", "0.5,0.1,1,walking", 0.1);
    write("two.csv", "x,y,label", "0.5,0.1,walking", 0.1);
    write("fast.csv", "x,y,z,label", "0.5,0.1,1,walking", 0.01);
    write("fly.csv", "x,y,z,label", "0.5,0.1,1,flying", 0.1);
    let good = "--recordings good.csv --workers 1 --objective softmax --rounds 2";
    told(&folder, &format!("simulate {good} --from base --out good"));
    for (arguments, expected) in [
        (
            "--recordings two.csv --from base",
            "two.csv, line 1: the channels are x, y, but the model has x, y, z; give",
        ),
        (
            "--recordings fast.csv --from base",
            "fast.csv has 100 samples per second, but the model has 10; resample",
        ),
        (
            "--recordings fly.csv --from base",
            "fly.csv: the model does not know the class `flying`, only resting, running, stairs, walking; leave out",
        ),
        (
            "--recordings good.csv --from base --window 20",
            "a run with --from prepares rows as the model base does; omit",
        ),
        (
            "--recordings good.csv --from base --full-scale 2",
            "the model knows the full scale of its sensor; omit --full-scale",
        ),
        (
            "--recordings good.csv --from run --objective logistic",
            "the model predicts rows of a table, not windows of a",
        ),
        (
            "--recordings good.csv --from base --objective perceptron",
            "the model base has the objective softmax, but the",
        ),
    ] {
        let objective = if arguments.contains("--objective") { "" } else { "--objective softmax" };
        let error =
            refused(&folder, &format!("simulate {arguments} {objective} --workers 1 --out no"));
        assert!(error.starts_with(expected), "{arguments}: {error}");
    }
    assert!(!folder.path().join("no").exists(), "no refused run has a directory");
    // A model of boards does not know the unit of files.
    let text = fs::read_to_string(folder.path().join("base/model.json")).expect("it is there");
    let text = text.replace(r#","full_scale":2.0"#, "").replace(r#","full_scale":4.0"#, "");
    fs::write(folder.path().join("boards.json"), text).expect("there is room");
    let error = refused(&folder, &format!("simulate {good} --from boards.json --out no"));
    assert!(error.contains("say by --full-scale which value of the file is 2^15"), "{error}");
    told(&folder, &format!("simulate {good} --from boards.json --full-scale 2,2,4 --out boards"));
    let [boards, files] = ["boards", "good"].map(|run| summary_of(&folder.path().join(run)));
    assert_eq!(boards["transcript"], files["transcript"]);
    let error = refused(&folder, &format!("simulate {good} --from good --out good"));
    assert!(error.starts_with("a run in good would replace the model"), "{error}");
}
