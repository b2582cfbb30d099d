//! Sentences on a run, shared by report, plan and progress.

use crate::problem::specification::exceeds;
use crate::record::{BestRecord, Cost, Criterion, StepTheory, WorkerTimes};
use crate::units::quantity::{count, excess, number, seconds};
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
    format!(
        "{place} takes {} per round on the line, but its bytes take only {} at {} baud: check for a TCP endpoint \
         without TCP_NODELAY, the latency timer of a USB adapter, or a slower line in between",
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
pub fn best(best: &BestRecord) -> String {
    let BestRecord { round, criterion, loss, gradient_norm_squared } = *best;
    let why = match criterion {
        Criterion::Gradient => "‖∇f‖²",
        Criterion::Loss => "loss",
    };
    let norm = gradient_norm_squared.map(|norm| format!(", ‖∇f‖² {}", number(norm)));
    format!(
        "The model is that of round {}, the best by {why}: loss {}{}",
        count(round.into()),
        number(loss),
        norm.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Method;
    use crate::problem::specification::Longest;
    use crate::problem::theory::{Basis, Gap, Theorem};

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
