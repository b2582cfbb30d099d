//! One direction of a modelled serial line.

use crate::config::Faults;
use crate::serial_line::byte_time;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// What happened to the bytes that were put on a wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Bytes put on the wire.
    pub sent: u64,
    /// Bytes that never arrived.
    pub lost: u64,
    /// Bytes that arrived once more.
    pub duplicated: u64,
    /// Frames with a flipped bit.
    pub corrupted_frames: u64,
}

impl Fate {
    /// Bytes that arrive in the end.
    pub const fn arriving(&self) -> u64 {
        self.sent + self.duplicated - self.lost
    }
}

/// A wire that carries one byte after the other.
#[derive(Debug)]
pub struct Wire {
    byte_time: Duration,
    latency: Duration,
    faults: Faults,
    rng: ChaCha8Rng,
    free_at: Duration,
    fate: Fate,
}

impl Wire {
    /// A wire at `baud` with faults drawn from `seed`.
    pub fn new(baud: u32, latency: Duration, faults: Faults, seed: u64) -> Self {
        Self {
            byte_time: byte_time(baud),
            latency,
            faults,
            rng: ChaCha8Rng::seed_from_u64(seed),
            free_at: Duration::ZERO,
            fate: Fate::default(),
        }
    }

    /// What happened to the bytes so far.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// Puts a frame on the wire; `deliver` gets what arrives, and when, in order.
    pub fn send(
        &mut self,
        now: Duration,
        frame: &[u8],
        mut deliver: impl FnMut(Duration, Vec<u8>),
    ) {
        self.fate.sent += frame.len() as u64;
        let start = now.max(self.free_at);
        self.free_at = start + self.byte_time * frame.len() as u32;
        if self.chance(self.faults.loss) {
            self.fate.lost += frame.len() as u64;
            return;
        }
        let mut frame = frame.to_vec();
        if self.chance(self.faults.corrupt) {
            self.fate.corrupted_frames += 1;
            let bit = self.rng.random_range(0..frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        self.arrive(start, &frame, &mut deliver);
        if self.chance(self.faults.duplicate) {
            self.fate.duplicated += frame.len() as u64;
            let again = self.free_at;
            self.free_at += self.byte_time * frame.len() as u32;
            self.arrive(again, &frame, &mut deliver);
        }
    }

    fn arrive(
        &mut self,
        start: Duration,
        frame: &[u8],
        deliver: &mut impl FnMut(Duration, Vec<u8>),
    ) {
        let mut begin = 0;
        while begin < frame.len() {
            let left = frame.len() - begin;
            let len = if self.faults.split { self.rng.random_range(1..=left) } else { left };
            let end = begin + len;
            deliver(start + self.byte_time * end as u32 + self.latency, frame[begin..end].to_vec());
            begin = end;
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE_TIME: Duration = Duration::from_micros(100);

    fn wire(faults: Faults) -> Wire {
        Wire::new(100_000, Duration::from_millis(1), faults, 7)
    }

    #[test]
    fn a_byte_takes_its_time_and_frames_queue() {
        let (mut wire, mut arrivals) = (wire(Faults::default()), vec![]);
        wire.send(Duration::ZERO, &[1; 10], |at, bytes| arrivals.push((at, bytes.len())));
        wire.send(Duration::ZERO, &[2; 5], |at, bytes| arrivals.push((at, bytes.len())));
        let latency = Duration::from_millis(1);
        assert_eq!(arrivals, [(BYTE_TIME * 10 + latency, 10), (BYTE_TIME * 15 + latency, 5)]);
    }

    #[test]
    fn every_byte_has_a_fate_and_order_is_kept() {
        let faults = Faults { loss: 0.2, corrupt: 0.1, duplicate: 0.2, split: true };
        let (mut wire, mut arrived, mut last) = (wire(faults), 0, Duration::ZERO);
        for _ in 0..1000 {
            wire.send(Duration::ZERO, &[3; 20], |at, bytes| {
                assert!(at >= last);
                last = at;
                arrived += bytes.len() as u64;
            });
        }
        let fate = wire.fate();
        assert_eq!(arrived, fate.arriving());
        assert!(fate.lost > 0 && fate.duplicated > 0 && fate.corrupted_frames > 0);
    }
}
