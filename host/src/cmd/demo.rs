//! `smidgen demo`

use super::console::print;
use super::simulate;
use super::training::Origin;
use crate::cli::{self, Command, Demo};
use anyhow::Result;

/// Options of the demo. The step size is larger than theory allows, as is common in practice.
const OPTIONS: &str = "--dataset digits --workers 10 --k 2 --value-bits 4 --step 0.8 --rounds 1000";

/// Trains on bundled data with simulated boards.
pub(crate) fn run(demo: Demo) -> Result<()> {
    print("Ten simulated boards with a tenth of the data each, on lines of 115200 baud:")?;
    print(format_args!("  smidgen simulate {OPTIONS}"))?;
    let arguments = ["smidgen", "simulate"].into_iter().chain(OPTIONS.split(' '));
    let out = ["--out".into(), demo.out.into_os_string()];
    let cli = cli::parse(arguments.map(Into::into).chain(out))?;
    let Command::Simulate(options) = cli.command else {
        unreachable!("the command is simulate");
    };
    simulate::run(&options, Origin::CommandLine(cli.arguments))
}
