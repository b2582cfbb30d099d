//! Tests of data in tables: CSV and `.npy` files, and what is done to their columns.

use super::*;

/// A row: three features, a class and its owner.
struct Row {
    features: [f64; 3],
    class: &'static str,
    owner: &'static str,
}

/// Sixty rows of three owners. The class depends on features and an offset, and one feature is constant.
fn rows() -> Vec<Row> {
    let row = |n: usize| {
        let (a, b) = ((n * 37 % 61) as f64 / 4.0, (n * 53 % 59) as f64 * 25.0 - 300.0);
        let class = if a * 60.0 + b > 700.0 { "yes" } else { "no" };
        Row { features: [a, b, 2.5], class, owner: ["ann", "bob", "eve"][n * n % 7 % 3] }
    };
    (1..=60).map(row).collect()
}

/// Returns a table with a header. Its columns are b, perhaps who, a, Class and c.
fn csv(separator: &str, has_owner: bool) -> String {
    let line = |[b, who, a, class, c]: [String; 5]| {
        let who = if has_owner { vec![who] } else { vec![] };
        let fields = [vec![b], who, vec![a, class, c]].concat();
        format!("{}\r\n", fields.join(separator))
    };
    let header = ["b", "\"who\"", "a", "Class", "\"c, constant\""].map(String::from);
    let lines = rows().into_iter().map(|Row { features: [a, b, c], class, owner }| {
        line([b.to_string(), format!("\"{owner}\""), a.to_string(), class.into(), c.to_string()])
    });
    line(header) + &lines.collect::<String>()
}

/// Returns the features and classes of [`csv`] in LIBSVM format.
fn libsvm() -> String {
    let line = |Row { features: [a, b, c], class, .. }: Row| {
        format!("{} 1:{b} 2:{a} 3:{c}\n", if class == "yes" { "+1" } else { "-1" })
    };
    rows().into_iter().map(line).collect()
}

/// A column of an array.
type Column = fn(&Row) -> f64;

const A: Column = |row| row.features[0];
const B: Column = |row| row.features[1];
const C: Column = |row| row.features[2];
const CLASS: Column = |row| f64::from(row.class == "yes");
/// Numbers in the order of the names.
const OWNER: Column = |row| match row.owner {
    "ann" => 7.0,
    "bob" => 12.0,
    _ => 101.0,
};

/// Returns an array of these columns, as numpy.save writes it.
fn npy(is_fortran: bool, columns: &[Column]) -> Vec<u8> {
    let (order, shape) = (if is_fortran { "True" } else { "False" }, (60, columns.len()));
    let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': {shape:?}, }}\n");
    let rows = rows();
    let elements: Vec<f64> = match is_fortran {
        true => columns.iter().flat_map(|column| rows.iter().map(column)).collect(),
        false => rows.iter().flat_map(|row| columns.iter().map(|column| column(row))).collect(),
    };
    let elements = elements.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<_>>();
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &elements].concat()
}

/// Writes the same rows in every format, and returns their directory.
fn files() -> TempDir {
    let directory = tempdir().expect("there is room");
    for (name, content) in [
        ("plain.svm", libsvm().into_bytes()),
        ("plain.csv", csv(",", false).into_bytes()),
        ("plain.txt", csv(";", false).into_bytes()),
        ("plain.npy", npy(false, &[B, A, C, CLASS])),
        ("features.npy", npy(true, &[B, A, C])),
        ("labels.npy", npy(false, &[CLASS])),
        ("owned.csv", csv("\t", true).into_bytes()),
        ("owned.npy", npy(true, &[B, OWNER, A, CLASS, C])),
    ] {
        fs::write(directory.path().join(name), content).expect("there is room");
    }
    directory
}

/// Runs a simulation and returns its summary.
fn simulate(directory: &TempDir, options: &str) -> Value {
    let rounds = if options.contains("--rounds") { "" } else { "--rounds 6" };
    let line = format!("simulate {options} {rounds} --out run");
    let output = smidgen(directory.path(), &line);
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    summary_of(&directory.path().join("run"))
}

#[test]
fn every_format_gives_the_same_transcript() {
    let directory = files();
    let run = |data: &str, options: &str| {
        let summary = simulate(&directory, &format!("--dataset {data} {options}"));
        (summary["transcript"].clone(), summary["test"].clone())
    };
    for options in [
        "",
        "--intercept --standardise --shuffle 5 --rows 50 --test-rows 10",
        "--objective softmax --standardise",
        "--objective svm --intercept",
    ] {
        let expected = run("plain.svm --workers 3", options);
        let labelled = "features.npy --label labels.npy";
        for data in ["plain.csv", "plain.txt", "plain.npy", labelled] {
            assert_eq!(run(&format!("{data} --workers 3"), options), expected, "{data} {options}");
        }
        let expected = run("owned.csv --split by=who", options);
        assert_eq!(run("owned.npy --label 4 --split by=2", options), expected, "{options}");
    }
}

#[test]
fn column_gives_one_worker_for_each_of_its_values() {
    let directory = files();
    let summary = simulate(&directory, "--dataset owned.csv --split by=who --label Class");
    let workers = summary["workers"].as_array().expect("a list");
    let owners: Vec<_> = workers.iter().map(|worker| &worker["owner"]).collect();
    assert_eq!(owners, ["ann", "bob", "eve"]);
    let count = |owner: &str| rows().iter().filter(|row| row.owner == owner).count();
    for worker in workers {
        assert_eq!(worker["rows"], count(worker["owner"].as_str().expect("a text")));
    }
    let configuration = &summary["configuration"];
    assert_eq!((&configuration["split"], &configuration["workers"]), (&"by=who".into(), &3.into()));
    assert_eq!(
        (&configuration["label"], &configuration["dimension"]),
        (&"Class".into(), &3.into())
    );

    let file = "dataset = \"owned.npy\"\nlabel = 4\nsplit = \"by=2\"\nintercept = true\n";
    fs::write(directory.path().join("run.toml"), file).expect("there is room");
    let summary = simulate(&directory, "--config run.toml");
    let configuration = &summary["configuration"];
    assert_eq!(
        (&configuration["intercept"], &configuration["dimension"]),
        (&true.into(), &4.into())
    );
    assert_eq!(summary["workers"][2]["owner"], "101");

    let other = "--dataset owned.csv --split by=who";
    let refused = refusal_in(&directory, &format!("simulate {other} --workers 4"));
    assert_says(&refused, &["--split by=who gives 3 workers, one per value of the column, not 4"]);
    let refused = refusal_in(&directory, &format!("run --port unix:a --port unix:b {other}"));
    assert_says(&refused, &["--split by=who needs 3 boards", "there are 2 boards"]);
    let refused = refusal_in(&directory, &format!("plan {other} --workers 2"));
    assert_says(&refused, &["gives 3 workers", "not 2"]);
}

#[test]
fn boards_that_own_rows_give_the_transcript_of_simulation() {
    let directory = files();
    let options = "--dataset owned.csv --split by=who --standardise --intercept --shuffle 4";
    let simulated = simulate(&directory, options)["transcript"].clone();
    let ports = [1, 2, 3].map(|identity| format!("--port {}", board(identity))).join(" ");
    let output = smidgen(directory.path(), &format!("run {ports} {options} --rounds 6 --out run"));
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary_of(&directory.path().join("run"));
    assert_eq!(summary["transcript"], simulated);
    assert_eq!(summary["workers"][1]["owner"], "bob");
}

#[test]
fn intercept_and_scaled_columns_learn_an_offset() {
    let directory = files();
    let accuracy = |options: &str| {
        let summary = simulate(
            &directory,
            &format!(
                "--dataset plain.csv --rounds 60 --lambda 0 --step am --test-rows 20 {options}"
            ),
        );
        summary["test"]["accuracy"].as_f64().expect("a number")
    };
    let neither = accuracy("--k 3 --scale-columns off");
    for scales in ["--standardise", "--scale-columns auto"] {
        let both = accuracy(&format!("--k 4 --intercept {scales}"));
        assert!(both >= 0.9 && both > neither, "{scales}: {both} against {neither}");
    }
}

#[test]
fn columns_that_cannot_be_used_are_refused() {
    let directory = files();
    let refused = |options: &str| refusal_in(&directory, &format!("simulate --dataset {options}"));
    assert_says(&refused("owned.csv"), &["owned.csv, line 2, column `who`: `bob` is not a number"]);
    assert_says(&refused("plain.csv --label kind"), &["plain.csv", "`kind`", "b, a, Class, c"]);
    assert_says(&refused("plain.csv --label c, --split by=b"), &["no column is called `c,`"]);
    assert_says(&refused("plain.csv --split by=Class --label Class"), &["`Class` cannot both"]);
    assert_says(&refused("plain.npy --label 1"), &["59 distinct labels in column `1`"]);
    assert_says(
        &refused("plain.csv --objective least-squares"),
        &["plain.csv, line 2: the label `", "least-squares needs real targets"],
    );
    assert_says(&refused("plain.npy --label 5"), &["`5` is not a column", "1 to 4"]);
    assert_says(&refused("plain.npy --label no.npy"), &["no.npy cannot be read", "No such file"]);
    for data in ["plain.svm", "digits"] {
        assert_says(&refused(&format!("{data} --label y")), &[data, "--label names a column"]);
        assert_says(&refused(&format!("{data} --split by=y")), &[data, "--split by=COLUMN names"]);
    }
    for objective in ["softmax", "perceptron"] {
        let options = format!("plain.csv --intercept --objective {objective}");
        assert_says(&refused(&options), &[objective, "has a bias", "--intercept"]);
    }
    let sparse: String = (1..40).map(|n| format!("{} {n}:1\n", n % 2)).collect();
    fs::write(directory.path().join("sparse.svm"), sparse).expect("there is room");
    assert_says(
        &refused("sparse.svm --standardise"),
        &["sparse.svm: 2.6 % of the values", "39 times"],
    );
    assert_says(&refused("plain.csv --shuffle x"), &["--shuffle"]);
    assert_says(&refused("plain.csv --split by="), &["by=COLUMN"]);
}

#[test]
fn plan_knows_the_prepared_columns() {
    let directory = files();
    let plan = |options: &str| -> Value {
        let line = format!("plan --json --dataset owned.csv --split by=who {options}");
        let output = smidgen(directory.path(), &line);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("a plan is JSON")
    };
    let (raw, prepared) = (plan(""), plan("--standardise --intercept --shuffle 2"));
    assert_eq!(raw["smoothness"]["l_i"].as_array().map(Vec::len), Some(3));
    assert_eq!((&raw["dimension"], &prepared["dimension"]), (&3.into(), &4.into()));
    let l = |plan: &Value| plan["smoothness"]["l"].as_f64().expect("a number");
    assert!(l(&prepared) < l(&raw), "{prepared}");
}

#[test]
fn resumed_run_prepares_the_same_rows() {
    let directory = files();
    let options = "--dataset features.npy --label labels.npy --shuffle 5 --standardise --intercept \
                   --test-rows 10 --workers 2 --checkpoint-every 2";
    let whole = simulate(&directory, &format!("{options} --rounds 12"));
    simulate(&directory, options);
    let resume = || smidgen(directory.path(), "resume run --rounds 12");
    let output = resume();
    assert!(output.status.success(), "{}", stderr(&output));
    let resumed = summary_of(&directory.path().join("run"));
    for figure in ["transcript", "test"] {
        assert_eq!(resumed[figure], whole[figure], "{figure}");
    }

    simulate(&directory, options);
    let labels = directory.path().join("labels.npy");
    fs::write(&labels, npy(false, &[|row| f64::from(row.class == "no")])).expect("there is room");
    assert_says(&refusal_in(&directory, "resume run --rounds 12"), &["data"]);
    fs::remove_file(&labels).expect("it is there");
    assert_says(&refusal_in(&directory, "resume run --rounds 12"), &["labels.npy cannot be read"]);
}
