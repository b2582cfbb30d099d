//! Heads that are trained on the hidden units of a perceptron, which stay as they are.

use super::{model, refused, told};
use crate::support::summary_of;
use serde_json::Value;
use smidgen::options::Objective;
use smidgen::problem::objective::HIDDEN;
use smidgen::record::Model;
use smidgen::record::model::Input;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

const BASE: &str =
    "simulate --dataset digits --test-rows 300 --objective perceptron --rounds 60 --out base";
const HEAD: &str = "simulate --dataset digits --test-rows 300 --features-from base";

/// Number of coordinates of the hidden layer of the base.
const LAYER_LEN: usize = HIDDEN * 65;

#[test]
fn frozen_layer_with_the_scores_of_its_model_predicts_what_that_does() {
    let folder = tempdir().expect("there is room");
    told(&folder, BASE);
    told(&folder, &format!("{HEAD} --objective softmax --rounds 1 --out head"));
    let [base, head] = ["base", "head"].map(|run| model(&folder, run));
    let [layer] = &head.input.preparation().layers[..] else { panic!("{:?}", head.input) };
    assert_eq!(layer.mantissas, base.mantissas[..LAYER_LEN]);
    assert_eq!(layer.exponent, base.exponent);
    assert_eq!(head.dimension as usize, 10 * (HIDDEN + 1));

    // Softmax regression on the units has the coordinates of the second layer.
    let same = Model {
        exponent: base.exponent,
        mantissas: base.mantissas[LAYER_LEN..].to_vec(),
        values: base.values[LAYER_LEN..].to_vec(),
        ..head
    };
    let same = Model::parse(&same.to_json(), Path::new("same")).expect("a valid model");
    let rows = |model: &Model| model.predict(Path::new("digits"), None).expect("its rows");
    assert_eq!(rows(&same).rows(), rows(&base).rows());
}

#[test]
fn head_learns_other_classes_and_runs_continue_it() {
    let folder = tempdir().expect("there is room");
    told(&folder, BASE);
    let run = format!("{HEAD} --objective logistic --intercept");
    told(&folder, &format!("{run} --step am --check-theory --rounds 40 --out head"));
    let (head, summary) = (model(&folder, "head"), summary_of(&folder.path().join("head")));
    assert_eq!((&head.classes[..], head.dimension), (&["even".into(), "odd".into()][..], 33));
    assert!(matches!(head.input, Input::Units(_)), "{:?}", head.input);
    assert_eq!(summary["configuration"]["features-from"], "base");
    assert_eq!(summary["violation"], Value::Null);
    let accuracy = summary["test"]["accuracy"].as_f64().expect("classes");
    assert!(accuracy > 0.75, "{accuracy}");
    told(&folder, &format!("plan {}", run.trim_start_matches("simulate ")));

    // What a run needs of the base is in its model, but a resumed run prepares its rows again.
    told(&folder, &format!("{run} --rounds 20 --out parts"));
    told(&folder, &format!("{run} --rounds 30 --out whole"));
    told(&folder, "resume parts --rounds 30");
    assert_eq!(model(&folder, "parts").transcript, model(&folder, "whole").transcript);
    fs::remove_dir_all(folder.path().join("base")).expect("it is there");
    let said = told(&folder, "predict head --dataset digits");
    assert!(said.contains("Accuracy"), "{said}");
    told(&folder, "report head");

    let more = "simulate --dataset digits --objective logistic --from head --out more";
    told(&folder, &format!("{more} --rounds 5"));
    assert_eq!(model(&folder, "more").input, head.input);
}

#[test]
fn head_of_a_table_finds_columns_by_name_and_scales_them() {
    let folder = tempdir().expect("there is room");
    let row = |n: u32| (n * 7 % 40, 300 * (n * 11 % 20));
    let rows = |order: fn(u32, u32, &str) -> String, label: fn(u32, u32) -> &'static str| {
        let line = |n| {
            let (one, two) = row(n);
            order(one, two, label(one, two))
        };
        (0..80).map(line).collect::<String>()
    };
    let three = |one, _| ["low", "mid", "high"][one as usize / 14];
    let old = rows(|one, two, label| format!("{one},{two},{label}\n"), three);
    let new = rows(
        |one, two, label| format!("{label},{two},9,{one}\n"),
        |one, _| if one < 14 { "yes" } else { "no" },
    );
    write(&folder, "old.csv", &format!("x,y,state\n{old}"));
    write(&folder, "new.csv", &format!("good,y,noise,x\n{new}"));
    told(&folder, "simulate --dataset old.csv --standardise --objective perceptron --out base");
    let head = "simulate --dataset new.csv --label good --features-from base --objective svm";
    told(&folder, &format!("{head} --intercept --out head"));
    let [base, model] = ["base", "head"].map(|run| model(&folder, run));
    let [old, new] = [&base, &model].map(|model| model.input.preparation());
    assert_eq!((&new.names, &new.scaling), (&old.names, &old.scaling));
    assert_eq!(model.classes, ["no", "yes"]);
    let predictions = model.predict(&folder.path().join("new.csv"), Some("good".as_ref()));
    let (right, rows) = predictions.expect("its rows").correct();
    assert!(rows == 80 && right > 76, "{right} of {rows}");
}

fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("there is room");
}

#[test]
fn layer_that_no_run_can_use_is_refused_with_a_sentence() {
    let folder = tempdir().expect("there is room");
    told(&folder, &BASE.replace("--rounds 60", "--rounds 1"));
    told(&folder, super::RUN);
    let objective = Objective::Perceptron;
    told(&folder, "simulate --recordings example --objective perceptron --rounds 1 --out windows");
    let on_board = "run --port tcp:127.0.0.1:1 --data on-board --objective softmax";
    for (arguments, expected) in [
        (
            "simulate --features-from run",
            "the model run has the objective logistic, which has no hidden units; give a",
        ),
        ("simulate --features-from none", "cannot read the model none: "),
        (
            "simulate --features-from windows --dataset digits",
            "--features-from needs rows on the host, because boards",
        ),
        (
            "simulate --features-from base --recordings example",
            "--features-from needs rows on the host, because boards",
        ),
        (
            &format!("{on_board} --features-from base"),
            "--data on-board leaves the rows on the boards, but --features-from needs them",
        ),
        (
            "simulate --features-from base --standardise",
            "a run with --features-from prepares rows as the model base",
        ),
        (
            "simulate --features-from base --from run",
            "a run with --from prepares rows as the model run does; omit --fe",
        ),
        (
            "simulate --features-from base --dataset breast-cancer",
            "breast-cancer: 30 columns are features, but the",
        ),
        (
            "simulate --features-from base --objective softmax --intercept",
            "--objective softmax has a bias in every",
        ),
        (
            "simulate --features-from base --out base",
            "a run in base would replace the model that it builds on; name",
        ),
    ] {
        let error = refused(&folder, arguments);
        assert!(error.starts_with(expected), "{arguments}: {error}");
    }
    assert_eq!(model(&folder, "base").objective, objective);
}
