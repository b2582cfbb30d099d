//! Plans as tables for a terminal, at most 100 columns wide.

use super::forecast::{Plan, Recorded, Trial, Update};
use super::steps::Admissible;
use super::target::Target;
use super::traffic::OnLines;
use crate::options::Step;
use crate::output::report::sentence::{first_step, precision, step};
use crate::problem::theory::{RareFeatures, Smoothness};
use crate::units::quantity::{bytes, count, counted, number, seconds};
use std::fmt;

/// Maximum number of L_i that are listed; more are summarised by quartiles.
const LISTED_MAX: usize = 8;
/// Relative difference below which two step sizes count as equal.
const GAIN_MIN: f64 = 0.005;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_problem(f)?;
        self.fmt_goal(f)?;
        self.fmt_steps(f)?;
        self.fmt_traffic(f)
    }
}

impl Plan {
    fn fmt_problem(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = counted(self.rows as u64, "row", "rows");
        let workers = counted(self.workers as u64, "worker", "workers");
        writeln!(f, "{}: {rows}, d = {}, {workers}", self.dataset, self.dimension)?;
        writeln!(f, "  features   held {}", precision(self.quantisation_error))?;
        let need = count(self.memory_bytes as u64);
        writeln!(
            f,
            "  memory     {need} bytes for the largest share, including the worker's state"
        )?;
        if let Some(Recorded { rows, row_values, window_values }) = self.recorded {
            let (rows, values) = (counted(rows as u64, "row", "rows"), count(window_values as u64));
            writeln!(
                f,
                "  recorder   {rows} of {row_values} values at most, windows of {values} values"
            )?;
        }
        if self.boards.is_empty() {
            let advice = match self.recorded {
                Some(_) => {
                    "record less per board (--hop, --features), or shorter windows (--window)"
                }
                None => "use more workers or fewer rows",
            };
            writeln!(f, "  fits       no supported board: {advice}")?;
        } else {
            writeln!(f, "  fits       {}", wrapped(&self.boards).join(",\n             "))?;
        }
        let k = span(self.k.iter().map(|&k| f64::from(k)), |k| count(k as u64));
        let xi = span(self.xi.iter().copied(), number);
        write!(f, "  updates    K = {k} of {} bits each", self.value_bits)?;
        if let Some(Update { body_bytes, information_bytes }) = self.update {
            write!(f, ", {body_bytes:.1} bytes; {information_bytes:.1} under an ideal code")?;
        }
        writeln!(f, "\n             ξ = {xi}")?;
        if let Some(loss) = self.rounding_loss {
            let loss = number(loss);
            writeln!(
                f,
                "             rounding loses at most {loss} of their energy, which ξ includes"
            )?;
        }
        if self.participation.iter().any(|&p| p < 1.0) {
            let p = span(self.participation.iter().copied(), number);
            writeln!(f, "  workers    participate in a round with probability {p}")?;
        }
        if let Some(batch) = self.batch {
            let floor = self
                .noise_floor
                .map(|floor| format!("; theory bounds the floor of ‖∇f‖² by {}", number(floor)));
            let floor = floor.unwrap_or_default();
            writeln!(f, "  rows       {batch} per worker in a round{floor}")?;
        }
        self.smoothness.iter().try_for_each(|smoothness| fmt_smoothness(f, smoothness))?;
        self.rare_features.iter().try_for_each(|RareFeatures { c_w, r }| {
            writeln!(f, "  rare       c_w = {}, r = {r}", number(*c_w))
        })
    }

    fn fmt_goal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { gradient_norm_squared, start_gradient_norm_squared, is_given } = self.target;
        let what = if is_given { "--target" } else { "a hundredth of the start" };
        writeln!(
            f,
            "\nThe target is ‖∇f‖² ≤ {} ({what}); ‖∇f‖² starts at {}.",
            number(gradient_norm_squared),
            number(start_gradient_norm_squared)
        )?;
        let Trial { rounds: tried, gradient_norm_squared, target_round } = self.trial;
        let tried = counted(tried.into(), "round", "rounds");
        let end = number(gradient_norm_squared);
        write!(f, "A trial of {tried} in simulation ends at {end}")?;
        match target_round {
            Some(0) => writeln!(f, " and starts at the target."),
            Some(round) => writeln!(f, " and reaches the target in round {round}."),
            None => writeln!(f, ", short of the target."),
        }
    }

    fn fmt_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.steps.is_empty() {
            self.fmt_admissible(f)?;
        }
        let gamma = number(self.gamma);
        writeln!(f, "This run, --method {} --step {}:", self.method, self.step)?;
        if self.gamma_tuned {
            let start = first_step(self.gamma, &self.theory).unwrap_or(gamma);
            return writeln!(f, "  Tuned: γ starts at {start}.");
        }
        match step(self.gamma, &self.theory, false) {
            Some(sentence) => writeln!(f, "  {sentence}."),
            None => writeln!(f, "  γ = {gamma}, without a bound by theory."),
        }
    }

    fn fmt_admissible(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<47}{:>11}{:>11}{:>29}",
            "Steps that theory allows EF21", "γ", "γ / γ_qm", "rounds to the target ≤"
        )?;
        for step in &self.steps {
            writeln!(
                f,
                "  {:<10}{:<35}{:>11}{:>11}{:>29}",
                step.name,
                step.formula,
                number(step.gamma),
                number(step.gamma_over_qm),
                step.rounds_to_target.map_or_else(|| "–".into(), |of| bounded(step, of))
            )?;
        }
        self.fmt_gain(f)?;
        self.fmt_tight(f)?;
        let mean = if self.in_expectation { "expected mean" } else { "mean" };
        writeln!(
            f,
            "After these rounds the {mean} of ‖∇f‖² is at most the target; most runs need far fewer."
        )?;
        if self.steps.iter().all(|step| step.linear_rate.is_none()) {
            return Ok(());
        }
        let whose = if self.in_expectation { "the expected " } else { "" };
        writeln!(
            f,
            "linear: f is strongly convex, so {whose}‖∇f‖² itself is at most the target. Theorem: PL of\n\
             EF21 (pl as printed, the others by its exact condition); tight has a rate of its own."
        )
    }

    /// Writes the ratio of the tight step size to that of the arithmetic mean.
    fn fmt_tight(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gamma = |step: Step| {
            let name = step.to_string();
            self.steps.iter().find(|step| step.name == name).map(|step| step.gamma)
        };
        let (Some(am), Some(tight)) = (gamma(Step::Am), gamma(Step::Tight)) else { return Ok(()) };
        writeln!(
            f,
            "tight is {} times as large as am. If f is strongly convex its rate is the best: a theorem\n\
             for equal L_i, an empirical law for others.",
            number(tight / am)
        )
    }

    /// Writes the gain by the arithmetic mean.
    fn fmt_gain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [qm, am, ..] = self.steps.as_slice() else { return Ok(()) };
        let gain = am.gamma_over_qm;
        if (gain - 1.0).abs() < GAIN_MIN {
            return writeln!(f, "am gains nothing over qm: the L_i differ too little.");
        }
        write!(f, "am is {} times as large as qm", number(gain))?;
        match (qm.rounds_to_target, am.rounds_to_target) {
            (Some(qm), Some(am)) => {
                writeln!(f, ": {} rounds instead of {}.", rounds(am), rounds(qm))
            }
            (_, None) | (None, _) => writeln!(f, "."),
        }
    }

    fn fmt_traffic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let baud = format!("at {} baud", self.baud);
        writeln!(
            f,
            "\n{:<46}{:>11}{:>12}{:>14}{:>16}",
            "Traffic", "up/board", "down/board", "all boards", baud
        )?;
        let traffic = &self.traffic;
        fmt_line(f, "setup: identification, configuration, data", &traffic.setup)?;
        fmt_line(f, "one round", &traffic.round)?;
        let lasting = |on: &OnLines, what: &str| {
            let plural = if on.rounds == 1.0 { "round" } else { "rounds" };
            format!("{} {plural}{what}", rounds(on.rounds))
        };
        fmt_line(f, &lasting(&traffic.run, " in total"), &traffic.run)?;
        for (on, what) in [
            (&traffic.to_target_in_trial, " to the target, in the trial"),
            (&traffic.to_target_by_theory, " to the target, bound of am"),
        ] {
            on.iter().try_for_each(|on| fmt_line(f, &lasting(on, what), on))?;
        }
        write!(
            f,
            "Lines work in parallel. The time is modelled: that of the bytes of the busiest line."
        )
    }
}

fn fmt_smoothness(f: &mut fmt::Formatter<'_>, smoothness: &Smoothness) -> fmt::Result {
    let Smoothness { l, l_am, l_qm, l_var, l_i } = smoothness;
    let [l, l_am, l_qm, l_var] = [l, l_am, l_qm, l_var].map(|constant| number(*constant));
    writeln!(f, "  smoothness L = {l}, L_AM = {l_am}, L_QM = {l_qm}, L_var = {l_var}")?;
    if l_i.len() <= LISTED_MAX {
        let listed: Vec<_> = l_i.iter().map(|l_i| number(*l_i)).collect();
        return writeln!(f, "             L_i = {}", listed.join(", "));
    }
    let mut sorted = l_i.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| number(sorted[(share * (sorted.len() - 1) as f64).round() as usize]);
    let [least, lower, median, upper, largest] = [0.0, 0.25, 0.5, 0.75, 1.0].map(at);
    writeln!(f, "             L_i from {least} to {largest}, quartiles {lower}, {median}, {upper}")
}

/// Joins names to lines that fit 80 columns behind a label.
fn wrapped(names: &[&str]) -> Vec<String> {
    const LEN_MAX: usize = 80 - "  fits       ,".len();
    let mut lines: Vec<String> = vec![];
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + ", ".len() + name.len() <= LEN_MAX => {
                line.push_str(", ");
                line.push_str(name);
            }
            Some(_) | None => lines.push((*name).to_owned()),
        }
    }
    lines
}

fn fmt_line(f: &mut fmt::Formatter<'_>, what: &str, on: &OnLines) -> fmt::Result {
    let bytes = |value: f64| bytes(value.round() as u64);
    writeln!(
        f,
        "  {what:<44}{:>11}{:>12}{:>14}{:>16}",
        bytes(on.uplink_bytes_per_board),
        bytes(on.downlink_bytes_per_board),
        bytes(on.total_bytes),
        seconds(on.modelled_seconds)
    )
}

/// Formats the number of rounds of a step size, and whether it follows from a linear rate.
fn bounded(step: &Admissible, bound: f64) -> String {
    let linear = if step.linear_rate.is_some() { " linear" } else { "" };
    format!("{}{linear}", rounds(bound))
}

/// Formats a number of rounds, exactly if it is small.
fn rounds(rounds: f64) -> String {
    if rounds < 1e6 { count(rounds as u64) } else { number(rounds) }
}

/// Formats a number, or the least and largest of several.
fn span(numbers: impl Iterator<Item = f64> + Clone, show: impl Fn(f64) -> String) -> String {
    let least = numbers.clone().fold(f64::INFINITY, f64::min);
    let largest = numbers.fold(f64::NEG_INFINITY, f64::max);
    if least == largest { show(least) } else { format!("{} to {}", show(least), show(largest)) }
}
