//! Dropout whose masks depend on nothing but the run, the step, the site and the element.
//!
//! Each element's fate is a hash of (run key, step, site, row, column), where the row is the position
//! of the element's vector inside its run. So a run draws the same masks whether it trains alone or
//! beside others, padding a batch wider changes no mask of a real token, and a method that draws masks
//! of its own shifts none of the backbone's.

use rayon::prelude::*;

use crate::random::{hash_text, mix};

/// The masks of one training step.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// One key per run, from its seed and the step.
    runs: Vec<u64>,
    /// The first row of each run, where the batch is a slice of a larger one.
    first_row: usize,
}

impl Dropout {
    /// Masks for one step of the runs with these seeds.
    pub fn new(seeds: &[u64], step: u64) -> Self {
        Self { runs: seeds.iter().map(|&seed| mix(mix(seed) ^ step)).collect(), first_row: 0 }
    }

    /// The masks that the rows from this one on have in the whole batch.
    pub fn from_row(&self, first_row: usize) -> Self {
        Self { runs: self.runs.clone(), first_row }
    }

    /// The mask of a site for a tensor `[runs, batch, ..., length, width]`; `None` where the rate is 0. The same site
    /// draws the same mask.
    ///
    /// # Panics
    /// When the tensor has fewer than four axes, or another number of runs.
    pub fn mask(&self, site: &str, dims: &[usize], rate: f64) -> Option<Mask> {
        if rate == 0.0 {
            return None;
        }
        let &[runs, _, ref inner @ .., length, width] = dims else {
            panic!("dropout needs runs, a batch, a length and a width")
        };
        assert_eq!(runs, self.runs.len(), "one seed per run");
        let site = hash_text(0, site);
        Some(Mask {
            keys: self.runs.iter().map(|&run| mix(run ^ site)).collect(),
            #[cfg(feature = "cube")]
            runs: self.runs.clone(),
            #[cfg(feature = "cube")]
            site,
            rows_per_run: dims[1..dims.len() - 1].iter().product(),
            first: self.first_row * inner.iter().product::<usize>(),
            length,
            width,
            keep: Keep::new(rate),
        })
    }

    /// A number in [0, 1) for each run.
    pub fn draws(&self, site: &str) -> Vec<f64> {
        let site = hash_text(1, site);
        self.runs.iter().map(|&run| (mix(run ^ site) >> 11) as f64 / DRAWS).collect()
    }
}

/// 2^53: as many numbers in [0, 1) as a float can tell apart evenly.
const DRAWS: f64 = (1u64 << 53) as f64;

/// Which elements of one tensor are dropped.
#[derive(Debug, Clone)]
pub struct Mask {
    /// One key per run, of the run and the site.
    pub(crate) keys: Vec<u64>,
    /// The keys of the runs alone, which all masks of a step share, and that of the site: a GPU makes the others from
    /// them.
    #[cfg(feature = "cube")]
    pub(crate) runs: Vec<u64>,
    #[cfg(feature = "cube")]
    pub(crate) site: u64,
    /// Rows of each run, over all axes but the last.
    pub(crate) rows_per_run: usize,
    /// Size of the last axis but one.
    pub(crate) length: usize,
    /// Vectors of the whole batch, over all axes but the last two, before the first one here.
    pub(crate) first: usize,
    width: usize,
    keep: Keep,
}

impl Mask {
    /// Size of the last axis.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What kept elements are multiplied by: `1 / (1 - rate)`.
    pub fn scale(&self) -> f32 {
        self.keep.scale
    }

    /// Draws below this of 24 bits drop an element.
    #[cfg(feature = "cube")]
    pub(crate) fn threshold(&self) -> u32 {
        self.keep.threshold
    }

    /// The key of one row, counted over all axes but the last.
    ///
    /// It depends on the sentence (or sentence and head) and on the position in it, not on the length.
    #[inline(always)]
    pub fn row_key(&self, row: usize) -> u32 {
        let (run, row) = (row / self.rows_per_run, row % self.rows_per_run);
        let (outer, position) = ((self.first + row / self.length) as u64, (row % self.length) as u64);
        mix(self.keys[run] ^ (outer << 32 | position)) as u32
    }

    /// 0 for a dropped element, `1 / (1 - rate)` for a kept one.
    #[inline(always)]
    pub fn factor(&self, row_key: u32, column: usize) -> f32 {
        self.keep.factor(row_key, column as u32)
    }

    /// All factors, row after row.
    pub fn factors(&self) -> Vec<f32> {
        let rows = self.keys.len() * self.rows_per_run;
        let mut factors = vec![0.0; rows * self.width];
        factors.par_chunks_mut(self.width.max(1)).with_min_len(64).enumerate().for_each(|(row, factors)| {
            let key = self.row_key(row);
            for (column, factor) in factors.iter_mut().enumerate() {
                *factor = self.factor(key, column);
            }
        });
        factors
    }
}

/// The decision for one element.
#[derive(Debug, Clone, Copy)]
struct Keep {
    threshold: u32,
    scale: f32,
}

impl Keep {
    fn new(rate: f64) -> Self {
        Self { threshold: (rate * f64::from(1u32 << 24)) as u32, scale: (1.0 / (1.0 - rate)) as f32 }
    }

    #[inline(always)]
    fn factor(self, row: u32, column: u32) -> f32 {
        // 24 bits, so that the comparison is the same in signed arithmetic.
        let draw = hash(row.wrapping_add(column.wrapping_mul(0x9e37_79b9))) >> 8;
        if draw < self.threshold { 0.0 } else { self.scale }
    }
}

/// A 32-bit finalizer with low bias (Wellons' `lowbias32`); vectorizes well.
#[inline(always)]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_mean_are_right() {
        let mask = Dropout::new(&[7], 3).mask("site", &[1, 40, 50, 64], 0.1).unwrap().factors();
        let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / mask.len() as f64;
        assert!((dropped - 0.1).abs() < 0.003, "{dropped}");
        let mean = mask.iter().map(|&m| f64::from(m)).sum::<f64>() / mask.len() as f64;
        assert!((mean - 1.0).abs() < 0.004, "{mean}");
    }

    #[test]
    fn neighboring_elements_are_uncorrelated() {
        let (rows, width) = (2000, 64);
        let mask = Dropout::new(&[1], 0).mask("site", &[1, 1, rows, width], 0.5).unwrap().factors();
        let bit = |row: usize, column: usize| mask[row * width + column] as f64 - 1.0;
        for (dr, dc) in [(0, 1), (1, 0), (1, 1), (0, 16)] {
            let mut sum = 0.0;
            for row in 0..rows - dr {
                for column in 0..width - dc {
                    sum += bit(row, column) * bit(row + dr, column + dc);
                }
            }
            let correlation = sum / (rows * width) as f64;
            assert!(correlation.abs() < 0.02, "({dr}, {dc}): {correlation}");
        }
    }

    #[test]
    fn draws_are_uniform_and_of_the_run_and_the_step() {
        let draws: Vec<f64> = (0..4000).map(|step| Dropout::new(&[7], step).draws("site")[0]).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.02 && draws.iter().all(|d| (0.0..1.0).contains(d)), "{mean}");
        let together = Dropout::new(&[4, 7], 9).draws("site");
        assert_eq!(together[1], draws[9]);
        assert_ne!(together[1], Dropout::new(&[7], 9).draws("other")[0]);
    }

    #[test]
    fn a_run_draws_the_same_mask_alone_and_in_company() {
        let alone = Dropout::new(&[5], 9).mask("site", &[1, 3, 4, 8], 0.3).unwrap().factors();
        let together = Dropout::new(&[4, 5, 6], 9).mask("site", &[3, 3, 4, 8], 0.3).unwrap().factors();
        assert_eq!(alone, together[96..192]);
    }

    #[test]
    fn wider_padding_leaves_the_masks_of_real_positions() {
        let narrow = Dropout::new(&[5], 9).mask("site", &[1, 2, 3, 4], 0.3).unwrap().factors();
        let wide = Dropout::new(&[5], 9).mask("site", &[1, 2, 7, 4], 0.3).unwrap().factors();
        assert_eq!(narrow[..12], wide[..12]);
        assert_eq!(narrow[12..], wide[28..40]);
    }

    #[test]
    fn a_slice_of_a_batch_draws_the_masks_of_its_rows() {
        for dims in [vec![2, 5, 4, 8], vec![2, 5, 3, 4, 8]] {
            let whole = Dropout::new(&[5, 6], 9).mask("site", &dims, 0.3).unwrap().factors();
            let mut sliced = dims.clone();
            sliced[1] = 2;
            let slice = Dropout::new(&[5, 6], 9).from_row(3).mask("site", &sliced, 0.3).unwrap().factors();
            let row: usize = dims[2..].iter().product();
            assert_eq!(slice[..2 * row], whole[3 * row..5 * row]);
            assert_eq!(slice[2 * row..], whole[8 * row..]);
        }
    }

    #[test]
    fn sites_and_steps_draw_different_masks() {
        let factors =
            |step, site| Dropout::new(&[5], step).mask(site, &[1, 1, 8, 64], 0.5).unwrap().factors();
        assert_eq!(factors(9, "a"), factors(9, "a"));
        assert_ne!(factors(9, "a"), factors(9, "b"));
        assert_ne!(factors(9, "a"), factors(10, "a"));
    }
}
