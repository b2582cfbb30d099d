//! Quantities as people read them: three significant digits and a unit, which no line end parts.

use crate::recipe::exceeds;
use crate::record::{BestRecord, Clock, Cost, Criterion, StepTheory, WorkerTimes};

/// `value` rounded to three significant digits, with its decimal exponent after rounding.
fn rounded(value: f64) -> (f64, i32) {
    let text = format!("{value:.2e}");
    let exponent = text.rsplit('e').next().and_then(|digits| digits.parse().ok());
    (text.parse().unwrap_or(value), exponent.unwrap_or(0))
}

/// Three significant digits of a value whose decimal exponent after rounding is `exponent`.
fn digits(value: f64, exponent: i32) -> String {
    format!("{value:.*}", usize::try_from(2 - exponent).unwrap_or(0))
}

/// Bytes in units of a thousand: `999 B`, `1.23 kB`, `45.6 MB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}\u{a0}B");
    }
    let (value, exponent) = rounded(bytes as f64);
    let group = (exponent / 3).min(4);
    let unit = ["B", "kB", "MB", "GB", "TB"][group as usize];
    format!("{}\u{a0}{unit}", digits(value / 1000f64.powi(group), exponent - 3 * group))
}

/// A stretch of time: `12.3 ms`, `1.23 s`, `3 min 20 s`, `2 h 13 min`, `5.25 days`, `3.17 years`.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let days = seconds / 86_400.0;
    if days >= 730.0 {
        format!("{}\u{a0}years", number(days / 365.25))
    } else if days >= 2.0 {
        format!("{}\u{a0}days", number(days))
    } else if seconds >= 7200.0 {
        format!("{}\u{a0}h\u{a0}{}\u{a0}min", whole / 3600, whole % 3600 / 60)
    } else if seconds >= 120.0 {
        format!("{}\u{a0}min\u{a0}{}\u{a0}s", whole / 60, whole % 60)
    } else if seconds < 0.9995 {
        let (value, exponent) = rounded(seconds * 1e3);
        format!("{}\u{a0}ms", digits(value, exponent.max(0)))
    } else {
        let (value, exponent) = rounded(seconds);
        format!("{}\u{a0}s", digits(value, exponent))
    }
}

/// A number without a unit: `0.693`, `1230`, `1.23·10⁻⁴`.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() { "not a number" } else { "infinite" }.into();
    }
    let (rounded, exponent) = rounded(value);
    if (-2..=4).contains(&exponent) {
        return digits(rounded, exponent);
    }
    // The digits as they were written: a power of ten of this exponent need not be a number itself.
    let text = format!("{value:.2e}");
    let mantissa = text.split('e').next().unwrap_or_default();
    format!("{mantissa}·{}", power_of_ten(exponent))
}

/// `10⁻³`
pub fn power_of_ten(exponent: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).expect("a digit"),
    };
    exponent
        .to_string()
        .chars()
        .fold("10".into(), |text: String, c| text + &String::from(raised(c)))
}

/// A count in groups of three digits, with narrow spaces that do not break.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(ascii).collect();
    groups.join("\u{202f}")
}

/// How exactly features are held, whose largest relative error is `error`: `exactly`, `to 1.20·10⁻⁵ of …`.
pub fn precision(error: f64) -> String {
    match error {
        0.0 => "exactly".into(),
        _ => format!("to {} of the largest in their column", number(error)),
    }
}

/// A step size beside the longest one that is known: `γ = 0.400, 33.9 times the 0.0118 that Theorem 3 of … allows`; none where theory is silent.
pub fn step(gamma: f64, theory: &StepTheory, tuned: bool) -> Option<String> {
    if tuned {
        let start = first_step(gamma, theory)?;
        return Some(format!("γ started at {start}, and tuned itself"));
    }
    let (longest, basis) = (theory.longest()?, step_basis(theory)?);
    let (times, is_longer) = (gamma / longest, exceeds(gamma, longest));
    let gamma = number(gamma);
    let relation = if is_longer {
        format!("{} times the {}", excess(times), number(longest))
    } else if times < 0.999 {
        format!("less than the {}", number(longest))
    } else {
        let advice = "a longer one (--step F) often converges sooner";
        return Some(format!("γ = {gamma}, {basis}; {advice}"));
    };
    Some(match &theory.theorem {
        Some(theorem) => format!("γ = {gamma}, {relation} that {theorem} allows"),
        None => format!("γ = {gamma}, {relation} of {basis}"),
    })
}

/// The first step of a run that tunes it: `0.400, 1.0002 times what Theorem 3 of … allows`; none where theory is silent.
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

/// A ratio above 1, with a digit of what it has above 1 at least: `1.0002`, `2.33`.
fn excess(times: f64) -> String {
    let above = times - 1.0;
    if above >= 0.01 {
        return number(times);
    }
    let (_, exponent) = rounded(above);
    format!("{times:.*}", exponent.unsigned_abs() as usize)
}

/// What the longest step stands on: `which Theorem 3 of … allows`, `EF21's step, borrowed: no theorem covers dcgd`.
fn step_basis(StepTheory { theorem, borrowed_from, gap, .. }: &StepTheory) -> Option<String> {
    match (theorem, borrowed_from, gap) {
        (Some(theorem), ..) => Some(format!("which {theorem} allows")),
        (None, Some(lender), Some(gap)) => Some(format!("{lender}, borrowed: {gap}")),
        (None, None, _) | (None, _, None) => None,
    }
}

/// A line that takes longer than its bytes at `baud`: `tcp:127.0.0.1:5000 takes 50.1 ms a round on the line, where …`.
pub fn slow_line(place: &str, times: &WorkerTimes, baud: u32) -> String {
    format!(
        "{place} takes {} a round on the line, where its bytes take {} at {} baud: look for what delays them, such as a \
         TCP endpoint without TCP_NODELAY, the latency timer of a USB adapter, or a slower line in between",
        seconds(times.a_round(times.total.line_seconds)),
        seconds(times.a_round(times.total.modelled_seconds)),
        count(baud.into()),
    )
}

/// What follows a time by this clock.
pub const fn measure(clock: Clock) -> &'static str {
    match clock {
        Clock::Host => "by the host's clock",
        Clock::Virtual => "of virtual time",
    }
}

/// The time that `cost` took by a clock, with what its bytes take on the busiest link at `baud` beside it, as far as these are known.
pub fn time(cost: &Cost, clock: Option<Clock>, baud: Option<u32>) -> String {
    let rate = baud.map(|baud| format!(" at {} baud", count(baud.into()))).unwrap_or_default();
    let modelled = seconds(cost.modelled_seconds);
    match (cost.elapsed_seconds, clock) {
        (Some(elapsed), Some(clock)) => {
            let (elapsed, measure) = (seconds(elapsed), measure(clock));
            format!("{elapsed} {measure} (the bytes alone, modelled{rate}: {modelled})")
        }
        _ => format!("{modelled} on the link, modelled{rate}"),
    }
}

/// Which model a run leaves, where it is not that of the last round.
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

/// A count with its noun: `1 round`, `20 rounds`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::recipe::Longest;
    use crate::theory::{Basis, Gap, Theorem};

    #[test]
    fn bytes_have_three_digits_and_the_unit_after_rounding() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (4_560_000_000, "4.56 GB"),
            (123_456_000_000_000_000, "123000 TB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn time_goes_from_milliseconds_to_years() {
        let cases = [
            (0.0, "0.00 ms"),
            (0.01234, "12.3 ms"),
            (0.9994, "999 ms"),
            (0.9996, "1.00 s"),
            (9.999, "10.0 s"),
            (119.9, "120 s"),
            (200.0, "3 min 20 s"),
            (7980.0, "2 h 13 min"),
            (453_600.0, "5.25 days"),
            (1e8, "3.17 years"),
        ];
        for (value, text) in cases {
            assert_eq!(seconds(value).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn numbers_are_plain_near_one_and_scientific_elsewhere() {
        let cases = [
            (0.0, "0"),
            (0.692_8, "0.693"),
            (0.009_999, "0.0100"),
            (12_345.0, "12300"),
            (-0.000_123_4, "-1.23·10⁻⁴"),
            (1.59e15, "1.59·10¹⁵"),
            (5e-324, "4.94·10⁻³²⁴"),
            (-1e-320, "-1.00·10⁻³²⁰"),
            (f64::MAX, "1.80·10³⁰⁸"),
            (f64::NAN, "not a number"),
            (f64::INFINITY, "infinite"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_step_stands_beside_its_theorem_or_is_borrowed() {
        let of = |gap, gamma, tuned| {
            let basis = Basis { theorem: Theorem::Reloaded3, gap };
            step(gamma, &Longest { gamma: 0.01, basis }.into(), tuned).expect("theory has a word")
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
        assert!(
            of(None, 0.01, true).ends_with(&format!("which {theorem} allows, and tuned itself"))
        );
        // A step that is longer by more than rounding is never said to be allowed.
        for (gamma, text) in [
            (0.010_002_1, "γ started at 0.0100, 1.0002 times what"),
            (0.010_09, "γ started at 0.0101, 1.009 times what"),
            (0.025, "γ started at 0.0250, 2.50 times what"),
        ] {
            let sentence = format!("{text} {theorem} allows, and tuned itself");
            assert_eq!(of(None, gamma, true), sentence);
        }
        assert!(of(None, 0.010_005, false).contains("1.0005 times the 0.0100 that"));

        let dcgd = |gamma, tuned| of(Some(Gap::Method(Method::Dcgd)), gamma, tuned);
        let lent = "EF21's step, borrowed: no theorem covers dcgd";
        assert!(dcgd(0.01, false).starts_with(&format!("γ = 0.0100, {lent};")));
        assert_eq!(dcgd(0.5, false), format!("γ = 0.500, 50.0 times the 0.0100 of {lent}"));
        assert_eq!(dcgd(0.001, false), format!("γ = 1.00·10⁻³, less than the 0.0100 of {lent}"));
        assert_eq!(dcgd(0.01, true), format!("γ started at 0.0100, {lent}, and tuned itself"));
        let twice = format!("γ started at 0.0200, 2.00 times {lent}, and tuned itself");
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

    #[test]
    fn nouns_follow_their_count() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row", "rows")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(115_200), "115\u{202f}200");
        assert_eq!(count(1_000_000), "1\u{202f}000\u{202f}000");
        assert_eq!(power_of_ten(-45_678_901), "10⁻⁴⁵⁶⁷⁸⁹⁰¹");
    }
}
