//! Length-bucketed batches: sentences of similar length train together, so little is padded.
//!
//! The schedule of widths is the same for every run of a task, and which rows fill it follows from
//! the run's own seed; so runs side by side always have batches of one width.

use std::collections::BTreeMap;

use peft_model::random::keyed_rng;
use rand::seq::SliceRandom;

/// Sources are bucketed by their length rounded up to this many tokens.
const BUCKET: usize = 8;

/// Seed of the order in which widths come, the same for every run.
const SCHEDULE_SEED: u64 = 42;

/// Makes the batches of every epoch.
#[derive(Debug, Clone)]
pub struct Batches {
    /// Rows by rounded source length, ascending.
    buckets: Vec<Vec<u32>>,
    rows: usize,
    batch_size: usize,
}

impl Batches {
    /// Buckets rows by the lengths of their sources, in tokens.
    pub fn new(lengths: &[usize], batch_size: usize) -> Self {
        let mut buckets: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, length) in lengths.iter().enumerate() {
            buckets.entry(length.div_ceil(BUCKET)).or_default().push(row as u32);
        }
        Self { buckets: buckets.into_values().collect(), rows: lengths.len(), batch_size }
    }

    /// Number of batches in an epoch; the last one may be smaller.
    pub fn per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch_size)
    }

    /// The batch of a step: row indices, for a run with this seed. Every epoch sees every row once.
    ///
    /// Computes a whole epoch: use [`EpochCache`] for successive steps.
    fn epoch(&self, epoch: u64, seed: u64) -> Vec<Vec<u32>> {
        let mut batches: Vec<Vec<u32>> = Vec::with_capacity(self.per_epoch());
        let mut pool: Vec<u32> = Vec::new();
        for (index, bucket) in self.buckets.iter().enumerate() {
            pool.extend(bucket);
            pool.shuffle(&mut keyed_rng(seed, &format!("epoch {epoch} bucket {index}")));
            // What fills no batch moves on to the next wider bucket.
            while pool.len() >= self.batch_size {
                batches.push(pool.split_off(pool.len() - self.batch_size));
            }
        }
        if !pool.is_empty() {
            batches.push(pool);
        }
        batches.shuffle(&mut keyed_rng(SCHEDULE_SEED, &format!("epoch {epoch}")));
        batches
    }
}

/// The batches of one run, step by step.
#[derive(Debug, Clone)]
pub struct EpochCache {
    batches: Batches,
    seed: u64,
    epoch: Option<(u64, Vec<Vec<u32>>)>,
}

impl EpochCache {
    /// Batches for a run with this seed.
    pub fn new(batches: Batches, seed: u64) -> Self {
        Self { batches, seed, epoch: None }
    }

    /// The rows of a step, counted from 0.
    pub fn step(&mut self, step: u64) -> &[u32] {
        let per_epoch = self.batches.per_epoch() as u64;
        let (wanted, index) = (step / per_epoch, (step % per_epoch) as usize);
        if self.epoch.as_ref().is_none_or(|(epoch, _)| *epoch != wanted) {
            self.epoch = None;
        }
        let (_, batches) = self.epoch.get_or_insert_with(|| (wanted, self.batches.epoch(wanted, self.seed)));
        &batches[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths() -> Vec<usize> {
        (0..103).map(|i| 3 + (i * 37) % 90).collect()
    }

    #[test]
    fn an_epoch_sees_every_row_once() {
        let batches = Batches::new(&lengths(), 8);
        for epoch in 0..3 {
            let mut rows: Vec<u32> = batches.epoch(epoch, 7).concat();
            rows.sort();
            assert_eq!(rows, (0..103).collect::<Vec<u32>>());
        }
        assert_eq!(batches.epoch(0, 7).len(), batches.per_epoch());
    }

    #[test]
    fn runs_have_batches_of_one_size_and_similar_width() {
        let (lengths, batches) = (lengths(), Batches::new(&lengths(), 8));
        let width = |rows: &[u32]| rows.iter().map(|&r| lengths[r as usize].div_ceil(BUCKET)).max();
        for (a, b) in batches.epoch(2, 1).iter().zip(&batches.epoch(2, 2)) {
            assert_eq!(a.len(), b.len());
            assert_eq!(width(a), width(b));
        }
        assert_ne!(batches.epoch(2, 1), batches.epoch(2, 2));
    }

    #[test]
    fn steps_follow_from_the_seed_alone() {
        let mut in_order = EpochCache::new(Batches::new(&lengths(), 8), 5);
        let steps: Vec<Vec<u32>> = (0..30).map(|s| in_order.step(s).to_vec()).collect();
        let mut resumed = EpochCache::new(Batches::new(&lengths(), 8), 5);
        assert_eq!(resumed.step(20), steps[20]);
        assert_ne!(steps[0], steps[13], "epochs are shuffled anew");
    }
}
