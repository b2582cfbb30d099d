//! Sentences on a run, shared by report, plan and progress.

use crate::problem::specification::exceeds;
use crate::record::{
    Cost, HeldOutRecord, ModelRecord, StepTheory, Summary, TestRecord, WorkerRecord, WorkerTimes,
};
use crate::units::quantity::{count, counted, excess, number, seconds};
use crate::world::Clock;

/// Describes the precision of features whose largest relative error is `error`: `exactly`, or `to 1.20·10⁻⁵ of …`.
pub fn precision(error: f64) -> String {
    match error {
        0.0 => "exactly".into(),
        _ => format!("to {} of the largest in their column", number(error)),
    }
}

/// Compares a step size with the largest known one: `γ = 0.400, 33.9 times the 0.0118 that Theorem 3 of … allows`.
/// Returns `None` without theory.
pub fn step(gamma: f64, theory: &StepTheory, tuned: bool) -> Option<String> {
    if tuned {
        let start = first_step(gamma, theory)?;
        return Some(format!("γ started at {start}, and was tuned"));
    }
    let (longest, basis) = (theory.longest()?, step_basis(theory)?);
    let (times, is_longer) = (gamma / longest, exceeds(gamma, longest));
    let gamma = number(gamma);
    let relation = if is_longer {
        format!("{} times the {}", excess(times), number(longest))
    } else if times < 0.999 {
        format!("less than the {}", number(longest))
    } else {
        let advice = "a larger one (--step F) often converges faster";
        return Some(format!("γ = {gamma}, {basis}; {advice}"));
    };
    Some(match &theory.theorem {
        Some(theorem) => format!("γ = {gamma}, {relation} that {theorem} allows"),
        None => format!("γ = {gamma}, {relation} of {basis}"),
    })
}

/// Describes the first step size of a run that tunes it: `0.400, 1.0002 times what Theorem 3 of … allows`. Returns
/// `None` without theory.
pub fn first_step(gamma: f64, theory: &StepTheory) -> Option<String> {
    let (longest, basis) = (theory.longest()?, step_basis(theory)?);
    let (times, is_longer) = (gamma / longest, exceeds(gamma, longest));
    let gamma = number(gamma);
    Some(match (is_longer, &theory.theorem) {
        (false, _) => format!("{gamma}, {basis}"),
        (true, Some(theorem)) => format!("{gamma}, {} times what {theorem} allows", excess(times)),
        (true, None) => format!("{gamma}, {} times {basis}", excess(times)),
    })
}

/// Returns the basis of the largest step size: `which Theorem 3 of … allows`, or `EF21's step, borrowed: no theorem
/// covers dcgd`.
fn step_basis(StepTheory { theorem, borrowed_from, gap, .. }: &StepTheory) -> Option<String> {
    match (theorem, borrowed_from, gap) {
        (Some(theorem), ..) => Some(format!("which {theorem} allows")),
        (None, Some(lender), Some(gap)) => Some(format!("{lender}, borrowed: {gap}")),
        (None, None, _) | (None, _, None) => None,
    }
}

/// Describes a line that takes longer than its bytes at `baud`: `tcp:127.0.0.1:5000 takes 50.1 ms per round on the
/// line …`.
pub fn slow_line(place: &str, times: &WorkerTimes, baud: u32) -> String {
    let check = if place.starts_with("unix:") {
        "whether this computer is busy"
    } else {
        "for a TCP endpoint without TCP_NODELAY, the latency timer of a USB adapter, or a slower line in between"
    };
    format!(
        "{place} takes {} per round on the line, but its bytes take only {} at {} baud: check {check}",
        seconds(times.mean_per_round(times.total.line_seconds)),
        seconds(times.mean_per_round(times.total.modelled_seconds)),
        count(baud.into()),
    )
}

/// Returns the words that follow a time by this clock.
pub const fn clock_phrase(clock: Clock) -> &'static str {
    match clock {
        Clock::Host => "by the host's clock",
        Clock::Virtual => "of virtual time",
    }
}

/// Formats the measured time of `cost` by `clock` and its modelled time at `baud`, as far as they are known.
pub fn time(cost: &Cost, clock: Option<Clock>, baud: Option<u32>) -> String {
    let rate = baud.map(|baud| format!(" at {} baud", count(baud.into()))).unwrap_or_default();
    let modelled = seconds(cost.modelled_seconds);
    match (cost.elapsed_seconds, clock) {
        (Some(elapsed), Some(clock)) => {
            let (elapsed, phrase) = (seconds(elapsed), clock_phrase(clock));
            format!("{elapsed} {phrase} (the bytes alone, modelled{rate}: {modelled})")
        }
        (Some(_), None) | (None, _) => format!("{modelled} on the link, modelled{rate}"),
    }
}

/// Describes the model of a run that is not that of the last round.
pub fn earlier(ModelRecord { round, loss }: ModelRecord) -> String {
    format!(
        "The model of the run is its best one, that of round {}: loss {}",
        count(round.into()),
        number(loss)
    )
}

/// Returns how well which model predicts held-out rows, those of the host and those of boards.
pub fn accuracies(summary: &Summary) -> Vec<String> {
    let round = count(summary.model_round().into());
    let percent = |share: f64| format!("accuracy {:.1} %", 100.0 * share);
    let of_host = summary.test.map(|TestRecord { rows, loss, accuracy }| {
        let accuracy = accuracy.map(|share| format!(" and {}", percent(share)));
        format!(
            "On {}, the model of round {round} has loss {}{}",
            counted(rows, "held-out row", "held-out rows"),
            number(loss),
            accuracy.unwrap_or_default()
        )
    });
    let of_boards = other_score(summary).map(|HeldOutRecord { score, missing }| {
        let missing = match missing {
            0 => String::new(),
            1 => "; 1 board no longer had it and is not counted".into(),
            more => format!("; {more} boards no longer had it and are not counted"),
        };
        format!(
            "On {} that boards held out, the model of round {round} has {}{missing}",
            counted(score.rows, "row", "rows"),
            percent(score.accuracy()),
        )
    });
    of_host.into_iter().chain(of_boards).collect()
}

/// Returns the score of the boards, unless the host has the same on the same rows.
pub fn other_score(summary: &Summary) -> Option<HeldOutRecord> {
    let is_same = |held_out: &HeldOutRecord| {
        let test = summary.test.filter(|test| test.rows == held_out.score.rows);
        test.is_some_and(|test| test.accuracy == Some(held_out.score.accuracy()))
    };
    summary.held_out.filter(|held_out| !is_same(held_out))
}

/// Returns which boards keep the model of the run; `None` if rows are not on boards.
pub fn kept(workers: &[WorkerRecord]) -> Option<String> {
    let named = |keeps: Option<bool>, until: &str| {
        let of_kind = workers.iter().filter(|worker| worker.keeps_model == keeps);
        let names: Vec<_> = of_kind.map(|worker| &*worker.name).collect();
        match names.len() {
            0 => None,
            all if all == workers.len() => Some(until.into()),
            _ => Some(format!("{} {until}", names.join(", "))),
        }
    };
    workers.iter().find(|worker| worker.keeps_model.is_some())?;
    let kinds = [
        named(Some(true), "also after a power cut"),
        named(Some(false), "until the power fails (no journal, or no room in it)"),
        named(None, "not any more"),
    ];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    let separator = if kinds.len() == 1 { ", " } else { ": " };
    Some(format!("Boards hold the model of the run{separator}{}", kinds.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Method;
    use crate::problem::specification::Longest;
    use crate::problem::theory::{Basis, Gap, Theorem};
    use crate::record::ScoreRecord;

    #[test]
    fn accuracy_names_its_model_and_is_said_once_for_one_model() {
        let test = Some(TestRecord { rows: 8, loss: 0.5, accuracy: Some(0.75) });
        let score = ScoreRecord { rows: 8, right: 6 };
        let held_out = Some(HeldOutRecord { score, missing: 0 });
        let model = Some(ModelRecord { round: 4, loss: 0.4 });
        let same = Summary { rounds: 9, model, test, held_out, ..Summary::default() };
        let host = "On 8 held-out rows, the model of round 4 has loss 0.500 and accuracy 75.0 %";
        let boards = "On 8 rows that boards held out, the model of round 4 has accuracy 75.0 %";
        assert_eq!(accuracies(&same), [host]);
        let score = ScoreRecord { rows: 9, right: 6 };
        let others = Some(HeldOutRecord { score, missing: 0 });
        let others = accuracies(&Summary { held_out: others, ..same.clone() });
        assert_eq!(others, [host, &boards.replace("8 rows", "9 rows").replace("75.0", "66.7")]);
        let missing = held_out.map(|held_out| HeldOutRecord { missing: 1, ..held_out });
        let missing = Summary { test: None, held_out: missing, ..same };
        let told = format!("{boards}; 1 board no longer had it and is not counted");
        assert_eq!(accuracies(&missing), [told]);
    }

    #[test]
    fn boards_that_keep_the_model_are_named() {
        let kept = |keeps: &[Option<bool>]| {
            let worker = |(number, &keeps_model): (usize, &Option<bool>)| WorkerRecord {
                name: format!("b{number}"),
                keeps_model,
                ..WorkerRecord::default()
            };
            kept(&keeps.iter().enumerate().map(worker).collect::<Vec<_>>())
        };
        assert_eq!(kept(&[None, None]), None);
        let all = "Boards hold the model of the run, also after a power cut";
        assert_eq!(kept(&[Some(true); 2]).as_deref(), Some(all));
        let told = "Boards hold the model of the run: b0, b2 also after a power cut; b1 until the power \
                    fails (no journal, or no room in it); b3 not any more";
        assert_eq!(kept(&[Some(true), Some(false), Some(true), None]).as_deref(), Some(told));
    }

    #[test]
    fn step_size_is_compared_with_its_theorem_or_borrowed() {
        let of = |gap, gamma, tuned| {
            let basis = Basis { theorem: Theorem::Reloaded3, gap };
            step(gamma, &Longest { gamma: 0.01, basis }.into(), tuned)
                .expect("theory has a step size")
        };
        let theorem = "Theorem 3 of Error Feedback Reloaded";
        assert_eq!(
            of(None, 0.5, false),
            format!("γ = 0.500, 50.0 times the 0.0100 that {theorem} allows")
        );
        assert_eq!(
            of(None, 0.001, false),
            format!("γ = 1.00·10⁻³, less than the 0.0100 that {theorem} allows")
        );
        assert!(of(None, 0.01, false).starts_with(&format!("γ = 0.0100, which {theorem} allows;")));
        assert!(of(None, 0.01, true).ends_with(&format!("which {theorem} allows, and was tuned")));
        // A step size that is larger by more than rounding is never called allowed.
        for (gamma, text) in [
            (0.010_002_1, "γ started at 0.0100, 1.0002 times what"),
            (0.010_09, "γ started at 0.0101, 1.009 times what"),
            (0.025, "γ started at 0.0250, 2.50 times what"),
        ] {
            let sentence = format!("{text} {theorem} allows, and was tuned");
            assert_eq!(of(None, gamma, true), sentence);
        }
        assert!(of(None, 0.010_005, false).contains("1.0005 times the 0.0100 that"));

        let dcgd = |gamma, tuned| of(Some(Gap::Method(Method::Dcgd)), gamma, tuned);
        let lent = "EF21's step, borrowed: no theorem covers dcgd";
        assert!(dcgd(0.01, false).starts_with(&format!("γ = 0.0100, {lent};")));
        assert_eq!(dcgd(0.5, false), format!("γ = 0.500, 50.0 times the 0.0100 of {lent}"));
        assert_eq!(dcgd(0.001, false), format!("γ = 1.00·10⁻³, less than the 0.0100 of {lent}"));
        assert_eq!(dcgd(0.01, true), format!("γ started at 0.0100, {lent}, and was tuned"));
        let twice = format!("γ started at 0.0200, 2.00 times {lent}, and was tuned");
        assert_eq!(dcgd(0.02, true), twice);
        assert_eq!(step(0.5, &StepTheory::default(), false), None);
    }

    #[test]
    fn measured_time_names_its_clock_and_modelled_time_its_rate() {
        let cost =
            |elapsed_seconds| Cost { modelled_seconds: 0.63, elapsed_seconds, ..Cost::default() };
        let text =
            |cost: Cost, clock| time(&cost, clock, Some(9600)).replace(['\u{a0}', '\u{202f}'], " ");
        let beside = "(the bytes alone, modelled at 9 600 baud: 630 ms)";
        for (clock, measured) in [
            (Clock::Host, "10.0 s by the host's clock"),
            (Clock::Virtual, "10.0 s of virtual time"),
        ] {
            assert_eq!(text(cost(Some(10.0)), Some(clock)), format!("{measured} {beside}"));
        }
        assert_eq!(
            text(cost(None), Some(Clock::Host)),
            "630 ms on the link, modelled at 9 600 baud"
        );
        assert_eq!(text(cost(Some(10.0)), None), "630 ms on the link, modelled at 9 600 baud");
    }
}
