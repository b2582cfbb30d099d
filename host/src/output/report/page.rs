//! The page: its sections from the headline to the transcript.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::against::Against;
use super::chart::{self, BASELINE, Chart, Line, RUN};
use super::content::{Page, plain};
use super::curve::{self, Comparison, Measure};
use super::tables;
use crate::record::{MODEL, Run};
use crate::units::own_name;
use crate::units::quantity::{count, seconds};
use crate::world::Clock;

/// Maximum number of points per curve, more than the columns of a screen.
const POINT_COUNT_MAX: usize = 1500;

/// Returns the page.
pub(super) fn page(run: &Run) -> Markup {
    let (marks, baseline) = (curve::of_run(&run.rounds), curve::of_baseline(&run.baseline));
    let comparable = !run.summary.has_diverged();
    let comparison = Comparison::of(&marks, &baseline).filter(|_| comparable);
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
                    (tables::traffic(&page))
                    (page.times())
                    (tables::workers(&run.summary.workers))
                    (page.settings())
                }
                footer { p { "Written by smidgen " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    }
}

impl Page<'_> {
    fn charts(&self) -> Markup {
        let against = [Against::Rounds, Against::Bytes, self.common_time()];
        let charts = [self.norm(), Measure::Loss]
            .map(|measure| against.map(|against| self.chart(measure, against)));
        let undrawable: usize = charts.iter().map(|[chart, ..]| chart.undrawable()).sum();
        html! {
            section {
                h2 { "Convergence" }
                p.legend {
                    span { i.run {} (self.method()) }
                    @if !self.baseline.is_empty() {
                        span { i.baseline {} "dense gradient descent on a line without faults" }
                    }
                }
                div.charts {
                    @for chart in charts.iter().flatten() {
                        (figure(chart))
                    }
                }
                @if undrawable > 0 {
                    p.note {
                        (count(undrawable as u64)) " values are not drawn: they are zero, negative or not finite."
                    }
                }
            }
        }
    }

    /// Returns the section on time per worker. On real links it has a chart against measured time, without dense
    /// gradient descent, which is only simulated.
    fn times(&self) -> Markup {
        let measured = (self.clock() == Some(Clock::Host)).then(|| Chart {
            lines: vec![Line { marks: &self.marks, colour: RUN }],
            comparison: None,
            ..self.chart(self.norm(), Against::Measured)
        });
        let workers = &self.summary().workers;
        let Some(clock) = self.clock().filter(|_| !workers.is_empty()) else { return html! {} };
        html! {
            section {
                h2 { "Where the time went" }
                (tables::times(workers, clock))
                @if let Some(chart) = measured { div.charts { (figure(&chart)) } }
            }
        }
    }

    fn chart(&self, measure: Measure, against: Against) -> Chart<'_> {
        let line = |marks, colour| Line { marks, colour };
        let lines = vec![line(&self.baseline, BASELINE), line(&self.marks, RUN)];
        let (point_count_max, comparison) = (POINT_COUNT_MAX, self.comparison);
        Chart { measure, against, lines, point_count_max, comparison }
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
                div { (tables::theory(self.summary())) (self.model()) (self.transcript()) }
            }
        }
    }

    /// Returns where the model is, if it is of use.
    fn model(&self) -> Markup {
        if !self.summary().has_model() {
            return html! {};
        }
        let which = match self.summary().model {
            Some(model) => format!("the model of round {}", count(model.round.into())),
            None => "the model at the latest checkpoint".into(),
        };
        html! {
            h2 { "Model" }
            p {
                code { (MODEL) } " beside this page is " (which) ". "
                code { (own_name::command("predict")) } " predicts rows with it, " code { (own_name::command("export")) }
                " converts it to Rust, C, NumPy, safetensors or ONNX, and " code { "--from" }
                " starts another run from it."
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
                "Digest of the model, of every estimator and of every update sent. Runs with equal transcripts are \
                equal bit for bit, on any boards and links."
                @if wall > 0.0 { " This one took " (seconds(wall)) " on the host's clock." }
            }
        }
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
