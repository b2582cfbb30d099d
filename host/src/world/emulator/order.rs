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
    /// The user is told what can be typed.
    Help,
    /// All boards end.
    Quit,
}

/// Reasons why a line is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nothing like it can be typed.
    #[error("`{}` is no order: type {choices}", shown(text))]
    Unknown {
        /// The line.
        text: String,
        /// What can be typed.
        choices: String,
    },
    /// There is no such board.
    #[error("there is no board {number}: the boards are {}", numbers(*count))]
    NoBoard {
        /// What was typed.
        number: usize,
        /// Number of boards.
        count: usize,
    },
}

impl Order {
    /// Parses a line, for this many boards with recordings of these classes. Upper and lower case differ only between
    /// classes.
    ///
    /// # Errors
    /// If it is no order for them.
    pub fn parse(line: &str, classes: &[String], boards: usize) -> Result<Self, OrderError> {
        let text = line.trim();
        let class = |name: &str| {
            let mut like = classes.iter().filter(|it| it.to_lowercase() == name.to_lowercase());
            let exact = classes.iter().find(|class| *class == name);
            exact.or_else(|| like.next().filter(|_| like.next().is_none())).cloned()
        };
        if let Some(class) = class(text) {
            return Ok(Self::Play { class, is_test: false });
        }
        let words = text.rsplit_once(char::is_whitespace);
        let (first, last) = words.map_or((text, ""), |(first, last)| (first.trim_end(), last));
        let (order, last) = (first.to_lowercase(), last.to_lowercase());
        if let (Some(class), "test") = (class(first), &*last) {
            return Ok(Self::Play { class, is_test: true });
        }
        match (&*order, &*last, last.parse()) {
            ("cut", _, Ok(number)) if (1..=boards).contains(&number) => Ok(Self::Cut(number)),
            ("cut", _, Ok(number)) => Err(OrderError::NoBoard { number, count: boards }),
            ("quit" | "exit", "", _) => Ok(Self::Quit),
            ("" | "help", "", _) => Ok(Self::Help),
            _ => Err(OrderError::Unknown { text: text.into(), choices: choices(classes, boards) }),
        }
    }
}

/// Returns what can be typed, as a part of a sentence.
pub(super) fn choices(classes: &[String], boards: usize) -> String {
    let classes =
        classes.iter().map(|class| shown(class).to_string()).collect::<Vec<_>>().join(", ");
    let numbers = numbers(boards);
    format!("a class ({classes}), a class and `test`, `cut N` with N = {numbers}, or `quit`")
}

/// `1 to 8`
fn numbers(boards: usize) -> String {
    if boards == 1 { "1".into() } else { format!("1 to {boards}") }
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
        for line in ["rest", "resting tests", "going", "cut", "cut x", "quit 1", "help me"] {
            let refused = parse(line).unwrap_err().to_string();
            let choices = "is no order: type a class (resting, going up, quit), a class and `test`, \
                `cut N` with N = 1 to 8, or `quit`";
            assert_eq!(refused, format!("`{line}` {choices}"));
        }
        for number in [0, 9] {
            let refused = parse(&format!("cut {number}")).unwrap_err().to_string();
            assert_eq!(refused, format!("there is no board {number}: the boards are 1 to 8"));
        }
    }

    #[test]
    fn case_of_letters_matters_only_between_classes() {
        let classes = ["Resting", "a", "A"].map(String::from);
        let parse = |line: &str| Order::parse(line, &classes, 8).ok();
        let play = |class: &str, is_test| Some(Order::Play { class: class.into(), is_test });
        assert_eq!(parse("resting"), play("Resting", false));
        assert_eq!(parse("RESTING Test"), play("Resting", true));
        assert_eq!([parse("a"), parse("A")], [play("a", false), play("A", false)]);
        assert_eq!(parse("Cut 2"), Some(Order::Cut(2)));
        assert_eq!([parse("exit"), parse("Quit")], [Some(Order::Quit), Some(Order::Quit)]);
        assert_eq!([parse("help"), parse(" ")], [Some(Order::Help), Some(Order::Help)]);
    }
}
