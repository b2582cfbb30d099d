//! `smidgen emulate`

use super::image::build;
use super::{Origin, launch, prepare, train_and_report};
use anyhow::Result;
use smidgen::board::Boards;
use smidgen::config::cli::Emulate;
use smidgen::driver::{Seen, Watch};
use smidgen::emulator::Emulator;
use smidgen::image;
use smidgen::progress::Progress;
use smidgen::transport::Address;
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
        let death = self.emulator.death()?;
        let is_hopeless = self.restarted.is_some_and(|since| since.elapsed() < LIFE_MIN);
        let restarted = if is_hopeless { Ok(()) } else { self.emulator.restart() };
        self.restarted = Some(Instant::now());
        self.is_lost = is_hopeless || restarted.is_err();
        Some(match restarted {
            Ok(()) if is_hopeless => Seen::Lost { link, reason: format!("{death}, again") },
            Ok(()) => {
                let name = self.emulator.board().name;
                let note = format!("emulated {name} {} was started again: {death}", link + 1);
                Seen::Note(note)
            }
            Err(error) => Seen::Lost { link, reason: format!("{death}, and {error}") },
        })
    }
}

/// Starts a board again whose emulator has ended.
fn restart_dead(emulators: Vec<Emulator>) -> Watch {
    let watched = |emulator| Watched { emulator, restarted: None, is_lost: false };
    let mut fleet: Vec<_> = emulators.into_iter().map(watched).collect();
    Box::new(move || fleet.iter_mut().enumerate().find_map(|(link, watched)| watched.look(link)))
}
