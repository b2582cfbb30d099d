//! The tables: bytes by cause, times, workers, and constants.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::content::Page;
use super::sentence::{clock_phrase, precision, step, time};
use crate::record::{Cost, InformationLimit, Summary, Traffic, WorkerRecord};
use crate::units::quantity::{bytes, count, counted, number, seconds};
use crate::world::Clock;

/// Returns the section on bytes by direction and cause.
pub(super) fn traffic(page: &Page<'_>) -> Markup {
    let Cost { uplink, downlink, .. } = page.last().total;
    let summary = page.summary();
    let Summary { setup, closing, .. } = *summary;
    let most = uplink.wire_bytes.max(downlink.wire_bytes);
    html! {
        section {
            h2 { "Traffic" }
            p.legend {
                span { i.payload {} "payload" }
                span { i.framing {} "framing" }
                span { i.again {} "retransmitted" }
            }
            (bar("up", &uplink, most))
            (bar("down", &downlink, most))
            div.scroll role="region" aria-label="Bytes by cause" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "direction" }
                        @for name in [
                            "payload", "framing", "retransmitted", "on the wire", "frames",
                            "retransmitted frames",
                        ] { th.number scope="col" { (name) } }
                    } }
                    tbody {
                        (traffic_row("up", &uplink))
                        (traffic_row("down", &downlink))
                        @if setup.wire_bytes() > 0 {
                            (traffic_row("setup, up", &setup.uplink))
                            (traffic_row("setup, down", &setup.downlink))
                        }
                        @if closing.wire_bytes() > 0 {
                            (traffic_row("closing, up", &closing.uplink))
                            (traffic_row("closing, down", &closing.downlink))
                        }
                    }
                }
            }
            @if setup.wire_bytes() > 0 {
                p.note {
                    "Setup is the traffic before the first round: identification, configuration and data, "
                    (time(&setup, page.clock().filter(|_| setup.elapsed_seconds.is_some()), summary.baud)) "."
                    @if closing.wire_bytes() > 0 {
                        " Closing is the check after the last round that all states are equal, and with rows on "
                        "boards the dense model of an earlier round if that is the best one, the score of the rows "
                        "held out and the order to keep the model."
                    }
                    " The figures of the run do not include them."
                }
            }
            @if let Some(limit) = summary.information_limit { (limit_note(&limit)) }
        }
    }
}

/// Returns the constants of the problem and the step sizes that follow from them.
pub(super) fn theory(summary: &Summary) -> Markup {
    let l_i = || summary.workers.iter().filter_map(|worker| worker.l_i);
    let constants = [
        ("L", "", summary.l, "smoothness of f"),
        ("L", "min", l_i().reduce(f64::min), "smallest of the workers' constants"),
        ("L", "max", l_i().reduce(f64::max), "largest of the workers' constants"),
        ("L", "AM", summary.l_am, "arithmetic mean of the workers' constants"),
        ("L", "QM", summary.l_qm, "quadratic mean of the workers' constants"),
        ("γ", "", summary.gamma, "step size"),
        ("γ", "theory", summary.theory.theory_gamma, "largest step size that theory allows"),
        ("γ", "borrowed", summary.theory.borrowed_gamma, "step size borrowed from another method"),
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
            @if let Some(sentence) = summary.gamma.and_then(|gamma| step(gamma, &summary.theory, summary.gamma_tuned)) {
                p.note { (sentence) "." }
            }
            @if let Some(error) = summary.quantisation_error {
                p.note { "The workers hold the features " (precision(error)) "." }
            }
        }
    }
}

/// Returns a bar of the wire bytes of one direction by cause; `most` bytes fill the width.
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
            "Under an ideal code, the " (count(limit.updates)) " updates would take "
            (bytes(limit.bytes().ceil() as u64)) ", " (number(limit.bits_per_update)) " bits per update on average. \
            Their bodies took " (bytes(limit.sent_bytes)) ", "
            (number(limit.sent_bytes as f64 / limit.bytes())) " times that."
        }
    }
}

/// Returns a table of the time of the workers' rounds by cause.
pub(super) fn times(workers: &[WorkerRecord], clock: Clock) -> Markup {
    html! {
        div.scroll role="region" aria-label="Time by cause" tabindex="0" {
            table {
                thead { tr {
                    th scope="col" { "worker, mean per round" }
                    @for name in ["round trip", "line", "board", "retries", "line, modelled", "rounds"] {
                        th.number scope="col" { (name) }
                    }
                } }
                tbody { @for worker in workers { (times_row(worker)) } }
            }
        }
        p.note {
            "Round trip (" (clock_phrase(clock)) "): from the first request of a round to the end of the update. Its \
            parts are the line, measured while answers come in and otherwise estimated from answers that need no \
            computing; retries, from the first to the last transmission of a repeated request; and the board, which is \
            the remainder. Modelled: the time of the link's bytes at its rate."
            @match clock {
                Clock::Host => { " A board that always responds late cannot be distinguished from a slow line." }
                Clock::Virtual => { " Boards take a constant time in simulation." }
            }
        }
    }
}

fn times_row(worker: &WorkerRecord) -> Markup {
    let (times, total) = (&worker.times, &worker.times.total);
    html! {
        tr {
            th scope="row" { (worker.name) }
            @for part in [
                total.round_trip_seconds,
                total.line_seconds,
                total.board_seconds,
                total.repeating_seconds,
                total.modelled_seconds,
            ] { td.number title={ (seconds(part)) " in total" } { (seconds(times.mean_per_round(part))) } }
            td.number { (count(times.rounds.into())) }
        }
    }
}

/// Returns the section on the frames that each worker sent, received and dropped.
pub(super) fn workers(workers: &[WorkerRecord]) -> Markup {
    html! {
        @if !workers.is_empty() {
            section {
                h2 { "Workers" }
                div.scroll role="region" aria-label="Workers" tabindex="0" {
                    table {
                        thead {
                            tr {
                                th colspan="2" {}
                                th.group colspan="3" scope="colgroup" { "up" }
                                th.group colspan="3" scope="colgroup" { "down" }
                                th colspan="2" {}
                                th.group colspan="2" scope="colgroup" { "frames dropped" }
                            }
                            tr {
                                th scope="col" { "worker" }
                                @for name in [
                                    "rows", "bytes", "frames", "retransmitted", "bytes", "frames",
                                    "retransmitted", "reboots", "saturated",
                                ] { th.number scope="col" { (name) } }
                                th scope="col" { "by host" }
                                th scope="col" { "by worker" }
                            }
                        }
                        tbody { @for worker in workers { (worker_row(worker)) } }
                    }
                }
                p.note {
                    "Bytes and frames of a worker include its setup. Saturated: mantissas clamped to their range."
                }
                @if workers.iter().any(|worker| worker.held_out.is_some_and(|score| score.rows > 0)) {
                    p.note { "Rows that boards hold out, and that the model classifies correctly: " (scores(workers)) "." }
                }
                @for worker in workers.iter().filter(|worker| worker.left_out > 0) {
                    p.note { (exclusion(worker)) }
                }
            }
        }
    }
}

fn worker_row(worker: &WorkerRecord) -> Markup {
    html! {
        tr {
            th scope="row" {
                (worker.name)
                @if let Some(owner) = &worker.owner { " (" (owner) ")" }
                @if !worker.identity.is_empty() { br; code { (worker.identity) } }
            }
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

/// Lists the scores of workers: `board 1 12 of 12, board 2 9 of 10`.
fn scores(workers: &[WorkerRecord]) -> String {
    let score = |worker: &WorkerRecord| {
        let score = worker.held_out?;
        Some(format!("{} {} of {}", worker.name, count(score.right), count(score.rows)))
    };
    workers.iter().filter_map(score).collect::<Vec<_>>().join(", ")
}

/// Describes how often a worker was excluded from rounds, and why.
fn exclusion(worker: &WorkerRecord) -> String {
    let times = counted(worker.left_out.into(), "time", "times");
    let why = worker.reason.as_deref().unwrap_or("it was silent");
    format!("{} was excluded {times}; reason of the last time: {why}.", worker.name)
}

/// Formats dropped frames by reason: `checksum 12, repeated 3`.
fn reasons(rejected: &BTreeMap<String, u64>) -> String {
    if rejected.is_empty() {
        return "none".into();
    }
    let texts: Vec<String> =
        rejected.iter().map(|(reason, frames)| format!("{reason} {}", count(*frames))).collect();
    texts.join(", ")
}
