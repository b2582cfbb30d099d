//! The start of a store: its recipe.
//!
//! ```text
//! 0   "smr1"
//! 4   channels u8 | features u8 | window u16 | hop u16 | 0 u16 | rate u32
//! 16  CRC-32 of the above | 4 bytes unused
//! 24  8 bytes, written when the store begins to be cleared
//! ```

use super::layout::{HEADER_LEN, RECIPE_LEN};
use smidgen_protocol::frame::checksum;
use smidgen_protocol::recipe::{Features, Recipe};

const MAGIC: [u8; 4] = *b"smr1";
const CHECKED_LEN: usize = 16;

/// Encodes a recipe.
pub(super) fn emit(recipe: &Recipe) -> [u8; RECIPE_LEN] {
    let Recipe { channels, window, hop, features, rate_millihertz } = *recipe;
    let ([w0, w1], [h0, h1]) = (window.to_le_bytes(), hop.to_le_bytes());
    let words =
        [MAGIC, [channels, features.bits(), w0, w1], [h0, h1, 0, 0], rate_millihertz.to_le_bytes()];
    let checked: [u8; CHECKED_LEN] = bytemuck::cast(words);
    let [magic, shape, hop, rate] = words;
    bytemuck::cast([magic, shape, hop, rate, checksum(&checked).to_le_bytes(), [0xff; 4]])
}

/// The recipe of an intact header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub recipe: Recipe,
    /// The store began to be cleared.
    pub is_marked: bool,
}

/// Decodes a header; `None` if its recipe is damaged, or it is not that of a store.
pub(super) fn parse(header: &[u8; HEADER_LEN]) -> Option<Header> {
    let words: [[u8; 4]; HEADER_LEN / 4] = bytemuck::cast(*header);
    let [_, [channels, features, w0, w1], [h0, h1, _, _], rate, .., mark0, mark1] = words;
    let recipe = Recipe {
        channels,
        window: u16::from_le_bytes([w0, w1]),
        hop: u16::from_le_bytes([h0, h1]),
        features: Features::from_bits(features),
        rate_millihertz: u32::from_le_bytes(rate),
    };
    let is_intact = header.starts_with(&emit(&recipe)) && recipe.check().is_ok();
    is_intact.then_some(Header { recipe, is_marked: [mark0, mark1] != [[0xff; 4]; 2] })
}
