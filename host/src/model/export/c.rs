//! A C99 header.

use super::about::origin;
use super::source::{comment, numbers};
use super::windows;
use crate::model::network::{Layer, Network, Outcome};
use crate::record::Model;
use crc::{CRC_64_XZ, Crc};
use std::fmt::Write;

/// The digest in a guard.
const CHECK: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

const LARGEST: &str = "
/* Returns the index of the predicted class: the first one with the largest score. */
static inline int model_class(const double scores[MODEL_SCORES])
{
    int best = 0;
    for (int k = 1; k < MODEL_SCORES; k++) {
        if (scores[k] > scores[best]) {
            best = k;
        }
    }
    return best;
}
";

const SIGN: &str = "
/* Returns the index of the predicted class: 1 if the score is positive, else 0. */
static inline int model_class(const double scores[MODEL_SCORES])
{
    return scores[0] > 0.0;
}
";

const VALUE: &str = "
/* Returns the predicted value of a row. */
static inline double model_predict(const double row[MODEL_COLUMNS])
{
    double scores[MODEL_SCORES];
    model_scores(row, scores);
    return scores[0];
}
";

const SIGMOID: &str = "
/* Computes the probabilities of the classes. */
static inline void model_probabilities(
    const double scores[MODEL_SCORES], double probabilities[MODEL_CLASSES])
{
    double small = exp(scores[0] > 0.0 ? -scores[0] : scores[0]);
    double likely = 1.0 / (1.0 + small);
    probabilities[scores[0] > 0.0] = likely;
    probabilities[!(scores[0] > 0.0)] = small / (1.0 + small);
}
";

const SOFTMAX: &str = "
/* Computes the probabilities of the classes. */
static inline void model_probabilities(
    const double scores[MODEL_SCORES], double probabilities[MODEL_CLASSES])
{
    double max = scores[model_class(scores)];
    double sum = 0.0;
    for (int k = 0; k < MODEL_CLASSES; k++) {
        probabilities[k] = exp(scores[k] - max);
        sum += probabilities[k];
    }
    for (int k = 0; k < MODEL_CLASSES; k++) {
        probabilities[k] /= sum;
    }
}
";

const LAYER: &str = "
static inline void model_layer(const double *input, int inputs, const int32_t *weights,
    const int64_t *biases, double unit, double *outputs, int units)
{
    for (int number = 0; number < units; number++) {
        double sum = 0.0;
        for (int k = 0; k < inputs; k++) {
            sum += (double)*weights++ * input[k];
        }
        outputs[number] = (sum + (double)biases[number]) * unit;
    }
}
";

/// Returns the source of a header.
pub(super) fn header(model: &Model, network: &Network<'_>) -> String {
    let has_powers = !network.hidden.is_empty()
        || match network.outcome {
            Outcome::Value => false,
            Outcome::Sign { has_probabilities, .. } => has_probabilities,
            Outcome::Largest { .. } => true,
        };
    let mut code = String::new();
    code.push_str(if has_powers { "#include <math.h> /* link with -lm */\n" } else { "" });
    code.push_str("#include <stdint.h>\n\n");
    head(&mut code, network);
    for (number, layer) in (1..).zip(network.layers()) {
        arrays(&mut code, number, layer);
    }
    code.push_str(LAYER);
    code.extend(network.windows.map(windows::c));
    scores(&mut code, network);
    match network.outcome {
        Outcome::Value => code.push_str(VALUE),
        Outcome::Sign { has_probabilities, .. } => {
            code.push_str(SIGN);
            code.push_str(if has_probabilities { SIGMOID } else { "" });
        }
        Outcome::Largest { .. } => {
            code.push_str(LARGEST);
            code.push_str(SOFTMAX);
        }
    }
    guarded(model, &code)
}

/// Returns a header with this code. Another model has another guard, but the same names.
fn guarded(model: &Model, code: &str) -> String {
    let guard = format!("SMIDGEN_MODEL_{:016X}", CHECK.checksum(code.as_bytes()));
    format!(
        "/* {} */\n\
         #ifndef {guard}\n\
         #define {guard}\n\n\
         #ifdef SMIDGEN_MODEL_H\n\
         #error \"another model is included here; include each model in a source file of its own\"\n\
         #endif\n\
         #define SMIDGEN_MODEL_H\n\n\
         {code}\n\
         #endif\n",
        origin(model)
    )
}

/// Appends constants: sizes, names, scales.
fn head(code: &mut String, network: &Network<'_>) {
    let (columns, scores) = (network.columns, network.scores.units());
    writeln!(
        code,
        "#define MODEL_COLUMNS {columns} /* columns of a row */\n\
         #define MODEL_SCORES {scores} /* scores of a row */"
    )
    .expect("writing to a string");
    if !network.column_names.is_empty() {
        code.push_str("\n/* Columns, in the order of a row: */\n");
        for (index, name) in network.column_names.iter().enumerate() {
            writeln!(code, "/* {index} {} */", comment(name)).expect("writing to a string");
        }
    }
    match network.outcome {
        Outcome::Value => {}
        Outcome::Sign { classes, .. } | Outcome::Largest { classes } => names(code, classes),
    }
    if !network.scaling.is_empty() {
        reals(code, "model_centres", network.scaling.iter().map(|scaling| scaling.centre));
        reals(code, "model_scales", network.scaling.iter().map(|scaling| scaling.scale));
    }
}

/// Appends the names of the classes and a function that returns them.
fn names(code: &mut String, classes: &[String]) {
    let count = classes.len();
    let names: Vec<_> = classes.iter().map(|name| literal(name)).collect();
    writeln!(
        code,
        "#define MODEL_CLASSES {count}\n\n\
         /* Returns the name of a class by its index, or \"\". */\n\
         static inline const char *model_class_name(int class_index)\n{{\n    \
         static const char *const names[MODEL_CLASSES] = {{ {} }};\n    \
         return class_index >= 0 && class_index < MODEL_CLASSES ? names[class_index] : \"\";\n}}",
        names.join(", ")
    )
    .expect("writing to a string");
}

/// Returns a string literal, in which bytes other than letters, digits and some signs are octal numbers: no trigraph
/// and no sign of a regional encoding can arise.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'_' | b'-' | b'+' | b'.' => {
                literal.push(byte.into());
            }
            _ => write!(literal, "\\{byte:03o}").expect("writing to a string"),
        }
    }
    literal + "\""
}

fn reals(code: &mut String, name: &str, values: impl Iterator<Item = f64>) {
    writeln!(code, "\nstatic const double {name}[MODEL_COLUMNS] = {{")
        .expect("writing to a string");
    numbers(code, "    ", values.map(|value| format!("{value:e}")));
    code.push_str("};\n");
}

fn arrays(code: &mut String, number: usize, layer: &Layer) {
    let Layer { inputs, weights, biases, unit } = layer;
    let units = layer.units();
    writeln!(
        code,
        "\n#define MODEL_UNIT_{number} {unit:e} /* value of a unit of weights and biases */\n\
         static const int32_t model_weights_{number}[{units} * {inputs}] = {{"
    )
    .expect("writing to a string");
    numbers(code, "    ", weights);
    writeln!(code, "}};\n\nstatic const int64_t model_biases_{number}[{units}] = {{")
        .expect("writing to a string");
    numbers(code, "    ", biases);
    code.push_str("};\n");
}

/// Appends the function that computes scores.
fn scores(code: &mut String, network: &Network<'_>) {
    code.push_str(
        "\n/* Computes the scores of a row. */\n\
         static inline void model_scores(const double row[MODEL_COLUMNS], double scores[MODEL_SCORES])\n{\n",
    );
    let mut input = "row".to_owned();
    if !network.scaling.is_empty() {
        code.push_str(
            "    double scaled[MODEL_COLUMNS];\n    for (int k = 0; k < MODEL_COLUMNS; k++) {\n        \
             scaled[k] = (row[k] - model_centres[k]) / model_scales[k];\n    }\n",
        );
        input = "scaled".into();
    }
    for (number, layer) in (1..).zip(&network.hidden) {
        let (inputs, units) = (layer.inputs, layer.units());
        writeln!(
            code,
            "    double units_{number}[{units}];\n    \
             model_layer({input}, {inputs}, model_weights_{number}, model_biases_{number}, MODEL_UNIT_{number},\n        \
             units_{number}, {units});\n    \
             for (int k = 0; k < {units}; k++) {{\n        units_{number}[k] = tanh(units_{number}[k]);\n    }}"
        )
        .expect("writing to a string");
        input = format!("units_{number}");
    }
    let (number, inputs) = (network.hidden.len() + 1, network.scores.inputs);
    writeln!(
        code,
        "    model_layer({input}, {inputs}, model_weights_{number}, model_biases_{number}, MODEL_UNIT_{number},\n        \
         scores, MODEL_SCORES);\n}}"
    )
    .expect("writing to a string");
}
