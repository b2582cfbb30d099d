//! Reading recordings: files checked against each other, full scales, and whose recording it is.

use super::error::{Flaw, RecordingsError};
use super::files::{self, Format, Source};
use super::full_scale::{Beyond, full_scales, note_beyond, samples, scaled};
use super::samples::{Recording, Recordings, WorkerRecordings};
use super::series::Series;
use super::table::ClassColumn;
use super::{example, table, ts};
use crate::options::Options;
use crate::options::windowing::{self, Windowing};
use crate::problem::dataset::defect::{Defect, Place};
use crate::problem::dataset::load::LIMITS;
use crate::problem::dataset::windows::{Channel, RATE_TOLERANCE, TrainedWindows, Windows};
use crate::units::quantity::counted;
use crate::units::shown::shown;
use crate::units::{files as regular, text};
use smidgen_protocol::message::{CLASS_NAME_LEN_MAX, CLASSES_MAX};
use smidgen_protocol::recipe::{CHANNELS_MAX, Recipe};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Name of the bundled recordings.
pub const EXAMPLE: &str = "example";

/// The files of a run.
pub(super) struct Files {
    pub name: String,
    pub files: Vec<(Source, Series)>,
    /// The recordings are dealt to workers, instead of those of a file being of one.
    is_dealt: bool,
}

impl Recordings {
    /// Reads the recordings of the options. `boards` is the number of boards, `None` in simulation; `trained` says what
    /// the model knows that the run continues. Values beyond its full scale are limited, as for a prediction.
    ///
    /// # Errors
    /// If they cannot be read, are not of the sensor of the model, or cannot be given to that many workers.
    pub fn read(
        path: &Path,
        options: &Options,
        boards: Option<usize>,
        trained: Option<&TrainedWindows<'_>>,
    ) -> Result<Self, RecordingsError> {
        let label = options.label.as_deref().map(|label| shown(label).to_string());
        let label = label.as_deref();
        let of_model = trained.and_then(|trained| trained.label);
        let classes = ClassColumn { named: label, trained: of_model, channels: None };
        let files = Files::read(path, classes)?;
        check_channels(&files.files)?;
        check_classes(&files, trained.map_or(&[], |trained| trained.classes))?;
        let (windows, beyond, limited) = match trained {
            Some(&TrainedWindows { windows, .. }) => {
                check_sensor(&files.files, windows)?;
                let windows = scaled(windows, &options.full_scale)?;
                let limited = note_beyond(&windows.channels, &files.files);
                (windows, Beyond::Limited, limited)
            }
            None => {
                let windows = windows(&files.files, &options.windowing, &options.full_scale)?;
                (windows, Beyond::Refused, None)
            }
        };
        let (name, mut notes) = (files.name.clone(), files.notes());
        notes.push(format!("{name}: {}", windowing::describe(&windows.recipe())));
        notes.extend(limited);
        let label = label.or(of_model).map(str::to_owned);
        let mut recordings = Self { name, windows, label, workers: vec![], notes };
        let all = recordings.quantised(files.files, beyond)?;
        recordings.workers = match files.is_dealt {
            true => recordings.deal(all, options.worker_count(boards)?)?,
            false => recordings.by_file(&all, options, boards)?,
        };
        recordings.check_workers()?;
        Ok(recordings)
    }

    /// Reads recordings of any length. Those of a single file are dealt to at most this many boards.
    ///
    /// # Errors
    /// If they cannot be read, or differ in channels or rate.
    pub fn for_sensors(path: &Path, boards: usize) -> Result<Self, RecordingsError> {
        let files = Files::read(path, ClassColumn::default())?;
        check_channels(&files.files)?;
        check_classes(&files, &[])?;
        // Boards decide on windows when they record.
        let any = Windowing { window: Some(1), ..Windowing::default() };
        let windows = windows(&files.files, &any, &[])?;
        let (name, notes) = (files.name.clone(), files.notes());
        let mut recordings = Self { name, windows, label: None, workers: vec![], notes };
        let all = recordings.quantised(files.files, Beyond::Refused)?;
        recordings.workers = if files.is_dealt {
            let training = all.iter().flat_map(|file| &file.recordings).filter(|it| !it.is_test);
            let count = training.count().min(boards);
            recordings.deal(all, count)?
        } else {
            joined(&all)
        };
        recordings.check_workers()?;
        Ok(recordings)
    }

    /// Returns whether recordings of this name are bundled.
    pub fn is_built_in(path: &Path) -> bool {
        path == Path::new(EXAMPLE)
    }

    /// Returns the samples of all files that are long enough for a window, with the worker of each file.
    fn quantised(
        &mut self,
        files: Vec<(Source, Series)>,
        beyond: Beyond,
    ) -> Result<Vec<WorkerRecordings>, RecordingsError> {
        let (mut all, mut short) = (vec![], 0);
        for (source, series) in files {
            let mut recordings = vec![];
            for stretch in &series.stretches {
                let channels = &self.windows.channels;
                let samples = samples(channels, &series.name, stretch, beyond)?;
                if samples.len() < self.windows.recipe().window_len() {
                    short += 1;
                    continue;
                }
                let class = stretch.class.clone();
                recordings.push(Recording { class, is_test: source.is_test, samples });
            }
            all.push(WorkerRecordings { worker: source.worker, recordings });
        }
        if short > 0 {
            let are = counted(short, "recording is", "recordings are");
            let window = self.windows.window;
            self.notes
                .push(format!("{are} shorter than a window of {window} samples, without rows"));
        }
        Ok(all)
    }

    /// Deals recordings to workers in turn, held-out ones by themselves.
    fn deal(
        &self,
        files: Vec<WorkerRecordings>,
        count: usize,
    ) -> Result<Vec<WorkerRecordings>, RecordingsError> {
        let recordings = || files.iter().flat_map(|file| &file.recordings);
        let found = recordings().filter(|recording| !recording.is_test).count();
        if found < count {
            return Err(RecordingsError::Few { name: self.name.clone(), found, workers: count });
        }
        let worker = |worker: usize| {
            let [training, test] = [false, true].map(|is_test| {
                let of_use = recordings().filter(move |recording| recording.is_test == is_test);
                of_use.skip(worker).step_by(count)
            });
            let recordings = training.chain(test).cloned().collect();
            WorkerRecordings { worker: (worker + 1).to_string(), recordings }
        };
        Ok((0..count).map(worker).collect())
    }

    /// Joins the files of each worker.
    fn by_file(
        &self,
        files: &[WorkerRecordings],
        options: &Options,
        boards: Option<usize>,
    ) -> Result<Vec<WorkerRecordings>, RecordingsError> {
        let workers = joined(files);
        let given = options.workers.map(|workers| (usize::from(workers), "--workers asks for"));
        let boards = boards.map(|boards| (boards, "the number of boards is"));
        let other = given.into_iter().chain(boards).find(|asked| asked.0 != workers.len());
        if let Some((asked, by)) = other {
            let (name, asked) = (self.name.clone(), format!("{by} {asked}"));
            return Err(RecordingsError::Workers { name, found: workers.len(), asked });
        }
        Ok(workers)
    }

    fn check_workers(&self) -> Result<(), RecordingsError> {
        for WorkerRecordings { worker, recordings } in &self.workers {
            let (worker, window) = (worker.clone(), self.windows.window);
            if recordings.iter().all(|recording| recording.is_test) {
                return Err(RecordingsError::Short { worker, window });
            }
            if recordings.len() > u16::MAX.into() {
                return Err(RecordingsError::Many(worker));
            }
        }
        Ok(())
    }
}

impl Files {
    fn read(path: &Path, classes: ClassColumn<'_>) -> Result<Self, RecordingsError> {
        let name = shown(path).to_string();
        if Recordings::is_built_in(path) {
            return Ok(Self { name, files: example::files(), is_dealt: false });
        }
        let unreadable = |source| RecordingsError::Unreadable { name: name.clone(), source };
        let is_dealt = !path.metadata().map_err(unreadable)?.is_dir();
        let sources = if is_dealt { files::of_file(path)? } else { files::of_directory(path)? };
        Ok(Self { name, files: all_series(sources, classes)?, is_dealt })
    }

    /// Files for a model that predicts.
    pub(super) fn unseen(path: &Path, classes: ClassColumn<'_>) -> Result<Self, RecordingsError> {
        let name = shown(path).to_string();
        let files = match Recordings::is_built_in(path) {
            true => example::files(),
            false => all_series(files::unseen(path)?, classes)?,
        };
        Ok(Self { name, files, is_dealt: false })
    }

    fn notes(&self) -> Vec<String> {
        let note = |(_, series): &(Source, Series)| {
            let (name, gaps) = (&series.name, series.gaps.len() as u64);
            let first = series.gaps.first()?;
            let gaps = counted(gaps, "gap", "gaps");
            Some(format!("{name}: {gaps}, the first before line {first}; no window spans a gap"))
        };
        self.files.iter().filter_map(note).collect()
    }
}

/// Joins the files of each worker.
fn joined(files: &[WorkerRecordings]) -> Vec<WorkerRecordings> {
    let files = files.chunk_by(|one, next| one.worker == next.worker);
    let join = |files: &[WorkerRecordings]| WorkerRecordings {
        worker: files[0].worker.clone(),
        recordings: files.iter().flat_map(|file| file.recordings.clone()).collect(),
    };
    files.map(join).collect()
}

fn all_series(
    sources: Vec<Source>,
    classes: ClassColumn<'_>,
) -> Result<Vec<(Source, Series)>, RecordingsError> {
    let read = |source: Source| Ok((source.clone(), series(&source, classes)?));
    sources.into_iter().map(read).collect()
}

/// Reads a file.
fn series(source: &Source, classes: ClassColumn<'_>) -> Result<Series, RecordingsError> {
    let name = source.name();
    let file = regular::open(&source.path).map_err(text::TextError::from);
    let text = file.and_then(|file| text::read_from(file, LIMITS));
    let text = text.map_err(|source| RecordingsError::Text { name: name.clone(), source })?;
    let series = match Format::of(&source.path) {
        Some(Format::Ts) if classes.named.is_some() => return Err(RecordingsError::Label(name)),
        Some(Format::Ts) => ts::parse(&name, &text)?,
        Some(Format::Csv) => table::parse(&name, &text, classes)?,
        None => {
            let source = io::Error::other("its name ends in neither .csv nor .ts");
            return Err(RecordingsError::Unreadable { name, source });
        }
    };
    match series.stretches.is_empty() {
        true => Err(Defect::NoRows.of(&name, Place::Table).into()),
        false => Ok(series),
    }
}

pub(super) fn check_channels(files: &[(Source, Series)]) -> Result<(), RecordingsError> {
    let first = &files[0].1;
    let count = first.channels.len();
    if !(1..=CHANNELS_MAX).contains(&count) {
        return Err(Flaw::ChannelCount(count).at(&first.name, first.line));
    }
    files.iter().try_for_each(|(_, series)| check_names(series, &first.channels, &first.name))
}

/// Refuses files that do not have the channels and the rate of a model. Channels of a board have no names, so a file
/// has as many.
pub(super) fn check_sensor(
    files: &[(Source, Series)],
    windows: &Windows,
) -> Result<(), RecordingsError> {
    rate(files, Some((hertz(windows.rate_millihertz), "the model has")))?;
    let series = &files[0].1;
    let expected: Vec<_> = windows.channels.iter().map(|channel| channel.name.clone()).collect();
    if windows.are_named() {
        return check_names(series, &expected, "the model");
    }
    let (found, expected) = (series.channels.len(), expected.len());
    match found == expected {
        true => Ok(()),
        false => Err(Flaw::OtherCount { found, expected }.at(&series.name, series.line)),
    }
}

/// Refuses a file that does not have the channels of another one.
fn check_names(
    series: &Series,
    expected: &Vec<String>,
    other: &str,
) -> Result<(), RecordingsError> {
    if series.channels == *expected {
        return Ok(());
    }
    let [found, expected] = [&series.channels, expected].map(|channels| channels.join(", "));
    let flaw = Flaw::Channels { found, expected, other: other.into() };
    Err(flaw.at(&series.name, series.line))
}

/// Returns samples per second.
fn hertz(millihertz: u32) -> f64 {
    f64::from(millihertz) / 1000.0
}

/// Returns the rate of all files, if it is given, with who says so, or a file says it.
fn rate(
    files: &[(Source, Series)],
    given: Option<(f64, &str)>,
) -> Result<Option<f64>, RecordingsError> {
    let rated = || files.iter().filter_map(|(_, series)| Some((&series.name, series.rate?)));
    let (expected, by) = match (given, rated().next()) {
        (Some((rate, by)), _) => (rate, by.to_owned()),
        (None, Some((name, rate))) => (rate, format!("{name} has")),
        (None, None) => return Ok(None),
    };
    let differs = |rate: f64| (rate / expected - 1.0).abs() > RATE_TOLERANCE;
    match rated().find(|&(_, rate)| differs(rate)) {
        Some((name, rate)) => {
            let expected = format!("{by} {expected}");
            Err(RecordingsError::Rate { name: name.clone(), rate, expected })
        }
        None => Ok(Some(expected.clamp(1e-3, 4e6))),
    }
}

/// Checks classes against each other, and the names of those of a model, which need no recordings.
fn check_classes(files: &Files, trained: &[String]) -> Result<(), RecordingsError> {
    let stretches = |is_test: bool| {
        let files = files.files.iter().filter(move |(source, _)| source.is_test == is_test);
        files.flat_map(|(_, series)| series.stretches.iter().map(move |it| (&series.name, it)))
    };
    let training = stretches(false).map(|(_, stretch)| &stretch.class);
    let known: BTreeSet<&String> = training.chain(trained).collect();
    for (name, stretch) in stretches(false).chain(stretches(true)) {
        let class = &stretch.class;
        if class.len() > CLASS_NAME_LEN_MAX {
            return Err(Flaw::LongClass(class.clone()).at(name, stretch.line(0)));
        }
        if known.len() <= CLASSES_MAX && !known.contains(class) {
            let all = known.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
            let flaw = Flaw::UnknownClass { class: class.clone(), known: all };
            return Err(flaw.at(name, stretch.line(0)));
        }
    }
    match known.len() {
        ..=CLASSES_MAX => Ok(()),
        count => Err(RecordingsError::Classes(files.name.clone(), count)),
    }
}

/// Returns how the values of all files become rows.
fn windows(
    files: &[(Source, Series)],
    windowing: &Windowing,
    full_scale: &[f64],
) -> Result<Windows, RecordingsError> {
    let given = windowing.rate_millihertz.map(hertz);
    let rate = rate(files, given.map(|rate| (rate, "--rate is")))?;
    let full_scales = full_scales(files, full_scale)?;
    let names = files[0].1.channels.iter().cloned();
    let channel = |(name, full_scale)| Channel { name, full_scale: Some(full_scale) };
    let channels: Vec<_> = names.zip(full_scales).map(channel).collect();
    let rate_millihertz = rate.map(|rate| (rate * 1000.0).round() as u32);
    let windowing = Windowing { rate_millihertz, ..windowing.clone() };
    let Recipe { window, hop, features, rate_millihertz, .. } =
        windowing.recipe(channels.len() as u8, None);
    Ok(Windows { channels, rate_millihertz, window, hop, features })
}

#[cfg(test)]
mod tests;
