//! Bundled recordings: four activities of eight people with an accelerometer, made up in integers.

use super::files::Source;
use super::series::{Series, Stretch};
use smidgen_protocol::digest::Draws;

/// An activity: its name, samples per step, and swing of each channel in thousandths of g.
struct Activity {
    name: &'static str,
    period: u32,
    swing: [i32; 3],
}

const ACTIVITIES: [Activity; 4] = [
    Activity { name: "resting", period: 40, swing: [20, 15, 20] },
    Activity { name: "running", period: 7, swing: [1200, 700, 1900] },
    Activity { name: "stairs", period: 16, swing: [250, 500, 550] },
    Activity { name: "walking", period: 10, swing: [450, 200, 600] },
];
const PEOPLE: u32 = 8;
/// Recordings of an activity to train on, and held-out ones.
const COUNTS: [(bool, u32); 2] = [(false, 3), (true, 2)];
const LEN: u32 = 100;
const RATE: f64 = 10.0;

/// Returns the files of all people.
pub(super) fn files() -> Vec<(Source, Series)> {
    let files = (1..=PEOPLE).flat_map(|person| {
        let mut draws = Draws::new(person.into());
        // Everybody moves in a way of their own.
        let (vigour, tilt) = (75 + draws.below(50) as i32, draws.below(400) as i32 - 200);
        COUNTS.map(|(is_test, count)| {
            let worker = format!("person-{person}");
            let stretches = ACTIVITIES.iter().flat_map(|activity| {
                (0..count).map(|_| stretch(activity, vigour, tilt, &mut draws)).collect::<Vec<_>>()
            });
            let stretches = stretches.collect();
            let channels = ["x", "y", "z"].map(String::from).to_vec();
            let name = worker.clone();
            let rate = Some(RATE);
            let series = Series { name, channels, line: 1, rate, stretches, ..Series::default() };
            (Source { path: worker.clone().into(), worker, is_test }, series)
        })
    });
    files.collect()
}

fn stretch(activity: &Activity, vigour: i32, tilt: i32, draws: &mut Draws) -> Stretch {
    let rest = [tilt, -tilt / 2, 1000];
    let start = draws.below(activity.period);
    let mut values = vec![];
    for t in start..start + LEN {
        for (channel, (&swing, rest)) in (0..).zip(activity.swing.iter().zip(rest)) {
            let phase = (t + channel * activity.period / 3) % activity.period;
            // From −1000 to 1000 and back.
            let wave = (4000 * phase / activity.period) as i32 - 2000;
            let wave = 1000 - wave.abs();
            let swing = swing * vigour / 100;
            let noise = draws.below(2 * swing as u32 / 3 + 20) as i32 - (swing / 3 + 10);
            values.push(f64::from(rest + swing * wave / 1000 + noise) / 1000.0);
        }
    }
    Stretch { class: activity.name.into(), lines: vec![], values }
}
