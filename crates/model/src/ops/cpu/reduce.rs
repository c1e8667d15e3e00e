//! Sums whose order depends on nothing but the position in what is summed: not on the runs beside, not on threads,
//! and not on zeros at the end.

use rayon::prelude::*;

use super::simd::{sum, vectorize};

/// Columns that one task sums.
const COLUMNS: usize = 1 << 10;

/// Sum of each row of `[rows, columns]`.
pub(super) fn sum_rows(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let row = |n: usize| &data[n * columns..][..columns];
    vectorize(|| (0..rows).map(|n| sum(columns, |i| row(n)[i])).collect())
}

/// Sums the blocks of each run: `[runs, blocks, size]` to `[runs, size]`.
pub(super) fn sum_blocks(data: &[f32], runs: usize, size: usize) -> Vec<f32> {
    let mut out = vec![0.0; runs * size];
    if out.is_empty() {
        return out;
    }
    let per_run = data.len() / runs;
    out.par_chunks_mut(size).enumerate().for_each(|(run, out)| {
        out.par_chunks_mut(COLUMNS).enumerate().for_each(|(part, out)| {
            vectorize(|| {
                for block in data[run * per_run..][..per_run].chunks(size) {
                    let block = &block[part * COLUMNS..][..out.len()];
                    for (out, x) in out.iter_mut().zip(block) {
                        *out += x;
                    }
                }
            })
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_their_run() {
        let (runs, blocks, size) = (3, 5, 1500);
        let data: Vec<f32> = (0..runs * blocks * size).map(|i| (i % 71) as f32).collect();
        let sums = sum_blocks(&data, runs, size);
        for run in 0..runs {
            for column in 0..size {
                let expected: f32 = (0..blocks).map(|b| data[(run * blocks + b) * size + column]).sum();
                assert_eq!(sums[run * size + column], expected);
            }
        }
        assert_eq!(sum_rows(&data[..6], 2, 3), [3.0, 12.0]);
    }

    #[test]
    fn zeros_at_the_end_of_a_row_change_no_sum() {
        let row: Vec<f32> = (0..100).map(|i| 1.0 / (i as f32 + 0.7)).collect();
        for length in 1..100 {
            let mut padded = row[..length].to_vec();
            padded.resize(160, 0.0);
            assert_eq!(sum_rows(&row[..length], 1, length), sum_rows(&padded, 1, 160));
        }
    }
}
