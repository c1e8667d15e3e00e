//! Which rows are in each batch of a run.

use std::collections::BTreeMap;

use peft_model::random::keyed_rng;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

/// Sources are bucketed by their length rounded up to this many tokens.
const BUCKET: usize = 8;

/// Seed of the order in which widths come, the same for every run.
const SCHEDULE_SEED: u64 = 42;

/// How an epoch's rows are shared out over its batches. Every epoch has every row once, and its last batch
/// may be smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Batching {
    /// A uniformly random permutation for every run and epoch, cut into batches, as transformers' Trainer
    /// draws them (but for the bits, which come from our own generator).
    #[default]
    Random,
    /// Sources of similar length together, so that little is padded. The order of widths is the same for
    /// every run: runs side by side always have batches of one width. But then their batches are alike in
    /// all that goes with length, and so are scores, whose deviation over seeds comes out too small.
    Bucketed,
    /// Of a mixture, each batch has rows of a few of its tasks: at least two, how many and which is drawn anew, and rows
    /// in proportion to the tasks' numbers, so that an epoch can have a row twice (Wang et al. 2023, section 3.3). Of a
    /// single task, as `random`.
    Tasks,
    /// Of a mixture, each batch is of one task, drawn with a probability that goes with the tenth root of the number of its
    /// rows, a temperature of 10, and rows are drawn with repetition, as in the code of Karimi Mahabadi et al. 2021. Of a
    /// single task, as `random`.
    Temperature,
}

/// Of drawing tasks.
const TEMPERATURE: f64 = 10.0;

/// Makes the batches of every epoch.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Order,
    rows: usize,
    batch_size: usize,
}

#[derive(Debug, Clone)]
enum Order {
    Random,
    /// Rows by rounded source length, ascending.
    Bucketed(Vec<Vec<u32>>),
    /// Rows by task, a few tasks in each batch.
    Tasks(Vec<Vec<u32>>),
    /// Rows by task, one task in each batch.
    OneTask(Vec<Vec<u32>>),
}

impl Batches {
    /// Batches of rows whose sources have these lengths, in tokens.
    pub fn new(batching: Batching, lengths: &[usize], batch_size: usize) -> Self {
        let order = match batching {
            Batching::Random | Batching::Tasks | Batching::Temperature => Order::Random,
            Batching::Bucketed => Order::Bucketed(buckets(lengths, BUCKET)),
        };
        Self { order, rows: lengths.len(), batch_size }
    }

    /// Batches of rows of these parts of a mixture.
    pub fn of_mixture(batching: Batching, lengths: &[usize], parts: &[u32], batch_size: usize) -> Self {
        let mut batches = Self::new(batching, lengths, batch_size);
        let by_task = || {
            let parts: Vec<usize> = parts.iter().map(|&part| part as usize).collect();
            buckets(&parts, 1)
        };
        match batching {
            Batching::Tasks => batches.order = Order::Tasks(by_task()),
            Batching::Temperature => batches.order = Order::OneTask(by_task()),
            Batching::Random | Batching::Bucketed => {}
        }
        batches
    }

    /// Number of batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        self.rows.div_ceil(self.batch_size)
    }

    /// The batches of an epoch, as row indices, for a run with this seed.
    fn epoch(&self, epoch: u64, seed: u64) -> Vec<Vec<u32>> {
        match &self.order {
            Order::Random => {
                let mut rows: Vec<u32> = (0..self.rows as u32).collect();
                rows.shuffle(&mut keyed_rng(seed, &format!("epoch {epoch}")));
                rows.chunks(self.batch_size).map(<[u32]>::to_vec).collect()
            }
            Order::Bucketed(buckets) => self.bucketed(buckets, epoch, seed),
            Order::Tasks(tasks) => {
                let mut rng = keyed_rng(seed, &format!("epoch {epoch} of tasks"));
                (0..self.per_epoch()).map(|_| self.of_few_tasks(tasks, &mut rng)).collect()
            }
            Order::OneTask(tasks) => {
                let mut rng = keyed_rng(seed, &format!("epoch {epoch} of one task each"));
                (0..self.per_epoch()).map(|_| self.of_one_task(tasks, &mut rng)).collect()
            }
        }
    }

    fn of_few_tasks(&self, tasks: &[Vec<u32>], rng: &mut impl Rng) -> Vec<u32> {
        let count = rng.random_range(2.min(tasks.len())..=tasks.len());
        let chosen: Vec<&Vec<u32>> = tasks.choose_multiple(rng, count).collect();
        let all: usize = chosen.iter().map(|rows| rows.len()).sum();
        let row = |mut place: usize| {
            for rows in &chosen {
                match rows.get(place) {
                    Some(&row) => return row,
                    None => place -= rows.len(),
                }
            }
            unreachable!("the place is below the number of rows")
        };
        (0..self.batch_size.min(self.rows)).map(|_| row(rng.random_range(0..all))).collect()
    }

    fn of_one_task(&self, tasks: &[Vec<u32>], rng: &mut impl Rng) -> Vec<u32> {
        let weight = |rows: &Vec<u32>| (rows.len() as f64).powf(1.0 / TEMPERATURE);
        // There are always tasks, and none without rows.
        let Ok(rows) = tasks.choose_weighted(rng, weight) else { return Vec::new() };
        (0..self.batch_size.min(self.rows)).map(|_| rows[rng.random_range(0..rows.len())]).collect()
    }

    fn bucketed(&self, buckets: &[Vec<u32>], epoch: u64, seed: u64) -> Vec<Vec<u32>> {
        let mut batches: Vec<Vec<u32>> = Vec::with_capacity(self.per_epoch());
        let mut pool: Vec<u32> = Vec::new();
        for (index, bucket) in buckets.iter().enumerate() {
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

/// Rows by their numbers, in buckets of so many, ascending.
fn buckets(numbers: &[usize], width: usize) -> Vec<Vec<u32>> {
    let mut buckets: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (row, number) in numbers.iter().enumerate() {
        buckets.entry(number.div_ceil(width)).or_default().push(row as u32);
    }
    buckets.into_values().collect()
}

/// The batches of one run, one after the other.
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

    /// The rows of a batch, counted from 0 over all epochs.
    pub fn batch(&mut self, position: u64) -> &[u32] {
        let per_epoch = self.batches.per_epoch() as u64;
        let (wanted, index) = (position / per_epoch, (position % per_epoch) as usize);
        if self.epoch.as_ref().is_none_or(|(epoch, _)| *epoch != wanted) {
            self.epoch = None;
        }
        let (_, batches) = self.epoch.get_or_insert_with(|| (wanted, self.batches.epoch(wanted, self.seed)));
        &batches[index]
    }
}

#[cfg(test)]
mod tests {
    use super::Batching::{Bucketed, Random};
    use super::*;

    fn lengths() -> Vec<usize> {
        (0..103).map(|i| 3 + (i * 37) % 90).collect()
    }

    #[test]
    fn batches_of_one_task_prefer_large_tasks_by_little() {
        let parts: Vec<u32> = (0..1100).map(|row| u32::from(row >= 1000)).collect();
        let mut batches =
            EpochCache::new(Batches::of_mixture(Batching::Temperature, &vec![5; parts.len()], &parts, 20), 1);
        let mut of_large = 0;
        for position in 0..2000 {
            let rows = batches.batch(position);
            let large = rows.iter().filter(|row| **row < 1000).count();
            assert!(rows.len() == 20 && (large == 0 || large == 20), "{rows:?}");
            of_large += large / 20;
        }
        // 1000^0.1 : 100^0.1 is 1.995 : 1.585, or 55.7 %.
        assert!((1070..1160).contains(&of_large), "{of_large}");
    }

    #[test]
    fn batches_of_a_mixture_have_few_tasks_in_proportion_to_their_rows() {
        let parts: Vec<u32> = (0..1000).map(|row| [0, 0, 0, 1, 1, 2][row % 6]).collect();
        let batches = Batches::of_mixture(Batching::Tasks, &[5; 1000], &parts, 40);
        let (mut of_two, mut of_three, mut first, mut second) = (0, 0, 0, 0);
        for batch in (0..40).flat_map(|epoch| batches.epoch(epoch, 7)) {
            assert_eq!(batch.len(), 40);
            let count = |part| batch.iter().filter(|&&row| parts[row as usize] == part).count();
            let counts = [0, 1, 2].map(count);
            match counts.iter().filter(|count| **count > 0).count() {
                2 => of_two += 1,
                3 => {
                    of_three += 1;
                    (first, second) = (first + counts[0], second + counts[1]);
                }
                _ => panic!("{counts:?}"),
            }
        }
        assert!((400..600).contains(&of_two) && (400..600).contains(&of_three), "{of_two} and {of_three}");
        let ratio = first as f64 / second as f64;
        assert!((1.4..1.6).contains(&ratio), "three rows of the first for two of the second: {ratio}");
        assert_eq!(batches.epoch(3, 7), batches.epoch(3, 7));
        assert_ne!(batches.epoch(3, 7), batches.epoch(3, 8));
    }

    #[test]
    fn an_epoch_sees_every_row_once_and_keeps_the_short_batch() {
        for batching in [Random, Bucketed] {
            let batches = Batches::new(batching, &lengths(), 8);
            for epoch in 0..3 {
                let mut rows: Vec<u32> = batches.epoch(epoch, 7).concat();
                rows.sort();
                assert_eq!(rows, (0..103).collect::<Vec<u32>>());
                let mut sizes: Vec<usize> = batches.epoch(epoch, 7).iter().map(Vec::len).collect();
                sizes.sort();
                assert_eq!(sizes, [[7].as_slice(), &[8; 12]].concat());
            }
            assert_eq!(batches.epoch(0, 7).len(), batches.per_epoch());
        }
    }

    #[test]
    fn runs_have_bucketed_batches_of_one_size_and_similar_width() {
        let (lengths, batches) = (lengths(), Batches::new(Bucketed, &lengths(), 8));
        let width = |rows: &[u32]| rows.iter().map(|&r| lengths[r as usize].div_ceil(BUCKET)).max();
        for (a, b) in batches.epoch(2, 1).iter().zip(&batches.epoch(2, 2)) {
            assert_eq!(a.len(), b.len());
            assert_eq!(width(a), width(b));
        }
        assert_ne!(batches.epoch(2, 1), batches.epoch(2, 2));
    }

    #[test]
    fn runs_have_random_batches_of_one_size_in_any_order_of_lengths() {
        let batches = Batches::new(Random, &lengths(), 8);
        let sizes = |seed| batches.epoch(2, seed).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(1), sizes(2));
        let reversed: Vec<usize> = lengths().into_iter().rev().collect();
        assert_eq!(batches.epoch(2, 1), Batches::new(Random, &reversed, 8).epoch(2, 1));
    }

    #[test]
    fn steps_follow_from_the_seed_alone() {
        for batching in [Random, Bucketed] {
            let mut in_order = EpochCache::new(Batches::new(batching, &lengths(), 8), 5);
            let steps: Vec<Vec<u32>> = (0..30).map(|s| in_order.batch(s).to_vec()).collect();
            let mut resumed = EpochCache::new(Batches::new(batching, &lengths(), 8), 5);
            assert_eq!(resumed.batch(20), steps[20]);
            assert_ne!(steps[0], steps[13], "epochs are shuffled anew");
        }
    }

    /// Rows whose class goes with their length, as many tasks' does, and the share of class 1 in each batch
    /// of some epochs.
    fn shares(batching: Batching, seed: u64) -> Vec<f64> {
        let lengths: Vec<usize> = (0..3200).map(|row| 5 + row % 100).collect();
        let class = |row: u32| f64::from(u8::from(row % 100 < 37));
        let batches = Batches::new(batching, &lengths, 32);
        let epochs = (0..30).flat_map(|epoch| batches.epoch(epoch, seed));
        epochs.map(|rows| rows.iter().map(|&row| class(row)).sum::<f64>() / rows.len() as f64).collect()
    }

    fn covariance(a: &[f64], b: &[f64]) -> f64 {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let products: Vec<f64> = a.iter().zip(b).map(|(a, b)| a * b).collect();
        mean(&products) - mean(a) * mean(b)
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        covariance(a, b) / (covariance(a, a) * covariance(b, b)).sqrt()
    }

    #[test]
    fn random_batches_of_two_seeds_are_uncorrelated_and_vary_as_random_draws_do() {
        let (a, b) = (shares(Random, 42), shares(Random, 43));
        // 3,000 batches: the standard error of a correlation of nothing is 0.018.
        assert!(correlation(&a, &b).abs() < 0.06, "{}", correlation(&a, &b));
        // Draws without replacement from 3,200 rows.
        let expected = 0.37 * 0.63 / 32.0 * (3200.0 - 32.0) / 3199.0;
        let ratio = covariance(&a, &a) / expected;
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
        // What the measure finds where batches are alike.
        assert!(correlation(&shares(Bucketed, 42), &shares(Bucketed, 43)) > 0.9);
    }

    #[test]
    fn every_row_is_as_likely_in_every_place() {
        let batches = Batches::new(Random, &[9; 6], 2);
        let mut counts = [[0; 6]; 6];
        for epoch in 0..6000 {
            for (place, row) in batches.epoch(epoch, 3).concat().into_iter().enumerate() {
                counts[place][row as usize] += 1;
            }
        }
        // 1,000 expected, with a standard deviation of 29.
        assert!(counts.iter().flatten().all(|count| (870..1130).contains(count)), "{counts:?}");
    }
}
