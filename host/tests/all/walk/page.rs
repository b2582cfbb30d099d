//! The steps on a page: what its blocks of a console show.
//!
//! ```text
//! $ command      a command, with what it prints in the lines after it
//! > line         a line for the boards, which run meanwhile, with what they print
//! ^C             ends `smidgen watch`
//! ```
//!
//! A block that begins with other lines shows what `smidgen watch` prints meanwhile. A line `…` stands for others.

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A command, and what it prints.
    Command { line: String, shown: Vec<String> },
    /// A line for the boards, and what they print.
    Typed { line: String, shown: Vec<String> },
    /// What `watch` prints.
    Shown(Vec<String>),
    /// `watch` is ended.
    Interrupted,
}

/// Returns the steps of a page, in order.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let blocks = page.split("```console\n").skip(1).map(|block| block.split("```").next());
    let mut steps = vec![];
    for block in blocks.map(Option::unwrap_or_default) {
        let mut is_first = true;
        for line in block.lines() {
            if let Some(line) = line.strip_prefix("$ ") {
                steps.push(Step::Command { line: line.into(), shown: vec![] });
            } else if let Some(line) = line.strip_prefix("> ") {
                steps.push(Step::Typed { line: line.into(), shown: vec![] });
            } else if line == "^C" {
                steps.push(Step::Interrupted);
            } else if is_first {
                steps.push(Step::Shown(vec![line.into()]));
            } else if line != "…" {
                match steps.last_mut() {
                    Some(
                        Step::Command { shown, .. }
                        | Step::Typed { shown, .. }
                        | Step::Shown(shown),
                    ) => {
                        shown.push(line.into());
                    }
                    Some(Step::Interrupted) | None => panic!("`{line}` is printed by nothing"),
                }
            }
            is_first = false;
        }
    }
    steps
}

/// Returns what a line that a command prints has in common with the page: all of it, unless it has times or room.
pub(super) fn comparable(command: &str, line: &str) -> String {
    let is_predicted = command.starts_with("smidgen predict");
    let is_listed = command.ends_with("--list") && !line.contains("room for");
    let is_result = ["transcript ", "On ", "γ "].iter().any(|start| line.starts_with(start));
    match is_predicted || is_listed || is_result {
        true => line.into(),
        false => shape(line),
    }
}

/// Returns a printed line without numbers, parentheses and widths, which differ from run to run.
pub(super) fn shape(line: &str) -> String {
    let mut outside = String::new();
    let mut depth = 0;
    for char in line.chars() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => outside.push(char),
            _ => {}
        }
    }
    let word = |word: &str| {
        let is_number = word.contains(|char: char| char.is_ascii_digit()) && !word.contains('/');
        if is_number { "#".into() } else { word.to_owned() }
    };
    let mut words: Vec<_> = outside.split_whitespace().map(word).collect();
    // Thousands are apart.
    words.dedup_by(|one, other| one == "#" && other == "#");
    words.join(" ")
}

#[test]
fn lines_of_a_console_are_steps() {
    let page = "a\n```console\n$ run x\nshown\n…\n> go\n^C\n```\nb\n```\nnot this\n```\n```console\nseen\nmore\n```\n";
    let shown = |lines: &[&str]| lines.iter().map(|&line| line.into()).collect();
    let expected = [
        Step::Command { line: "run x".into(), shown: shown(&["shown"]) },
        Step::Typed { line: "go".into(), shown: vec![] },
        Step::Interrupted,
        Step::Shown(shown(&["seen", "more"])),
    ];
    assert_eq!(steps(page), expected);
    let line = "unix:boards/1: 8 rows (2 gaps: no window), room for 10 067 more";
    assert_eq!(shape(line), "unix:boards/1: # rows , room for # more");
    assert_eq!(shape("  walking   8      16\n"), "walking #");
    let differ = |command: &str, one: &str, other: &str| {
        comparable(command, one) != comparable(command, other)
    };
    assert!(differ("smidgen run", "transcript d8c7", "transcript d8c8"));
    assert!(differ("smidgen record --list", "  walking  9  6", "  walking  9  5"));
    assert!(differ("smidgen predict run", "Accuracy 100.0 %", "Accuracy 99.0 %"));
    assert!(!differ("smidgen run", "200 rounds in 3.6 s", "200 rounds in 4 s"));
    assert!(!differ("smidgen record --list", "room for 9 more", "room for 8 more"));
}
