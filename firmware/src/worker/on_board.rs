//! Requests about rows on the board, which are answered when the board gives its store.

use super::memory::Buffers;
use super::rows::{self, Rows, Source};
use super::session::{Answer, Pending, Score, Session};
use crate::curvature::CurvatureRequest;
use crate::data::Data;
use crate::live::Model;
use crate::objective::Evaluator;
use crate::recorder::store::{Mapped, Store};
use crate::regulariser::smoothness;
use embedded_storage::nor_flash::NorFlash;
use smidgen_protocol::message::{Refusal, Ticket};
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::shard::Shard;

impl Session {
    /// Returns whether the data are rows on the board that were not checked yet.
    pub(super) fn awaits_rows(&self) -> bool {
        matches!(self.pending, Some(Pending::Rows { .. }))
    }

    /// Checks data that are rows on the board, or for a model alone.
    pub(super) fn check_rows<F: NorFlash + Mapped>(
        &self,
        store: &Store<F>,
        objectives: &mut impl Evaluator,
        buffers: Buffers,
        without_rows: bool,
    ) -> Result<Source, Refusal> {
        let Buffers { data, labels, x, scratch, .. } = buffers;
        if without_rows {
            let recorded = RecordedRows::open(data).map_err(|_| Refusal::Data)?;
            let model = Model { objective: self.objective, x, x_exponent: self.exponents.x };
            model.check(&recorded, objectives, scratch)?;
            return Ok(Source::None);
        }
        rows::check(store, data, labels, self.objective, self.layout.dimension)?;
        Ok(Source::Store)
    }

    /// Answers after the check of rows on the board.
    pub(super) fn rows_checked(&mut self, outcome: Result<Source, Refusal>) {
        let Some(Pending::Rows { ticket, is_chunk }) = self.pending else { return };
        (self.pending, self.source) = (None, outcome.unwrap_or(Source::Data));
        if outcome.is_err() {
            (self.data_held, self.data_journaled, self.layout.labels_len) = (0, 0, 0);
        }
        self.answer = Some(match outcome {
            Err(refusal) if is_chunk => Answer::Refused { ticket, refusal },
            // A configuration is answered by what is held; the host sends the data, and they are judged again.
            Ok(_) | Err(_) => Answer::Ack { ticket, value: self.data_held() },
        });
        self.outbox = self.answer;
    }

    /// Returns whether a request awaits the rows on the board, other than a gradient.
    pub(super) fn awaits_store(&self) -> bool {
        match self.pending {
            Some(Pending::Rows { .. } | Pending::Curvature { .. } | Pending::Score { .. }) => true,
            Some(Pending::Probe { .. } | Pending::Update) | None => false,
        }
    }

    /// Answers a request for a bound of the curvature of rows on the board, or for their score.
    pub(super) fn look_at<F: NorFlash + Mapped>(
        &mut self,
        store: &Store<F>,
        objectives: &mut impl Evaluator,
        buffers: Buffers,
    ) {
        let Buffers { x, gradient, scratch, labels, data, .. } = buffers;
        let answer = match self.pending {
            Some(Pending::Curvature { ticket }) => match Self::shard(store, data, labels) {
                Some(shard) => {
                    self.bound_curvature(ticket, Data::Recorded(&shard), gradient, scratch)
                }
                None => Answer::Refused { ticket, refusal: Refusal::Data },
            },
            Some(Pending::Score { ticket }) => {
                match self.count_right(store, objectives, x, scratch, labels, data) {
                    Some(score) => Answer::Score { ticket, score },
                    None => Answer::Refused { ticket, refusal: Refusal::Objective },
                }
            }
            Some(Pending::Rows { .. } | Pending::Probe { .. } | Pending::Update) | None => return,
        };
        self.pending = None;
        self.answer = Some(answer);
        self.outbox = self.answer;
    }

    fn count_right<F: NorFlash + Mapped>(
        &self,
        store: &Store<F>,
        objectives: &mut impl Evaluator,
        x: &[i32],
        scratch: &mut [i64],
        labels: &mut [i8],
        data: &[u8],
    ) -> Option<Score> {
        let rows = Rows::open(store, data).ok()?;
        let model = Model { objective: self.objective, x, x_exponent: self.exponents.x };
        model.check(&rows.recorded, objectives, scratch).ok()?;
        rows.fill(labels, true);
        let score = rows.shard(labels).ok().and_then(|shard| {
            let row_count = shard.header.rows;
            // An objective expects at least one row.
            let right = match row_count {
                0 => 0,
                _ => model.classify_rows(&shard, objectives, scratch)?.right,
            };
            Some(Score { rows: row_count, right })
        });
        // The labels of the rows to train on are in the same place.
        rows.fill(labels, false);
        score
    }

    /// The labels and the store as the data of an evaluation.
    pub(super) fn shard<'a, F: NorFlash + Mapped>(
        store: &'a Store<F>,
        data: &'a [u8],
        labels: &'a [i8],
    ) -> Option<Shard<'a>> {
        Rows::open(store, data).and_then(|rows| rows.shard(labels)).ok()
    }

    /// Answers with L̂_i, or refuses if the objective has no bound.
    pub(super) fn bound_curvature(
        &self,
        ticket: Ticket,
        data: Data,
        vector: &mut [i32],
        scratch: &mut [i64],
    ) -> Answer {
        let rows = CurvatureRequest { data, vector, scratch };
        let penalty = smoothness(self.regulariser, self.lambda);
        let l_i = (self.objective.curvature)(rows).and_then(|loss| loss.plus(penalty).ratio());
        match l_i {
            Some(l_i) => Answer::Curvature { ticket, l_i },
            None => Answer::Refused { ticket, refusal: Refusal::Objective },
        }
    }
}
