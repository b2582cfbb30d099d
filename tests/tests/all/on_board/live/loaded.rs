//! Models that a host loads on a board: which it takes, and when they go.

use super::*;
use smidgen_protocol::round::Start;

#[test]
fn board_without_rows_takes_a_model_and_refuses_gradients() {
    for problem in 0..problems().len() {
        let (trained, _) = trained(problem);
        let (.., classes, map) = problems().remove(problem);
        let mut source = super::host("softmax", 30);
        let status = recorded(&mut source);
        let data = without_rows(&records(&status), &map, classes);
        let mut board = loaded(&trained, data.clone());
        let samples = samples(1, 60, 5);
        watch(&mut board, samples.clone());
        let row = rows_of(&samples).pop().expect("a row");
        let Classes { class, score, exponent, .. } = on_host(&trained, &row);
        let status = live(&mut board);
        let latest = seen(&status).latest.expect("a window");
        assert_eq!((latest.class, latest.score, latest.exponent), (class, score, exponent));

        let ticket = board.next_ticket();
        for asked in [
            Down::Probe { ticket, exponents: board.exponents },
            Down::Curvature { ticket: ticket + 1 },
            Down::Begin { ticket: ticket + 2, round: 0, known: board.known },
            Down::Begin { ticket: ticket + 3, round: 7, known: board.known },
            Down::Score { ticket: ticket + 4 },
        ] {
            assert_eq!(board.refused(asked, &[]), Refusal::Data, "{asked:?}");
            board.stage = smidgen_tests::host::Stage::Begin;
        }
        // Nor does a round begin.
        assert!(!board.send(&board.frame(Start::default(), &[])));
        assert_eq!(board.serve(), None);
        // The model is there as before, also with rows of the board's own.
        super::record(&mut board, (0, "sleep"), false, 60);
        let status = live(&mut board);
        let after = seen(&status);
        assert_eq!((after.state, after.windows), (LiveState::Watching, RECIPE.rows(60)));
        assert_eq!(after.latest, Some(latest));
    }
}

#[test]
fn models_that_a_board_cannot_use_are_refused() {
    let (from, _) = trained(0);
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    let refused = |objective, dimension, data: &[u8]| {
        let mut host = host(objective, dimension);
        boot(&mut host, Flash::new(8));
        set_data(&mut host, data.to_vec());
        let (configure, _) = host.setup_message(1).unwrap();
        assert_eq!(host.acknowledged(configure, &[]), 0);
        host.refused(Down::Data { ticket: 2, offset: 0 }, data)
    };
    // Dimensions that are no model of nine columns and three classes, and an objective without classes.
    assert_eq!(refused("softmax", 31, &data), Refusal::Data);
    assert_eq!(refused("softmax", 20, &data), Refusal::Data);
    assert_eq!(refused("perceptron", 14, &data), Refusal::Data);
    assert_eq!(refused("logistic", 9, &data), Refusal::Data);
    assert_eq!(refused("least-squares", 9, &data), Refusal::Objective);
    // A board without a recorder has no windows.
    let mut host = host("softmax", 30);
    set_data(&mut host, data.clone());
    let (configure, _) = host.setup_message(1).unwrap();
    assert_eq!(host.acknowledged(configure, &[]), 0);
    assert_eq!(host.refused(Down::Data { ticket: 2, offset: 0 }, &data), Refusal::Data);
    // Rows that were sent have no recipe, so their model is not kept.
    let rows = recorder(&mut source).rows(false);
    let sent = shard(&rows, &scale_exponents(&records(&status)), &map, classes);
    let mut host = super::host("softmax", 30);
    boot(&mut host, Flash::new(8));
    set_data(&mut host, sent);
    set_up(&mut host);
    send_model(&mut host, from.worker.state().unwrap().0);
    let keep = Down::Keep { ticket: host.next_ticket() };
    assert_eq!(host.refused(keep, &[]), Refusal::Data);
    assert_eq!(seen(&live(&mut host)).state, LiveState::NoModel);
}

#[test]
fn model_that_is_loaded_does_not_end_a_recording() {
    let (trained, _) = trained(0);
    let mut source = host("softmax", 30);
    let status = recorded(&mut source);
    let (.., classes, map) = problems().remove(0);
    let data = without_rows(&records(&status), &map, classes);
    let mut board = host("softmax", 30);
    boot(&mut board, Flash::new(8));
    let start =
        Command::Start { recording: 1, recipe: RECIPE, class: "rest", is_test: false, samples: 40 };
    assert_eq!(outcome(&mut board, start), Outcome::Done);
    recorder(&mut board).feed(samples(0, 25, 1));
    set_data(&mut board, data);
    set_up(&mut board);
    send_model(&mut board, trained.worker.state().unwrap().0);
    assert_eq!(seen(&live(&mut board)).state, LiveState::Recording);
    recorder(&mut board).feed(samples(0, 15, 1));
    let status = command(&mut board, Command::Status);
    assert_eq!((records(&status).outcome, records(&status).progress.rows), (Outcome::Done, 3));
    assert_eq!(seen(&live(&mut board)).state, LiveState::Watching);
}

#[test]
fn model_stays_when_rows_change_and_goes_with_the_next_session() {
    let (mut host, _) = trained(0);
    let samples = samples(2, 60, 8);
    let expected = on_host(&host, rows_of(&samples).last().expect("a row"));
    super::record(&mut host, (0, "rest"), false, 30);
    assert_eq!(host.worker.state(), None, "a change of rows ends the session");
    watch(&mut host, samples);
    let status = live(&mut host);
    let latest = seen(&status).latest.expect("a window");
    assert_eq!((latest.class, latest.score), (expected.class, expected.score));
    let clear = Command::Clear { recording: 8 };
    assert_eq!(outcome(&mut host, clear), Outcome::Done);
    assert_eq!(seen(&live(&mut host)).state, LiveState::Watching);
    host.stage = smidgen_tests::host::Stage::Configure;
    let (configure, _) = host.setup_message(host.ticket.wrapping_add(1)).unwrap();
    host.acknowledged(configure, &[]);
    let status = live(&mut host);
    assert_eq!((seen(&status).state, seen(&status).windows), (LiveState::NoModel, 0));
}

#[test]
fn x_that_is_written_in_part_is_no_model() {
    let (mut host, _) = trained(0);
    let holds_model = |host: &mut Host<Objectives>| {
        let is_watching = seen(&live(host)).state == LiveState::Watching;
        let keep = Down::Keep { ticket: host.next_ticket() };
        let keeps = host.deliver(&host.frame(keep, &[])).is_some();
        assert_eq!(is_watching, keeps);
        keeps
    };
    assert!(holds_model(&mut host));
    let last = host.model.x.clone();
    let other: Vec<_> = last.iter().rev().copied().collect();
    let (first, second) = (0..15, 15..30);
    for (part, range, x, is_model) in [
        // Another model in two parts, and in one.
        (Part::Model, first.clone(), &other, false),
        (Part::Model, second.clone(), &other, true),
        (Part::Model, 0..30, &last, true),
        // The second part alone, and too early.
        (Part::Model, second.clone(), &other, false),
        (Part::Model, first.clone(), &other, false),
        (Part::Model, second, &other, true),
        // A change, whose round does not come.
        (Part::ModelChange, 0..30, &other, false),
        (Part::Model, 0..30, &other, true),
        // Parts of the model of a round, which comes.
        (Part::Model, 0..30, &last, true),
        (Part::Model, first, &last, false),
    ] {
        send_part(&mut host, part, range.clone(), x);
        assert_eq!(holds_model(&mut host), is_model, "{part:?} {range:?}");
    }
    host.next_round();
    assert!(holds_model(&mut host));
}
