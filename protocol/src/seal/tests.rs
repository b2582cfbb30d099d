use super::aead::Aead;
use super::channel::{Channel, Direction};
use super::nonce_log;
use super::*;
use crate::counters::{Counters, Reject};
use crate::frame::{Context, Deframer, FRAME_LEN_MAX, PAYLOAD_LEN_MAX, draft, emit};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const CONTEXT: Context = Context { session: 7, worker: 1, round: 3, ..Context::SETUP };

fn key(first: u8) -> Key {
    Key::new(&[first; KEY_LEN]).expect("a valid key")
}

/// A frame with `payload`, closed by `close`.
fn sealed(
    is_greeting: bool,
    payload: &[u8],
    close: impl FnOnce(crate::frame::Draft) -> usize,
) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = close(draft(&CONTEXT, is_greeting, &mut out, |frame| frame.push(payload)));
    out[..len].to_vec()
}

/// Feeds a byte stream to one end; returns the accepted payloads and the number of frames rejected by the seal.
fn taken<F>(wire: &[u8], mut open: F) -> (Vec<Vec<u8>>, u32)
where
    F: for<'d> FnMut(crate::frame::Frame<'d>) -> Result<crate::frame::Frame<'d>, Reject>,
{
    let (mut deframer, mut counters, mut taken) = (Deframer::new(), Counters::default(), vec![]);
    let mut rest = wire;
    while !rest.is_empty() {
        let (after, frame) = deframer.feed(rest, &mut counters);
        rest = after;
        let Some(frame) = frame else { continue };
        let wire_len = frame.wire_len;
        let outcome = open(frame).and_then(|frame| Ok(frame.check(&CONTEXT)?.to_vec()));
        counters.tally(outcome.as_ref().map(|_| ()).map_err(|&reject| reject), wire_len);
        taken.extend(outcome);
    }
    assert_eq!(counters.bytes() + deframer.pending() as u64, wire.len() as u64);
    (taken, counters.rejected(Reject::Seal).frames)
}

/// A host and a worker, with an attacker who records all frames.
struct Pair {
    host: HostSeal,
    worker: WorkerSeal,
    salts: u64,
    boots: u8,
    /// All frames sent; true for frames to the worker.
    heard: Vec<(bool, Vec<u8>)>,
    /// Number of payloads so far; each payload contains its number, so all differ.
    said: u32,
    /// Payloads accepted by the host and by the worker, and below the last of each, without greetings.
    taken: [HashSet<Vec<u8>>; 2],
    last: [Option<Vec<u8>>; 2],
    refused: u32,
}

const HOST: usize = 0;
const WORKER: usize = 1;

impl Pair {
    fn new() -> Self {
        Self {
            host: HostSeal::new(key(1)),
            worker: WorkerSeal::new(key(1), [0; BOOT_LEN]),
            salts: 0,
            boots: 0,
            heard: vec![],
            said: 0,
            taken: Default::default(),
            last: Default::default(),
            refused: 0,
        }
    }

    fn payload(&mut self, is_greeting: bool) -> Vec<u8> {
        self.said += 1;
        [&self.said.to_be_bytes()[..], &[u8::from(is_greeting)]].concat()
    }

    /// Sends a frame from the host, if it has a channel or greets.
    fn ask(&mut self, is_greeting: bool) -> Option<Vec<u8>> {
        let payload = self.payload(is_greeting);
        let Self { host, salts, .. } = self;
        let mut out = [0; FRAME_LEN_MAX];
        let draft = draft(&CONTEXT, is_greeting, &mut out, |frame| frame.push(&payload));
        let len = host.close(draft, || {
            *salts += 1;
            u128::from(*salts).to_le_bytes()
        })?;
        self.heard.push((true, out[..len].to_vec()));
        Some(out[..len].to_vec())
    }

    /// Sends a frame from the worker, if it has a channel.
    fn answer(&mut self, is_greeting: bool) -> Option<Vec<u8>> {
        let payload = self.payload(is_greeting);
        let mut out = [0; FRAME_LEN_MAX];
        let draft = draft(&CONTEXT, is_greeting, &mut out, |frame| frame.push(&payload));
        let len = self.worker.close(draft)?;
        self.heard.push((false, out[..len].to_vec()));
        Some(out[..len].to_vec())
    }

    /// Delivers bytes to an end; returns whether it accepted a payload.
    fn deliver(&mut self, end: usize, wire: &[u8]) -> Result<bool, TestCaseError> {
        let Self { host, worker, .. } = self;
        let (payloads, refused) = match end {
            HOST => taken(wire, |frame| host.open(frame)),
            _ => taken(wire, |frame| worker.open(frame)),
        };
        self.refused += refused;
        for payload in &payloads {
            let is_greeting = payload.ends_with(&[1]);
            // A repeated Hello is accepted and answered, without further effect.
            let new = self.taken[end].insert(payload.clone());
            prop_assert!(new || is_greeting && end == WORKER, "{payload:?} was accepted twice");
            // A greeting belongs to a new channel and may arrive late while the old one is in use.
            if is_greeting {
                continue;
            }
            prop_assert!(
                self.last[end].as_ref() < Some(payload),
                "an overtaken frame was accepted"
            );
            self.last[end] = Some(payload.clone());
        }
        Ok(!payloads.is_empty())
    }

    fn handshake(&mut self) -> Result<(), TestCaseError> {
        let hello = self.ask(true).expect("a host can always greet");
        prop_assert!(self.deliver(WORKER, &hello)?);
        let ready = self.answer(true).expect("a channel");
        prop_assert!(self.deliver(HOST, &ready)?);
        Ok(())
    }

    /// Exchanges a request and its answer.
    fn talk(&mut self) -> Result<(), TestCaseError> {
        let question = self.ask(false).expect("a channel");
        prop_assert!(self.deliver(WORKER, &question)?);
        let answer = self.answer(false).expect("a channel");
        prop_assert!(self.deliver(HOST, &answer)?);
        Ok(())
    }

    fn reboot(&mut self) {
        self.boots += 1;
        self.worker = WorkerSeal::new(key(1), [self.boots; BOOT_LEN]);
    }
}

#[derive(Clone, Debug)]
enum Action {
    Greet { arrives: bool, answered: bool },
    Talk { arrives: bool, answered: bool },
    Replay { at: usize, which: prop::sample::Index },
    Flip { at: usize, which: prop::sample::Index, bit: prop::sample::Index },
    Plain { at: usize },
    Reboot,
    RestartHost,
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (any::<bool>(), any::<bool>()).prop_map(|(arrives, answered)| Action::Greet { arrives, answered }),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(arrives, answered)| Action::Talk { arrives, answered }),
        6 => (0usize..2, index()).prop_map(|(at, which)| Action::Replay { at, which }),
        2 => (0usize..2, index(), index()).prop_map(|(at, which, bit)| Action::Flip { at, which, bit }),
        1 => (0usize..2).prop_map(|at| Action::Plain { at }),
        1 => Just(Action::Reboot),
        1 => Just(Action::RestartHost),
    ]
}

impl Pair {
    fn perform(&mut self, action: Action) -> Result<(), TestCaseError> {
        match action {
            Action::Greet { arrives, answered } => self.exchange(true, arrives, answered),
            Action::Talk { arrives, answered } => self.exchange(false, arrives, answered),
            Action::Replay { at, which } if !self.heard.is_empty() => {
                let (_, wire) = self.heard[which.index(self.heard.len())].clone();
                self.deliver(at, &wire).map(|_| ())
            }
            Action::Flip { at, which, bit } if !self.heard.is_empty() => {
                let (_, mut wire) = self.heard[which.index(self.heard.len())].clone();
                let bit = bit.index(wire.len() * 8);
                wire[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!self.deliver(at, &wire)?, "a modified frame was accepted");
                Ok(())
            }
            Action::Plain { at } => {
                let mut out = [0; FRAME_LEN_MAX];
                let len = emit(&CONTEXT, &mut out, |frame| frame.push(b"plain"));
                prop_assert!(!self.deliver(at, &out[..len])?, "a plain frame was accepted");
                Ok(())
            }
            Action::Reboot => {
                self.reboot();
                Ok(())
            }
            Action::RestartHost => {
                self.host = HostSeal::new(key(1));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn exchange(
        &mut self,
        is_greeting: bool,
        arrives: bool,
        answered: bool,
    ) -> Result<(), TestCaseError> {
        let Some(question) = self.ask(is_greeting) else { return Ok(()) };
        if !arrives || !self.deliver(WORKER, &question)? {
            return Ok(());
        }
        let Some(answer) = self.answer(is_greeting) else { return Ok(()) };
        if answered {
            self.deliver(HOST, &answer)?;
        }
        Ok(())
    }
}

proptest! {
    /// Against an attacker who replays, reflects, modifies and forges frames between reboots and host restarts: no
    /// frame is accepted twice, late or forged, no nonce is reused, and a handshake restores communication.
    #[test]
    fn attacker_cannot_forge_or_replay_and_nonces_are_unique(actions in prop::collection::vec(action(), 1..60)) {
        nonce_log::take();
        let mut pair = Pair::new();
        for action in actions {
            pair.perform(action)?;
        }
        pair.handshake()?;
        pair.talk()?;
        let mut encrypted = HashMap::new();
        for (nonce, content) in nonce_log::take() {
            let before = encrypted.insert(nonce, content);
            prop_assert!(before.is_none(), "a nonce was reused");
        }
    }

    #[test]
    fn aead_matches_chacha20poly1305_crate(
        key: [u8; 32], nonce: [u8; 12], head in prop::collection::vec(any::<u8>(), 0..40),
        content in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (mut ours, mut theirs) = (content.clone(), content.clone());
        let tag = Aead::new(&key, &nonce).encrypt(&head, &mut ours);
        let expected = ChaCha20Poly1305::new(&key.into())
            .encrypt_inout_detached(&nonce.into(), &head, (&mut theirs[..]).into()).unwrap();
        prop_assert_eq!((&ours, &tag[..]), (&theirs, &expected[..]));
        let encrypted = ours.clone();
        prop_assert!(!Aead::new(&key, &nonce).decrypt(&head, &mut ours, &tag.map(|byte| byte ^ 1)));
        prop_assert_eq!(&ours, &encrypted, "content was decrypted before authentication");
        prop_assert!(Aead::new(&key, &nonce).decrypt(&head, &mut ours, &tag));
        prop_assert_eq!(ours, content);
    }

    #[test]
    fn sealed_frames_of_all_lengths_round_trip(payload in prop::collection::vec(any::<u8>(), 1..=PAYLOAD_LEN_MAX)) {
        let (mut up, mut down) = (Channel::new(key(1)), Channel::new(key(1)));
        let mut out = [0; FRAME_LEN_MAX];
        let len = up.seal(Direction::Up, draft(&CONTEXT, false, &mut out, |frame| frame.push(&payload)));
        let wire = &out[..len.unwrap()];
        // The COBS overhead may differ by a byte for other content.
        let plain = emit(&CONTEXT, &mut [0; FRAME_LEN_MAX], |frame| frame.push(&payload));
        prop_assert!(wire.len().abs_diff(plain + SEAL_LEN) <= 2);
        let opened = taken(wire, |frame| {
            let mut sealed = channel::Sealed::new(frame)?;
            if down.open(Direction::Up, &mut sealed) { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
        });
        prop_assert_eq!(opened, (vec![payload], 0));
    }
}

#[test]
fn replayed_handshake_fails_after_reboot() -> Result<(), TestCaseError> {
    let mut pair = Pair::new();
    pair.handshake()?;
    pair.talk()?;
    let recorded: Vec<_> = pair.heard.iter().filter(|(down, _)| *down).cloned().collect();
    pair.reboot();
    for (nth, (_, wire)) in recorded.iter().enumerate() {
        // The Hello is answered, under a key that the attacker does not have.
        assert_eq!(pair.deliver(WORKER, wire)?, nth == 0);
    }
    let ready = pair.answer(true).expect("an answer to Hello");
    assert!(!pair.deliver(HOST, &ready)?);
    assert_eq!(pair.answer(false), None, "it has no channel for other frames");
    Ok(())
}

#[test]
fn replayed_hello_keeps_channel_open() -> Result<(), TestCaseError> {
    let mut pair = Pair::new();
    pair.handshake()?;
    let (_, hello) = pair.heard[0].clone();
    for _ in 0..3 {
        pair.talk()?;
        assert!(pair.deliver(WORKER, &hello)?);
        let ready = pair.answer(true).expect("an answer to Hello");
        assert!(!pair.deliver(HOST, &ready)?);
    }
    pair.talk()
}

#[test]
fn repeated_hello_yields_same_channel() -> Result<(), TestCaseError> {
    let mut pair = Pair::new();
    let hellos = [pair.ask(true).unwrap(), pair.ask(true).unwrap()];
    assert_ne!(hellos[0], hellos[1]);
    assert!(pair.deliver(WORKER, &hellos[0])?);
    let first = pair.answer(true).unwrap();
    // The Hello is repeated before its answer arrives, or after the host has switched.
    assert!(pair.deliver(WORKER, &hellos[1])?);
    assert!(pair.deliver(HOST, &first)?);
    let question = pair.ask(false).unwrap();
    assert!(pair.deliver(WORKER, &question)?);
    let second = pair.answer(true).unwrap();
    assert!(pair.deliver(HOST, &second)?);
    pair.talk()
}

#[test]
fn handshake_recovers_from_counter_gap() -> Result<(), TestCaseError> {
    let mut pair = Pair::new();
    pair.handshake()?;
    (0..127).for_each(|_| drop(pair.ask(false)));
    pair.talk()?;
    (0..128).for_each(|_| drop(pair.ask(false)));
    let question = pair.ask(false).unwrap();
    assert!(!pair.deliver(WORKER, &question)?, "128 frames in a row were lost");
    pair.handshake()?;
    pair.talk()
}

#[test]
fn unanswered_host_redraws_salt_before_counter_wraps() {
    let mut pair = Pair::new();
    let hellos: HashSet<_> = (0..300).map(|_| pair.ask(true).unwrap()).collect();
    assert_eq!((hellos.len(), pair.salts), (300, 3));
}

#[test]
fn wrong_key_opens_nothing() {
    let (mut host, mut worker) = (HostSeal::new(key(1)), WorkerSeal::new(key(2), [0; BOOT_LEN]));
    let hello = sealed(true, b"hello", |draft| host.close(draft, || [7; 16]).unwrap());
    assert_eq!(taken(&hello, |frame| worker.open(frame)), (vec![], 1));
    let mut out = [0; FRAME_LEN_MAX];
    assert_eq!(worker.close(draft(&CONTEXT, true, &mut out, |frame| frame.push(b"ready"))), None);
}

#[test]
fn channel_stops_at_counter_overflow() {
    let mut channel = Channel::at(key(1), u64::MAX - 1);
    let mut seal = || {
        let mut out = [0; FRAME_LEN_MAX];
        channel.seal(Direction::Up, draft(&CONTEXT, false, &mut out, |frame| frame.push(b"x")))
    };
    assert!(seal().is_some());
    assert_eq!((seal(), seal()), (None, None));
}

#[test]
fn debug_output_hides_key() {
    assert_eq!(format!("{:?}", key(0x5a)), "Key");
    let end = format!("{:?}", HostSeal::new(key(0x5a)));
    assert!(!end.contains("5a") && !end.contains("90"), "{end}");
    assert!(Key::new(&Key::NONE).is_none());
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
    future, sunscreen would be it.";
const ASSOCIATED: &str = "50515253c0c1c2c3c4c5c6c7";

fn published_key() -> [u8; 32] {
    core::array::from_fn(|place| 0x80 + place as u8)
}

/// RFC 8439, section 2.8.2.
#[test]
fn aead_matches_rfc_8439() {
    let nonce: [u8; 12] = bytes("070000004041424344454647").try_into().unwrap();
    let mut content = SUNSCREEN.to_vec();
    let tag = Aead::new(&published_key(), &nonce).encrypt(&bytes(ASSOCIATED), &mut content);
    let expected = "d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
        3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
        92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
        3ff4def08e4b7a9de576d26586cec64b 6116";
    assert_eq!(content, bytes(expected));
    assert_eq!(tag.to_vec(), bytes("1ae10b594f09e26a7e902ecbd0600691"));
}

/// draft-irtf-cfrg-xchacha-03, section 2.2.1.
#[test]
fn key_derivation_matches_hchacha20_vector() {
    let key = Key::new(&core::array::from_fn(|place| place as u8)).unwrap();
    let input: Salt = bytes("000000090000004a0000000031415927").try_into().unwrap();
    let expected = "82413b4227b27bfed30e42508a877d73 a0f9e4d58a74a853c12ec41326d3ecdc";
    assert_eq!(key.derive(&input).bytes().to_vec(), bytes(expected));
}

/// draft-irtf-cfrg-xchacha-03, section A.3.1: the salt and the frame number form the nonce.
#[test]
fn salted_down_frame_matches_xchacha20poly1305() {
    let nonce = bytes("404142434445464748494a4b4c4d4e4f5051525354555657");
    let salt: Salt = nonce[..16].try_into().unwrap();
    let number = u64::from_le_bytes(nonce[16..].try_into().unwrap());
    let mut channel = Channel::at(Key::new(&published_key()).unwrap().derive(&salt), number);
    let mut content = SUNSCREEN.to_vec();
    let tag = channel.encrypt(Direction::Down, &bytes(ASSOCIATED), &mut content).unwrap();
    let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39
        ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9
        768812f615c68b13b52e";
    assert_eq!(content, bytes(expected));
    assert_eq!(tag.to_vec(), bytes("c0875924c1c7987947deafd8780acf49"));
}
