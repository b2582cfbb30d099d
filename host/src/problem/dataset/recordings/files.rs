//! Which files have recordings, and of whom.

use super::error::RecordingsError;
use crate::units::shown::shown;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Ends of file names, before the extension, that are not part of the name of a worker.
const ENDS: [(&str, bool); 2] = [("_TEST", true), ("_TRAIN", false)];

/// A file with recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    /// The worker, unless the recordings of the file are dealt to all.
    pub worker: String,
    /// Its recordings are held out.
    pub is_test: bool,
}

/// A known format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Ts,
}

impl Format {
    /// Returns the format by the extension of a file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        match extension.as_str() {
            "csv" | "tsv" => Some(Self::Csv),
            "ts" => Some(Self::Ts),
            _ => None,
        }
    }
}

impl Source {
    fn of(path: PathBuf) -> Self {
        let stem = shown(path.file_stem().unwrap_or_default()).to_string();
        let end = ENDS.iter().find_map(|&(end, is_test)| {
            let at = stem.len().checked_sub(end.len())?;
            let is_end = stem.get(at..)?.eq_ignore_ascii_case(end) && at > 0;
            is_end.then(|| (stem[..at].to_owned(), is_test))
        });
        let (worker, is_test) = end.unwrap_or((stem, false));
        Self { path, worker, is_test }
    }

    /// Returns the file for messages.
    pub(super) fn name(&self) -> String {
        shown(&self.path).to_string()
    }
}

/// Returns the files of a directory by the names of their workers, those to train on before held-out ones.
pub(super) fn of_directory(path: &Path) -> Result<Vec<Source>, RecordingsError> {
    let sources = list(path)?;
    check(&sources)?;
    Ok(sources)
}

/// Returns a file, or the files of a directory, whose recordings are to be predicted, held out or not.
pub(super) fn unseen(path: &Path) -> Result<Vec<Source>, RecordingsError> {
    if path.is_dir() { list(path) } else { Ok(vec![Source::of(path.into())]) }
}

fn list(path: &Path) -> Result<Vec<Source>, RecordingsError> {
    let name = shown(path).to_string();
    let unreadable = |source| RecordingsError::Unreadable { name: name.clone(), source };
    let mut sources = vec![];
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if !is_hidden && Format::of(&path).is_some() {
            sources.push(Source::of(path));
        }
    }
    sources.sort_by(|a, b| (&a.worker, a.is_test, &a.path).cmp(&(&b.worker, b.is_test, &b.path)));
    if sources.is_empty() { Err(RecordingsError::Empty(name)) } else { Ok(sources) }
}

fn check(sources: &[Source]) -> Result<(), RecordingsError> {
    for files in sources.chunk_by(|one, next| one.worker == next.worker) {
        let worker = files[0].worker.clone();
        if files[0].is_test {
            return Err(RecordingsError::HeldOutAlone { name: files[0].name(), worker });
        }
        if let Some(same) = files.windows(2).find(|pair| pair[0].is_test == pair[1].is_test) {
            let (one, other) = (same[0].name(), same[1].name());
            return Err(RecordingsError::SameWorker { one, other, worker });
        }
    }
    Ok(())
}

/// Returns a file, and the one with held-out recordings beside it if there is one.
pub(super) fn of_file(path: &Path) -> Result<Vec<Source>, RecordingsError> {
    let file = Source::of(path.into());
    let (folder, extension) =
        (path.parent().unwrap_or(Path::new("")), path.extension().unwrap_or_default());
    if file.is_test {
        return Err(RecordingsError::HeldOutAlone { name: file.name(), worker: file.worker });
    }
    let held_out = ["_TEST", "_test"].into_iter().map(|end| {
        let mut name = OsStr::new(&format!("{}{end}.", file.worker)).to_owned();
        name.push(extension);
        folder.join(name)
    });
    let held_out = held_out.into_iter().find(|path| path.exists()).map(Source::of);
    Ok([file].into_iter().chain(held_out).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> Result<Vec<(String, bool)>, String> {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| fs::write(folder.path().join(file), "").unwrap());
        let sources = of_directory(folder.path());
        let sources = sources.map_err(|error| {
            error.to_string().replace(&format!("{}", shown(folder.path())), "DIR")
        })?;
        Ok(sources.into_iter().map(|source| (source.worker, source.is_test)).collect())
    }

    #[test]
    fn name_of_a_file_says_worker_and_use() {
        let found = directory(&[
            "left-wrist_TEST.csv",
            "left-wrist.csv",
            "b_TRAIN.ts",
            "B_test.TS",
            "B.tsv",
            "_TEST.csv",
            "notes.txt",
            ".left.csv",
        ]);
        let expected = [
            ("B", false),
            ("B", true),
            ("_TEST", false),
            ("b", false),
            ("left-wrist", false),
            ("left-wrist", true),
        ];
        assert_eq!(found.unwrap(), expected.map(|(worker, is_test)| (worker.into(), is_test)));
    }

    #[test]
    fn files_without_a_clear_worker_are_refused() {
        let cases: [(&[&str], &str); 4] = [
            (&["notes.txt"], "DIR contains no recordings; put one .csv or .ts file"),
            (&["a_TEST.csv", "b.csv"], "DIR/a_TEST.csv has held-out recordings of the worker `a`"),
            (&["a.csv", "a.ts"], "DIR/a.csv and DIR/a.ts are both of the worker `a`"),
            (
                &["a.csv", "a_TRAIN.csv"],
                "DIR/a.csv and DIR/a_TRAIN.csv are both of the worker `a`; rename or join them",
            ),
        ];
        for (files, expected) in cases {
            let error = directory(files).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
