use super::*;
use crate::cli::{self, Command};
use crate::run::experiment::Experiment;
use crate::world::World;
use proptest::prelude::*;
use smidgen_aggregator::{Aggregator, Event};
use std::sync::LazyLock;

/// A checkpoint after round 2 of a small run.
fn checkpoint() -> Checkpoint {
    let arguments = ["smidgen", "simulate", "--rows", "50", "--rounds", "5"];
    let cli = cli::parse(arguments.map(Into::into)).unwrap();
    let Command::Simulate(options) = cli.command else { unreachable!("the command is simulate") };
    let experiment = Experiment::new(&options, None, 1).unwrap();
    let mut world = experiment.simulation();
    let snapshot = loop {
        if let Event::Closed(closed) = world.next_event().unwrap() {
            match closed.round {
                2 => break world.aggregator().snapshot().expect("the round is closed"),
                _ => world.aggregator().proceed(),
            }
        }
    };
    Checkpoint {
        arguments: cli.arguments,
        folder: "/somewhere".into(),
        data_checksum: experiment.data_checksum(),
        rounds: 5,
        setup: Cost::default(),
        wall_seconds: 0.0,
        times: vec![WorkerTimes::default(); 4],
        snapshot,
    }
}

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| checkpoint().to_bytes());

/// The versions before and after this one.
fn other_versions() -> [u32; 2] {
    let version = HEAD.strip_prefix(NAME).and_then(|rest| rest.strip_suffix(b"\n")).unwrap();
    let version: u32 = str::from_utf8(version).unwrap().parse().unwrap();
    [version - 1, version + 1]
}

/// A valid file of another version.
fn of_version(version: u32) -> Vec<u8> {
    let mut bytes = format!("smidgen checkpoint {version}\nand so on").into_bytes();
    bytes.extend(CHECK.checksum(&bytes).to_le_bytes());
    bytes
}

/// The latest valid checkpoint, without looking at the records.
fn latest(path: &Path) -> Result<(Checkpoint, Vec<String>), CheckpointError> {
    Checkpoint::latest(path, |_| Ok(())).map(|(checkpoint, (), notes)| (checkpoint, notes))
}

fn flaw(bytes: &[u8]) -> Flaw {
    Checkpoint::from_bytes(bytes).expect_err("the bytes were changed")
}

#[test]
fn checkpoint_round_trips() {
    let read = Checkpoint::from_bytes(&BYTES).unwrap();
    assert_eq!(read.to_bytes(), *BYTES);
    assert_eq!((read.snapshot.round(), read.folder), (2, "/somewhere".into()));
}

#[test]
fn foreign_files_versions_and_damage_are_distinguished() {
    assert!(matches!(flaw(b"a diary"), Flaw::Foreign));
    assert!(matches!(flaw(b""), Flaw::Foreign));
    assert!(matches!(flaw(b"smidgen checkpoint 0\n and so on"), Flaw::Damaged));
    for version in other_versions() {
        assert!(matches!(flaw(&of_version(version)), Flaw::Version), "{version}");
    }
    assert!(matches!(flaw(HEAD), Flaw::Damaged));
}

#[test]
fn snapshot_of_another_problem_is_refused() {
    let Checkpoint { snapshot, .. } = checkpoint();
    let setup = |options: &str| Experiment::of(&format!("--rows 50 {options}")).setup;
    assert!(Aggregator::resume(setup("--k 4"), snapshot.clone()).is_ok());
    for options in [
        "--workers 3",
        "--dataset breast-cancer",
        "--downlink dense",
        "--step am",
        "--method ef21-hb",
    ] {
        assert!(Aggregator::resume(setup(options), snapshot.clone()).is_err(), "{options}");
    }
}

#[test]
fn latest_valid_file_is_used_and_two_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(latest(path), Err(CheckpointError::None(_))));
    let names = [3, 5, 8].map(|round| path.join(format!("checkpoint-{round:010}")));
    names.iter().for_each(|name| fs::write(name, &*BYTES).unwrap());
    fs::write(path.join("checkpoint-0000000009.part"), "half of it").unwrap();
    assert_eq!(listed(path).unwrap().len(), 3, "a partial file is not listed");

    fs::write(&names[2], &BYTES[..BYTES.len() / 2]).unwrap();
    let (_, notes) = latest(path).unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("checkpoint-0000000008: it is damaged"), "{}", notes[0]);

    let checkpoints = Checkpoints {
        directory: path.into(),
        arguments: vec![],
        folder: "/somewhere".into(),
        data_checksum: 0,
        rounds: 9,
    };
    checkpoints.remove_from(6).unwrap();
    assert_eq!(listed(path).unwrap(), [names[1].clone(), names[0].clone()]);
    checkpoints.remove_from(0).unwrap();
    assert_eq!(listed(path).unwrap().len(), 0);
    fs::write(&names[0], &*BYTES).unwrap();
    assert!(latest(path).is_ok());
    for version in other_versions() {
        fs::write(&names[1], of_version(version)).unwrap();
        let other = latest(path).unwrap_err();
        let refused = matches!(other, CheckpointError::Flawed { flaw: Flaw::Version, .. });
        assert!(refused, "a file of another version is not discarded: {other}");
    }
    names.iter().for_each(|name| fs::write(name, "nothing").unwrap());
    assert!(matches!(latest(path), Err(CheckpointError::Flawed { .. })));
}

#[test]
fn checkpoint_that_does_not_match_the_records_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let names = [3, 5].map(|round| path.join(format!("checkpoint-{round:010}")));
    names.iter().for_each(|name| fs::write(name, &*BYTES).unwrap());
    let asked = std::cell::Cell::new(0);
    let fits = |_: &Checkpoint| match asked.replace(asked.get() + 1) {
        0 => Err(RecordError::Short { path: "rounds.jsonl".into(), round: 5 }),
        asked => Ok(asked),
    };
    let (_, asked, notes) = Checkpoint::latest(path, fits).unwrap();
    assert_eq!((asked, notes.len()), (1, 1));
    let reason = "5: it is valid, but rounds.jsonl ends before round 5";
    assert!(notes[0].contains(reason), "{}", notes[0]);
}

#[test]
fn busy_records_do_not_select_an_older_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("checkpoint-0000000003"), &*BYTES).unwrap();
    fs::write(path.join("checkpoint-0000000005"), &*BYTES).unwrap();
    let mut asked = 0;
    let busy = Checkpoint::latest(path, |_| -> Result<(), _> {
        asked += 1;
        Err(RecordError::Busy { path: path.into(), holder: "process 1".into() })
    });
    assert!(busy.unwrap_err().to_string().contains("process 1 is writing to"));
    assert_eq!(asked, 1);
}

#[test]
fn checkpoint_name_needs_ten_digits_within_u32() {
    assert_eq!(round_of("checkpoint-0000000042"), Some(42));
    for name in ["checkpoint-", "checkpoint-5", "checkpoint-9999999999", "checkpoint-+000000005"] {
        assert_eq!(round_of(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn flipped_bit_and_truncation_are_detected(at: prop::sample::Index, bit in 0u32..8) {
        let mut bytes = BYTES.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(Checkpoint::from_bytes(&bytes).is_err());
        prop_assert!(Checkpoint::from_bytes(&BYTES[..at]).is_err());
    }

    #[test]
        fn changed_byte_with_a_valid_check_never_panics(at: prop::sample::Index, byte: u8) {
        let mut bytes = BYTES[..BYTES.len() - 8].to_vec();
        let at = HEAD.len() + at.index(bytes.len() - HEAD.len());
        bytes[at] = byte;
        let check = CHECK.checksum(&bytes);
        bytes.extend(check.to_le_bytes());
        let _ = Checkpoint::from_bytes(&bytes);
    }
}
