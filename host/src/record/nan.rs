//! Numbers that are not finite, in JSON.

use serde::{Deserialize, Deserializer};

/// Reads `null` as NaN.
pub(super) fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
