//! Tests of plans, constants, and `--check-theory`.

use super::*;

#[test]
fn plan_shows_memory_bytes_and_seconds() {
    let directory = tempdir().expect("there is room");
    for (chance, mean) in [("", "the mean"), ("--compressor randk", "the expected mean")] {
        let output = smidgen(directory.path(), &format!("plan --rows 400 {chance}"));
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_says(&text, &["d = 64", "microbit", "up/board", "115200 baud", "γ_qm", "L_AM"]);
        assert_says(&text, &[&format!("After these rounds {mean} of ‖∇f‖² is at most")]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "it fits: {text}");
    }
    assert!(
        fs::read_dir(directory.path()).expect("there").next().is_none(),
        "a plan leaves nothing"
    );
}

#[test]
fn plan_with_l2_names_linear_and_tight_bounds() {
    let directory = tempdir().expect("there is room");
    for (chance, whose) in [("", "so ‖∇f‖²"), ("--participation 0.5", "so the expected ‖∇f‖²")]
    {
        let options =
            format!("plan --rows 200 --regulariser l2 --lambda 0.1 --step tight {chance}");
        let output = smidgen(directory.path(), &options);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let law = "for equal L_i, an empirical law for others";
        assert_says(&text, &[" linear\n", "  pl  ", "  tight  ", law, whose, "PL of"]);
        let mut lines = text.lines().filter(|line| !line.starts_with("  γ = "));
        assert!(lines.all(|line| line.chars().count() <= 100), "it fits: {text}");
    }
}

#[test]
fn tight_step_is_allowed_by_its_theory_or_that_of_exact() {
    let directory = tempdir().expect("there is room");
    let own = "which the tight theory of EF21 (arXiv 2605.31594 for equal L_i, derived here for others) allows";
    for (options, said) in [
        ("--workers 4 --regulariser l2", own),
        (
            "--workers 4 --lambda 0",
            "which the proof of Theorem 3 of Error Feedback Reloaded allows",
        ),
        // L is L_AM, and the step longer than exact.
        (
            "--workers 1 --lambda 0",
            " that the proof of Theorem 3 of Error Feedback Reloaded allows",
        ),
    ] {
        let options =
            format!("--rows 40 --k 4 --scale-columns off --step tight --rounds 3 {options}");
        let is_longer = options.contains("--workers 1");
        for command in ["simulate --out run", "plan"] {
            let output = smidgen(directory.path(), &format!("{command} {options}"));
            assert!(output.status.success(), "{}", stderr(&output));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_says(&text, &["γ = ", said]);
            assert_eq!(text.contains(" times the "), is_longer, "{options}: {text}");
            assert_eq!(text.contains("  tight  "), command == "plan" && !is_longer, "{text}");
        }
    }
}

/// Returns the names in an object, in order.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn plan_in_json_has_stable_names() {
    let directory = tempdir().expect("there is room");
    let arguments =
        "plan --rows 400 --lambda 0 --k 1,2,4,8 --participation 0.5 --target 1e-3 --json";
    let output = smidgen(directory.path(), arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(
        names(&plan),
        [
            "alpha",
            "batch",
            "baud",
            "boards",
            "borrowed_from",
            "borrowed_gamma",
            "dataset",
            "dimension",
            "gamma",
            "gamma_tuned",
            "gap",
            "in_expectation",
            "k",
            "memory_bytes",
            "method",
            "noise_floor",
            "participation",
            "quantisation_error",
            "rare_features",
            "rounding_loss",
            "rows",
            "smoothness",
            "step",
            "steps",
            "target",
            "theorem",
            "theory_gamma",
            "traffic",
            "trial",
            "update",
            "value_bits",
            "workers",
            "xi",
        ]
    );
    assert_eq!(names(&plan["smoothness"]), ["l", "l_am", "l_i", "l_qm", "l_var"]);
    assert_eq!(names(&plan["rare_features"]), ["c_w", "r"]);
    assert_eq!(
        names(&plan["target"]),
        ["gradient_norm_squared", "is_given", "start_gradient_norm_squared"]
    );
    assert_eq!(names(&plan["trial"]), ["gradient_norm_squared", "rounds", "target_round"]);
    let traffic = &plan["traffic"];
    let parts = ["round", "run", "setup", "to_target_by_theory", "to_target_in_trial"];
    assert_eq!(names(traffic), parts);
    for part in parts {
        assert_eq!(
            names(&traffic[part]),
            [
                "downlink_bytes_per_board",
                "modelled_seconds",
                "rounds",
                "total_bytes",
                "uplink_bytes_per_board",
            ]
        );
    }
    let steps = plan["steps"].as_array().expect("a list");
    let number = |value: &Value| value.as_f64().expect("a number");
    for (step, name) in steps.iter().zip(["qm", "am", "exact", "clone", "rare", "tight"]) {
        assert_eq!(
            names(step),
            ["formula", "gamma", "gamma_over_qm", "linear_rate", "name", "rounds_to_target"]
        );
        assert_eq!(step["name"], name);
        let gain = number(&step["gamma"]) / number(&steps[0]["gamma"]);
        assert!((number(&step["gamma_over_qm"]) / gain - 1.0).abs() < 1e-12);
    }
    let per_worker = ["k", "alpha", "xi", "participation"].map(|name| &plan[name]);
    for list in per_worker.into_iter().chain([&plan["smoothness"]["l_i"]]) {
        assert_eq!(list.as_array().map(Vec::len), Some(4));
    }
    assert_eq!(traffic["to_target_in_trial"]["rounds"], number(&plan["trial"]["target_round"]));
    assert_eq!(traffic["to_target_by_theory"]["rounds"], steps[1]["rounds_to_target"]);
    assert!(plan["update"].is_null(), "who does not take part sends next to nothing");
}

#[test]
fn boards_report_their_smoothness_constants() {
    let directory = tempdir().expect("there is room");
    let options = "--rows 300 --workers 3 --rounds 5 --step am";
    let summary = |constants: &str| {
        let simulate = format!("simulate {options} --constants {constants} --out {constants}");
        let output = smidgen(directory.path(), &simulate);
        assert!(output.status.success(), "{}", stderr(&output));
        let summary = summary_of(&directory.path().join(constants));
        (stderr(&output), summary)
    };
    let ((_, data), (said, boards)) = (summary("data"), summary("boards"));
    assert_says(&said, &["the workers report L_i from"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for worker in 0..3 {
        let [exact, bound] = [&data, &boards].map(|s| number(&s["workers"][worker]["l_i"]));
        // Pixels are not negative, so the bound is close to the eigenvalue.
        assert!(bound >= exact && bound < 1.000_001 * exact, "{bound} {exact}");
    }
    assert!(boards["l"].is_null(), "L is unknown");
    let (safe, known) = (number(&boards["gamma"]), number(&data["gamma"]));
    assert!(safe < known && safe > 0.9 * known, "L_AM stands for L: {safe} {known}");

    for options in
        ["--step 0.5", "--step rare --lambda 0", "--method ef21-w", "--objective perceptron"]
    {
        let sentence = refusal(&format!("simulate --rows 50 --constants boards {options}"));
        assert_says(&sentence, &["--constants boards", "omit it"]);
    }
}

#[test]
fn tight_step_of_reports_is_at_most_that_of_the_data() {
    let directory = tempdir().expect("there is room");
    for lambda in ["0.1", "0"] {
        let gamma = |constants: &str| {
            let arguments = format!(
                "simulate --rows 300 --workers 3 --rounds 5 --k 4 --value-bits 8 --regulariser l2 --lambda {lambda} --step tight \
                 --constants {constants} --out {constants}-{lambda}"
            );
            let output = smidgen(directory.path(), &arguments);
            assert!(output.status.success(), "{}", stderr(&output));
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let name = if lambda == "0" { "the proof of Theorem 3" } else { "the tight theory" };
            assert_says(&said, &[name, " allows"]);
            let summary = summary_of(&directory.path().join(format!("{constants}-{lambda}")));
            summary["gamma"].as_f64().expect("a number")
        };
        let (boards, data) = (gamma("boards"), gamma("data"));
        assert!(boards <= data && boards > 0.999 * data, "{boards} {data}");
    }
}

/// The tuned step size starts from the theory of unrounded values.
#[test]
fn tuned_step_beyond_the_theorem_is_not_called_allowed() {
    let directory = tempdir().expect("there is room");
    for (bits, constants) in [(2, "data"), (2, "boards"), (8, "data"), (32, "data"), (32, "boards")]
    {
        let options =
            format!("--rows 300 --rounds 5 --k 4 --value-bits {bits} --constants {constants}");
        let run =
            smidgen(directory.path(), &format!("simulate {options} --out {constants}-{bits}"));
        let plan = smidgen(directory.path(), &format!("plan {options}"));
        let summary = summary_of(&directory.path().join(format!("{constants}-{bits}")));
        let number = |name: &str| summary[name].as_f64().expect("a number");
        let times = number("gamma") / number("theory_gamma");
        for output in [&run, &plan] {
            assert!(output.status.success(), "{}", stderr(output));
            let said = String::from_utf8_lossy(&output.stdout);
            let allowed = "which Theorem 3 of Error Feedback Reloaded allows";
            assert_eq!(said.contains(allowed), bits == 32, "{options}: {said}");
            let beyond = "times what Theorem 3 of Error Feedback Reloaded allows";
            assert_eq!(said.contains(beyond), bits < 32, "{options}: {said}");
            assert!(bits != 8 || said.contains(", 1.0002 times what"), "{options}: {said}");
        }
        match bits {
            2 => assert!(times > 1.5, "{options}: {times}"),
            8 => assert!(times > 1.0 + 1e-5 && times < 1.001, "{options}: {times}"),
            _ => assert!((times - 1.0).abs() < 1e-12, "{options}: {times}"),
        }
    }
}

#[test]
fn theory_is_checked_in_every_round() {
    let directory = tempdir().expect("there is room");
    for options in ["--step am", "--step qm --init full --value-bits 32", "--method gd --step am"] {
        let arguments =
            format!("simulate --rows 300 --rounds 150 --check-theory {options} --out run");
        let output = smidgen(directory.path(), &arguments);
        assert!(output.status.success(), "{options}: {}", stderr(&output));
    }
    let long = "--dataset tight-quadratics --objective least-squares --lambda 0 --workers 2 --k 1 \
                --value-bits 8 --step 0.032 --rounds 50";
    let output = smidgen(directory.path(), &format!("simulate --check-theory {long} --out long"));
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_says(&said, &["the first in which the decrease of the Lyapunov function did not hold"]);
    let violation = &summary_of(&directory.path().join("long"))["violation"];
    assert_eq!(violation["inequality"], "lyapunov");
    let rounds = fs::read_to_string(directory.path().join("long/rounds.jsonl")).expect("there");
    for (round, line) in rounds.lines().enumerate() {
        let record: Value = serde_json::from_str(line).expect("it is JSON");
        let theory = &record["theory"];
        assert!(theory["psi"].is_number(), "{line}");
        for slack in ["contraction_slack", "descent_slack", "lyapunov_slack"] {
            assert_eq!(theory[slack].is_number(), round > 0, "{line}");
        }
    }
    for options in [
        "",
        "--step am --compressor randk",
        "--step am --method dcgd",
        "--step am --participation 0.5",
        "--step am --k 4,4,4,8",
        "--step tight --lambda 0",
    ] {
        let sentence = refusal(&format!("simulate --rows 300 --check-theory {options}"));
        assert_says(&sentence, &["--check-theory", "--step am"]);
    }
}
