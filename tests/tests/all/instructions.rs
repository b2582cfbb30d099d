//! Boards spend as many instructions as is documented.

use smidgen_tests::emulation::skip;
use smidgen_tests::instructions::{COMMAND, Counts, PAGE};
use std::fs;

/// A count may exceed the documented one by this factor.
const SLACK: f64 = 1.01;

#[test]
fn no_work_takes_more_instructions_than_documented() {
    let test = "no_work_takes_more_instructions_than_documented";
    let page = fs::read_to_string(PAGE).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let documented = Counts::parse(&page).expect("the page has counts");
    let Some(counts) = Counts::count(test) else { return };
    if counts.compiler != documented.compiler {
        let why = format!(
            "{} has other counts than {}, which docs/performance.md has",
            counts.compiler, documented.compiler
        );
        return skip(test, "mps2", &why);
    }
    let names = |counts: &Counts| -> Vec<_> {
        counts.rows.iter().map(|row| (row.work.clone(), row.unit.clone())).collect()
    };
    assert_eq!(
        names(&counts),
        names(&documented),
        "the page has other work than is counted: run `{COMMAND}`"
    );
    let more = counts.rows.iter().zip(&documented.rows).filter(|(now, then)| {
        now.counts.iter().zip(then.counts).any(|(&now, then)| now > then * SLACK)
    });
    let more: Vec<_> = more
        .map(|(now, then)| {
            format!("{}, per {}: {:.2?}, not {:?}", now.work, now.unit, now.counts, then.counts)
        })
        .collect();
    assert!(
        more.is_empty(),
        "boards spend more instructions than is documented: make it less again, or run `{COMMAND}`\n{}",
        more.join("\n")
    );
}
