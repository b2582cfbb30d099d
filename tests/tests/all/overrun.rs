//! A board that receives faster than it answers counts the bytes that its queue could not hold, and continues.

use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer};
use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, Up, VERSION};
use smidgen_tests::emulation::start;
use smidgen_tests::frames::frame;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// Number of requests at once, whose answers exceed the buffer of a socket.
const FLOOD_LEN: usize = 2000;

/// Time-out of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Silence after the last answer to a flood.
const QUIET: Duration = Duration::from_millis(500);

fn hello(echo: u16) -> Vec<u8> {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo };
    frame(|out| hello.emit(BROADCAST, &[], &Context::SETUP, out))
}

/// Reads until a request is answered; returns the number of overruns that the board reports, or `None` after
/// `patience`.
fn overruns(line: &mut UnixStream, echo: u16, patience: Duration) -> Option<u32> {
    line.set_read_timeout(Some(patience)).unwrap();
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let mut bytes = [0; 4096];
    loop {
        let mut rest = match line.read(&mut bytes) {
            Ok(0) => panic!("the board's emulator has ended"),
            Ok(len) => &bytes[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        };
        while !rest.is_empty() {
            let (after, frame) = deframer.feed(rest, &mut counters);
            rest = after;
            if let Some(frame) = frame
                && let Ok(payload) = frame.check(&Context::SETUP)
                && let Ok((Up::Ready(ready), _)) = Up::parse(payload)
                && ready.echo == echo
            {
                return Some(ready.overruns);
            }
        }
    }
}

#[test]
fn a_flooded_board_counts_lost_bytes_and_answers_again() {
    let test = "a_flooded_board_counts_lost_bytes_and_answers_again";
    let Some(emulators) = start(&["microbit"], test) else { return };
    let mut line = UnixStream::connect(emulators[0].socket()).unwrap();
    line.write_all(&hello(1)).unwrap();
    assert_eq!(overruns(&mut line, 1, PATIENCE), Some(0));

    // The answers are not read, so the line back fills up and the board must wait while more arrives.
    line.write_all(&hello(2).repeat(FLOOD_LEN)).unwrap();
    thread::sleep(Duration::from_secs(1));
    while overruns(&mut line, 2, QUIET).is_some() {}

    // The delimiter ends a frame that the flood may have left incomplete. A slow board may still be busy and lose the
    // request.
    let lost = (0..60).find_map(|_| {
        line.write_all(&[&[0], &hello(3)[..]].concat()).unwrap();
        overruns(&mut line, 3, 4 * QUIET)
    });
    let lost = lost.expect("it answers after a flood");
    assert!(lost > 0, "{FLOOD_LEN} questions fitted its queue");
}
