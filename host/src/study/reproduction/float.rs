//! EF21 in f64, without workers, frames and fixed point, as a reference for the fixed-point version.
//!
//! ```text
//! x^{t+1} = x^t − γ (1/n) Σ g_i^t,   g_i^{t+1} = g_i^t + TopK(∇f_i(x^{t+1}) − g_i^t)
//! ```

use crate::output::report::mark::Mark;
use crate::record::Cost;
use crate::run::experiment::Experiment;

/// The state of a run.
struct Ef21 {
    x: Vec<f64>,
    g_i: Vec<Vec<f64>>,
}

/// Runs EF21 on the problem of `experiment`, with its K, γ and initial estimators, for `rounds` rounds. The cost of
/// every round is zero, since nothing is sent.
pub(super) fn run(
    experiment: &Experiment,
    rounds: u32,
    mut on_round: impl FnMut(u32),
) -> Vec<Mark> {
    let setup = &experiment.setup;
    let d = setup.dimension as usize;
    let objective = experiment.objective().expect("a study has its rows on the host");
    let mut gradient = vec![0.0; d];
    let mut run = Ef21 { x: vec![0.0; d], g_i: vec![vec![0.0; d]; setup.shares.len()] };
    let mut marks = vec![];
    for round in 0..=rounds {
        for (worker, g_i) in run.g_i.iter_mut().enumerate() {
            objective.worker_loss_and_gradient(worker, &run.x, &mut gradient);
            add_top_k(g_i, &gradient, setup.budget(worker, round).k as usize);
        }
        let loss = objective.loss_and_gradient(&run.x, &mut gradient);
        marks.push(Mark {
            round,
            loss,
            gradient_norm_squared: Some(gradient.iter().map(|g| g * g).sum()),
            estimator_norm_squared: None,
            total: Cost::default(),
        });
        on_round(round);
        run.step(setup.method.gamma);
    }
    marks
}

impl Ef21 {
    fn step(&mut self, gamma: f64) {
        let share = gamma / self.g_i.len() as f64;
        for g_i in &self.g_i {
            self.x.iter_mut().zip(g_i).for_each(|(x, g)| *x -= share * g);
        }
    }
}

/// Sets the K entries of `g` that differ most from `gradient` to it. Ties go to the lower index.
fn add_top_k(g: &mut [f64], gradient: &[f64], k: usize) {
    let mut order: Vec<usize> = (0..g.len()).collect();
    if k < g.len() {
        let distance = |k: usize| (gradient[k] - g[k]).abs();
        let farther = |&a: &usize, &b: &usize| distance(b).total_cmp(&distance(a)).then(a.cmp(&b));
        order.select_nth_unstable_by(k, farther);
    }
    order[..k].iter().for_each(|&k| g[k] = gradient[k]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_moves_the_largest_differences() {
        let mut g = [0.0, 1.0, 2.0, 3.0];
        add_top_k(&mut g, &[1.0, 1.0, 1.0, -9.0], 2);
        assert_eq!(g, [1.0, 1.0, 2.0, -9.0]);
    }
}
