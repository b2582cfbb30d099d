//! A board that receives faster than it answers: it counts what its queue had no room for, and goes on.

use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{Context, Deframer, FRAME_LEN_MAX};
use smidgen_protocol::message::{BROADCAST, Down, SCHEMA, Up, VERSION};
use smidgen_tests::emulation::start;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// Questions at once, whose answers are more than a socket holds.
const FLOOD_LEN: usize = 2000;

fn hello() -> Vec<u8> {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
    let mut frame = [0; FRAME_LEN_MAX];
    let len = hello.emit(BROADCAST, &[], &Context::SETUP, &mut frame);
    frame[..len].to_vec()
}

/// Reads until the board has said nothing for `quiet`; returns how often it lost bytes, by its last answer.
fn overruns(line: &mut UnixStream, quiet: Duration) -> Option<u32> {
    line.set_read_timeout(Some(quiet)).unwrap();
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (mut bytes, mut answer) = ([0; 4096], None);
    loop {
        let mut rest = match line.read(&mut bytes) {
            Ok(0) => panic!("the board's emulator has ended"),
            Ok(len) => &bytes[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return answer,
            Err(error) => panic!("{error}"),
        };
        while !rest.is_empty() {
            let (after, frame) = deframer.feed(rest, &mut counters);
            rest = after;
            if let Some(frame) = frame
                && let Ok(payload) = frame.check(&Context::SETUP)
                && let Ok((Up::Ready(ready), _)) = Up::parse(payload)
            {
                answer = Some(ready.overruns);
            }
        }
    }
}

#[test]
fn a_flooded_board_counts_what_it_lost_and_answers_again() {
    let test = "a_flooded_board_counts_what_it_lost_and_answers_again";
    let Some(emulators) = start(&["microbit"], test) else { return };
    let mut line = UnixStream::connect(emulators[0].socket()).unwrap();
    line.write_all(&hello()).unwrap();
    assert_eq!(overruns(&mut line, Duration::from_secs(2)), Some(0));

    // Nobody reads the answers, so the line back fills up and the board cannot but wait while more arrives.
    line.write_all(&hello().repeat(FLOOD_LEN)).unwrap();
    thread::sleep(Duration::from_secs(1));
    overruns(&mut line, Duration::from_millis(500));

    // A delimiter ends what the flood may have left of a frame.
    line.write_all(&[&[0], &hello()[..]].concat()).unwrap();
    let lost = overruns(&mut line, Duration::from_secs(2)).expect("it answers after a flood");
    assert!(lost > 0, "{FLOOD_LEN} questions fitted its queue");
}
