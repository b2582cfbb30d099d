//! Recordings in CSV: a sample per line.

use super::error::{Flaw, RecordingsError};
use super::series::{Series, Stretch};
use crate::problem::dataset::columns::{Columns, LabelColumn};
use crate::problem::dataset::csv::{self, Fields};

/// Names of the column of times in seconds, in lower case.
const TIMES: [&str; 3] = ["time", "timestamp", "seconds"];
/// Name of the column that says which recording a sample belongs to.
const RECORDING: &str = "recording";
/// A longer step than this many usual ones is a gap.
const GAP: f64 = 1.5;

/// How the column of the classes is found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClassColumn<'a> {
    /// Its name, by the user.
    pub named: Option<&'a str>,
    /// Its name in the training data of a model, which is used if the file has it.
    pub trained: Option<&'a str>,
    /// Number of channels of a model that predicts: a file with only as many columns has no classes.
    pub channels: Option<usize>,
}

/// Parses text; `name` is only for messages.
pub(super) fn parse(
    name: &str,
    text: &str,
    classes: ClassColumn<'_>,
) -> Result<Series, RecordingsError> {
    let start = |columns: &Columns<'_>| Reader::new(name, columns, classes);
    let reader = csv::read(name, text, start, Reader::push)?;
    reader.finish()
}

/// Collects the samples of a table.
struct Reader {
    series: Series,
    channels: Vec<usize>,
    label: Option<usize>,
    time: Option<usize>,
    recording: Option<usize>,
    /// Recording and line of the latest sample.
    last: Option<(Option<String>, usize)>,
    /// The time of each sample of each stretch; empty without such a column.
    times: Vec<Vec<f64>>,
}

impl Reader {
    fn new(
        name: &str,
        columns: &Columns<'_>,
        classes: ClassColumn<'_>,
    ) -> Result<Self, RecordingsError> {
        let ClassColumn { named, trained, channels: expected } = classes;
        let is_named = |column: usize, names: &[&str]| {
            names.contains(&columns.names[column].to_lowercase().as_str())
        };
        let all = 0..columns.names.len();
        let others = [&TIMES[..], &[RECORDING]];
        let others =
            others.iter().filter(|names| all.clone().any(|column| is_named(column, names)));
        let are_channels = !columns.have_label() && expected == Some(all.len() - others.count());
        let trained = trained.filter(|name| columns.position(name).is_some());
        let label = match named.or(trained) {
            Some(name) => LabelColumn::Named(name),
            None if are_channels => LabelColumn::Elsewhere,
            None => LabelColumn::Default,
        };
        let selection = columns.select(label, None)?;
        let mut channels = selection.features;
        let mut take = |names: &[&str]| {
            let place = channels.iter().position(|&column| is_named(column, names))?;
            Some(channels.remove(place))
        };
        let (time, recording) = (take(&TIMES), take(&[RECORDING]));
        let names = channels.iter().map(|&column| columns.names[column].clone()).collect();
        let (name, label) = (name.into(), selection.label);
        let is_unlabelled = label.is_none();
        let series = Series { name, channels: names, line: 1, is_unlabelled, ..Series::default() };
        Ok(Self { series, channels, label, time, recording, last: None, times: vec![] })
    }

    fn push(&mut self, fields: &Fields<'_>) -> Result<(), RecordingsError> {
        let class = self.label.map(|column| fields.text(column)).transpose()?.unwrap_or_default();
        let line = fields.line;
        let recording = self.recording.map(|column| fields.text(column)).transpose()?;
        let recording = recording.map(str::to_owned);
        let continues = self.series.stretches.last().is_some_and(|last| last.class == class)
            && self.last.as_ref().is_some_and(|last| last.0 == recording);
        let is_next = self.last.as_ref().is_some_and(|last| last.1 + 1 == line);
        if continues && !is_next {
            self.series.gaps.push(line);
        }
        if !continues || !is_next {
            self.series.stretches.push(Stretch { class: class.into(), ..Stretch::default() });
            self.times.push(vec![]);
        }
        self.last = Some((recording, line));
        let (Some(stretch), Some(times)) =
            (self.series.stretches.last_mut(), self.times.last_mut())
        else {
            return Ok(());
        };
        for &column in &self.channels {
            stretch.values.push(fields.number(column)?);
        }
        stretch.lines.push(line);
        times.extend(self.time.map(|column| fields.number(column)).transpose()?);
        Ok(())
    }

    /// Finds rate and gaps by the times.
    fn finish(self) -> Result<Series, RecordingsError> {
        let Self { mut series, times, .. } = self;
        for (stretch, times) in series.stretches.iter().zip(&times) {
            if let Some(at) = times.windows(2).position(|pair| pair[1] <= pair[0]) {
                return Err(Flaw::Time(times[at]).at(&series.name, stretch.line(at + 1)));
            }
        }
        let Some(period) = median(times.iter().flat_map(|times| steps(times))) else {
            return Ok(series);
        };
        // As exact as a recipe.
        series.rate = Some((1000.0 / period).round().max(1.0) / 1000.0);
        let width = series.channels.len();
        let mut parts = vec![];
        for (stretch, times) in series.stretches.into_iter().zip(&times) {
            let ends = (1..).zip(steps(times)).filter(|(_, step)| *step > GAP * period);
            let ends: Vec<usize> = ends.map(|(end, _)| end).chain([times.len()]).collect();
            let mut from = 0;
            for end in ends {
                if from > 0 {
                    series.gaps.push(stretch.lines[from]);
                }
                parts.push(Stretch {
                    class: stretch.class.clone(),
                    lines: stretch.lines[from..end].to_vec(),
                    values: stretch.values[from * width..end * width].to_vec(),
                });
                from = end;
            }
        }
        series.gaps.sort_unstable();
        Ok(Series { stretches: parts, ..series })
    }
}

fn steps(times: &[f64]) -> impl Iterator<Item = f64> {
    times.windows(2).map(|pair| pair[1] - pair[0])
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Series, String> {
        parse("x.csv", text, ClassColumn::default()).map_err(|error| error.to_string())
    }

    /// Class, first line and values of each stretch.
    fn stretches(series: &Series) -> Vec<(&str, usize, &[f64])> {
        series.stretches.iter().map(|it| (it.class.as_str(), it.line(0), &it.values[..])).collect()
    }

    #[test]
    fn recording_begins_where_class_or_number_changes() {
        let text = "x,recording,y,class\n1,a,2,walk\n3,a,4,walk\n5,b,6,walk\n7,b,8,run\n";
        let series = read(text).unwrap();
        assert_eq!((&series.channels[..], series.rate), (&["x".into(), "y".into()][..], None));
        let expected: [(&str, usize, &[f64]); 3] =
            [("walk", 2, &[1.0, 2.0, 3.0, 4.0]), ("walk", 4, &[5.0, 6.0]), ("run", 5, &[7.0, 8.0])];
        assert_eq!(stretches(&series), expected);
        assert!(series.gaps.is_empty());
    }

    #[test]
    fn empty_line_and_jump_in_time_are_gaps() {
        let series = read("x,label\n1,a\n\n2,a\n\n3,b\n").unwrap();
        let expected: [(&str, usize, &[f64]); 3] =
            [("a", 2, &[1.0]), ("a", 4, &[2.0]), ("b", 6, &[3.0])];
        assert_eq!(stretches(&series), expected);
        assert_eq!(series.gaps, [4]);

        let text = "Time,x,label\n0,1,a\n0.5,2,a\n1,3,a\n2,4,a\n2.5,5,a\n0,6,b\n0.5,7,b\n";
        let series = read(text).unwrap();
        assert_eq!((series.rate, &series.gaps[..]), (Some(2.0), &[5][..]));
        let expected: [(&str, usize, &[f64]); 3] =
            [("a", 2, &[1.0, 2.0, 3.0]), ("a", 5, &[4.0, 5.0]), ("b", 7, &[6.0, 7.0])];
        assert_eq!(stretches(&series), expected);
    }

    #[test]
    fn invalid_table_is_refused_with_its_place() {
        let cases = [
            ("x,label\n1,a\n2\n", ", line 3: 1 fields, but the header has 2"),
            ("x,label\n1,a\n,a\n", ", line 3, column `x`: the value is missing"),
            ("x,label\n1,a\n2,\n", ", line 3, column `label`: the value is missing"),
            ("time,x,label\n0,1,a\n1,2,a\n1,3,a\n", ", line 4: time does not increase after 1 s"),
            ("x,y,label\n", ": it contains no rows"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("x.csv{expected}")), "{error}");
        }
    }
}
