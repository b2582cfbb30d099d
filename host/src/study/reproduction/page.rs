//! Writes the page of the studies in Markdown, with charts in SVG: claims of the papers, measurements, and tables.

use super::figures::{self, Figure, Quantity};
use super::measure::Measured;
use super::study::{Curve, Panel, Study};
use crate::output::report::against::Against;
use crate::output::report::bars::{Bar, bars};
use crate::output::report::curve::Measure;
use crate::output::report::figure::{self, figure};
use crate::output::report::mark::Mark;
use crate::record::{RecordError, replace_file};
use crate::units::quantity::{bytes, count, number, seconds};
use crate::units::shown::lines;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// File name of the page.
const PAGE: &str = "reproduction.md";
/// Directory of its charts.
const CHARTS: &str = "reproduction";

/// Writes the page of `studies`, `measured` by [`measure`](super::measure()), to `folder` and returns its path.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    studies: &[Study],
    measured: &[Vec<Vec<Measured>>],
    folder: &Path,
) -> Result<PathBuf, RecordError> {
    let charts = folder.join(CHARTS);
    fs::create_dir_all(&charts)
        .map_err(|source| RecordError::Write { path: charts.clone(), source })?;
    for (study, panels) in studies.iter().zip(measured) {
        for (panel, curves) in study.panels.iter().zip(panels) {
            for Drawing { file, svg, .. } in drawings(study, panel, curves) {
                replace_file(&charts.join(file), lines(&svg).as_bytes())?;
            }
        }
    }
    let file = folder.join(PAGE);
    replace_file(&file, lines(&markdown(studies, measured)).as_bytes())?;
    Ok(file)
}

/// A chart of a panel.
struct Drawing {
    file: String,
    title: String,
    svg: String,
}

fn drawings(study: &Study, panel: &Panel, measured: &[Measured]) -> Vec<Drawing> {
    let name = |what: &str| format!("{}-{}-{what}.svg", study.name, panel.name);
    let charts = study.against.iter().map(|&against| {
        let title = format!("{}, against {}", panel.name, against.name());
        let svg = chart(&title, panel, measured, against);
        Drawing { file: name(&against.name().replace(' ', "-")), title, svg }
    });
    let bars = study.bars.then(|| {
        let title = format!("{}, bytes on all wires to the target", panel.name);
        let bar = |(curve, mark): (&Curve, Option<Mark>)| Bar {
            label: curve.label.clone(),
            cost: mark.map(|mark| mark.total),
        };
        let marks = panel.curves.iter().zip(reached(panel, measured));
        let svg = bars(&title, &marks.map(bar).collect::<Vec<_>>());
        Drawing { file: name("bytes"), title, svg }
    });
    charts.chain(bars).collect()
}

fn chart(title: &str, panel: &Panel, measured: &[Measured], against: Against) -> String {
    let curves = panel.curves.iter().zip(measured);
    // Curves in f64 send no bytes, so they are drawn only against rounds.
    let curves = curves.filter(|(curve, _)| !against.is_cost() || !curve.float);
    let curves: Vec<_> = curves
        .map(|(curve, measured)| figure::Curve { label: &curve.label, marks: &measured.marks })
        .collect();
    figure(title, against, &curves)
}

/// Returns the ‖∇f(x)‖² at which the curves of a panel are compared.
fn level(panel: &Panel, measured: &[Measured]) -> f64 {
    let least = measured.iter().filter_map(|m| Measure::Gradient.least(&m.marks));
    match panel.target {
        Some(part) => part * start(measured),
        None => least.fold(0.0, f64::max),
    }
}

/// Returns ‖∇f(x⁰)‖².
fn start(measured: &[Measured]) -> f64 {
    gradient(&measured[0].marks[0])
}

/// Returns the mark at which each curve of a panel first reached its level.
fn reached(panel: &Panel, measured: &[Measured]) -> Vec<Option<Mark>> {
    let level = level(panel, measured);
    measured.iter().map(|m| Measure::Gradient.first_at(&m.marks, level).copied()).collect()
}

fn markdown(studies: &[Study], measured: &[Vec<Vec<Measured>>]) -> String {
    let mut page = String::from(HEAD);
    for (study, panels) in studies.iter().zip(measured) {
        let Study { title, paper, .. } = study;
        let measured = figures::fill(&study.measured, |figure| shown(figure, study, panels));
        line(&mut page, &format!("| [{title}](#{}) | {paper} | {measured} |", anchor(title)));
    }
    page += READING;
    for (study, panels) in studies.iter().zip(measured) {
        page += "\n";
        section(&mut page, study, panels);
    }
    page += "\n## Tables\n";
    for (study, panels) in studies.iter().zip(measured).filter(|(_, panels)| !panels.is_empty()) {
        page += "\n";
        tables(&mut page, study, panels);
    }
    page
}

/// Formats a figure as in the tables.
fn shown(Figure { quantity, panel }: &Figure, study: &Study, panels: &[Vec<Measured>]) -> String {
    let mut measured = study.panels.iter().zip(panels);
    let Some((panel, curves)) = measured.find(|(p, _)| p.name == *panel) else {
        return "(not run)".into();
    };
    let reached = reached(panel, curves);
    let ratio = |a: usize, b: usize, of: &dyn Fn(&Mark) -> f64| {
        let marks = reached[a].as_ref().zip(reached[b].as_ref());
        marks.map_or("–".into(), |(a, b)| number(of(a) / of(b).max(1.0)))
    };
    match *quantity {
        Quantity::Rounds(a, b) => ratio(a, b, &|mark| f64::from(mark.round)),
        Quantity::Bytes(a, b) => ratio(a, b, &|mark| mark.total.wire_bytes() as f64),
        Quantity::End(curve) => number(end(&curves[curve])),
    }
}

/// The opening of the page, up to the rows of the summary.
const HEAD: &str = "\
# Reproduction

This page compares the experiments of the EF21 papers with runs of the code that boards execute. The table lists, for
each experiment, what the paper reports and what was measured. A section per experiment then describes its setup, its
differences from the paper, and its charts; constants, rounds and bytes are in [tables](#tables) at the end.

\"Reloaded\" is \"Error Feedback Reloaded\" (ICLR 2024). Its text was not available when these experiments were written.
Statements about it come from its abstract, its reviews and the code of its authors' earlier papers; those that come
from none of these are marked *recalled*.

| experiment | the paper says | we measured |
|---|---|---|
";

/// The section after the summary.
const READING: &str = "
## How to read the figures

* `smidgen reproduce --out docs` writes this page from the files under [host/experiments](../host/experiments); do not
  edit it by hand. The program fills in the charts, the tables and the figures in the last column of the summary; the
  wording is ours.
* Runs use the worker library in fixed point and real frames on simulated lines, as boards do. Only curves that say so
  are computed in f64.
* Bytes are those on the wire, frames included, of all workers together. A link is the line of one board at 115200
  baud. Time is modelled: the time that the bytes of the busiest link take.
* Rounds, bytes and time are counted until ‖∇f(x)‖² reaches the level above the table: a given target, or the lowest
  level that all methods reached. – means that it was not reached.
* Each run is one command: `smidgen simulate` with the options of the experiment, the data and the curve. Where the
  data are not bundled, `--dataset` takes the path of their file.
";

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

/// Returns the anchor that GitHub gives to a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn section(page: &mut String, study: &Study, panels: &[Vec<Measured>]) {
    line(page, &format!("## {}\n", study.title));
    line(page, &format!("{}\n", study.text.trim()));
    line(page, &format!("`smidgen simulate {}`\n", study.options));
    for (panel, curves) in study.panels.iter().zip(panels) {
        for Drawing { file, title, .. } in drawings(study, panel, curves) {
            line(page, &format!("![{title}]({CHARTS}/{file})"));
        }
    }
    for panel in &study.skipped {
        let Panel { name, options, .. } = panel;
        line(page, &format!("\n**{name}** is not run: no data for `{options}`."));
    }
    if !panels.is_empty() {
        let anchor = anchor(&tables_title(study));
        line(page, &format!("\nConstants, rounds and bytes: [tables](#{anchor})."));
    }
}

fn tables_title(study: &Study) -> String {
    format!("Tables: {}", study.title)
}

fn tables(page: &mut String, study: &Study, panels: &[Vec<Measured>]) {
    line(page, &format!("### {}\n", tables_title(study)));
    constants(page, study, panels);
    for (panel, curves) in study.panels.iter().zip(panels) {
        page.push('\n');
        table(page, panel, curves);
    }
}

/// Writes the table of the data sets and their smoothness constants.
fn constants(page: &mut String, study: &Study, panels: &[Vec<Measured>]) {
    let paper = study.panels.iter().any(|panel| panel.paper_l_var.is_some());
    let (heading, rule) = if paper { (" L_var, paper |", "---|") } else { ("", "") };
    line(page, &format!("| data | options | n | d | L | L_AM | L_QM | L_var |{heading}"));
    line(page, &format!("|---|---|---|---|---|---|---|---|{rule}"));
    for (panel, curves) in study.panels.iter().zip(panels) {
        let Measured { worker_count, dimension, smoothness, .. } = &curves[0];
        let n = count(*worker_count as u64);
        let mut row = format!("| {} | `{}` | {n} | {dimension} |", panel.name, panel.options);
        let constants = smoothness.as_ref().map(|s| [s.l, s.l_am, s.l_qm, s.l_var].map(number));
        for constant in constants.unwrap_or(["–"; 4].map(String::from)) {
            write!(row, " {constant} |").expect("writing to a string");
        }
        if paper {
            write!(row, " {} |", panel.paper_l_var.as_deref().unwrap_or("–")).expect("as above");
        }
        line(page, &row);
    }
}

/// Writes the table of a panel: a row per curve.
fn table(page: &mut String, panel: &Panel, measured: &[Measured]) {
    let Panel { name, curves, .. } = panel;
    let level = level(panel, measured);
    let part = number(level / start(measured));
    line(page, &format!("**{name}**, to ‖∇f‖² ≤ {}, {part} of the start\n", number(level)));
    line(
        page,
        "| method | options | γ | ‖∇f‖² at the end | rounds | bytes up | bytes up + down | time, modelled \
         | rounds of the first / its own |",
    );
    line(page, "|---|---|---|---|---|---|---|---|---|");
    let reached = reached(panel, measured);
    for ((curve, measured), mark) in curves.iter().zip(measured).zip(&reached) {
        line(page, &row(curve, measured, *mark, reached[0]));
    }
}

fn row(curve: &Curve, measured: &Measured, reached: Option<Mark>, first: Option<Mark>) -> String {
    let end = end(measured);
    let end = if end.is_finite() { number(end) } else { "diverged".into() };
    let (label, options) = (&curve.label, &curve.text);
    let options = if options.is_empty() { String::new() } else { format!("`{options}`") };
    let cell = |of: &dyn Fn(&Mark) -> String| reached.as_ref().map_or("–".into(), of);
    let cost = |of: &dyn Fn(&Mark) -> String| if curve.float { String::new() } else { cell(of) };
    let gain = first.zip(reached).map_or("–".into(), |(first, own)| {
        number(f64::from(first.round) / f64::from(own.round).max(1.0))
    });
    format!(
        "| {label} | {options} | {} | {end} | {} | {} | {} | {} | {gain} |",
        number(measured.gamma),
        cell(&|mark| count(mark.round.into())),
        cost(&|mark| bytes(mark.total.uplink.wire_bytes)),
        cost(&|mark| bytes(mark.total.wire_bytes())),
        cost(&|mark| seconds(mark.total.modelled_seconds)),
    )
}

/// Returns ‖∇f(x)‖² in the last round of a run.
fn end(measured: &Measured) -> f64 {
    gradient(measured.marks.last().expect("every run has round 0"))
}

fn gradient(mark: &Mark) -> f64 {
    mark.gradient_norm_squared.unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::progress::Progress;
    use crate::study::reproduction::measure;

    #[test]
    fn anchors_are_those_of_github() {
        assert_eq!(anchor("EF21, old & new: a step's tale"), "ef21-old--new-a-steps-tale");
    }

    #[test]
    fn page_is_reproducible() {
        let studies = [Study::parse("small", include_str!("small.toml")).unwrap()];
        let pages = [(); 2].map(|()| {
            let folder = tempfile::tempdir().unwrap();
            let measured = measure(&studies, &mut Progress::new(0)).unwrap();
            assert_eq!(measured[0][0].len(), 3);
            let page = write(&studies, &measured, folder.path()).unwrap();
            let read = |path: &Path| fs::read_to_string(path).unwrap();
            let chart = |against: &str| {
                read(&folder.path().join(format!("reproduction/small-digits-{against}.svg")))
            };
            [read(&page), chart("rounds"), chart("wire-bytes")]
        });
        assert_eq!(pages[0], pages[1]);
        let [page, rounds, bytes] = &pages[0];
        let new_step = page.lines().find(|line| line.starts_with("| new step |")).unwrap();
        let gain = new_step.trim_end_matches(" |").rsplit("| ").next().unwrap();
        let reading = format!("It is not: {gain} times as many rounds. |");
        let summary = "| [Small](#small) | The new step is not shorter. | ";
        assert!(page.contains(&format!("{summary}{reading}")), "{page}");
        assert!(page.contains("`smidgen simulate --rows 200 --k 2 --rounds 30`"));
        assert!(page.contains("| L_var, paper |") && page.contains("| 0.1 |"));
        assert!(page.contains("| new step | `--step am` |"));
        assert_eq!([rounds, bytes].map(|svg| svg.matches("in f64").count()), [1, 0]);
    }

    #[test]
    fn skipped_panel_is_on_the_page() {
        let text = include_str!("small.toml").replace("--dataset digits", "--dataset nowhere");
        let mut study = Study::parse("small", &text).unwrap();
        study.skip_missing();
        let page = markdown(&[study], &[vec![]]);
        assert!(page.contains("| It is not: (not run) times as many rounds. |"), "{page}");
        assert!(
            page.contains("**digits** is not run: no data for `--dataset nowhere --workers 3`.")
        );
    }
}
