//! `smidgen boards`

use super::console::{eprint, print};
use super::emulate::{check_sensors, start};
use crate::boards::key_file::KeyFile;
use crate::cli;
use crate::output::progress::Progress;
use crate::problem::dataset::recordings::Recordings;
use crate::units::interrupt;
use crate::world::emulator::{Bench, Emulator, Order, PortFolder};
use anyhow::Result;
use std::io::{BufRead, stdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Time between two looks at the boards.
const PERIOD: Duration = Duration::from_millis(200);

/// Runs emulated boards until the user ends them.
pub(crate) fn run(arguments: &cli::Bench) -> Result<()> {
    let cli::Bench { boards, recordings, speed, dir, key } = arguments;
    check_sensors(boards)?;
    let count = boards.iter().map(|boards| boards.count).sum();
    let recordings = Recordings::for_sensors(recordings, count)?;
    let key_file = key.as_deref();
    let key = key_file.map(KeyFile::read).transpose()?;
    boards.iter().try_for_each(|boards| Emulator::check(boards.board))?;
    let ports = PortFolder::create(dir)?;
    let mut progress = Progress::new(0);
    recordings.notes.iter().for_each(|note| progress.note(note));
    let channels = recordings.windows.recipe().channels;
    let emulators = start(boards, key.as_ref(), Some(channels), &mut progress)?;
    progress.finish();
    let mut bench = Bench::new(emulators, recordings, ports, *speed)?;
    print(bench.introduction(key_file))?;
    print(bench.state())?;
    obey(&mut bench, &lines()?)?;
    Ok(print("The boards have ended; their rows and models are deleted. Runs keep their models.")?)
}

/// Carries out orders until the last one, or a request to stop.
fn obey(bench: &mut Bench, lines: &Receiver<String>) -> Result<()> {
    while !interrupt::is_requested() {
        if let Some(restarted) = bench.check()? {
            print(restarted)?;
        }
        let line = match lines.recv_timeout(PERIOD) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match Order::parse(&line, bench.classes(), bench.board_count()) {
            Ok(Order::Play { class, is_test }) => print(bench.play(&class, is_test))?,
            Ok(Order::Cut(board)) => print(bench.cut(board)?)?,
            Ok(Order::Help) => print(format_args!("Type {}.", bench.choices()))?,
            Ok(Order::Quit) => break,
            Err(error) => eprint(&format!("error: {error}")),
        }
    }
    Ok(())
}

/// Reads lines of standard input in a thread, which must not keep the boards from being looked after.
fn lines() -> Result<Receiver<String>> {
    let (sender, lines) = channel();
    let read = move || {
        for line in stdin().lock().lines() {
            // Bytes that are not text are no order; an order is asked for again.
            let line = match line {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
                Err(_) => return,
                Ok(line) => line,
            };
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().spawn(read)?;
    Ok(lines)
}
