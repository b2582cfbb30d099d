//! Every export of every model predicts what `smidgen predict` does: the same labels, and scores within a tolerance.

use super::python;
use crate::support::{program, smidgen, stderr};
use smidgen::boards::image;
use smidgen::model::predict::{Answer, Predictions, RowPrediction};
use smidgen::options::{Choice, ExportFormat, Objective};
use smidgen::problem::dataset::{Channel, Dataset, Labels, Roles, Windows};
use smidgen::record::Model;
use smidgen::record::model::Input;
use smidgen_firmware::recorder::features;
use smidgen_firmware::recorder::window::Window;
use smidgen_protocol::recipe::{Feature, Features, ROW_LEN_MAX, Recipe};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Largest difference of a score or probability, relative to the largest score of its row or 1.
const TOLERANCE: f64 = 1e-12;

/// A trained model with its predictions.
struct Case {
    name: String,
    directory: PathBuf,
    model: Model,
    predictions: Predictions,
}

/// Data sets, with options that prepare them.
const DATA: [(&str, &str); 3] =
    [("digits", ""), ("breast-cancer", ""), ("table.csv", "--standardise")];

/// Writes a table with a hundred rows, whose names and classes no source code should contain as they are.
fn write_table(path: &Path, rows: &Dataset, is_real: bool) {
    let name = |column: usize| match column {
        0 => "\"naïve \"\"?\"\"\"".to_owned(),
        1 => "*/ ??/ \\".to_owned(),
        _ => format!("column {column}"),
    };
    let names: Vec<_> = (0..rows.dimension()).map(name).collect();
    let mut table = format!("{},class\n", names.join(","));
    for row in (0..100).map(|row| rows.row(row)) {
        let mut values = vec![0.0; rows.dimension()];
        row.entries().for_each(|(column, value)| values[column] = value);
        values.iter().for_each(|value| write!(table, "{value},").expect("memory"));
        let class = if row.label > 0.0 { "mali\\gn\u{202e} \u{e9}??/" } else { "beni'gn %s" };
        match is_real {
            true => writeln!(table, "{}", 3.0 * row.label + 0.5),
            false => writeln!(table, "{class}"),
        }
        .expect("memory");
    }
    fs::write(path, table).expect("there is room");
}

/// Trains a model of each objective on each data set, and writes the rows of the data beside it, as numbers of 64 bits.
fn cases(folder: &TempDir) -> Vec<Case> {
    let choices = Objective::ALL.iter().flat_map(|objective| DATA.map(|data| (*objective, data)));
    let of_columns = choices.map(|(objective, data)| case(folder.path(), objective, data));
    let of_windows = SHAPES.map(|shape| case_of_windows(folder.path(), shape));
    let heads = Objective::ALL.iter().map(|objective| case(folder.path(), *objective, HEAD));
    of_columns.chain(of_windows).chain(heads).collect()
}

/// Data of heads on the hidden units of a model that was trained before.
const HEAD: (&str, &str) = ("digits", "--features-from perceptron-of-digits-0");

/// Channels and samples of windows.
const SHAPES: [(usize, u16); 3] = [(1, 1), (2, 3), (3, 20)];

/// Windows of noise, of different sizes up to the full scale, and of jumps between its ends.
fn windows((channels, window): (usize, u16)) -> Vec<Vec<Vec<i16>>> {
    let mut state = 7u64;
    let mut noise = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 48) as i16
    };
    let mut sample = |number: usize, t: usize| match number % 20 {
        18 => {
            if t.is_multiple_of(2) {
                i16::MIN
            } else {
                i16::MAX
            }
        }
        19 => i16::MIN,
        shift => (noise() >> (shift % 16)).saturating_add(number as i16),
    };
    let window = |number| {
        (0..window.into()).map(|t| (0..channels).map(|_| sample(number, t)).collect()).collect()
    };
    (0..100).map(window).collect()
}

/// The row of a window on a board.
fn row_of_board(recipe: &Recipe, window: &[Vec<i16>]) -> Vec<i16> {
    let mut memory = vec![0; recipe.window_len()];
    let mut ring = Window::new(&mut memory);
    ring.start(recipe).expect("the memory is long enough");
    let (last, first) = window.split_last().expect("it has samples");
    first.iter().for_each(|sample| assert!(ring.push(sample).is_none()));
    let samples = ring.push(last).expect("the window is full");
    features::row(&samples, recipe.features, &mut [0; ROW_LEN_MAX]).to_vec()
}

/// Trains on the rows that a board makes of windows, and writes the windows beside the model.
fn case_of_windows(folder: &Path, shape: (usize, u16)) -> Case {
    let (name, all) = (format!("windows-of-{}", shape.1), windows(shape));
    let channel = |number| Channel { name: format!("c{number} */"), full_scale: Some(0.75) };
    let windows = Windows {
        channels: (0..shape.0).map(channel).collect(),
        rate_millihertz: 12_500,
        window: shape.1,
        hop: 1,
        features: Feature::ALL.into_iter().fold(Features::NONE, Features::with),
    };
    let mut table = format!("{},class\n", windows.column_names().join(","));
    let mut rows = Vec::new();
    for (number, window) in all.iter().enumerate() {
        for value in row_of_board(&windows.recipe(), window) {
            write!(table, "{value},").expect("memory");
            rows.extend(f64::from(value).to_le_bytes());
        }
        writeln!(table, "class {}", number % 3).expect("memory");
    }
    let data = format!("{name}.csv");
    fs::write(folder.join(&data), table).expect("there is room");
    let line = format!(
        "simulate --dataset {data} --standardise --objective softmax --rounds 30 --out {name}"
    );
    let output = smidgen(folder, &line);
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    let directory = folder.join(&name);
    let mut model = Model::read(&directory).expect("the run leaves a model");
    let predictions = model.predict(&folder.join(&data), None).expect("it is the training table");
    let Input::Columns(preparation) = &mut model.input else { panic!("it has no layers") };
    preparation.windows = Some(windows);
    model.write(&directory).expect("there is room");
    let bytes = all.iter().flatten().flatten().flat_map(|value| value.to_le_bytes());
    fs::write(directory.join("rows"), bytes.collect::<Vec<_>>()).expect("there is room");
    fs::write(directory.join("features"), rows).expect("there is room");
    export(folder, &name);
    Case { name, directory, model, predictions }
}

/// Writes the files of all formats.
fn export(folder: &Path, name: &str) {
    for format in ExportFormat::ALL {
        let output = smidgen(folder, &format!("export {name} --format {}", format.name()));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(folder.join(name).join(format.file_name()).is_file());
    }
}

fn case(folder: &Path, objective: Objective, (set, options): (&str, &str)) -> Case {
    let labels = objective.info().labels;
    let bundled = if set.ends_with(".csv") { "breast-cancer" } else { set };
    let raw = Dataset::load_raw(bundled, labels, Roles::default()).expect("it is bundled");
    let mut data = set.to_owned();
    let mut row_count = raw.row_count();
    if bundled != set {
        data = format!("{}-{set}", objective.name());
        row_count = 100;
        write_table(&folder.join(&data), &raw, objective.info().labels == Labels::Real);
    }
    let name = format!("{}-of-{bundled}-{}", objective.name(), options.len());
    let objective = objective.name();
    // Only linear objectives without a bias of their own have an intercept.
    let line = format!(
        "simulate --dataset {data} {options} --objective {objective} --rounds 30 --out {name}"
    );
    let output = smidgen(folder, &line);
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    let directory = folder.join(&name);
    let model = Model::read(&directory).expect("the run leaves a model");
    let place = if bundled == set { set.into() } else { folder.join(&data) };
    let predictions = model.predict(&place, None).expect("the rows are those of the training");
    let mut bytes = Vec::new();
    for row in (0..row_count).map(|row| raw.row(row)) {
        let mut values = vec![0.0; raw.dimension()];
        row.entries().for_each(|(column, value)| values[column] = value);
        bytes.extend(values.into_iter().flat_map(f64::to_le_bytes));
    }
    fs::write(directory.join("rows"), bytes).expect("there is room");
    export(folder, &name);
    Case { name, directory, model, predictions }
}

impl Case {
    /// Returns how windows become rows, if the file `rows` has windows.
    fn windows(&self) -> Option<&Windows> {
        self.model.input.preparation().windows.as_ref()
    }

    /// Asserts that lines with the predictions of a program are those of the host. Returns the largest difference.
    fn check(&self, format: &str, output: &str) -> f64 {
        let rows = self.predictions.rows();
        assert_eq!(output.lines().count(), rows.len(), "{} {format}", self.name);
        let differences =
            rows.iter().zip(output.lines()).enumerate().map(|(number, (row, line))| {
                let fields: Vec<_> = line.split('\t').collect();
                let what = || format!("{} {format}, row {number}: {line}", self.name);
                match row.answer {
                    Answer::Class { predicted, .. } => {
                        assert_eq!(fields[0], self.model.classes[predicted], "{}", what())
                    }
                    Answer::Value { .. } => assert_eq!(fields[0], "", "{}", what()),
                }
                let difference = difference(row, fields[1], fields[2]);
                assert!(difference <= TOLERANCE, "{}: {difference:e}", what());
                difference
            });
        differences.fold(0.0, f64::max)
    }
}

/// Returns the largest difference of scores and probabilities from those of a program.
fn difference(row: &RowPrediction, scores: &str, probabilities: &str) -> f64 {
    let numbers = |list: &str| -> Vec<f64> {
        list.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    };
    let (scores, probabilities) = (numbers(scores), numbers(probabilities));
    assert_eq!((scores.len(), probabilities.len()), (row.scores.len(), row.probabilities.len()));
    let size = row.scores.iter().fold(1.0, |max: f64, score| max.max(score.abs()));
    let pairs = scores.iter().zip(&row.scores).map(|(one, other)| (one - other).abs() / size);
    let chances = probabilities.iter().zip(&row.probabilities);
    pairs.chain(chances.map(|(one, other)| (one - other).abs())).fold(0.0, f64::max)
}

/// Runs a program that prints predictions for the rows of a case.
fn predicted(case: &Case, command: &mut Command) -> String {
    let output = command.arg("rows").current_dir(&case.directory).output().expect("it starts");
    assert!(output.status.success(), "{}: {}", case.name, stderr(&output));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs a compiler in the directory of a case.
fn compile(case: &Case, compiler: &str, arguments: &str) {
    let output = program(compiler, &case.directory, arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(output.status.success(), "{}: {}", case.name, stderr(&output));
}

/// Reports the largest differences of a format, which `--show-output` prints.
fn report(format: &str, differences: impl Iterator<Item = f64>) {
    let largest = differences.fold(0.0, f64::max);
    println!("{format}: the largest difference from predict is {largest:e}");
}

/// A program in Rust that prints the predictions of `model.rs`.
fn rust_main(case: &Case) -> String {
    let (label, chances) = match (case.model.classes.is_empty(), has_probabilities(case)) {
        (true, _) => ("\"\"", "[0.0; 0]"),
        (false, true) => ("model::classify(&row)", "model::probabilities(&scores)"),
        (false, false) => ("model::classify(&row)", "[0.0; 0]"),
    };
    let (len, read) = match case.windows() {
        None => (
            "8 * model::COLUMNS",
            "let mut row = [0.0; model::COLUMNS];
             for (value, bytes) in row.iter_mut().zip(bytes.chunks_exact(8)) {
                 *value = f64::from_le_bytes(bytes.try_into().unwrap());
             }",
        ),
        Some(_) => (
            "2 * model::CHANNELS * model::WINDOW",
            "let mut window = [[0; model::CHANNELS]; model::WINDOW];
             for (value, bytes) in window.as_flattened_mut().iter_mut().zip(bytes.chunks_exact(2)) {
                 *value = i16::from_le_bytes(bytes.try_into().unwrap());
                 assert_eq!(*value, model::sample(0, f64::from(*value) * 0.75 / 32_768.0));
             }
             assert_eq!([model::sample(0, 9.0), model::sample(0, f64::NAN)], [i16::MAX, 0]);
             assert_eq!(model::sample(0, -1.5 * 0.75 / 32_768.0), -2);
             let row = model::features(&window);",
        ),
    };
    format!(
        "mod model;
        fn text(numbers: &[f64]) -> String {{
            numbers.iter().map(|number| format!(\"{{number:e}} \")).collect()
        }}
        fn main() {{
            let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
            for bytes in bytes.chunks_exact({len}) {{
                {read}
                let scores = model::scores(&row);
                println!(\"{{}}\\t{{}}\\t{{}}\", {label}, text(&scores), text(&{chances}));
            }}
        }}"
    )
}

fn has_probabilities(case: &Case) -> bool {
    !case.predictions.rows()[0].probabilities.is_empty()
}

/// A program in C that prints the predictions of `model.h`.
fn c_main(case: &Case) -> String {
    let is_value = case.model.classes.is_empty();
    let label = if is_value { "\"\"" } else { "model_class_name(model_class(scores))" };
    let value = if is_value { "if (model_predict(row) != scores[0]) return 2;" } else { "" };
    let chances = match has_probabilities(case) {
        true => {
            "double chances[MODEL_CLASSES]; model_probabilities(scores, chances);
             for (int k = 0; k < MODEL_CLASSES; k++) printf(\"%.17g \", chances[k]);"
        }
        false => "",
    };
    let (declared, input, read) = match case.windows() {
        None => ("double row[MODEL_COLUMNS]", "row", ""),
        Some(_) => (
            "double row[MODEL_COLUMNS]; int16_t window[MODEL_WINDOW * MODEL_CHANNELS]",
            "window",
            "for (int t = 0; t < MODEL_WINDOW; t++) {
                 int16_t value = window[t * MODEL_CHANNELS];
                 if (model_sample(0, value * 0.75 / 32768.0) != value) return 3;
             }
             if (model_sample(0, 9.0) != 32767 || model_sample(0, -1.5 * 0.75 / 32768.0) != -2) return 4;
             const int16_t *in_flash = window;
             model_features(in_flash, row);
             model_features(window, row);",
        ),
    };
    format!(
        "#include \"model.h\"
        #include \"model.h\"
        #include <stdio.h>
        int main(int count, char **arguments) {{
            FILE *file = count > 1 ? fopen(arguments[1], \"rb\") : NULL;
            {declared};
            double scores[MODEL_SCORES];
            if (!file) return 1;
            while (fread({input}, sizeof {input}, 1, file) == 1) {{
                {read}
                model_scores(row, scores);
                {value}
                printf(\"%s\\t\", {label});
                for (int k = 0; k < MODEL_SCORES; k++) printf(\"%.17g \", scores[k]);
                printf(\"\\t\");
                {chances}
                printf(\"\\n\");
            }}
            return 0;
        }}"
    )
}

/// Asserts that no source file can include the headers of two models, of which it would use one.
fn check_two_headers(one: &Case, other: &Case) {
    let other = other.directory.join("model.h");
    let both =
        format!("#include \"model.h\"\n#include {other:?}\nint main(void) {{ return 0; }}\n");
    fs::write(one.directory.join("both.c"), both).expect("there is room");
    let output = program("cc", &one.directory, "-fsyntax-only both.c").output();
    let said = stderr(&output.expect("cc starts"));
    assert!(said.contains("error") && said.contains("another model is included here"), "{said}");
}

/// A crate for boards that contains all models.
fn board_crate(folder: &Path, cases: &[Case]) {
    let mut library = String::from("#![no_std]\n");
    for (number, case) in cases.iter().enumerate() {
        fs::copy(case.directory.join("model.rs"), folder.join(format!("m{number}.rs")))
            .expect("it was exported");
        let last = if case.model.classes.is_empty() { "predict" } else { "classify" };
        writeln!(library, "mod m{number};\npub use m{number}::{last} as last{number};")
            .expect("memory");
        if has_probabilities(case) {
            writeln!(library, "pub use m{number}::probabilities as chances{number};")
                .expect("memory");
        }
    }
    fs::write(folder.join("lib.rs"), library).expect("there is room");
    let manifest =
        "[package]\nname = \"models\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).expect("there is room");
}

/// Compiles the models for a micro:bit and asserts that the code has no call to a panic.
fn check_on_boards(cases: &[Case], test: &str) {
    const TARGET: &str = "thumbv6m-none-eabi";
    let folder = tempfile::tempdir().expect("a temporary directory");
    board_crate(folder.path(), cases);
    let mut cargo = match image::cargo(TARGET) {
        Ok(cargo) => cargo,
        Err(missing @ image::ImageError::NoCompiler { .. }) => {
            return crate::support::skip(test, &missing.to_string());
        }
        Err(error) => panic!("{error}"),
    };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models");
    let arguments = ["rustc", "--release", "--target", TARGET, "--", "--emit=asm", "-Dwarnings"];
    cargo.args(arguments).current_dir(folder.path()).env("CARGO_TARGET_DIR", &target);
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let objects = target.join(TARGET).join("release/deps");
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("models-") && name.ends_with(".s")
    };
    let entries = fs::read_dir(&objects)
        .expect("it was built")
        .map(|entry| entry.expect("it is there").path());
    let newest = entries
        .filter(is_ours)
        .max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    let assembly = fs::read_to_string(newest.expect("assembly was asked for")).expect("it is text");
    assert!(assembly.contains("last0") || assembly.contains("classify"), "it has the functions");
    let panics: Vec<_> = assembly.lines().filter(|line| line.contains("panic")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}

#[test]
fn every_export_predicts_what_predict_does() {
    let test = "every_export_predicts_what_predict_does";
    let folder = tempfile::tempdir().expect("a temporary directory");
    let cases = cases(&folder);
    report(
        "rust",
        cases.iter().map(|case| {
            fs::write(case.directory.join("main.rs"), rust_main(case)).expect("there is room");
            compile(case, "rustc", "--edition 2024 -C opt-level=1 main.rs -o rust-program");
            case.check(
                "rust",
                &predicted(case, &mut Command::new(case.directory.join("rust-program"))),
            )
        }),
    );
    report(
        "c",
        cases.iter().map(|case| {
            fs::write(case.directory.join("main.c"), c_main(case)).expect("there is room");
            compile(
                case,
                "cc",
                "-std=c99 -pedantic -O2 -Wall -Wextra -Werror main.c -o c-program -lm",
            );
            case.check("c", &predicted(case, &mut Command::new(case.directory.join("c-program"))))
        }),
    );
    check_two_headers(&cases[0], &cases[1]);
    check_on_boards(&cases, test);
    let Some(python) = python(test) else { return };
    let formats = [ExportFormat::Npy, ExportFormat::Safetensors, ExportFormat::Onnx];
    for format in formats.map(Choice::name) {
        report(
            format,
            cases.iter().map(|case| {
                let mut command = Command::new(&python);
                command.args(["-c", include_str!("exports.py"), format]);
                case.check(format, &predicted(case, &mut command))
            }),
        );
    }
}
