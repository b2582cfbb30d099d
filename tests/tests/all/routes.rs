//! Boards whose cables are exchanged during a run.

use smidgen::world::World;
use smidgen::world::transport::Address;
use smidgen_aggregator::Event;
use smidgen_tests::conformance::{experiment, run, sealed, simulated, transcripts};
use smidgen_tests::emulation::start;
use smidgen_tests::faulty::{Fault, FaultySimulation};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// A patch panel: two lines of the host and two of boards, straight or crossed, without any signal when that changes.
#[derive(Clone, Default)]
struct Panel(Arc<AtomicBool>);

impl Panel {
    /// Forwards bytes from `ends[0]` and `ends[1]` to the opposite ends, until they close.
    fn connect(&self, from: [&UnixStream; 2], to: [&UnixStream; 2]) {
        for (index, end) in from.into_iter().enumerate() {
            let mut from = end.try_clone().expect("a stream can be cloned");
            let mut to = to.map(|end| end.try_clone().expect("a stream can be cloned"));
            let panel = self.0.clone();
            thread::spawn(move || {
                let mut piece = [0; 64];
                while let Ok(len @ 1..) = from.read(&mut piece) {
                    let opposite = index ^ usize::from(panel.load(Relaxed));
                    if to[opposite].write_all(&piece[..len]).is_err() {
                        break;
                    }
                }
                let _ = to[index].shutdown(std::net::Shutdown::Both);
            });
        }
    }
}

#[test]
fn exchanged_boards_give_the_same_transcript() {
    let test = "exchanged_boards_give_the_same_transcript";
    let Some(emulators) = start(&["microbit", "mps2-m3"], test) else { return };
    let experiment = experiment("--dataset digits --rows 200 --workers 2 --k 4 --rounds 50");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    let listeners = paths.each_ref().map(|path| UnixListener::bind(path).expect("a short path"));
    let boards = [0, 1].map(|n| UnixStream::connect(emulators[n].socket()).expect("it listens"));
    let addresses = paths.each_ref().map(|path| Address::Unix(path.into()));
    let places = ["line 1", "line 2"].map(String::from).to_vec();
    let driver = experiment.driver(&addresses, places);
    let mut driver = driver.unwrap_or_else(|error| panic!("{error}"));
    let hosts = listeners.map(|listener| listener.accept().expect("the host is there").0);
    let panel = Panel::default();
    panel.connect([&hosts[0], &hosts[1]], [&boards[0], &boards[1]]);
    panel.connect([&boards[0], &boards[1]], [&hosts[0], &hosts[1]]);

    let (mut so_far, mut moved) = (vec![], vec![]);
    loop {
        match driver.next_event().unwrap_or_else(|error| panic!("{error}")) {
            Event::Closed(closed) => {
                so_far.push(format!("{:016x}", closed.transcript));
                if [10, 20, 35].contains(&closed.round) {
                    panel.0.fetch_xor(true, Relaxed);
                }
                match closed.round < experiment.options().rounds {
                    true => driver.aggregator().proceed(),
                    false => driver.aggregator().finish(),
                }
            }
            Event::Moved(worker) => moved.push(worker),
            Event::Rebooted(worker) => panic!("worker {worker} has forgotten nothing"),
            Event::Failed(failure) => panic!("{failure}"),
            Event::Finished(_) => break,
            _ => {}
        }
    }
    assert_eq!(so_far, transcripts(&simulated(&experiment)));
    assert_eq!([0, 1].map(|it| moved.iter().filter(|&&worker| worker == it).count()), [3, 3]);
}

/// Also with a key, where another board answers a `Hello` as well: its `Ready` identifies it.
#[test]
fn exchanged_cables_change_no_simulated_transcript() {
    let plain = || experiment("--dataset digits --rows 200 --workers 4 --k 4 --rounds 600");
    let undisturbed = simulated(&plain());
    for experiment in [sealed(plain()), plain()] {
        let mut world = FaultySimulation::new(&experiment);
        for (second, board, with) in [(1, 0, 3), (2, 1, 2), (3, 0, 1)] {
            let swap = Fault::Swap { with, noticed: second == 2 };
            world.plan(Duration::from_secs(second), board, swap);
        }
        world.plan(Duration::from_secs(4), 2, Fault::Displace(3, Duration::from_secs(2)));
        let rounds = run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(world.occurred().len(), 4);
        assert_eq!(transcripts(&rounds), transcripts(&undisturbed));
    }
}
