//! What a worker holds that bodies refer to, as the messages that it accepted define it.

use core::ops::Range;
use smidgen_protocol::message::{Configure, Downlink, Exponents, Known, Loss, Part};
use smidgen_protocol::round::Start;
use smidgen_protocol::sparse::{Decoder, Form, Terms};
use smidgen_protocol::vector::{rescale_sum, round_shift};

/// Σ g_i, and what a worker knows of the rounds before the open one.
#[derive(Clone, Debug)]
pub struct Twin {
    dimension: u32,
    /// Empty if the worker takes no step.
    sum: Vec<i64>,
    exponents: Exponents,
    /// What it knew before the latest update.
    pub known: Known,
    /// Loss and shift that it knows after it.
    pub after: Option<(i32, u8)>,
}

impl Twin {
    /// Of a worker without a configuration.
    pub const fn new() -> Self {
        Self {
            dimension: 0,
            sum: vec![],
            exponents: Exponents { x: 0, gradient: 0, loss: 0 },
            known: Known { loss: Loss::new(0), shift: 0, downlink: Form::FIRST },
            after: None,
        }
    }

    /// Of a worker that has just been configured.
    pub fn configured(configure: &Configure) -> Self {
        let steps = configure.downlink.workers_step();
        // A larger vector fits no worker of these tests, which refuses the configuration.
        let fits = configure.dimension < 1 << 20;
        let sum = vec![0; if steps && fits { configure.dimension as usize } else { 0 }];
        Self { dimension: configure.dimension, sum, ..Self::new() }
    }

    /// Σ g_i; empty if the worker takes no step.
    pub fn sum(&self) -> &[i64] {
        &self.sum
    }

    /// What it knows once the host has the latest update.
    pub fn known_next(&self) -> Known {
        let Known { loss, shift, downlink } = self.known;
        let (loss, shift) = self.after.unwrap_or((loss.mantissa(), shift));
        Known { loss: Loss::new(loss.into()), shift, downlink }
    }

    /// The exponents change.
    pub fn announce(&mut self, exponents: Exponents) {
        let rescaled = |loss: Loss| loss.rescaled(self.exponents.loss, exponents.loss);
        self.known.loss = rescaled(self.known.loss);
        self.after =
            self.after.map(|(loss, shift)| (rescaled(Loss::new(loss.into())).mantissa(), shift));
        rescale_sum(&mut self.sum, self.exponents.gradient, exponents.gradient);
        self.exponents = exponents;
    }

    /// The terms of a part of a vector.
    pub fn terms(&self, part: Part, from: u32) -> Terms<'_> {
        let last = if part.is_change() { self.known.downlink } else { Form::FIRST };
        let sum: &[i64] = if part == Part::SumChange { &self.sum } else { &[] };
        Terms { last, sum, ..Terms::plain(self.dimension, from) }
    }

    /// A part of a vector comes.
    pub fn part(&mut self, part: Part, range: Range<u32>, body: &[u8]) {
        let terms = self.terms(part, range.start);
        let decoder = Decoder::new(body, &terms).expect("the worker has accepted it");
        let (form, shift) = (decoder.form(), -i32::from(decoder.shift()));
        let entries: Vec<_> = decoder.entries(terms.sum).collect();
        if part.is_change() {
            self.known.downlink = form;
        }
        for (j, sum) in range.clone().zip(self.sum.iter_mut().skip(range.start as usize)) {
            let entry = entries.iter().find(|(index, _)| *index == j);
            let value = entry.map_or(0, |(_, m)| round_shift(*m, shift));
            match part {
                Part::Sum => *sum = value,
                Part::SumChange => *sum = sum.saturating_add(value),
                Part::Model | Part::Estimator | Part::ModelChange | Part::Velocity => {}
            }
        }
    }

    /// A round starts.
    pub fn start(&mut self, start: &Start, downlink: Downlink, body: &[u8]) {
        self.part(downlink.part(), start.from..self.dimension, body);
        self.known = self.known_next();
    }
}
