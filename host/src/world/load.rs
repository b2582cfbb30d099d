//! A model for a board, which classifies live windows by it.

use super::client::{Client, ClientError, Request};
use crate::problem::dataset::Windows;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::frame::{BODY_LEN_MAX, Context, checksum};
use smidgen_protocol::message::{
    Configure, Down, Downlink, Exponents, Init, LiveState, Part, Refusal, Regulariser, Ticket, Up,
};
use smidgen_protocol::method::{Compressor, Method, Participation};
use smidgen_protocol::sparse::{Form, Terms, Written, encode};
use smidgen_protocol::vector::{Exponent, Ratio};
use std::time::Duration;

/// Time for an answer. A board that was restarted meanwhile has no session, so it does not answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// The only worker of the session.
const WORKER: u16 = 1;
/// Bytes of data in one message.
const CHUNK_LEN: usize = 400;

/// A model and the data that say what it is for.
#[derive(Clone, Copy, Debug)]
pub struct ModelData<'m> {
    /// Name of the objective.
    pub objective: &'m str,
    /// Mantissas of its coordinates.
    pub mantissas: &'m [i32],
    /// Their exponent.
    pub exponent: Exponent,
    /// [`RecordedRows`](smidgen_protocol::recorded::RecordedRows) without rows.
    pub data: &'m [u8],
    /// What it is for, with the full scales of the sensor.
    pub windows: &'m Windows,
}

/// A model that a board has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The board has it after a power cut.
    pub is_kept: bool,
    /// What the user should check, because the board does not tell.
    pub unchecked: Option<String>,
}

/// Reasons why a board has not got a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The board does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its sensor is not that of the model.
    #[error("{place}: {reason}")]
    Sensor {
        /// Its place.
        place: String,
        /// What is different, and what to do.
        reason: String,
    },
    /// It refuses the model.
    #[error("{place}: {}", advice(*.refusal, .objective))]
    Refused {
        /// Its place.
        place: String,
        /// The objective of the model.
        objective: String,
        /// The reason.
        refusal: Refusal,
    },
}

fn advice(refusal: Refusal, objective: &str) -> String {
    match refusal {
        Refusal::Memory { need, room } => format!(
            "the model needs {need} bytes of memory, but the board has {room}; train one of fewer features or classes, \
             or use a board with more memory"
        ),
        Refusal::Objective => format!(
            "the board does not compute classes of {objective}; flash firmware with it, or train a model that it has"
        ),
        Refusal::Data | Refusal::Configuration => {
            "the board has no use for the model: its firmware does not record; flash the image of a board with a sensor"
                .into()
        }
    }
}

/// A session with a board, in which every request has a ticket.
struct Session<'c> {
    client: &'c mut Client,
    context: Context,
    ticket: Ticket,
    objective: &'c str,
}

impl ModelData<'_> {
    /// Gives the model to a board in a new session, and has it kept. A board whose sensor does not fit keeps the model
    /// that it has in flash.
    ///
    /// # Errors
    /// If the board does not answer, its sensor does not fit, or it refuses the model.
    pub fn load(&self, client: &mut Client, session: u32) -> Result<Loaded, LoadError> {
        let identity = client.greet()?.identity;
        let view = client.live()?;
        refuse(view.misfit(self.windows), client)?;
        let unchecked = view.unchecked(self.windows);
        let context = Context::downlink(session);
        let mut session = Session { client, context, ticket: 0, objective: self.objective };
        let held = session.configure(identity, self)?;
        session.send_data(held, self.data)?;
        session.send_model(self)?;
        let view = session.client.live()?;
        // The board tries the model only once a recording has ended.
        let is_recording = view.state == LiveState::Recording;
        let recording = is_recording
            .then(|| "it is recording; load the model again once that has ended".into());
        let obstacle = view.obstacle().or(recording);
        refuse(obstacle, session.client)?;
        let kept = session.ask(|ticket| Down::Keep { ticket }, &[])?;
        Ok(Loaded { is_kept: kept != 0, unchecked })
    }
}

/// Fails for a reason, if there is one.
fn refuse(reason: Option<String>, client: &Client) -> Result<(), LoadError> {
    let place = client.place().to_owned();
    reason.map_or(Ok(()), |reason| Err(LoadError::Sensor { place, reason }))
}

impl Session<'_> {
    /// Opens the session; returns the bytes of data that the board has already.
    fn configure(&mut self, identity: u64, model: &ModelData) -> Result<u32, LoadError> {
        let &ModelData { objective, mantissas, data, .. } = model;
        let session = self.context.session;
        let configure = |ticket| {
            Down::Configure(Configure {
                ticket,
                session,
                identity,
                worker: WORKER,
                dimension: mantissas.len() as u32,
                k: 1,
                value_bits: 8,
                init: Init::Zero,
                method: Method::Ef21,
                compressor: Compressor::TopK,
                scale: Ratio::ONE,
                participation: Participation::FULL,
                batch: Batch::FULL,
                // The one that needs the least memory.
                downlink: Downlink::Dense,
                momentum: Ratio::default(),
                l1_n: Ratio::default(),
                objective,
                regulariser: Regulariser::L2,
                lambda: Ratio::default(),
                start_seed: 0,
                data_len: data.len() as u32,
                data_checksum: checksum(data),
            })
        };
        self.ask(configure, &[])
    }

    fn send_data(&mut self, held: u32, data: &[u8]) -> Result<(), LoadError> {
        let mut offset = held;
        while let Some(chunk) = data.get(offset as usize..).and_then(|d| d.chunks(CHUNK_LEN).next())
        {
            offset = self.ask(|ticket| Down::Data { ticket, offset }, chunk)?;
        }
        Ok(())
    }

    fn send_model(&mut self, model: &ModelData) -> Result<(), LoadError> {
        let exponents = Exponents { x: model.exponent, ..Exponents::default() };
        let gamma_n = Ratio::default();
        self.ask(|ticket| Down::Announce { ticket, exponents, gamma_n }, &[])?;
        let dimension = model.mantissas.len() as u32;
        let mut from = 0;
        while from < dimension {
            let mut body = [0; BODY_LEN_MAX];
            let (until, len) = coordinates(model.mantissas, from, &mut body);
            let part = Part::Model;
            self.ask(|ticket| Down::Part { ticket, part, from, until }, &body[..len])?;
            from = until;
        }
        Ok(())
    }

    /// Makes a request; returns the value of its acknowledgement.
    fn ask<'r>(
        &mut self,
        message: impl FnOnce(Ticket) -> Down<'r>,
        body: &[u8],
    ) -> Result<u32, LoadError> {
        self.ticket = self.ticket.wrapping_add(1);
        let (expected, message) = (self.ticket, message(self.ticket));
        let is_setup = message.is_setup();
        let request = Request {
            address: if is_setup { smidgen_protocol::message::BROADCAST } else { WORKER },
            message,
            body,
            context: if is_setup { Context::SETUP } else { self.context },
            answer: Context { worker: WORKER, ..self.context },
        };
        let answer = self.client.ask(&request, ANSWER_TIME_MAX, |message, _| match *message {
            Up::Ack { ticket, value } if ticket == expected => Some(Ok(value)),
            Up::Refused { ticket, refusal } if ticket == expected => Some(Err(refusal)),
            _ => None,
        })?;
        answer.map_err(|refusal| {
            let (place, objective) = (self.client.place().to_owned(), self.objective.to_owned());
            LoadError::Refused { place, objective, refusal }
        })
    }
}

/// Writes coordinates from `from` on, as many as fit; returns the first that is left, and the length of the body.
fn coordinates(mantissas: &[i32], from: u32, body: &mut [u8; BODY_LEN_MAX]) -> (u32, usize) {
    let dimension = mantissas.len() as u32;
    let rest = (from..).zip(&mantissas[from as usize..]).map(|(j, &mantissa)| (j, mantissa.into()));
    let form = Form { value_bits: 32, ..Form::FIRST };
    let entries = rest.filter(|&(_, mantissa)| mantissa != 0);
    let Written { len, until, .. } = encode(body, &Terms::plain(dimension, from), form, entries);
    (until, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smidgen_protocol::sparse::Decoder;

    proptest! {
        #[test]
        fn parts_cover_all_coordinates(
            mantissas in prop::collection::vec(prop_oneof![Just(0), any::<i32>(), -3..3], 1..2000),
        ) {
            let mantissas: Vec<i32> = mantissas.into_iter().map(|m| m.max(-i32::MAX)).collect();
            let (mut from, mut found) = (0, vec![0; mantissas.len()]);
            while (from as usize) < mantissas.len() {
                let mut body = [0; BODY_LEN_MAX];
                let (until, len) = coordinates(&mantissas, from, &mut body);
                prop_assert!(until > from);
                let decoder = Decoder::new(&body[..len], &Terms::plain(mantissas.len() as u32, from)).unwrap();
                prop_assert!(decoder.check(&[], until).is_ok());
                decoder.entries(&[]).for_each(|(j, mantissa)| found[j as usize] = mantissa as i32);
                from = until;
            }
            prop_assert_eq!(found, mantissas);
        }
    }
}
