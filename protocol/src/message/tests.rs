use super::*;
use crate::batch::Batch;
use crate::counters::Counters;
use crate::frame::{BODY_LEN_MAX, Deframer, Kind};
use crate::method::{Compressor, Method, Participation};
use crate::recipe::{CHANNELS_MAX, Features, Recipe};
use crate::sparse::Form;
use crate::vector::Exponent;
use proptest::prelude::*;
use proptest::sample::select;

fn exponents() -> impl Strategy<Value = Exponents> {
    any::<[Exponent; 3]>().prop_map(|[x, gradient, loss]| Exponents { x, gradient, loss })
}

fn ratio() -> impl Strategy<Value = Ratio> {
    any::<(i32, i16)>().prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent })
}

fn loss() -> impl Strategy<Value = Loss> {
    any::<i32>().prop_map(|mantissa| Loss::new(i64::from(mantissa)))
}

fn known() -> impl Strategy<Value = Known> {
    (loss(), any::<[u8; 4]>()).prop_map(|(loss, [shift, last_shift, value_bits, count_bits])| {
        Known { loss, shift, downlink: Form { shift: last_shift, value_bits, count_bits } }
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "logistic",
        "a name beyond ASCII: ä, ö, ü",
        "48 bytes, the longest name that a message takes.",
    ])
}

fn configure() -> impl Strategy<Value = Configure<'static>> {
    let run = (any::<(Ticket, u32, u64, u16)>(), any::<(u32, u32, u8)>());
    let init = select(vec![Init::Full, Init::Compressed, Init::Zero]);
    let downlink = select(vec![Downlink::Dense, Downlink::Sparse, Downlink::Model]);
    let kind = (init, downlink, name(), ratio());
    let draws = any::<((u32, u32), (u32, u32))>();
    let rules = ((method(), compressor()), ratio(), draws, ratio(), ratio());
    let regulariser = select(vec![Regulariser::Nonconvex, Regulariser::L2]);
    (run, kind, rules, regulariser, any::<(u32, u32, u32)>()).prop_map(
        |(run, kind, rules, regulariser, (start_seed, data_len, data_checksum))| {
            let ((method, compressor), scale, draws, momentum, l1_n) = rules;
            let ((seed, probability), (size, batch_seed)) = draws;
            let ((ticket, session, identity, worker), (dimension, k, value_bits)) = run;
            let (init, downlink, objective, lambda) = kind;
            Configure {
                ticket,
                session,
                identity,
                worker,
                dimension,
                k,
                value_bits,
                init,
                method,
                compressor,
                scale,
                participation: Participation { seed, probability },
                batch: Batch { size, seed: batch_seed },
                downlink,
                momentum,
                l1_n,
                objective,
                regulariser,
                lambda,
                start_seed,
                data_len,
                data_checksum,
            }
        },
    )
}

fn compressor() -> impl Strategy<Value = Compressor> {
    any::<u32>().prop_flat_map(|seed| select(Compressor::all(seed).to_vec()))
}

fn method() -> impl Strategy<Value = Method> {
    ratio().prop_flat_map(|eta| select(Method::all(eta).to_vec()))
}

fn recipe() -> impl Strategy<Value = Recipe> {
    any::<(u8, u16, u16, u8, u32)>().prop_map(|(channels, window, hop, bits, rate_millihertz)| {
        Recipe { channels, window, hop, features: Features::from_bits(bits), rate_millihertz }
    })
}

fn command() -> impl Strategy<Value = Command<'static>> {
    prop_oneof![
        Just(Command::Status),
        (any::<(u16, bool, u32)>(), recipe(), name()).prop_map(
            |((recording, is_test, samples), recipe, class)| {
                Command::Start { recording, recipe, class, is_test, samples }
            }
        ),
        any::<u16>().prop_map(|recording| Command::Stop { recording }),
        any::<u16>().prop_map(|recording| Command::Discard { recording }),
        any::<u16>().prop_map(|recording| Command::Clear { recording }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let window = any::<(u32, u32)>().prop_map(|(need, room)| RecordRefusal::Window { need, room });
    let refusals = select(vec![
        RecordRefusal::Unsupported,
        RecordRefusal::Channels,
        RecordRefusal::Recording,
        RecordRefusal::Recipe,
        RecordRefusal::OtherRecipe,
        RecordRefusal::Foreign,
        RecordRefusal::TooSmall,
        RecordRefusal::Class,
        RecordRefusal::ClassesFull,
        RecordRefusal::RowsFull,
        RecordRefusal::RecordingsFull,
        RecordRefusal::DiscardsFull,
        RecordRefusal::Flash,
        RecordRefusal::Rate,
        RecordRefusal::Stopped,
    ]);
    prop_oneof![Just(Outcome::Done), prop_oneof![window, refusals].prop_map(Outcome::Refused)]
}

/// Lists up to the longest, which need not be valid.
fn list(len_max: usize) -> impl Strategy<Value = &'static [u8]> {
    (0..=len_max, any::<u8>()).prop_map(|(len, byte)| &*vec![byte; len].leak())
}

fn records() -> impl Strategy<Value = Records<'static>> {
    let state = (any::<(Ticket, u8, u16, u16, bool)>(), outcome(), prop::option::of(recipe()));
    let counts = any::<([u32; 3], [u32; 3])>();
    (state, counts, list(CLASSES_LEN_MAX), list(COLUMNS_LEN_MAX)).prop_map(
        |(state, ([samples, rows, gaps], [room, discarded, checksum]), classes, columns)| {
            let ((echo, channels, recording, next, is_open), outcome, recipe) = state;
            Records {
                echo,
                outcome,
                channels,
                recipe,
                recording,
                next,
                is_open,
                progress: Progress { samples, rows, gaps },
                room,
                discarded,
                checksum,
                classes,
                columns,
            }
        },
    )
}

fn live() -> impl Strategy<Value = Live<'static>> {
    let window = any::<(u32, u32)>().prop_map(|(need, room)| LiveState::Window { need, room });
    let states = select(vec![
        LiveState::Watching,
        LiveState::Recording,
        LiveState::Unsupported,
        LiveState::NoModel,
        LiveState::Channels,
        LiveState::Rate,
    ]);
    let seen = (any::<(u8, i64, i32)>(), name())
        .prop_map(|((class, score, exponent), name)| Seen { class, name, score, exponent });
    let seen = prop::option::of(seen);
    let counts = any::<(Ticket, u8, [u32; CHANNELS_MAX], [u32; 3])>();
    (counts, prop_oneof![window, states], prop::option::of(recipe()), seen).prop_map(
        |((echo, channels, full_scales, [samples, gaps, windows]), state, recipe, latest)| Live {
            echo,
            state,
            channels,
            full_scales,
            recipe,
            samples,
            gaps,
            windows,
            latest,
        },
    )
}

fn downs() -> impl Strategy<Value = Down<'static>> {
    let part = select(vec![
        Part::Model,
        Part::Estimator,
        Part::Sum,
        Part::SumChange,
        Part::ModelChange,
        Part::Velocity,
    ]);
    prop_oneof![
        any::<(u16, [u8; 8], Ticket)>().prop_map(|(version, schema, echo)| Down::Hello {
            version,
            schema,
            echo
        }),
        configure().prop_map(Down::Configure),
        any::<(Ticket, u32)>().prop_map(|(ticket, offset)| Down::Data { ticket, offset }),
        (any::<Ticket>(), exponents())
            .prop_map(|(ticket, exponents)| Down::Probe { ticket, exponents }),
        (any::<Ticket>(), exponents(), ratio()).prop_map(|(ticket, exponents, gamma_n)| {
            Down::Announce { ticket, exponents, gamma_n }
        }),
        (any::<(Ticket, u32, u32)>(), part)
            .prop_map(|((ticket, from, until), part)| { Down::Part { ticket, part, from, until } }),
        (any::<(Ticket, u32)>(), known()).prop_map(|((ticket, round), known)| Down::Begin {
            ticket,
            round,
            known
        }),
        any::<u32>().prop_map(|from| Down::More { from }),
        any::<Ticket>().prop_map(|ticket| Down::Curvature { ticket }),
        (any::<(Ticket, u64)>(), command())
            .prop_map(|((echo, identity), command)| { Down::Record { echo, identity, command } }),
        any::<Ticket>().prop_map(|ticket| Down::Score { ticket }),
        any::<(Ticket, u64)>().prop_map(|(echo, identity)| Down::Live { echo, identity }),
        any::<Ticket>().prop_map(|ticket| Down::Keep { ticket }),
    ]
}

fn ready() -> impl Strategy<Value = Ready<'static>> {
    let versions = any::<(u16, [u8; 8])>();
    let board = (name(), any::<u64>(), any::<u32>(), name());
    let state = any::<(u32, Ticket, Ticket, u64, u64)>();
    (versions, board, state, any::<([u32; Reject::COUNT], u32, u32)>()).prop_map(
        |(
            (version, schema),
            (board, identity, memory, objectives),
            state,
            (rejected, overruns, saturated),
        )| {
            let (session, opened, echo, model_digest, estimator_digest) = state;
            Ready {
                version,
                schema,
                echo,
                board,
                identity,
                memory,
                objectives,
                session,
                opened,
                model_digest,
                estimator_digest,
                rejected,
                overruns,
                saturated,
            }
        },
    )
}

fn ups() -> impl Strategy<Value = Up<'static>> {
    let refusal = prop_oneof![
        any::<(u32, u32)>().prop_map(|(need, room)| Refusal::Memory { need, room }),
        select(vec![Refusal::Objective, Refusal::Data, Refusal::Configuration]),
    ];
    prop_oneof![
        ready().prop_map(Up::Ready),
        any::<(Ticket, u32)>().prop_map(|(ticket, value)| Up::Ack { ticket, value }),
        (any::<(Ticket, u32)>(), loss()).prop_map(|((ticket, gradient_max), loss)| {
            Up::Range { ticket, gradient_max, loss }
        }),
        (any::<Ticket>(), refusal).prop_map(|(ticket, refusal)| Up::Refused { ticket, refusal }),
        (any::<Ticket>(), ratio()).prop_map(|(ticket, l_i)| Up::Curvature { ticket, l_i }),
        records().prop_map(Up::Records),
        any::<(Ticket, u32, u32)>().prop_map(|(ticket, rows, right)| Up::Score {
            ticket,
            rows,
            right
        }),
        live().prop_map(Up::Live),
    ]
}

fn contexts() -> impl Strategy<Value = Context> {
    any::<(u32, u16, u32, u32)>().prop_map(|(session, worker, round, from)| Context {
        kind: Kind::Message,
        session,
        worker,
        round,
        from,
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=BODY_LEN_MAX)
}

/// Payload of the frame that `emit` writes, after a round trip.
fn through_a_frame(
    context: &Context,
    emit: impl FnOnce(&mut [u8; FRAME_LEN_MAX]) -> usize,
) -> Vec<u8> {
    let mut wire = [0; FRAME_LEN_MAX];
    let len = emit(&mut wire);
    let (mut deframer, mut counters) = (Deframer::new(), Counters::default());
    let (rest, frame) = deframer.feed(&wire[..len], &mut counters);
    assert!(rest.is_empty());
    frame.expect("one frame").check(context).expect("a good one").to_vec()
}

proptest! {
    #[test]
    fn down_messages_round_trip(
        address: u16, message in downs(), body in bodies(), context in contexts(),
    ) {
        // Setup messages have long heads and no bodies.
        let body = if message.is_setup() { vec![] } else { body };
        let payload = through_a_frame(&context, |out| message.emit(address, &body, &context, out));
        prop_assert_eq!(Down::parse(&payload), Ok((address, message, &body[..])));
    }

    #[test]
    fn up_messages_round_trip(message in ups(), body in bodies(), context in contexts()) {
        let body = if message.is_setup() { vec![] } else { body };
        let payload = through_a_frame(&context, |out| message.emit(&body, &context, out));
        prop_assert_eq!(Up::parse(&payload), Ok((message, &body[..])));
        if let Up::Ready(ready) = message {
            let known = (ready.version != 0).then_some((ready.version, ready.schema));
            prop_assert_eq!(greeting(&payload), known);
        }
    }

    #[test]
    fn arbitrary_bytes_parse_or_are_unparsable(
        tag in 0u8..13, payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        // Without a prefix, with a tag and with address and tag, so that the fields are reached.
        for head in [&[][..], &[tag], &[0, tag]] {
            let payload = &[head, &payload].concat();
            for parsed in [Down::parse(payload).err(), Up::parse(payload).err()] {
                prop_assert!(matches!(parsed, None | Some(Reject::Unparsable)));
            }
            if let Ok((Up::Ready(ready), _)) = Up::parse(payload) {
                prop_assert_eq!(greeting(payload).is_some(), ready.version != 0);
            }
        }
    }
}

#[test]
fn longest_records_fit_a_frame() {
    let classes: Vec<u8> = (0..CLASSES_MAX)
        .flat_map(|_| {
            let mut bytes = [0; 40];
            let class =
                ClassRecords { name: "15 bytes at most", training: u32::MAX, test: u32::MAX };
            let class = ClassRecords { name: &class.name[..CLASS_NAME_LEN_MAX], ..class };
            let len = class.emit(&mut bytes).expect("it fits");
            bytes[..len].to_vec()
        })
        .collect();
    assert_eq!(classes.len(), CLASSES_LEN_MAX);
    let recipe = Recipe {
        channels: u8::MAX,
        window: u16::MAX,
        hop: u16::MAX,
        features: Features::from_bits(u8::MAX),
        rate_millihertz: u32::MAX,
    };
    let refusal = RecordRefusal::Window { need: u32::MAX, room: u32::MAX };
    let records = Records {
        echo: u16::MAX,
        outcome: Outcome::Refused(refusal),
        channels: u8::MAX,
        recipe: Some(recipe),
        recording: u16::MAX,
        next: u16::MAX,
        is_open: true,
        progress: Progress { samples: u32::MAX, rows: u32::MAX, gaps: u32::MAX },
        room: u32::MAX,
        discarded: u32::MAX,
        checksum: u32::MAX,
        classes: &classes,
        columns: &[0xff; COLUMNS_LEN_MAX],
    };
    let message = Up::Records(records);
    let payload = through_a_frame(&Context::SETUP, |out| message.emit(&[], &Context::SETUP, out));
    assert_eq!(payload.len(), CLASSES_LEN_MAX + COLUMNS_LEN_MAX + 71);
    assert_eq!(Up::parse(&payload), Ok((message, &[][..])));
    assert!(records.classes().all(|class| class.training == ROW_COUNT_MAX));
    assert_eq!((records.classes().count(), records.columns().count()), (16, 96));
}

#[test]
fn loss_saturates_at_24_bits() {
    for mantissa in [0, 1, -1, Loss::MAX, -Loss::MAX] {
        assert_eq!(Loss::new(i64::from(mantissa)).mantissa(), mantissa);
    }
    assert_eq!(Loss::new(i64::MAX).mantissa(), Loss::MAX);
    assert_eq!(Loss::new(i64::MIN).mantissa(), -Loss::MAX);
}

#[test]
fn greeting_is_read_from_unknown_version() {
    let mut payload = [0; 32];
    let len = postcard::to_slice(&(0u32, 300u16, [7u8; 8]), &mut payload).unwrap().len();
    assert_eq!(greeting(&payload[..len]), Some((300, [7; 8])));
    assert!(Up::parse(&payload[..len]).is_err());
}

#[test]
fn echoed_hello_is_not_a_greeting() {
    let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
    let echo =
        through_a_frame(&Context::SETUP, |out| hello.emit(BROADCAST, &[], &Context::SETUP, out));
    assert_eq!((Up::parse(&echo), greeting(&echo)), (Err(Reject::Unparsable), None));
}
