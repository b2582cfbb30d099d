use super::*;
use crate::options::windowing::Windowing;
use crate::options::{
    Compressor, Constants, Downlink, Faults, Init, Method, Objective, Regulariser, ScaleColumns,
    Split, Step, StragglerPolicy,
};
use crate::world::transport::Address;
use smidgen_protocol::recipe::Feature;
use std::fs;
use std::path::Path;

fn parse_line(line: &str) -> Result<Cli, clap::Error> {
    parse(line.split_whitespace().map(OsString::from))
}

fn options(line: &str) -> Options {
    match parse_line(line).unwrap_or_else(|error| panic!("{error}")).command {
        Command::Simulate(options) => options,
        Command::Plan(plan) => plan.options,
        Command::Run(run) => run.options,
        Command::Emulate(emulate) => emulate.options,
        other => panic!("{other:?} has no options"),
    }
}

fn refused(line: &str) -> String {
    let error = parse_line(line).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

/// Parses `line` with a configuration file of this text. An error does not contain the directory of the file.
fn with_file(line: &str, text: &str) -> Result<Cli, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smidgen.toml");
    fs::write(&path, text).unwrap();
    parse_line(&format!("{line} --config {}", path.display())).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{error}");
        let directory = format!("{}{}", directory.path().display(), std::path::MAIN_SEPARATOR);
        error.to_string().replace(&directory, "")
    })
}

fn options_with_file(line: &str, text: &str) -> Options {
    match with_file(line, text).unwrap_or_else(|error| panic!("{error}")).command {
        Command::Simulate(options) => options,
        other => panic!("{other:?} instead of simulate"),
    }
}

#[test]
fn command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn omitted_options_have_defaults() {
    let expected = Options {
        dataset: "digits".into(),
        label: None,
        recordings: None,
        windowing: Windowing::default(),
        full_scale: vec![],
        shuffle: None,
        rows: None,
        test_rows: None,
        workers: None,
        split: Split::Contiguous,
        standardise: false,
        scale_columns: ScaleColumns::Auto,
        intercept: false,
        objective: Objective::Logistic,
        regulariser: Regulariser::Nonconvex,
        lambda: 1e-3,
        method: Method::Ef21,
        compressor: Compressor::Topk,
        k: vec![],
        value_bits: 4,
        step: Step::Auto,
        constants: Constants::Data,
        init: Init::Compressed,
        from: None,
        features_from: None,
        downlink: Downlink::Sparse,
        downlink_k: None,
        participation: vec![1.0],
        batch: None,
        eta: None,
        l1: 1e-3,
        check_theory: false,
        rounds: 200,
        target: None,
        seed: 0,
        faults: Faults::default(),
        absent: StragglerPolicy::default(),
        key: None,
        baud: 115_200,
        out: "smidgen-out".into(),
        checkpoint_every: 100,
        checkpoint_dir: None,
        config: None,
    };
    assert_eq!(options("smidgen simulate"), expected);
    assert_eq!(options("smidgen plan"), expected);
    assert_eq!(options("smidgen run --port COM3"), expected);
    assert_eq!(options("smidgen emulate --board mps2"), expected);
}

#[test]
fn every_option_is_parsed() {
    let all = "smidgen simulate --dataset a9a --rows 400 --test-rows 100 --workers 20 \
        --split by=subject --label species --shuffle 3 --standardise --scale-columns off --intercept \
        --objective least-squares --regulariser l2 --lambda 0.1 --method gd --batch 32 --k 1 --value-bits 32 \
        --step 0.25 --constants boards --init full --from old/model.json --features-from units --downlink dense --rounds 2000 \
        --target 1e-6 --seed 7 \
        --faults loss=0.2,corrupt=0.05,duplicate=0.1,split --absent skip=0.5 --key fleet.key --baud 9600 \
        --out runs/a9a --checkpoint-every 10 --checkpoint-dir safe";
    let expected = Options {
        dataset: "a9a".into(),
        label: Some("species".into()),
        recordings: None,
        windowing: Windowing::default(),
        full_scale: vec![],
        shuffle: Some(3),
        rows: Some(400),
        test_rows: Some(100),
        workers: Some(20),
        split: Split::By("subject".into()),
        standardise: true,
        scale_columns: ScaleColumns::Off,
        intercept: true,
        objective: Objective::LeastSquares,
        regulariser: Regulariser::L2,
        lambda: 0.1,
        method: Method::Gd,
        compressor: Compressor::Topk,
        k: vec![1],
        value_bits: 32,
        step: Step::Fixed(0.25),
        constants: Constants::Boards,
        init: Init::Full,
        from: Some("old/model.json".into()),
        features_from: Some("units".into()),
        downlink: Downlink::Dense,
        downlink_k: None,
        participation: vec![1.0],
        batch: Some(32),
        eta: None,
        l1: 1e-3,
        check_theory: false,
        rounds: 2000,
        target: Some(1e-6),
        seed: 7,
        faults: Faults {
            loss: 0.2,
            corrupt: 0.05,
            duplicate: 0.1,
            split: true,
            ..Faults::default()
        },
        absent: StragglerPolicy::Skip(0.5),
        key: Some("fleet.key".into()),
        baud: 9600,
        out: "runs/a9a".into(),
        checkpoint_every: 10,
        checkpoint_dir: Some("safe".into()),
        config: None,
    };
    assert_eq!(options(all), expected);
}

#[test]
fn recordings_take_the_place_of_a_data_set() {
    let found = options(
        "smidgen simulate --recordings here --window 20 --hop 5 --features max,min --rate 12.5 --full-scale 2,4",
    );
    let expected = Windowing {
        window: Some(20),
        hop: Some(5),
        features: vec![Feature::Max, Feature::Min],
        rate_millihertz: Some(12_500),
    };
    assert_eq!((found.windowing.clone(), &found.full_scale[..]), (expected, &[2.0, 4.0][..]));
    let record = found.record();
    assert_eq!(
        (&record["recordings"], &record["features"]),
        (&"here".into(), &serde_json::json!(["max", "min"]))
    );
    for option in ["--dataset digits", "--rows 5", "--test-rows 5", "--shuffle 1"] {
        let error = parse_line(&format!("smidgen simulate --recordings here {option}"));
        let error = sentence(&error.unwrap_err());
        let name = option.split(' ').next().unwrap();
        assert!(error.contains("'--recordings") && error.contains(name), "{error}");
    }
    for option in ["--recordings x --full-scale 0", "--recordings x --rate 0"] {
        parse_line(&format!("smidgen simulate {option}")).unwrap_err();
    }
}

#[test]
fn other_commands_are_parsed() {
    let command = |line| parse_line(line).unwrap().command;
    assert_eq!(command("smidgen ports"), Command::Ports);
    assert_eq!(command("smidgen demo --out here"), Command::Demo(Demo { out: "here".into() }));
    assert_eq!(
        command("smidgen report runs/a9a"),
        Command::Report(Report { directory: "runs/a9a".into() })
    );
    assert_eq!(
        command("smidgen image --board microbit --hex --key fleet.key"),
        Command::Image(Image {
            board: Board::find("microbit").unwrap(),
            hex: true,
            uf2: false,
            key: Some("fleet.key".into())
        })
    );
    parse_line("smidgen image --board pico --hex --uf2").unwrap_err();
    assert_eq!(command("smidgen key fleet.key"), Command::Key(NewKey { file: "fleet.key".into() }));
    let Command::Run(run) = command("smidgen run --port /dev/ttyACM0 --port tcp:pi:4000") else {
        panic!("not the command run")
    };
    assert_eq!(
        run.ports.addresses,
        [Address::Serial("/dev/ttyACM0".into()), Address::Tcp("pi:4000".into())]
    );
    let Command::Emulate(emulate) = command("smidgen emulate --board stm32f405=2 --board mps2")
    else {
        panic!("not the command emulate")
    };
    assert_eq!(
        emulate.boards,
        ["stm32f405=2", "mps2"].map(|boards| boards.parse().expect("the boards exist"))
    );
}

#[test]
fn invalid_arguments_are_refused_with_a_reason() {
    for (line, reason) in [
        ("smidgen simulate --k 0", "0 is not in 1.."),
        ("smidgen simulate --value-bits 33", "33 is not in 2..=32"),
        ("smidgen simulate --value-bits 1", "1 is not in 2..=32"),
        ("smidgen simulate --lambda -1", "give a number of at least 0"),
        ("smidgen simulate --lambda nan", "give a number of at least 0"),
        ("smidgen simulate --target 0", "give a number greater than 0"),
        (
            "smidgen simulate --step am2",
            "give qm, am, auto, exact, rare, tight or a number greater than 0",
        ),
        ("smidgen simulate --faults loss=2", "`loss=2` lacks a probability"),
        ("smidgen simulate --split blocks", "give contiguous, sorted-norm, one-each or by="),
        ("smidgen simulate --value-bit 8", "'--value-bits'"),
        ("smidgen run", "--port <ADDRESS>"),
        ("smidgen run --port usb:1", "unknown kind of address `usb:`"),
        ("smidgen emulate --board mps2=0", "NAME=COUNT with a count from 1 to 256"),
        ("smidgen emulate --board =2", "unknown board ``"),
        ("smidgen report", "<DIR>"),
    ] {
        let text = refused(line);
        assert!(text.contains(reason), "{line}: {text}");
    }
}

#[test]
fn command_line_takes_precedence_over_the_file() {
    let file = "dataset = \"a9a\"\nworkers = 20\nk = 4\nlambda = 1e-1\nvalue-bits = 4\n\
        faults = \"loss=0.2,split\"\nseed = 1_000\nstep = 0.5\n";
    let options = options_with_file("smidgen simulate --k 9 --step=qm", file);
    let Options { ref dataset, workers, ref k, lambda, value_bits, faults, seed, step, .. } =
        options;
    assert_eq!(
        (dataset.as_path(), workers, lambda, value_bits),
        (Path::new("a9a"), Some(20), 0.1, 4)
    );
    assert_eq!((faults, seed), (Faults { loss: 0.2, split: true, ..Faults::default() }, 1000));
    assert_eq!((k.as_slice(), step), (&[9][..], Step::Qm), "as on the command line");
    assert_eq!(options.split, Split::Contiguous, "the default");
}

#[test]
fn entries_in_conflict_with_the_command_line_are_overruled() {
    let options =
        options_with_file("smidgen simulate --recordings mv", "dataset = \"a9a\"\nwindow = 5\n");
    assert_eq!((options.recordings, options.windowing.window), (Some("mv".into()), Some(5)));
    assert_eq!(options.dataset, Path::new("digits"), "the default");
    let options = options_with_file("smidgen simulate --dataset a9a", "recordings = \"mv\"\n");
    assert_eq!((options.recordings, options.dataset), (None, "a9a".into()));
    let error = with_file("smidgen simulate", "recordings = \"mv\"\ndataset = \"a9a\"\n");
    assert!(error.unwrap_err().contains("cannot be used with"));
}

#[test]
fn file_sets_flags_and_accepts_integers_in_every_base() {
    let file =
        "check-theory = true\nseed = 0x1_0\nrounds = 0o17\nk = [0b100, +5]\nlambda = 1_0.5\n";
    let options = options_with_file("smidgen simulate", file);
    let Options { check_theory, seed, rounds, ref k, lambda, .. } = options;
    assert_eq!((check_theory, seed, rounds, &k[..], lambda), (true, 16, 15, &[4, 5][..], 10.5));
    assert!(!options_with_file("smidgen simulate", "check-theory = false").check_theory);
    assert!(
        options_with_file("smidgen simulate --check-theory", "check-theory = false").check_theory
    );
    let marked = options_with_file("smidgen simulate", "\u{feff}k = 4\r\n");
    assert_eq!(marked.k, [4], "with a byte-order mark and CRLF");
}

#[test]
fn repeatable_option_is_a_list_in_a_file() {
    let file = "board = [\"microbit=2\", \"mps2\"]\n";
    let boards = |line| match with_file(line, file).unwrap().command {
        Command::Emulate(emulate) => emulate.boards,
        other => panic!("{other:?} instead of emulate"),
    };
    let named = |boards: &str| boards.parse::<Boards>().expect("the boards exist");
    assert_eq!(boards("smidgen emulate"), [named("microbit=2"), named("mps2")]);
    assert_eq!(boards("smidgen emulate --board stm32f405"), [named("stm32f405")]);
}

#[test]
fn invalid_file_is_refused_with_its_line() {
    for (text, sentence) in [
        (
            "k = 4\nvalue_bits = 8\n",
            "line 2: unknown option `value_bits` of smidgen simulate; did you mean `value-bits`?",
        ),
        (
            "\n\nround = 8\n",
            "line 3: unknown option `round` of smidgen simulate; did you mean `rounds`?",
        ),
        (
            "config = \"other.toml\"",
            "line 1: unknown option `config` of smidgen simulate; `smidgen simulate --help` lists them",
        ),
        (
            "help = true",
            "line 1: unknown option `help` of smidgen simulate; `smidgen simulate --help`",
        ),
        (
            "board = [\"mps2\"]",
            "line 1: unknown option `board` of smidgen simulate; did you mean `baud`?",
        ),
        (
            "LAMBDA = 1",
            "line 1: unknown option `LAMBDA` of smidgen simulate; did you mean `lambda`?",
        ),
        (
            "k = 4\nrounds = \"many\"\n",
            "line 2: invalid value 'many' for '--rounds <T>': invalid digit",
        ),
        (
            "lambda = -1",
            "line 1: invalid value '-1' for '--lambda <F>': give a number of at least 0",
        ),
        (
            "split = \"blocks\"",
            "line 1: invalid value 'blocks' for '--split <contiguous|sorted-norm|one-each|by=COLUMN>': \
             give contiguous, sorted-norm, one-each or by=COLUMN",
        ),
        ("rows = [1, 2]", "line 1: the argument '--rows <N>' cannot be used multiple times"),
        ("k = [1, 0]", "line 1: invalid value '0' for '--k <K>'"),
        ("k = true", "line 1: the value of `k` is not a string, a number or a list of these"),
        ("[data]\nrows = 4", "line 1: unknown option `data`"),
        ("check-theory = 1", "line 1: `check-theory` is a flag: write check-theory = true"),
        ("check-theory = \"yes\"", "line 1: `check-theory` is a flag: write check-theory = true"),
        ("k = [true]", "line 1: the value of `k` is not a string, a number or a list of these"),
        ("k = 0x1000000000000000000000000000000000", "line 1: the number for `k` is out of range"),
        ("seed = 0xfffffffff", "line 1: invalid value '68719476735' for '--seed <S>'"),
        ("k = 4\n\u{feff}rounds = 5\n", "line 2: there is an invisible byte-order mark"),
        ("k = 4\nrounds = \n", "line 2: "),
        ("k = 4\nk = 5\n", "line 2: "),
    ] {
        let error = with_file("smidgen simulate", text).unwrap_err();
        let expected = format!("error: smidgen.toml, {sentence}");
        assert!(error.starts_with(&expected), "{text:?}: {error:?}");
        assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error:?}");
    }
}

#[test]
fn invalid_value_in_a_file_is_refused_even_if_overridden() {
    let error = with_file("smidgen simulate --k 4", "k = 0").unwrap_err();
    assert!(error.contains("line 1: invalid value '0' for '--k <K>'"), "{error}");
}

#[test]
fn unreadable_file_is_named() {
    let path = Path::new("no").join("such.toml");
    let text = refused(&format!("smidgen plan --config {}", path.display()));
    assert!(text.starts_with(&format!("error: cannot read {}: ", path.display())), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smidgen.toml");
    let utf16: Vec<u8> = "k = 4\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, name) in
        [(&utf16[..], "UTF-16"), (b"out = \"\xfc\"", "Latin-1"), (b"k\0", "not text")]
    {
        std::fs::write(&path, bytes).unwrap();
        let text = refused(&format!("smidgen plan --config {}", path.display()));
        assert!(text.contains(name) && text.contains("--config"), "{text}");
    }
}

#[test]
fn k_depends_on_the_dimension_unless_given() {
    let default = options("smidgen simulate");
    let k = |dimension| default.k(dimension, 2);
    assert_eq!([1, 32, 64, 123].map(k), [1, 1, 2, 3].map(|k| Ok(vec![k; 2])));
    let given = options("smidgen simulate --k 65");
    assert_eq!(given.k(65, 3), Ok(vec![65; 3]));
    assert_eq!(
        given.k(64, 3).unwrap_err().to_string(),
        "--k 65 exceeds the dimension of the model, 64; give 1 to 64, or omit it"
    );
}

#[test]
fn list_has_one_value_per_worker() {
    let line = "smidgen simulate --participation 1,0.5";
    for given in [options(&format!("{line} --k 1,4")), options_with_file(line, "k = [1, 4]")] {
        assert_eq!(given.k(64, 2), Ok(vec![1, 4]));
        assert_eq!(given.participation(2), Ok(vec![1.0, 0.5]));
        assert_eq!(
            given.k(64, 4).unwrap_err().to_string(),
            "--k lists 2 values for 4 workers; give one for all, or one per worker"
        );
        assert_eq!(
            given.participation(1).unwrap_err().to_string(),
            "--participation lists 2 values for 1 worker; give one for all, or one per worker"
        );
        let record = given.record();
        assert_eq!((&record["k"], &record["value-bits"]), (&[1, 4][..].into(), &4.into()));
    }
}

#[test]
fn workers_must_match_the_boards() {
    let default = options("smidgen simulate");
    assert_eq!([None, Some(2)].map(|boards| default.worker_count(boards)), [Ok(4), Ok(2)]);
    let given = options("smidgen simulate --workers 20");
    assert_eq!([None, Some(20)].map(|boards| given.worker_count(boards)), [Ok(20), Ok(20)]);
    assert_eq!(
        given.worker_count(Some(2)).unwrap_err().to_string(),
        "--workers 20 differs from the number of boards, 2; omit it, or name as many boards"
    );
}

#[test]
fn port_takes_several_addresses() {
    let ports =
        |line: &str| match parse_line(line).unwrap_or_else(|error| panic!("{error}")).command {
            Command::Run(run) => run.ports.addresses,
            Command::Record(record) => record.ports.addresses,
            Command::Load(load) => load.ports.addresses,
            other => panic!("{other:?} has no ports"),
        };
    let serial = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| Address::Serial((*name).into())).collect()
    };
    for command in ["run", "record --list", "load model.json"] {
        let line = format!("smidgen {command} --port 1 10 2 --key fleet.key --port a b");
        assert_eq!(ports(&line), serial(&["1", "10", "2", "a", "b"]), "{command}");
    }
    for command in ["run", "record --discard", "load model.json"] {
        let said = parse_line(&format!("smidgen {command} --port b 1 --port b")).unwrap_err();
        assert!(said.to_string().contains("the port b is given twice"), "{said}");
    }
    let said = refused("smidgen load --port 1 2 smidgen-out");
    assert!(said.starts_with("error: MODEL is missing: give it before --port"), "{said}");
    for command in ["export --format c", "predict --dataset digits"] {
        let said = parse_line(&format!("smidgen {command}")).unwrap_err().to_string();
        assert!(said.contains("<MODEL>") && !said.contains("--port"), "{said}");
    }
    let said = refused("smidgen predict smidgen-out");
    assert!(said.contains("<--dataset <NAME|PATH>|--recordings <PATH>>"), "{said}");
    let help = parse_line("smidgen load --help").unwrap_err().to_string();
    assert!(help.contains("Usage: smidgen load <MODEL> --port <ADDRESS>... [OPTIONS]"), "{help}");
    assert!(parse_line("smidgen watch --port 1 2").is_err());
}

#[test]
fn help_shows_required_options() {
    let help = parse_line("smidgen run --help").unwrap_err();
    assert_eq!(help.exit_code(), 0);
    assert!(help.to_string().contains("Usage: smidgen run [OPTIONS] --port <ADDRESS>"), "{help}");
}

#[test]
fn record_contains_every_option_by_its_name() {
    let record = options("smidgen simulate --faults loss=0.5 --step 0.25 --k 4").record();
    let expected = serde_json::json!({
        "dataset": "digits", "split": "contiguous", "objective": "logistic", "l1": 1e-3,
            "regulariser": "nonconvex", "lambda": 0.001, "method": "ef21", "compressor": "topk",
        "k": 4, "value-bits": 4, "step": "0.25", "constants": "data", "init": "compressed",
        "downlink": "sparse", "participation": 1.0, "rounds": 200, "scale-columns": "auto",
        "seed": 0, "faults": "loss=0.5", "absent": "wait", "baud": 115_200, "out": "smidgen-out",
    });
    assert_eq!(serde_json::Value::Object(record), expected);
}

#[test]
fn no_command_takes_a_line_without_a_rate() {
    for command in [
        "simulate",
        "emulate --board mps2-m3",
        "run --port tcp:localhost:1",
        "plan",
        "record --port tcp:localhost:1 --list",
        "load model.json --port tcp:localhost:1",
        "watch --port tcp:localhost:1",
    ] {
        assert!(parse_line(&format!("smidgen {command} --baud 9600")).is_ok(), "{command}");
        let error = refused(&format!("smidgen {command} --baud 0"));
        assert!(error.contains("'0' for '--baud"), "{command}: {error}");
    }
}
