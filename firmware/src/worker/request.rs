//! A recorder command on its way to the recorder.

use smidgen_protocol::message::{CLASS_NAME_LEN_MAX, Command, Ticket};

/// A recorder command of the host.
#[derive(Clone, Copy, Debug)]
pub struct RecordRequest {
    /// To be returned in [`Records`](smidgen_protocol::message::Records).
    pub echo: Ticket,
    /// The command, without a name.
    command: Command<'static>,
    /// The name of the class in [`Command::Start`].
    class: [u8; CLASS_NAME_LEN_MAX],
    class_len: usize,
}

impl RecordRequest {
    pub(super) fn new(echo: Ticket, command: Command) -> Self {
        let (mut class, mut class_len) = ([0; CLASS_NAME_LEN_MAX], 0);
        let command = match command {
            Command::Status => Command::Status,
            Command::Start { recording, recipe, class: name, is_test, samples } => {
                // A longer name becomes an empty one, which is invalid too.
                if let Some(place) = class.get_mut(..name.len()) {
                    place.copy_from_slice(name.as_bytes());
                    class_len = name.len();
                }
                Command::Start { recording, recipe, class: "", is_test, samples }
            }
            Command::Stop { recording } => Command::Stop { recording },
            Command::Discard { recording } => Command::Discard { recording },
            Command::Clear { recording } => Command::Clear { recording },
        };
        Self { echo, command, class, class_len }
    }

    /// The command.
    pub fn command(&self) -> Command<'_> {
        let name =
            self.class.get(..self.class_len).and_then(|name| core::str::from_utf8(name).ok());
        match self.command {
            Command::Start { recording, recipe, class: _, is_test, samples } => {
                let class = name.unwrap_or_default();
                Command::Start { recording, recipe, class, is_test, samples }
            }
            other @ (Command::Status
            | Command::Stop { .. }
            | Command::Discard { .. }
            | Command::Clear { .. }) => other,
        }
    }
}
