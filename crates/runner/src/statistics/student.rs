use libm::erfc;
use std::f64::consts::SQRT_2;

/// What Student's t with this many degrees of freedom exceeds with the probability `tail`, below one half.
pub(super) fn upper_quantile(tail: f64, freedom: f64) -> f64 {
    smallest(|bound| exceedance(bound, 0.0, freedom) <= tail)
}

/// The probability that noncentral t exceeds the bound (Johnson and Welch 1940): the normal probability given the
/// ratio s of sample and true deviation, averaged over s.
pub(super) fn exceedance(bound: f64, noncentrality: f64, freedom: f64) -> f64 {
    // As functions of ln s, the density and the normal probability are at least about this wide. Both are analytic,
    // so that the trapezoidal rule with a fraction of it has all digits, and the sum of weights is their integral.
    let width = 1.0 / (2.0 * freedom).sqrt().max(noncentrality.abs());
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut add = |log_ratio: f64| {
        let weight = (freedom * (log_ratio - (2.0 * log_ratio).exp_m1() / 2.0)).exp();
        sum += weight * normal(noncentrality - bound * log_ratio.exp());
        weights += weight;
        weight > 1e-18
    };
    let mut distances = (1..).map(|index| f64::from(index) * width / 8.0);
    add(0.0);
    distances.clone().find(|&distance| !add(distance));
    distances.find(|&distance| !add(-distance));
    sum / weights
}

/// The smallest positive number that is enough, by bisection.
pub(super) fn smallest(enough: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while !enough(high) {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-14 * high {
        let middle = low + (high - low) / 2.0;
        if enough(middle) { high = middle } else { low = middle }
    }
    high
}

/// The standard normal distribution function.
pub(super) fn normal(x: f64) -> f64 {
    erfc(-x / SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn one_and_two_degrees_of_freedom_have_closed_forms() {
        for tail in [1e-5, 0.005, 0.025, 0.25, 0.4] {
            let (one, two) = (upper_quantile(tail, 1.0), upper_quantile(tail, 2.0));
            assert!((one * (PI * tail).tan() - 1.0).abs() < 1e-12, "{tail}: {one}");
            let expected = (1.0 - 2.0 * tail) / (2.0 * tail * (1.0 - tail)).sqrt();
            assert!((two / expected - 1.0).abs() < 1e-12, "{tail}: {two}");
        }
    }

    #[test]
    fn many_degrees_of_freedom_come_to_the_normal_distribution() {
        assert!((upper_quantile(0.025, 1e9) - 1.959_963_984_540_054).abs() < 1e-8);
        assert!((exceedance(1.0, 3.0, 1e12) - normal(2.0)).abs() < 1e-11);
    }

    #[test]
    fn a_bound_of_zero_leaves_the_sign_of_the_mean() {
        for (noncentrality, freedom) in [(0.0, 1.0), (-1.5, 2.0), (2.5, 7.0), (30.0, 4.0)] {
            let value = exceedance(0.0, noncentrality, freedom);
            assert!((value - normal(noncentrality)).abs() < 1e-14, "{noncentrality}, {freedom}: {value}");
        }
    }
}
