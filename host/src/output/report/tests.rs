use std::collections::BTreeMap;

use serde_json::{Map, json};

use super::curve::{Comparison, of_baseline, of_run};
use super::*;
use crate::record::{
    BaselineRecord, Cost, InformationLimit, RoundRecord, Summary, Times, Traffic, WorkerRecord,
    WorkerTimes,
};
use crate::units::quantity;
use crate::world::Clock;

/// Traffic of `frames` frames with `payload` bytes each, every fifth one retransmitted.
fn traffic(frames: u64, payload: u64) -> Traffic {
    let retransmitted_frames = frames / 5;
    let payload_bytes = (frames - retransmitted_frames) * payload;
    Traffic {
        payload_bytes,
        wire_bytes: payload_bytes + frames * 9 + retransmitted_frames * payload,
        frames,
        retransmitted_frames,
        retransmitted_bytes: retransmitted_frames * (payload + 9),
    }
}

/// Gradient norms that fall from 0.32 with a ripple, like those of EF21 with Top1.
fn norm(round: u32, rate: f64) -> f64 {
    let t = f64::from(round);
    0.32 * (-rate * t).exp() * (1.0 + 0.15 * (t / 9.0).sin()) + 2e-6
}

fn rounds(count: u32) -> Vec<RoundRecord> {
    let record = |round| {
        let gradient = norm(round, 0.004);
        RoundRecord {
            round,
            loss: 0.42 + 0.27 * gradient / 0.32,
            gradient_norm_squared: Some(gradient),
            estimator_norm_squared: 1.1 * gradient,
            absent: 0,
            information_bits: 20.0 * (112f64.log2() + 8.0),
            cost: Cost {
                uplink: traffic(20, 3),
                downlink: traffic(20, 24),
                modelled_seconds: 0.0051,
                elapsed_seconds: Some(0.0123),
            },
            boards: Vec::new(),
            theory: None,
            transcript: format!("{:016x}", u64::from(round) * 0x9e37_79b9),
        }
    };
    (0..count).map(record).collect()
}

fn baseline(count: u32) -> Vec<BaselineRecord> {
    let (uplink, downlink) = (traffic(20, 448), traffic(20, 448));
    let cost = Cost { uplink, downlink, modelled_seconds: 0.0797, elapsed_seconds: Some(0.0823) };
    let record = |round| {
        let gradient = norm(round, 0.012);
        BaselineRecord {
            round,
            loss: 0.42 + 0.27 * gradient / 0.32,
            gradient_norm_squared: Some(gradient),
            cost,
        }
    };
    (0..count).map(record).collect()
}

/// Times of a line that takes 3 ms per round, 2 ms of them for its bytes, and of a board that takes `n` ms.
fn times(rounds: u32, n: u32) -> WorkerTimes {
    let [count, board] = [rounds, n].map(f64::from);
    let total = Times {
        round_trip_seconds: count * (0.0035 + 0.001 * board),
        line_seconds: count * 0.003,
        board_seconds: count * 0.001 * board,
        repeating_seconds: count * 0.0005,
        modelled_seconds: count * 0.002,
    };
    WorkerTimes { rounds, total }
}

fn worker(n: u32) -> WorkerRecord {
    WorkerRecord {
        l_i: Some(2.5 + f64::from(n)),
        name: format!("stm32f405 {n}"),
        identity: format!("{:012x}", 0x1d00_2b00_0000u64 + u64::from(n)),
        rows: 406,
        uplink: traffic(2000, 3),
        downlink: traffic(2000, 24),
        rejected_by_host: BTreeMap::from([("checksum".into(), 12), ("repeated".into(), 3)]),
        times: times(2000, n),
        reboots: n % 2,
        left_out: n % 3,
        reason: (n % 3 == 2).then(|| "it has restarted 9 times".into()),
        ..WorkerRecord::default()
    }
}

/// A run of `count` rounds with every optional part.
fn run(count: u32) -> Run {
    let options = [
        ("dataset", json!("../data/mushrooms")),
        ("workers", json!(20)),
        ("split", json!("contiguous")),
        ("objective", json!("logistic")),
        ("lambda", json!(0.1)),
        ("method", json!("ef21")),
        ("k", json!(1)),
        ("value-bits", json!(8)),
        ("step", json!("am")),
        ("downlink", json!("sparse")),
        ("faults", json!("loss=0.2")),
        ("target", json!(null)),
    ];
    let rounds = rounds(count);
    let mut summary = Summary {
        configuration: Map::from_iter(options.map(|(name, value)| (name.to_owned(), value))),
        baud: Some(115_200),
        clock: Some(Clock::Virtual),
        l: Some(2.7864127),
        l_am: Some(3.4711204),
        l_qm: Some(3.493226),
        gamma: Some(0.0012901448),
        baseline_gamma: Some(0.358884),
        setup: Cost {
            uplink: traffic(60, 2),
            downlink: traffic(400, 256),
            modelled_seconds: 9.7,
            elapsed_seconds: Some(10.1),
        },
        information_limit: Some(InformationLimit {
            bits_per_update: 112f64.log2() + 8.0,
            updates: 20 * u64::from(count),
            sent_bytes: 47 * u64::from(count),
        }),
        finished: true,
        wall_seconds: 1.7,
        workers: (1..=20).map(worker).collect(),
        ..Summary::default()
    };
    summary.recount(&rounds);
    let baseline = baseline(count / 2);
    Run { rounds, cut: false, missing: None, summary, baseline }
}

/// Renders the page, and writes it to `SMIDGEN_REPORT_DIR` for inspection if that is set.
fn page(name: &str, run: &Run) -> String {
    let page = render(run);
    if let Some(directory) = std::env::var_os("SMIDGEN_REPORT_DIR") {
        std::fs::write(Path::new(&directory).join(name).with_extension("html"), &page).unwrap();
    }
    page
}

#[test]
fn page_has_all_sections_and_makes_no_request() {
    let page = page("full", &run(2000));
    for part in [
        "EF21 on mushrooms, 20 workers",
        "After round 1\u{202f}999, f(x) = 0.420",
        "Convergence",
        "Traffic",
        "Where the time went",
        "Workers",
        "Configuration",
        "Theory",
        "Transcript",
        "ideal code, the 40\u{202f}000 updates would take 74.0\u{a0}kB, 14.8 bits per update",
        "checksum 12, repeated 3",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg").count(), 6);
    let namespace = "http://www.w3.org/2000/svg";
    let elsewhere = page.replace(namespace, "");
    for request in ["http:", "https:", "<script", "<link", "<img", "url(", "@import"] {
        assert!(!elsewhere.contains(request), "{request}");
    }
}

#[test]
fn headline_compares_at_the_lowest_level_of_both() {
    let mut run = run(2);
    run.rounds[1].gradient_norm_squared = Some(0.01);
    run.baseline = baseline(3);
    run.baseline[2].gradient_norm_squared = Some(0.001);
    let (ours, dense) = (run.rounds[0].cost, run.baseline[0].cost);
    let factor = (3 * dense.wire_bytes()) as f64 / (2 * ours.wire_bytes()) as f64;
    let page = render(&run);
    let sentence = format!(
        "To reach ‖∇f(x)‖² = 0.0100, the lowest level of both, dense gradient descent on a line without faults \
         takes {}",
        quantity::bytes(3 * dense.wire_bytes())
    );
    assert!(page.contains(&sentence));
    assert!(page.contains(&format!("{} times the bytes in", quantity::number(factor))));
}

#[test]
fn text_from_the_run_is_escaped() {
    let mut run = run(3);
    let evil = "<script>alert('&\"')</script>";
    run.summary.configuration.insert("dataset".into(), json!(evil));
    run.summary.configuration.insert(evil.into(), json!([evil]));
    run.summary.workers[0].name = evil.into();
    run.summary.workers[0].identity = evil.into();
    run.summary.workers[0].rejected_by_host.insert(evil.into(), 1);
    run.rounds[2].transcript = evil.into();
    let page = page("escaped", &run);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn unfinished_run_has_a_warning() {
    let mut run = run(7);
    (run.cut, run.missing) = (true, Some(4));
    run.summary = Summary::default();
    let page = page("killed", &run);
    assert!(page.contains("The record of round 4 is missing"));
    assert!(page.contains("did not finish, and the last line"));
    assert!(page.contains("its 7 complete rounds"));
    assert!(!page.contains("Configuration"));
}

#[test]
fn one_round_without_a_baseline_is_drawn() {
    let mut run = run(1);
    run.baseline.clear();
    let page = page("one", &run);
    assert!(page.contains("<circle"));
    assert!(!page.contains("dense gradient descent on a line"));
    assert!(!page.contains("NaN"));
}

#[test]
fn without_gradients_the_estimator_is_drawn() {
    let mut run = run(50);
    run.rounds.iter_mut().for_each(|round| round.gradient_norm_squared = None);
    let page = page("estimator", &run);
    assert!(page.contains("‖g‖² against wire bytes"));
    assert!(page.contains("To reach f(x) = "), "the loss is compared");
}

#[test]
fn values_that_cannot_be_drawn_are_counted() {
    let mut run = run(40);
    run.baseline.clear();
    run.rounds[5].gradient_norm_squared = Some(0.0);
    run.rounds[6].gradient_norm_squared = None;
    for round in &mut run.rounds[30..] {
        (round.loss, round.gradient_norm_squared) = (f64::NAN, Some(f64::INFINITY));
    }
    run.summary.recount(&run.rounds);
    let page = page("diverged", &run);
    assert!(page.contains("21 values are not drawn"));
    assert!(page.contains("f(x) = not a number"));
    assert!(page.contains("This run diverged"));
    assert!(!page.contains("NaN") && !page.contains("inf,"));
}

#[test]
fn times_are_named_and_compared_by_the_same_clock() {
    let factor = |one: f64, other: f64| quantity::number(one / other);
    let mut run = run(400);
    let simulated = page("virtual", &run);
    let (ours, dense) = (run.rounds[0].cost, run.baseline[0].cost);
    let rounds = |page: &str, against: &str| page.contains(&format!("‖∇f(x)‖² against {against}"));
    let comparison = Comparison::of(&of_run(&run.rounds), &of_baseline(&run.baseline)).unwrap();
    let ratio = f64::from(comparison.baseline.round + 1) / f64::from(comparison.run.round + 1);
    let virtual_factor =
        factor(ratio * dense.elapsed_seconds.unwrap(), ours.elapsed_seconds.unwrap());
    assert!(simulated.contains(&format!(" and {virtual_factor} times the virtual time")));
    assert!(rounds(&simulated, "virtual time") && !rounds(&simulated, "m"));
    assert!(simulated.contains("4.92\u{a0}s of virtual time (the bytes alone, modelled at"));

    run.summary.clock = Some(Clock::Host);
    let measured = page("measured", &run);
    let modelled_factor = factor(ratio * dense.modelled_seconds, ours.modelled_seconds);
    assert!(measured.contains(&format!(" and {modelled_factor} times the modelled time")));
    assert!(rounds(&measured, "modelled time") && rounds(&measured, "measured time"));
    assert!(!measured.contains("virtual time"));
    let chart = measured.split("<figure").find(|part| part.contains("against measured time"));
    assert!(!chart.unwrap().contains("#C2550A"), "the baseline has no measured time");
    assert!(measured.contains("4.92\u{a0}s by the host's clock (the bytes alone, modelled at"));

    for round in &mut run.rounds {
        round.cost.elapsed_seconds = None;
    }
    (run.summary.clock, run.summary.workers) = (None, Vec::new());
    let old = page("old", &run);
    assert!(old.contains("2.04\u{a0}s on the link, modelled at"));
    assert!(!old.contains("Where the time went") && !rounds(&old, "measured time"));
}

#[test]
fn slow_line_is_a_warning_only_on_real_links() {
    let mut run = run(400);
    let line = |worker: &mut WorkerRecord| worker.times.total.line_seconds = 100.0;
    run.summary.workers.iter_mut().take(2).for_each(line);
    let takes = "takes 50.0\u{a0}ms per round on the line, but its bytes take only 2.00\u{a0}ms at";
    assert!(!page("virtual-slow", &run).contains(takes));
    run.summary.clock = Some(Clock::Host);
    let page = page("slow", &run);
    assert!(page.contains(&format!("stm32f405 1 {takes}")));
    assert!(page.contains("Other slow lines: stm32f405 2."));
}

#[test]
fn run_that_took_no_time_is_not_divided_by_zero() {
    let mut run = run(40);
    for round in &mut run.rounds {
        (round.cost.modelled_seconds, round.cost.elapsed_seconds) = (0.0, Some(0.0));
    }
    let page = page("timeless", &run);
    assert!(page.contains(" times the bytes in both directions."));
    assert!(!page.contains("not a number") && !page.contains("infinite"));
}

#[test]
fn page_of_a_long_run_is_small() {
    let page = page("long", &run(100_000));
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn style_sheet_replaces_every_colour_of_the_charts() {
    let style = include_str!("page.css");
    let chart = page("colours", &run(30));
    let chart = chart.split_once("<svg").unwrap().1;
    let colours = chart.split("=\"#").skip(1).map(|rest| &rest[..6]);
    for colour in colours {
        assert!(style.contains(&format!("=\"#{colour}\"")), "#{colour}");
    }
}

#[test]
fn report_is_written_to_the_directory_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&run(2), folder.path()).unwrap();
    assert_eq!(file, folder.path().join("report.html"));
    assert!(std::fs::read_to_string(file).unwrap().starts_with("<!DOCTYPE html>"));
}
