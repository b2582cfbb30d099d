//! The bundled experiments of the papers, in TOML.

/// Name and text of each study, in the order of the page.
pub const STUDIES: [(&str, &str); 9] = [
    ("logistic", include_str!("../../experiments/logistic.toml")),
    ("participation", include_str!("../../experiments/participation.toml")),
    ("sgd", include_str!("../../experiments/sgd.toml")),
    ("linear", include_str!("../../experiments/linear.toml")),
    ("rare", include_str!("../../experiments/rare.toml")),
    ("rivals", include_str!("../../experiments/rivals.toml")),
    ("bytes", include_str!("../../experiments/bytes.toml")),
    ("bits", include_str!("../../experiments/bits.toml")),
    ("weights", include_str!("../../experiments/weights.toml")),
];

/// Returns the names of the studies.
pub fn names() -> impl Iterator<Item = &'static str> {
    STUDIES.iter().map(|(name, _)| *name)
}
