//! Tests that invalid requests are refused with advice.

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn unwritable_output_is_refused_before_anything_is_sent() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut plan = command(Path::new("."), "plan --rows 50");
    let plan = plan.stdout(full).output().expect("the binary starts");
    assert_eq!(plan.status.code(), Some(2));
    assert_says(&stderr(&plan), &["error: cannot write to standard output"]);

    let output = smidgen(Path::new("/"), "simulate --rows 50 --rounds 2 --out /proc/run");
    assert_eq!(output.status.code(), Some(2));
    assert_says(&stderr(&output), &["error: cannot write /proc/run"]);
    assert!(!stderr(&output).contains("sending shards"), "{}", stderr(&output));
}

#[test]
fn bad_data_are_refused() {
    let directory = tempdir().expect("there is room");
    let file = |name: &str, content: &[u8]| {
        fs::write(directory.path().join(name), content).expect("there is room");
    };
    file("1.txt", b"+1 1:0.5 2:1\n-1 1:0.25 2:");
    file("2.txt", b"these are words\n");
    file("3.txt", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    file("4.txt", b"");
    file("5.txt", b"+1 1:0.5 2:-1e160\n-1 1:2\n+1 2:1\n-1 2:2\n");
    let refusal = |dataset: &str| {
        refusal_in(&directory, &format!("simulate --scale-columns off --dataset {dataset}"))
    };
    assert_says(&refusal("1.txt"), &["1.txt, line 2, column 11", "truncated"]);
    assert_says(&refusal("2.txt"), &["2.txt, line 1, column 1"]);
    assert_says(&refusal("3.txt"), &["3.txt", "decompress"]);
    assert_says(&refusal("4.txt"), &["4.txt", "empty"]);
    assert_says(&refusal("5.txt"), &["5.txt", "-1e160 in column 2", "scale the data"]);
    assert_says(&refusal("nowhere"), &["nowhere", "digits", "breast-cancer"]);
}

#[test]
fn impossible_options_are_refused() {
    assert_says(&refusal("simulate --k 65"), &["--k 65", "64"]);
    assert_says(&refusal("simulate --workers 2000"), &["1\u{202f}797 rows", "2000 workers"]);
    assert_says(&refusal("simulate --rows 0"), &["1797"]);
    assert_says(
        &refusal("simulate --split one-each --workers 3"),
        &["1\u{202f}797 workers", "not 3"],
    );
    for option in ["--k", "--participation"] {
        let sentence = refusal(&format!("simulate --rows 50 --workers 3 {option} 1,1"));
        assert_says(&sentence, &[option, "2 values for 3 workers", "one per worker"]);
    }
    assert_says(&refusal("simulate --rows 50 --faults loss=1"), &["--faults", "--baud"]);
    assert_says(&refusal("simulate --value-bits 1"), &["--value-bits"]);
    assert_says(&refusal("simulate --batch 0"), &["--batch"]);
    // A seed has 32 bits on the wire, so a larger one would equal another.
    assert_says(&refusal("simulate --seed 4294967295"), &["--seed", "4294967294"]);
    for step in ["qm", "am"] {
        let options = format!("--method ef21-sgdm --participation 0.5 --step {step}");
        let sentence = refusal(&format!("simulate --rows 50 {options}"));
        assert_says(&sentence, &[step, "ef21-sgdm", "--participation", "auto or a number"]);
    }
    assert_says(&refusal("simulate --rows 50 --step rare"), &["--step rare", "--lambda 0"]);
    assert_says(&refusal("simulate --step tight"), &["--step tight", "--regulariser l2", "am"]);
    for options in ["--downlink ef21-p", "--method ef21-hb", "--method gd"] {
        let sentence = refusal(&format!("simulate --lambda 0 --step tight {options}"));
        assert_says(&sentence, &["--step tight", "ef21 and ef21-w", "dense or sparse"]);
    }
    assert_says(&refusal("simulate --method gd --batch 9"), &["--method gd", "--batch", "ef21"]);
    for without_all in ["--batch 9", "--absent skip"] {
        let watched = refusal(&format!("simulate --check-theory --step am {without_all}"));
        assert_says(&watched, &["--check-theory", "all workers with all rows"]);
    }
    assert_says(&refusal("simulate --faults loss=2"), &["loss=2"]);
    assert_says(&refusal("emulate --board arduino"), &["arduino", "microbit"]);
    assert_says(&refusal("image --board arduino"), &["arduino", "microbit"]);
    assert_says(&refusal("report nowhere"), &["nowhere"]);
    assert_says(&refusal("simulate --config nowhere.toml"), &["nowhere.toml"]);
}

#[test]
fn directory_with_other_files_is_refused() {
    let directory = tempdir().expect("there is room");
    fs::write(directory.path().join("thesis.tex"), "years of work").expect("there is room");
    assert_says(&refusal_in(&directory, "simulate --rows 50 --rounds 2 --out ."), &["no run"]);
}

#[test]
fn missing_port_is_refused() {
    assert_says(&refusal("run --port /dev/nowhere"), &["/dev/nowhere", "smidgen ports"]);
    assert_says(&refusal("run --port unix:/nowhere"), &["/nowhere"]);
}

#[test]
fn port_of_another_program_is_refused() {
    let chatter = served_by(|mut stream| {
        for _ in 0..200 {
            if stream.write_all(b"$GPGGA,123519,4807.038,N\r\n").is_err() {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let sentence = refusal(&format!("run --port {chatter} --rows 50"));
    assert_says(&sentence, &[&chatter, "bytes came", "firmware"]);
}

#[test]
fn a_silent_port_is_refused() {
    let silent = served_by(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_says(&refusal(&format!("run --port {silent} --rows 50")), &[&silent, "nothing came"]);
}

#[test]
fn two_boards_with_one_identity_are_refused() {
    let (one, two) = (board(7), board(7));
    let sentence = refusal(&format!("run --port {one} --port {two} --rows 50"));
    assert_says(&sentence, &["same identity", "worker 1", "worker 2"]);
}

#[test]
fn firmware_of_another_version_is_refused() {
    let other = answering(Ready { version: VERSION + 1, ..ready("future", 1) });
    let sentence = refusal(&format!("run --port {other} --rows 50"));
    assert_says(
        &sentence,
        &[&format!("version {}", VERSION + 1), &format!("version {VERSION}"), "flash"],
    );
}

#[test]
fn firmware_without_the_objective_is_refused() {
    let sentence = refusal(&format!("run --port {} --rows 50 --objective least-squares", board(7)));
    assert_says(&sentence, &["supports logistic but not least-squares", "flash"]);
}

#[test]
fn perceptron_has_no_step_by_theory() {
    for options in ["--step am", "--step qm", "--method dcgd"] {
        let sentence = refusal(&format!("simulate --rows 50 --objective perceptron {options}"));
        assert_says(&sentence, &["theory has no step size", "--step a number"]);
    }
    let sentence = refusal("simulate --rows 50 --objective perceptron --method ef21-w --step 1");
    assert_says(&sentence, &["smoothness constants"]);
}

#[test]
fn invalid_experiments_are_refused() {
    let directory = tempdir().expect("there is room");
    let write = |text: &str| {
        fs::write(directory.path().join("tiny.toml"), text).expect("there is room");
    };
    write(&EXPERIMENT.replace("--dataset digits", "--dataset anywhere"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    assert_says(&error, &["no data set of any experiment", "--data"]);
    write(&EXPERIMENT.replace("--k 2", "--k 999"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    // Curves run in parallel, so either may fail first.
    assert_says(&error, &["tiny, here, ", " step: --k 999 exceeds"]);
    write(&EXPERIMENT.replace("against", "aginst"));
    let error = refusal_in(&directory, "reproduce tiny.toml");
    assert_says(&error, &["experiment tiny: line 7: unknown field `aginst`"]);
    assert_says(&refusal("reproduce everything"), &["unknown experiment `everything`", "logistic"]);
}
