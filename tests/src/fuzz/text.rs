//! Files of users: data sets, configurations, records of runs, models.

use smidgen::cli;
use smidgen::model::export::export;
use smidgen::options::{Choice, ExportFormat};
use smidgen::output::report;
use smidgen::problem::dataset::quantise::quantise;
use smidgen::problem::dataset::{Dataset, Labels, Preparation, Roles, Scales, class_number};
use smidgen::problem::objective::Predictor;
use smidgen::record::{Model, RunDirectory};
use smidgen_protocol::shard::{Shard, Width};
use std::cell::LazyCell;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

thread_local! {
    /// Folder for inputs that must be files.
    static FOLDER: LazyCell<TempDir> =
        LazyCell::new(|| tempfile::tempdir().expect("a temporary directory"));
}

/// Maximum number of rows to quantise; more rows find no more bugs.
const ROWS_MAX: usize = 50;

/// A data set in any format: every file that can be read becomes a shard that passes its check, and is read again by
/// its preparation to the same features.
pub fn dataset(input: &[u8]) {
    // The format follows from the content; columns are chosen in one of three ways.
    let roles = match input.len() % 3 {
        0 => Roles::default(),
        1 => Roles { label: Some(OsStr::new("1")), owner: None },
        _ => Roles { label: None, owner: Some("who") },
    };
    for labels in [Labels::Binary, Labels::Classes, Labels::Real] {
        let Ok(raw) = Dataset::of_bytes("fuzzed", input, labels, roles) else { continue };
        for (scales, intercept) in [
            (Scales::Kept, false),
            (Scales::Standard, true),
            (Scales::Equal { shifts: false }, false),
            (Scales::Equal { shifts: true }, true),
        ] {
            let Ok(preparation) = raw.preparation_with(scales, intercept) else { continue };
            let dataset = raw.clone().prepared(&preparation);
            check_unseen(input, &dataset, &preparation);
            let dataset = dataset.shuffle(1);
            let rows: Vec<usize> = (0..dataset.row_count().min(ROWS_MAX)).collect();
            let shard = quantise(&dataset, &rows, Width::I16).bytes;
            let mut words = vec![0u64; shard.len().div_ceil(8)];
            let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut words)[..shard.len()];
            bytes.copy_from_slice(&shard);
            assert_eq!(Shard::open(bytes).map(|shard| shard.check()), Ok(Ok(())));
        }
    }
}

/// Reads the rows of a data set again by its preparation.
fn check_unseen(input: &[u8], dataset: &Dataset, preparation: &Preparation) {
    let unseen = preparation.read_bytes("fuzzed", input, None);
    let unseen = unseen.unwrap_or_else(|error| panic!("{preparation:?}: {error}"));
    assert_eq!(unseen.row_count(), dataset.row_count());
    for row in (0..dataset.row_count()).take(ROWS_MAX) {
        let mut features = vec![0.0; dataset.dimension()];
        dataset.row(row).entries().for_each(|(column, value)| features[column] = value);
        assert_eq!(unseen.features(row), features);
        let classes = dataset.class_names();
        let number = unseen.label(row).and_then(|label| class_number(classes, label));
        assert!(classes.is_empty() || number == Some(dataset.row(row).label as usize));
    }
}

/// A file of options: each is accepted, or the error names its line.
pub fn config(input: &[u8]) {
    FOLDER.with(|folder| {
        let file = folder.path().join("options.toml");
        fs::write(&file, input).expect("there is room");
        let arguments = ["smidgen", "simulate", "--config"].map(Into::into);
        if let Err(error) = cli::parse(arguments.into_iter().chain([file.into_os_string()])) {
            assert!(!error.to_string().is_empty());
        }
    });
}

/// A `model.json`: every model that can be read is written back the same, predicts, and has every export.
pub fn model(input: &[u8]) {
    let Ok(model) = Model::parse(input, Path::new("model.json")) else { return };
    assert_eq!(Model::parse(&model.to_json(), Path::new("again")).ok().as_ref(), Some(&model));
    let preparation = model.input.preparation();
    let features = preparation.features((0..preparation.column_count).map(|column| (column, 1.5)));
    let predictor = Predictor::new(model.objective, features.len());
    let scores = predictor.scores(&features, &model.values);
    let class = predictor.class(&scores).unwrap_or(0);
    let chances = predictor.probabilities(&scores).len();
    assert!(class < model.classes.len().max(1) && [0, model.classes.len()].contains(&chances));
    for format in ExportFormat::ALL {
        // Too long a window for a format is an error.
        assert!(export(&model, *format).map_or(true, |bytes| !bytes.is_empty()));
    }
}

/// The files of a run, a zero byte between two: `rounds.jsonl`, `summary.json`, `baseline.jsonl`. Every run that can
/// be read can be reported.
pub fn record(input: &[u8]) {
    let mut files = input.splitn(3, |&byte| byte == 0);
    FOLDER.with(|folder| {
        let folder: &Path = folder.path();
        for name in ["rounds.jsonl", "summary.json", "baseline.jsonl"] {
            let file = folder.join(name);
            match files.next() {
                Some(bytes) => fs::write(file, bytes).expect("there is room"),
                // It may not exist.
                None => drop(fs::remove_file(file)),
            }
        }
        if let Ok(run) = RunDirectory::read(folder) {
            assert!(report::render(&run).ends_with("</html>"));
        }
    });
}
