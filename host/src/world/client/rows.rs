//! The rows of a board, and why it refuses recorder commands.

use crate::options::windowing;
use crate::units::quantity::{count, counted};
use crate::units::shown::shown;
use smidgen_protocol::message::{
    CLASS_NAME_LEN_MAX, CLASSES_MAX, Command, Outcome, Progress, RecordRefusal, Records,
};
use smidgen_protocol::recipe::Recipe;

/// The rows of a board, as [`Records`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardRows {
    /// Outcome of the command that the board answered.
    pub outcome: Outcome,
    /// Number of channels of the sensor; 0 without one.
    pub channels: u8,
    /// Recipe of the rows; `None` without rows.
    pub recipe: Option<Recipe>,
    /// Number of the open recording, or of the latest that is not discarded; 0 without one.
    pub recording: u16,
    /// Number of the next recording.
    pub next: u16,
    /// The recording is open; then the board reports neither classes nor columns.
    pub is_open: bool,
    /// Progress of the open recording, or of the latest since the board was started.
    pub progress: Progress,
    /// Number of rows that still fit.
    pub room: u32,
    /// Number of discarded rows.
    pub discarded: u32,
    /// Checksum of all rows that are not discarded.
    pub checksum: u32,
    /// Classes, in the order of their numbers on the board.
    pub classes: Vec<ClassRows>,
    /// Bits of every column.
    pub columns: Vec<u8>,
}

/// Numbers of rows of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRows {
    /// Name; empty if it is damaged.
    pub name: String,
    /// Rows to train on.
    pub training: u32,
    /// Rows held out.
    pub test: u32,
}

impl From<&Records<'_>> for BoardRows {
    fn from(records: &Records) -> Self {
        let classes = records.classes().map(|class| ClassRows {
            name: class.name.to_owned(),
            training: class.training,
            test: class.test,
        });
        let row_len = records.recipe.map_or(0, |recipe| recipe.row_len());
        Self {
            outcome: records.outcome,
            channels: records.channels,
            recipe: records.recipe,
            recording: records.recording,
            next: records.next,
            is_open: records.is_open,
            progress: records.progress,
            room: records.room,
            discarded: records.discarded,
            checksum: records.checksum,
            classes: classes.collect(),
            columns: records.columns().take(row_len).collect(),
        }
    }
}

impl BoardRows {
    /// Number of rows to train on, without those whose class is damaged.
    pub fn training(&self) -> u64 {
        self.named().map(|class| u64::from(class.training)).sum()
    }

    /// Number of rows held out, without those whose class is damaged.
    pub fn test(&self) -> u64 {
        self.named().map(|class| u64::from(class.test)).sum()
    }

    /// Classes that are not damaged.
    pub fn named(&self) -> impl Iterator<Item = &ClassRows> {
        self.classes.iter().filter(|class| !class.name.is_empty())
    }

    /// Describes what a discard took from these rows, which left `rest`: `11 rows of walking`.
    pub fn lost(&self, rest: &Self) -> String {
        let lost = counted(u64::from(rest.discarded.saturating_sub(self.discarded)), "row", "rows");
        let left = |class: &ClassRows| {
            let left = rest.classes.iter().find(|left| left.name == class.name);
            left.map(|left| (left.training, left.test))
        };
        let changed = |class: &&ClassRows| left(class) != Some((class.training, class.test));
        match self.named().find(changed) {
            Some(class) => format!("{lost} of {}", shown(&class.name)),
            None => lost,
        }
    }

    /// Reason why the latest recording ended before it had its samples, in answer to [`Command::Status`].
    pub fn ended(&self) -> Option<RecordRefusal> {
        match self.outcome {
            Outcome::Done => None,
            Outcome::Refused(refusal) => Some(refusal),
        }
    }

    /// Reason why the board refused `command`.
    pub(super) fn refusal(&self, command: &Command) -> Option<RecordRefusal> {
        let refusal = self.ended()?;
        match command {
            Command::Status if refusal != RecordRefusal::Unsupported => None,
            // It began, and has ended by itself before the request was repeated.
            Command::Start { recording, .. }
                if refusal == RecordRefusal::Recording && self.recording == *recording =>
            {
                None
            }
            Command::Status
            | Command::Start { .. }
            | Command::Stop { .. }
            | Command::Discard { .. }
            | Command::Clear { .. } => Some(refusal),
        }
    }
}

/// Says why a board refuses a command, and what to do.
pub fn advice(refusal: RecordRefusal) -> String {
    match refusal {
        RecordRefusal::Unsupported => {
            "its firmware does not record; flash the one of this version for a board that does".into()
        }
        RecordRefusal::Channels => {
            "it has no sensor for such samples; connect one, as the page of the board describes".into()
        }
        RecordRefusal::Recording => {
            "another program has recorded there meanwhile; run `smidgen record --list` and try again".into()
        }
        RecordRefusal::Recipe => {
            "it does not accept the recipe of the rows; please report this as a bug".into()
        }
        RecordRefusal::OtherRecipe => {
            "it has rows of another recipe, which `smidgen record --list` shows; give its --window, --hop, \
             --features and --rate, or erase all rows with --clear"
                .into()
        }
        RecordRefusal::Foreign => {
            "its memory for rows holds something else, or rows whose recipe is damaged; --clear erases it".into()
        }
        RecordRefusal::TooSmall => {
            "its memory for rows has no room for one row; choose fewer --features".into()
        }
        RecordRefusal::Window { need, room } => format!(
            "a window has {need} values, but the board has memory for {room}; choose a shorter --window"
        ),
        RecordRefusal::Class => {
            format!("a --label has 1 to {CLASS_NAME_LEN_MAX} bytes; choose another one")
        }
        RecordRefusal::ClassesFull => format!(
            "it has {CLASSES_MAX} classes, which are all that fit; choose one of them, or erase all rows with --clear"
        ),
        RecordRefusal::RowsFull => {
            "its memory for rows is full; all rows are kept; train on them, or erase them with --clear".into()
        }
        RecordRefusal::RecordingsFull => {
            "it has no number for another recording; erase all rows with --clear".into()
        }
        RecordRefusal::DiscardsFull => {
            "it has no room to note another discarded recording; erase all rows with --clear".into()
        }
        RecordRefusal::Stopped => {
            "a button of the board, or another program that uses it, ended the recording; its rows are kept".into()
        }
        RecordRefusal::Rate => {
            "its sensor is not sampled that often; record with a lower rate".into()
        }
        RecordRefusal::Flash => {
            "its memory for rows does not hold what is written; use --clear, and another board if that does not help"
                .into()
        }
    }
}

/// Returns a table of the classes, with sensor, room and recipe, for the terminal.
pub fn table(rows: &BoardRows) -> String {
    let sensor = match rows.channels {
        0 => "no sensor".into(),
        channels => format!("sensor: {}", counted(channels.into(), "channel", "channels")),
    };
    if rows.is_open {
        let (recording, new) = (rows.recording, counted(rows.progress.rows.into(), "row", "rows"));
        return format!("  recording {recording} is open, with {new} so far; {sensor}\n");
    }
    let recipe = match rows.recipe.filter(|_| !rows.classes.is_empty()) {
        Some(recipe) => windowing::describe(&recipe),
        None => "none yet".into(),
    };
    if rows.classes.is_empty() && rows.discarded == 0 {
        return format!("  no rows yet: record some by `smidgen record --label CLASS`; {sensor}\n");
    }
    let head = ["class", "rows", "held out"].map(String::from);
    let name = |class: &ClassRows| match &*class.name {
        "" => "(damaged)".into(),
        name => shown(name).to_string(),
    };
    let line =
        |class: &ClassRows| [name(class), count(class.training.into()), count(class.test.into())];
    let lines: Vec<_> = std::iter::once(head).chain(rows.classes.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let [first, second, third] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    let lines: String = lines
        .iter()
        .map(|[class, training, test]| {
            format!("  {class:first$}  {training:>second$}  {test:>third$}\n")
        })
        .collect();
    let (room, discarded) = (count(rows.room.into()), rows.discarded);
    let discarded = match discarded {
        0 => String::new(),
        _ => format!(", {} discarded", count(discarded.into())),
    };
    let damaged = match rows.classes.iter().all(|class| !class.name.is_empty()) {
        true => "",
        false => "  rows of a (damaged) class are not used; --clear erases all rows\n",
    };
    format!("{lines}{damaged}  {sensor}; room for {room} more{discarded}; recipe: {recipe}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_damaged_class_are_shown_but_not_counted() {
        let class = |name: &str, training, test| ClassRows { name: name.into(), training, test };
        let rows = BoardRows {
            outcome: Outcome::Done,
            channels: 3,
            recipe: None,
            recording: 2,
            next: 3,
            is_open: false,
            progress: Progress::default(),
            room: 5,
            discarded: 0,
            checksum: 0,
            classes: vec![class("walking", 7, 2), class("", 4, 1)],
            columns: vec![],
        };
        assert_eq!((rows.training(), rows.test()), (7, 2));
        let table = table(&rows);
        assert!(table.contains("(damaged)     4         1\n"), "{table}");
        assert!(table.contains("rows of a (damaged) class are not used; --clear"), "{table}");
    }
}
