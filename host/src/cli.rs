//! The command line: `smidgen demo | simulate | run | record | emulate | boards | plan | resume | predict | load |
//! watch | export | ports | report | image | flash | key |
//! new-board | reproduce`.
//!
//! ```text
//!  command line ──┐
//!                 ├── parse ──► Cli { Command { Options, … } }      checked, with defaults
//!  FILE.toml ─────┘
//! ```

mod arguments;
mod boards;
mod file;
mod on_board;
pub mod studies;

pub use boards::{Bench, Line, Load, Ports, Record, Watch};
pub use file::ConfigError;
pub(crate) use file::LIMITS as FILE_LIMITS;

use crate::boards::board::{self, Board, Boards};
use crate::options::number::positive;
use crate::options::{Choice, DataPlace, ExportFormat, OUT, Objective, Options};
use crate::units::own_name;
use crate::units::shown::shown;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Train one model on data that stays on many microcontrollers, over links so slow that every byte counts.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "smidgen", version, max_term_width = 100)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
    /// The complete command line, including the options of the `--config` file.
    #[arg(skip)]
    pub arguments: Vec<OsString>,
}

/// The subcommands.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Train on a bundled data set with simulated boards and write a report
    #[command(after_help = "Example: smidgen demo")]
    Demo(Demo),

    /// Train with simulated boards: the firmware's worker over modelled links, in virtual time
    #[command(
        after_help = "Example: smidgen simulate --workers 20 --k 4 --rounds 500 --faults loss=0.2,split"
    )]
    Simulate(Options),

    /// Train with boards on serial ports or sockets
    #[command(
        after_help = "Example: smidgen run --port /dev/ttyACM0 --port tcp:raspberrypi:4000 --rounds 50"
    )]
    Run(Run),

    /// Record labelled rows of sensors on boards, for `smidgen run --data on-board`
    #[command(
        after_help = "Example: smidgen record --port /dev/ttyACM* --label walking --seconds 10",
        group = ArgGroup::new("action").required(true).args(["label", "list", "discard", "clear"])
    )]
    Record(Record),

    /// Train with emulated boards, which smidgen starts and stops (needs QEMU)
    #[command(after_help = "Example: smidgen emulate --board stm32f405=2 --board mps2 --rounds 50")]
    Emulate(Emulate),

    /// Start emulated boards with ports and sensors, to use like real ones (needs QEMU)
    #[command(after_help = "Example: smidgen boards --board mps2=8 --recordings example")]
    Boards(Bench),

    /// Show what a run needs: step sizes by theory, memory on a board, bytes and seconds to a target
    #[command(
        after_help = "Example: smidgen plan --dataset mushrooms.txt --workers 20 --baud 9600 --target 1e-3"
    )]
    Plan(Plan),

    /// Resume an interrupted run from its latest checkpoint
    #[command(after_help = "Example: smidgen resume smidgen-out")]
    Resume(Resume),

    /// Predict the rows of a data set with the model of a run
    #[command(
        after_help = "Examples:\n  smidgen predict smidgen-out --dataset new.csv --out predictions.csv\n  smidgen predict smidgen-out --recordings walk.csv"
    )]
    Predict(Predict),

    /// Put the model of a run on boards, which classify live windows by it
    #[command(
        after_help = "Example: smidgen load smidgen-out --port /dev/ttyACM*",
        override_usage = "smidgen load <MODEL> --port <ADDRESS>... [OPTIONS]"
    )]
    Load(Load),

    /// Show the class that a board sees live
    #[command(after_help = "Example: smidgen watch --port /dev/ttyACM0")]
    Watch(Watch),

    /// Export the model of a run for use elsewhere
    #[command(after_help = "Example: smidgen export smidgen-out --format onnx")]
    Export(Export),

    /// List the serial ports of this computer and the boards on them
    #[command(after_help = "Example: smidgen ports")]
    Ports,

    /// Write report.html from the records of a run
    #[command(after_help = "Example: smidgen report smidgen-out")]
    Report(Report),

    /// Run the experiments of the papers in simulation and write a page with plots and tables
    #[command(after_help = "Example: smidgen reproduce logistic --data ~/libsvm")]
    Reproduce(Reproduce),

    /// Build the image of a board, ready to flash
    #[command(after_help = "Example: smidgen image --board microbit --hex")]
    Image(Image),

    /// Build the image of a board and write it to the board
    #[command(after_help = "Example: smidgen flash --board microbit")]
    Flash(Flash),

    /// Create a file with a new key for a fleet
    #[command(after_help = "Example: smidgen key fleet.key")]
    Key(NewKey),

    /// Write the package of a new board, which runs in QEMU until you change it to yours
    #[command(after_help = "Example: smidgen new-board my-board")]
    NewBoard(NewBoard),
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
    /// Print JSON instead of tables, including every L_i; its names are stable
    #[arg(long)]
    pub json: bool,
    /// Options of the planned run.
    #[command(flatten)]
    pub options: Options,
}

impl Command {
    /// The boards of a subcommand that takes several.
    fn ports(&self) -> Option<&Ports> {
        match self {
            Self::Run(Run { ports, .. })
            | Self::Record(Record { ports, .. })
            | Self::Load(Load { ports, .. }) => Some(ports),
            Self::Demo(_)
            | Self::Simulate(_)
            | Self::Emulate(_)
            | Self::Boards(_)
            | Self::Plan(_)
            | Self::Resume(_)
            | Self::Predict(_)
            | Self::Watch(_)
            | Self::Export(_)
            | Self::Ports
            | Self::Report(_)
            | Self::Reproduce(_)
            | Self::Flash(_)
            | Self::Image(_)
            | Self::Key(_)
            | Self::NewBoard(_) => None,
        }
    }
}

/// Arguments of `smidgen run`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Run {
    /// The boards.
    #[command(flatten)]
    pub ports: Ports,
    /// Where the rows are
    #[arg(
        long,
        value_parser = arguments::choice::<DataPlace>(),
        default_value = DataPlace::Host.name(),
        help_heading = "Data"
    )]
    pub data: DataPlace,
    /// Options of the run.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of `smidgen emulate`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Emulate {
    /// Kinds of boards and how many of each.
    #[arg(
        long = "board",
        value_name = "NAME[=COUNT]",
        required = true,
        help = format!("A board and how many of it; repeat for each kind: {}", board::catalogue()),
        help_heading = "Boards"
    )]
    pub boards: Vec<Boards>,
    /// Options of the run.
    #[command(flatten)]
    pub options: Options,
}

/// Arguments of `smidgen resume`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Resume {
    /// Directory of the checkpoints, as given by --checkpoint-dir or --out
    #[arg(value_name = "DIR", default_value = OUT)]
    pub directory: PathBuf,
    /// Rounds T, to change the number given at the start
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
}

/// Arguments of `smidgen predict`.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(group(ArgGroup::new("data").required(true).args(["dataset", "recordings"])))]
pub struct Predict {
    /// Directory of a run, or its model.json
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Name of the data set.
    #[arg(long, value_name = "NAME|PATH", help = arguments::dataset_help())]
    pub dataset: Option<PathBuf>,
    /// Recordings whose windows are predicted: a directory or file of time series, or `example`
    #[arg(long, value_name = "PATH")]
    pub recordings: Option<PathBuf>,
    /// Column of the labels, or their .npy file [default: as in the training data]
    #[arg(long, value_name = "COLUMN|FILE.npy")]
    pub label: Option<OsString>,
    /// Value in the recordings of the largest sample of the sensor, for all channels or per channel, if the model does
    /// not know it
    #[arg(
        long,
        value_name = "X",
        value_parser = positive,
        value_delimiter = ',',
        conflicts_with = "dataset"
    )]
    pub full_scale: Vec<f64>,
    /// Write label, prediction, scores and probabilities of each row to FILE, as CSV
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `smidgen export`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Export {
    /// Directory of a run, or its model.json
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Format of the file
    #[arg(long, value_parser = arguments::choice::<ExportFormat>())]
    pub format: ExportFormat,
    /// File to write [default: beside model.json]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `smidgen report`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Report {
    /// Directory of a run, as given by --out
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Arguments of `smidgen reproduce`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Reproduce {
    /// Names or files of experiments.
    #[arg(
        value_name = "NAME",
        help = format!(
            "Experiments or your own TOML files: {} [default: all]",
            studies::names().collect::<Vec<_>>().join(", ")
        )
    )]
    pub names: Vec<OsString>,
    /// Directory of data sets in LIBSVM format, found by file name
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub data: PathBuf,
    /// Directory for reproduction.md and its charts, which replace earlier ones
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
    /// Also write an Intel HEX file, for boards that are flashed by drag and drop
    #[arg(long)]
    pub hex: bool,
    /// Also write a UF2 file, for the drive of a Raspberry Pi Pico or Pico 2
    #[arg(long, conflicts_with = "hex")]
    pub uf2: bool,
    /// Write the key in FILE into a copy of the image; keep that copy as secret as FILE
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Arguments of `smidgen flash`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Flash {
    /// The board.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = Board::find,
        help = format!("The board: {}", board::catalogue())
    )]
    pub board: &'static Board,
    /// Write the key in FILE into the image
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Folder of the drive that the board presents, if it is not found by its label
    #[arg(long, value_name = "DIR")]
    pub drive: Option<PathBuf>,
    /// The debug probe, if several are connected: VID:PID:SERIAL, as `probe-rs list` prints it
    #[arg(long, value_name = "SELECTOR", conflicts_with = "drive")]
    pub probe: Option<String>,
    /// The serial port over which espflash flashes, if there are several
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Have the board log what it does, and show the log until Ctrl-C (needs a debug probe)
    #[arg(long, conflicts_with = "drive")]
    pub log: bool,
}

/// Arguments of `smidgen key`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct NewKey {
    /// File to create; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `smidgen new-board`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct NewBoard {
    /// Name of the board and of its package
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The checkout of smidgen to write to, if it is not the one that smidgen was built from
    #[arg(long, value_name = "DIR")]
    pub checkout: Option<PathBuf>,
}

/// Parses the command line, including its `--config` file.
///
/// # Errors
/// If the command line or the file is invalid, or asks for help. [`clap::Error::exit`] prints the error and exits
/// with the right code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let from_file = from_file(&arguments)?;
    arguments.extend(from_file);
    parse_whole(arguments)
}

/// Parses an earlier [`Cli::arguments`], which already includes the options of the `--config` file.
///
/// # Errors
/// As [`parse`].
pub fn parse_whole(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(&arguments);
    let cli = matches.and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        cli.command.ports().map_or(Ok(()), Ports::check)?;
        if let (Command::Run(run), Some((_, given))) = (&cli.command, matches.subcommand())
            && run.data == DataPlace::OnBoard
        {
            let clash = |error| plain(ErrorKind::ArgumentConflict, format!("{error}\n"));
            on_board::check(run.options.constants, given).map_err(clash)?;
        }
        Ok(cli)
    });
    let cli = cli.map_err(|error| {
        match arguments.get(1).is_some_and(|word| word == "load") && lacks_model(&error) {
            true => plain(error.kind(), MODEL_IS_MISSING),
            false => readable(error, &arguments),
        }
    })?;
    let arguments = with_objective(arguments, &cli.command);
    Ok(Cli { arguments, ..cli })
}

/// Adds the objective to a training command without one if its default is that of this program alone: another program
/// that resumes the run must not take its own default.
fn with_objective(mut arguments: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let options = match command {
        Command::Simulate(options) => options,
        Command::Run(run) => &run.options,
        Command::Emulate(emulate) => &emulate.options,
        Command::Demo(_)
        | Command::Record(_)
        | Command::Boards(_)
        | Command::Plan(_)
        | Command::Resume(_)
        | Command::Predict(_)
        | Command::Load(_)
        | Command::Watch(_)
        | Command::Export(_)
        | Command::Ports
        | Command::Report(_)
        | Command::Reproduce(_)
        | Command::Flash(_)
        | Command::Image(_)
        | Command::Key(_)
        | Command::NewBoard(_) => return arguments,
    };
    let is_given = |argument: &OsString| {
        argument.to_str().is_some_and(|text| text.split('=').next() == Some("--objective"))
    };
    if !Objective::ALL.contains(&options.objective) && !arguments.iter().any(is_given) {
        arguments.extend(["--objective".into(), options.objective.name().into()]);
    }
    arguments
}

/// Refusal of `smidgen load --port ADDRESS MODEL`, where the model counts as an address.
const MODEL_IS_MISSING: &str = "MODEL is missing: give it before --port, which takes all that follows it, as in \
    `smidgen load smidgen-out --port /dev/ttyACM0`\n";

/// Returns whether `smidgen load` has ports but no model.
fn lacks_model(error: &clap::Error) -> bool {
    let missing = error.get(ContextKind::InvalidArg);
    let is_model = |missing: &ContextValue| matches!(missing, ContextValue::Strings(names) if *names == ["<MODEL>"]);
    error.kind() == ErrorKind::MissingRequiredArgument && missing.is_some_and(is_model)
}

/// Makes an error printable. Clap repeats arguments without escaping them, and does not name one that is not UTF-8.
fn readable(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let shown: Vec<_> = arguments.iter().map(|argument| shown(argument).to_string()).collect();
    if shown.iter().zip(arguments).all(|(shown, argument)| **argument == **shown) {
        return error;
    }
    Cli::try_parse_from(shown).err().unwrap_or(error)
}

/// Returns the options of the `--config` file as arguments; none without a file.
fn from_file(arguments: &[OsString]) -> Result<Vec<OsString>, clap::Error> {
    // A required option may be in the file.
    let program = Cli::command()
        .mut_subcommands(|subcommand| subcommand.mut_args(|argument| argument.required(false)));
    // Errors that do not depend on the file are left to `parse_whole`, which knows the required options.
    let Ok(given) = program.clone().try_get_matches_from(arguments) else { return Ok(vec![]) };
    let Some((name, given)) = given.subcommand() else { return Ok(vec![]) };
    let Ok(Some(path)) = given.try_get_one::<PathBuf>("config") else { return Ok(vec![]) };
    file::arguments(path, &program, name, given).map_err(refusal)
}

/// Returns clap's message in one line, without its advice on the command line.
pub(crate) fn sentence(error: &clap::Error) -> String {
    file::sentence(error)
}

fn refusal(error: ConfigError) -> clap::Error {
    plain(ErrorKind::ValueValidation, format!("{error}\n"))
}

/// An error without clap's advice.
fn plain(kind: ErrorKind, text: impl AsRef<str>) -> clap::Error {
    clap::Error::raw(kind, own_name::in_commands(text.as_ref()))
}

#[cfg(test)]
mod tests;
