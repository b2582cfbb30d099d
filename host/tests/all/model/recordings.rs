//! Models of recordings: predictions of windows, and what is refused.

use super::{model, refused, told};
use crate::support::{json_lines, summary_of};
use smidgen::model::board::{BoardModel, NotOnBoard};
use smidgen::model::predict::Answer;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const RUN: &str = "simulate --recordings example --objective softmax --rounds 60 --out run";

/// A recording at this rate: the means of the two halves differ.
fn recording(rate: f64, header: &str, size: f64) -> String {
    (0..120).fold(format!("time,{header},label\n"), |mut text, t| {
        let (time, value) = (f64::from(t) / rate, size * f64::from(t % 7));
        writeln!(text, "{time},{value},{},0.5,walking", -value).expect("memory");
        text
    })
}

#[test]
fn windows_are_predicted_with_the_classes_of_a_board() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let model = model(&folder, "run");
    let predictions = model.predict_recordings(Path::new("example"), None, &[]);
    let predictions = predictions.expect("it is bundled");
    let (right, rows) = predictions.correct();
    assert!(rows > 400 && right * 100 >= 97 * rows, "{right} of {rows}");
    // Far from borders f64 agrees with the integers of a board.
    for row in predictions.rows() {
        let Answer::Class { predicted, .. } = row.answer else { panic!("it has classes") };
        let best = row.scores.iter().copied().fold(f64::MIN, f64::max);
        let near = row.scores.iter().filter(|score| best - **score < 1e-6).count();
        assert!(near > 1 || row.scores[predicted] == best, "{row:?}");
    }
    let said = told(&folder, "predict run --recordings example --out windows.csv");
    let right_of = |kind: &str| {
        let line = said.lines().find(|line| line.starts_with(kind)).expect("it has held-out rows");
        let (_, counts) = line.split_once(": ").expect("counts");
        let counts = counts.split(' ').filter_map(|word| word.parse::<u64>().ok());
        counts.collect::<Vec<_>>()
    };
    let (held_out, others) = (right_of("Accuracy on held-out"), right_of("Accuracy on other"));
    assert_eq!((held_out[0] + others[0], held_out[1], others[1]), (right, 192, rows - 192));
    let csv = fs::read_to_string(folder.path().join("windows.csv")).expect("it is written");
    assert_eq!(csv.lines().count() as u64, rows + 1);
    assert!(csv.starts_with("row,file,line,label,predicted,score of"), "{csv}");
}

#[test]
fn classes_are_in_the_column_of_the_training_data() {
    let folder = tempdir().expect("there is room");
    let line = |t: usize| match t / 20 % 2 {
        0 => format!("rest,{}\n", t % 3),
        _ => format!("run,{}\n", 50 * (t % 3)),
    };
    let samples: String = (0..240).map(line).collect();
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("there is room");
    };
    write("old.csv", format!("activity,x\n{samples}"));
    write("new.csv", format!("activity,x\n{samples}"));
    let unnamed = samples.lines().filter_map(|line| line.split(',').nth(1));
    write("unlabelled.csv", format!("x\n{}\n", unnamed.collect::<Vec<_>>().join("\n")));
    let one: String = samples
        .lines()
        .filter(|line| line.starts_with("rest"))
        .fold("activity,x\n".into(), |text, line| text + line + "\n");
    write("one.csv", one);
    let simulate = "simulate --objective softmax --rounds 20";
    let options = "--workers 1 --window 5 --label activity";
    let said = refused(&folder, &format!("{simulate} --recordings one.csv {options}"));
    assert!(said.starts_with("one.csv has recordings of one class only"), "{said}");
    let options = "--workers 2 --window 5 --label activity --out run";
    told(&folder, &format!("{simulate} --recordings old.csv {options}"));
    told(&folder, &format!("{simulate} --recordings new.csv --workers 2 --from run --out next"));
    for model in ["run", "next"] {
        let said = told(&folder, &format!("predict {model} --recordings new.csv"));
        assert!(said.contains("Accuracy"), "{said}");
        let said = told(&folder, &format!("predict {model} --recordings unlabelled.csv"));
        assert!(said.contains("The data have no labels"), "{said}");
    }
}

#[test]
fn recordings_of_another_sensor_are_refused() {
    let folder = tempdir().expect("there is room");
    told(&folder, RUN);
    let channels = model(&folder, "run").input;
    let windows = channels.preparation().windows.clone().expect("it was trained on recordings");
    let names: Vec<_> = windows.channels.iter().map(|channel| channel.name.clone()).collect();
    let rate = f64::from(windows.rate_millihertz) / 1000.0;
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("there is room");
        refused(&folder, &format!("predict run --recordings {name}"))
    };
    let header = names.join(",");
    let said = write("fast.csv", recording(3.0 * rate, &header, 0.1));
    assert!(said.starts_with("fast.csv has 30 samples per second, but the model has 10"), "{said}");
    let said = write("other.csv", recording(rate, "a,b,c", 0.1));
    assert!(said.contains("the channels are a, b, c, but the model has"), "{said}");
    let said = write(
        "short.csv",
        recording(rate, &header, 0.1).lines().take(9).collect::<Vec<_>>().join("\n"),
    );
    assert!(said.contains("no recording of short.csv has a window of 50 samples"), "{said}");
    let said = write("unknown.csv", recording(rate, &header, 0.1).replace("walking", "flying"));
    let expected = "line 2 of unknown.csv has the class `flying`, which the model does not know";
    assert!(said.starts_with(expected), "{said}");
    fs::write(folder.path().join("table.csv"), "time,x,y,z,label\n0,1,1,1,walking\n")
        .expect("there is room");
    let said = refused(&folder, "predict run --dataset table.csv");
    assert!(said.contains("predict such recordings by --recordings"), "{said}");
    let unlabelled = recording(rate, &header, 0.1).replace(",label", "").replace(",walking", "");
    fs::write(folder.path().join("new.csv"), unlabelled).expect("there is room");
    let said = told(&folder, "predict run --recordings new.csv --out new-out.csv");
    assert!(said.contains("The data have no labels"), "{said}");
    let csv = fs::read_to_string(folder.path().join("new-out.csv")).expect("it is written");
    assert!(csv.starts_with("row,file,line,predicted,score of"), "{csv}");
    // A sensor limits what exceeds its full scale.
    fs::write(folder.path().join("large_TEST.csv"), recording(rate, &header, 1e9))
        .expect("there is room");
    let said = told(&folder, "predict run --recordings large_TEST.csv");
    assert!(said.contains("values exceed the full scale of the model's sensor"), "{said}");
    // Some files have labels.
    fs::create_dir(folder.path().join("mixed")).expect("there is room");
    for (from, to) in [("new.csv", "mixed/a.csv"), ("large_TEST.csv", "mixed/b.csv")] {
        fs::copy(folder.path().join(from), folder.path().join(to)).expect("there is room");
    }
    told(&folder, "predict run --recordings mixed --out mixed.csv");
    let csv = fs::read_to_string(folder.path().join("mixed.csv")).expect("it is written");
    assert!(csv.starts_with("row,file,line,label,predicted,score of"), "{csv}");
    assert!(csv.contains("mixed/a.csv,2,,") && csv.contains(",walking,"), "{csv}");
}

#[test]
fn plan_names_boards_with_memory_for_rows_and_windows() {
    let folder = tempdir().expect("there is room");
    let fits = |options: &str| {
        let said = told(
            &folder,
            &format!("plan --recordings example --objective softmax --rounds 2 {options}"),
        );
        let recorder = said.lines().find(|line| line.trim_start().starts_with("recorder"));
        let recorder = recorder.expect("a line").to_owned();
        let (_, fits) = said.split_once("  fits ").expect("a list of boards");
        let (fits, _) = fits.split_once("\n  updates ").expect("what follows it");
        (recorder, fits.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
    };
    let has = |boards: &[String], name: &str| boards.iter().any(|board| board == name);
    let (recorder, boards) = fits("");
    assert!(recorder.ends_with("60 rows of 9 values at most, windows of 150 values"), "{recorder}");
    let all = ["microbit", "stm32f405", "nrf52840"];
    assert!(all.iter().all(|name| has(&boards, name)), "{boards:?}");
    let (recorder, boards) = fits("--window 2 --hop 1 --step 0.1");
    assert!(recorder.contains("1\u{202f}980 rows"), "{recorder}");
    assert!(!has(&boards, "microbit") && !has(&boards, "stm32f405"), "{boards:?}");
    assert!(has(&boards, "nrf52840"), "{boards:?}");
}

#[test]
fn model_of_a_table_is_not_for_boards() {
    let folder = tempdir().expect("there is room");
    told(&folder, super::RUN);
    let said = refused(&folder, "predict run --recordings example");
    assert!(said.starts_with("the model predicts rows of a table, not windows"), "{said}");
    assert_eq!(BoardModel::new(&model(&folder, "run")).err(), Some(NotOnBoard::Columns));
}

#[test]
fn inequalities_of_the_proof_hold_on_recorded_rows() {
    let folder = tempdir().expect("there is room");
    told(&folder, &format!("{RUN} --step am --check-theory"));
    let run = folder.path().join("run");
    assert_eq!(summary_of(&run)["violation"], serde_json::Value::Null);
    let rounds = json_lines(&run.join("rounds.jsonl"));
    let checked = rounds.iter().filter(|round| round["theory"]["psi"].is_number()).count();
    assert!(checked >= 60, "{checked} of {}", rounds.len());
}
