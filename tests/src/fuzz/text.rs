//! Files of users: data sets, configurations, records of runs.

use smidgen::cli;
use smidgen::output::report;
use smidgen::problem::dataset::quantise::quantise;
use smidgen::problem::dataset::{Dataset, Labels};
use smidgen::record::RunDirectory;
use smidgen_protocol::shard::{Shard, Width};
use std::cell::LazyCell;
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

/// A file in LIBSVM format: every file that can be read becomes a shard that passes its check.
pub fn dataset(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for labels in [Labels::Binary, Labels::Classes, Labels::Real] {
        let Ok(dataset) = Dataset::parse_with("fuzzed", &text, labels) else { continue };
        let rows: Vec<usize> = (0..dataset.row_count().min(ROWS_MAX)).collect();
        let shard = quantise(&dataset, &rows, Width::I16).bytes;
        let mut words = vec![0u64; shard.len().div_ceil(8)];
        let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut words)[..shard.len()];
        bytes.copy_from_slice(&shard);
        assert_eq!(Shard::open(bytes).map(|shard| shard.check()), Ok(Ok(())));
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
