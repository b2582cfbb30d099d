//! A Pico over USB: frames that end with a packet, or a byte before or after it, arrive at once in both directions.
//!
//! A packet has 64 bytes. The host of the bus passes on what a board sends when a packet is not full: after a full one a
//! board must send an empty one, or the host waits for more.

use smidgen::world::World;
use smidgen::world::emulator::Emulator;
use smidgen::world::transport::Address;
use smidgen_tests::conformance::{experiment, run, run_with, simulated, transcripts};
use smidgen_tests::emulation::{self, start};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use tempfile::tempdir;

/// Around one packet and around two.
const LENGTHS: [usize; 6] = [63, 64, 65, 127, 128, 129];
/// Bits of a value and numbers of values with which frames of all these lengths occur in both directions.
const CHOICES: [(u32, u32); 6] = [(12, 38), (20, 46), (24, 40), (16, 26), (32, 34), (24, 34)];

/// A frame on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// From the host.
    Down(Vec<u8>),
    /// From the board.
    Up(Vec<u8>),
}

/// Passes bytes on until the line is closed, and reports frames, which end with a zero.
fn pass(mut from: UnixStream, mut to: UnixStream, seen: fn(Vec<u8>) -> Seen, frames: Sender<Seen>) {
    let (mut bytes, mut frame) = ([0; 4096], vec![]);
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        for &byte in &bytes[..len] {
            frame.push(byte);
            if byte == 0 {
                let _ = frames.send(seen(std::mem::take(&mut frame)));
            }
        }
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Connects what opens a socket at `path` with the board, and reports the frames of both.
fn tap(path: &Path, board: &Emulator, frames: Sender<Seen>) {
    let listener = UnixListener::bind(path).unwrap();
    let board = board.socket().to_owned();
    thread::spawn(move || {
        while let Ok((host, _)) = listener.accept() {
            let line = UnixStream::connect(&board).unwrap();
            let (down, up) = (frames.clone(), frames.clone());
            let (from, to) = (host.try_clone().unwrap(), line.try_clone().unwrap());
            thread::spawn(move || pass(from, to, Seen::Down, down));
            thread::spawn(move || pass(line, host, Seen::Up, up));
        }
    });
}

/// The lengths of frames of the host that were answered, and of answers, where the host did not ask again.
fn lengths(frames: &[Seen]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let at_once = frames.windows(3).filter_map(|frames| match frames {
        [before, Seen::Down(down), Seen::Up(up)] if *before != Seen::Down(down.clone()) => {
            Some((down.len(), up.len()))
        }
        [..] => None,
    });
    at_once.unzip()
}

#[test]
fn frames_around_the_length_of_a_packet_arrive_at_once() {
    let test = "frames_around_the_length_of_a_packet_arrive_at_once";
    let Some(boards) = start(&["pico"], test) else { return };
    let folder = tempdir().unwrap();
    let path = folder.path().join("line");
    let (sender, receiver) = channel();
    tap(&path, &boards[0], sender);
    for (session, (bits, k)) in (1..).zip(CHOICES) {
        let options = format!(
            "--dataset digits --rows 20 --workers 1 --rounds 20 --value-bits {bits} --k {k} --downlink-k {k}"
        );
        let mut experiment = experiment(&options);
        experiment.setup.session = session;
        let address = [Address::Unix(path.clone())];
        let driver = experiment.driver(&address, vec!["pico".into()]);
        let mut driver = driver.unwrap_or_else(|error| panic!("{error}"));
        let rounds = run(&experiment, &mut driver).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{options}");
    }
    let (down, up) = lengths(&receiver.try_iter().collect::<Vec<_>>());
    for length in LENGTHS {
        assert!(down.contains(&length), "no frame of {length} bytes went to the board: {down:?}");
        assert!(up.contains(&length), "no frame of {length} bytes came from the board: {up:?}");
    }
}

/// The board answers on the line on which it was asked: UART 0 after USB, and USB after that.
#[test]
fn a_pico_answers_on_the_line_that_asks() {
    let test = "a_pico_answers_on_the_line_that_asks";
    let Some(boards) = start(&["pico"], test) else { return };
    let usb = boards[0].socket().to_owned();
    let uart = usb.with_file_name("uart");
    for (session, line) in (1..).zip([&usb, &uart, &usb]) {
        let mut experiment = experiment("--dataset digits --rows 100 --workers 1 --rounds 20");
        experiment.setup.session = session;
        let driver = experiment.driver(&[Address::Unix(line.clone())], vec!["pico".into()]);
        let mut driver = driver.unwrap_or_else(|error| panic!("{error}"));
        let rounds = run(&experiment, &mut driver).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)), "{line:?}");
    }
}

/// A reset of the board, as by a button, ends its session and its connection to the bus.
#[test]
fn a_pico_that_is_reset_is_restored() {
    let test = "a_pico_that_is_reset_is_restored";
    let Some(mut boards) = start(&["pico"], test) else { return };
    let experiment = experiment("--dataset digits --rows 100 --workers 1 --rounds 20");
    let mut driver = emulation::driver(&experiment, &boards);
    let rounds = run_with(&experiment, &mut driver, |record| {
        if record.round == 8 {
            boards[0].reset().unwrap_or_else(|error| panic!("{error}"));
        }
    });
    let rounds = rounds.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(transcripts(&rounds), transcripts(&simulated(&experiment)));
    assert_eq!(driver.aggregator().reboots(0), 1);
}
