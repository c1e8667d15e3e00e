/// The factor on every learning rate: linear warm-up from 0, then linear decay to 0 at the last step.
///
/// As transformers' `get_linear_schedule_with_warmup`; `step` counts from 0.
pub fn linear(step: u64, warmup: u64, steps: u64) -> f64 {
    if step < warmup {
        return step as f64 / warmup as f64;
    }
    let decay = steps.saturating_sub(warmup).max(1) as f64;
    steps.saturating_sub(step) as f64 / decay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        assert_eq!(linear(0, 500, 30_000), 0.0);
        assert_eq!(linear(250, 500, 30_000), 0.5);
        assert_eq!(linear(500, 500, 30_000), 1.0);
        assert_eq!(linear(30_000, 500, 30_000), 0.0);
        assert_eq!(linear(0, 0, 10), 1.0);
    }
}
