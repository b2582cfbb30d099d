//! Models that a board keeps in flash.

use super::super::main_loop::{Line, Port};
use super::*;
use proptest::prelude::*;
use smidgen_firmware::journal::{
    DataChunk, DataId, FlashJournal, Journal, LocalState, ModelHead, StoredModel,
};
use smidgen_firmware::run::sync_journal;
use smidgen_protocol::message::{SCHEMA, VERSION};
use smidgen_protocol::seal::{BOOT_LEN, HostSeal, Key, WorkerSeal};
use smidgen_tests::flash::{DATA_PAGES, PAGES, Tear};

/// A worker after a boot with a journal.
fn start(flash: Flash, len: usize) -> (Worker<Vec<u64>>, FlashJournal<Flash>) {
    let mut memory = vec![u64::MAX; len / 8];
    let journal = FlashJournal::open(flash, DATA_PAGES, &mut memory);
    let mut worker = Worker::new::<Objectives>(BOARD, memory);
    worker.enable_recorder();
    (worker, journal)
}

#[test]
fn kept_model_classifies_after_a_power_cut() {
    for problem in 0..problems().len() {
        let (mut host, names) = trained(problem);
        let samples = samples(1, 60, 5);
        let expected = on_host(&host, rows_of(&samples).last().expect("a row"));
        // Without a journal there is no place.
        let keep = Down::Keep { ticket: host.next_ticket() };
        assert_eq!(host.acknowledged(keep, &[]), 0);
        let (_, mut journal) = start(Flash::new(PAGES), MEMORY);
        sync_journal(&mut host.worker, &mut journal);
        let keep = Down::Keep { ticket: host.next_ticket() };
        host.send(&host.frame(keep, &[]));
        sync_journal(&mut host.worker, &mut journal);
        let answer = host.serve().expect("an answer");
        let kept = Up::Ack { ticket: keep.ticket().unwrap(), value: 1 };
        let payload = payload(&answer, &host.worker_context());
        assert_eq!(Up::parse(&payload), Ok((kept, &[][..])));
        assert_eq!(host.ask(keep, &[]), answer, "the answer is given again");

        // A run on other data does not lose it, in memory of any length that has room for it.
        let other = vec![7; 900];
        let data_id = DataId { checksum: checksum(&other), len: 900 };
        for (offset, bytes) in (0..).step_by(512).zip(other.chunks(512)) {
            journal.store_data(&DataChunk { data_id, offset, bytes });
        }
        let mantissas = [5; 40];
        journal.store_local_state(&LocalState { name: 1, exponent: 2, mantissas: &mantissas });
        let flash = journal.close();
        for len in [MEMORY, 4096] {
            let (worker, mut journal) = start(flash.clone(), len);
            host.restart(worker);
            host.worker.restore_model(&mut journal, &mut Objectives);
            host.recorder = Some(ScriptedRecorder::new(Flash::new(8)));
            let status = live(&mut host);
            assert_eq!(seen(&status).state, LiveState::Watching);
            watch(&mut host, samples.clone());
            let status = live(&mut host);
            let latest = seen(&status).latest.expect("a window");
            let Classes { class, score, exponent, .. } = expected;
            let name = names[usize::from(class)];
            assert_eq!(latest, Seen { class, name, score, exponent });
        }
        // The data of the run are still where its worker expects them.
        let mut memory = vec![0; MEMORY / 8];
        let mut journal = FlashJournal::open(flash.clone(), DATA_PAGES, &mut memory);
        let mut worker = Worker::new::<Objectives>(BOARD, &mut memory[..]);
        worker.restore_model(&mut journal, &mut Objectives);
        assert!(worker.model_number().is_some());
        assert_eq!(bytemuck::cast_slice::<_, u8>(&memory)[..900], other);
        // Too little memory for the model, and for both the model and the data.
        for len in [256, 1000] {
            let mut memory = vec![0; len / 8];
            let mut journal = FlashJournal::open(flash.clone(), DATA_PAGES, &mut memory);
            let data = memory.clone();
            let mut worker = Worker::new::<Objectives>(BOARD, &mut memory[..]);
            worker.restore_model(&mut journal, &mut Objectives);
            assert_eq!(worker.model_number(), None, "{len}");
            assert_eq!(memory, data);
        }
    }
}

/// Stores a model of this length.
fn store(journal: &mut FlashJournal<Flash>, seed: u8, len: usize) -> bool {
    let head = ModelHead { objective: 7, dimension: seed.into(), data_len: 9, x_exponent: -3 };
    journal.store_model(&StoredModel { head, bytes: &vec![seed; len] })
}

/// The model in a journal after a restart: its seed.
fn kept(journal: FlashJournal<Flash>, lens: &[(u8, usize)]) -> (FlashJournal<Flash>, Option<u8>) {
    let mut flash = journal.close();
    flash.restore_power();
    let mut journal = FlashJournal::open(flash, DATA_PAGES, &mut vec![0; 2048]);
    let Some(head) = journal.model_head() else { return (journal, None) };
    assert_eq!((head.objective, head.data_len, head.x_exponent), (7, 9, -3));
    let seed = head.dimension as u8;
    let len = lens.iter().find(|of| of.0 == seed).expect("a model that was stored").1;
    let mut bytes = vec![0; len];
    assert!(journal.load_model(&mut bytes));
    assert_eq!(bytes, vec![seed; len]);
    assert!(!journal.load_model(&mut vec![0; len + 8]));
    (journal, Some(seed))
}

#[test]
fn a_power_cut_at_any_word_leaves_old_or_new_model() {
    let lens = [(1, 2504), (2, 1200), (3, 3000)];
    for tear in Tear::ALL {
        let mut cuts_that_hurt = 0;
        for words in 1.. {
            let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
            assert!(store(&mut journal, 1, lens[0].1));
            assert!(store(&mut journal, 2, lens[1].1));
            let mut flash = journal.close();
            flash.set_tear(tear);
            flash.cut_after(words);
            let mut journal = FlashJournal::open(flash, DATA_PAGES, &mut vec![0; 2048]);
            let is_kept = store(&mut journal, 3, lens[2].1);
            let is_cut = journal.flash().is_cut();
            let (journal, found) = kept(journal, &lens);
            assert!(found == Some(3) || found == Some(2) && !is_kept, "cut after {words} words");
            cuts_that_hurt += u32::from(found == Some(2));
            // And the journal goes on.
            let mut journal = journal;
            assert!(store(&mut journal, 1, lens[0].1));
            assert_eq!(kept(journal, &lens).1, Some(1));
            if !is_cut {
                break;
            }
        }
        assert!(cuts_that_hurt > 700, "{cuts_that_hurt}");
    }
}

#[test]
fn model_that_has_no_room_beside_the_old_one_is_not_kept() {
    let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
    assert!(store(&mut journal, 1, 8000));
    assert!(!store(&mut journal, 2, 9000));
    assert_eq!(kept(journal, &[(1, 8000)]).1, Some(1));
    // A flash without pages for models.
    let mut journal = FlashJournal::open(Flash::new(33), DATA_PAGES, &mut []);
    assert!(!store(&mut journal, 1, 8));
    assert_eq!(kept(journal, &[]).1, None);
}

proptest! {
    #[test]
    fn models_survive_worn_out_pages(
        lens in prop::collection::vec(1..2000usize, 1..30),
        worn in prop::collection::vec(0..16 * 1024usize, 1..4),
    ) {
        let mut journal = FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut []);
        let first = (PAGES - 16) * 1024;
        worn.iter().for_each(|&offset| journal.flash().wear_out(first + offset));
        for (seed, len) in (1..).zip(lens) {
            let lens = [(seed, len / 8 * 8)];
            prop_assert!(store(&mut journal, seed, lens[0].1));
            let found;
            (journal, found) = kept(journal, &lens);
            prop_assert_eq!(found, Some(seed));
        }
    }
}

#[test]
fn main_loop_watches_while_the_line_is_quiet_and_again_after_a_power_cut() {
    let (trained, names) = trained(0);
    let samples = samples(1, 55, 5);
    let expected = on_host(&trained, rows_of(&samples).last().expect("a row"));
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    for is_sealed in [false, true] {
        let key = Key::new(&[9; 32]).expect("a key");
        let boot = |flash: Flash, boot: u8| {
            let (mut worker, mut journal) = start(flash, MEMORY);
            worker.restore_model(&mut journal, &mut Objectives);
            if is_sealed {
                worker.seal(WorkerSeal::new(key.clone(), [boot; BOOT_LEN]));
            }
            let (port, recorder) = (Port::default(), ScriptedRecorder::new(Flash::new(4)));
            let seal = is_sealed.then(|| HostSeal::new(key.clone()));
            let mut line = Line { port, worker, recorder, journal, seal };
            let hello = Down::Hello { version: VERSION, schema: SCHEMA, echo: 1 };
            assert!(matches!(Up::parse(&line.ask(hello, 0)), Ok((Up::Ready(_), []))));
            line
        };
        let mut line = boot(Flash::new(PAGES), 5);
        let question = Down::Live { echo: 3, identity: BOARD.identity };
        assert_eq!(seen(&line.ask(question, 0)).state, LiveState::NoModel);
        let configure = Configure {
            ticket: 1,
            data_len: data.len() as u32,
            data_checksum: checksum(&data),
            ..trained.configure
        };
        let down = Context::downlink(configure.session);
        let up = Context { worker: configure.worker, ..down };
        line.ask_in(&Context::SETUP, &up, Down::Configure(configure), &[], 0);
        line.ask_in(&down, &up, Down::Data { ticket: 2, offset: 0 }, &data, 0);
        let exponents = trained.exponents;
        let announce = Down::Announce { ticket: 3, exponents, gamma_n: Ratio::ONE };
        line.ask_in(&down, &up, announce, &[], 0);
        let x = trained.worker.state().unwrap().0;
        let mut body = [0; 463];
        let entries = (0..).zip(x).map(|(j, &m)| (j, m.into())).filter(|&(_, m)| m != 0);
        let form = Form { value_bits: 32, ..Form::FIRST };
        let len = encode(&mut body, &Terms::plain(30, 0), form, entries).len;
        let part = Down::Part { ticket: 4, part: Part::Model, from: 0, until: 30 };
        line.ask_in(&down, &up, part, &body[..len], 0);
        let kept = line.ask_in(&down, &up, Down::Keep { ticket: 5 }, &[], 0);
        assert_eq!(Up::parse(&kept), Ok((Up::Ack { ticket: 5, value: 1 }, &[][..])));
        for boots in 0..3 {
            if boots > 0 {
                line = boot(line.journal.close(), 5 + boots);
            }
            line.recorder.remote.sensor_mut().samples.extend(samples.clone());
            let status = line.ask(question, 55);
            let now = seen(&status);
            assert_eq!((now.state, now.samples, now.windows), (LiveState::Watching, 55, 4));
            let latest = now.latest.expect("a window");
            assert_eq!((latest.class, latest.score), (expected.class, expected.score));
            assert_eq!(latest.name, names[usize::from(expected.class)]);
        }
    }
}
