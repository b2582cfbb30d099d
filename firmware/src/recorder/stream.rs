//! A sensor at the other end of a byte stream: an emulated board gets its samples from the host over a second UART.
//!
//! ```text
//! payload of a frame = number of the sample u16 | one i16 per channel, all little-endian
//! ```
//!
//! The [frames](smidgen_protocol::frame) are those of the protocol, in a context of their own: damage is found by the
//! checksum, and the stream resynchronises at the next delimiter. A gap shows in the numbers.

use super::sensor::{Sensor, Unfit};
use embedded_io::{Read, ReadReady};
use smidgen_protocol::counters::Counters;
use smidgen_protocol::frame::{self, Context, Deframer, FRAME_LEN_MAX};
use smidgen_protocol::recipe::{CHANNELS_MAX, Recipe};

/// Context of the frames, of no worker.
const CONTEXT: Context = Context { worker: u16::MAX, ..Context::SETUP };
/// Maximum number of bytes per read from the port.
const READ_LEN_MAX: usize = 32;

/// Writes the frame of a sample into `out`; returns its length. Successive samples have successive numbers.
pub fn emit(number: u16, sample: &[i16], out: &mut [u8; FRAME_LEN_MAX]) -> usize {
    frame::emit(&CONTEXT, out, |payload| {
        payload.push(&number.to_le_bytes());
        sample.iter().for_each(|value| payload.push(&value.to_le_bytes()));
    })
}

/// Most samples that a difference of numbers, modulo 2^16, stands for.
const MISSING_MAX: u16 = 1 << 15;

/// Reason why samples of a stream were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError<E> {
    /// The port failed.
    Port(E),
    /// Samples are missing.
    Gap {
        /// Their number, modulo 2^16; 1 after the first sample since [`Sensor::start`].
        missing: u16,
    },
    /// A sample has another number of channels.
    Channels {
        /// Their number.
        found: usize,
    },
}

/// A sensor whose samples arrive as frames.
#[derive(Debug)]
pub struct StreamSensor<P> {
    port: P,
    /// Number of channels, if it is told.
    told: Option<usize>,
    channels: usize,
    deframer: Deframer,
    bytes: [u8; READ_LEN_MAX],
    /// Bytes that were read but not deframed.
    start: usize,
    end: usize,
    /// Number of the next sample; `None` if any may follow.
    next: Option<u16>,
    /// At most one sample has come since the start.
    is_fresh: bool,
    /// The first sample after a gap, to be returned once the gap is reported.
    held: Option<[i16; CHANNELS_MAX]>,
    /// An interrupt of the port wakes the main loop.
    has_interrupt: bool,
}

impl<P: Read + ReadReady> StreamSensor<P> {
    /// Creates a sensor with a number of channels, at most [`CHANNELS_MAX`], or those of each recipe.
    pub fn new(port: P, channels: Option<usize>) -> Self {
        Self {
            port,
            told: channels,
            channels: channels.unwrap_or(CHANNELS_MAX),
            deframer: Deframer::new(),
            bytes: [0; READ_LEN_MAX],
            start: 0,
            end: 0,
            next: None,
            is_fresh: false,
            held: None,
            has_interrupt: false,
        }
    }

    /// Creates a sensor whose port has an interrupt that wakes the main loop when bytes arrive.
    pub fn with_interrupt(port: P, channels: Option<usize>) -> Self {
        Self { has_interrupt: true, ..Self::new(port, channels) }
    }

    /// The next intact frame: its number and its values. `None` if more bytes must arrive.
    fn frame(&mut self) -> Result<Option<(u16, Sample)>, P::Error> {
        let mut dropped = Counters::default();
        loop {
            if self.start >= self.end {
                if !self.port.read_ready()? {
                    return Ok(None);
                }
                (self.start, self.end) = (0, self.port.read(&mut self.bytes)?);
                if self.end == 0 {
                    return Ok(None);
                }
            }
            let bytes = self.bytes.get(self.start..self.end).unwrap_or_default();
            let (rest, frame) = self.deframer.feed(bytes, &mut dropped);
            self.start = self.end - rest.len();
            // A damaged frame is missed by its number.
            let payload = frame.as_ref().and_then(|frame| frame.check(&CONTEXT).ok());
            if let Some(sample) = payload.and_then(parse) {
                return Ok(Some(sample));
            }
        }
    }
}

/// Values of a sample, and their number.
type Sample = ([i16; CHANNELS_MAX], usize);

fn parse(payload: &[u8]) -> Option<(u16, Sample)> {
    let (number, values) = payload.split_first_chunk()?;
    let (words, _) = values.as_chunks();
    let mut sample = [0; CHANNELS_MAX];
    sample.iter_mut().zip(words).for_each(|(value, &word)| *value = i16::from_le_bytes(word));
    Some((u16::from_le_bytes(*number), (sample, words.len())))
}

impl<P: Read + ReadReady> Sensor for StreamSensor<P> {
    type Error = StreamError<P::Error>;

    fn channels(&self) -> usize {
        self.channels
    }

    /// Accepts any rate, and any number of channels unless one is told: the other end knows them.
    fn accept(&mut self, recipe: &Recipe) -> Result<(), Unfit> {
        let channels = usize::from(recipe.channels);
        if self.told.is_some_and(|told| told != channels) {
            return Err(Unfit::Channels);
        }
        self.channels = channels.min(CHANNELS_MAX);
        Ok(())
    }

    fn start(&mut self) {
        // An error of the port shows in the next poll.
        while self.port.read_ready().is_ok_and(|is_ready| is_ready)
            && self.port.read(&mut self.bytes).is_ok_and(|len| len > 0)
        {}
        self.deframer = Deframer::new();
        (self.start, self.end, self.next, self.held) = (0, 0, None, None);
        self.is_fresh = true;
    }

    fn poll(&mut self, sample: &mut [i16]) -> Result<bool, Self::Error> {
        let copy = |values: &[i16; CHANNELS_MAX], sample: &mut [i16]| {
            sample.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
        };
        if let Some(values) = self.held.take() {
            copy(&values, sample);
            return Ok(true);
        }
        let frame = self.frame().map_err(|error| {
            // The error reports the gap; what follows need not be the next sample.
            (self.next, self.is_fresh) = (None, false);
            StreamError::Port(error)
        })?;
        let Some((number, (values, found))) = frame else { return Ok(false) };
        let missing = number.wrapping_sub(self.next.unwrap_or(number));
        let was_fresh = self.is_fresh;
        self.is_fresh &= self.next.is_none();
        self.next = Some(number.wrapping_add(1));
        if found != self.channels {
            return Err(StreamError::Channels { found });
        }
        if missing > 0 {
            self.held = Some(values);
            // The first sample may be older: a port may hold one while no one reads it.
            return Err(StreamError::Gap { missing: if was_fresh { 1 } else { missing } });
        }
        copy(&values, sample);
        Ok(true)
    }

    fn wake(&mut self) -> bool {
        self.has_interrupt
    }

    fn missing(error: &Self::Error) -> u32 {
        match *error {
            StreamError::Gap { missing } if missing <= MISSING_MAX => missing.into(),
            // A sensor that began anew counts from 0.
            StreamError::Gap { .. } | StreamError::Port(_) | StreamError::Channels { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_io::{ErrorKind, ErrorType};
    use proptest::prelude::*;
    use smidgen_protocol::recipe::Features;
    use std::collections::VecDeque;

    /// Bytes that arrive in pieces; `None` is an error of the port.
    struct Port(VecDeque<Option<Vec<u8>>>);

    impl ErrorType for Port {
        type Error = ErrorKind;
    }

    impl ReadReady for Port {
        fn read_ready(&mut self) -> Result<bool, ErrorKind> {
            Ok(!self.0.is_empty())
        }
    }

    impl Read for Port {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
            let mut bytes =
                self.0.pop_front().expect("the port is ready").ok_or(ErrorKind::Other)?;
            let rest = bytes.split_off(bytes.len().min(buffer.len()));
            if !rest.is_empty() {
                self.0.push_front(Some(rest));
            }
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    fn frame(number: u16, sample: &[i16]) -> Vec<u8> {
        let mut out = [0; FRAME_LEN_MAX];
        let len = emit(number, sample, &mut out);
        out[..len].to_vec()
    }

    /// The sample with a number.
    fn sample(number: u16) -> [i16; 3] {
        [number.cast_signed(), 0, !number.cast_signed()]
    }

    #[test]
    fn jump_after_the_first_sample_is_a_gap_of_unknown_length() {
        for (numbers, missing) in [
            (&[7, 9, 10][..], Some(1)),
            (&[7, 5000, 5001], Some(1)),
            (&[7, 8, 12], Some(3)),
            (&[7, 8, 9], None),
        ] {
            let frames = numbers.iter().map(|&number| Some(frame(number, &sample(number))));
            // The rest of a frame that had begun before.
            let rest = Some(frame(6, &sample(6))[4..].to_vec());
            let found = drain(&mut sensor([rest].into_iter().chain(frames)));
            let gap = found.iter().copied().find_map(Result::err);
            assert_eq!(gap, missing.map(|missing| StreamError::Gap { missing }), "{numbers:?}");
            let samples = found.into_iter().filter_map(Result::ok);
            assert!(samples.eq(numbers.iter().map(|&number| sample(number))));
        }
    }

    #[test]
    fn numbers_that_begin_anew_are_one_gap_of_unknown_length() {
        let missing = |missing| StreamSensor::<Port>::missing(&StreamError::Gap { missing });
        // From 8 to 0, from 0 to 12 and from 65,000 to 4.
        assert_eq!(
            [0u16.wrapping_sub(9), 11, 4u16.wrapping_sub(65_001)].map(missing),
            [1, 11, 539]
        );
    }

    fn recipe(channels: u8) -> Recipe {
        let features = Features::DEFAULT;
        Recipe { channels, window: 1, hop: 1, features, rate_millihertz: 1 }
    }

    #[test]
    fn told_number_of_channels_is_kept() {
        for (told, outcome, then) in [(Some(6), Err(Unfit::Channels), 6), (None, Ok(()), 3)] {
            let mut sensor = StreamSensor::new(Port(VecDeque::new()), told);
            assert_eq!(sensor.accept(&recipe(3)), outcome);
            assert_eq!(sensor.channels(), then);
            assert_eq!(sensor.accept(&recipe(6)), Ok(()));
        }
    }

    /// A sensor that has started before these pieces arrive.
    fn sensor(pieces: impl IntoIterator<Item = Option<Vec<u8>>>) -> StreamSensor<Port> {
        let mut sensor = StreamSensor::new(Port(VecDeque::new()), None);
        assert_eq!(sensor.accept(&recipe(3)), Ok(()));
        sensor.start();
        sensor.port.0.extend(pieces);
        sensor
    }

    type Polled = Result<[i16; 3], StreamError<ErrorKind>>;

    /// All samples and errors.
    fn drain(sensor: &mut StreamSensor<Port>) -> Vec<Polled> {
        let mut found = vec![];
        loop {
            let mut sample = [0; 3];
            match sensor.poll(&mut sample) {
                Ok(true) => found.push(Ok(sample)),
                Ok(false) if sensor.port.0.is_empty() => return found,
                Ok(false) => {}
                Err(error) => found.push(Err(error)),
            }
        }
    }

    #[test]
    fn golden_frame() {
        assert_eq!(
            frame(0x0102, &[-2, 256]),
            [5, 2, 1, 0xfe, 0xff, 6, 1, 0xe0, 0x3b, 0x9e, 0x65, 0]
        );
    }

    proptest! {
        #[test]
        fn damaged_frames_are_reported_as_gaps(
            first: u16,
            damage in prop::collection::vec(prop::option::weighted(0.2, (any::<prop::sample::Index>(), 1u8..)), 1..60),
            piece in 1usize..50,
        ) {
            let numbers = || (0..damage.len() as u16).map(|n| first.wrapping_add(n));
            let frames = numbers().zip(&damage).flat_map(|(number, damage)| {
                let mut frame = frame(number, &sample(number));
                if let Some((place, flip)) = damage {
                    let place = place.index(frame.len());
                    frame[place] ^= flip;
                }
                frame
            });
            let bytes: Vec<u8> = frames.collect();
            let mut sensor = sensor(bytes.chunks(piece).map(|piece| Some(piece.to_vec())));
            let (mut received, mut next) = (vec![], None::<u16>);
            for polled in drain(&mut sensor) {
                match polled {
                    Ok(found) => {
                        let number = found[0].cast_unsigned();
                        prop_assert_eq!(found, sample(number));
                        prop_assert_eq!(number, next.unwrap_or(number));
                        received.push(number);
                        next = Some(number.wrapping_add(1));
                    }
                    Err(StreamError::Gap { missing }) => {
                        prop_assert!(missing > 0);
                        // The first gap may be longer.
                        next = next.filter(|_| received.len() > 1).map(|next| next.wrapping_add(missing));
                    }
                    Err(error) => prop_assert!(false, "{error:?}"),
                }
            }
            // A damaged delimiter takes the next frame with it.
            let is_intact = |n: &usize| damage[*n].is_none() && n.checked_sub(1).is_none_or(|n| damage[n].is_none());
            for n in (0..damage.len()).filter(is_intact) {
                prop_assert!(received.contains(&first.wrapping_add(n as u16)), "{n}");
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            pieces in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 1..80)), 0..30),
        ) {
            drain(&mut sensor(pieces));
        }
    }

    #[test]
    fn error_of_the_port_is_the_only_report_of_its_gap() {
        let frames = [0, 1, 5, 6].map(|number| Some(frame(number, &sample(number))));
        let [first, second, later, last] = frames;
        let mut sensor = sensor([first, second, None, later, last]);
        let error = Err(StreamError::Port(ErrorKind::Other));
        let samples = [0, 1, 5, 6].map(|number| Ok(sample(number)));
        assert_eq!(drain(&mut sensor), [samples[0], samples[1], error, samples[2], samples[3]]);
    }

    #[test]
    fn sample_with_other_channels_is_an_error() {
        let mut out = [0; FRAME_LEN_MAX];
        let mut sensor = sensor([2, 4, 16, 30].map(|channels| {
            let len = emit(channels, &[1; 30][..channels.into()], &mut out);
            Some(out[..len].to_vec())
        }));
        let found =
            drain(&mut sensor).into_iter().map(|polled| polled.expect_err("other channels"));
        assert!(found.eq([2, 4, 16, 30].map(|found| StreamError::Channels { found })));
    }
}
