//! Injects the faults of a bad line into frames, drawn from a seed, on simulated and on real links.

use crate::options::Faults;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smidgen_protocol::frame::FRAME_LEN_MAX;

/// Counts of bytes and frames on one direction of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineStatistics {
    /// Bytes sent.
    pub sent: u64,
    /// Bytes lost.
    pub lost: u64,
    /// Bytes that arrived a second time.
    pub duplicated: u64,
    /// Stray bytes that arrived.
    pub foreign: u64,
    /// Frames lost, those in outages included.
    pub lost_frames: u64,
    /// Outages that began.
    pub outages: u64,
    /// Frames without their end.
    pub cut_frames: u64,
    /// Frames with a flipped bit or another byte.
    pub corrupted_frames: u64,
    /// Frames that arrived twice.
    pub duplicated_frames: u64,
    /// Bursts of stray bytes.
    pub noises: u64,
}

impl LineStatistics {
    /// Bytes that arrive.
    pub const fn arriving(&self) -> u64 {
        self.sent + self.duplicated + self.foreign - self.lost
    }
}

/// The direction of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the worker.
    Down,
    /// To the host.
    Up,
}

/// The faults of one direction of one link.
#[derive(Debug)]
pub struct FaultInjector {
    faults: Faults,
    rng: ChaCha8Rng,
    statistics: LineStatistics,
    /// Bytes of a stream since the end of the last frame.
    begun: Vec<u8>,
    /// Frames that the current outage still loses.
    outage: u32,
}

/// The longest outage, in frames.
const OUTAGE_MAX: u32 = 32;
/// The longest burst of stray bytes.
const NOISE_MAX: usize = 64;

impl FaultInjector {
    /// Faults drawn from `seed`; each direction of each link has its own draws.
    pub fn new(faults: Faults, seed: u64, link: usize, direction: Direction) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2 * link as u64 + u64::from(direction == Direction::Up));
        Self { faults, rng, statistics: LineStatistics::default(), begun: Vec::new(), outage: 0 }
    }

    /// Injects no faults from now on.
    pub fn clear_faults(&mut self) {
        (self.faults, self.outage) = (Faults::default(), 0);
    }

    /// The counts so far.
    pub const fn statistics(&self) -> LineStatistics {
        self.statistics
    }

    /// Sends a frame; `deliver` gets the arriving pieces in order.
    pub fn pass(&mut self, frame: &[u8], mut deliver: impl FnMut(Vec<u8>)) {
        self.statistics.sent += frame.len() as u64;
        if self.chance(self.faults.noise) {
            let noise = self.noise();
            self.split(&noise, &mut deliver);
        }
        if self.swallows() {
            self.statistics.lost_frames += 1;
            self.statistics.lost += frame.len() as u64;
            return;
        }
        let mut frame = frame.to_vec();
        self.damage(&mut frame);
        self.split(&frame, &mut deliver);
        if self.chance(self.faults.duplicate) {
            self.statistics.duplicated_frames += 1;
            self.statistics.duplicated += frame.len() as u64;
            self.split(&frame, &mut deliver);
        }
    }

    /// Counts bytes of another sender.
    pub fn count_foreign(&mut self, len: usize) {
        self.statistics.foreign += len as u64;
    }

    /// Draws whether the next frame is lost, alone or in an outage.
    fn swallows(&mut self) -> bool {
        if self.outage == 0 && self.chance(self.faults.outage) {
            self.statistics.outages += 1;
            self.outage = self.rng.random_range(1..=OUTAGE_MAX);
        }
        let out = self.outage > 0;
        self.outage = self.outage.saturating_sub(1);
        out || self.chance(self.faults.loss)
    }

    /// Stray bytes of any value, or text such as a boot loader prints.
    fn noise(&mut self) -> Vec<u8> {
        let len = self.rng.random_range(1..=NOISE_MAX);
        let text = self.rng.random_bool(0.5);
        let (from, to) = if text { (b' ', b'~') } else { (0, u8::MAX) };
        self.statistics.noises += 1;
        self.statistics.foreign += len as u64;
        (0..len).map(|_| self.rng.random_range(from..=to)).collect()
    }

    /// Damages the bytes of a frame.
    fn damage(&mut self, frame: &mut Vec<u8>) {
        let before = frame.clone();
        if self.chance(self.faults.corrupt) {
            let bit = self.rng.random_range(0..frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        if self.faults.garble > 0.0 {
            for byte in frame.iter_mut() {
                if self.rng.random_bool(self.faults.garble) {
                    *byte = self.rng.random();
                }
            }
        }
        self.statistics.corrupted_frames += u64::from(*frame != before);
        if self.chance(self.faults.cut) {
            let kept = self.rng.random_range(0..frame.len());
            self.statistics.cut_frames += 1;
            self.statistics.lost += (frame.len() - kept) as u64;
            frame.truncate(kept);
        }
    }

    /// Like [`pass`](Self::pass), for a stream cut into arbitrary pieces. A frame ends at a zero, or at the maximum
    /// length of a frame where no zero comes.
    pub fn pass_stream(&mut self, bytes: &[u8], mut deliver: impl FnMut(Vec<u8>)) {
        for &byte in bytes {
            self.begun.push(byte);
            if byte == 0 || self.begun.len() == FRAME_LEN_MAX {
                let frame = std::mem::take(&mut self.begun);
                self.pass(&frame, &mut deliver);
            }
        }
    }

    fn split(&mut self, frame: &[u8], deliver: &mut impl FnMut(Vec<u8>)) {
        let mut rest = frame;
        while !rest.is_empty() {
            let whole = rest.len();
            let len = if self.faults.split { self.rng.random_range(1..=whole) } else { whole };
            let (piece, after) = rest.split_at(len);
            deliver(piece.to_vec());
            rest = after;
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Faults = Faults {
        loss: 0.2,
        outage: 0.01,
        cut: 0.1,
        corrupt: 0.1,
        garble: 0.01,
        noise: 0.1,
        duplicate: 0.2,
        split: true,
    };

    fn injector(faults: Faults, seed: u64, link: usize, direction: Direction) -> FaultInjector {
        FaultInjector::new(faults, seed, link, direction)
    }

    /// The arriving pieces of a thousand frames.
    fn arrivals(mut injector: FaultInjector) -> (Vec<Vec<u8>>, LineStatistics) {
        let mut arrived = vec![];
        (0..1000).for_each(|_| injector.pass(&[3; 20], |piece| arrived.push(piece)));
        (arrived, injector.statistics())
    }

    #[test]
    fn every_byte_is_counted() {
        let (arrived, statistics) = arrivals(injector(BAD, 7, 0, Direction::Up));
        assert_eq!(arrived.concat().len() as u64, statistics.arriving());
        let LineStatistics { lost_frames, cut_frames, corrupted_frames, duplicated_frames, .. } =
            statistics;
        let tried =
            [lost_frames, cut_frames, corrupted_frames, duplicated_frames, statistics.noises];
        assert!(
            tried.iter().all(|&frames| frames > 30) && statistics.outages > 1,
            "{statistics:?}"
        );
    }

    #[test]
    fn seed_repeats_faults_per_line() {
        let of = |seed, link, direction| arrivals(injector(BAD, seed, link, direction)).0;
        let one = of(7, 3, Direction::Up);
        assert_eq!(of(7, 3, Direction::Up), one);
        for other in [
            of(8, 3, Direction::Up),
            of(7 + (1 << 44), 3, Direction::Up),
            of(7, 4, Direction::Up),
            of(7, 3, Direction::Down),
        ] {
            assert_ne!(other, one);
        }
    }

    #[test]
    fn faults_of_a_stream_apply_to_its_frames() {
        let loss = Faults { loss: 0.5, ..Faults::default() };
        let mut injector = injector(loss, 1, 0, Direction::Up);
        let frames: Vec<u8> = (0..100).flat_map(|n| [1 + n, 7, 7, 0]).collect();
        let mut arrived = vec![];
        for piece in frames.chunks(3) {
            injector.pass_stream(piece, |frame| arrived.push(frame));
        }
        assert!(arrived.iter().all(|frame| frame.len() == 4 && frame[3] == 0), "{arrived:?}");
        assert!((20..80).contains(&arrived.len()), "{} of 100 arrived", arrived.len());

        let mut through = FaultInjector::new(Faults::default(), 1, 0, Direction::Up);
        let mut len = 0;
        through.pass_stream(&[b'x'; 3 * FRAME_LEN_MAX], |piece| len += piece.len());
        assert_eq!(len, 3 * FRAME_LEN_MAX, "noise without a zero is delivered");
    }
}
