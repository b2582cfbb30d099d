//! EF21 as the paper writes it, in f64 and as short as can be: what the fixed-point system is
//! compared with.
//!
//! ```text
//! server:   x^{t+1} = x^t − γ g^t,   g^t = (1/n) Σ g_i^t
//! worker i: c_i^t = TopK(∇f_i(x^{t+1}) − g_i^t),   g_i^{t+1} = g_i^t + c_i^t
//! ```
//!
//! It shares the reader of data sets with the system, and nothing else.

use smidgen::problem::dataset::Dataset;

/// How the estimators g_i start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// g_i⁰ = ∇f_i(x⁰).
    Full,
    /// g_i⁰ = TopK(∇f_i(x⁰)).
    Compressed,
    /// g_i⁰ = 0.
    Zero,
}

/// A run of EF21; `gradient(i, x)` is ∇f_i(x).
pub struct Ef21<F> {
    /// The model x^t.
    pub x: Vec<f64>,
    /// The estimators g_i^t.
    pub g_i: Vec<Vec<f64>>,
    k: usize,
    gamma: f64,
    gradient: F,
}

impl<F: Fn(usize, &[f64]) -> Vec<f64>> Ef21<F> {
    /// Starts at x⁰ = `x`.
    pub fn new(n: usize, x: Vec<f64>, k: usize, gamma: f64, init: Init, gradient: F) -> Self {
        let start = |i| match init {
            Init::Full => gradient(i, &x),
            Init::Compressed => top_k(gradient(i, &x), k),
            Init::Zero => vec![0.0; x.len()],
        };
        Self { g_i: (0..n).map(start).collect(), x, k, gamma, gradient }
    }

    /// One round, from t to t + 1.
    pub fn round(&mut self) {
        let g = mean(self.g_i.iter().cloned());
        self.x.iter_mut().zip(g).for_each(|(x, g)| *x -= self.gamma * g);
        for (i, g_i) in self.g_i.iter_mut().enumerate() {
            let gradient = (self.gradient)(i, &self.x);
            let difference = gradient.iter().zip(&*g_i).map(|(gradient, g)| gradient - g).collect();
            let c_i = top_k(difference, self.k);
            g_i.iter_mut().zip(c_i).for_each(|(g, c)| *g += c);
        }
    }

    /// ∇f(x^t).
    pub fn gradient(&self) -> Vec<f64> {
        mean((0..self.g_i.len()).map(|i| (self.gradient)(i, &self.x)))
    }

    /// ‖g_i^t − ∇f_i(x^t)‖² of worker i.
    pub fn estimator_error(&self, i: usize) -> f64 {
        let gradient = (self.gradient)(i, &self.x);
        gradient.iter().zip(&self.g_i[i]).map(|(gradient, g)| (gradient - g).powi(2)).sum()
    }
}

/// ‖v‖².
pub fn norm_squared(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum()
}

fn mean(mut vectors: impl ExactSizeIterator<Item = Vec<f64>>) -> Vec<f64> {
    let n = vectors.len() as f64;
    let mut sum = vectors.next().expect("at least one worker");
    vectors.for_each(|vector| sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value));
    sum.into_iter().map(|sum| sum / n).collect()
}

/// Keeps the K largest magnitudes, of equal ones those with the lower index.
pub fn top_k(mut v: Vec<f64>, k: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..v.len()).collect();
    if k < v.len() {
        order.select_nth_unstable_by(k, |&a, &b| v[b].abs().total_cmp(&v[a].abs()).then(a.cmp(&b)));
        order[k..].iter().for_each(|&dropped| v[dropped] = 0.0);
    }
    v
}

/// ∇f_i of logistic regression with the nonconvex regulariser, over these rows.
pub fn logistic_gradient(dataset: &Dataset, rows: &[usize], lambda: f64, x: &[f64]) -> Vec<f64> {
    let mut gradient: Vec<f64> =
        x.iter().map(|x| lambda * 2.0 * x / (1.0 + x * x).powi(2)).collect();
    for &row in rows {
        let row = dataset.row(row);
        let y = row.sign();
        let slope = -y / (1.0 + (y * row.dot(x)).exp()) / rows.len() as f64;
        row.entries().for_each(|(column, a)| gradient[column] += slope * a);
    }
    gradient
}
