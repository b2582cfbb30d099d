//! How recordings end: with all their samples, for a reason, or by a restart.

use super::*;
use smidgen_protocol::message::Progress;

/// Starts recording 1, of this many samples.
fn start(samples: u32) -> Command<'static> {
    Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples }
}

fn recording_board(samples: u32) -> Host<Objectives> {
    let mut host = host("softmax", 30);
    boot(&mut host, Flash::new(4));
    assert_eq!(outcome(&mut host, start(samples)), Outcome::Done);
    host
}

#[test]
fn recording_ends_with_its_last_sample_whatever_is_lost() {
    let mut gaps = samples(0, 60, 1);
    // Before the first sample, in between, and as the last one.
    [0, 25, 26, 39].into_iter().for_each(|place| gaps[place] = None);
    for (script, rows, gaps) in [(samples(0, 60, 1), 3, 0), (gaps, 1, 4), (vec![None; 60], 0, 40)] {
        let mut host = recording_board(40);
        recorder(&mut host).feed(script[..39].iter().copied());
        assert!(recorder(&mut host).remote.is_recording());
        recorder(&mut host).feed(script[39..].iter().copied());
        let status = command(&mut host, Command::Status);
        let status = records(&status);
        assert_eq!((status.outcome, status.is_open), (Outcome::Done, false));
        assert_eq!(status.progress, Progress { samples: 40, rows, gaps });
    }
}

#[test]
fn recording_that_ends_otherwise_says_why() {
    let ends: [fn(&mut Host<Objectives>); 4] = [
        |host| assert_eq!(outcome(host, Command::Stop { recording: 1 }), Outcome::Done),
        |host| assert_eq!(outcome(host, Command::Discard { recording: 1 }), Outcome::Done),
        |host| {
            let worker = &mut host.worker;
            let remote = &mut host.recorder.as_mut().expect("a recorder").remote;
            assert!(!remote.toggle(worker, &RECIPE, "walk"), "it ends the recording");
        },
        |host| {
            let mut other = recording_board(60);
            recorder(&mut other).feed(samples(0, 60, 1));
            let status = command(&mut other, Command::Status);
            let mut map = [-1; CLASSES_MAX];
            map[0] = 0;
            set_data(host, rows_on_board(&records(&status), &map, 3));
            set_up(host);
        },
    ];
    for end in ends {
        let mut host = recording_board(0);
        recorder(&mut host).feed(samples(0, 60, 1));
        end(&mut host);
        let status = command(&mut host, Command::Status);
        let (outcome, is_open) = (records(&status).outcome, records(&status).is_open);
        assert_eq!((outcome, is_open), (Outcome::Refused(RecordRefusal::Stopped), false));
    }
}

#[test]
fn start_that_comes_again_after_its_recording_starts_no_other() {
    let mut host = recording_board(40);
    recorder(&mut host).feed(samples(0, 60, 1));
    let before = command(&mut host, Command::Status);
    assert_eq!(outcome(&mut host, start(40)), Outcome::Done);
    let after = command(&mut host, Command::Status);
    assert_eq!(Records { echo: 0, ..records(&after) }, Records { echo: 0, ..records(&before) });
    assert_eq!((records(&after).is_open, records(&after).next), (false, 2));

    // A board does not know it after a boot.
    let flash = recorder(&mut host).flash().clone();
    boot(&mut host, flash);
    let refused = Outcome::Refused(RecordRefusal::Recording);
    assert_eq!(outcome(&mut host, start(40)), refused);
}

#[test]
fn restarted_board_has_no_samples_and_no_reason() {
    let mut host = recording_board(40);
    recorder(&mut host).feed(samples(0, 30, 1));
    let flash = recorder(&mut host).flash().clone();
    boot(&mut host, flash);
    let status = command(&mut host, Command::Status);
    let status = records(&status);
    assert_eq!((status.outcome, status.is_open, status.recording), (Outcome::Done, false, 1));
    assert_eq!(status.progress, Progress::default());
}

#[test]
fn full_store_ends_the_recording_with_its_reason() {
    let mut host = host("softmax", 30);
    boot(&mut host, Flash::new(2));
    let start =
        Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples: 0 };
    assert_eq!(outcome(&mut host, start), Outcome::Done);
    let room = records(&command(&mut host, Command::Status)).room;
    recorder(&mut host).feed(samples(0, 1000, 1));
    let status = command(&mut host, Command::Status);
    let status = records(&status);
    assert_eq!(status.outcome, Outcome::Refused(RecordRefusal::RowsFull));
    assert_eq!((status.is_open, status.room, status.progress.rows), (false, 0, room));
    assert_eq!(status.classes().map(|class| class.training).sum::<u32>(), room);
}
