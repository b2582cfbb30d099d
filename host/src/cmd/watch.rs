//! `smidgen watch`

use super::console::{eprint, print};
use crate::boards::key_file::KeyFile;
use crate::cli::Watch;
use crate::units::interrupt;
use crate::units::quantity::counted;
use crate::units::shown::shown;
use crate::world::client::Client;
use crate::world::live::LiveView;
use anyhow::{Result, bail};
use smidgen_protocol::message::LiveState;
use std::io::{IsTerminal, Write, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time between two questions.
const PERIOD: Duration = Duration::from_millis(200);

/// Shows what a board sees until the user stops it.
pub(crate) fn run(watch: &Watch) -> Result<()> {
    let sealing = watch.line.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    // A note does not share the renewed line of a terminal.
    let start = if stdout().is_terminal() { "\n" } else { "" };
    let note = move |note| eprint(&format!("{start}{note}"));
    let mut client = Client::open(&watch.port, watch.line.baud, sealing, note)?;
    interrupt::begin_children();
    let mut lines = Lines::new();
    let (mut first, mut shown) = (None, None);
    while !interrupt::is_requested() {
        let view = match client.live() {
            Ok(view) => view,
            // The request to stop ends a question too.
            Err(_) if interrupt::is_requested() => break,
            Err(error) => return Err(error.into()),
        };
        if let Some(obstacle) = view.obstacle() {
            bail!("{}: {obstacle}", client.place());
        }
        let &mut (start, before) = first.get_or_insert((Instant::now(), view.windows));
        // Windows of another model, or after a restart, count anew.
        if view.windows < before {
            first = Some((Instant::now(), view.windows));
        }
        let rate = f64::from(view.windows.saturating_sub(before)) / start.elapsed().as_secs_f64();
        let state = (view.state, view.windows, view.gaps);
        if lines.is_terminal || shown != Some(state) {
            shown = Some(state);
            lines.show(&line(&view, rate))?;
        }
        pause();
    }
    Ok(())
}

/// Waits for the next question, or for a request to stop.
fn pause() {
    let started = Instant::now();
    while started.elapsed() < PERIOD && !interrupt::is_requested() {
        sleep(PERIOD / 10);
    }
}

fn line(view: &LiveView, rate: f64) -> String {
    if view.state == LiveState::Recording {
        return "a recording is open; the board classifies again when it ends".into();
    }
    let Some((class, score)) = &view.latest else {
        return format!("waiting for the first window, {} samples so far", view.samples);
    };
    let gaps = match view.gaps {
        0 => String::new(),
        gaps => format!(", {}", counted(gaps.into(), "gap", "gaps")),
    };
    let class = shown(class).to_string();
    format!("{class:<16} score {score:>9.3}   window {} ({rate:.1} a second{gaps})", view.windows)
}

/// A line that is renewed in a terminal, or one after the other.
struct Lines {
    is_terminal: bool,
    width: usize,
}

impl Lines {
    fn new() -> Self {
        Self { is_terminal: stdout().is_terminal(), width: 0 }
    }

    fn show(&mut self, text: &str) -> Result<()> {
        if !self.is_terminal {
            return Ok(print(text)?);
        }
        // Spaces cover the rest of a longer line.
        let width = self.width.max(text.chars().count());
        let mut stdout = stdout();
        write!(stdout, "\r{text:<width$}")?;
        stdout.flush()?;
        self.width = text.chars().count();
        Ok(())
    }
}

impl Drop for Lines {
    /// Ends a renewed line, also before an error.
    fn drop(&mut self) {
        if self.width > 0 {
            // It fails only where the line could not be shown either.
            let _ = print("");
        }
    }
}
