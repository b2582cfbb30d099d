//! Tests of numbers at the limits of options and data, and of data that cannot be read or used.

use super::*;

/// The limits of f64, of options, and of fixed point.
const EXTREMES: [&str; 14] = [
    "-0",
    "0",
    "5e-324",
    "1e-308",
    "1e-100",
    "1e-30",
    "2.4e-10",
    "0.9999999999999999",
    "1",
    "1e30",
    "1e100",
    "1e150",
    "1e308",
    "1.7976931348623157e308",
];

/// Asserts that a run of three rounds on 20 rows succeeds or is refused with one error, and never prints NaN.
fn assert_survives(directory: &TempDir, arguments: &str) {
    let output = smidgen(directory.path(), arguments);
    let (said, text) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    for none in ["panicked", "inf·", "NaN"] {
        assert!(!said.contains(none) && !text.contains(none), "{arguments}: {said}{text}");
    }
    match output.status.code() {
        Some(0) => {}
        Some(2) => {
            let errors: Vec<&str> = text.lines().filter(|line| line.contains("error: ")).collect();
            assert_eq!(errors.len(), 1, "{arguments}: {text}");
            assert_once(errors[0]);
            let of_digits = !arguments.contains("--dataset");
            let is_true = !(of_digits && errors[0].contains("scale the data"));
            assert!(is_true, "the features of digits are moderate: {arguments}: {text}");
        }
        other => panic!("{arguments}: {other:?}: {text}"),
    }
}

#[test]
fn limits_of_options_neither_panic_nor_blame_the_data() {
    let of_numbers = [
        "--lambda",
        "--lambda 1 --regulariser l2 --step",
        "--step",
        "--target",
        "--participation",
        "--step rare --lambda 0 --participation",
        "--step exact --participation",
        "--step tight --regulariser l2 --lambda",
        "--step tight --lambda 0 --participation",
        "--method ef21-prox --l1",
        "--method ef21-prox --step 1e100 --l1",
        "--method ef21-hb --eta",
        "--method ef21-hb --step 1 --eta",
        "--method ef21-sgdm --eta",
        "--method ef21-sgdm --lambda 1e100 --eta",
        "--method econtrol --eta",
        "--method ef21-w --lambda",
        "--method ef21-clone --lambda",
        "--method gd --step am --lambda",
        "--downlink ef21-p --step am --lambda",
        "--downlink ef21-bc --step am --lambda",
        "--batch 3 --step am --lambda",
        "--lambda 1e100 --participation",
        "--method ef21-prox --l1 1e100 --lambda",
        "--absent skip=",
        "--absent wait=",
    ];
    let of_counts = [
        "--baud",
        "--seed",
        "--checkpoint-every",
        "--k",
        "--downlink ef21-p --downlink-k",
        "--batch",
    ];
    let counts = ["0", "1", "2147483648", "4294967295", "18446744073709551616"];
    let number = of_numbers.iter().flat_map(|option| EXTREMES.map(|value| (*option, value)));
    let count = of_counts.iter().flat_map(|option| counts.map(|value| (*option, value)));
    let all: Vec<_> = number.chain(count).collect();
    thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(4)) {
            scope.spawn(move || {
                let directory = tempdir().expect("there is room");
                for (option, value) in part {
                    let gap = if option.ends_with('=') { "" } else { " " };
                    let base = "simulate --rows 20 --workers 2 --rounds 3 --out run";
                    assert_survives(&directory, &format!("{base} {option}{gap}{value}"));
                }
            });
        }
    });
}

#[test]
fn more_workers_than_memory_allows_are_refused() {
    let quadratics = "--objective least-squares --dataset quadratics:dimension=1,l-var=4e5,workers";
    let crowd = |options: &str| refusal(&format!("simulate {quadratics}={options}"));
    assert_says(&crowd("40000 --workers 40000"), &["--workers gives 40000", "at most 32768"]);
    assert_says(&crowd("40000 --split one-each"), &["--split one-each gives 40000"]);
    let clones = crowd("20000 --workers 20000 --method ef21-clone");
    assert_says(&clones, &["--method ef21-clone gives", "at most 32768"]);
    for (quadratics, cause) in [
        ("workers=1", "workers=2"),
        ("workers=65535,dimension=65535", "65535 rows each"),
        ("l-am=1e308", "`l-am=1e308`"),
        ("l-am=1e-50,l-var=1e100", "with mean 1.00·10⁻⁵⁰"),
    ] {
        assert_says(&refusal(&format!("plan --dataset quadratics:{quadratics}")), &[cause]);
    }
}

/// Returns rows with features and labels of these magnitudes.
fn rows(feature: &str, label: &str) -> String {
    let mantissas = ["1.25", "-0.5", "2.75", "0.125", "-1.5"];
    let row = |i: usize| {
        let [a, b, l] = [i, i + 2, i + 1].map(|i| mantissas[i % 5]);
        format!("{l}{label} 1:{a}{feature} 2:{b}{feature}\n")
    };
    (0..20).map(row).collect()
}

#[test]
fn data_of_any_magnitude_are_used_or_refused() {
    let directory = tempdir().expect("there is room");
    let magnitudes =
        ["e-320", "e-160", "e-80", "e-20", "e-9", "", "e15", "e30", "e80", "e160", "e300"];
    for (feature, label) in magnitudes.iter().flat_map(|f| magnitudes.map(|l| (f, l))) {
        fs::write(directory.path().join("data"), rows(feature, label)).expect("there is room");
        let options = "--dataset data --workers 2 --rounds 5 --lambda 0 --out run";
        for objective in ["least-squares", "softmax"] {
            assert_survives(&directory, &format!("simulate {options} --objective {objective}"));
        }
    }
    let refused = |feature: &str, label: &str| {
        fs::write(directory.path().join("data"), rows(feature, label)).expect("there is room");
        let options = "--scale-columns off --objective least-squares --lambda 0";
        refusal_in(&directory, &format!("simulate --dataset data {options}"))
    };
    assert_says(&refused("", "e20"), &["the labels of data, up to 2.75·10²⁰", "scale the labels"]);
    assert_says(&refused("e30", ""), &["features up to 2.75·10³⁰", "scale the data"]);
}

#[test]
fn option_that_causes_an_error_is_named() {
    for (options, cause) in [
        ("--lambda 1e300", "'1e300' for '--lambda"),
        ("--lambda 1e30", "because of --lambda 1e30; give a smaller one"),
        ("--participation 5e-324", "'5e-324' for '--participation"),
        ("--method ef21-sgdm --eta 1e-30", "because of --eta 1e-30; give a larger one"),
        ("--method ef21-sgdm --eta 0", "with --eta 0, ef21-sgdm ignores"),
        (
            "--method ef21-hb --eta 0.9999999999999999",
            "because of --eta 0.9999999999999999; give a",
        ),
        ("--method ef21-prox --l1 1e308", "'1e308' for '--l1"),
        ("--step 1e-320", "'1e-320' for '--step"),
        ("--step 1e-30", "--step 1e-30 is too small"),
        ("--rows 1", "--rows 1 leaves 1 row to train on, too few for 4 workers"),
        ("--rows 9 --test-rows 7", "--rows 9 with --test-rows 7 leaves 2 rows"),
        ("--rows 1 --test-rows 1", "--test-rows 1 does not fit the 1 row, after --rows, of digits"),
        ("--rows 9999", "so --rows 9999 is out of range"),
    ] {
        assert_says(&refusal(&format!("simulate {options}")), &[cause]);
    }
}

#[test]
fn worker_without_features_participates_in_every_method() {
    let directory = tempdir().expect("there is room");
    // The second of four workers has rows without features, and one whose feature is zero.
    let text = "1 1:1 2:1\n-1 2:2\n1\n-1 3:0\n1 1:1 3:1\n-1 2:1\n-1 1:-1\n1 3:2\n";
    fs::write(directory.path().join("data"), text).expect("there is room");
    let options = "--dataset data --workers 4 --lambda 0 --k 1";
    for method in [
        "--method ef21 --step am",
        "--method ef21 --step qm",
        "--step exact",
        "--step rare",
        "--step tight",
        "--method ef21-w --step am",
        "--method ef21-w",
        "--method ef21-clone --step am",
        "--method ef21+",
        "--method ef21-sgdm",
        "--method ef21-hb",
        "--method ef21-prox",
        "--method gd",
        "--step am --check-theory",
        "--step am --batch 1",
        "--method ef21-w --step am --batch 1",
        "--step am --constants boards",
        "--objective least-squares --step am --batch 1",
    ] {
        let simulate = format!("simulate {options} --rounds 30 --out run {method}");
        let output = smidgen(directory.path(), &simulate);
        assert!(output.status.success(), "{method}: {}", stderr(&output));
        let summary = summary_of(&directory.path().join("run"));
        let mut workers = summary["workers"].as_array().expect("a list").iter();
        assert!(workers.any(|worker| worker["l_i"] == 0.0), "{method}");
        let number = |name: &str| summary[name].as_f64().expect(name);
        assert!(number("loss") < number("initial_loss"), "{method}: {summary}");
        assert!(!stderr(&output).contains("warning"), "{method}: {}", stderr(&output));
    }
    let output = smidgen(directory.path(), &format!("plan {options} --step am --batch 1 --json"));
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert!(plan["noise_floor"].is_f64(), "{plan}");
    for step in plan["steps"].as_array().expect("a list") {
        assert!(step["gamma"].as_f64().expect("a number") > 0.0, "{step}");
    }
    let flat = "1 1:0\n-1 1:0\n";
    fs::write(directory.path().join("flat"), flat).expect("there is room");
    for lambda in ["0", "1"] {
        let options = format!("simulate --dataset flat --workers 1 --lambda {lambda}");
        assert_says(&refusal_in(&directory, &options), &["nothing to learn"]);
    }
}

#[test]
fn encoding_of_unreadable_text_is_named() {
    let directory = tempdir().expect("there is room");
    let utf16 = "1 1:1\n".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let refused = |content: &[u8]| {
        fs::write(directory.path().join("data"), content).expect("there is room");
        refusal_in(&directory, "plan --dataset data")
    };
    assert_says(&refused(&utf16), &["data", "UTF-16", "iconv"]);
    assert_says(&refused(b"1 1:1\n# gr\xf6\xdfe\n"), &["data", "line 2", "Latin-1", "iconv"]);
    assert_says(&refused(b"\x1f\x8b\x08\x01"), &["data", "decompress"]);
    assert_says(&refused("1 1:1\n\u{feff}-1 1:2\n".as_bytes()), &["line 2", "byte-order mark"]);
}

#[test]
fn indices_from_zero_are_refused_with_a_shift_command() {
    let directory = tempdir().expect("there is room");
    fs::write(directory.path().join("data"), "1 0:1 2:0.5\n-1 1:2e-3\n").expect("there is room");
    let sentence = refusal_in(&directory, "plan --dataset data");
    assert_says(&sentence, &["line 1, column 3", "indices start at 1"]);
    let awk = sentence.split('`').nth(1).expect("a command");
    let shift = format!("{awk} data > shifted");
    let shell = Command::new("sh").args(["-c", &shift]).current_dir(directory.path()).status();
    assert!(shell.expect("a shell is there").success());
    let shifted = fs::read_to_string(directory.path().join("shifted")).expect("it is there");
    assert_eq!(shifted, "1 1:1 3:0.5\n-1 2:2e-3\n");
}

#[cfg(target_os = "linux")]
#[test]
fn pipe_is_accepted_and_endless_file_is_refused() {
    let directory = tempdir().expect("there is room");
    assert_says(&refusal_in(&directory, "plan --dataset /dev/zero"), &["/dev/zero", "not text"]);
    assert_says(&refusal_in(&directory, "plan --config /dev/zero"), &["/dev/zero", "not text"]);
    let simulate = "simulate --dataset /dev/stdin --workers 2 --rounds 3 --out run";
    let mut simulate = Running::start(command(directory.path(), simulate).stdin(Stdio::piped()));
    let mut pipe = simulate.child().stdin.take().expect("it is piped");
    pipe.write_all(b"1 1:1 2:-1\n-1 1:-0.5\n1 2:1\n-1 1:0.25 2:2\n").expect("it reads");
    drop(pipe);
    let output = simulate.output();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn information_limit_counts_the_entries_sent() {
    let directory = tempdir().expect("there is room");
    // Each row has three of 300 features, and so has the gradient of its worker: fewer than K.
    let row = |i: usize| {
        let sign = if i.is_multiple_of(2) { 1 } else { -1 };
        format!("{sign} {}:1 {}:2 {}:-1\n", 1 + i, 100 + i, 300)
    };
    fs::write(directory.path().join("data"), (0..20).map(row).collect::<String>()).expect("room");
    let options = "--dataset data --workers 10 --lambda 0 --k 150 --rounds 20";
    let output = smidgen(directory.path(), &format!("plan {options} --json"));
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let number = |value: &Value| value.as_f64().expect("a number");
    let [body, limit] =
        ["body_bytes", "information_bytes"].map(|name| number(&plan["update"][name]));
    assert!(limit > 0.5 * body && limit <= body, "{limit} of {body}");

    assert!(smidgen(directory.path(), &format!("simulate {options} --out run")).status.success());
    let run = directory.path().join("run");
    let of_summary = &summary_of(&run)["information_limit"];
    assert!((number(&of_summary["bits_per_update"]) / 8.0 / limit - 1.0).abs() < 1e-9);
    let rounds = json_lines(&run.join("rounds.jsonl"));
    let bits: f64 = rounds[1..].iter().map(|round| number(&round["information_bits"])).sum();
    assert!((bits / 200.0 / 8.0 / limit - 1.0).abs() < 1e-9);
    let sent = number(&of_summary["sent_bytes"]);
    assert!(sent >= bits / 8.0, "{sent}");
}

#[test]
fn model_is_that_of_the_best_round_also_after_a_resumption() {
    let directory = tempdir().expect("there is room");
    // With steps that are far too long the last round is rarely the best.
    let options = "--rows 100 --test-rows 20 --k 2 --step 60";
    let run = |arguments: &str, out: &str| {
        let output = smidgen(directory.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let out = directory.path().join(out);
        let model = fs::read(out.join("model.json")).expect("it is there");
        let model: Value = serde_json::from_slice(&model).expect("it is JSON");
        (summary_of(&out), model, said)
    };
    let (whole, model, said) = run(&format!("simulate {options} --rounds 30 --out whole"), "whole");
    let rounds = json_lines(&directory.path().join("whole/rounds.jsonl"));
    let loss = |round: &Value| round["loss"].as_f64().expect("a number");
    let best = rounds.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).expect("a round");
    for name in ["round", "loss"] {
        assert_eq!((&whole["model"][name], &model[name]), (&best[name], &best[name]), "{name}");
    }
    assert_eq!((&model["iterate"], &model["transcript"]), (&"best".into(), &best["transcript"]));
    let round = best["round"].as_u64().expect("a count");
    assert!(round < 30, "the last round is the best: choose another seed");
    let told = format!("The model of the run is its best one, that of round {round}: loss ");
    assert_says(&said, &[&told, &format!("The model of round {round} is whole/model.json")]);
    assert_says(&said, &[&format!("held-out rows, the model of round {round} has")]);
    let report =
        fs::read_to_string(directory.path().join("whole/report.html")).expect("it is there");
    assert_says(&report, &[&told, &format!("is the model of round {round}.")]);

    let (part, ..) = run(&format!("simulate {options} --rounds {round} --out part"), "part");
    assert_eq!(part["model"], whole["model"]);
    assert_eq!(part["test"], whole["test"], "it is the model of the run that is tested");
    let (resumed, again, _) = run("resume part --rounds 30", "part");
    assert_eq!((&resumed["model"], &resumed["test"]), (&whole["model"], &whole["test"]));
    assert_eq!((&resumed["transcript"], again), (&whole["transcript"], model));

    // Also of a run that diverges: an early model is better than the first one.
    let diverging = "simulate --recordings example --objective softmax --step 1000 --rounds 12";
    let (summary, model, said) = run(&format!("{diverging} --out diverged"), "diverged");
    let round = &model["round"];
    assert!((1..12).contains(&round.as_u64().expect("a count")), "{round}");
    assert_eq!(&summary["model"]["round"], round);
    let told = format!("The model of round {round} is diverged/model.json");
    assert_says(&said, &["It diverged: it is not compared.", &told]);
}
