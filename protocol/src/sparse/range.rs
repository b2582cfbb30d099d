//! A binary range coder: a string of decisions becomes one number, in about as many bits as they have information.
//!
//! The decisions of a body narrow an interval in [0, 1), each in proportion to the chances of its two outcomes. The
//! body is the shortest number in the last interval, as a binary fraction, its highest byte first; zeros at its end do
//! not travel. Encoder and decoder share one description of the format: see [`Coder`].

/// Chance of a decision with equally likely outcomes.
pub(super) const EVEN: u16 = 1 << 15;
/// Below this width an interval gives up its highest byte.
const NARROW: u32 = 1 << 24;
/// Bytes of a number after the last decision, at most.
const LAST_LEN: usize = 4;

/// Codes decisions. An encoder writes `outcome` and returns it; a decoder ignores it and returns what it reads.
pub(super) trait Coder {
    /// Codes a decision that is true with a chance of `chance / 65536`; `chance` is not 0.
    fn decide(&mut self, chance: u16, outcome: bool) -> bool;

    /// Codes a decision with equally likely outcomes.
    fn half(&mut self, outcome: bool) -> bool;

    /// Codes the lowest `bits` bits of a value, all values alike.
    fn bits(&mut self, bits: u32, value: u64) -> u64 {
        let bit = |read, bit: u32| read << 1 | u64::from(self.half(value >> bit & 1 == 1));
        (0..bits).rev().fold(0, bit)
    }
}

/// Writes decisions.
pub(super) struct Writer<'b> {
    out: &'b mut [u8],
    len: usize,
    /// Lower end of the interval, below the bytes that are written.
    low: u32,
    width: u32,
    full: bool,
}

impl<'b> Writer<'b> {
    pub(super) fn new(out: &'b mut [u8]) -> Self {
        Self { out, len: 0, low: 0, width: u32::MAX, full: false }
    }

    /// Returns whether there is no room for another decision.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Finishes the number; returns its length in bytes.
    pub(super) fn finish(mut self) -> usize {
        let number = shortest(self.low, self.width);
        if number > u64::from(u32::MAX) {
            self.carry();
        }
        let bytes = (number as u32).to_be_bytes();
        let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        bytes.iter().take(bytes.len() - zeros).for_each(|&byte| self.push(byte));
        while self.len > 0 && self.out.get(self.len - 1) == Some(&0) {
            self.len -= 1;
        }
        self.len
    }

    /// Moves the lower end of the interval up.
    #[inline]
    fn raise(&mut self, by: u32) {
        let (low, is_over) = self.low.overflowing_add(by);
        self.low = low;
        if is_over {
            self.carry();
        }
    }

    /// Adds one to the number that is written.
    #[cold]
    #[inline(never)]
    fn carry(&mut self) {
        for byte in self.out.iter_mut().take(self.len).rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }

    /// Gives up the bytes that the interval has no room for.
    #[inline(never)]
    fn widen(&mut self) {
        while self.width < NARROW {
            self.push((self.low >> 24) as u8);
            (self.low, self.width) = (self.low << 8, self.width << 8);
        }
    }

    fn push(&mut self, byte: u8) {
        // The last bytes of the number always find room.
        self.full |= self.len + LAST_LEN >= self.out.len();
        if let Some(place) = self.out.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

impl Coder for Writer<'_> {
    #[inline(always)]
    fn decide(&mut self, chance: u16, outcome: bool) -> bool {
        let bound = (self.width >> 16) * u32::from(chance);
        if outcome {
            self.width = bound;
        } else {
            self.raise(bound);
            self.width -= bound;
        }
        if self.width < NARROW {
            self.widen();
        }
        outcome
    }

    #[inline]
    fn half(&mut self, outcome: bool) -> bool {
        self.width /= 2;
        if outcome {
            self.raise(self.width);
        }
        if self.width < NARROW {
            self.widen();
        }
        outcome
    }
}

/// Reads decisions.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    body: &'b [u8],
    /// Bytes that were read, with the zeros after the end.
    read: usize,
    /// The number, relative to the lower end of the interval.
    code: u32,
    width: u32,
}

impl<'b> Reader<'b> {
    pub(super) fn new(body: &'b [u8]) -> Self {
        let mut reader = Self { body, read: 0, code: 0, width: u32::MAX };
        (0..4).for_each(|_| reader.pull());
        reader
    }

    /// Returns whether a [`Writer`] ends with this number after the decisions that were read.
    pub(super) fn is_canonical(&self) -> bool {
        let last = |back: usize| {
            self.read.checked_sub(back).and_then(|place| self.body.get(place)).copied().unwrap_or(0)
        };
        let number = u64::from(u32::from_be_bytes([last(4), last(3), last(2), last(1)]));
        // The lower end of the interval has carried where the number is below it.
        let carried = u64::from(number < u64::from(self.code)) << u32::BITS;
        let low = (number + carried - u64::from(self.code)) as u32;
        self.body.len() <= self.read
            && self.body.last() != Some(&0)
            && shortest(low, self.width) == number + carried
    }

    /// Takes the bytes that the interval has room for.
    #[inline(never)]
    fn widen(&mut self) {
        while self.width < NARROW {
            self.pull();
            self.width <<= 8;
        }
    }

    fn pull(&mut self) {
        let byte = self.body.get(self.read).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.read += 1;
    }
}

impl Coder for Reader<'_> {
    #[inline(always)]
    fn decide(&mut self, chance: u16, _: bool) -> bool {
        let bound = (self.width >> 16) * u32::from(chance);
        let outcome = self.code < bound;
        if outcome {
            self.width = bound;
        } else {
            (self.code, self.width) = (self.code - bound, self.width - bound);
        }
        if self.width < NARROW {
            self.widen();
        }
        outcome
    }

    #[inline]
    fn half(&mut self, _: bool) -> bool {
        self.width /= 2;
        let outcome = self.code >= self.width;
        if outcome {
            self.code -= self.width;
        }
        if self.width < NARROW {
            self.widen();
        }
        outcome
    }
}

/// The number in `low..low + width` with the most zeros at its end.
fn shortest(low: u32, width: u32) -> u64 {
    let last = u64::from(low) + u64::from(width) - 1;
    let cut = (0..=u32::BITS).map(|zeros| last >> zeros << zeros);
    cut.take_while(|&number| number >= u64::from(low)).last().unwrap_or(last)
}

/// A chance that follows the outcomes of its decisions within a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u16);

impl Chance {
    /// Share of the distance to the last outcome that a chance moves, as a power of two.
    const RATE: u32 = 4;

    pub(super) const fn new(chance: u16) -> Self {
        Self(chance)
    }

    pub(super) fn decide(&mut self, coder: &mut impl Coder, outcome: bool) -> bool {
        let outcome = coder.decide(self.0, outcome);
        // Neither end is reached: the distance stops to count below 2^RATE.
        if outcome {
            self.0 += (u16::MAX - self.0) >> Self::RATE;
        } else {
            self.0 -= self.0 >> Self::RATE;
        }
        outcome
    }
}
