//! `smidgen emulate`

use super::image::build;
use super::{Origin, launch, prepare, train_and_report};
use anyhow::Result;
use smidgen::boards::board::Boards;
use smidgen::boards::image;
use smidgen::cli::Emulate;
use smidgen::output::progress::Progress;
use smidgen::world::driver::{Seen, Watch};
use smidgen::world::emulator::{Emulator, Trouble};
use smidgen::world::transport::Address;
use smidgen_protocol::seal::Key;
use std::time::{Duration, Instant};

/// An emulator that ends this soon after it was started again would always do so.
const LIFE_MIN: Duration = Duration::from_secs(10);

/// Trains with emulated boards.
pub fn run(Emulate { boards, options }: &Emulate, origin: Origin) -> Result<()> {
    let mut progress = Progress::new(options.rounds);
    let count = boards.iter().map(|boards| boards.count).sum();
    let experiment = prepare(options, Some(count), &mut progress)?;
    // What keeps boards from starting is said before an earlier run is replaced.
    Emulator::check()?;
    let launch = launch(&experiment, origin, &mut progress)?;
    let key = experiment.setup.seal.as_ref().map(|sealing| &sealing.key);
    let emulators = start(boards, key, &mut progress)?;
    let address = |e: &Emulator| Address::Unix(e.socket().into());
    let addresses: Vec<_> = emulators.iter().map(address).collect();
    let place = |(n, e): (usize, &Emulator)| format!("emulated {} {}", e.board().name, n + 1);
    let places = emulators.iter().enumerate().map(place).collect();
    let driver = experiment.driver(&addresses, places)?;
    let mut driver = driver.with_watch(restart_dead(emulators));
    train_and_report(&experiment, launch, &mut driver, progress)
}

/// Builds what images are missing and starts all boards, each with an identity of its own.
fn start(boards: &[Boards], key: Option<&Key>, progress: &mut Progress) -> Result<Vec<Emulator>> {
    let mut emulators = Vec::new();
    for Boards { board, count } in boards {
        let path = build(board, progress)?;
        for _ in 0..*count {
            let image = match key {
                Some(key) => image::keyed_unnamed(&path, key)?,
                None => image::open(&path)?,
            };
            emulators.push(Emulator::start(board, image, emulators.len() as u64 + 1)?);
        }
    }
    Ok(emulators)
}

/// An emulated board that is started again if it ends.
struct Watched {
    emulator: Emulator,
    /// When it was started again for the last time.
    restarted: Option<Instant>,
    is_lost: bool,
}

impl Watched {
    fn look(&mut self, link: usize) -> Option<Seen> {
        if self.is_lost {
            return None;
        }
        let trouble = self.emulator.trouble()?;
        let was_restarted = self.restarted.is_some_and(|since| since.elapsed() < LIFE_MIN);
        let reason = match trouble {
            Trouble::Deaf => trouble.to_string(),
            Trouble::Ended { .. } if was_restarted => format!("{trouble}, again"),
            // Its link waits for the socket, beside those of the other boards.
            Trouble::Ended { .. } => match self.emulator.start_again() {
                Err(error) => format!("{trouble}, and {error}"),
                Ok(()) => {
                    self.restarted = Some(Instant::now());
                    let name = self.emulator.board().name;
                    let note = format!("emulated {name} {} was started again: {trouble}", link + 1);
                    return Some(Seen::Note(note));
                }
            },
        };
        self.is_lost = true;
        self.emulator.kill();
        Some(Seen::Lost { link, reason })
    }
}

/// Starts a board again whose emulator has ended.
fn restart_dead(emulators: Vec<Emulator>) -> Watch {
    let watched = |emulator| Watched { emulator, restarted: None, is_lost: false };
    let mut fleet: Vec<_> = emulators.into_iter().map(watched).collect();
    Box::new(move || fleet.iter_mut().enumerate().find_map(|(link, watched)| watched.look(link)))
}
