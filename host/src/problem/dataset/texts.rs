//! A column of texts: labels of rows, or the owners of rows.

use crate::units::shown::shown;
use std::collections::HashMap;

/// The text of each row. Equal texts are stored once.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    distinct: Vec<Distinct>,
    /// Place of a text in `distinct`.
    places: HashMap<String, u32>,
    rows: Vec<u32>,
}

/// A text that occurs in the column.
#[derive(Clone, Debug)]
struct Distinct {
    text: String,
    /// Its value, if it is a finite number.
    number: Option<f64>,
    /// The first line with it, counted from 1.
    line: usize,
}

impl Texts {
    /// Appends the text of a row that stands in `line`.
    pub(super) fn push(&mut self, text: &str, line: usize) {
        let place = match self.places.get(text) {
            Some(&place) => place,
            None => {
                let place = self.distinct.len() as u32;
                self.places.insert(text.into(), place);
                self.distinct.push(Distinct { text: text.into(), number: finite(text), line });
                place
            }
        };
        self.rows.push(place);
    }

    /// Returns the text of each row.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|&place| self.distinct[place as usize].text.as_str())
    }

    /// Returns the column with every text replaced.
    pub(super) fn map(&self, new: impl Fn(&str) -> String) -> Self {
        let mut texts = Self::default();
        for &place in &self.rows {
            let Distinct { text, line, .. } = &self.distinct[place as usize];
            texts.push(&new(text), *line);
        }
        texts
    }

    /// Returns the number of each row.
    ///
    /// # Errors
    /// Line and excerpt of the first text that is not a finite number.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, (usize, String)> {
        let number = |distinct: &Distinct| {
            distinct.number.ok_or_else(|| (distinct.line, excerpt(&distinct.text)))
        };
        let numbers = self.distinct.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        Ok(self.rows.iter().map(|&place| numbers[place as usize]).collect())
    }

    /// Returns the distinct texts in order, and for each row the place of its text among them.
    ///
    /// If all are numbers, their order is numerical and equal numbers count as one text, that of the first row with it.
    pub(super) fn ranked(&self) -> (Vec<String>, Vec<u32>) {
        let at = |place: &u32| &self.distinct[*place as usize];
        let is_numeric = self.distinct.iter().all(|distinct| distinct.number.is_some());
        // Texts have no key, and none of them equals another. Adding 0 makes −0 equal to 0.
        let key = |place: &u32| at(place).number.filter(|_| is_numeric).map(|number| number + 0.0);
        let mut order: Vec<u32> = (0..self.distinct.len() as u32).collect();
        // Stable: of equal numbers the first in the file stays in front and names the class.
        order.sort_by(|one, other| match (key(one), key(other)) {
            (Some(one), Some(other)) if one != other || is_exact(one) => one.total_cmp(&other),
            _ => at(one).text.cmp(&at(other).text),
        });
        let (mut names, mut last) = (Vec::<String>::new(), None);
        let mut ranks = vec![0; order.len()];
        for place in order {
            let number = key(&place);
            if number != last || !number.is_some_and(is_exact) {
                names.push(at(&place).text.clone());
            }
            last = number;
            ranks[place as usize] = names.len() as u32 - 1;
        }
        (names, self.rows.iter().map(|&place| ranks[place as usize]).collect())
    }
}

/// Returns whether only one integer has this value: beyond 2^53 different ones are rounded to the same.
pub(super) fn is_exact(number: f64) -> bool {
    number.abs() < (1u64 << 53) as f64
}

/// Parses a finite number.
pub(super) fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Shortens a text for a message.
pub(super) fn excerpt(text: &str) -> String {
    shown(&text.chars().take(24).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Texts {
        let mut column = Texts::default();
        (1..).zip(texts).for_each(|(line, text)| column.push(text, line));
        column
    }

    #[test]
    fn numbers_are_ordered_by_value_and_texts_by_letters() {
        let (names, ranks) = texts(&["10", "+1", "9", "1.0", "-0", "0"]).ranked();
        assert_eq!(names, ["-0", "+1", "9", "10"]);
        assert_eq!(ranks, [3, 1, 2, 1, 0, 0]);
        let (names, ranks) = texts(&["9007199254740993", "1", "9007199254740992"]).ranked();
        assert_eq!(names, ["1", "9007199254740992", "9007199254740993"]);
        assert_eq!(ranks, [2, 0, 1]);
        let (names, ranks) = texts(&["10", "walk", "9", "run", "walk"]).ranked();
        assert_eq!(names, ["10", "9", "run", "walk"]);
        assert_eq!(ranks, [0, 3, 1, 2, 3]);
    }

    #[test]
    fn text_among_numbers_is_found_with_its_line() {
        assert_eq!(texts(&["1", "2.5", "1"]).numbers(), Ok(vec![1.0, 2.5, 1.0]));
        assert_eq!(texts(&["1", "x", "nan"]).numbers(), Err((2, "x".into())));
    }
}
