use super::*;
use crate::options::Objective;
use crate::problem::dataset::{Dataset, Roles, Scaling};
use crate::problem::objective::Penalty;
use crate::record::model::Input;
use crate::run::experiment::Experiment;
use std::fs;

/// Trains on 80 rows of a bundled set.
fn trained(set: &str, objective: Objective) -> (Experiment, Model) {
    let (rows, name) = ("--rows 80 --workers 2 --rounds 20", objective.name());
    Experiment::trained(&format!("--dataset {set} {rows} --objective {name}"))
}

#[test]
fn accuracy_and_error_are_those_of_the_objective() {
    for &objective in Objective::ALL {
        let (experiment, model) = trained("digits", objective);
        let set = Dataset::load_raw("digits", objective.info().labels, Roles::default()).unwrap();
        let set = set.prepared(model.input.preparation());
        let share: Vec<usize> = (0..set.row_count()).collect();
        let none = Penalty { regulariser: experiment.options().regulariser, lambda: 0.0 };
        let function = crate::problem::objective::Objective::new(objective, none, &set, &[share]);
        let predictions = model.predict("digits".as_ref(), None).unwrap();
        assert_eq!(predictions.rows().len(), 1797);
        assert_eq!(predictions.accuracy(), function.accuracy(0, &model.values));
        let loss = function.loss_and_norm_squared(&model.values).0;
        let error = predictions.rmse().map_or(0.0, |rmse| (rmse / loss.sqrt() - 1.0).abs());
        assert!(error < 1e-12, "{error:e}");
        assert_ne!(predictions.accuracy().is_some(), predictions.rmse().is_some());
    }
}

#[test]
fn probabilities_sum_to_one_and_the_largest_is_predicted() {
    for &objective in Objective::ALL {
        let (_, model) = trained("digits", objective);
        for row in model.predict("digits".as_ref(), None).unwrap().rows() {
            let RowPrediction { probabilities, answer, .. } = row;
            let Answer::Class { predicted: class, .. } = *answer else { continue };
            let largest = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = probabilities.iter().sum();
            let is_sound = (sum - 1.0).abs() < 1e-12 && probabilities.get(class) == Some(&largest);
            assert!(is_sound || probabilities.is_empty(), "{row:?}");
        }
    }
}

/// Returns the predictions of the model of `breast-cancer` for a table.
fn predict(text: &str, objective: Objective) -> Result<Predictions, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.csv");
    fs::write(&path, text).unwrap();
    let (_, model) = trained("breast-cancer", objective);
    let predictions = model.predict(&path, None);
    predictions.map_err(|error| error.to_string().replace(path.to_str().unwrap(), "new.csv"))
}

/// Returns a table of two rows, with these labels.
fn table(labels: [&str; 2]) -> String {
    let columns = (1..=30).map(|column| format!("c{column},")).collect::<String>();
    let values = "1.5,".repeat(30);
    format!("{columns}label\n{values}{}\n{values}{}\n", labels[0], labels[1])
}

#[test]
fn csv_has_label_prediction_scores_and_probabilities() {
    let text = |objective, text: &str| {
        let predictions = predict(text, objective).unwrap();
        String::from_utf8(predictions.to_csv()).unwrap()
    };
    let head = |text: &str| text.lines().next().unwrap().to_owned();
    let labelled = table(["0", "1.0"]);
    let rows = text(Objective::Logistic, &labelled);
    assert_eq!(head(&rows), "row,label,predicted,score,probability of 0,probability of 1");
    let lines: Vec<Vec<&str>> = rows.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        (lines.len(), &lines[1][..2], &lines[2][..2]),
        (3, &["1", "0"][..], &["2", "1"][..])
    );
    assert_eq!(lines[1][2..], lines[2][2..]);
    let rows = text(Objective::Softmax, &labelled);
    let scores = "score of 0,score of 1,probability of 0,probability of 1";
    assert_eq!(head(&rows), format!("row,label,predicted,{scores}"));
    assert_eq!(head(&text(Objective::SquaredHinge, &labelled)), "row,label,predicted,score");
    assert_eq!(head(&text(Objective::LeastSquares, &labelled)), "row,label,predicted");
    let unlabelled = [(",label", ""), (",0\n", "\n"), (",1.0\n", "\n")];
    let unlabelled = unlabelled.iter().fold(labelled, |text, (from, to)| text.replace(from, to));
    assert_eq!(head(&text(Objective::LeastSquares, &unlabelled)), "row,predicted");
    let predictions = predict(&unlabelled, Objective::Logistic).unwrap();
    assert_eq!((predictions.accuracy(), predictions.correct()), (None, (0, 0)));
    let said = "The data have no labels, so there is no accuracy.";
    assert!(predictions.to_string().ends_with(said), "{predictions}");
}

#[test]
fn labels_that_the_model_cannot_predict_are_refused_with_a_sentence() {
    let error = predict(&table(["1", "benign"]), Objective::Logistic).unwrap_err();
    assert_eq!(
        error,
        "row 2 of new.csv has the class `benign`, which the model does not know (its classes are 0, 1); remove such \
         rows, or name the column of the labels with --label"
    );
    let error = predict(&table(["1", "benign"]), Objective::LeastSquares).unwrap_err();
    let said = "row 2 of new.csv has the label `benign`, but the model predicts numbers; name";
    assert!(error.starts_with(said), "{error}");
    let error = predict("a,b,label\n1,2,0\n", Objective::Logistic).unwrap_err();
    assert!(error.contains("but the model has 30; give the same columns"), "{error}");
}

#[test]
fn rows_with_features_or_scores_that_overflow_are_refused() {
    let value = |value: &str| table(["0", "1"]).replacen("1.5", value, 1);
    for objective in [Objective::Logistic, Objective::Softmax, Objective::LeastSquares] {
        let (_, mut model) = trained("breast-cancer", objective);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.csv");
        fs::write(&path, value("1e308")).unwrap();
        model.values.fill(1e9);
        let error = model.predict(&path, None).unwrap_err().to_string();
        assert!(
            error.contains("row 1 of ") && error.contains(": score 1 is not finite"),
            "{error}"
        );
        let Input::Columns(preparation) = &mut model.input else { unreachable!() };
        preparation.scaling = vec![Scaling { centre: 0.0, scale: 0.1 }; 30];
        let error = model.predict(&path, None).unwrap_err().to_string();
        assert!(error.contains("row 1 of ") && error.contains(": feature 1 is not"), "{error}");
    }
}

#[test]
fn terminal_shows_accuracy_and_matrix_or_the_error() {
    let (_, model) = trained("digits", Objective::Softmax);
    let shown = model.predict("digits".as_ref(), None).unwrap().to_string();
    let head = "1\u{202f}797 rows of digits, predicted by the softmax model of round 20,\n\
        which was trained on 80 rows of digits.\nAccuracy ";
    assert!(shown.starts_with(head) && shown.contains("\nlabel"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let (_, model) = trained("digits", Objective::LeastSquares);
    let shown = model.predict("digits".as_ref(), None).unwrap().to_string();
    assert!(shown.contains("\nRoot of the mean squared error: "), "{shown}");
}
