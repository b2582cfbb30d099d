use super::*;
use crate::cli::{self, Command};
use crate::options::{Choice, Objective};
use proptest::prelude::*;
use std::fs;

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

/// Reads a file of the directory, or all of it.
fn read(folder: &tempfile::TempDir, file: &str, line: &str) -> Result<Recordings, String> {
    let line = format!("smidgen simulate --recordings DIR {line}");
    let cli = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
    let path = if file.is_empty() { folder.path().into() } else { folder.path().join(file) };
    Recordings::read(&path, &options, None, None)
        .map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "DIR"))
}

fn samples(recordings: &Recordings, worker: usize) -> Vec<(&str, bool, &[i16])> {
    let recordings = &recordings.workers[worker].recordings;
    recordings.iter().map(|it| (it.class.as_str(), it.is_test, &it.samples[..])).collect()
}

#[test]
fn samples_are_scaled_by_the_largest_value_of_all_files() {
    let folder = directory(&[
        ("a.csv", "x,y,label\n1,-0.5,walk\n0.25,0.5,walk\n3,0,run\n0,0,run\n"),
        ("a_TEST.csv", "x,y,label\n-4,0.1,run\n0.0001,-0.00001,run\n"),
        ("b.csv", "x,y,label\n0,0,walk\n0,0,walk\n"),
    ]);
    let found = read(&folder, "", "--window 2").unwrap();
    let full_scales: Vec<_> = found.windows.channels.iter().map(|it| it.full_scale).collect();
    assert_eq!(full_scales, [Some(4.0), Some(0.5)]);
    let expected: [(&str, bool, &[i16]); 3] = [
        ("walk", false, &[8192, -32768, 2048, 32767]),
        ("run", false, &[24576, 0, 0, 0]),
        ("run", true, &[-32768, 6554, 1, -1]),
    ];
    assert_eq!(samples(&found, 0), expected);
    let names: Vec<_> = found.workers.iter().map(|it| it.worker.as_str()).collect();
    assert_eq!(names, ["a", "b"]);

    let found = read(&folder, "", "--window 2 --full-scale 8,1").unwrap();
    assert_eq!(samples(&found, 0)[0].2, [4096, -16384, 1024, 16384]);
}

#[test]
fn sensors_play_recordings_of_any_length() {
    let folder = directory(&[
        ("a.csv", "x,label\n1,walk\n1,run\n2,run\n"),
        ("a_TEST.csv", "x,label\n-2,run\n"),
        ("b.csv", "x,label\n1,run\n"),
    ]);
    let found = Recordings::for_sensors(folder.path(), 3).unwrap();
    let expected: [(&str, bool, &[i16]); 3] =
        [("walk", false, &[16384]), ("run", false, &[16384, 32767]), ("run", true, &[-32768])];
    assert_eq!(samples(&found, 0), expected);
    assert_eq!((found.workers.len(), found.classes()), (2, vec!["run".into(), "walk".into()]));
    let of_file = |boards| Recordings::for_sensors(&folder.path().join("a.csv"), boards).unwrap();
    assert_eq!([1, 2, 9].map(|boards| of_file(boards).workers.len()), [1, 2, 2]);
}

#[test]
fn recordings_of_a_file_are_dealt_in_turn() {
    let series = |classes: &[&str]| {
        let lines: Vec<_> =
            (1..).zip(classes).map(|(n, class)| format!("{n},0:{class}\n")).collect();
        format!("@classLabel true a b\n@data\n{}", lines.concat())
    };
    let folder = directory(&[
        ("set_TRAIN.ts", &series(&["a", "a", "b", "b", "a"])),
        ("set_TEST.ts", &series(&["a", "b", "b"])),
    ]);
    let found = read(&folder, "set_TRAIN.ts", "--window 2 --workers 2 --full-scale 32768").unwrap();
    let expected: [(&str, bool, &[i16]); 5] = [
        ("a", false, &[1, 0]),
        ("b", false, &[3, 0]),
        ("a", false, &[5, 0]),
        ("a", true, &[1, 0]),
        ("b", true, &[3, 0]),
    ];
    assert_eq!(samples(&found, 0), expected);
    assert_eq!(samples(&found, 1)[2], ("b", true, &[2, 0][..]));
    let error = read(&folder, "set_TRAIN.ts", "--window 2 --workers 6").unwrap_err();
    let said =
        "DIR/set_TRAIN.ts has 5 recordings to train on, too few for 6 workers; give at most 5";
    assert_eq!(error, said);
    let error = read(&folder, "set_TEST.ts", "").unwrap_err();
    assert!(error.starts_with("DIR/set_TEST.ts has held-out recordings"), "{error}");
}

#[test]
fn what_gives_no_rows_is_said() {
    let text = "x,label\n1,a\n2,a\n\n3,a\n4,b\n5,b\n";
    let folder = directory(&[("a.csv", text)]);
    let notes = read(&folder, "", "--window 2").unwrap().notes;
    let said = [
        "DIR/a.csv: 1 gap, the first before line 5; no window spans a gap",
        "DIR: 1 channel at 10 Hz, windows of 2 samples every 1, mean, std, mad",
        "1 recording is shorter than a window of 2 samples, without rows",
    ];
    let notes: Vec<_> =
        notes.iter().map(|note| note.replace(folder.path().to_str().unwrap(), "DIR")).collect();
    assert_eq!(notes, said);
}

#[test]
fn contradicting_files_are_refused_with_their_place() {
    let a = ("a.csv", "x,y,label\n1,2,walk\n3,4,run\n");
    let long = "x,y,label\n1,2,walk\n1,2,a long walk home\n";
    let many: String = (0..17).map(|class| format!("0,0,{class}\n")).collect();
    let many = format!("x,y,label\n{many}");
    let wide: String = (0..17).map(|channel| format!("c{channel},")).collect();
    let wide = format!("{wide}label\n{}walk\n", "0,".repeat(17));
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 14] = [
        (
            &[a, ("b.csv", "x,z,label\n1,2,run\n")],
            "",
            "DIR/b.csv, line 1: the channels are x, z, but DIR/a.csv has x, y",
        ),
        (
            &[a, ("b.csv", "x,y,z,label\n1,2,3,run\n")],
            "",
            "DIR/b.csv, line 1: the channels are x, y, z, but",
        ),
        (&[("a.csv", &wide)], "", "DIR/a.csv, line 1: 17 channels, but a board records 1 to 16"),
        (
            &[a, ("a_TEST.csv", "x,y,label\n1,2,run\n1,2,sit\n")],
            "",
            "DIR/a_TEST.csv, line 3: no recording to train on has the class `sit`, only run, walk",
        ),
        (
            &[("a.csv", long)],
            "",
            "DIR/a.csv, line 3: the class `a long walk home` has 16 bytes, but a board stores at most 15",
        ),
        (&[("a.csv", &many)], "", "DIR has 17 classes, but a board has at most 16"),
        (
            &[a],
            "--full-scale 2",
            "DIR/a.csv, line 3: 3.0 of channel `x` exceeds the full scale of 2.0; give a larger",
        ),
        (&[a], "--full-scale 2,3,4", "--full-scale lists 3 values for 2 channels"),
        (&[a], "--workers 2", "DIR has the recordings of 1 worker, but --workers asks for 2"),
        (&[a], "--window 2", "the worker `a` has no recording of 2 samples to train on"),
        (
            &[
                ("a.csv", "time,x,label\n0,1,a\n0.1,1,a\n"),
                ("b.csv", "time,x,label\n0,1,a\n0.2,1,a\n"),
            ],
            "",
            "DIR/b.csv has 5 samples per second, but DIR/a.csv has 10;",
        ),
        (
            &[("a.csv", "time,x,label\n0,1,a\n0.1,1,a\n")],
            "--rate 50",
            "DIR/a.csv has 10 samples per second, but --rate is 50;",
        ),
        (&[("a.ts", "@dimensions 2\n@data\n")], "", "DIR/a.ts: it contains no rows"),
        (&[("a.ts", "")], "--label x", "each series of DIR/a.ts ends with its class; omit --label"),
    ];
    for (files, line, expected) in cases {
        let line =
            if line.contains("--window") { line.into() } else { format!("--window 1 {line}") };
        let error = read(&directory(files), "", &line).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn rows_are_those_of_the_recorder() {
    let text = "x,label\n1,walk\n3,walk\n-2,walk\n0,run\n0.5,run\n";
    let folder = directory(&[("b.csv", text), ("a.csv", "x,label\n0,run\n0,run\n")]);
    let options = "--window 2 --hop 1 --features mean,max --full-scale 32768";
    let rows = read(&folder, "", options).unwrap().rows(Objective::Softmax, None).unwrap();
    assert_eq!(
        (rows.dataset.class_names(), &rows.bits[..]),
        (&["run".into(), "walk".into()][..], &[1, 1][..])
    );
    let row = |row: usize| {
        (rows.dataset.row(row).entries().collect::<Vec<_>>(), rows.dataset.row(row).label)
    };
    let expected = [
        (vec![], 0.0),
        (vec![(0, 1.0), (1, 1.5)], 1.0),
        (vec![(0, 0.5), (1, 1.5)], 1.0),
        // Halves are rounded away from zero, of samples as of means.
        (vec![(0, 0.5), (1, 0.5)], 0.0),
    ];
    assert_eq!((0..4).map(row).collect::<Vec<_>>(), expected);
    assert_eq!(rows.shares, [vec![0], vec![1, 2, 3]]);
    assert_eq!((rows.dataset.owner(0), rows.dataset.owner(3)), (Some("a"), Some("b")));
    assert_eq!(rows.dataset.column_names(), ["x.mean", "x.max"]);
    assert!(rows.test.is_none());
    let prepared = rows.dataset.preparation().features([(0, 2.0), (1, 3.0)].into_iter());
    assert_eq!(prepared, [1.0, 1.5], "a column is an integer of the board");
    let error =
        read(&folder, "", options).unwrap().rows(Objective::LeastSquares, None).unwrap_err();
    assert!(error.to_string().ends_with("choose --objective softmax"), "{error}");
    assert_eq!(Objective::LeastSquares.name(), "least-squares");
}

#[test]
fn example_has_eight_people_and_four_activities() {
    let line = "smidgen simulate --recordings example";
    let cli = cli::parse(line.split_whitespace().map(Into::into)).unwrap();
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
    let found = Recordings::read(Path::new(EXAMPLE), &options, None, None).unwrap();
    assert_eq!((found.workers.len(), found.windows.channels.len()), (8, 3));
    let recipe = "3 channels at 10 Hz, windows of 50 samples every 25, mean, std, mad";
    assert_eq!(found.notes, [format!("example: {recipe}")]);
    let rows = found.rows(Objective::Softmax, None).unwrap();
    assert_eq!(rows.dataset.class_names(), ["resting", "running", "stairs", "walking"]);
    assert_eq!((rows.dataset.row_count(), rows.test.unwrap().row_count()), (288, 192));
}

proptest! {
    /// Files of words that mean something, in any order, are read or refused with a sentence.
    #[test]
    fn any_file_is_read_or_refused(
        words in prop::collection::vec(prop::sample::select(vec![
            "x", "label", "time", "recording", "@data", "@classLabel true a b", "@dimensions 2", "@timeStamps false", "#",
            "a", "b", "0", "0.5", "-3e300", "1e-310", "nan", "?", ",", ",", ",", ":", ":", "\"", "\n", "\n", "\n", " ",
        ]), 0..60),
        extension in prop::sample::select(vec!["csv", "ts"]),
        is_whole: bool,
    ) {
        let start = match (is_whole, extension) {
            (true, "csv") => "time,x,label\n0,1,a\n0.1,2,b\n",
            (true, _) => "@classLabel true a b\n@data\n1,2:3,4:a\n",
            (false, _) => "",
        };
        let file = format!("set.{extension}");
        let folder = directory(&[(&file, &format!("{start}{}", words.concat()))]);
        let read = read(&folder, &file, "--window 1 --workers 1");
        match read.map(|found| found.rows(Objective::Softmax, None)) {
            Ok(Ok(rows)) => prop_assert_eq!(rows.shares[0].len(), rows.dataset.row_count()),
            Ok(Err(error)) => prop_assert!(!error.to_string().contains('\n')),
            Err(error) => prop_assert!(!error.contains('\n'), "{error}"),
        }
    }
}
