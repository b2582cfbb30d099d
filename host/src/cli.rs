//! The command line: `smidgen demo | simulate | run | emulate | plan | resume | ports | report | image | key | reproduce`.
//!
//! ```text
//!  command line ──┐
//!                 ├── parse ──► Cli { Command { Options, … } }      checked, defaults filled in
//!  FILE.toml ─────┘
//! ```

mod arguments;
mod file;
pub mod studies;

pub use file::ConfigError;
pub(crate) use file::LIMITS as FILE_LIMITS;

use crate::boards::board::{self, Board, Boards};
use crate::options::{OUT, Options};
use crate::units::shown::shown;
use crate::world::transport::Address;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Train one model on data that stays on many microcontrollers, over links so slow that every byte counts.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "smidgen", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The whole command line, including the options of the `--config` file.
    #[arg(skip)]
    pub arguments: Vec<OsString>,
}

/// What `smidgen` can do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Show what smidgen does: train on a bundled data set with simulated boards, and write a report
    #[command(after_help = "Example: smidgen demo")]
    Demo(Demo),

    /// Train with simulated boards: the real worker and the real frames, on modelled links in virtual time
    #[command(
        after_help = "Example: smidgen simulate --workers 20 --k 4 --rounds 500 --faults loss=0.2,split"
    )]
    Simulate(Options),

    /// Train with boards that are attached to serial ports, or reached through sockets
    #[command(
        after_help = "Example: smidgen run --port /dev/ttyACM0 --port tcp:raspberrypi:4000 --rounds 50"
    )]
    Run(Run),

    /// Train with emulated boards, which are started and ended for you (needs QEMU)
    #[command(after_help = "Example: smidgen emulate --board stm32f405=2 --board mps2 --rounds 50")]
    Emulate(Emulate),

    /// Tell before the run what it will take: steps that theory allows, memory on a board, bytes and seconds to a target
    #[command(
        after_help = "Example: smidgen plan --dataset mushrooms.txt --workers 20 --baud 9600 --target 1e-3"
    )]
    Plan(Plan),

    /// Go on with a run that was interrupted or killed, from its latest checkpoint
    #[command(after_help = "Example: smidgen resume smidgen-out")]
    Resume(Resume),

    /// List the serial ports of this computer, and what is known of the boards on them
    #[command(after_help = "Example: smidgen ports")]
    Ports,

    /// Write report.html anew from the records of a run
    #[command(after_help = "Example: smidgen report smidgen-out")]
    Report(Report),

    /// Run the experiments of the papers in simulation, and write a page with their plots and tables
    #[command(after_help = "Example: smidgen reproduce logistic --data ~/libsvm")]
    Reproduce(Reproduce),

    /// Build the image of a board, ready to be flashed
    #[command(after_help = "Example: smidgen image --board microbit --hex")]
    Image(Image),

    /// Make a file with a new key for a fleet
    #[command(after_help = "Example: smidgen key fleet.key")]
    Key(NewKey),
}

/// Arguments of `smidgen demo`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Demo {
    /// Directory for the records and report.html
    #[arg(long, value_name = "DIR", default_value = OUT)]
    pub out: PathBuf,
}

/// Arguments of `smidgen plan`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Plan {
    /// Print JSON instead of tables: the same and every L_i, with names that stay
    #[arg(long)]
    pub json: bool,
    /// What is planned.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of `smidgen run`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Run {
    /// Where a board is: a serial port, unix:PATH or tcp:HOST:PORT; once for each board
    #[arg(
        long = "port",
        value_name = "ADDRESS",
        value_parser = OsStringValueParser::new().try_map(Address::try_from),
        required = true,
        help_heading = "Boards"
    )]
    pub ports: Vec<Address>,
    /// What is trained, and how.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of `smidgen emulate`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Emulate {
    /// A board and how many of it; once for each kind of board.
    #[arg(
        long = "board",
        value_name = "NAME[=COUNT]",
        required = true,
        help = format!("A board and how many of it, once for each kind: {}", board::catalogue()),
        help_heading = "Boards"
    )]
    pub boards: Vec<Boards>,
    /// What is trained, and how.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of `smidgen resume`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Resume {
    /// Directory of the checkpoints: that of --checkpoint-dir, or of --out
    #[arg(value_name = "DIR", default_value = OUT)]
    pub directory: PathBuf,
    /// Rounds T, if they are to be more or fewer than the run was to have
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
}

/// Arguments of `smidgen report`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Report {
    /// Directory that a run was written to with --out
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Arguments of `smidgen reproduce`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Reproduce {
    /// Experiments.
    #[arg(
        value_name = "NAME",
        help = format!("Experiments, or TOML files of your own: {} [default: all]", studies::names().collect::<Vec<_>>().join(", "))
    )]
    pub names: Vec<OsString>,
    /// Folder with the files of data sets in LIBSVM format, by their names
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub data: PathBuf,
    /// Directory for reproduction.md and its charts; earlier ones there are replaced
    #[arg(long, value_name = "DIR", default_value = "smidgen-reproduction")]
    pub out: PathBuf,
}

/// Arguments of `smidgen image`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Image {
    /// The board.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = Board::find,
        help = format!("The board: {}", board::catalogue())
    )]
    pub board: &'static Board,
    /// Write an Intel HEX file as well, for boards that are flashed by drag and drop
    #[arg(long)]
    pub hex: bool,
    /// Write the key in a file into a copy of the image, which then is as secret as the file
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Arguments of `smidgen key`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct NewKey {
    /// The file, which must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Reads the command line, and the file that its `--config` names.
///
/// # Errors
/// [`clap::Error::exit`] says them, or the help that was asked for, and ends the program with the right code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let said = from_file(&arguments)?;
    arguments.extend(said);
    parse_whole(arguments)
}

/// Reads a command line that was read before, [`Cli::arguments`]: no file has a say in it any more.
///
/// # Errors
/// As [`parse`].
pub fn parse_whole(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let cli = Cli::try_parse_from(&arguments).map_err(|error| readable(error, &arguments))?;
    Ok(Cli { arguments, ..cli })
}

/// Why these arguments are refused, fit to be read. Clap repeats them as they are, and of one that is not UTF-8 it does not say
/// which.
fn readable(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let shown: Vec<_> = arguments.iter().map(|argument| shown(argument).to_string()).collect();
    if shown.iter().zip(arguments).all(|(shown, argument)| **argument == **shown) {
        return error;
    }
    Cli::try_parse_from(shown).err().unwrap_or(error)
}

/// The options of the `--config` file as further arguments; none without a file.
fn from_file(arguments: &[OsString]) -> Result<Vec<OsString>, clap::Error> {
    // What is required may stand in the file.
    let program = Cli::command()
        .mut_subcommands(|subcommand| subcommand.mut_args(|argument| argument.required(false)));
    // What is wrong without a file is said by the parser proper, which knows what is required.
    let Ok(given) = program.clone().try_get_matches_from(arguments) else { return Ok(vec![]) };
    let Some((name, given)) = given.subcommand() else { return Ok(vec![]) };
    let Ok(Some(path)) = given.try_get_one::<PathBuf>("config") else { return Ok(vec![]) };
    file::arguments(path, &program, name, given).map_err(refusal)
}

/// What clap says, in one line; advice on the command line is left out.
pub(crate) fn sentence(error: &clap::Error) -> String {
    file::sentence(error)
}

fn refusal(error: ConfigError) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"))
}

#[cfg(test)]
mod tests;
