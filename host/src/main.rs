//! The command line of smidgen: one file per subcommand.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)
)]

mod cmd;

use cmd::console::{OutputError, eprint};
use cmd::training::Origin;
use smidgen::cli::{self, Command};
use smidgen::units::interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    interrupt::survive_file_limits();
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    if let Err(error) = interrupt::listen() {
        eprint(&format!("warning: Ctrl-C will end a run without a report: {error}"));
    }
    let origin = Origin::CommandLine(cli.arguments);
    let outcome = match cli.command {
        Command::Demo(demo) => cmd::demo::run(demo),
        Command::Simulate(options) => cmd::simulate::run(&options, origin),
        Command::Run(run) => cmd::run::run(&run, origin),
        Command::Record(record) => cmd::record::run(&record),
        Command::Emulate(emulate) => cmd::emulate::run(&emulate, origin),
        Command::Boards(bench) => cmd::boards::run(&bench),
        Command::Plan(plan) => cmd::plan::run(&plan),
        Command::Resume(resume) => cmd::resume::run(&resume),
        Command::Predict(predict) => cmd::predict::run(&predict),
        Command::Load(load) => cmd::load::run(&load),
        Command::Watch(watch) => cmd::watch::run(&watch),
        Command::Export(export) => cmd::export::run(&export),
        Command::Ports => cmd::ports::run(),
        Command::Report(report) => cmd::report::run(&report),
        Command::Reproduce(reproduce) => cmd::reproduce::run(&reproduce),
        Command::Image(image) => cmd::image::run(&image),
        Command::Key(key) => cmd::key::run(&key),
    };
    match outcome {
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
