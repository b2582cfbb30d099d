//! The rows of a recorder: in flash after power cuts, and those of a data set against f64.

use proptest::prelude::*;
use smidgen_firmware::recorder::store::{Counts, RamFlash, Store, StoreError};
use smidgen_protocol::message::CLASSES_MAX;
use smidgen_protocol::recipe::{Features, Recipe};
use smidgen_tests::flash::{Flash, Tear};

/// Recipes whose rows have an odd, an even and a large number of values.
const RECIPES: [Recipe; 3] = [recipe(3, Features::DEFAULT), recipe(2, Features::DEFAULT), LARGE];
const LARGE: Recipe = recipe(16, Features::from_bits(0b11_1111));
const CLASSES: [&str; 4] = ["standing", "walking", "a name of 15 B.", "ä"];

const fn recipe(channels: u8, features: Features) -> Recipe {
    Recipe { channels, window: 50, hop: 25, features, rate_millihertz: 10_000 }
}

/// What a user or a sensor does with a store.
#[derive(Clone, Copy, Debug)]
enum Action {
    Prepare(usize),
    Begin { class: usize, is_test: bool },
    Push(i16),
    End,
    Discard,
    Clear(usize),
    Reset,
}

use Action::{Begin, Clear, Discard, End, Prepare, Push, Reset};

/// A recording, as a user sees it.
#[derive(Clone, Debug, PartialEq)]
struct Recording {
    class: String,
    is_test: bool,
    is_discarded: bool,
    rows: Vec<Vec<i16>>,
}

/// What a store has to hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    recipe: Option<Recipe>,
    classes: Vec<String>,
    /// Those with rows.
    recordings: Vec<Recording>,
}

impl Content {
    /// The content that a store shows.
    fn of(store: &Store<Flash>) -> Self {
        let classes: Vec<_> = store.classes().map(|class| class.1.to_owned()).collect();
        let mut rows: Vec<_> = store.rows().collect();
        rows.reverse();
        assert!(rows.is_sorted_by(|one, next| one.index < next.index), "{rows:?}");
        let recordings = rows.chunk_by(|one, next| one.recording == next.recording);
        let recordings = recordings.map(|rows| Recording {
            class: classes[usize::from(rows[0].class)].clone(),
            is_test: rows[0].is_test,
            is_discarded: rows[0].is_discarded,
            rows: rows.iter().map(|row| store.values_of(row).to_vec()).collect(),
        });
        let recordings = recordings.collect();
        Self { recipe: store.recipe().copied(), classes, recordings }
    }

    fn is_empty(&self) -> bool {
        self.recordings.iter().all(|recording| recording.is_discarded)
    }

    /// What the store counts.
    fn counts(&self) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); CLASSES_MAX];
        for Recording { class, is_test, is_discarded, rows } in &self.recordings {
            let class = self.classes.iter().position(|name| name == class).unwrap();
            let count = match (is_discarded, is_test) {
                (true, _) => &mut counts[class].discarded,
                (false, true) => &mut counts[class].test,
                (false, false) => &mut counts[class].training,
            };
            *count += rows.len() as u32;
        }
        counts
    }
}

/// What a store has to hold, and the recording that rows are added to.
#[derive(Clone, Debug, Default)]
struct Model {
    content: Content,
    open: Option<Recording>,
    /// The open recording has rows: it is the last one of the content.
    has_rows: bool,
}

impl Model {
    /// Adds the class of the open recording.
    fn name_class(&mut self) {
        let class = self.open.as_ref().map(|open| open.class.clone());
        let new = class.filter(|class| !self.content.classes.contains(class));
        self.content.classes.extend(new);
    }

    /// Carries out an action that the store carried out.
    fn apply(&mut self, action: Action) {
        let Content { recipe, recordings, .. } = &mut self.content;
        match action {
            Prepare(nth) if *recipe == Some(RECIPES[nth]) => {}
            Prepare(nth) | Clear(nth) => {
                *self = Self::default();
                self.content.recipe = Some(RECIPES[nth]);
            }
            Begin { class, is_test } => {
                let class = CLASSES[class].to_owned();
                self.open = Some(Recording { class, is_test, is_discarded: false, rows: vec![] });
                self.has_rows = false;
            }
            Push(seed) => {
                if !self.has_rows {
                    self.name_class();
                    let open = self.open.clone().expect("a recording is open");
                    self.content.recordings.push(open);
                }
                let Content { recipe, recordings, .. } = &mut self.content;
                let row = values(&recipe.expect("the store has a recipe"), seed);
                recordings.last_mut().expect("it has rows").rows.push(row);
                self.has_rows = true;
            }
            Discard => {
                // An open recording without rows has nothing to discard; the one before stays.
                if self.open.take().is_none() || self.has_rows {
                    let last = recordings.iter_mut().rfind(|recording| !recording.is_discarded);
                    last.expect("a recording").is_discarded = true;
                }
            }
            End | Reset => self.open = None,
        }
    }
}

/// The values of a row; many are −1, which looks like erased flash.
fn values(recipe: &Recipe, seed: i16) -> Vec<i16> {
    let value = |k: i16| if (seed >> (k % 5)) & 1 == 0 { -1 } else { seed.wrapping_mul(k + 3) };
    (0..recipe.row_len() as i16).map(value).collect()
}

/// Carries out an action.
fn act(store: &mut Store<Flash>, action: Action) -> Result<(), StoreError> {
    match action {
        Prepare(recipe) => store.prepare(&RECIPES[recipe]),
        Begin { class, is_test } => store.begin(CLASSES[class], is_test),
        Push(seed) => match store.recipe().copied() {
            Some(recipe) => store.push(&values(&recipe, seed)),
            None => Err(StoreError::Blank),
        },
        End => {
            store.end();
            Ok(())
        }
        Discard => store.discard().map(drop),
        Clear(recipe) => store.clear(&RECIPES[recipe]),
        Reset => Ok(()),
    }
}

fn open(flash: Flash) -> Store<Flash> {
    Store::open(flash).expect("a region of whole pages")
}

/// Restores the power, and changes the flash before the board starts.
fn reset_after(store: Store<Flash>, change: impl FnOnce(&mut Flash)) -> Store<Flash> {
    let mut flash = store.close();
    flash.restore_power();
    change(&mut flash);
    open(flash)
}

fn reset(store: Store<Flash>) -> Store<Flash> {
    reset_after(store, |_| ())
}

/// Why a store must refuse an action, other than for lack of room.
fn refusal(model: &Model, action: Action) -> Option<StoreError> {
    let Model { content, open, has_rows } = model;
    let mut recordings = content.recordings.iter();
    match action {
        Prepare(nth) => {
            let fits = content.recipe == Some(RECIPES[nth]) || content.is_empty();
            (!fits).then_some(StoreError::OtherRecipe)
        }
        Begin { .. } | Push(_) if content.recipe.is_none() => Some(StoreError::Blank),
        Push(_) if open.is_none() => Some(StoreError::NotRecording),
        Discard if open.is_some() && !has_rows => None,
        Discard if recordings.all(|recording| recording.is_discarded) => {
            Some(StoreError::NoRecording)
        }
        Begin { .. } | Push(_) | Discard | End | Clear(_) | Reset => None,
    }
}

/// Asserts that a store holds and counts what it has to.
fn assert_holds(store: &Store<Flash>, content: &Content) {
    assert_eq!(&Content::of(store), content);
    assert_eq!(store.counts()[..], content.counts());
}

/// What a store has after a power cut in an action: all of it or nothing of it.
fn after_cut(store: &Store<Flash>, before: &Model, action: Action) -> Content {
    let found = Content::of(store);
    let mut whole = before.clone();
    whole.apply(action);
    let may_be_blank = matches!(action, Prepare(_) | Clear(_));
    // A new class is named before its first row.
    let mut named = before.clone();
    named.name_class();
    let is_known = found == before.content
        || matches!(action, Push(_)) && found == named.content
        || found == whole.content
        || may_be_blank && found == Content::default();
    assert!(is_known, "{action:?}: {found:#?} after {before:#?}");
    found
}

/// Carries out actions on a store of this many pages, and asserts its content after each.
///
/// Power fails after each of the numbers of changes in `cuts`. Returns the number of changes of the flash.
fn run(pages: usize, actions: &[Action], cuts: &[u64], tear: Tear) -> u64 {
    let (mut model, mut cuts) = (Model::default(), cuts.iter());
    let mut plan =
        |flash: &mut Flash| cuts.next().into_iter().for_each(|&words| flash.cut_after(words));
    let mut flash = Flash::new(pages);
    flash.set_tear(tear);
    plan(&mut flash);
    let mut store = open(flash);
    for &action in actions {
        let erasures = store.flash().erasures().to_vec();
        let before = model.clone();
        let outcome = act(&mut store, action);
        if let Begin { .. } | Discard = action {
            model.open = None;
        }
        if store.flash().is_cut() {
            store = reset_after(store, &mut plan);
            model.content = after_cut(&store, &before, action);
            model.open = None;
        } else {
            match (outcome, refusal(&before, action)) {
                (Ok(()), None) => {
                    model = before;
                    model.apply(action);
                }
                // A new class takes at most as much as two rows.
                (Err(StoreError::RowsFull), None) => {
                    let is_begin = matches!(action, Begin { .. });
                    assert!(store.room() <= if is_begin { 2 } else { 0 });
                }
                (Err(StoreError::DiscardsFull), None) => assert!(matches!(action, Discard)),
                (outcome, refusal) => assert_eq!(outcome.err(), refusal, "{action:?}"),
            }
        }
        if let Reset = action {
            store = reset(store);
        }
        assert_holds(&store, &model.content);
        if !matches!(action, Prepare(_) | Clear(_)) {
            assert_eq!(store.flash().erasures(), erasures, "{action:?} erases");
        }
    }
    store.flash().changes()
}

/// All kinds of writes, the last of them to a store that has been cleared.
const SCRIPT: [Action; 24] = [
    Prepare(0),
    Begin { class: 0, is_test: false },
    Push(3),
    Push(0),
    Push(-7),
    End,
    Begin { class: 1, is_test: true },
    Push(1),
    Discard,
    Begin { class: 1, is_test: true },
    Push(31),
    Reset,
    Begin { class: 0, is_test: false },
    Push(16),
    Discard,
    Discard,
    Begin { class: 3, is_test: false },
    Push(5),
    End,
    Clear(1),
    Begin { class: 2, is_test: false },
    Push(9),
    Push(-1),
    Discard,
];

#[test]
fn power_cut_at_any_word_leaves_an_action_done_or_undone() {
    for tear in Tear::ALL {
        let changes = run(2, &SCRIPT, &[], tear);
        assert!(changes > 80, "{changes}");
        for words in 1..=changes {
            run(2, &SCRIPT, &[words], tear);
            // Again while the store recovers.
            for again in 1..12 {
                run(2, &SCRIPT, &[words, again], tear);
            }
        }
    }
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        1 => (0..RECIPES.len()).prop_map(Prepare),
        4 => (0..CLASSES.len(), any::<bool>()).prop_map(|(class, is_test)| Begin { class, is_test }),
        20 => any::<i16>().prop_map(Push),
        2 => Just(End),
        3 => Just(Discard),
        1 => (0..RECIPES.len()).prop_map(Clear),
        1 => Just(Reset),
    ];
    let start = (0..RECIPES.len()).prop_map(|recipe| vec![Prepare(recipe)]);
    (start, prop::collection::vec(action, 0..150)).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn rows_survive_random_actions_and_power_cuts(
        actions in actions(),
        pages in 2usize..5,
        cuts in prop::collection::vec(1u64..300, 0..8),
        tear in prop::sample::select(Tear::ALL.to_vec()),
    ) {
        run(pages, &actions, &cuts, tear);
    }

    #[test]
    fn worn_out_bytes_cost_room_but_no_rows(
        worn in prop::collection::vec(32..4096usize, 1..4), rows in 1..60i16,
    ) {
        let mut store = open(Flash::new(4));
        store.prepare(&RECIPES[0]).unwrap();
        let room = store.room();
        store = reset_after(store, |flash| worn.iter().for_each(|&offset| flash.wear_out(offset)));
        let mut model = Model::default();
        for action in [Prepare(0), Begin { class: 0, is_test: false }].into_iter().chain((0..rows).map(Push)) {
            act(&mut store, action).unwrap();
            model.apply(action);
        }
        store = reset(store);
        assert_holds(&store, &model.content);
        prop_assert!(store.room() + rows as u32 <= room);
        prop_assert!(store.room() + rows as u32 + 4 * worn.len() as u32 + 4 >= room);
    }

    #[test]
    fn ram_holds_the_same_rows_after_a_reset(rows in prop::collection::vec(any::<i16>(), 0..40)) {
        let mut memory = vec![u64::MAX; 300];
        let mut store = Store::open(RamFlash::new(&mut memory)).unwrap();
        prop_assert_eq!(store.recipe(), None);
        store.prepare(&RECIPES[0]).unwrap();
        store.begin("running", true).unwrap();
        let row_of = |&seed: &i16| values(&RECIPES[0], seed);
        rows.iter().for_each(|seed| store.push(&row_of(seed)).unwrap());
        let store = Store::open(RamFlash::new(&mut memory)).unwrap();
        prop_assert_eq!(store.value_stride(), 9);
        prop_assert_eq!(store.values(), rows.iter().flat_map(row_of).collect::<Vec<_>>());
        prop_assert_eq!(store.counts()[0].test as usize, rows.len());
    }
}

#[test]
fn full_store_keeps_its_rows_and_still_discards() {
    for (nth, recipe) in RECIPES.iter().enumerate() {
        let mut store = open(Flash::new(3));
        let mut model = Model::default();
        let mut act_both = |store: &mut Store<Flash>, action| {
            let outcome = act(store, action);
            if outcome.is_ok() {
                model.apply(action);
            }
            assert_holds(store, &model.content);
            outcome
        };
        act_both(&mut store, Prepare(nth)).unwrap();
        let room = (3 * 1024 - 32 - 16 * 8) as u32;
        let row_len = (2 * recipe.row_len()).next_multiple_of(4) as u32 + 8;
        assert_eq!(store.room(), room / row_len);
        let mut count = 0;
        for recording in 0.. {
            let begin = Begin { class: recording % CLASSES.len(), is_test: recording % 3 == 0 };
            if let Err(error) = act_both(&mut store, begin) {
                assert_eq!(error, StoreError::RowsFull);
                break;
            }
            for seed in 0..3 {
                let left = store.room();
                match act_both(&mut store, Push(seed)) {
                    Ok(()) => assert_eq!(store.room(), left - 1),
                    Err(error) => assert_eq!((error, left), (StoreError::RowsFull, 0)),
                }
                count += left.min(1);
            }
        }
        // Four names take three entries each.
        assert!(count >= (room - 4 * 24) / row_len, "{count} rows of {row_len} bytes");
        for _ in 0..4 {
            act_both(&mut store, Discard).unwrap();
        }
        assert_holds(&reset(store), &model.content);
    }
}

#[test]
fn discards_end_with_an_error_when_the_log_is_full() {
    let mut store = open(Flash::new(2));
    store.prepare(&RECIPES[1]).unwrap();
    while store.room() > 0 {
        store.begin("walking", false).unwrap();
        store.push(&values(&RECIPES[1], 3)).unwrap();
    }
    let recordings = store.rows().count();
    let discarded = (0..recordings).take_while(|_| store.discard().is_ok()).count();
    assert!(discarded >= 16, "{discarded}");
    assert_eq!(store.discard(), Err(StoreError::DiscardsFull));
    assert_eq!(store.counts()[0].discarded as usize, discarded);
    assert_eq!(store.counts()[0].training as usize, recordings - discarded);
}

#[test]
fn refused_names_classes_and_rows_change_nothing() {
    let mut store = open(Flash::new(3));
    assert_eq!(store.begin("walking", false), Err(StoreError::Blank));
    store.prepare(&RECIPES[0]).unwrap();
    assert_eq!(store.push(&[0; 9]), Err(StoreError::NotRecording));
    for name in ["", "a name of 16 B.."] {
        assert_eq!(store.begin(name, false), Err(StoreError::ClassName));
    }
    for class in 0..CLASSES_MAX {
        // Also after names that were mistyped.
        store.begin("clas", false).unwrap();
        store.begin(&format!("class {class}"), false).unwrap();
        store.push(&[0; 9]).unwrap();
    }
    assert_eq!(store.begin("one more", false), Err(StoreError::ClassesFull));
    store.begin("class 15", false).unwrap();
    assert_eq!(store.push(&[0; 8]), Err(StoreError::RowLength));
    assert_eq!(store.push(&[0; 10]), Err(StoreError::RowLength));
    store.push(&[0; 9]).unwrap();
    assert!(store.rows().map(|row| row.class).eq([15].into_iter().chain((0..16).rev())));
}

#[test]
fn clearing_a_few_rows_erases_the_pages_with_content() {
    let mut store = open(Flash::new(96));
    store.prepare(&RECIPES[0]).unwrap();
    // The first page may be one whose erasure was cut.
    assert_eq!(store.flash().erasures()[0], 1);
    assert!(store.flash().erasures()[1..].iter().all(|&erasures| erasures == 0));
    store.begin("walking", false).unwrap();
    store.push(&[1; 9]).unwrap();
    store.clear(&RECIPES[1]).unwrap();
    let erased: Vec<_> = (0..96).filter(|&page| store.flash().erasures()[page] > 0).collect();
    assert_eq!(erased, [0, 95]);
}

/// A page whose erasure was cut may read as erased, and lose that later.
#[test]
fn clear_after_a_power_cut_erases_all_pages_again() {
    for cut in 1..9 {
        let mut store = open(Flash::new(4));
        store.prepare(&RECIPES[0]).unwrap();
        store.begin("walking", false).unwrap();
        (0..150).try_for_each(|_| store.push(&[1; 9])).unwrap_err();
        store = reset_after(store, |flash| {
            flash.set_tear(Tear::New);
            flash.cut_after(cut);
        });
        assert_eq!(store.clear(&RECIPES[0]), Err(StoreError::Flash), "cut {cut}");
        store = reset(store);
        let before = store.flash().erasures().to_vec();
        store.prepare(&RECIPES[0]).unwrap_or_else(|error| panic!("cut {cut}: {error:?}"));
        let erasures = store.flash().erasures().iter().zip(before);
        let again: Vec<_> = erasures.map(|(now, before)| now - before).collect();
        // Two words of the mark, four pages, then the header: by then only the erasure of the first page is in doubt.
        assert_eq!(again, if cut < 6 { [1; 4] } else { [1, 0, 0, 0] }, "cut {cut}");
    }
}
