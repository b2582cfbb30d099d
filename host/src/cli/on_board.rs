//! Options that have no use for rows on boards.

use crate::options::{Constants, NeedsRows};
use clap::ArgMatches;
use clap::parser::ValueSource;

/// Options of `smidgen run` that need rows on the host.
const OF_ROWS: [&str; 13] = [
    "dataset",
    "label",
    "recordings",
    "shuffle",
    "rows",
    "test_rows",
    "workers",
    "split",
    "standardise",
    "scale_columns",
    "intercept",
    "features_from",
    "check_theory",
];
/// Options that say how samples become rows.
const OF_SAMPLES: [&str; 4] = ["window", "hop", "features", "rate"];
/// Option about the unit of files.
const OF_FILES: &str = "full_scale";

/// Reasons why an option is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Useless {
    /// It needs rows on the host.
    #[error(transparent)]
    OfRows(#[from] NeedsRows),
    /// It is about recording.
    #[error(
        "rows of boards have the recipe that they were recorded with, but {0} says how samples become rows: give it to \
         `smidgen record`"
    )]
    OfSamples(String),
    /// It is about files.
    #[error(
        "{0} is about files of recordings, but the sensors of boards have full scales of their own; omit it"
    )]
    FullScale(String),
}

/// Refuses options of `smidgen run --data on-board` that were given, also with their default, but have no effect on
/// rows of boards.
pub(super) fn check(constants: Constants, given: &ArgMatches) -> Result<(), Useless> {
    let is_given = |id: &&str| given.value_source(id) == Some(ValueSource::CommandLine);
    if let Some(id) = OF_ROWS.iter().find(|id| is_given(id)) {
        return Err(NeedsRows(long(id)).into());
    }
    if let Some(id) = OF_SAMPLES.iter().find(|id| is_given(id)) {
        return Err(Useless::OfSamples(long(id)));
    }
    if is_given(&OF_FILES) {
        return Err(Useless::FullScale(long(OF_FILES)));
    }
    if constants == Constants::Data && is_given(&"constants") {
        return Err(NeedsRows("--constants data".into()).into());
    }
    Ok(())
}

/// Returns an option as it is written.
fn long(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, parse};
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    /// Options that mean the same wherever the rows are.
    const USED: [&str; 29] = [
        "absent",
        "addresses",
        "batch",
        "baud",
        "checkpoint_dir",
        "checkpoint_every",
        "compressor",
        "config",
        "constants",
        "data",
        "downlink",
        "downlink_k",
        "eta",
        "faults",
        "from",
        "init",
        "k",
        "key",
        "l1",
        "lambda",
        "method",
        "objective",
        "out",
        "participation",
        "regulariser",
        "rounds",
        "seed",
        "step",
        "target",
    ];

    #[test]
    fn every_option_is_used_or_refused() {
        let program = Cli::command();
        let run = program.find_subcommand("run").unwrap();
        let all: BTreeSet<_> = run.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        let ours = [&USED[..], &OF_ROWS, &OF_SAMPLES, &[OF_FILES, "value_bits"]].concat();
        assert_eq!(ours.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(ours.len(), all.len());
    }

    #[test]
    fn options_without_use_are_refused_even_with_their_defaults() {
        let refused = |option: &str| {
            let words = format!("smidgen run --port unix:a --data on-board {option}");
            parse(words.split(' ').map(Into::into)).err().map(|error| error.to_string())
        };
        let cases = [
            ("--dataset digits", "--dataset needs them on the host"),
            ("--split contiguous", "--split needs them on the host"),
            ("--constants data", "--constants data needs them on the host"),
            ("--check-theory", "--check-theory needs them on the host"),
            ("--full-scale 4", "sensors of boards have full scales of their own; omit it"),
            ("--window 5", "--window says how samples become rows: give it to `smidgen record`"),
        ];
        for (option, told) in cases {
            let error = refused(option).unwrap();
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(refused("--constants boards --rounds 3"), None);
    }
}
