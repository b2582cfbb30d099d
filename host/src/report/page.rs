//! The page: its sections from the headline to the transcript.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::chart::{self, Against, Chart};
use super::curve::{self, Comparison, Mark, Measure};
use super::quantity::{bytes, count, number, seconds};
use crate::record::{Cost, InformationLimit, Run, Summary, Traffic, WorkerRecord};

/// A run with what the sections of its page share.
struct Page<'a> {
    run: &'a Run,
    marks: Vec<Mark>,
    baseline: Vec<Mark>,
    comparison: Option<Comparison>,
}

/// The whole page.
pub fn page(run: &Run) -> Markup {
    let (marks, baseline) = (curve::of_run(&run.rounds), curve::of_baseline(&run.baseline));
    let comparison = Comparison::of(&marks, &baseline);
    let page = Page { run, marks, baseline, comparison };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "smidgen: " (page.title()) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (page.headline())
                main {
                    (page.charts())
                    (page.traffic())
                    (workers(&run.summary.workers))
                    (page.settings())
                }
                footer { p { "Written by smidgen " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    }
}

impl Page<'_> {
    fn summary(&self) -> &Summary {
        &self.run.summary
    }

    fn last(&self) -> &Mark {
        self.marks.last().expect("a run has at least one round")
    }

    fn option(&self, name: &str) -> Option<String> {
        self.summary().configuration.get(name).map(plain)
    }

    fn method(&self) -> String {
        self.option("method").map_or("EF21".into(), |method| method.to_uppercase())
    }

    /// `EF21 on mushrooms, 20 workers`
    fn title(&self) -> String {
        let dataset = self.option("dataset");
        let name = dataset.as_deref().and_then(|path| path.rsplit(['/', '\\']).next());
        let dataset = name.map(|name| format!(" on {name}")).unwrap_or_default();
        let count = self.option("workers").and_then(|count| count.parse().ok());
        let workers = match count.unwrap_or(self.summary().workers.len()) {
            0 => String::new(),
            1 => ", 1 worker".into(),
            n => format!(", {n} workers"),
        };
        format!("{}{dataset}{workers}", self.method())
    }

    /// `on a link of 115 200 baud`
    fn line(&self) -> String {
        match self.summary().baud {
            Some(baud) => format!("at {} baud", count(baud.into())),
            None => "as measured".into(),
        }
    }

    /// What the curves show: the gradient if it is known in any round, else the estimator.
    fn norm(&self) -> Measure {
        let known = self.marks.iter().any(|mark| mark.gradient_norm_squared.is_some());
        if known { Measure::Gradient } else { Measure::Estimator }
    }

    fn headline(&self) -> Markup {
        let total = self.last().total;
        html! {
            header {
                p.eyebrow { "smidgen" }
                h1 { (self.title()) }
                p.lead { (self.result()) @if let Some(saving) = self.saving() { " " (saving) } }
                @for warning in [self.unfinished(), self.diverged().map(String::from)].into_iter().flatten() {
                    p.warning role="note" { (warning) }
                }
                div.tiles {
                    (tile(&bytes(total.uplink.wire_bytes), "up, on the wire"))
                    (tile(&bytes(total.downlink.wire_bytes), "down, on the wire"))
                    (tile(&seconds(total.link_seconds), &format!("on the link, {}", self.line())))
                    @if let Some(comparison) = self.comparison {
                        (factor_tile(comparison.bytes_factor()))
                    }
                }
            }
        }
    }

    /// `After round 2000: f(x) = 0.231, ‖∇f(x)‖² = 1.93·10⁻².`
    fn result(&self) -> String {
        let last = self.last();
        let norm = self.norm();
        let value =
            norm.of(last).map(|value| format!(" and {} = {}", norm.symbol(), number(value)));
        format!(
            "After round {}, f(x) = {}{}, for {} up and {} down: {} on the link {}.",
            count(last.round.into()),
            number(last.loss),
            value.unwrap_or_default(),
            bytes(last.total.uplink.wire_bytes),
            bytes(last.total.downlink.wire_bytes),
            seconds(last.total.link_seconds),
            self.line(),
        )
    }

    /// What both methods took to the same level, the dearer one first.
    fn saving(&self) -> Option<String> {
        let comparison = self.comparison?;
        let takes = |method: &str, mark: &Mark| {
            let total = mark.total;
            format!(
                "{method} takes {} and {}",
                bytes(total.wire_bytes()),
                seconds(total.link_seconds)
            )
        };
        let run = takes(&self.method(), &comparison.run);
        let baseline = takes("dense gradient descent", &comparison.baseline);
        let saves = comparison.bytes_factor() >= 1.0;
        let (more, less) = if saves { (baseline, run) } else { (run, baseline) };
        let times = |factor: f64| number(if saves { factor } else { 1.0 / factor });
        let seconds = comparison.seconds_factor().map(times);
        Some(format!(
            "Down to {} = {}, the lowest that both reached, {more} where {less}: {} times the bytes{}.",
            comparison.measure.symbol(),
            number(comparison.level),
            times(comparison.bytes_factor()),
            seconds.map(|times| format!(" and {times} times the seconds")).unwrap_or_default(),
        ))
    }

    fn unfinished(&self) -> Option<String> {
        if self.run.finished {
            return None;
        }
        let cut = if self.run.cut { ", and the last line of its rounds is cut off" } else { "" };
        let rounds = self.run.rounds.len() as u64;
        Some(format!(
            "This run did not come to its end{cut}. The page shows the {} rounds that are whole.",
            count(rounds)
        ))
    }

    fn diverged(&self) -> Option<&'static str> {
        let diverged = !self.last().loss.is_finite();
        diverged
            .then_some("The loss has left the finite numbers: try again with a smaller step size.")
    }

    fn charts(&self) -> Markup {
        let charts = [self.norm(), Measure::Loss]
            .map(|measure| Against::ALL.map(|against| self.chart(measure, against)));
        let left_out: usize = charts.iter().map(|[chart, ..]| chart.left_out()).sum();
        html! {
            section {
                h2 { "The way down" }
                p.legend {
                    span { i.run {} (self.method()) }
                    @if !self.baseline.is_empty() { span { i.baseline {} "dense gradient descent" } }
                }
                div.charts {
                    @for chart in charts.iter().flatten() {
                        (figure(chart))
                    }
                }
                @if left_out > 0 {
                    p.note {
                        (count(left_out as u64)) " values are zero, negative or not finite and have no \
                        place on their axis."
                    }
                }
            }
        }
    }

    fn chart(&self, measure: Measure, against: Against) -> Chart<'_> {
        let (run, baseline) = (&self.marks, &self.baseline);
        Chart { measure, against, run, baseline, comparison: self.comparison }
    }

    fn traffic(&self) -> Markup {
        let Cost { uplink, downlink, .. } = self.last().total;
        let setup = self.summary().setup;
        let most = uplink.wire_bytes.max(downlink.wire_bytes);
        html! {
            section {
                h2 { "Where the bytes went" }
                p.legend {
                    span { i.payload {} "payload" }
                    span { i.framing {} "frames around it" }
                    span { i.again {} "sent again" }
                }
                (bar("up", &uplink, most))
                (bar("down", &downlink, most))
                div.scroll role="region" aria-label="Bytes by cause" tabindex="0" {
                    table {
                        thead { tr {
                            th scope="col" { "direction" }
                            @for name in [
                                "payload", "frames around it", "sent again", "on the wire", "frames",
                                "frames sent again",
                            ] { th.number scope="col" { (name) } }
                        } }
                        tbody {
                            (traffic_row("up", &uplink))
                            (traffic_row("down", &downlink))
                            @if setup.wire_bytes() > 0 {
                                (traffic_row("setup, up", &setup.uplink))
                                (traffic_row("setup, down", &setup.downlink))
                            }
                        }
                    }
                }
                @if setup.wire_bytes() > 0 {
                    p.note {
                        "Setup is what came before the first round: greetings, configuration and shards, "
                        (seconds(setup.link_seconds)) " on the link. The figures above leave it out."
                    }
                }
                @if let Some(limit) = self.summary().information_limit { (limit_note(&limit)) }
            }
        }
    }

    fn settings(&self) -> Markup {
        let configuration = &self.summary().configuration;
        html! {
            section.columns {
                @if !configuration.is_empty() {
                    div {
                        h2 { "Configuration" }
                        table { tbody {
                            @for (name, value) in configuration {
                                tr { th scope="row" { code { (name) } } td { (plain(value)) } }
                            }
                        } }
                    }
                }
                div { (theory(self.summary())) (self.transcript()) }
            }
        }
    }

    fn transcript(&self) -> Markup {
        let last = self.run.rounds.last().expect("a run has at least one round");
        let wall = self.summary().wall_seconds;
        html! {
            h2 { "Transcript" }
            p { code.transcript { (last.transcript) } }
            p.note {
                "The digest of the model, of every estimator and of every update sent. Two runs with \
                this transcript are the same run, bit for bit, on whatever boards and links."
                @if wall > 0.0 { " This one took " (seconds(wall)) " on the host's clock." }
            }
        }
    }
}

fn theory(summary: &Summary) -> Markup {
    let constants = [
        ("L", "", summary.l, "smoothness of f"),
        ("L", "AM", summary.l_am, "arithmetic mean of the workers' constants"),
        ("L", "QM", summary.l_qm, "quadratic mean of the workers' constants"),
        ("γ", "", summary.gamma, "step size"),
        ("γ", "dense", summary.baseline_gamma, "step size of dense gradient descent"),
    ];
    html! {
        @if constants.iter().any(|(.., value, _)| value.is_some()) {
            h2 { "Theory" }
            table { tbody {
                @for (symbol, index, value, meaning) in constants {
                    @if let Some(value) = value {
                        tr {
                            th scope="row" { (symbol) sub { (index) } }
                            td.number title=(value) { (number(value)) }
                            td { (meaning) }
                        }
                    }
                }
            } }
        }
    }
}

fn tile(figure: &str, label: &str) -> Markup {
    html! { div.tile { strong { (figure) } span { (label) } } }
}

fn factor_tile(factor: f64) -> Markup {
    if factor >= 1.0 {
        tile(&format!("{}×", number(factor)), "fewer bytes than dense gradient descent")
    } else {
        tile(&format!("{}×", number(1.0 / factor)), "more bytes than dense gradient descent")
    }
}

fn figure(chart: &Chart<'_>) -> Markup {
    let title = format!("{} against {}", chart.measure.symbol(), chart.against.name());
    let view_box = format!("0 0 {} {}", chart::WIDTH, chart::HEIGHT);
    html! {
        figure {
            figcaption { (title) }
            svg.chart viewBox=(view_box) role="img" aria-label=(title) xmlns="http://www.w3.org/2000/svg" {
                title { (title) }
                (PreEscaped(chart.draw()))
            }
        }
    }
}

/// The parts of the wire bytes of one direction, on a scale on which `most` bytes fill the width.
fn bar(direction: &str, traffic: &Traffic, most: u64) -> Markup {
    let parts = [
        ("payload", traffic.payload_bytes),
        ("framing", traffic.framing_bytes()),
        ("again", traffic.retransmitted_bytes),
    ];
    let width = |part: u64| format!("width:{:.3}%", 100.0 * part as f64 / most.max(1) as f64);
    html! {
        div.bar aria-hidden="true" {
            span.direction { (direction) }
            span.track {
                @for (class, part) in parts { span class=(class) style=(width(part)) {} }
            }
            span.total { (bytes(traffic.wire_bytes)) }
        }
    }
}

fn traffic_row(direction: &str, traffic: &Traffic) -> Markup {
    html! {
        tr {
            th scope="row" { (direction) }
            @for part in [
                traffic.payload_bytes,
                traffic.framing_bytes(),
                traffic.retransmitted_bytes,
                traffic.wire_bytes,
            ] { td.number title={ (count(part)) " B" } { (bytes(part)) } }
            td.number { (count(traffic.frames)) }
            td.number { (count(traffic.retransmitted_frames)) }
        }
    }
}

fn limit_note(limit: &InformationLimit) -> Markup {
    html! {
        p {
            "The limit: coded perfectly, the " (count(limit.updates)) " updates would take "
            (bytes(limit.bytes().ceil() as u64)) ", " (number(limit.bits_per_update)) " bits each. Their \
            bodies took " (bytes(limit.sent_bytes)) ", "
            (number(limit.sent_bytes as f64 / limit.bytes())) " times the limit."
        }
    }
}

fn workers(workers: &[WorkerRecord]) -> Markup {
    html! {
        @if !workers.is_empty() {
            section {
                h2 { "Workers" }
                div.scroll role="region" aria-label="Workers" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th colspan="3" {}
                                th.group colspan="3" scope="colgroup" { "up" }
                                th.group colspan="3" scope="colgroup" { "down" }
                                th colspan="2" {}
                                th.group colspan="2" scope="colgroup" { "frames dropped" }
                            }
                            tr {
                                th scope="col" { "worker" }
                                th scope="col" { "identity" }
                                @for name in [
                                    "rows", "bytes", "frames", "sent again", "bytes", "frames",
                                    "sent again", "reboots", "saturated",
                                ] { th.number scope="col" { (name) } }
                                th scope="col" { "by host" }
                                th scope="col" { "by worker" }
                            }
                        }
                        tbody { @for worker in workers { (worker_row(worker)) } }
                    }
                }
                p.note {
                    "Bytes and frames of a worker include its setup. Saturated: mantissas that it cut to \
                    their range."
                }
            }
        }
    }
}

fn worker_row(worker: &WorkerRecord) -> Markup {
    html! {
        tr {
            th scope="row" { (worker.name) }
            td { code { (worker.identity) } }
            td.number { (count(worker.rows)) }
            @for traffic in [&worker.uplink, &worker.downlink] {
                td.number { (bytes(traffic.wire_bytes)) }
                td.number { (count(traffic.frames)) }
                td.number { (count(traffic.retransmitted_frames)) }
            }
            td.number { (count(worker.reboots.into())) }
            td.number { (count(worker.saturated)) }
            td.reasons { (reasons(&worker.rejected_by_host)) }
            td.reasons { (reasons(&worker.rejected_by_worker)) }
        }
    }
}

/// `checksum 12, repeated 3`
fn reasons(rejected: &BTreeMap<String, u64>) -> String {
    if rejected.is_empty() {
        return "none".into();
    }
    let texts: Vec<String> =
        rejected.iter().map(|(reason, frames)| format!("{reason} {}", count(*frames))).collect();
    texts.join(", ")
}

/// A value of the configuration as a person would type it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}
