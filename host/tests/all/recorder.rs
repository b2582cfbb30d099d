//! Recorder commands to boards in threads: the client, `smidgen record`, and runs on rows that boards recorded.

use crate::support::boards::{answering, ready, served_by};
use crate::support::recording::{CHANNELS, RecordingBoard};
use smidgen::options::Faults;
use smidgen::world::client::{BoardRows, Client, ClientError};
use smidgen::world::simulation::Line;
use smidgen_aggregator::{Salts, Sealing};
use smidgen_protocol::message::{Command, Ready, RecordRefusal};
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_protocol::seal::Key;
use std::thread::sleep;
use std::time::Duration;

const BAUD: u32 = 115_200;
const RECIPE: Recipe = Recipe {
    channels: CHANNELS as u8,
    window: 20,
    hop: 10,
    features: Features::DEFAULT,
    rate_millihertz: 1_000_000,
};

fn client(address: &str) -> Client {
    Client::open(&address.parse().unwrap(), BAUD, None).unwrap()
}

fn start(recording: u16, class: &str, is_test: bool) -> Command<'_> {
    Command::Start { recording, recipe: RECIPE, class, is_test }
}

/// Asks for the state until `is_reached`.
fn wait(client: &mut Client, is_reached: impl Fn(&BoardRows) -> bool) -> BoardRows {
    loop {
        let rows = client.command(Command::Status).unwrap();
        if is_reached(&rows) {
            return rows;
        }
        sleep(Duration::from_millis(20));
    }
}

/// Records until the sensor has no more samples.
fn record(client: &mut Client, class: &str, is_test: bool, samples: u32) -> BoardRows {
    let recording = client.command(Command::Status).unwrap().next;
    client.command(start(recording, class, is_test)).unwrap();
    wait(client, |rows| rows.progress.samples >= samples);
    client.command(Command::Stop { recording }).unwrap()
}

fn classes(rows: &BoardRows) -> Vec<(&str, u32, u32)> {
    rows.classes.iter().map(|class| (&*class.name, class.training, class.test)).collect()
}

#[test]
fn client_records_discards_and_clears_plain_sealed_and_over_a_bad_line() {
    let key = [7; 32];
    let sealing = || Sealing { key: Key::new(&key).unwrap(), salts: Salts::of_seed(1) };
    let faults = Faults { loss: 0.2, duplicate: 0.2, corrupt: 0.1, ..Faults::default() };
    for (is_sealed, faults) in
        [(false, Faults::default()), (true, Faults::default()), (false, faults), (true, faults)]
    {
        let key = is_sealed.then_some(key);
        let board = RecordingBoard { count: 45, gaps: vec![25], key, ..RecordingBoard::new(1) };
        let address = board.serve().parse().unwrap();
        let line = Line { baud: BAUD, faults, seed: 3 };
        let mut client =
            Client::open(&address, BAUD, is_sealed.then(sealing)).unwrap().with_faults(line, 0);
        assert_eq!(client.greet().unwrap().board, "recording");

        let rows = record(&mut client, "walking", false, 45);
        // Windows 0..20 and 25..45; no window has samples of both sides of the gap.
        assert_eq!((rows.progress.samples, rows.progress.rows, rows.progress.gaps), (45, 2, 1));
        assert_eq!(classes(&rows), [("walking", 2, 0)]);
        assert_eq!((rows.recipe, rows.recording, rows.next), (Some(RECIPE), 1, 2));
        assert_eq!(rows.columns.len(), RECIPE.row_len());
        assert_ne!(rows.checksum, 0);
        let discarded = client.command(Command::Discard { recording: 1 }).unwrap();
        assert_eq!((classes(&discarded), discarded.discarded), (vec![("walking", 0, 0)], 2));
        let cleared = client.command(Command::Clear { recording: 0 }).unwrap();
        assert_eq!((classes(&cleared), cleared.discarded), (vec![], 0));
        assert!(cleared.room > discarded.room);
    }
}

#[test]
fn full_memory_ends_a_recording_and_a_new_one_is_refused() {
    let address = RecordingBoard { words: 64, ..RecordingBoard::new(1) }.serve();
    let mut client = client(&address);
    client.command(start(1, "walking", false)).unwrap();
    let full = wait(&mut client, |rows| !rows.is_open);
    assert_eq!((full.ended(), full.room), (Some(RecordRefusal::RowsFull), 0));
    assert_eq!(u64::from(full.progress.rows), full.training());
    let error = client.command(start(2, "walking", false)).unwrap_err();
    let told =
        "its memory for rows is full; all rows are kept; train on them, or erase them with --clear";
    assert_eq!(error.to_string(), format!("{address}: {told}"));
    assert_eq!(client.command(Command::Status).unwrap().training(), full.training());
}

#[test]
fn boards_that_cannot_record_are_refused_with_a_sentence() {
    let blind = RecordingBoard { samples: vec![], ..RecordingBoard::new(1) }.serve();
    let error = client(&blind).command(start(1, "walking", false)).unwrap_err();
    assert!(error.to_string().contains("it has no sensor for such samples"), "{error}");

    let old = Ready { version: 1, ..ready("old", 5) };
    for board in [old, Ready { schema: [0; 8], ..ready("other", 5) }] {
        let error = client(&answering(board)).command(Command::Status).unwrap_err();
        assert!(matches!(error, ClientError::Firmware { .. }), "{error}");
        assert!(
            error.to_string().contains("flash the firmware that belongs to this host"),
            "{error}"
        );
    }
    let error = client(&crate::support::boards::board(6)).command(Command::Status).unwrap_err();
    assert!(error.to_string().contains("its firmware does not record"), "{error}");
}

#[test]
fn board_that_is_gone_is_reported() {
    let address = served_by(drop);
    // Nothing listens there any more.
    let error = client(&address).greet().unwrap_err();
    assert!(error.to_string().starts_with("no worker answers on tcp:127.0.0.1"), "{error}");
}
