//! The LIBSVM text format: `label index:value index:value …`, one row per line, with indices ascending from 1.

use super::data::Dataset;
use super::error::{DatasetError, Syntax};
use super::labels::Labels;
use super::rows::DIMENSION_MAX;
use super::table::Table;
use super::texts::{excerpt, finite};
use crate::units::text::MARK;

impl Dataset {
    /// Parses text in LIBSVM format with exactly two distinct labels, of which the larger is the positive class.
    ///
    /// The dimension is the largest index. Blank lines and comments after `#` are skipped.
    pub fn parse(name: &str, text: &str) -> Result<Self, DatasetError> {
        Self::parse_with(name, text, Labels::Binary)
    }

    /// Like [`parse`](Self::parse), with labels of any kind.
    pub fn parse_with(name: &str, text: &str, labels: Labels) -> Result<Self, DatasetError> {
        Self::of(name, parse(name, text)?, labels)
    }
}

/// Parses text; `name` is only for messages.
pub(super) fn parse(name: &str, text: &str) -> Result<Table, DatasetError> {
    let mut table = Table::default();
    let text = text.strip_prefix(MARK).unwrap_or(text);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let (line, cut) = line.strip_suffix('\n').map_or((line, true), |line| (line, false));
        table.parse_line(line, number + 1).map_err(|(column, token_len, syntax)| {
            DatasetError::Syntax {
                name: name.into(),
                line: number + 1,
                column,
                at_end: cut
                    && column - 1 + token_len == line.len()
                    && !matches!(syntax, Syntax::Zero | Syntax::Mark),
                syntax,
            }
        })?;
    }
    if table.rows.dimension == 0 {
        return Err(DatasetError::Empty { name: name.into() });
    }
    Ok(table)
}

/// Column and length of a token, and its error.
type Flaw = (usize, usize, Syntax);

impl Table {
    fn parse_line(&mut self, line: &str, number: usize) -> Result<(), Flaw> {
        let content = line.split('#').next().unwrap_or_default();
        let mut tokens = tokens(content);
        let Some((column, token)) = tokens.next() else { return Ok(()) };
        if line.contains(MARK) {
            let at = line.find(MARK).unwrap_or_default();
            return Err((at + 1, MARK.len_utf8(), Syntax::Mark));
        }
        let label = token;
        finite(label).ok_or((column, label.len(), Syntax::Label(excerpt(label))))?;
        let mut before = 0;
        for (column, token) in tokens {
            let flaw = |syntax| (column, token.len(), syntax);
            let (index, value) = feature(token).map_err(flaw)?;
            if index <= before {
                return Err(flaw(Syntax::Order { index, before }));
            }
            before = index;
            self.rows.push((index - 1) as u16, value);
        }
        self.labels.push(label, number);
        self.rows.end_row();
        Ok(())
    }
}

/// Returns the words of a line with their columns, from 1.
fn tokens(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = line.split([' ', '\t', '\r']).scan(1, |column, word| {
        let start = *column;
        *column += word.len() + 1;
        Some((start, word))
    });
    words.filter(|(_, word)| !word.is_empty())
}

fn feature(token: &str) -> Result<(usize, f64), Syntax> {
    let malformed = || Syntax::Feature(excerpt(token));
    let (index, value) = token.split_once(':').ok_or_else(malformed)?;
    let value = finite(value).ok_or_else(malformed)?;
    match index.parse() {
        Ok(0) => Err(Syntax::Zero),
        Ok(index) if (1..=DIMENSION_MAX).contains(&index) => Ok((index, value)),
        _ => Err(Syntax::Index(excerpt(index))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Valid and invalid pieces of lines.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "1", "-1", "+1", " ", " ", " ", "\t", "\n", "\n", "\r\n", "#", ":", "3:4", "1:0.5",
            "2:1e9", "7:nan", "65535:1", "65536:1", "0:1", "5", "ä", "\u{feff}", "1:1:1", "-2:1",
            "1e999",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_place(text in text()) {
            match parse("text", &text) {
                Ok(table) => {
                    prop_assert_eq!(table.rows.starts.len(), table.labels.iter().count() + 1);
                    prop_assert_eq!(table.rows.columns.len(), table.rows.values.len());
                    prop_assert!((1..=DIMENSION_MAX).contains(&table.rows.dimension));
                }
                Err(DatasetError::Syntax { line, column, .. }) => {
                    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                    let line = text.split('\n').nth(line - 1).unwrap();
                    prop_assert!(line.is_char_boundary(column - 1) && column <= line.len());
                }
                Err(DatasetError::Empty { .. }) => {}
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
