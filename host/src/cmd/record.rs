//! `smidgen record`

use super::console::{eprint, print};
use anyhow::{Result, bail};
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::Record;
use smidgen::output::progress::Progress;
use smidgen::units::interrupt;
use smidgen::units::quantity::counted;
use smidgen::world::client::{Client, ClientError, advice, table};
use smidgen::world::recording::{Early, Plan, Recorded};
use smidgen_protocol::message::{self, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

/// What a board tells while it records.
enum Told {
    Note(String),
    Progress(usize, message::Progress),
}

/// Records on boards, or lists, discards or erases their rows.
pub(crate) fn run(record: &Record) -> Result<()> {
    if record.label.is_none() && !record.windowing.is_default() {
        bail!(
            "--window, --hop, --features and --rate say how rows are recorded; give them with --label"
        );
    }
    let sealing = record.line.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let open = |address| Client::open(address, record.line.baud, sealing.clone());
    let clients: Vec<Client> = record.ports.addresses.iter().map(open).collect::<Result<_, _>>()?;
    match &record.label {
        Some(label) => {
            let plan = Plan {
                label: label.clone(),
                is_test: record.test,
                windowing: record.windowing.clone(),
                duration: record.seconds,
            };
            record_on_all(clients, &plan)
        }
        None => each(clients, |client| change(client, record)),
    }
}

/// Asks boards in turn. A failure of one does not keep others from being asked.
fn each(
    clients: Vec<Client>,
    ask: impl Fn(&mut Client) -> Result<String, ClientError>,
) -> Result<()> {
    let mut failures = 0;
    for mut client in clients {
        match ask(&mut client) {
            Ok(text) => print(text.trim_end())?,
            Err(error) => {
                failures += 1;
                eprint(&format!("error: {error}"));
            }
        }
    }
    conclude(failures)
}

/// Carries out a command on existing rows; returns what to print.
fn change(client: &mut Client, record: &Record) -> Result<String, ClientError> {
    let identity = client.greet()?;
    let before = client.rows()?;
    let recording = before.recording;
    let rows = if record.discard && recording != 0 {
        client.command(Command::Discard { recording })?
    } else if record.clear {
        client.command(Command::Clear { recording })?
    } else {
        before.clone()
    };
    let done = match (record.discard, record.clear) {
        (true, _) if recording == 0 => "there is no recording to discard".into(),
        (true, _) => {
            let discarded = u64::from(rows.discarded.saturating_sub(before.discarded));
            format!("discarded recording {recording}, {}", counted(discarded, "row", "rows"))
        }
        (_, true) => "all rows are erased".into(),
        (false, false) => return Ok(format!("{}: {identity}\n{}", client.place(), table(&rows))),
    };
    Ok(format!("{}: {done}\n{}", client.place(), table(&rows)))
}

fn record_on_all(clients: Vec<Client>, plan: &Plan) -> Result<()> {
    interrupt::begin_recording();
    let (sender, told) = channel();
    let record = |(index, client): (usize, Client)| {
        let (plan, sender) = (plan.clone(), sender.clone());
        thread::Builder::new().spawn(move || record_on(client, index, &plan, &sender))
    };
    let threads: Vec<_> = clients.into_iter().enumerate().map(record).collect::<Result<_, _>>()?;
    drop(sender);
    show(plan, threads.len(), &told);
    let mut failures = 0;
    for thread in threads {
        match thread.join() {
            Ok(Some((place, recorded))) => print(sentence(&place, plan, &recorded))?,
            // Its error was shown at once, while others recorded.
            Ok(None) => failures += 1,
            Err(_) => bail!("a thread has ended early; please report this as a bug"),
        }
    }
    conclude(failures)
}

fn record_on(
    client: Client,
    index: usize,
    plan: &Plan,
    sender: &Sender<Told>,
) -> Option<(String, Recorded)> {
    let notes = sender.clone();
    // The receiver lives until all boards have ended.
    let mut client = client.with_notes(move |note| drop(notes.send(Told::Note(note))));
    let tell = |progress| drop(sender.send(Told::Progress(index, progress)));
    match client.record(plan, tell) {
        Ok(recorded) => Some((client.place().to_owned(), recorded)),
        Err(error) => {
            drop(sender.send(Told::Note(format!("error: {error}"))));
            None
        }
    }
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
            Told::Progress(board, now) => {
                latest[board] = now;
                let elapsed = started.elapsed();
                let done = elapsed.as_millis() as u64;
                let total = plan.duration.map_or(u64::MAX, |time| time.as_millis() as u64);
                let text = format!("{} s  {}", elapsed.as_secs(), amounts(&latest));
                progress.step(done.min(total), total, &text);
            }
        }
    }
    progress.finish();
}

/// Rows and gaps of all boards: `12 rows, 0 gaps`, or of each: `12 + 11 rows, 0 + 1 gaps`.
fn amounts(latest: &[message::Progress]) -> String {
    let list = |value: fn(&message::Progress) -> u32| {
        latest.iter().map(|progress| value(progress).to_string()).collect::<Vec<_>>().join(" + ")
    };
    format!("{} rows  {} gaps", list(|progress| progress.rows), list(|progress| progress.gaps))
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
        Some(Early::Restarted) => {
            "; it ended early, because the board was restarted: its whole rows are kept".into()
        }
    };
    let short = match (new_rows, early.is_empty()) {
        (0, true) => "; a row needs a whole window, so record for longer",
        _ => "",
    };
    format!("{place}: {new} of {}{kind}{gaps}, room for {room}{early}{short}", plan.label)
}

fn conclude(failures: usize) -> Result<()> {
    match failures {
        0 => Ok(()),
        _ => bail!("{} failed", counted(failures as u64, "board", "boards")),
    }
}
