//! The content of a board's journal after power cuts, and its benefit.

use proptest::prelude::*;
use smidgen::options::Method;
use smidgen::world::World;
use smidgen_aggregator::Event;
use smidgen_firmware::journal::{
    BLOCK_LEN, CHUNK_LEN_MAX, DataChunk, DataId, FlashJournal, Journal, LocalState,
    LocalStateRequest, MODEL_PAGES, ModelHead, StoredModel,
};
use smidgen_protocol::frame::checksum;
use smidgen_tests::conformance::{each, experiment};
use smidgen_tests::faulty::{Fault, FaultySimulation};
use smidgen_tests::flash::{self, DATA_PAGES, Flash};
use std::time::Duration;

/// Pages of a journal that are for data.
const PAGES: usize = DATA_PAGES as usize;
/// Bytes of content in a page.
const PAGE_ROOM: usize = 1024 - BLOCK_LEN;
/// The most data that the memory of a micro:bit holds.
const DATA_LEN_MAX: usize = 12_288;

/// Stores data in a journal, in pieces of `grains` blocks.
fn keep(journal: &mut FlashJournal<Flash>, data: &[u8], grains: usize) {
    let data_id = DataId { checksum: checksum(data), len: data.len() as u32 };
    let len = grains * BLOCK_LEN;
    for (offset, bytes) in (0..).step_by(len).zip(data.chunks(len)) {
        journal.store_data(&DataChunk { data_id, offset, bytes });
    }
}

/// Restarts the board. Returns the journal, and the first bytes of its memory.
fn restart(journal: FlashJournal<Flash>, len: usize) -> (FlashJournal<Flash>, Vec<u8>) {
    let mut flash = journal.close();
    flash.restore_power();
    let mut memory = vec![0; DATA_LEN_MAX / 8];
    let journal = FlashJournal::open(flash, DATA_PAGES, &mut memory);
    (journal, bytemuck::cast_slice(&memory)[..len].to_vec())
}

fn new() -> FlashJournal<Flash> {
    FlashJournal::open(Flash::new(PAGES), DATA_PAGES, &mut [])
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..DATA_LEN_MAX)
}

#[test]
fn a_power_cut_at_any_word_leaves_old_or_new_data() {
    let old: Vec<u8> = (0..2500).map(|i| i as u8).collect();
    let new_data: Vec<u8> = (0..2300).map(|i| (i * 7) as u8).collect();
    let mut cuts_that_hurt = 0;
    for words in 1.. {
        let mut journal = new();
        keep(&mut journal, &old, 3);
        journal.flash().cut_after(words);
        keep(&mut journal, &new_data, 5);
        let all_written = !journal.flash().is_cut();
        let (mut journal, found) = restart(journal, old.len());
        if all_written {
            assert_eq!(found[..new_data.len()], new_data);
            break;
        }
        let good = found == old || found[..new_data.len()] == new_data;
        assert!(good, "power that fails in word {words} leaves neither");
        cuts_that_hurt += u32::from(found == old);
        keep(&mut journal, &new_data, 5);
        assert_eq!(restart(journal, new_data.len()).1, new_data);
    }
    assert!(cuts_that_hurt > 2300 / 4, "{cuts_that_hurt}");
}

proptest! {
    #[test]
    fn the_latest_complete_data_are_found(
        runs in prop::collection::vec((data(), 1..=CHUNK_LEN_MAX / BLOCK_LEN, prop::option::of(1u64..4000)), 1..12),
    ) {
        let (mut journal, mut last) = (new(), vec![]);
        for (data, grains, cut) in runs {
            if let Some(words) = cut {
                journal.flash().cut_after(words);
            }
            keep(&mut journal, &data, grains);
            let cut = journal.flash().is_cut();
            let (reopened, found) = restart(journal, data.len().max(last.len()));
            journal = reopened;
            if !cut || found[..data.len()] == data {
                last = data;
            }
            prop_assert_eq!(&found[..last.len()], &last[..]);
        }
    }

    #[test]
    fn all_pages_wear_alike(runs in prop::collection::vec(data(), 1..40)) {
        let mut journal = new();
        for data in runs {
            keep(&mut journal, &data, CHUNK_LEN_MAX / BLOCK_LEN);
            (journal, _) = restart(journal, 0);
        }
        let erasures = journal.flash().erasures();
        let (least, most) = (erasures.iter().min().unwrap(), erasures.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", erasures);
    }

    #[test]
    fn private_state_is_found_by_name_and_pages_wear_alike(
        rounds in prop::collection::vec((1..300usize, any::<i8>(), prop::option::weighted(0.1, 1u64..400)), 1..100),
    ) {
        let mut journal = FlashJournal::open(Flash::new(flash::PAGES), DATA_PAGES, &mut []);
        let (mut last, mut cuts) = (None, 0);
        for (name, (len, exponent, cut)) in (0u64..).map(|n| n << 40 | n).zip(rounds) {
            let mantissas: Vec<i32> = (0..len as i32).map(|j| j << 20 ^ name as i32).collect();
            if let Some(words) = cut {
                journal.flash().cut_after(words);
            }
            journal.store_local_state(&LocalState { name, exponent, mantissas: &mantissas });
            if journal.flash().is_cut() {
                cuts += 1;
            } else {
                last = Some((name, exponent, mantissas));
            }
            (journal, _) = restart(journal, 0);
            let Some((name, exponent, mantissas)) = &last else { continue };
            let mut found = vec![0; mantissas.len()];
            let recall = LocalStateRequest { name: *name, mantissas: &mut found };
            prop_assert_eq!(journal.load_local_state(recall), Some(*exponent));
            prop_assert_eq!(&found, mantissas);
            let other = LocalStateRequest { name: name ^ 1 << 33, mantissas: &mut found };
            prop_assert_eq!(journal.load_local_state(other), None);
        }
        // A page whose erasure power interrupts is erased again.
        let erasures = &journal.flash().erasures()[PAGES..flash::PAGES - MODEL_PAGES as usize];
        let (least, most) = (erasures.iter().min().unwrap(), erasures.iter().max().unwrap());
        prop_assert!(most - least <= 1 + cuts, "{:?}", erasures);
    }

    #[test]
    fn incomplete_records_wear_pages_alike_and_keep_the_data(
        old in data(),
        len in 2 * CHUNK_LEN_MAX..6 * 1024,
        loads in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..300),
    ) {
        let mut journal = new();
        keep(&mut journal, &old, CHUNK_LEN_MAX / BLOCK_LEN);
        let new_data: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let before = journal.flash().erasures().to_vec();
        for (pieces, power_fails) in loads {
            let pieces = 1 + pieces.index(len.div_ceil(CHUNK_LEN_MAX) - 1);
            let data_id = DataId { checksum: checksum(&new_data), len: len as u32 };
            for (offset, bytes) in (0..).step_by(CHUNK_LEN_MAX).zip(new_data.chunks(CHUNK_LEN_MAX)).take(pieces) {
                journal.store_data(&DataChunk { data_id, offset, bytes });
            }
            if power_fails {
                let found;
                (journal, found) = restart(journal, old.len());
                prop_assert_eq!(&found, &old);
            }
        }
        let erasures = journal.flash().erasures().iter().zip(&before).map(|(now, before)| now - before);
        let (total, most) = (erasures.clone().sum::<u64>(), erasures.max().unwrap());
        // Pages at which the new data may begin without overwriting the old data.
        let begins = PAGES - old.len().div_ceil(PAGE_ROOM) - len.div_ceil(PAGE_ROOM) + 1;
        prop_assert!(most <= total / begins as u64 + 1, "{:?}", journal.flash().erasures());
        keep(&mut journal, &new_data, CHUNK_LEN_MAX / BLOCK_LEN);
        prop_assert_eq!(restart(journal, len).1, new_data);
    }

    #[test]
    fn every_load_skips_a_worn_out_page(
        old in data(),
        new_data in prop::collection::vec(1u8.., 1..4 * PAGE_ROOM),
        worn in prop::collection::vec(0..6 * 1024usize, 1..5),
    ) {
        let mut journal = new();
        keep(&mut journal, &old, CHUNK_LEN_MAX / BLOCK_LEN);
        let next = old.len().div_ceil(PAGE_ROOM) * 1024;
        worn.iter().for_each(|offset| journal.flash().wear_out(next + offset));
        let mut loads = 0;
        loop {
            keep(&mut journal, &new_data, CHUNK_LEN_MAX / BLOCK_LEN);
            loads += 1;
            let found;
            (journal, found) = restart(journal, old.len().max(new_data.len()));
            if found[..new_data.len()] == new_data {
                break;
            }
            prop_assert_eq!(&found[..old.len()], &old);
            prop_assert!(loads <= worn.len(), "{} loads", loads);
        }
    }

    #[test]
    fn local_state_survives_worn_out_pages(
        lens in prop::collection::vec(1..300usize, 1..100),
        worn in prop::collection::vec(0..64 * 1024usize, 1..4),
    ) {
        let mut journal = FlashJournal::open(Flash::new(flash::PAGES), DATA_PAGES, &mut []);
        worn.iter().for_each(|&offset| journal.flash().wear_out(PAGES * 1024 + offset));
        for (name, len) in (0..).zip(lens) {
            let mantissas: Vec<i32> = (0..len as i32).map(|j| !(j << 20 ^ name as i32)).collect();
            journal.store_local_state(&LocalState { name, exponent: -3, mantissas: &mantissas });
            (journal, _) = restart(journal, 0);
            let mut found = vec![0; len];
            let recall = LocalStateRequest { name, mantissas: &mut found };
            prop_assert_eq!(journal.load_local_state(recall), Some(-3));
            prop_assert_eq!(found, mantissas);
        }
    }

    #[test]
    fn a_flash_with_other_content_becomes_a_journal(
        garbage in prop::collection::vec(any::<u8>(), PAGES * 1024), data in data(),
    ) {
        let mut flash = Flash::new(PAGES);
        embedded_storage::nor_flash::NorFlash::write(&mut flash, 0, &garbage).unwrap();
        let mut journal = FlashJournal::open(flash, DATA_PAGES, &mut vec![0; DATA_LEN_MAX / 8]);
        keep(&mut journal, &data, 30);
        prop_assert_eq!(restart(journal, data.len()).1, data);
    }

    #[test]
    fn incomplete_data_are_not_found(data in data(), missing: prop::sample::Index) {
        let mut journal = new();
        let data_id = DataId { checksum: checksum(&data), len: data.len() as u32 };
        let pieces: Vec<_> = (0..).step_by(CHUNK_LEN_MAX).zip(data.chunks(CHUNK_LEN_MAX)).collect();
        let missing = missing.index(pieces.len());
        for (number, &(offset, bytes)) in pieces.iter().enumerate() {
            if number != missing {
                journal.store_data(&DataChunk { data_id, offset, bytes });
            }
        }
        prop_assert_ne!(restart(journal, data.len()).1, data);
    }
}

#[test]
fn a_dead_flash_is_tried_once_per_start() {
    let mut journal = FlashJournal::open(Flash::new(flash::PAGES), DATA_PAGES, &mut []);
    for page in 0..flash::PAGES {
        (12..16).for_each(|byte| journal.flash().wear_out(page * 1024 + byte));
    }
    for _ in 0..2 {
        for round in 0..10 {
            keep(&mut journal, &[1; 3000], CHUNK_LEN_MAX / BLOCK_LEN);
            let mut mantissas = [7; 40];
            journal.store_local_state(&LocalState {
                name: round,
                exponent: 1,
                mantissas: &mantissas,
            });
            let recall = LocalStateRequest { name: round, mantissas: &mut mantissas };
            assert_eq!(journal.load_local_state(recall), None);
            let head = ModelHead { objective: 0, dimension: 1, data_len: 2, x_exponent: 3 };
            assert!(!journal.store_model(&StoredModel { head, bytes: &[1; 200] }));
        }
        (journal, _) = restart(journal, 0);
    }
    assert_eq!(journal.flash().erasures(), [2; flash::PAGES]);
}

/// The transcripts of 20 rounds with at most one restart of a worker, and the bytes of data that it held then.
fn run(options: &str, journals: bool, restart: Option<Duration>) -> (Vec<u64>, Option<u32>) {
    let options = format!("{options} --workers 4 --rounds 20");
    let mut world = FaultySimulation::new(&experiment(&options));
    if journals {
        world = world.with_journals();
    }
    let (mut transcripts, mut had) = (vec![], None);
    loop {
        match world.next_event().unwrap() {
            Event::Closed(closed) => {
                transcripts.push(closed.transcript);
                if let Some(later) = restart.filter(|_| closed.round == 10) {
                    world.plan(world.now() + later, 1, Fault::Reboot);
                }
                match closed.round {
                    20 => world.aggregator().finish(),
                    _ => world.aggregator().proceed(),
                }
            }
            Event::Loaded { worker: 1, held, .. } if world.aggregator().reboots(1) == 1 => {
                had = had.or(Some(held));
            }
            Event::Finished(_) => return (transcripts, had),
            Event::Failed(failure) => panic!("{failure:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_worker_with_a_journal_is_not_sent_its_data_again() {
    let data_len = experiment("--workers 4").setup.shares[1].data.len() as u32;
    let soon = Some(Duration::from_millis(3));
    let (transcripts, had) = run("", false, soon);
    assert_eq!(had, Some(0));
    assert_eq!(run("", true, soon), (transcripts, Some(data_len)));
}

#[test]
fn local_state_survives_a_restart_at_any_moment() {
    let all = each::<Method>("--method").into_iter();
    let keeps = |options: &String| experiment(options).setup.method.rule.has_local_state();
    let mut methods: Vec<_> = all.filter(keeps).collect();
    assert!(methods.len() >= 3, "{methods:?}");
    methods.push("--method ef21-sgdm --batch 8 --step auto".into());
    for method in methods {
        let options = method.as_str();
        let (clean, _) = run(options, false, None);
        let mut lost = 0;
        for later in (0..200).step_by(3).map(Duration::from_millis) {
            assert_eq!(run(options, true, Some(later)).0, clean, "{method} after {later:?}");
            lost += u32::from(run(options, false, Some(later)).0 != clean);
        }
        assert!(lost > 10, "{method}: without a journal {lost} restarts change the run");
    }
}
