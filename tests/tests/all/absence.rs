//! Slow, silent or faulty boards do not stop the others, and are readmitted.

use smidgen::options::Downlink;
use smidgen::record::RoundRecord;
use smidgen::world::World;
use smidgen_aggregator::{Event, Reason};
use smidgen_tests::conformance::{each, experiment, simulated, transcripts};
use smidgen_tests::faulty::{Fault, FaultySimulation};
use std::time::Duration;

const SKIP: &str = "--dataset digits --workers 4 --k 4 --rounds 600 --absent skip=0.2";

/// The events of a run about its workers.
#[derive(Debug, Default, PartialEq)]
struct Story {
    left_out: Vec<(usize, Option<Reason>)>,
    back: Vec<usize>,
    /// Number of excluded workers per round.
    absent: Vec<u32>,
    transcripts: Vec<u64>,
}

/// Runs to the end, where every present worker confirms its state.
fn tell(world: &mut FaultySimulation, rounds: u32) -> Story {
    let mut story = Story::default();
    loop {
        match world.next_event().unwrap_or_else(|error| panic!("{error}")) {
            Event::Excluded { worker, failure } => {
                story.left_out.push((worker, failure.map(|failure| failure.reason)));
            }
            Event::Readmitted(worker) => story.back.push(worker),
            Event::Closed(closed) => {
                story.absent.push(closed.excluded);
                story.transcripts.push(closed.transcript);
                match closed.round < rounds {
                    true => world.aggregator().proceed(),
                    false => world.aggregator().finish(),
                }
            }
            Event::Finished(_) => return story,
            Event::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
}

/// A run with a fault of worker 2 after about a hundred rounds.
fn struck(options: &str, fault: Fault) -> (FaultySimulation, Story) {
    let experiment = experiment(options);
    let mut world = FaultySimulation::new(&experiment);
    world.plan(Duration::from_secs(3), 2, fault);
    let story = tell(&mut world, experiment.options().rounds);
    (world, story)
}

/// Asserts that the host's mirrors are what the workers hold.
fn assert_agreed(world: &mut FaultySimulation, workers: &[usize]) {
    for &worker in workers {
        let (x, g_i) = world.worker(worker).state().expect("it is in the run");
        let (x, g_i) = (x.to_vec(), g_i.to_vec());
        let aggregator = world.aggregator();
        assert_eq!(&x[..], aggregator.x());
        assert_eq!(&g_i[..], aggregator.mirror(worker).mantissas());
    }
}

#[test]
fn an_unplugged_link_costs_only_its_own_rounds() {
    for downlink in each::<Downlink>("--downlink") {
        let options = format!("{SKIP} {downlink}");
        let (mut world, story) = struck(&options, Fault::Unplug(Duration::from_secs(2)));
        assert_eq!((&story.left_out[..], &story.back[..]), (&[(2, None)][..], &[2][..]));
        let missed = story.absent.iter().filter(|&&absent| absent == 1).count();
        assert!((20..400).contains(&missed), "{downlink}: {missed} rounds without it");
        assert_eq!(story.absent.last(), Some(&0), "{downlink}");
        assert_agreed(&mut world, &[0, 1, 2, 3]);
        let (_, again) = struck(&options, Fault::Unplug(Duration::from_secs(2)));
        assert_eq!(again, story, "a repeated run is the same");
    }
}

#[test]
fn a_board_that_never_returns_stays_excluded() {
    let (mut world, story) = struck(SKIP, Fault::Unplug(Duration::from_secs(100_000)));
    assert_eq!((&story.left_out[..], story.back.len()), (&[(2, None)][..], 0));
    assert_eq!(story.absent.last(), Some(&1));
    assert_agreed(&mut world, &[0, 1, 3]);
}

#[test]
fn a_slowed_board_is_excluded_when_it_is_late() {
    let (_, story) = struck(SKIP, Fault::Slow(Duration::from_millis(700)));
    assert!(story.left_out.len() > 1 && story.back.len() > 1, "{story:?}");
    let missed = story.absent.iter().filter(|&&absent| absent == 1).count();
    assert!(missed > 50, "the others continue: {missed}");
}

#[test]
fn skip_changes_nothing_while_all_boards_answer() {
    let rounds = |options: &str| -> Vec<RoundRecord> { simulated(&experiment(options)) };
    let (skip, wait) = (rounds(SKIP), rounds(SKIP.split(" --absent").next().expect("a part")));
    assert_eq!(transcripts(&skip), transcripts(&wait));
    // A retransmission in time excludes no worker.
    let lossy = rounds(&format!("{} --faults loss=0.05", SKIP.replace("0.2", "5")));
    assert_eq!(transcripts(&lossy), transcripts(&wait));
}

#[test]
fn the_loss_falls_without_a_quarter_of_the_boards() {
    let options = format!("{SKIP} --step auto");
    let experiment = experiment(&options);
    let objective = experiment.objective().expect("the host has the rows");
    let (_, start) = objective.loss_and_norm_squared(&[0.0; 64]);
    let (mut world, _) = struck(&options, Fault::Unplug(Duration::from_secs(2)));
    let (_, end) = objective.loss_and_norm_squared(&world.aggregator().model());
    assert!(end < 1e-3 * start, "{end} of {start}");
}
