//! What a board logs over RTT with the feature `defmt`, and never on the data line: its start, each gradient, lost bytes
//! and panics. Without the feature nothing of it is in the image.

#[cfg(feature = "defmt")]
pub(crate) use on::*;

#[cfg(feature = "defmt")]
mod on {
    use core::panic::PanicInfo;
    use defmt_rtt as _;
    use smidgen_firmware::objective::{
        Classes, Classification, Evaluation, ObjectiveInfo, ObjectiveSet,
    };
    use smidgen_firmware::worker::Board;

    pub fn started(board: &Board, words: usize, is_sealed: bool) {
        let Board { name, identity } = board;
        let line = if is_sealed { "sealed" } else { "open" };
        let bytes = 8 * words;
        defmt::info!(
            "{=str} {=u64:016x}: {} bytes, the line is {=str}",
            name,
            identity,
            bytes,
            line
        );
    }

    pub fn lost_bytes() {
        defmt::warn!("the receiver lost bytes");
    }

    pub fn silent() {
        defmt::error!("the image has a key, but no random bytes: this board stays silent");
    }

    pub fn panicked(info: &PanicInfo<'_>) {
        defmt::error!("{}", defmt::Display2Format(info));
    }

    /// Objectives that log what they compute.
    pub struct Logged<R>(pub R);

    impl<R: ObjectiveSet> ObjectiveSet for Logged<R> {
        const NAMES: &'static str = R::NAMES;
        const ALL: &'static [ObjectiveInfo] = R::ALL;

        fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
            let (name, dimension) = (request.objective, request.x.len());
            let exponent = request.loss_exponent;
            let loss = self.0.evaluate_named(request);
            defmt::debug!(
                "{=str} of {} parameters: loss {=i64} / 2^{}",
                name,
                dimension,
                loss,
                exponent
            );
            loss
        }

        fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes> {
            self.0.classify_named(request)
        }
    }
}

#[cfg(not(feature = "defmt"))]
pub(crate) use off::*;

#[cfg(not(feature = "defmt"))]
mod off {
    use core::panic::PanicInfo;
    use smidgen_firmware::worker::Board;

    pub fn started(_: &Board, _: usize, _: bool) {}
    pub fn lost_bytes() {}
    pub fn silent() {}
    pub fn panicked(_: &PanicInfo<'_>) {}
}
