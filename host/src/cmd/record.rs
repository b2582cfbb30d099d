//! `smidgen record`

use super::console::print;
use super::each_board::{conclude, each_board};
use crate::boards::key_file::KeyFile;
use crate::cli::{Line, Record};
use crate::output::progress::Progress;
use crate::units::quantity::counted;
use crate::world::client::{Client, ClientError, advice, table};
use crate::world::recording::{Early, Plan, Recorded};
use crate::world::transport::Address;
use anyhow::{Result, bail};
use smidgen_protocol::message::{self, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

/// What a board tells while it records.
enum Told {
    Note(String),
    /// Of a board: how far it is, and the number of its samples, 0 without an end.
    Progress(usize, message::Progress, u32),
}

/// Records on boards, or lists, discards or erases their rows.
pub(crate) fn run(record: &Record) -> Result<()> {
    if record.label.is_none() && !record.windowing.is_default() {
        bail!(
            "--window, --hop, --features and --rate say how rows are recorded; give them with --label"
        );
    }
    match &record.label {
        Some(label) => {
            let plan = Plan {
                label: label.clone(),
                is_test: record.test,
                windowing: record.windowing.clone(),
                duration: record.seconds,
            };
            record_on_all(&record.ports.addresses, &record.line, &plan)
        }
        None if record.list => each_board(&record.ports.addresses, &record.line, |client| {
            let (identity, rows) = (client.greet()?, client.command(Command::Status)?);
            Ok(format!("{}: {identity}\n{}", client.place(), table(&rows)))
        }),
        None => {
            each_board(&record.ports.addresses, &record.line, |client| Ok(change(client, record)?))
        }
    }
}

/// Discards the latest recording, or erases all rows; returns what to print.
fn change(client: &mut Client, record: &Record) -> Result<String, ClientError> {
    let before = client.rows()?;
    let recording = before.recording;
    let (rows, done) = match recording {
        _ if record.clear => {
            (client.command(Command::Clear { recording })?, "all rows are erased".into())
        }
        0 => (before, "there is no recording to discard".into()),
        _ => {
            let rows = client.command(Command::Discard { recording })?;
            let lost = before.lost(&rows);
            (rows, format!("discarded recording {recording}, {lost}"))
        }
    };
    Ok(format!("{}: {done}\n{}", client.place(), table(&rows)))
}

fn record_on_all(ports: &[Address], line: &Line, plan: &Plan) -> Result<()> {
    let sealing = line.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let (boards, (sender, told)) = (ports.len(), channel());
    let record = |(index, port): (usize, &Address)| {
        let (port, baud, sealing) = (port.clone(), line.baud, sealing.clone());
        let (plan, sender, notes) = (plan.clone(), sender.clone(), sender.clone());
        // The receiver lives until all boards have ended.
        let note = move |note| drop(notes.send(Told::Note(note)));
        thread::Builder::new().spawn(move || {
            let client = Client::open(&port, baud, sealing, note);
            let recorded = client.map_err(Into::into).and_then(|client| {
                record_on(client, &plan, |now, due| {
                    drop(sender.send(Told::Progress(index, now, due)))
                })
            });
            if let Err(error) = &recorded
                && boards > 1
            {
                drop(sender.send(Told::Note(format!("error: {error}"))));
            }
            recorded
        })
    };
    let threads: Vec<_> = ports.iter().enumerate().map(record).collect::<Result<_, _>>()?;
    drop(sender);
    show(plan, boards, &told);
    let mut failures = 0;
    for thread in threads {
        match thread.join() {
            Ok(Ok((place, recorded))) => print(sentence(&place, plan, &recorded))?,
            Ok(Err(error)) if boards == 1 => return Err(error),
            // It was shown at once, while others recorded.
            Ok(Err(_)) => failures += 1,
            Err(_) => bail!("a thread has ended early; please report this as a bug"),
        }
    }
    conclude(failures)
}

/// Records on a board; returns its place, too.
fn record_on(
    mut client: Client,
    plan: &Plan,
    tell: impl FnMut(message::Progress, u32),
) -> Result<(String, Recorded)> {
    let recorded = client.record(plan, tell)?;
    Ok((client.place().to_owned(), recorded))
}

/// Shows the progress of all boards until they have ended.
fn show(plan: &Plan, boards: usize, told: &Receiver<Told>) {
    let mut progress = Progress::new(0);
    progress.phase(&format!("recording {}", plan.label));
    let mut latest = vec![message::Progress::default(); boards];
    let started = Instant::now();
    for told in told {
        match told {
            Told::Note(note) => progress.note(&note),
            Told::Progress(board, now, due) => {
                latest[board] = now;
                let done = latest.iter().map(|it| u64::from(it.samples)).sum();
                let total = match u64::from(due) * boards as u64 {
                    0 => u64::MAX,
                    total => total,
                };
                let text = format!("{} s  {}", started.elapsed().as_secs(), amounts(&latest));
                progress.step(done, total, &text);
            }
        }
    }
    progress.finish();
}

/// Rows and gaps of all boards: `12 rows, 0 gaps`, or `12 rows, 0 gaps on 8 boards`.
fn amounts(latest: &[message::Progress]) -> String {
    let sum =
        |value: fn(&message::Progress) -> u32| latest.iter().map(|it| u64::from(value(it))).sum();
    let rows = counted(sum(|progress| progress.rows), "row", "rows");
    let gaps = counted(sum(|progress| progress.gaps), "gap", "gaps");
    match latest.len() {
        1 => format!("{rows}, {gaps}"),
        boards => format!("{rows}, {gaps} on {boards} boards"),
    }
}

fn sentence(place: &str, plan: &Plan, recorded: &Recorded) -> String {
    let Recorded { new_rows, gaps, early, rows } = recorded;
    let kind = if plan.is_test { " to hold out" } else { "" };
    let (new, room) =
        (counted(*new_rows, "row", "rows"), counted(rows.room.into(), "more", "more"));
    let gaps = match gaps {
        0 => String::new(),
        &gaps => format!(" ({}: no window spans one)", counted(gaps.into(), "gap", "gaps")),
    };
    let early = match early {
        None => String::new(),
        Some(Early::Refused(refusal)) => format!("; it ended early: {}", advice(*refusal)),
        Some(Early::Slow { samples, due }) => format!(
            "; it ended early, because its sensor has delivered {samples} of {due} samples; check its cable and --rate"
        ),
        Some(Early::Restarted { lost_rows: 0 }) => {
            "; it ended early, because the board was restarted: its whole rows are kept".into()
        }
        Some(Early::Restarted { lost_rows: lost }) => format!(
            "; it ended early, because the board was restarted, and {} lost with its power",
            counted(*lost, "row was", "rows were")
        ),
    };
    let short = match (new_rows, early.is_empty()) {
        (0, true) => {
            "; a row needs a whole window, so record for longer; there is nothing to discard"
        }
        _ => "",
    };
    format!("{place}: {new} of {}{kind}{gaps}, room for {room}{early}{short}", plan.label)
}
