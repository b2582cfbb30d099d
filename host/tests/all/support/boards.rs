//! Boards in threads, on loopback sockets.

use embedded_io_adapters::std::FromStd;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::run::run as serve;
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, FRAME_LEN_MAX};
use smidgen_protocol::message::{Ready, SCHEMA, Up, VERSION};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Returns a new listener and its address for `smidgen run --port`.
pub(crate) fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a port");
    let address = listener.local_addr().expect("it has an address");
    (listener, format!("tcp:{address}"))
}

/// Serves one connection and returns its address.
pub(crate) fn served_by(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let (listener, address) = listener();
    thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            serve(stream);
        }
    });
    address
}

pub(crate) fn worker(name: &'static str, identity: u64) -> Worker<Vec<u64>> {
    Worker::new::<Logistic>(Board { name, identity }, vec![0; 1 << 14])
}

/// Runs a worker until the host closes the stream.
pub(crate) fn work(stream: impl Read + Write, worker: &mut Worker<Vec<u64>>) {
    // It may end with or without an error.
    let _ = serve(&mut FromStd::new(stream), worker, &mut Logistic::default(), &mut ());
}

pub(crate) fn board(identity: u64) -> String {
    board_named("thread", identity)
}

pub(crate) fn board_named(name: &'static str, identity: u64) -> String {
    served_by(move |stream| work(stream, &mut worker(name, identity)))
}

/// Returns the first identification of such a board.
pub(crate) fn ready(board: &str, identity: u64) -> Ready<'_> {
    Ready {
        version: VERSION,
        schema: SCHEMA,
        echo: 1,
        board,
        identity,
        memory: 1 << 20,
        objectives: "logistic",
        session: 0,
        opened: 0,
        model_digest: 0,
        estimator_digest: 0,
        rejected: [0; Reject::COUNT],
        overruns: 0,
        saturated: 0,
    }
}

/// Returns the frame of an identification.
pub(crate) fn frame(ready: Ready) -> Vec<u8> {
    let mut out = [0; FRAME_LEN_MAX];
    let len = Up::Ready(ready).emit(&[], &Context::SETUP, &mut out);
    out[..len].to_vec()
}

/// Serves a line on which every frame gets the same answer, and returns its address.
pub(crate) fn answering(ready: Ready<'static>) -> String {
    let frame = frame(ready);
    served_by(move |mut stream| {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            if byte == [0] && stream.write_all(&frame).is_err() {
                return;
            }
        }
    })
}
