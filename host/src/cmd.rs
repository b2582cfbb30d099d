//! The subcommands, a file each, and the code that they share: `console`, `each_board` and `training`.

pub(crate) mod boards;
pub(crate) mod console;
pub(crate) mod demo;
pub(crate) mod each_board;
pub(crate) mod emulate;
pub(crate) mod export;
pub(crate) mod flash;
pub(crate) mod image;
pub(crate) mod key;
pub(crate) mod load;
pub(crate) mod new_board;
pub(crate) mod plan;
pub(crate) mod ports;
pub(crate) mod predict;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod training;
pub(crate) mod watch;

use crate::cli::{self, Command};
use crate::objective::{self, Objectives};
use crate::units::{interrupt, own_name};
use anyhow::Result;
use console::{OutputError, eprint};
use std::process::ExitCode;
use training::Origin;

/// The command line of a program with these objectives, to call first in its `main`.
///
/// ```no_run
/// use smidgen::objective::{MarginTwin, Objectives};
/// use smidgen_firmware::least_squares::LeastSquares;
/// use std::process::ExitCode;
///
/// static SQUARES: MarginTwin = MarginTwin::new::<LeastSquares>("Squares", 2.0, |margin, target| {
///     ((margin - target) * (margin - target), 2.0 * (margin - target))
/// });
///
/// fn main() -> ExitCode {
///     smidgen::main(Objectives::new::<LeastSquares>(&[&SQUARES]))
/// }
/// ```
pub fn main(objectives: Objectives) -> ExitCode {
    objective::set_known(objectives);
    if let Some(path) = std::env::args_os().next() {
        own_name::set(&path);
    }
    interrupt::survive_file_limits();
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|error| leave(&error));
    if let Err(error) = interrupt::listen() {
        eprint(&format!("warning: Ctrl-C will end a run without a report: {error}"));
    }
    match execute(cli.command, Origin::CommandLine(cli.arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref().is_some_and(OutputError::is_end) => ExitCode::SUCCESS,
        Err(error) if interrupt::is_requested() => {
            eprint(&error.to_string());
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) => {
            eprint(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Prints what clap says, about an error or as help, and ends the program.
fn leave(error: &clap::Error) -> ! {
    if own_name::other().is_none() {
        error.exit();
    }
    let text = error.to_string();
    let text = text.trim_end();
    if error.use_stderr() {
        eprint(text);
    } else {
        // The reader may have closed the pipe.
        let _ = console::print(text);
    }
    std::process::exit(error.exit_code())
}

fn execute(command: Command, origin: Origin) -> Result<()> {
    match command {
        Command::Demo(demo) => demo::run(demo),
        Command::Simulate(options) => simulate::run(&options, origin),
        Command::Run(run) => run::run(&run, origin),
        Command::Record(record) => record::run(&record),
        Command::Emulate(emulate) => emulate::run(&emulate, origin),
        Command::Boards(bench) => boards::run(&bench),
        Command::Plan(plan) => plan::run(&plan),
        Command::Resume(resume) => resume::run(&resume),
        Command::Predict(predict) => predict::run(&predict),
        Command::Load(load) => load::run(&load),
        Command::Watch(watch) => watch::run(&watch),
        Command::Export(export) => export::run(&export),
        Command::Ports => ports::run(),
        Command::Report(report) => report::run(&report),
        Command::Reproduce(reproduce) => reproduce::run(&reproduce),
        Command::Flash(flash) => flash::run(&flash),
        Command::Image(image) => image::run(&image),
        Command::Key(key) => key::run(&key),
        Command::NewBoard(new) => new_board::run(&new),
    }
}
