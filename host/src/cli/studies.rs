//! The experiments of the papers that the program brings along, as texts in TOML.

/// The studies inside the program, in the order of the page.
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

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    STUDIES.iter().map(|(name, _)| *name)
}
