//! Arbitrary input from the line.

use super::super::*;
use super::host::{Host, bodies, emit};
use proptest::prelude::*;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::message::{Downlink, Exponents, Init, Part};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::vector::Ratio;

/// Messages of every kind, mostly plausible ones.
fn messages() -> impl Strategy<Value = Down<'static>> {
    let exponents =
        || (any::<[i8; 3]>()).prop_map(|[x, gradient, loss]| Exponents { x, gradient, loss });
    let ticket = || 0u16..12;
    let part = || {
        prop::sample::select(vec![
            Part::Model,
            Part::Estimator,
            Part::Sum,
            Part::SumChange,
            Part::ModelChange,
            Part::Velocity,
        ])
    };
    let ratio =
        || any::<(i32, i16)>().prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent });
    prop_oneof![
        Just(Down::Hello { version: 9, schema: [9; 8], echo: 9 }),
        configurations(ticket(), ratio()),
        (ticket(), 0u32..7).prop_map(|(ticket, offset)| Down::Data { ticket, offset }),
        ticket().prop_map(|ticket| Down::Curvature { ticket }),
        (ticket(), exponents()).prop_map(|(ticket, exponents)| Down::Probe { ticket, exponents }),
        (ticket(), exponents(), ratio()).prop_map(|(ticket, exponents, gamma_n)| {
            Down::Announce { ticket, exponents, gamma_n }
        }),
        (ticket(), part(), 0u32..7, 0u32..7)
            .prop_map(|(ticket, part, from, until)| { Down::Part { ticket, part, from, until } }),
        (ticket(), 0u32..4).prop_map(|(ticket, round)| Down::Begin { ticket, round }),
        (0u32..7).prop_map(|from| Down::Round { from }),
        (0u32..7, any::<u8>()).prop_map(|(from, pace)| Down::Paced { from, pace }),
        (0u32..7).prop_map(|from| Down::More { from }),
    ]
}

/// Configurations of every kind.
fn configurations(
    ticket: impl Strategy<Value = Ticket>,
    ratio: impl Strategy<Value = Ratio> + Clone,
) -> impl Strategy<Value = Down<'static>> {
    let eta = ratio.clone();
    let method = (any::<prop::sample::Index>(), eta)
        .prop_map(|(method, eta)| *method.get(&Method::all(eta)));
    let downlink = prop::sample::select(&Downlink::ALL[..]);
    let compressor = prop::sample::select(Compressor::all(1).to_vec());
    let numbers = (ticket, 0u32..7, 0u32..4, any::<u32>());
    let ratios = [ratio.clone(), ratio.clone(), ratio];
    (numbers, downlink, (method, compressor), ratios).prop_map(
        |((ticket, dimension, k, drawn), downlink, what, [scale, momentum, l1_n])| {
            let plain = Host::new(dimension as usize, downlink, Init::Full).configure;
            let participation = Participation { seed: 1, probability: drawn };
            let batch = Batch { size: drawn % 4, seed: drawn };
            let (method, compressor) = what;
            let start_seed = drawn % 3;
            let numbers = Configure { ticket, k, scale, momentum, l1_n, start_seed, ..plain };
            Down::Configure(Configure { method, compressor, participation, batch, ..numbers })
        },
    )
}

/// Input of the worker.
#[derive(Clone, Debug)]
enum Input {
    Noise(Vec<u8>),
    Message {
        message: Down<'static>,
        address: u16,
        body: Vec<u8>,
        session: bool,
        round: u32,
    },
    Damaged {
        message: Down<'static>,
        bit: prop::sample::Index,
    },
    /// A valid next round.
    Round,
}

fn inputs() -> impl Strategy<Value = Input> {
    let body = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..700).prop_map(Input::Noise),
        6 => (messages(), 0u16..3, body(), any::<bool>(), 0u32..5).prop_map(
            |(message, address, body, session, round)| {
                Input::Message { message, address, body, session, round }
            },
        ),
        2 => (messages(), any::<prop::sample::Index>())
            .prop_map(|(message, bit)| Input::Damaged { message, bit }),
        1 => Just(Input::Round),
    ]
}

proptest! {
    #[test]
    fn arbitrary_input_never_panics_and_all_bytes_are_counted(
        inputs in prop::collection::vec(inputs(), 0..60), served: bool,
    ) {
        let mut host = Host::begun(5, Downlink::Sparse, Init::Compressed);
        for input in inputs {
            let wire = match input {
                Input::Noise(bytes) => bytes,
                Input::Message { message, address, body, session, round } => {
                    let round = if message.is_of_round() { round } else { 0 };
                    let session = if session { host.configure.session } else { 0 };
                    let context = Context { session, round, ..Context::SETUP };
                    emit(message, address, &body_of(&message, body), context)
                }
                Input::Damaged { message, bit } => {
                    let mut wire = host.frame(message, &[]);
                    let bit = bit.index(wire.len() * 8);
                    wire[bit / 8] ^= 1 << (bit % 8);
                    wire
                }
                Input::Round => {
                    let session = host.worker.machine.session.as_ref();
                    host.round = session.and_then(Session::round).unwrap_or(0) + 1;
                    let (from, _, body) = &bodies(&[3, 0, -7, 0, 1])[0];
                    host.frame(Down::Round { from: *from }, body)
                }
            };
            host.bytes_sent += wire.len();
            host.worker.receive(&wire);
            if served {
                host.serve();
            }
            let explained = host.worker.counters().bytes() + host.worker.pending() as u64;
            prop_assert_eq!(explained, host.bytes_sent as u64);
        }
    }
}

/// Messages with a long head cannot have a body.
fn body_of(message: &Down, body: Vec<u8>) -> Vec<u8> {
    if message.is_setup() { vec![] } else { body }
}
