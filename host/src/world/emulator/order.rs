//! What a user of emulated boards types while they run.

use crate::units::shown::shown;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All sensors play recordings of a class.
    Play {
        /// The class.
        class: String,
        /// They play held-out recordings.
        is_test: bool,
    },
    /// The power of a board fails; boards are counted from 1.
    Cut(usize),
    /// All boards end.
    Quit,
}

/// A line is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no order: type {choices}", shown(text))]
pub struct OrderError {
    text: String,
    choices: String,
}

impl Order {
    /// Parses a line, for this many boards with recordings of these classes.
    ///
    /// # Errors
    /// If it is no order for them.
    pub fn parse(line: &str, classes: &[String], boards: usize) -> Result<Self, OrderError> {
        let text = line.trim();
        let class = |name: &str| classes.iter().find(|class| *class == name).cloned();
        if let Some(class) = class(text) {
            return Ok(Self::Play { class, is_test: false });
        }
        let words = text.rsplit_once(char::is_whitespace);
        let (first, last) = words.map_or((text, ""), |(first, last)| (first.trim_end(), last));
        if let (Some(class), "test") = (class(first), last) {
            return Ok(Self::Play { class, is_test: true });
        }
        match (first, last.parse()) {
            ("cut", Ok(board @ 1..)) if board <= boards => Ok(Self::Cut(board)),
            ("quit", Err(_)) if last.is_empty() => Ok(Self::Quit),
            _ => Err(OrderError { text: text.into(), choices: choices(classes, boards) }),
        }
    }
}

/// Returns what can be typed, as a part of a sentence.
pub(super) fn choices(classes: &[String], boards: usize) -> String {
    let classes =
        classes.iter().map(|class| shown(class).to_string()).collect::<Vec<_>>().join(", ");
    let numbers = if boards == 1 { "1".into() } else { format!("1 to {boards}") };
    format!("a class ({classes}), a class and `test`, `cut N` with N = {numbers}, or `quit`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_parsed_or_refused_with_the_choices() {
        let classes = ["resting", "going up", "quit"].map(String::from);
        let parse = |line: &str| Order::parse(line, &classes, 8);
        let play = |class: &str, is_test| Ok(Order::Play { class: class.into(), is_test });
        assert_eq!(parse(" resting\r\n"), play("resting", false));
        assert_eq!(parse("going up"), play("going up", false));
        assert_eq!(parse("going up  test"), play("going up", true));
        assert_eq!(parse("quit"), play("quit", false), "a class goes before other words");
        assert_eq!(Order::parse("quit", &classes[..2], 8), Ok(Order::Quit));
        assert_eq!([parse("cut 1"), parse("cut 8")], [1, 8].map(|board| Ok(Order::Cut(board))));
        for line in
            ["", "rest", "resting tests", "going", "cut", "cut 0", "cut 9", "cut x", "quit 1"]
        {
            let refused = parse(line).unwrap_err().to_string();
            let choices = "is no order: type a class (resting, going up, quit), a class and `test`, \
                `cut N` with N = 1 to 8, or `quit`";
            assert_eq!(refused, format!("`{line}` {choices}"));
        }
    }
}
