//! The headline: the result of the run, in sentences and figures.

use maud::{Markup, html};
use std::path::is_separator;

use super::content::Page;
use super::mark::Mark;
use super::sentence::{self, clock_phrase, slow_line, time};
use crate::record::TestRecord;
use crate::units::quantity::{bytes, count, counted, number, seconds};

impl Page<'_> {
    pub(super) fn method(&self) -> String {
        self.option("method").map_or("EF21".into(), |method| method.to_uppercase())
    }

    /// Returns the title, such as `EF21 on mushrooms, 20 workers`.
    pub(super) fn title(&self) -> String {
        let dataset = self.option("recordings").or_else(|| self.option("dataset"));
        let name = dataset.as_deref().and_then(|path| path.rsplit(is_separator).next());
        let dataset = name.map(|name| format!(" on {name}")).unwrap_or_default();
        let count = self.option("workers").and_then(|count| count.parse().ok());
        let workers = match count.unwrap_or(self.summary().workers.len()) {
            0 => String::new(),
            n => format!(", {}", counted(n as u64, "worker", "workers")),
        };
        format!("{}{dataset}{workers}", self.method())
    }

    /// Returns ` at 115 200 baud`, or nothing if the rate is unknown.
    fn line(&self) -> String {
        let baud = self.summary().baud;
        baud.map(|baud| format!(" at {} baud", count(baud.into()))).unwrap_or_default()
    }

    pub(super) fn headline(&self) -> Markup {
        let total = self.last().total;
        html! {
            header {
                p.eyebrow { "smidgen" }
                h1 { (self.title()) }
                p.lead {
                    (self.result())
                    @for sentence in [self.earlier(), self.target(), self.saving()].into_iter().flatten() {
                        " " (sentence)
                    }
                }
                @for warning in [
                    self.unfinished(), self.missing(), self.diverged().map(String::from), self.slow_lines(),
                ].into_iter().flatten() {
                    p.warning role="note" { (warning) }
                }
                div.tiles {
                    (tile(&bytes(total.uplink.wire_bytes), "uplink, on the wire"))
                    (tile(&bytes(total.downlink.wire_bytes), "downlink, on the wire"))
                    @if let (Some(clock), Some(elapsed)) = (self.clock(), total.elapsed_seconds) {
                        (tile(&seconds(elapsed), &format!("{}, all rounds", clock_phrase(clock))))
                    }
                    (tile(
                        &seconds(total.modelled_seconds),
                        &format!("for the bytes of the busiest link, modelled{}", self.line()),
                    ))
                    @if let Some(comparison) = self.comparison {
                        (factor_tile(comparison.bytes_factor()))
                    }
                    @if let Some(TestRecord { rows, accuracy: Some(share), .. }) = self.summary().test {
                        (tile(&format!("{:.1} %", 100.0 * share), &format!(
                            "accuracy on {rows} held-out rows, round {}", count(self.summary().model_round().into())
                        )))
                    }
                    @if let Some(held_out) = sentence::other_score(self.summary()) {
                        (tile(
                            &format!("{:.1} %", 100.0 * held_out.score.accuracy()),
                            &format!(
                                "accuracy on {} that boards held out, round {}",
                                counted(held_out.score.rows, "row", "rows"),
                                count(self.summary().model_round().into()),
                            ),
                        ))
                    }
                }
            }
        }
    }

    /// Returns `After round 2000, f(x) = 0.231 and ‖∇f(x)‖² = 1.93·10⁻². The run took …`.
    fn result(&self) -> String {
        let last = self.last();
        let norm = self.norm();
        let value =
            norm.of(last).map(|value| format!(" and {} = {}", norm.symbol(), number(value)));
        format!(
            "After round {}, f(x) = {}{}. The run took {} uplink, {} downlink, and {}.",
            count(last.round.into()),
            number(last.loss),
            value.unwrap_or_default(),
            bytes(last.total.uplink.wire_bytes),
            bytes(last.total.downlink.wire_bytes),
            time(&last.total, self.clock(), self.summary().baud),
        )
    }

    /// Returns a sentence on the model of the run, if it is not that of the last round.
    fn earlier(&self) -> Option<String> {
        let model = self.summary().earlier_model()?;
        Some(format!("{}.", sentence::earlier(model)))
    }

    /// Returns a sentence on whether the target was reached, if there was one.
    fn target(&self) -> Option<String> {
        let target = self.option("target")?;
        let reached = self.summary().target_reached?;
        let reached = if reached { "was reached" } else { "was not reached" };
        Some(format!("The target, {target}, {reached}."))
    }

    /// Returns a sentence that compares the cost of both methods to the same level, the more expensive one first.
    fn saving(&self) -> Option<String> {
        let (comparison, clock) = (self.comparison?, self.common_time());
        let takes = |method: &str, mark: &Mark| {
            let (bytes, time) = (bytes(mark.total.wire_bytes()), seconds(clock.of(mark)));
            format!("{method} takes {bytes} and {time}")
        };
        let run = takes(&self.method(), &comparison.run);
        let baseline =
            takes("dense gradient descent on a line without faults", &comparison.baseline);
        let saves = comparison.bytes_factor() >= 1.0;
        let (more, less) = if saves { (baseline, run) } else { (run, baseline) };
        let times = |factor: f64| number(if saves { factor } else { 1.0 / factor });
        let seconds = comparison.factor(clock).map(times);
        Some(format!(
            "To reach {} = {}, the lowest level of both, {more}, and {less}: {} times the bytes in both directions{}.",
            comparison.measure.symbol(),
            number(comparison.level),
            times(comparison.bytes_factor()),
            seconds
                .map(|times| format!(" and {times} times the {}", clock.name()))
                .unwrap_or_default(),
        ))
    }

    fn unfinished(&self) -> Option<String> {
        if self.summary().finished {
            return None;
        }
        let cut = if self.run.cut { ", and the last line of its records is truncated" } else { "" };
        let rounds = self.run.rounds.len() as u64;
        Some(format!(
            "This run did not finish{cut}. The page shows its {} complete rounds.",
            count(rounds)
        ))
    }

    /// Returns a sentence on the slowest line, if it is slow, and the names of other slow ones.
    fn slow_lines(&self) -> Option<String> {
        let slow = self.summary().slow_lines();
        let (slowest, rest) = slow.split_first()?;
        let names: Vec<&str> = rest.iter().map(|worker| &worker.name[..]).collect();
        let more = if names.is_empty() {
            String::new()
        } else {
            format!(" Other slow lines: {}.", names.join(", "))
        };
        let line = slow_line(&slowest.name, &slowest.times, self.summary().baud?);
        Some(format!("{line}.{more}"))
    }

    fn missing(&self) -> Option<String> {
        let round = self.run.missing?;
        Some(format!(
            "The record of round {round} is missing, although later ones exist. The totals do not include missing \
             rounds."
        ))
    }

    fn diverged(&self) -> Option<&'static str> {
        self.summary().has_diverged().then_some(
            "This run diverged: its loss rose, or numbers saturated. Try a smaller step size.",
        )
    }
}

fn tile(figure: &str, label: &str) -> Markup {
    html! { div.tile { strong { (figure) } span { (label) } } }
}

fn factor_tile(factor: f64) -> Markup {
    if factor >= 1.0 {
        tile(
            &format!("{}×", number(factor)),
            "fewer bytes than dense gradient descent on a line without faults",
        )
    } else {
        tile(
            &format!("{}×", number(1.0 / factor)),
            "more bytes than dense gradient descent on a line without faults",
        )
    }
}
