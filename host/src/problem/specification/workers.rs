//! The workers of a run and their contractions.

use crate::problem::method::Population;
use crate::problem::theory::{RareFeatures, Smoothness, contraction};
use smidgen_aggregator::{MethodSpec, WorkerSpec};
use smidgen_protocol::method::Participation;

/// A worker of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worker {
    /// Index of its share of the data.
    pub share: usize,
    /// Its numbers in the method.
    pub spec: WorkerSpec,
    /// Probability p to participate in a round.
    pub participation: f64,
    /// Contraction of its updates, including rounding and participation: p α for a compressor with contraction α.
    pub alpha: f64,
}

impl Worker {
    /// Creates a worker with K and the probability `p` to participate.
    pub(super) fn new(
        share: usize,
        share_count: usize,
        k: u32,
        (p, seed): (f64, u32),
        method: &MethodSpec,
        dimension: usize,
    ) -> Self {
        let spec = WorkerSpec {
            scale: 1.0,
            weight: 1.0,
            loss_weight: 1.0 / share_count as f64,
            k,
            participation: participation(p, seed),
        };
        let worker = Self { share, spec, participation: p, alpha: 1.0 };
        Self { alpha: worker.contraction(method, dimension, dimension), ..worker }
    }

    /// Returns p α on vectors of `dimension` coordinates of which all but `owned` are zero.
    pub(super) fn contraction(&self, method: &MethodSpec, dimension: usize, owned: usize) -> f64 {
        self.participation * contraction(&method.budget(self.spec.k), dimension, owned)
    }

    /// Returns whether its participation is random.
    pub fn is_drawn(&self) -> bool {
        self.participation < 1.0
    }
}

/// Returns the least contraction of the workers on their own features.
pub fn rare_alpha(
    workers: &[Worker],
    method: &MethodSpec,
    RareFeatures { r, .. }: RareFeatures,
    dimension: usize,
) -> f64 {
    let alphas = workers.iter().map(|worker| worker.contraction(method, dimension, r));
    alphas.fold(1.0, f64::min)
}

/// Returns the workers of a method, given equal ones: EF21-W weights them (Reloaded, Theorem 2), and the cloned
/// problem has ⌈L_i / L_AM⌉ clones of each (Theorem 1).
pub(super) fn population(
    kind: Population,
    equal: Vec<Worker>,
    smoothness: &Smoothness,
) -> Vec<Worker> {
    let n = equal.len() as f64;
    match kind {
        Population::Equal => equal,
        Population::Weighted => {
            let weigh = |worker: Worker| {
                let scale = smoothness.inverse_weight(worker.share);
                let spec = WorkerSpec { scale, weight: 1.0 / scale, ..worker.spec };
                Worker { spec, ..worker }
            };
            equal.into_iter().map(weigh).collect()
        }
        Population::Cloned => {
            let count = |worker: &Worker| smoothness.clones(worker.share);
            let total: f64 = equal.iter().map(count).sum();
            let clones = |worker: Worker| {
                let count = count(&worker);
                let (scale, loss_weight) = (total / (n * count), 1.0 / (n * count));
                let spec = WorkerSpec { scale, loss_weight, ..worker.spec };
                std::iter::repeat_n(Worker { spec, ..worker }, count as usize)
            };
            equal.into_iter().flat_map(clones).collect()
        }
    }
}

/// Returns M of the cloned problem: the quadratic mean of the clones' constants N L_i / (n N_i).
pub(super) fn clone_mean(smoothness: &Smoothness, workers: &[Worker]) -> f64 {
    let constant = |worker: &Worker| worker.spec.scale * smoothness.l_i[worker.share];
    let squares = workers.iter().map(|worker| constant(worker).powi(2));
    (squares.sum::<f64>() / workers.len() as f64).sqrt()
}

/// Returns the message form of participation with probability `p`.
fn participation(p: f64, seed: u32) -> Participation {
    if p >= 1.0 {
        return Participation::FULL;
    }
    Participation { seed, probability: (p * 2f64.powi(32)) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-5
    }

    /// Returns four equal workers.
    fn four() -> Vec<Worker> {
        let participation = Participation::FULL;
        let spec = WorkerSpec { scale: 1.0, weight: 1.0, loss_weight: 0.25, k: 1, participation };
        (0..4).map(|share| Worker { share, spec, participation: 1.0, alpha: 1.0 }).collect()
    }

    /// The paper's example: n = 4, L = (1, 1, 1, 100).
    #[test]
    fn clones_of_the_papers_example() {
        let smoothness = Smoothness::new(25.75, vec![1.0, 1.0, 1.0, 100.0]);
        let workers = population(Population::Cloned, four(), &smoothness);
        assert_eq!(workers.iter().filter(|worker| worker.share == 3).count(), 4);
        assert_eq!(workers.len(), 7);
        assert!(close(clone_mean(&smoothness, &workers), 33.0917));
        assert!(close(workers.iter().map(|worker| worker.spec.loss_weight).sum(), 1.0));
        // The mean of the clones' gradients is the mean of the gradients.
        let of_share_3 = workers.iter().filter(|worker| worker.share == 3);
        let of_share_3: f64 = of_share_3.map(|worker| worker.spec.scale / 7.0).sum();
        assert!(close(of_share_3, 0.25));
    }

    #[test]
    fn weights_undo_the_scales() {
        let smoothness = Smoothness::new(25.75, vec![1.0, 1.0, 1.0, 100.0]);
        for worker in population(Population::Weighted, four(), &smoothness) {
            assert!(close(worker.spec.weight * worker.spec.scale, 1.0));
            assert!(close(worker.spec.scale * smoothness.l_i[worker.share], smoothness.l_am));
        }
    }
}
