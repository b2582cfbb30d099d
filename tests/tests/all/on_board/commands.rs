//! Recorder commands that are refused, and those that erase.

use super::*;

#[test]
fn commands_about_other_recordings_are_refused_and_change_nothing() {
    let mut host = host("softmax", 30);
    let before = recorded(&mut host);
    let mut map = [-1; CLASSES_MAX];
    map[..3].copy_from_slice(&[0, 1, 2]);
    set_data(&mut host, rows_on_board(&records(&before), &map, 3));
    set_up(&mut host);
    let start = |recording| Command::Start {
        recording,
        recipe: RECIPE,
        class: "rest",
        is_test: false,
        samples: 0,
    };
    let refused = Outcome::Refused(RecordRefusal::Recording);
    for asked in
        [start(6), start(9), Command::Discard { recording: 6 }, Command::Clear { recording: 6 }]
    {
        assert_eq!(outcome(&mut host, asked), refused, "{asked:?}");
    }
    // Late copies of commands that were carried out.
    for asked in [
        start(7),
        Command::Stop { recording: 2 },
        Command::Discard { recording: 3 },
        Command::Discard { recording: 8 },
    ] {
        assert_eq!(outcome(&mut host, asked), Outcome::Done, "{asked:?}");
    }
    let after = command(&mut host, Command::Status);
    let unechoed = |payload| Records { echo: 0, ..records(payload) };
    assert_eq!(unechoed(&after), unechoed(&before));

    for (recipe, class, refusal) in [
        (Recipe { channels: 2, ..RECIPE }, "rest", RecordRefusal::Channels),
        (Recipe { hop: 0, ..RECIPE }, "rest", RecordRefusal::Recipe),
        (Recipe { hop: 5, ..RECIPE }, "rest", RecordRefusal::OtherRecipe),
        (
            Recipe { window: 21, ..RECIPE },
            "rest",
            RecordRefusal::Window { need: 63, room: recording::WINDOW_LEN_MAX as u32 },
        ),
        (RECIPE, "", RecordRefusal::Class),
        (RECIPE, "a name of 16 B..", RecordRefusal::Class),
        (RECIPE, "a name that is much longer than a board takes", RecordRefusal::Class),
    ] {
        let asked = Command::Start { recording: 8, recipe, class, is_test: false, samples: 0 };
        assert_eq!(outcome(&mut host, asked), Outcome::Refused(refusal), "{asked:?}");
    }
    let after = command(&mut host, Command::Status);
    assert_eq!(unechoed(&after), unechoed(&before));
    assert!(host.worker.state().is_some(), "the session is open");

    assert_eq!(outcome(&mut host, start(8)), Outcome::Done);
    assert_eq!(host.worker.state(), None, "rows will change");
    assert_eq!(outcome(&mut host, Command::Stop { recording: 7 }), refused);
    assert_eq!(outcome(&mut host, Command::Clear { recording: 8 }), Outcome::Done);
    let after = command(&mut host, Command::Status);
    let after = records(&after);
    assert_eq!((after.recording, after.next, after.is_open, after.checksum), (0, 1, false, 0));
    assert_eq!((after.classes, after.recipe), (&[][..], Some(RECIPE)));
}

#[test]
fn bits_of_columns_are_those_of_the_rows_to_train_on() {
    let features = Features::from_bits(63);
    // As many columns as are added up at once, and more.
    for recipe in [RECIPE, Recipe { features, ..RECIPE }] {
        let mut host = host("softmax", 30);
        boot(&mut host, Flash::new(8));
        let wrong = record_by(&mut host, recipe, (1, "run"), false, 120);
        assert_eq!(outcome(&mut host, Command::Discard { recording: wrong }), Outcome::Done);
        record_by(&mut host, recipe, (1, "run"), true, 120);
        let none = command(&mut host, Command::Status);
        assert!(records(&none).columns().all(|bits| bits == 0), "no row to train on");
        record_by(&mut host, recipe, (0, "rest"), false, 90);
        record_by(&mut host, recipe, (2, "walk"), false, 60);
        let status = command(&mut host, Command::Status);
        let found: Vec<_> = records(&status).columns().take(recipe.row_len()).collect();
        let rows = recorder(&mut host).rows(false);
        let root = |column: usize| {
            let squares = rows.iter().map(|(row, _)| f64::from(row[column]).powi(2));
            (squares.sum::<f64>() / rows.len() as f64).sqrt()
        };
        let expected: Vec<_> =
            (0..recipe.row_len()).map(|column| root(column).log2().round() as u8).collect();
        assert_eq!(found, expected);
    }
}

/// A board presses a button as its main loop does; returns whether a recording was started.
fn press(host: &mut Host<Objectives>, recipe: &Recipe) -> bool {
    let remote = &mut host.recorder.as_mut().expect("a recorder").remote;
    remote.toggle(&mut host.worker, recipe, "button")
}

#[test]
fn button_records_with_the_recipe_of_the_rows_or_its_own() {
    let mut host = host("softmax", 30);
    boot(&mut host, Flash::new(4));
    let other = Recipe { window: 10, hop: 10, ..RECIPE };
    for recipe in [RECIPE, other] {
        // A store that was cleared has no rows, so it takes any recipe.
        assert_eq!(outcome(&mut host, Command::Clear { recording: 0 }), Outcome::Done);
        assert!(press(&mut host, &recipe));
        recorder(&mut host).feed(samples(0, 40, 1));
        assert!(!press(&mut host, &recipe));
        let status = command(&mut host, Command::Status);
        assert_eq!(records(&status).recipe, Some(recipe));
        assert!(press(&mut host, &Recipe { hop: 7, ..RECIPE }), "with the recipe of the rows");
        assert!(!press(&mut host, &RECIPE));
        assert_eq!(outcome(&mut host, Command::Clear { recording: 1 }), Outcome::Done);
    }
    assert!(!press(&mut host, &Recipe { channels: 2, ..RECIPE }), "not of this sensor");
}

#[test]
fn clear_erases_what_a_power_cut_left_of_a_first_row() {
    let clear = Command::Clear { recording: 0 };
    let start =
        Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples: 0 };
    // Changes of the flash by one row of a new class; then the power fails before each of them.
    for changes in 0.. {
        let mut host = host("softmax", 30);
        boot(&mut host, Flash::new(4));
        assert_eq!(outcome(&mut host, clear), Outcome::Done);
        assert_eq!(outcome(&mut host, start), Outcome::Done);
        assert_eq!(outcome(&mut host, Command::Stop { recording: 1 }), Outcome::Done);
        let empty = command(&mut host, Command::Status);
        let mut flash = recorder(&mut host).flash().clone();
        flash.cut_after(changes);
        boot(&mut host, flash);
        assert_eq!(outcome(&mut host, start), Outcome::Done);
        recorder(&mut host).feed(samples(0, 20, 1));
        let mut flash = recorder(&mut host).flash().clone();
        if !flash.is_cut() {
            break;
        }
        flash.restore_power();
        boot(&mut host, flash);
        // The row counts if its last word was written.
        let status = command(&mut host, Command::Status);
        let clear = Command::Clear { recording: records(&status).recording };
        assert_eq!(outcome(&mut host, clear), Outcome::Done);
        let status = command(&mut host, Command::Status);
        assert_eq!(records(&status).classes().count(), 0, "after {changes} changes");
        assert_eq!(records(&status).room, records(&empty).room, "after {changes} changes");
    }
}
