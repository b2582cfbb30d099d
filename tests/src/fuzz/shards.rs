//! Data that a host sends, and every objective on them.

use arbitrary::{Result, Unstructured};
use smidgen_firmware::bound::Bound;
use smidgen_firmware::curvature::CurvatureRequest;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, ObjectiveSet};
use smidgen_firmware::objectives::Objectives;
use smidgen_protocol::batch::Batch;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::{Header, Shard, Width};
use smidgen_protocol::vector::{MANTISSA_MAX, Ratio};

/// The largest number of rows, and of columns.
const SIDE_MAX: u32 = 9;
/// The largest number of hidden units, one more than a perceptron may have.
const HIDDEN_MAX: usize = 65;

/// Rows on a board; a shard, a model, exponents: an objective can evaluate every shard that it accepts and bound its
/// curvature, and no value leaves its range.
pub fn shard(input: &[u8]) {
    super::wire::recorded(&bytemuck::cast_slice(&aligned(input))[..input.len()]);
    let _ = evaluate(&mut Unstructured::new(input));
}

fn evaluate(u: &mut Unstructured) -> Result<()> {
    let objective = u.choose(Objectives::ALL)?;
    let (data, dimension) = draw(u, objective.name)?;
    let words = aligned(&data);
    let data = &bytemuck::cast_slice(&words)[..data.len()];
    // The header of a shard can be read, valid or not.
    let checked = Shard::open(data).map(|shard| shard.check());
    if !(objective.check)(Data::Sent(data), dimension) {
        return Ok(());
    }
    assert_eq!(checked, Ok(Ok(())), "an objective checks its shard");
    let mut x = vec![0; dimension];
    for mantissa in &mut x {
        *mantissa = mantissa_of(u)?;
    }
    let (mut gradient, mut saturated) = (vec![1; dimension], 0);
    let mut scratch = vec![i64::MIN; (objective.scratch_len)(dimension)];
    Objectives.evaluate_named(Evaluation {
        objective: objective.name,
        x: &x,
        x_exponent: u.arbitrary()?,
        gradient: &mut gradient,
        gradient_exponent: u.arbitrary()?,
        loss_exponent: u.arbitrary()?,
        regulariser: *u.choose(&[Regulariser::Nonconvex, Regulariser::L2])?,
        lambda: ratio(u)?,
        data: Data::Sent(data),
        rows: Batch { size: u.int_in_range(0..=4)?, seed: 1 }.selection(1, u.arbitrary()?),
        scratch: &mut scratch,
        saturated: &mut saturated,
    });
    assert!(gradient.iter().all(|&mantissa| mantissa != i32::MIN), "mantissas are symmetric");
    let request =
        CurvatureRequest { data: Data::Sent(data), vector: &mut gradient, scratch: &mut scratch };
    if let Some(l_i) = (objective.curvature)(request).and_then(Bound::ratio) {
        assert!(l_i.mantissa >= 0, "a bound is not negative");
    }
    Ok(())
}

/// A mantissa of a model.
fn mantissa_of(u: &mut Unstructured) -> Result<i32> {
    let mantissa: i32 = u.arbitrary()?;
    Ok(mantissa.clamp(-MANTISSA_MAX, MANTISSA_MAX) >> u.int_in_range(0..=31)?)
}

/// Any ratio, or one of a magnitude that a host computes.
pub fn ratio(u: &mut Unstructured) -> Result<Ratio> {
    let mantissa: i32 = u.arbitrary()?;
    Ok(match u.ratio(3, 4)? {
        true => Ratio { mantissa: mantissa | 1 << 30, exponent: u.int_in_range(20..=44)? },
        false => Ratio { mantissa, exponent: u.arbitrary()? },
    })
}

/// The bytes of a shard, mostly a valid one, and the dimension of an objective's model for it.
pub fn draw(u: &mut Unstructured, objective: &str) -> Result<(Vec<u8>, usize)> {
    let header = header(u)?;
    let dimension = dimension(u, objective, &header)?;
    let mut data = header.emit().to_vec();
    if let Some(at) = header.sections() {
        data.resize(at.len, 0);
        u.fill_buffer(&mut data[Header::LEN..])?;
        if u.ratio(7, 8)? {
            mend(&header, &mut data);
        }
    }
    if u.ratio(1, 8)? {
        let place = u.int_in_range(0..=data.len() - 1)?;
        data[place] = u.arbitrary()?;
    }
    if u.ratio(1, 16)? {
        data.truncate(u.int_in_range(0..=data.len())?);
    }
    Ok((data, dimension))
}

fn header(u: &mut Unstructured) -> Result<Header> {
    let widths = [Width::Unit, Width::I8, Width::I16, Width::I32];
    let (rows, dimension) = (u.int_in_range(0..=SIDE_MAX)?, u.int_in_range(0..=SIDE_MAX)?);
    let (sparse, width) = (u.arbitrary()?, *u.choose(&widths)?);
    // A row of a sparse shard has as many entries as all others.
    let in_row = if sparse { u.int_in_range(0..=dimension)? } else { dimension };
    let classes = *u.choose(&[0, 1, 2, 2, 2, 3, 5, 64, 65, 255])?;
    let label_width = *u.choose(&widths)?;
    Ok(Header { rows, dimension, sparse, width, nonzeros: rows * in_row, label_width, classes })
}

/// Dimension of the model of an objective.
fn dimension(u: &mut Unstructured, objective: &str, header: &Header) -> Result<usize> {
    let (features, classes) = (header.dimension as usize, usize::from(header.classes));
    Ok(match objective {
        "softmax" => classes * (features + 1),
        "perceptron" => {
            let hidden = *u.choose(&[1, 2, 3, 32, 64, HIDDEN_MAX])?;
            hidden * (features + 1) + (hidden + 1) * classes
        }
        _ => features,
    })
}

/// Makes counts, indices and labels of a shard valid.
fn mend(header: &Header, data: &mut [u8]) {
    let at = header.sections().expect("there are sections");
    if header.sparse {
        let in_row = header.nonzeros.checked_div(header.rows).unwrap_or(0) as u8;
        data[at.counts].chunks_exact_mut(2).for_each(|count| count.copy_from_slice(&[in_row, 0]));
        let dimension = header.dimension.max(1) as u8;
        data[at.indices].iter_mut().for_each(|index| *index %= dimension);
    }
    if header.classes > 0 && header.label_width != Width::Unit {
        let size = header.label_width as usize;
        for label in data[at.labels].chunks_exact_mut(size) {
            let class = label[0] % header.classes.min(128);
            label.fill(0);
            label[0] = class;
        }
    }
}

/// Words that hold `bytes`, so that they are aligned as in a worker's memory.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}
