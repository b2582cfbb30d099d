//! Emulated boards with sensors, for a user without boards: what `smidgen boards` runs.

use super::failure::EmulatorError;
use super::feeder::FeedError;
use super::order::choices;
use super::player::Player;
use super::port_folder::{PortFolder, PortFolderError};
use super::process::Emulator;
use crate::options::windowing::RATE_MILLIHERTZ;
use crate::problem::dataset::recordings::{Recordings, WorkerRecordings};
use crate::units::shown::{shown, typed};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Time for a sensor to play something else.
const CHANGE_MAX: Duration = Duration::from_secs(2);

/// Emulated boards, each with a port and a sensor that plays recordings.
#[derive(Debug)]
pub struct Bench {
    recordings: Recordings,
    classes: Vec<String>,
    speed: f64,
    ports: PortFolder,
    // Sensors end before their boards.
    players: Vec<Player>,
    emulators: Vec<Emulator>,
    /// The class that sensors play, and whether they play held-out recordings.
    playing: (String, bool),
}

/// Reasons why emulated boards end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A board has no line for a sensor.
    #[error(transparent)]
    NoLine(#[from] FeedError),
    /// The ports cannot be created.
    #[error(transparent)]
    Ports(#[from] PortFolderError),
    /// A board cannot be started again.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// The system refuses a thread for a sensor.
    #[error("cannot start a thread for a sensor ({0}); end other programs, or use fewer boards")]
    NoThread(io::Error),
}

impl Bench {
    /// Gives boards ports, and sensors that play recordings of the first class at `speed` times their rate. Boards
    /// beyond the number of workers have the recordings of the first workers again.
    ///
    /// # Errors
    /// If a port or a sensor cannot be created.
    pub fn new(
        emulators: Vec<Emulator>,
        recordings: Recordings,
        mut ports: PortFolder,
        speed: f64,
    ) -> Result<Self, BenchError> {
        let recipe = recordings.windows.recipe();
        let period = Duration::from_secs_f64(1000.0 / f64::from(recipe.rate_millihertz) / speed);
        let mut players = vec![];
        for emulator in &emulators {
            ports.add(emulator.socket())?;
            let board = emulator.board().name;
            let sensor = emulator.sensor_socket().ok_or(FeedError::NoLine { board })?;
            let player = Player::start(sensor, recipe.channels.into(), period);
            players.push(player.map_err(BenchError::NoThread)?);
        }
        let classes = recordings.classes();
        let playing = (classes.first().cloned().unwrap_or_default(), false);
        let bench = Self { recordings, classes, speed, ports, players, emulators, playing };
        bench.cue();
        Ok(bench)
    }

    /// Returns the classes of the recordings.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the number of boards.
    pub fn board_count(&self) -> usize {
        self.emulators.len()
    }

    /// Tells the user which ports there are, what the sensors measure, and what can be typed. Commands for the boards
    /// need the file of their `key`.
    pub fn introduction(&self, key: Option<&Path>) -> String {
        let windows = &self.recordings.windows;
        let hertz = f64::from(windows.rate_millihertz) / 1000.0;
        let names: Vec<_> = windows.channels.iter().map(|it| shown(&it.name).to_string()).collect();
        let scales = windows.channels.iter().filter_map(|it| it.full_scale);
        let scales: Vec<_> = scales.map(|scale| scale.to_string()).collect();
        let times = match self.speed {
            1.0 => String::new(),
            speed => format!(", {speed} times as fast as real time"),
        };
        let rate = match windows.rate_millihertz {
            RATE_MILLIHERTZ => String::new(),
            _ => format!(" --rate {hertz}"),
        };
        let key = key.map_or(String::new(), |key| format!(" --key {}", typed(key)));
        format!(
            "Ports: {}.\n\
             Sensors: channels {} with full scales {}, at {hertz} Hz{times}.\n\
             In another terminal, record for example:\n  \
             smidgen record --port {}/* --label {} --seconds 10{rate}{key}\n\
             Here, type {}.",
            self.port_names(),
            names.join(", "),
            scales.join(","),
            // The shell replaces the asterisk, so it must not be quoted.
            typed(self.ports.path()),
            typed(&self.playing.0),
            self.choices(),
        )
    }

    /// Returns what can be typed, as a part of a sentence.
    pub fn choices(&self) -> String {
        choices(&self.classes, self.board_count())
    }

    /// `smidgen-boards/1 to smidgen-boards/8`
    fn port_names(&self) -> String {
        let port = |board: usize| shown(&self.ports.path().join(board.to_string())).to_string();
        match self.board_count() {
            1 => port(1),
            count => format!("{} to {}", port(1), port(count)),
        }
    }

    /// Says what the sensors play.
    pub fn state(&self) -> String {
        let (class, is_test) = &self.playing;
        let kind = if *is_test { "held-out" } else { "training" };
        let mute = match self.to_play().filter(Vec::is_empty).count() {
            0 => String::new(),
            mute => format!(", except {mute} that have none"),
        };
        format!("All sensors play {kind} recordings of {}{mute}.", shown(class))
    }

    /// Has all sensors play recordings of a class; says so.
    pub fn play(&mut self, class: &str, is_test: bool) -> String {
        let has = |worker: &WorkerRecordings| !of_class(worker, class, is_test).is_empty();
        if !self.recordings.workers.iter().take(self.board_count()).any(has) {
            let kind = if is_test { "held-out recordings" } else { "recordings to train on" };
            return format!("There are no {kind} of {}. {}", shown(class), self.state());
        }
        self.playing = (class.into(), is_test);
        self.cue();
        self.state()
    }

    /// What each sensor is to play.
    fn to_play(&self) -> impl Iterator<Item = Vec<Vec<i16>>> {
        let (class, is_test) = &self.playing;
        let workers = self.recordings.workers.iter().cycle().take(self.board_count());
        workers.map(|worker| of_class(worker, class, *is_test))
    }

    fn cue(&self) {
        let pairs = self.players.iter().zip(self.to_play());
        let changes: Vec<_> = pairs.map(|(player, cue)| player.play(cue)).collect();
        // A user may record as soon as the change is reported.
        for change in changes {
            let _ = change.recv_timeout(CHANGE_MAX);
        }
    }

    /// Has the power of a board fail and return; boards are counted from 1. Says so.
    ///
    /// # Errors
    /// If it cannot be started again.
    pub fn cut(&mut self, board: usize) -> Result<String, BenchError> {
        self.restart(board, &format!("The power of board {board} failed and is back"))
    }

    /// Starts a board again that has ended by itself; says so.
    ///
    /// # Errors
    /// If it cannot be started again.
    pub fn check(&mut self) -> Result<Option<String>, BenchError> {
        let mut boards = (1..).zip(&mut self.emulators);
        let ended = boards.find_map(|(board, emulator)| Some((board, emulator.failure()?)));
        let Some((board, failure)) = ended else { return Ok(None) };
        self.restart(board, &format!("Board {board} was started again: {failure}")).map(Some)
    }

    fn restart(&mut self, board: usize, event: &str) -> Result<String, BenchError> {
        let emulator = &mut self.emulators[board - 1];
        emulator.restart()?;
        let lost = match emulator.board().keeps_memory() {
            false => ", and its rows and model are lost",
            true => "",
        };
        Ok(format!("{event}{lost}. {}", self.state()))
    }
}

/// Samples of the recordings of a class.
fn of_class(worker: &WorkerRecordings, class: &str, is_test: bool) -> Vec<Vec<i16>> {
    let recordings = worker.recordings.iter();
    let chosen = recordings.filter(|it| it.class == class && it.is_test == is_test);
    chosen.map(|recording| recording.samples.clone()).collect()
}
