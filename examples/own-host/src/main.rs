//! The aggregator of smidgen in a program of one's own, without the crate `smidgen`: its transport are channels, its
//! workers are threads, and its loop is below. Each worker holds a vector b_i and minimises ½‖x − b_i‖², so the model
//! becomes the mean of all b_i.

use smidgen_aggregator::{Aggregator, Event, InitialModel, MethodSpec, Setup, Share, WorkerSpec};
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, Objective};
use smidgen_firmware::worker::{Board, Worker};
use smidgen_protocol::frame::FRAME_LEN_MAX;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::method::Participation;
use smidgen_protocol::vector::{round_shift, saturate};
use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// ½‖x − b‖² for a vector b of bytes.
struct Distance;

impl Objective for Distance {
    const NAME: &'static str = "distance";

    fn scratch_len(_dimension: usize) -> usize {
        0
    }

    fn check(data: Data<'_>, dimension: usize) -> bool {
        data.bytes().len() == dimension
    }

    fn evaluate(&mut self, request: Evaluation<'_>) -> i64 {
        let one = i32::from(request.x_exponent);
        let (mut squares, pairs) = (0i64, request.x.iter().zip(request.data.bytes()));
        for (gradient, (&x, &b)) in request.gradient.iter_mut().zip(pairs) {
            let difference = i64::from(x) - round_shift(b.into(), -one);
            squares = squares.saturating_add(difference.saturating_pow(2));
            let shift = one - i32::from(request.gradient_exponent);
            *gradient = saturate(round_shift(difference, shift), request.saturated);
        }
        round_shift(squares, 2 * one + 1 - i32::from(request.loss_exponent))
    }
}

/// A worker, which answers what it hears until the host hangs up.
fn work(identity: u64, heard: Receiver<Vec<u8>>, answers: Sender<(usize, Vec<u8>)>) {
    let board = Board { name: "thread", identity };
    let mut worker = Worker::new::<Distance>(board, vec![0; 1 << 10]);
    let mut frame = [0; FRAME_LEN_MAX];
    for bytes in heard {
        worker.receive(&bytes);
        if let Some(loss) = worker.gradient_request().map(|request| Distance.evaluate(request)) {
            worker.gradient_ready(loss);
        }
        while let Some(len) = worker.poll_transmit(&mut frame) {
            let _ = answers.send((identity as usize - 1, frame[..len].to_vec()));
        }
    }
}

fn setup(vectors: &[Vec<u8>]) -> Setup {
    let loss_weight = 1.0 / vectors.len() as f64;
    let participation = Participation::FULL;
    let worker = WorkerSpec { scale: 1.0, weight: 1.0, loss_weight, k: 2, participation };
    let share = |b: &Vec<u8>| Share { data: b.clone(), worker };
    Setup {
        session: 1,
        objective: Distance::NAME,
        regulariser: Regulariser::L2,
        lambda: 0.0,
        initial_model: InitialModel::Seed(0),
        dimension: vectors[0].len() as u32,
        method: MethodSpec { value_bits: 8, ..MethodSpec::gradient_descent(0.2) },
        shares: vectors.iter().map(share).collect(),
        byte_time: Duration::ZERO,
        round_timeout: None,
        seal: None,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vectors = [[1, 2, 3, 40], [5, 6, 7, 8], [9, 40, 11, 12]].map(Vec::from);
    let (answers, answered) = channel();
    let start = |n: usize| {
        let ((line, heard), answers) = (channel(), answers.clone());
        thread::spawn(move || work(n as u64 + 1, heard, answers));
        line
    };
    let lines: Vec<_> = (0..vectors.len()).map(start).collect();
    let (mut aggregator, began) = (Aggregator::new(setup(&vectors)), Instant::now());
    let mut frame = [0; FRAME_LEN_MAX];
    loop {
        while let Some((link, len)) = aggregator.poll_transmit(began.elapsed(), &mut frame) {
            lines[link].send(frame[..len].to_vec())?;
        }
        match aggregator.poll_event() {
            Some(Event::Closed(closed)) if closed.round < 100 => aggregator.proceed(),
            Some(Event::Closed(_)) => aggregator.finish(),
            Some(Event::Finished(_)) => break,
            Some(Event::Failed(failure)) => return Err(failure.to_string().into()),
            Some(_) => {}
            None => {
                let due = aggregator.poll_timeout().unwrap_or(began.elapsed());
                match answered.recv_timeout(due.saturating_sub(began.elapsed())) {
                    Ok((link, bytes)) => drop(aggregator.receive(began.elapsed(), link, &bytes)),
                    Err(_) => aggregator.handle_timeout(began.elapsed()),
                }
            }
        }
    }
    let model: Vec<_> = aggregator.model().iter().map(|x| format!("{x:.3}")).collect();
    println!("{}", model.join(" "));
    Ok(())
}
