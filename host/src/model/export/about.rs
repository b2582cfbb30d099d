//! What an export says of its model.

use super::source;
use crate::options::Choice;
use crate::record::Model;

/// Returns the fields of a model that describe it, as JSON: all but its coordinates.
pub(super) fn description(model: &Model) -> String {
    let mut fields = serde_json::to_value(model).expect("models have no keys but strings");
    for coordinates in ["mantissas", "values"] {
        fields.as_object_mut().expect("a model has fields").remove(coordinates);
    }
    fields.to_string()
}

/// Returns a sentence about the origin of a model, in ASCII, without characters that end a comment or a line.
pub(super) fn origin(model: &Model) -> String {
    let sentence = format!(
        "{} model of round {} on {}, by smidgen {}; transcript {}.",
        model.objective.name(),
        model.round,
        model.dataset.name,
        model.smidgen,
        model.transcript
    );
    source::comment(&sentence)
}
