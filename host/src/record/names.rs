//! Names of the files of a run.

pub(super) const ROUNDS: &str = "rounds.jsonl";
pub(super) const SUMMARY: &str = "summary.json";
pub(super) const BASELINE: &str = "baseline.jsonl";
/// File name of the model in the directory of a run.
pub const MODEL: &str = "model.json";
/// File name of the report in the directory of a run.
pub const REPORT: &str = "report.html";
/// The locked file. It is never removed: a process that has just opened it would then lock a file that is gone.
pub(super) const LOCK: &str = ".lock";
/// Prefix of a file name; ten digits of the round follow.
pub(super) const PREFIX: &str = "checkpoint-";

/// Returns whether a run replaces the file of this name as a whole.
pub(super) fn is_ours(name: &str) -> bool {
    [SUMMARY, BASELINE, REPORT, MODEL].contains(&name)
}

/// Returns the round in the file name of a checkpoint.
pub(super) fn round_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    let are_digits = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| are_digits)
}
