//! A NumPy archive: a ZIP file with an array in the `.npy` format for each tensor.
//!
//! The crates that write `.npy` files bring a parser of Python literals, with far more code than this file.

use super::about::description;
use super::tensors::{Tensor, tensors};
use super::zip::Archive;
use crate::model::network::Network;
use crate::record::Model;

/// First bytes of a file, with version 1.0.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The elements begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// Returns the bytes of an `.npz` archive: the tensors, and the description of the model as JSON in bytes.
pub(super) fn archive(model: &Model, network: &Network<'_>) -> Vec<u8> {
    let mut archive = Archive::default();
    for Tensor { name, shape, values } in tensors(network) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        archive.add(&format!("{name}.npy"), &array("<f8", &shape, &bytes));
    }
    let description = description(model).into_bytes();
    archive.add("description.npy", &array("|u1", &[description.len()], &description));
    archive.finish()
}

/// Returns the bytes of an `.npy` file with elements of a type in row-major order.
fn array(element: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    // A tuple of one element needs its comma.
    let shape: String = shape.iter().map(|len| format!("{len}, ")).collect();
    let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape}), }}");
    let before = MAGIC.len() + size_of::<u16>();
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let mut file = MAGIC.to_vec();
    file.extend((padded as u16).to_le_bytes());
    file.extend(format!("{header:<width$}\n", width = padded - 1).bytes());
    file.extend(bytes);
    file
}
