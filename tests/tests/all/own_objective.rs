//! An objective of one's own with the whole command line, `examples/own-objective`.

use smidgen_tests::emulation::image_of;
use smidgen_tests::example::{Example, succeed};
use std::path::Path;

const PROGRAM: &str = "own-objective";
const RUN: [&str; 10] =
    ["--dataset", "digits", "--rows", "100", "--step", "qm", "--k", "4", "--test-rows", "20"];

/// The program, built, with its folder for files.
fn built() -> (Example, tempfile::TempDir) {
    let example = Example::new(PROGRAM);
    example.cargo(&["build"]);
    (example, tempfile::tempdir().expect("a temporary folder"))
}

/// Runs a subcommand with arguments separated by spaces.
fn run(example: &Example, folder: &Path, arguments: &str) -> String {
    succeed(example.program(PROGRAM, folder).args(arguments.split(' ')))
}

/// The error of a subcommand that fails.
fn refusal(example: &Example, folder: &Path, arguments: &str) -> String {
    let mut command = example.program(PROGRAM, folder);
    let output = command.args(arguments.split(' ')).output().expect("the program starts");
    assert!(!output.status.success(), "{arguments}");
    String::from_utf8(output.stderr).expect("errors are text")
}

fn transcript(printed: &str) -> &str {
    let line = printed.lines().find(|line| line.starts_with("transcript "));
    line.unwrap_or_else(|| panic!("no transcript in {printed}"))
}

/// Every block of Rust on the page is in a file of the example.
#[test]
fn page_shows_the_example() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(top.join(path)).expect("the file is there");
    let page = read("docs/own-objective.md");
    let files = ["loss/src/lib.rs", "src/main.rs", "images/mps2/src/main.rs", "images/build.rs"];
    let files = files.map(|file| read(&format!("examples/own-objective/{file}")));
    let blocks: Vec<_> = page.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), files.len());
    for (block, file) in blocks.iter().zip(&files) {
        assert_eq!(block.split("```").next(), Some(&**file));
    }
}

/// What a stranger writes: the loss, the program, an image and its build script, without comments and empty lines.
#[test]
fn example_is_short() {
    let files = ["loss/src/lib.rs", "src/main.rs", "images/mps2/src/main.rs"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/own-objective");
    let texts = files.map(|file| std::fs::read_to_string(folder.join(file)).expect("it is there"));
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines: usize = texts.iter().map(|text| text.lines().filter(is_code).count()).sum();
    assert!(lines < 60, "{lines} lines");
}

#[test]
fn boards_agree_with_the_twin() {
    assert!(Example::new(PROGRAM).cargo(&["test"]).contains("1 passed"));
}

#[test]
fn whole_command_line_has_the_objective() {
    let (example, folder) = built();
    let (folder, common) = (folder.path(), RUN.join(" "));
    assert!(run(&example, folder, "simulate --help").contains("Huber loss: real targets"));
    let plan = run(&example, folder, &format!("plan {common} --rounds 20"));
    assert!(plan.contains("L_QM"), "{plan}");
    let of = |rounds: u32, out: &str| {
        run(&example, folder, &format!("simulate {common} --rounds {rounds} --out {out}"))
    };
    let whole = of(30, "whole");
    assert!(whole.contains("Theorem"), "{whole}");
    of(20, "part");
    assert_eq!(transcript(&run(&example, folder, "resume part --rounds 30")), transcript(&whole));
    assert!(run(&example, folder, "report part").contains("report.html"));
    let predicted = run(&example, folder, "predict part --dataset digits");
    assert!(predicted.contains("predicted by the huber model of round 30"), "{predicted}");
    for format in ["rust", "c", "onnx", "safetensors"] {
        run(&example, folder, &format!("export part --format {format}"));
    }
}

#[test]
fn advice_names_the_program_that_runs() {
    let (example, folder) = built();
    let folder = folder.path();
    let advice = run(&example, folder, "key fleet.key");
    assert!(advice.contains("`own-objective image --board NAME --key fleet.key`"), "{advice}");
    let help = run(&example, folder, "simulate --help");
    assert!(help.contains("Example: own-objective simulate "), "{help}");
    let refused = refusal(&example, folder, "emulate --board nrf52840");
    assert!(refused.contains("train it with `own-objective run`"), "{refused}");
    for text in [advice, help, refused] {
        assert!(!text.contains("smidgen simulate") && !text.contains("`smidgen "), "{text}");
    }
}

/// smidgen does not require it of programs of others, but commits of this repository do.
#[test]
fn lock_files_of_images_are_up_to_date() {
    for board in ["images/mps2", "images/microbit"] {
        Example::new(&format!("{PROGRAM}/{board}")).cargo(&["tree"]);
    }
}

#[test]
fn unknown_objectives_are_refused_with_advice() {
    let (example, folder) = built();
    let folder = folder.path();
    let refused = refusal(&example, folder, "simulate --objective logistic");
    assert!(refused.contains("[possible values: huber]"), "{refused}");
    run(&example, folder, &format!("simulate {} --rounds 5 --out own", RUN.join(" ")));
    let unknown = smidgen::record::Model::read(folder.join("own")).unwrap_err().to_string();
    assert!(unknown.contains("objective `huber`, which this program does not know"), "{unknown}");
    assert!(unknown.contains("use the program that trained it"), "{unknown}");
}

#[test]
fn emulated_boards_give_the_transcript_of_simulation() {
    // Skipped where the image of smidgen cannot run either.
    let test = "own_objective::emulated_boards_give_the_transcript_of_simulation";
    let boards = ["mps2-m3", "microbit"];
    if boards.iter().any(|board| image_of(board, test).is_none()) {
        return;
    }
    let (example, folder) = built();
    let missing = refusal(&example, folder.path(), "image --board stm32f405");
    assert!(missing.contains("this program has no image for stm32f405"), "{missing}");
    let common = format!("{} --rounds 10", RUN.join(" "));
    let emulated = format!("emulate --board mps2-m3 --board microbit {common} --out emulated");
    let simulated = format!("simulate --workers 2 {common} --out simulated");
    let emulated = run(&example, folder.path(), &emulated);
    let simulated = run(&example, folder.path(), &simulated);
    assert_eq!(transcript(&emulated), transcript(&simulated));
}
