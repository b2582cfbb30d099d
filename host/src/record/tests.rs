use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use std::fs;
use std::path::{Path, PathBuf};

use super::directory::line;
use super::names::{ROUNDS, SUMMARY};
use super::*;
use crate::world::Clock;
use serde_json::{Map, Value};
use smidgen_protocol::counters::Reject;
use std::collections::BTreeMap;

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn traffic() -> impl Strategy<Value = Traffic> {
    any::<[u32; 5]>().prop_map(|counts| {
        let [payload_bytes, wire_bytes, frames, retransmitted_frames, retransmitted_bytes] =
            counts.map(u64::from);
        Traffic { payload_bytes, wire_bytes, frames, retransmitted_frames, retransmitted_bytes }
    })
}

fn cost() -> impl Strategy<Value = Cost> {
    (traffic(), traffic(), 0.0..1e9).prop_map(|(uplink, downlink, modelled_seconds)| Cost {
        uplink,
        downlink,
        modelled_seconds,
        elapsed_seconds: Some(3.0 * modelled_seconds),
    })
}

fn rounds() -> impl Strategy<Value = Vec<RoundRecord>> {
    let round = (1..9u32, finite(), option::of(finite()), finite(), cost(), any::<u64>());
    vec(round, 1..20).prop_map(|rounds| {
        let mut next = 0;
        let record = |(gap, loss, gradient_norm_squared, estimator_norm_squared, cost, digest)| {
            next += gap;
            let transcript = format!("{digest:016x}");
            RoundRecord {
                round: next,
                loss,
                gradient_norm_squared,
                estimator_norm_squared,
                absent: next % 3,
                information_bits: loss.abs(),
                cost,
                boards: boards(next),
                theory: None,
                transcript,
            }
        };
        rounds.into_iter().map(record).collect()
    })
}

/// The times of no, one or two boards.
fn boards(round: u32) -> Vec<BoardTimes> {
    let times = Times { line_seconds: f64::from(round) / 64.0, ..Times::default() };
    (0..round as usize % 3).map(|n| BoardTimes { worker: n + 1, times }).collect()
}

fn worker() -> impl Strategy<Value = WorkerRecord> {
    let reasons = || btree_map("[a-z]{1,9}", any::<u64>(), 0..4);
    (any::<[String; 2]>(), traffic(), traffic(), reasons(), reasons(), any::<u32>()).prop_map(
        |([name, identity], uplink, downlink, rejected_by_host, rejected_by_worker, reboots)| {
            let (rows, saturated, l_i) = (17, u64::MAX, (reboots > 9).then_some(0.25));
            WorkerRecord {
                name,
                owner: (reboots > 9).then(|| identity.clone()),
                identity,
                rows,
                held_out: (reboots > 9).then_some(ScoreRecord { rows: 3, right: 2 }),
                keeps_model: (reboots > 9).then_some(true),
                l_i,
                uplink,
                downlink,
                rejected_by_host,
                rejected_by_worker,
                saturated,
                times: WorkerTimes::default(),
                reboots,
                left_out: reboots / 2,
                reason: (reboots > 9).then(|| "it is there, but silent".into()),
            }
        },
    )
}

fn summary() -> impl Strategy<Value = Summary> {
    let theory = [option::of(finite()), option::of(finite()), option::of(finite())];
    (any::<String>(), theory, option::of(finite()), cost(), vec(worker(), 0..4)).prop_map(
        |(dataset, [l, l_am, l_qm], gamma, setup, workers)| Summary {
            configuration: Map::from_iter([("dataset".into(), json!(dataset))]),
            l,
            l_am,
            l_qm,
            gamma,
            baseline_gamma: l_am,
            baud: Some(115_200),
            clock: Some(Clock::Host),
            setup,
            wall_seconds: 0.1,
            information_limit: gamma.map(|bits_per_update| InformationLimit {
                bits_per_update,
                updates: u64::MAX,
                sent_bytes: 3,
            }),
            workers,
            ..Summary::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn run_round_trips(rounds in rounds(), mut summary in summary(), cost in cost()) {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = begin(&folder.path().join("runs/first"), &summary);
        for round in &rounds {
            directory.append(round).unwrap();
        }
        let baseline = [3, 5].map(|round| BaselineRecord { round, cost, ..Default::default() });
        directory.write_baseline(&baseline).unwrap();
        let begun = RunDirectory::read(directory.path()).unwrap();
        summary.recount(&rounds);
        prop_assert_eq!(&begun.summary, &summary, "a run that was killed is read up to its last round");

        summary.finished = true;
        directory.write_summary(&summary).unwrap();
        let run = RunDirectory::read(directory.path()).unwrap();
        let baseline = baseline.to_vec();
        let missing = (0..).zip(&rounds).find_map(|(n, record)| (record.round != n).then_some(n));
        prop_assert_eq!(run, Run { rounds, cut: false, missing, summary, baseline });
    }

    #[test]
    fn totals_are_the_sums_over_rounds(rounds in rounds()) {
        let totals: Vec<Cost> = running_totals(rounds.iter().map(|round| round.cost)).collect();
        let mut summary = Summary::default();
        summary.recount(&rounds);
        let last = *totals.last().unwrap();
        prop_assert_eq!(totals.len(), rounds.len());
        prop_assert_eq!(totals[0], rounds[0].cost);
        prop_assert_eq!(summary.rounds, rounds.last().unwrap().round);
        prop_assert_eq!((summary.cost.uplink, summary.cost.downlink), (last.uplink, last.downlink));
        let bytes: u64 = rounds.iter().map(|r| r.cost.wire_bytes()).sum();
        prop_assert_eq!(last.wire_bytes(), bytes);
    }
}

/// A claim whose lock is released at once.
fn claim(path: &Path) -> Result<Claim, RecordError> {
    Claim::new(path, &mut Locks::default())
}

/// The directory of a run that begins with `summary`.
fn begin(path: &Path, summary: &Summary) -> RunDirectory {
    claim(path).unwrap().begin(summary).unwrap()
}

/// A directory with the records of `rounds` rounds, and its path.
fn directory(rounds: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = begin(folder.path(), &Summary::default());
    for round in 0..rounds {
        directory.append(&RoundRecord { round, ..Default::default() }).unwrap();
    }
    let path = directory.path().to_owned();
    (folder, path)
}

fn append_to_rounds(path: &Path, text: &[u8]) {
    let file = path.join(ROUNDS);
    let lines = [fs::read(&file).unwrap(), text.to_vec()].concat();
    fs::write(file, lines).unwrap();
}

#[test]
fn truncated_last_line_is_dropped_and_reported() {
    let (_folder, path) = directory(3);
    let file = path.join(ROUNDS);
    let whole = fs::read(&file).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for len in last_line + 1..whole.len() - 1 {
        fs::write(&file, &whole[..len]).unwrap();
        let run = RunDirectory::read(&path).unwrap();
        assert_eq!((run.rounds.len(), run.cut, run.summary.rounds), (2, true, 1));
    }
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let run = RunDirectory::read(&path).unwrap();
    assert_eq!((run.rounds.len(), run.cut), (3, false), "only the newline is missing");
}

/// Returns the last round from which a run of three rounds can resume if its records are `text`.
fn reached(text: &[u8]) -> Option<u32> {
    let (_folder, path) = directory(3);
    fs::write(path.join(ROUNDS), text).unwrap();
    let reaches = |&round: &u32| match Records::read(&path, round, 0) {
        Ok(_) => true,
        Err(RecordError::OtherRun { .. }) => panic!("all records have the transcript 0"),
        Err(_) => false,
    };
    (0..3).rfind(reaches)
}

#[test]
fn run_resumes_after_the_last_round_before_the_damage() {
    let record = |round| RoundRecord { round, transcript: "0".repeat(16), ..Default::default() };
    let lines = [0, 1, 2].map(|round| line(&record(round)));
    let [first, second, third] = &lines;
    let whole = lines.concat();
    assert_eq!(reached(&whole), Some(2));
    let before = whole.len() - third.len();
    for len in before..whole.len() - 1 {
        assert_eq!(reached(&whole[..len]), Some(1), "{len} bytes");
    }
    assert_eq!(reached(&whole[..whole.len() - 1]), Some(2), "only the newline is missing");
    for damage in [&b"\0\0\0\0"[..], b"\0\0\n", b"\xff\n", b"{}\n", b"\n\n"] {
        assert_eq!(reached(&[first, second, damage].concat()), Some(1), "{damage:?}");
        assert_eq!(reached(&[first, damage, third].concat()), Some(0), "{damage:?}");
    }
    assert_eq!(reached(&[&first[..], third].concat()), Some(0), "a line is missing");
    assert_eq!(reached(&[&second[..], third].concat()), None);
}

#[test]
fn missing_round_is_named() {
    let (_folder, path) = directory(2);
    append_to_rounds(&path, &line(&RoundRecord { round: 4, ..Default::default() }));
    assert_eq!(RunDirectory::read(&path).unwrap().missing, Some(2));
    let error = Records::read(&path, 4, 0).unwrap_err().to_string();
    assert!(error.contains("round 2 is missing in"), "{error}");
}

#[test]
fn reopened_run_completes_its_last_line_and_drops_later_ones() {
    let record = |round| RoundRecord { round, transcript: "0".repeat(16), ..Default::default() };
    for (kept, cut) in [(1, 0), (2, 1), (2, 0)] {
        let (_folder, path) = directory(0);
        let text = [0, 1, 2].map(|round| line(&record(round))).concat();
        fs::write(path.join(ROUNDS), &text[..text.len() - cut]).unwrap();
        let records = Records::read(&path, kept, 0).unwrap();
        assert_eq!(fs::metadata(path.join(ROUNDS)).unwrap().len(), (text.len() - cut) as u64);
        let mut directory = RunDirectory::reopen(&records).unwrap();
        assert_eq!(records.rounds.len(), kept as usize + 1);
        directory.append(&record(kept + 1)).unwrap();
        let run = RunDirectory::read(&path).unwrap();
        assert_eq!((run.rounds.len(), run.missing), (kept as usize + 2, None));
    }
}

#[test]
fn damage_is_reported_with_file_and_line() {
    let (_folder, path) = directory(2);
    append_to_rounds(&path, b"{\"round\": 2}\n");
    let error = RunDirectory::read(&path).unwrap_err().to_string();
    assert!(error.contains("rounds.jsonl, line 3: column 12, missing field `loss`"), "{error}");

    let (_folder, path) = directory(2);
    append_to_rounds(&path, b"\xff\xfe\n");
    let error = RunDirectory::read(&path).unwrap_err().to_string();
    assert!(error.contains("rounds.jsonl, line 3"), "{error}");

    let (_folder, path) = directory(1);
    fs::write(path.join(SUMMARY), "{\n\"finished\": 1\n}").unwrap();
    let error = RunDirectory::read(&path).unwrap_err().to_string();
    assert!(error.contains("summary.json, line 2") && error.contains("or remove it"), "{error}");
}

#[test]
fn records_of_two_runs_in_one_file_are_refused() {
    let (_folder, path) = directory(2);
    append_to_rounds(&path, &line(&RoundRecord::default()));
    let error = RunDirectory::read(&path).unwrap_err().to_string();
    assert!(error.contains("line 3: round 0 follows round 1"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_read_as_nan_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut directory = begin(folder.path(), &Summary::default());
    let gradient_norm_squared = Some(f64::NAN);
    let record =
        RoundRecord { loss: f64::INFINITY, gradient_norm_squared, ..RoundRecord::default() };
    directory.append(&record).unwrap();
    let run = RunDirectory::read(folder.path()).unwrap();
    assert!(run.rounds[0].loss.is_nan());
    assert_eq!(run.rounds[0].gradient_norm_squared, None);
}

#[test]
fn new_run_replaces_only_the_files_of_the_old_one() {
    let (_folder, path) = directory(2);
    fs::write(path.join("notes.txt"), "mine").unwrap();
    fs::write(path.join(SUMMARY), "{}").unwrap();
    fs::write(path.join(MODEL), "old").unwrap();
    let mut directory = begin(&path, &Summary::default());
    directory.append(&RoundRecord { round: 7, ..Default::default() }).unwrap();
    let run = RunDirectory::read(&path).unwrap();
    assert_eq!(run.rounds.len(), 1);
    assert_eq!(run.summary.rounds, 7);
    for (name, kept) in [("notes.txt", "mine"), (MODEL, "old")] {
        assert_eq!(fs::read_to_string(path.join(name)).unwrap(), kept);
    }
}

#[test]
fn earlier_run_is_kept_until_the_new_one_begins() {
    let (_folder, path) = directory(2);
    let earlier = claim(&path).unwrap();
    assert_eq!(earlier.replaces(), Some(&*path));
    assert_eq!(RunDirectory::read(&path).unwrap().rounds.len(), 2);
    earlier.begin(&Summary::default()).unwrap();
    assert!(matches!(RunDirectory::read(&path), Err(RecordError::NoRounds(_))));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(claim(&folder.path().join("new")).unwrap().replaces(), None);
}

#[test]
fn run_with_rising_or_saturated_loss_diverges() {
    let run = |losses: &[f64], saturated| {
        let mut summary = Summary { saturated, ..Summary::default() };
        for (round, &loss) in (0..).zip(losses) {
            summary.add(&RoundRecord { round, loss, ..RoundRecord::default() });
        }
        summary.has_diverged()
    };
    assert!(!run(&[], 0) && !run(&[0.7], 0) && !run(&[0.7, 0.9, 0.4], 0));
    assert!(!run(&[0.7, 0.75], 0), "a nonconvex function may rise a little");
    assert!(run(&[0.7, 0.8], 0) && run(&[0.7, f64::NAN], 0) && run(&[0.7, f64::INFINITY], 0));
    assert!(run(&[0.7, 0.7], 1), "it saturated and made no progress");
    assert!(!run(&[0.7, 9.0, 0.4], 1), "it recovered");
}

#[test]
fn directory_that_is_not_a_run_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thesis.tex");
    fs::write(&file, "years of work").unwrap();
    assert!(matches!(claim(folder.path()), Err(RecordError::Occupied(_))));
    assert!(matches!(claim(&file), Err(RecordError::NotADirectory(_))));
    assert!(matches!(RunDirectory::read(folder.path()), Err(RecordError::NoRun(_))));
    assert!(matches!(RunDirectory::read(&file), Err(RecordError::NoRun(_))));
    assert!(matches!(RunDirectory::read(folder.path().join("no")), Err(RecordError::NoRun(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn run_without_rounds_is_refused() {
    let (_folder, path) = directory(0);
    assert!(matches!(RunDirectory::read(path), Err(RecordError::NoRounds(_))));
}

#[test]
fn field_names_are_stable() {
    let round: Value = serde_json::to_value(RoundRecord::default()).unwrap();
    let traffic = json!({
        "payload_bytes": 0, "wire_bytes": 0, "frames": 0, "retransmitted_frames": 0,
        "retransmitted_bytes": 0,
    });
    let expected = json!({
        "round": 0, "loss": 0.0, "gradient_norm_squared": null, "estimator_norm_squared": 0.0,
        "uplink": traffic, "downlink": traffic, "modelled_seconds": 0.0,
        "elapsed_seconds": 0.0, "information_bits": 0.0, "transcript": "",
    });
    assert_eq!(round, expected);
    let model = serde_json::to_value(ModelRecord { round: 0, loss: 0.0 }).unwrap();
    assert_eq!(model, json!({ "round": 0, "loss": 0.0 }));
    // Summaries of before name it `best`.
    let earlier = serde_json::to_string(&Summary::default()).unwrap();
    let named = r#""best":{"round":3,"criterion":"loss","loss":0.5}"#;
    let earlier = earlier.replace(r#""model":null"#, named);
    let earlier = serde_json::from_str::<Summary>(&earlier).unwrap();
    assert_eq!(earlier.model, Some(ModelRecord { round: 3, loss: 0.5 }));
    let board = serde_json::to_value(BoardTimes::default()).unwrap();
    let expected = json!({
        "worker": 0, "round_trip_seconds": 0.0, "line_seconds": 0.0, "board_seconds": 0.0,
        "repeating_seconds": 0.0, "modelled_seconds": 0.0,
    });
    assert_eq!(board, expected);
    let baseline = serde_json::to_value(BaselineRecord::default()).unwrap();
    assert!(baseline["uplink"].is_object(), "the cost is flattened: {baseline}");
}

/// People read these files, and scripts compare them as text.
#[test]
fn figures_keep_their_order() {
    let cost = r#""uplink":T,"downlink":T,"modelled_seconds":0.0,"elapsed_seconds":0.0"#;
    let traffic = serde_json::to_string(&Traffic::default()).unwrap();
    let cost = cost.replace('T', &traffic);
    let round = String::from_utf8(line(&RoundRecord::default())).unwrap();
    let norms = r#""gradient_norm_squared":null,"estimator_norm_squared":0.0"#;
    let before = format!(r#"{{"round":0,"loss":0.0,{norms},"information_bits":0.0"#);
    assert_eq!(round, format!("{before},{cost},\"transcript\":\"\"}}\n"));
    let summary = String::from_utf8(line(&Summary::default())).unwrap();
    assert!(
        summary.contains(&format!(r#""closing":{{{cost}}},{cost},"violation":null"#)),
        "{summary}"
    );
}

#[test]
fn old_records_without_measured_time_are_read() {
    let traffic = serde_json::to_value(Traffic::default()).unwrap();
    let old = json!({
        "round": 3, "loss": 0.5, "gradient_norm_squared": null, "estimator_norm_squared": 0.5,
        "uplink": traffic, "downlink": traffic, "link_seconds": 0.25, "transcript": "",
    });
    let round: RoundRecord = serde_json::from_value(old.clone()).unwrap();
    assert_eq!((round.cost.modelled_seconds, round.cost.elapsed_seconds), (0.25, None));
    let baseline: BaselineRecord = serde_json::from_value(old.clone()).unwrap();
    assert_eq!((baseline.cost.modelled_seconds, baseline.cost.elapsed_seconds), (0.25, None));
    let mut summary: Summary = serde_json::from_value(old).unwrap();
    assert_eq!((summary.cost.modelled_seconds, summary.cost.elapsed_seconds), (0.25, None));

    let new =
        RoundRecord { cost: Cost { elapsed_seconds: Some(0.5), ..round.cost }, ..round.clone() };
    summary.recount(std::slice::from_ref(&new));
    assert_eq!(summary.cost.elapsed_seconds, Some(0.5));
    summary.recount(&[new, round]);
    assert_eq!((summary.cost.modelled_seconds, summary.cost.elapsed_seconds), (0.5, None));
}

#[test]
fn information_limit_converts_to_bytes() {
    let limit = InformationLimit { bits_per_update: 14.0, updates: 4, sent_bytes: 8 };
    assert_eq!(limit.bytes(), 7.0);
}

#[test]
fn only_reject_reasons_that_occurred_are_recorded() {
    let mut frames = [0; Reject::COUNT];
    frames[Reject::Checksum as usize] = 3;
    assert_eq!(WorkerRecord::by_reason(&frames), BTreeMap::from([("checksum".into(), 3)]));
}
