//! AdaLoRA's allocation of ranks (Zhang et al. 2023, section 3.2): which triplets of all adapted maps are pruned.
//!
//! All of it acts on the values of several runs side by side, `[runs, elements]`, for each adapted map in the order in
//! which AdaLoRA declares its tensors: Q, the diagonal, P, their sensitivities, their uncertainties, and 1 for each
//! triplet that is pruned.

use burn::tensor::Tensor;

use crate::ops::sum_tokens;

/// Number of tensors of an adapted map.
pub(super) const TENSORS: usize = 10;

const Q: usize = 0;
const DIAGONAL: usize = 1;
const P: usize = 2;
const TRAINED: [usize; 3] = [Q, DIAGONAL, P];
const SENSITIVITY: usize = 3;
const UNCERTAINTY: usize = 6;
const PRUNED: usize = 9;

/// At which updates of a training ranks are allocated, and out of what budget.
pub(super) struct Schedule {
    /// The last update before the budget falls.
    initial: u64,
    /// The update of the last allocation.
    last: u64,
    interval: u64,
}

impl Schedule {
    /// The schedule of so many updates, of which these shares, rounded down, are warm-up before and after.
    pub(super) fn new(steps: u64, initial_warmup: f64, final_warmup: f64, interval: u64) -> Self {
        let share = |warmup: f64| (warmup * steps as f64) as u64;
        Self { initial: share(initial_warmup), last: steps - share(final_warmup), interval }
    }

    /// Whether importance still counts after this update.
    pub(super) fn observes(&self, step: u64) -> bool {
        step < self.last
    }

    pub(super) fn allocates(&self, step: u64) -> bool {
        step == self.last || (self.initial < step && step < self.last && step.is_multiple_of(self.interval))
    }

    /// Whether the allocation stands.
    pub(super) fn is_over(&self, step: u64) -> bool {
        step > self.last
    }

    /// Triplets that may be kept (equation 12), from all to those of the target.
    pub(super) fn budget(&self, step: u64, all: usize, target: usize) -> usize {
        if step >= self.last {
            return target;
        }
        let falling = step.saturating_sub(self.initial) as f64 / (self.last - self.initial) as f64;
        ((all - target) as f64 * (1.0 - falling).powi(3) + target as f64) as usize
    }
}

/// Smooths the sensitivity of each weight of a map and its uncertainty (equations 9 and 10).
pub(super) fn observe(map: &mut [Tensor<2>], gradients: &[Option<Tensor<2>>], [beta1, beta2]: [f64; 2]) {
    let smooth = |old: &Tensor<2>, new: Tensor<2>, beta: f64| old.clone() * beta + new * (1.0 - beta);
    for i in TRAINED {
        let Some(gradient) = &gradients[i] else { continue };
        let sensitivity = (map[i].clone() * gradient.clone()).abs();
        map[SENSITIVITY + i] = smooth(&map[SENSITIVITY + i], sensitivity.clone(), beta1);
        let distance = (sensitivity - map[SENSITIVITY + i].clone()).abs();
        map[UNCERTAINTY + i] = smooth(&map[UNCERTAINTY + i], distance, beta2);
    }
}

/// Marks the triplets of all maps that are pruned: so many least important ones, and those equal to the last of these.
pub(super) fn allocate(maps: &mut [Tensor<2>], rank: usize, pruned: usize) {
    let importances = maps.chunks(TENSORS).map(|map| importance(map, rank)).collect();
    let pruned = least(Tensor::cat(importances, 1), pruned);
    for (map, pruned) in maps.chunks_mut(TENSORS).zip(pruned.split(rank, 1)) {
        map[PRUNED] = pruned;
    }
}

/// Sets the diagonal to 0 where a triplet is pruned.
pub(super) fn prune(map: &mut [Tensor<2>]) {
    map[DIAGONAL] = map[DIAGONAL].clone() * (map[PRUNED].clone().neg() + 1.0);
}

/// Importance of each triplet of a map (equation 7), `[runs, rank]`.
fn importance(map: &[Tensor<2>], rank: usize) -> Tensor<2> {
    let of = |i: usize| map[SENSITIVITY + i].clone() * map[UNCERTAINTY + i].clone();
    let mean = |rows: Tensor<3>| {
        let width = rows.dims()[2] as f64;
        sum_tokens(rows) / width
    };
    let [runs, elements] = map[Q].dims();
    let q = of(Q).reshape([runs, rank, elements / rank]);
    let [_, elements] = map[P].dims();
    let p: Tensor<3> = of(P).reshape([runs, elements / rank, rank]);
    of(DIAGONAL) + (mean(q) + mean(p.transpose()))
}

/// 1 for the so many least values of each row, `[runs, values]`, and for those equal to the largest of them; 0 for the
/// rest. It counts smaller values rather than sorting, which would leave a GPU.
fn least(values: Tensor<2>, count: usize) -> Tensor<2> {
    let (own, other): (Tensor<3>, Tensor<3>) = (values.clone().unsqueeze_dim(2), values.unsqueeze_dim(1));
    let smaller = own.greater(other).int().sum_dim(2).squeeze_dim::<2>(2);
    smaller.lower_elem(count as i64).float()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_budget_falls_with_the_cube_of_what_is_left() {
        let schedule = Schedule::new(100, 0.1, 0.5, 10);
        let budget = |step| schedule.budget(step, 96, 64);
        assert_eq!([1, 10].map(budget), [96, 96]);
        // 32 x 0.75^3 = 13.5, 32 x 0.5^3 = 4, 32 x 0.25^3 = 0.5.
        assert_eq!([20, 30, 40].map(budget), [77, 68, 64]);
        assert_eq!([50, 51, 100].map(budget), [64, 64, 64]);
        let allocations: Vec<u64> = (1..=100).filter(|&step| schedule.allocates(step)).collect();
        assert_eq!(allocations, [20, 30, 40, 50]);
        assert_eq!([49, 50, 51].map(|step| schedule.observes(step)), [true, false, false]);
        assert_eq!([49, 50, 51].map(|step| schedule.is_over(step)), [false, false, true]);
    }

    #[test]
    fn every_training_ends_with_the_target() {
        for steps in 1..40 {
            for (initial, last, interval) in
                [(0.0, 0.0, 1), (0.1, 0.5, 10), (0.45, 0.5, 7), (0.0, 0.99, 1000)]
            {
                let schedule = Schedule::new(steps, initial, last, interval);
                let end = (1..=steps).rfind(|&step| schedule.allocates(step)).unwrap();
                assert_eq!(schedule.budget(end, 12, 8), 8, "{steps} updates");
                assert!((end + 1..=steps).all(|step| schedule.is_over(step)), "{steps} updates");
            }
        }
    }

    #[test]
    fn each_run_loses_its_own_least_values() {
        let values = Tensor::from_floats([[0.3, 0.1, 0.2, 0.4], [5.0, 7.0, 7.0, 9.0]], &Device::flex());
        let pruned = |count| least(values.clone(), count).try_into_vec_as::<f32>().unwrap();
        assert_eq!(pruned(0), [0.0; 8]);
        assert_eq!(pruned(2), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
