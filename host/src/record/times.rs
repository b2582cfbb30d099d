//! Measured times of the workers' rounds.

use crate::units::serial_line;
use serde::{Deserialize, Serialize};
use smidgen_aggregator::Elapsed;
use std::ops::AddAssign;

/// Maximum number of workers whose times are all in the record of a round.
const LISTED_MAX: usize = 32;
/// A line is slow if it takes this many times the time of its bytes …
const SLOW_FACTOR: f64 = 2.0;
/// … and has cost at least this many seconds more than they need.
const SLOW_SECONDS_MIN: f64 = 1.0;

/// Time of a worker's rounds by cause, in seconds. The stopwatch of the aggregator describes how exact the parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// Measured: from the first request of a round to the last byte of the update. The next three fields are its parts.
    pub round_trip_seconds: f64,
    /// Waiting for the line: measured while answers come in, otherwise estimated from answers that need no computing.
    pub line_seconds: f64,
    /// Waiting for the board: the remainder.
    pub board_seconds: f64,
    /// From the first to the last transmission of repeated requests: frames were lost, or a board was slower than
    /// expected.
    pub repeating_seconds: f64,
    /// Modelled, to compare with `line_seconds`: the time of all bytes of the round on this link at its rate.
    pub modelled_seconds: f64,
}

impl Times {
    /// Converts what the aggregator measured on a link of this rate.
    pub fn new(elapsed: &Elapsed, baud: u32) -> Self {
        Self {
            round_trip_seconds: elapsed.round_trip.as_secs_f64(),
            line_seconds: elapsed.line.as_secs_f64(),
            board_seconds: elapsed.board().as_secs_f64(),
            repeating_seconds: elapsed.repeating.as_secs_f64(),
            modelled_seconds: serial_line::seconds(elapsed.bytes, baud),
        }
    }

    /// Returns whether the line took more than twice the time of its bytes, and at least a second longer.
    pub fn is_line_slow(&self) -> bool {
        self.line_seconds > SLOW_FACTOR * self.modelled_seconds
            && self.line_excess_seconds() >= SLOW_SECONDS_MIN
    }

    /// Returns the seconds that the line took beyond the time of its bytes.
    pub fn line_excess_seconds(&self) -> f64 {
        self.line_seconds - self.modelled_seconds
    }

    /// Rounds every figure to a microsecond, which is finer than the measurement.
    fn rounded(self) -> Self {
        let rounded = |seconds: f64| (seconds * 1e6).round() / 1e6;
        Self {
            round_trip_seconds: rounded(self.round_trip_seconds),
            line_seconds: rounded(self.line_seconds),
            board_seconds: rounded(self.board_seconds),
            repeating_seconds: rounded(self.repeating_seconds),
            modelled_seconds: rounded(self.modelled_seconds),
        }
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.round_trip_seconds += other.round_trip_seconds;
        self.line_seconds += other.line_seconds;
        self.board_seconds += other.board_seconds;
        self.repeating_seconds += other.repeating_seconds;
        self.modelled_seconds += other.modelled_seconds;
    }
}

/// The times of a worker in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardTimes {
    /// The worker, from 1.
    pub worker: usize,
    /// Its times.
    #[serde(flatten)]
    pub times: Times,
}

impl BoardTimes {
    /// Returns the times of all workers; for more than 32, those of the shortest, median and longest round trip.
    pub fn of_round(elapsed: impl Iterator<Item = (usize, Elapsed)>, baud: u32) -> Vec<Self> {
        let times = |elapsed: &Elapsed| Times::new(elapsed, baud).rounded();
        let board = |(index, elapsed)| Self { worker: index + 1, times: times(&elapsed) };
        let mut boards: Vec<Self> = elapsed.map(board).collect();
        if boards.len() <= LISTED_MAX {
            return boards;
        }
        let round_trip = |board: &Self| board.times.round_trip_seconds;
        boards.sort_by(|one, other| round_trip(one).total_cmp(&round_trip(other)));
        [0, boards.len() / 2, boards.len() - 1].map(|place| boards[place]).to_vec()
    }
}

/// The total times of a worker, over the rounds that contain its update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerTimes {
    /// Number of these rounds.
    pub rounds: u32,
    /// Their sum.
    pub total: Times,
}

impl WorkerTimes {
    /// Adds a round.
    pub fn add(&mut self, times: Times) {
        self.rounds += 1;
        self.total += times;
    }

    /// Returns the mean per round, given a figure of the total.
    pub fn mean_per_round(&self, seconds: f64) -> f64 {
        seconds / f64::from(self.rounds.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn elapsed(count: u64) -> impl Iterator<Item = (usize, Elapsed)> {
        let of = move |worker: u64| Elapsed {
            round_trip: Duration::from_millis(5 + worker * 7 % count),
            line: Duration::from_millis(3),
            repeating: Duration::from_millis(1),
            bytes: 96,
        };
        (0..count).map(move |worker| (worker as usize, of(worker)))
    }

    #[test]
    fn board_time_is_the_round_trip_without_line_and_repetitions() {
        let boards = BoardTimes::of_round(elapsed(2), 115_200);
        let Times { round_trip_seconds, board_seconds, modelled_seconds, .. } = boards[1].times;
        assert_eq!((boards[1].worker, round_trip_seconds), (2, 0.006));
        assert_eq!((board_seconds, modelled_seconds), (0.002, 0.008_333));
    }

    #[test]
    fn many_boards_are_summarised_by_three() {
        assert_eq!(BoardTimes::of_round(elapsed(32), 9600).len(), 32);
        let listed = BoardTimes::of_round(elapsed(101), 9600);
        let round_trips = listed.iter().map(|board| board.times.round_trip_seconds);
        assert_eq!(round_trips.collect::<Vec<_>>(), [0.005, 0.055, 0.105]);
    }

    #[test]
    fn slow_line_takes_twice_its_bytes_and_a_second_more() {
        let line = |line_seconds, modelled_seconds| Times {
            line_seconds,
            modelled_seconds,
            board_seconds: 1e3,
            ..Times::default()
        };
        assert!(line(10.0, 0.63).is_line_slow());
        assert!(!line(1.9, 1.0).is_line_slow() && !line(0.9, 0.1).is_line_slow());
        assert!(!line(f64::NAN, 1.0).is_line_slow());
    }
}
