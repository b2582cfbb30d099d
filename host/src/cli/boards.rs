//! Arguments of the subcommands that talk to boards outside a run.

use crate::boards::board::{self, Boards};
use crate::options::windowing::Windowing;
use crate::world::transport::Address;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use smidgen_protocol::message::CLASS_NAME_LEN_MAX;
use std::path::PathBuf;
use std::time::Duration;

/// The boards of a subcommand.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Ports {
    /// Addresses of boards, such as /dev/ttyACM*: serial ports, sockets or tcp:HOST:PORT; may be repeated
    #[arg(
        long = "port",
        value_name = "ADDRESS",
        value_parser = OsStringValueParser::new().try_map(Address::try_from),
        num_args = 1..,
        required = true,
        help_heading = "Boards"
    )]
    pub addresses: Vec<Address>,
}

impl Ports {
    /// Refuses a port that is named twice, whose board would get two commands at once.
    pub(super) fn check(&self) -> Result<(), clap::Error> {
        let earlier = |n: usize| &self.addresses[..n];
        let twice = self.addresses.iter().enumerate().find(|&(n, it)| earlier(n).contains(it));
        let Some((_, port)) = twice else { return Ok(()) };
        let text = format!("the port {port} is given twice: name each board once\n");
        Err(clap::Error::raw(ErrorKind::ValueValidation, text))
    }
}

/// Arguments of `smidgen record`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Record {
    /// The boards.
    #[command(flatten)]
    pub ports: Ports,
    /// Record rows of this class, on all boards at once
    #[arg(long, value_name = "CLASS", value_parser = class_name, help_heading = "Recording")]
    pub label: Option<String>,
    /// Duration of the recording [default: until Ctrl-C]
    #[arg(
        long,
        value_name = "F",
        value_parser = duration,
        allow_negative_numbers = true,
        conflicts_with_all = ["list", "discard", "clear"],
        help_heading = "Recording"
    )]
    pub seconds: Option<Duration>,
    /// Hold the rows out: models are tested on them, never trained
    #[arg(long, conflicts_with_all = ["list", "discard", "clear"], help_heading = "Recording")]
    pub test: bool,
    /// How samples become rows.
    #[command(flatten)]
    pub windowing: Windowing,
    /// List the rows of the boards
    #[arg(long, help_heading = "Rows")]
    pub list: bool,
    /// Discard the latest recording of each board
    #[arg(long, help_heading = "Rows")]
    pub discard: bool,
    /// Erase all rows of the boards
    #[arg(long, help_heading = "Rows")]
    pub clear: bool,
    /// How boards are talked to.
    #[command(flatten)]
    pub line: Line,
}

/// Arguments about the lines to boards outside a run.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Link")]
pub struct Line {
    /// Encrypt and authenticate all frames with the key in FILE, which the boards need as well; see `smidgen key`
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Rate of the serial line, in bit/s
    #[arg(
        long,
        value_name = "BIT/S",
        value_parser = clap::value_parser!(u32).range(1..),
        default_value_t = 115_200
    )]
    pub baud: u32,
}

/// Arguments of `smidgen boards`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Bench {
    /// Kinds of boards and how many of each.
    #[arg(
        long = "board",
        value_name = "NAME[=COUNT]",
        required = true,
        help = format!("A board and how many of it; repeat for each kind: {}", board::catalogue())
    )]
    pub boards: Vec<Boards>,
    /// Recordings that the sensors play: a directory with a file per board, a file, or `example`
    #[arg(long, value_name = "DIR|FILE|example")]
    pub recordings: PathBuf,
    /// How many times as fast as real time the sensors play
    #[arg(long, value_name = "F", value_parser = speed, default_value_t = 1.0)]
    pub speed: f64,
    /// Directory for the ports of the boards
    #[arg(long, value_name = "DIR", default_value = "smidgen-boards")]
    pub dir: PathBuf,
    /// Write the key in FILE into the boards, which then answer only a host that has it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Arguments of `smidgen load`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Load {
    /// Directory of a run, or its model.json
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The boards.
    #[command(flatten)]
    pub ports: Ports,
    /// How boards are talked to.
    #[command(flatten)]
    pub line: Line,
}

/// Arguments of `smidgen watch`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Watch {
    /// Address of the board: a serial port, a socket or tcp:HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = OsStringValueParser::new().try_map(Address::try_from)
    )]
    pub port: Address,
    /// How boards are talked to.
    #[command(flatten)]
    pub line: Line,
}

/// Parses the name of a class on a board.
fn class_name(text: &str) -> Result<String, String> {
    // Files of recordings have no blanks around names either.
    let is_valid = (1..=CLASS_NAME_LEN_MAX).contains(&text.len())
        && text.trim() == text
        && !text.contains(char::is_control);
    let advice = || {
        format!(
            "give a name of 1 to {CLASS_NAME_LEN_MAX} bytes, without control characters and blanks around it"
        )
    };
    is_valid.then(|| text.to_owned()).ok_or_else(advice)
}

/// Parses a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give a number of seconds from 0.1 to 1e6".into())
}

/// Parses how many times as fast as real time sensors play.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (1.0..=1000.0).contains(speed));
    speed.ok_or_else(|| "give a number from 1 to 1000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_on_a_board_has_a_name_that_files_can_have() {
        let record =
            |name: &str| class_name(name).map_err(|advice| assert!(advice.contains("blanks")));
        assert!(record("going up").is_ok() && record("123456789012345").is_ok());
        for name in ["", " ", " up", "up ", "\u{a0}", "a\tb", "1234567890123456"] {
            assert!(record(name).is_err(), "{name:?}");
        }
    }

    /// A board takes samples at the rate of the recording, so that slower ones would end it early.
    #[test]
    fn sensors_are_not_slower_than_real_time() {
        let boards = |speed: &str| {
            let line = format!("smidgen boards --board mps2 --recordings example --speed {speed}");
            crate::cli::parse(line.split(' ').map(Into::into))
        };
        assert!(boards("1").is_ok() && boards("2.5").is_ok());
        for slow in ["0.99", "0", "nan"] {
            let said = boards(slow).unwrap_err().to_string();
            assert!(said.contains("give a number from 1 to 1000"), "{said}");
        }
    }
}
