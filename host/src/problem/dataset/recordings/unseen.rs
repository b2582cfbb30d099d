//! Recordings whose windows a model predicts.

use super::error::RecordingsError;
use super::full_scale::{Beyond, note_beyond, samples, scaled};
use super::read::{Files, check_channels, check_sensor};
use super::series::Series;
use super::table::ClassColumn;
use crate::problem::dataset::windows::Windows;
use crate::units::shown::shown;
use smidgen_firmware::recorder::features;
use smidgen_firmware::recorder::window::Window;
use smidgen_protocol::recipe::ROW_LEN_MAX;
use std::ffi::OsStr;
use std::path::Path;

/// Recordings for a model of windows, as samples of its sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct UnseenRecordings {
    /// Name of the directory or file.
    pub name: String,
    /// Says how many values exceed the full scale, if some do.
    pub limited: Option<String>,
    windows: Windows,
    recordings: Vec<UnseenRecording>,
}

#[derive(Clone, Debug, PartialEq)]
struct UnseenRecording {
    file: String,
    is_test: bool,
    /// As in the file; `None` if that has none.
    class: Option<String>,
    /// The line of the first sample of each window.
    lines: Vec<usize>,
    samples: Vec<i16>,
}

/// The row of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowRow<'r> {
    /// Features in the integers of a board.
    pub values: Vec<i16>,
    /// Name of its class, if the file has classes.
    pub class: Option<&'r str>,
    /// Its file is one of held-out recordings.
    pub is_test: bool,
    /// Its file.
    pub file: &'r str,
    /// The line of its first sample, counted from 1.
    pub line: usize,
}

impl UnseenRecordings {
    /// Reads a file or all files of a directory, to be predicted by a model of such windows. The column of the classes
    /// is the one `named`, or the one of the training data if the files have it. Values beyond the full scale are
    /// limited, as a sensor does. `full_scale` is that of the files if the model does not know one: for all channels,
    /// or per channel.
    ///
    /// # Errors
    /// If they cannot be read, or have other channels, another unit or another rate.
    pub fn read(
        path: &Path,
        (named, trained): (Option<&OsStr>, Option<&str>),
        windows: &Windows,
        full_scale: &[f64],
    ) -> Result<Self, RecordingsError> {
        let mut windows = scaled(windows, full_scale)?;
        let named = named.map(|name| shown(name).to_string());
        let channels = Some(windows.channels.len());
        let classes = ClassColumn { named: named.as_deref(), trained, channels };
        let Files { name, files, .. } = Files::unseen(path, classes)?;
        check_channels(&files)?;
        check_sensor(&files, &windows)?;
        for (channel, name) in windows.channels.iter_mut().zip(&files[0].1.channels) {
            channel.name.clone_from(name);
        }
        let limited = note_beyond(&windows.channels, &files);
        let (hop, channels) = (usize::from(windows.hop), windows.channels.len());
        let mut recordings = vec![];
        for (source, Series { name, stretches, is_unlabelled, .. }) in files {
            for stretch in stretches {
                let samples = samples(&windows.channels, &name, &stretch, Beyond::Limited)?;
                let starts = (0..samples.len() / channels).step_by(hop);
                recordings.push(UnseenRecording {
                    file: name.clone(),
                    is_test: source.is_test,
                    lines: starts.map(|sample| stretch.line(sample)).collect(),
                    class: Some(stretch.class).filter(|_| !is_unlabelled),
                    samples,
                });
            }
        }
        Ok(Self { name, windows, recordings, limited })
    }

    /// Returns the row of each window, in order.
    pub fn windows(&self) -> Vec<WindowRow<'_>> {
        let recipe = self.windows.recipe();
        let mut memory = vec![0; recipe.window_len()];
        let mut window = Window::new(&mut memory);
        let mut rows = vec![];
        for recording in &self.recordings {
            window.start(&recipe).expect("the memory is that of a window");
            let mut lines = recording.lines.iter();
            for sample in recording.samples.chunks(recipe.channels.into()) {
                let Some(samples) = window.push(sample) else { continue };
                let mut row = [0; ROW_LEN_MAX];
                rows.push(WindowRow {
                    values: features::row(&samples, recipe.features, &mut row).to_vec(),
                    class: recording.class.as_deref(),
                    is_test: recording.is_test,
                    file: &recording.file,
                    line: *lines.next().expect("a line for each window"),
                });
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::dataset::Channel;
    use smidgen_protocol::recipe::Features;
    use std::fs;

    /// A model of boards whose sensors have two channels.
    fn windows() -> Windows {
        Windows {
            channels: [1, 2].map(Channel::of_board).to_vec(),
            rate_millihertz: 10_000,
            window: 2,
            hop: 1,
            features: Features::DEFAULT,
        }
    }

    fn read(windows: &Windows, text: &str, scale: &[f64]) -> Result<UnseenRecordings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new_TEST.csv");
        fs::write(&path, text).unwrap();
        let found = UnseenRecordings::read(&path, (None, Some("kind")), windows, scale);
        found.map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "DIR"))
    }

    /// Line, class, and first value of each window.
    fn rows(found: &UnseenRecordings) -> Vec<(usize, Option<&str>, i16)> {
        found.windows().iter().map(|row| (row.line, row.class, row.values[0])).collect()
    }

    #[test]
    fn windows_have_their_line_and_the_class_if_there_is_one() {
        let found = read(&windows(), "x,y,kind\n1,2,a\n3,4,a\n5,6,a\n\n7,8,b\n9,9,b\n", &[]);
        let found = found.unwrap();
        assert_eq!(rows(&found), [(2, Some("a"), 2), (3, Some("a"), 4), (6, Some("b"), 8)]);
        assert!(found.windows().iter().all(|row| row.is_test && row.file.contains("new_TEST")));
        let found = read(&windows(), "time,x,y\n0,1,2\n0.1,3,4\n0.2,5,6\n", &[]).unwrap();
        assert_eq!(rows(&found), [(2, None, 2), (3, None, 4)]);
        let named = |name: &str| Channel { name: name.into(), full_scale: Some(32768.0) };
        let model = Windows { channels: ["x", "y"].map(named).to_vec(), ..windows() };
        let found = read(&model, "x,y\n1,2\n3,4\n", &[]).unwrap();
        assert_eq!(rows(&found), [(2, None, 2)]);
        let found = read(&windows(), "kind,x,y\na,1,2\na,3,4\n", &[]).unwrap();
        assert_eq!(rows(&found), [(2, Some("a"), 2)], "the column of the training data");
        let error = read(&model, "y,x\n1,2\n3,4\n", &[]).unwrap_err();
        assert!(error.contains("the channels are y, x, but the model has x, y"), "{error}");
        let error = read(&windows(), "x,y,z,label\n1,2,3,a\n", &[]).unwrap_err();
        assert!(error.contains("3 channels, but the sensor of the model has 2"), "{error}");
    }

    #[test]
    fn values_without_a_known_unit_are_integers_or_need_the_full_scale() {
        let text = "x,y\n0.5,-2\n1.5,1\n";
        let error = read(&windows(), text, &[]).unwrap_err();
        assert!(error.starts_with("DIR/new_TEST.csv, line 2: 0.5 of channel `x` is no"), "{error}");
        assert!(error.contains("--full-scale"), "{error}");
        assert!(read(&windows(), "x,y\n40000,1\n1,1\n", &[]).is_err());
        for scale in [&[2.0][..], &[2.0, 2.0]] {
            assert_eq!(rows(&read(&windows(), text, scale).unwrap()), [(2, None, 16384)]);
        }
        let error = read(&windows(), text, &[1.0, 2.0, 3.0]).unwrap_err();
        assert!(error.starts_with("--full-scale lists 3 values for 2 channels"), "{error}");
        let known = scaled(&windows(), &[2.0]).unwrap();
        let error = read(&known, text, &[2.0]).unwrap_err();
        assert!(error.starts_with("the model knows the full scale of its sensor"), "{error}");
    }

    #[test]
    fn values_beyond_the_full_scale_are_counted() {
        let limited = |text: &str| read(&windows(), text, &[2.0]).unwrap().limited;
        assert_eq!(limited("x,y\n2,1\n1,-2\n"), None);
        let told = limited("x,y\n9,1\n1,-9\n").unwrap();
        assert!(told.starts_with("2 of 4 values exceed the full scale"), "{told}");
    }
}
