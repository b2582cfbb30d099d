//! Boards that read at nearly the same time work on all processors.
//!
//! What a board computes depends on its own bytes alone, and what it sends takes the latency of its line. So all reads
//! up to that time after the first are independent, but for two of the same board, or one that bytes from the host
//! reach after its read. Their answers are scheduled in the order of the reads, as if each had been done in its turn:
//! threads change no order of events.

use super::board::SimulatedBoard;
use std::iter;
use std::sync::Mutex;
use std::time::Duration;

/// Bytes of data from which on work is divided among threads, which takes up to 0.1 ms.
const SHARED_LEN: usize = 1 << 18;

/// Reads that wait for each other, in the order of events.
#[derive(Debug, Default)]
pub(super) struct Reads {
    reads: Vec<(Duration, usize)>,
    /// By board, whether it is among them.
    waiting: Vec<bool>,
    /// Bytes of data of their boards.
    data_len: usize,
}

/// What a board sends, with the times of arrival.
type Answers = Vec<(Duration, Vec<u8>)>;

impl Reads {
    pub(super) fn contains(&self, board: usize) -> bool {
        self.waiting.get(board).is_some_and(|&waits| waits)
    }

    /// Adds a read of a board with this many bytes of data.
    pub(super) fn push(&mut self, at: Duration, board: usize, data_len: usize) {
        if self.waiting.len() <= board {
            self.waiting.resize(board + 1, false);
        }
        self.waiting[board] = true;
        self.reads.push((at, board));
        self.data_len += data_len;
    }

    /// Lets the boards read and work; `deliver` gets their answers, with the board and the time of arrival.
    pub(super) fn work<B: SimulatedBoard>(
        &mut self,
        boards: &mut [B],
        mut deliver: impl FnMut(Duration, usize, Vec<u8>),
    ) {
        let is_shared =
            self.reads.len() > 1 && self.data_len >= SHARED_LEN && rayon::current_num_threads() > 1;
        if is_shared {
            for (board, answers) in self.work_on_threads(boards) {
                answers.into_iter().for_each(|(at, bytes)| deliver(at, board, bytes));
            }
        } else {
            for &(now, board) in &self.reads {
                boards[board].work(now, |at, bytes| deliver(at, board, bytes));
            }
        }
        for (_, board) in self.reads.drain(..) {
            self.waiting[board] = false;
        }
        self.data_len = 0;
    }

    /// Returns the answers of boards in the order of their reads.
    fn work_on_threads<B: SimulatedBoard>(&self, boards: &mut [B]) -> Vec<(usize, Answers)> {
        let mut boards: Vec<Option<&mut B>> = boards.iter_mut().map(Some).collect();
        let mut answers: Vec<_> =
            self.reads.iter().map(|&(_, board)| (board, Answers::new())).collect();
        let work: Vec<_> = iter::zip(&self.reads, &mut answers)
            .filter_map(|(&(now, board), (_, answers))| Some((now, boards[board].take()?, answers)))
            .collect();
        let work = Mutex::new(work.into_iter());
        let until_done = || {
            loop {
                let next = work.lock().expect("no board panicked").next();
                let Some((now, board, answers)) = next else { break };
                board.work(now, |at, bytes| answers.push((at, bytes)));
            }
        };
        let others = rayon::current_num_threads().min(self.reads.len()) - 1;
        // This thread works too: the others may take longer to wake up than it to begin.
        rayon::in_place_scope(|scope| {
            (0..others).for_each(|_| scope.spawn(|_| until_done()));
            until_done();
        });
        answers
    }
}
