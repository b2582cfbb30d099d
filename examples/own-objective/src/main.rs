//! The command line of smidgen with the Huber loss.

use own_loss::Huber;
use smidgen::objective::{MarginTwin, Objectives};
use std::process::ExitCode;

/// The loss and its slope in f64; the second derivative is at most 1.
static HUBER: MarginTwin =
    MarginTwin::new::<Huber>("Huber loss: real targets", 1.0, |margin, target| {
        let residual = margin - target;
        let slope = residual.clamp(-1.0, 1.0);
        (slope * slope / 2.0 + (residual - slope).abs(), slope)
    });

fn main() -> ExitCode {
    let objectives = Objectives::new::<Huber>(&[&HUBER]);
    smidgen::main(objectives.with_images(concat!(env!("CARGO_MANIFEST_DIR"), "/images")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn boards_agree_with_the_twin() {
        smidgen::kit::check::<super::Huber>(&super::HUBER).unwrap();
    }
}
