//! The command line of smidgen: one file per subcommand.

mod cmd;

use cmd::OutputError;
use smidgen::config::cli::{self, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        Command::Demo(demo) => cmd::demo::run(demo),
        Command::Simulate(options) => cmd::simulate::run(&options),
        Command::Run(run) => cmd::run::run(&run),
        Command::Emulate(emulate) => cmd::emulate::run(&emulate),
        Command::Plan(plan) => cmd::plan::run(&plan),
        Command::Ports => cmd::ports::run(),
        Command::Report(report) => cmd::report::run(&report),
        Command::Image(image) => cmd::image::run(&image),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref().is_some_and(OutputError::is_end) => ExitCode::SUCCESS,
        Err(error) => {
            cmd::complain(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}
