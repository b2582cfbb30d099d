//! The `.ts` format of the UEA and UCR archives: a series per line, its channels separated by colons, then its class.

use super::error::{Flaw, RecordingsError};
use super::series::{Series, Stretch};
use crate::problem::dataset::texts::{excerpt, finite};
use crate::units::text::MARK;

/// What the header says.
#[derive(Default)]
struct Header {
    channels: Option<usize>,
    /// Names of the classes; empty if it lists none.
    classes: Vec<String>,
}

/// Parses text; `name` is only for messages.
pub(super) fn parse(name: &str, text: &str) -> Result<Series, RecordingsError> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let (mut header, mut has_data) = (Header::default(), false);
    let mut series = Series { name: name.into(), ..Series::default() };
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let parsed = match text.strip_prefix('@') {
            Some(entry) if !has_data => header.read(entry).map(|is_data| has_data = is_data),
            Some(_) | None if !has_data => Err(Flaw::NoData),
            Some(_) | None => header.series(text).map(|(channels, class, values)| {
                if series.line == 0 {
                    series.line = line;
                    series.channels = (1..=channels).map(|n| format!("c{n}")).collect();
                }
                series.stretches.push(Stretch { class, lines: vec![line], values });
            }),
        };
        parsed.map_err(|flaw| flaw.at(name, line))?;
    }
    Ok(series)
}

impl Header {
    /// Reads an entry; returns whether the series begin after it.
    fn read(&mut self, entry: &str) -> Result<bool, Flaw> {
        let mut words = entry.split_whitespace();
        let key = words.next().unwrap_or_default().to_lowercase();
        let unsupported = |advice| Err(Flaw::Unsupported { entry: format!("@{entry}"), advice });
        match (key.as_str(), words.next().map(str::to_lowercase).as_deref()) {
            ("data", _) => return Ok(true),
            ("dimensions" | "dimension", Some(count)) => self.channels = count.parse().ok(),
            ("univariate", Some("true")) => self.channels = Some(1),
            ("timestamps", Some("true")) => {
                return unsupported("write the values alone, at a constant rate");
            }
            ("classlabel", Some("true")) => self.classes = words.map(Into::into).collect(),
            ("classlabel", _) => return unsupported("each series needs a class"),
            // Known or not, other entries are about other programs.
            _ => {}
        }
        Ok(false)
    }

    /// Returns number of channels, class and samples of a series.
    fn series(&mut self, text: &str) -> Result<(usize, String, Vec<f64>), Flaw> {
        let mut parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let class = parts.pop().unwrap_or_default();
        let expected = *self.channels.get_or_insert(parts.len());
        if parts.len() != expected || parts.is_empty() {
            return Err(Flaw::Dimensions { found: parts.len(), expected });
        }
        if !self.classes.is_empty() && !self.classes.iter().any(|known| known == class) {
            return Err(Flaw::Unlisted { class: excerpt(class), known: self.classes.join(", ") });
        }
        if class.is_empty() {
            return Err(Flaw::Unlisted { class: String::new(), known: "texts".into() });
        }
        let channels = (1..).zip(parts).map(|(channel, part)| values(channel, part));
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        let expected = channels[0].len();
        for (channel, values) in (1..).zip(&channels) {
            if values.len() != expected {
                return Err(Flaw::Ragged { channel, found: values.len(), expected });
            }
        }
        let sample = |t: usize| channels.iter().map(move |channel| channel[t]);
        Ok((channels.len(), class.into(), (0..expected).flat_map(sample).collect()))
    }
}

fn values(channel: usize, text: &str) -> Result<Vec<f64>, Flaw> {
    let number = |(place, text): (usize, &str)| match text.trim() {
        "?" | "" | "NaN" | "nan" => Err(Flaw::Missing(place, channel)),
        text => finite(text).ok_or_else(|| Flaw::Number(excerpt(text))),
    };
    (1..).zip(text.split(',')).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#note\n@problemName x\n@timeStamps false\n@dimensions 2\n@classLabel true walk run\n@data\n";

    fn read(text: &str) -> Result<Series, String> {
        parse("x.ts", text).map_err(|error| error.to_string())
    }

    #[test]
    fn series_have_channels_and_a_class() {
        let series = read(&format!("{HEADER}1,2,3:4,5,6:walk\n\n7:8:run\r\n")).unwrap();
        assert_eq!(series.channels, ["c1", "c2"]);
        assert_eq!(series.stretches.len(), 2);
        let Stretch { class, lines, values } = &series.stretches[0];
        assert_eq!((class.as_str(), &lines[..]), ("walk", &[7][..]));
        assert_eq!(*values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(series.stretches[1].line(0), 9);
    }

    #[test]
    fn invalid_line_is_refused_with_its_place() {
        let cases = [
            ("1,2:3,4\n", "line 7: 1 channels and a class, but the file has 2 channels"),
            ("1,2:3:walk\n", "line 7: channel 2 has 1 samples, but channel 1 has 2"),
            ("1,2:3,x:walk\n", "line 7: `x` is not a number"),
            ("1,2:?,4:walk\n", "line 7: value 1 of channel 2 is missing"),
            ("1,2:3,4:sit\n", "line 7: `sit` is not one of the classes of the file, walk, run"),
        ];
        for (line, expected) in cases {
            let error = read(&format!("{HEADER}{line}")).unwrap_err();
            assert!(error.starts_with(&format!("x.ts, {expected}")), "{error}");
        }
        let cases = [
            ("1,2:walk\n", "x.ts, line 1: series begin after a line `@data`, which is missing"),
            ("@timeStamps true\n", "x.ts, line 1: `@timeStamps true` is not supported"),
            ("@classLabel false\n", "x.ts, line 1: `@classLabel false` is not supported"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
