use super::*;
use crate::run::experiment::Experiment;
use serde_json::{Value, json};

/// Returns a model of each objective.
fn models() -> Vec<Model> {
    let train = |objective: &Objective| {
        let options = format!("--rows 60 --workers 2 --rounds 3 --objective {}", objective.name());
        Experiment::trained(&options).1
    };
    Objective::ALL.iter().map(train).collect()
}

#[test]
fn written_model_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for model in models() {
        model.write(folder.path()).unwrap();
        assert_eq!(Model::read(folder.path()).unwrap(), model);
        assert_eq!(Model::read(folder.path().join(MODEL)).unwrap(), model);
        assert!(model.mantissas.iter().any(|mantissa| *mantissa != 0));
        let InitialModel::Given { mantissas, exponent } = model.initial() else { unreachable!() };
        assert_eq!((mantissas, exponent), (model.mantissas, model.exponent));
    }
}

#[test]
fn every_field_has_a_line() {
    let (experiment, model) = Experiment::trained("--rows 60 --rounds 3 --objective softmax");
    let text = String::from_utf8(model.to_json()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let fields = serde_json::to_value(&model).unwrap().as_object().unwrap().len();
    assert_eq!((lines.len(), lines[0], lines[1]), (fields + 2, "{", "  \"schema\": 1,"));
    assert!(text.contains("\n  \"classes\": [\"0\",\"1\","), "{text}");
    assert!(text.contains("\n  \"input\": {\"kind\":\"columns\",\"column_count\":64,"), "{text}");
    assert!(text.ends_with("]\n}\n"));
    assert_eq!(model.dataset.rows, 60);
    assert_eq!(model.dataset.checksum, format!("{:016x}", experiment.data_checksum()));
    assert_eq!((model.round, model.loss.is_some()), (3, true));
}

#[test]
fn documentation_names_every_field() {
    let page = include_str!("../../../../docs/model.md");
    for model in models() {
        let value = serde_json::to_value(&model).unwrap();
        for field in value.as_object().unwrap().keys() {
            assert!(page.contains(&format!("| `{field}` |")), "docs/model.md lacks `{field}`");
        }
    }
    assert!(page.contains(&format!("schema {SCHEMA}")), "docs/model.md has another schema");
}

/// Returns the error of reading a model after an edit.
fn complaint(edit: impl FnOnce(&mut Value)) -> String {
    let (_, model) = Experiment::trained("--rows 60 --rounds 3 --objective softmax");
    let mut value = serde_json::to_value(&model).unwrap();
    edit(&mut value);
    let bytes = serde_json::to_vec(&value).unwrap();
    Model::parse(&bytes, Path::new("m.json")).unwrap_err().to_string()
}

#[test]
fn invalid_field_of_windows_is_named() {
    let of = |field: &str, new: Value| {
        let mut windows = json!({
            "channels": [{ "name": "x", "full_scale": 2.0 }],
            "rate_millihertz": 10_000, "window": 4, "hop": 2, "features": ["mean"],
        });
        windows[field] = new;
        complaint(move |value| value["input"]["windows"] = windows)
    };
    for (field, named) in [
        ("channels", "channels or full scales"),
        ("rate_millihertz", "rate"),
        ("window", "window"),
        ("hop", "hop"),
        ("features", "features"),
    ] {
        let new = if ["channels", "features"].contains(&field) { json!([]) } else { 0.into() };
        let said = of(field, new);
        assert!(
            said.contains(&format!("the windows of its input have no valid {named};")),
            "{said}"
        );
    }
}

#[test]
fn contradictions_and_other_versions_are_refused_with_a_sentence() {
    let set = |field: &'static str, new: Value| complaint(move |value| value[field] = new);
    let scaled = |scale: f64| {
        let scaling = vec![json!({ "centre": 0.0, "scale": scale }); 64];
        complaint(move |value| value["input"]["scaling"] = Value::from(scaling))
    };
    let layer = |kind: &'static str, len: usize| {
        let layers = json!([{ "exponent": 4, "mantissas": vec![1; len] }]);
        complaint(move |value| {
            value["input"]["kind"] = kind.into();
            value["input"]["layers"] = layers;
        })
    };
    for (said, expected) in [
        (
            set("schema", 2.into()),
            "m.json has version 2 of the format of models, but this smidgen reads version 1; use",
        ),
        (set("schema", Value::Null), "m.json, line 1: column"),
        (
            set("dimension", 7.into()),
            "m.json contradicts itself: it has 650 mantissas but dimension 7; it was edited",
        ),
        (set("values", json!([])), "it has 0 values but dimension 650"),
        (set("exponent", 3.into()), "is not that of its mantissa and the exponent"),
        (set("classes", json!([])), "softmax cannot have 0 classes"),
        (set("classes", vec!["0"; 10].into()), "two classes have the same name"),
        (
            set("objective", "perceptron".into()),
            "perceptron with 64 features and 10 classes has 2410 coordinates, not 650",
        ),
        (set("objective", "logistic".into()), "logistic cannot have 10 classes"),
        (complaint(|value| value["mantissas"][0] = i32::MIN.into()), "value 0 is not"),
        (
            complaint(|value| value["input"]["column_count"] = 0.into()),
            "the columns of its input have no valid names",
        ),
        (
            complaint(|value| value["input"]["column_count"] = u64::MAX.into()),
            "the columns of its input",
        ),
        (complaint(|value| value["input"]["names"] = json!(["a"])), "the columns of its input"),
        (complaint(|value| value["input"]["intercept"] = true.into()), "softmax with 65 features"),
        (scaled(0.0), "the columns of its input"),
        (complaint(|value| value["input"]["kind"] = "units".into()), "the layers of its input"),
        (layer("columns", 65), "the layers of its input are not those of its columns; it was"),
        (layer("units", 64), "the layers of its input"),
        (layer("units", 0), "the layers of its input"),
        (layer("units", 65), "softmax with 1 features and 10 classes has 20 coordinates, not 650"),
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn names_of_a_newer_version_are_refused_with_a_sentence() {
    let (_, model) = Experiment::trained("--rows 60 --rounds 3 --objective softmax");
    let fields = serde_json::to_value(&model).unwrap();
    let is_name = |(field, value): (&String, &Value)| {
        let free = ["smidgen", "transcript"];
        (value.is_string() && !free.contains(&&**field)).then(|| field.clone())
    };
    let mut fields: Vec<_> = fields.as_object().unwrap().iter().filter_map(is_name).collect();
    assert_eq!(fields.len(), 4, "{fields:?}");
    fields.push("input".into());
    for field in fields {
        let (place, shown) = match &*field {
            "input" => ("/input/kind", "kind of input"),
            other => (&*format!("/{other}"), other),
        };
        let said = complaint(|value| {
            value["smidgen"] = "9.0.0".into();
            *value.pointer_mut(place).unwrap() = "later".into();
        });
        let expected = match shown {
            "objective" => format!(
                "m.json has the objective `later`, which this program does not know: it knows {}; use the program that \
                 trained it, or a newer smidgen",
                Objective::listed("and", |_| true)
            ),
            shown => newer(shown),
        };
        assert_eq!(said, expected);
    }
    let said = complaint(|value| value["objective"] = 7.into());
    assert!(said.contains("the file is damaged"), "{said}");
}

/// The refusal of a name that a newer version added.
fn newer(shown: &str) -> String {
    format!(
        "m.json has the {shown} `later`, which this smidgen does not know: a newer one wrote it (its version is \
             9.0.0); use that one, or train again"
    )
}

#[test]
fn missing_and_foreign_files_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let place = shown(folder.path()).to_string();
    let complaint = |name: &str| Model::read(folder.path().join(name)).unwrap_err().to_string();
    assert!(complaint("").starts_with(&format!("{place}/ contains no model.json: no round of")));
    assert!(complaint("none").starts_with(&format!("cannot read the model {place}/none: No such")));
    std::fs::write(folder.path().join("rows.csv"), "a,b\n1,2\n").unwrap();
    let said = complaint("rows.csv");
    assert!(said.ends_with("the file is damaged, or not the model.json of a run"), "{said}");
    std::fs::create_dir_all(folder.path().join("run/model.json")).unwrap();
    assert!(complaint("run").contains("it is a directory, not a regular file"));
}
