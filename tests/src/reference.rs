//! The problems whose f64 constants and trajectories are known, and those numbers.
//!
//! Computed independently in NumPy for this project; the trajectories of mushrooms and phishing
//! also agree with the program of EF21's authors. x⁰ = 0, K = 1, the larger label is the positive
//! class.

use crate::shared;
use smidgen::options::Split;
use smidgen::problem::dataset::Dataset;
use smidgen::problem::theory::Mean;

/// The rounds t for which a trajectory gives ‖∇f(x^t)‖².
pub const ROUNDS: [usize; 6] = [0, 1, 10, 100, 1000, 2000];

/// A data set, dealt out to workers, and a weight of the regulariser.
pub struct Problem {
    /// The rows.
    pub dataset: Dataset,
    /// The rows of each worker.
    pub shares: Vec<Vec<usize>>,
    /// λ.
    pub lambda: f64,
}

impl Problem {
    fn new(dataset: Dataset, split: Split, worker_count: usize, lambda: f64) -> Self {
        let shares = dataset.deal(&split, worker_count).expect("there are enough rows");
        Self { dataset, shares, lambda }
    }

    /// A file, 20 workers with contiguous blocks, λ = 0.1.
    pub fn contiguous(name: &str, test: &str) -> Option<Self> {
        let dataset = shared::dataset(name, test)?;
        Some(Self::new(dataset, Split::Contiguous, 20, 0.1))
    }

    /// australian, one row per worker, λ = 1000.
    pub fn australian(test: &str) -> Option<Self> {
        Some(Self::new(shared::dataset("australian", test)?, Split::OneEach, 0, 1000.0))
    }

    /// w1a, 1000 workers with two rows each in file order, the remainder dropped, λ = 0.001.
    pub fn w1a(test: &str) -> Option<Self> {
        let dataset = shared::dataset("w1a", test)?;
        let shares = (0..1000).map(|worker| vec![2 * worker, 2 * worker + 1]).collect();
        Some(Self { dataset, shares, lambda: 1e-3 })
    }

    /// The bundled digits, 10 workers with blocks sorted by norm, λ = 0.001.
    pub fn digits() -> Self {
        Self::new(bundled("digits"), Split::SortedNorm, 10, 1e-3)
    }

    /// The bundled breast cancer set as it is, one row per worker, λ = 0.001.
    pub fn breast_cancer() -> Self {
        Self::new(bundled("breast-cancer"), Split::OneEach, 0, 1e-3)
    }

    /// The bundled breast cancer set with standardised columns, 10 workers sorted by norm, λ =
    /// 0.001.
    pub fn breast_cancer_standardised() -> Self {
        Self::new(bundled("breast-cancer-standardised"), Split::SortedNorm, 10, 1e-3)
    }
}

fn bundled(name: &str) -> Dataset {
    Dataset::load(name).expect("the set is bundled")
}

/// Known constants of a problem.
pub struct Constants {
    /// L.
    pub l: f64,
    /// L_AM.
    pub l_am: f64,
    /// L_QM.
    pub l_qm: f64,
    /// L_var.
    pub l_var: f64,
    /// 1/(L + L_QM ξ(1/d)).
    pub gamma_qm: f64,
    /// 1/(L + L_AM ξ(1/d)).
    pub gamma_am: f64,
}

/// phishing, [`Problem::contiguous`].
pub const PHISHING: Constants = Constants {
    l: 0.36255026,
    l_am: 0.3660756,
    l_qm: 0.3660851,
    l_var: 6.96e-06,
    gamma_qm: 0.020161161,
    gamma_am: 0.020161681,
};
/// mushrooms, [`Problem::contiguous`].
pub const MUSHROOMS: Constants = Constants {
    l: 2.7864127,
    l_am: 3.4711204,
    l_qm: 3.493226,
    l_var: 0.153951,
    gamma_qm: 0.0012820097,
    gamma_am: 0.0012901448,
};
/// a9a, [`Problem::contiguous`].
pub const A9A: Constants = Constants {
    l: 1.7719198,
    l_am: 1.7730413,
    l_qm: 1.7730671,
    l_var: 9.14e-05,
    gamma_qm: 0.0022973454,
    gamma_am: 0.0022973786,
};
/// [`Problem::australian`].
pub const AUSTRALIAN: Constants = Constants {
    l: 7038285.4,
    l_am: 7053931.8,
    l_qm: 1.0201047e8,
    l_var: 1.03564e16,
    gamma_qm: 3.6908937e-10,
    gamma_am: 5.1572406e-09,
};
/// [`Problem::w1a`].
pub const W1A: Constants = Constants {
    l: 0.58720006,
    l_am: 2.2158134,
    l_qm: 2.8385957,
    l_var: 3.1478,
    gamma_qm: 5.8841337e-04,
    gamma_am: 7.5372117e-04,
};
/// [`Problem::breast_cancer`].
pub const BREAST_CANCER: Constants = Constants {
    l: 416434.61,
    l_am: 419626.24,
    l_qm: 726525.9,
    l_var: 3.51754e11,
    gamma_qm: 2.330181e-08,
    gamma_am: 4.0059622e-08,
};
/// [`Problem::breast_cancer_standardised`].
pub const BREAST_CANCER_STANDARDISED: Constants = Constants {
    l: 2.9249098,
    l_am: 3.0088007,
    l_qm: 4.107327,
    l_var: 7.81725,
    gamma_qm: 4.1120765e-03,
    gamma_am: 5.5888714e-03,
};
/// [`Problem::digits`].
pub const DIGITS: Constants = Constants {
    l: 2.6076796,
    l_am: 2.6257582,
    l_qm: 2.6753236,
    l_var: 0.26275,
    gamma_qm: 2.932286e-03,
    gamma_am: 2.9872064e-03,
};

/// ‖∇f(x^t)‖² at [`ROUNDS`], g_i⁰ = ∇f_i(x⁰), for one of the two steps.
pub type Trajectory = (Mean, [f64; 6]);

/// phishing, [`Problem::contiguous`].
#[rustfmt::skip]
pub const PHISHING_QM: Trajectory = (Mean::Quadratic, [
    7.676795614e-03, 7.597896810e-03, 6.912168667e-03, 2.630477375e-03, 1.524815627e-06, 1.294744099e-09,
]);
/// mushrooms, [`Problem::contiguous`].
#[rustfmt::skip]
pub const MUSHROOMS_QM: Trajectory = (Mean::Quadratic, [
    3.195801824e-01, 3.190212544e-01, 3.140258845e-01, 2.685580606e-01, 6.714575798e-02, 1.925233345e-02,
]);
/// mushrooms, [`Problem::contiguous`].
#[rustfmt::skip]
pub const MUSHROOMS_AM: Trajectory = (Mean::Arithmetic, [
    3.195801824e-01, 3.190177097e-01, 3.139908822e-01, 2.682633159e-01, 6.654440271e-02, 1.897624501e-02,
]);
/// [`Problem::australian`].
#[rustfmt::skip]
pub const AUSTRALIAN_QM: Trajectory = (Mean::Quadratic, [
    1.590709301e+05, 1.582481147e+05, 1.510403517e+05, 9.860103007e+04, 2.295221540e+04, 1.235326872e+04,
]);
/// [`Problem::australian`].
#[rustfmt::skip]
pub const AUSTRALIAN_AM: Trajectory = (Mean::Arithmetic, [
    1.590709301e+05, 1.477906816e+05, 8.394603212e+04, 1.721488816e+04, 1.117227530e+03, 6.230939186e+02,
]);
/// [`Problem::w1a`].
#[rustfmt::skip]
pub const W1A_QM: Trajectory = (Mean::Quadratic, [
    2.784314375e-01, 2.782480642e-01, 2.766011714e-01, 2.606289354e-01, 1.500689953e-01, 9.208006158e-02,
]);
/// [`Problem::w1a`].
#[rustfmt::skip]
pub const W1A_AM: Trajectory = (Mean::Arithmetic, [
    2.784314375e-01, 2.781965590e-01, 2.760883458e-01, 2.558227185e-01, 1.290243920e-01, 7.334615969e-02,
]);
/// [`Problem::breast_cancer_standardised`].
#[rustfmt::skip]
pub const BREAST_CANCER_QM: Trajectory = (Mean::Quadratic, [
    1.889821221e+00, 1.845291185e+00, 1.476878445e+00, 2.878050912e-01, 1.236118016e-02, 4.412235958e-03,
]);
/// [`Problem::breast_cancer_standardised`].
#[rustfmt::skip]
pub const BREAST_CANCER_AM: Trajectory = (Mean::Arithmetic, [
    1.889821221e+00, 1.829434244e+00, 1.346805742e+00, 1.882330614e-01, 7.776104696e-03, 2.743751149e-03,
]);
/// [`Problem::digits`].
#[rustfmt::skip]
pub const DIGITS_QM: Trajectory = (Mean::Quadratic, [
    7.815028438e-02, 7.808150409e-02, 7.746463622e-02, 7.157713872e-02, 3.491080757e-02, 1.889780600e-02,
]);
/// [`Problem::digits`].
#[rustfmt::skip]
pub const DIGITS_AM: Trajectory = (Mean::Arithmetic, [
    7.815028438e-02, 7.808021621e-02, 7.745183891e-02, 7.145965382e-02, 3.444863265e-02, 1.852744773e-02,
]);
/// phishing, [`Problem::contiguous`] with λ = 0.001 and g_i⁰ = TopK(∇f_i(x⁰)).
#[rustfmt::skip]
pub const PHISHING_COMPRESSED_QM: Trajectory = (Mean::Quadratic, [
    7.676795614e-03, 7.671968422e-03, 7.577055158e-03, 5.501589586e-03, 2.579016473e-03, 1.493483806e-03,
]);

/// Quadratic functions f_i(x) = ½ Σ_k h_ik (x_k − c_ik)² as data for least squares: worker i has d rows, of which row
/// k is `sqrt(h_ik d / 2)` in column k alone, with that times c_ik as its target. In LIBSVM format.
pub fn quadratics<const D: usize>(h: &[[f64; D]], c: &[[f64; D]]) -> String {
    let mut text = String::new();
    for (h, c) in h.iter().zip(c) {
        for (k, (h, c)) in h.iter().zip(c).enumerate() {
            let feature = (h * D as f64 / 2.0).sqrt();
            text += &format!("{} {}:{feature}\n", feature * c, k + 1);
        }
    }
    text
}

/// A worked example of EF21: f_i = ½‖x − a_i‖², d = 2, n = 2, K = 1, γ = 0.1, and x, g_1, g_2 at t = 0 … 5.
pub mod worked_example {
    /// Curvatures of both workers.
    pub const H: [[f64; 2]; 2] = [[1.0; 2]; 2];
    /// Their centres a_i.
    pub const C: [[f64; 2]; 2] = [[4.0, 0.0], [0.0, 3.0]];
    /// x, g_1 and g_2 at t = 0 … 5.
    pub const STATES: [[[f64; 2]; 3]; 6] = [
        [[0.0, 0.0], [-4.0, 0.0], [0.0, -3.0]],
        [[0.2, 0.15], [-3.8, 0.0], [0.2, -3.0]],
        [[0.38, 0.3], [-3.8, 0.3], [0.2, -2.7]],
        [[0.56, 0.42], [-3.44, 0.3], [0.56, -2.7]],
        [[0.704, 0.54], [-3.44, 0.54], [0.56, -2.46]],
        [[0.848, 0.636], [-3.152, 0.54], [0.848, -2.46]],
    ];
}

/// A quadratic problem with one worker far less smooth than the others: d = 6, n = 4, K = 1, compressed first
/// estimators.
pub mod quadratic_example {
    use smidgen::problem::theory::{Mean, Smoothness};

    /// Curvatures h of every worker.
    pub const H: [[f64; 6]; 4] = [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [2.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 4.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 64.0],
    ];
    /// Centres c of every worker.
    pub const C: [[f64; 6]; 4] = [
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0],
        [0.0, 3.0, 0.0, -3.0, 0.0, 3.0],
        [2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
    ];
    /// The rounds t of [`TRAJECTORIES`].
    pub const ROUNDS: [usize; 8] = [0, 1, 2, 3, 10, 100, 1000, 2000];
    /// ‖∇f(x^t)‖² at [`ROUNDS`].
    #[rustfmt::skip]
    pub const TRAJECTORIES: [(Mean, [f64; 8]); 2] = [
        (Mean::Quadratic, [
            1.198562500000e+03, 1.091364324325e+03, 9.937407371539e+02, 9.028406940279e+02,
            4.609884485488e+02, 4.874096007471e+00, 2.585850297437e-02, 8.678896820644e-05,
        ]),
        (Mean::Arithmetic, [
            1.198562500000e+03, 1.015220983107e+03, 8.598991358712e+02, 7.253592063556e+02,
            2.219302019629e+02, 3.180663389526e+00, 3.791386054551e-04, 1.824383195474e-08,
        ]),
    ];

    /// L = 16.75 and the L_i.
    pub fn smoothness() -> Smoothness {
        Smoothness::new(16.75, vec![1.0, 2.0, 4.0, 64.0])
    }
}
