//! Matrix products on strided slices.
//!
//! An element of a product is the same sequence of additions whatever the other rows and columns are, and rows of
//! zeros at the end of what is summed change nothing: so a run's numbers do not depend on the runs beside it.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// A matrix inside a slice: element `(i, j)` is at `offset + i * rows + j * columns`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> View<'a> {
    /// A matrix of this shape whose rows are `row_stride` elements apart.
    ///
    /// # Panics
    /// When the matrix reaches beyond the slice.
    pub(super) fn new(data: &'a [f32], shape: [usize; 2], row_stride: usize) -> Self {
        let view = Self { data, shape, strides: [row_stride, 1] };
        assert!(view.extent() <= data.len());
        view
    }

    /// The transposed matrix.
    pub(super) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self { shape: [columns, rows], strides: [right, down], ..self }
    }

    fn extent(&self) -> usize {
        extent(self.shape, self.strides)
    }
}

fn extent([rows, columns]: [usize; 2], [down, right]: [usize; 2]) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * down + (columns - 1) * right + 1 }
}

/// Products below this many multiplications stay on one thread.
const PARALLEL: usize = 1 << 21;

/// Terms that are summed before the sum is added to those before: gemm cuts longer sums where the shape says.
const DEPTH: usize = 512;

/// `out = lhs x rhs`, into rows that are `row_stride` apart.
///
/// # Panics
/// When the shapes do not fit, or the product reaches beyond `out`.
pub(super) fn multiply(out: &mut [f32], row_stride: usize, lhs: View, rhs: View, parallel: bool) {
    // SAFETY: f32 and MaybeUninit<f32> have one layout, and the product writes f32 only.
    let out = unsafe { &mut *(out as *mut [f32] as *mut [MaybeUninit<f32>]) };
    run(out, row_stride, lhs, rhs, parallel);
}

/// So many products `lhs x rhs`, each `[rows, columns]`, one after the other in a new vector.
///
/// # Panics
/// When the shapes do not fit.
pub(super) fn products<'a>(
    count: usize,
    [rows, columns]: [usize; 2],
    factors: impl Fn(usize) -> [View<'a>; 2] + Sync,
) -> Vec<f32> {
    let size = rows * columns;
    let mut out = Vec::with_capacity(count * size);
    out.spare_capacity_mut()[..count * size].par_chunks_mut(size.max(1)).enumerate().for_each(|(n, out)| {
        let [lhs, rhs] = factors(n);
        assert_eq!([lhs.shape[0], rhs.shape[1]], [rows, columns], "sizes of a product");
        run(out, columns, lhs, rhs, true);
    });
    // SAFETY: the products have written every element.
    unsafe { out.set_len(count * size) };
    out
}

fn run(out: &mut [MaybeUninit<f32>], row_stride: usize, lhs: View, rhs: View, parallel: bool) {
    let [m, k] = lhs.shape;
    let [inner, n] = rhs.shape;
    assert_eq!(k, inner, "inner sizes of a product");
    assert!(extent([m, n], [row_stride, 1]) <= out.len());
    let parallelism =
        if parallel && m * n * k >= PARALLEL { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    for first in (0..k.max(1)).step_by(DEPTH) {
        // SAFETY: both views lie inside their slices, the output was checked above, and where `read_dst` is false
        // the output is written without being read.
        unsafe {
            // The kernels prefer columns together: this is the transposed product.
            gemm(
                n,
                m,
                DEPTH.min(k - first),
                out.as_mut_ptr().cast::<f32>(),
                row_stride as isize,
                1,
                first > 0,
                rhs.data.as_ptr().add(first * rhs.strides[0]),
                rhs.strides[0] as isize,
                rhs.strides[1] as isize,
                lhs.data.as_ptr().add(first * lhs.strides[1]),
                lhs.strides[0] as isize,
                lhs.strides[1] as isize,
                1.0,
                1.0,
                // Real numbers have no conjugates, but being asked for them keeps gemm from the shortcuts that it
                // takes for small shapes, which sum in another order.
                true,
                false,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(lhs: View, rhs: View) -> Vec<f32> {
        products(1, [lhs.shape[0], rhs.shape[1]], |_| [lhs, rhs])
    }

    #[test]
    fn strided_products_are_right() {
        // A is 2x3 inside rows of 4, B is 3x2 given as its transpose.
        let a = [1., 2., 3., 99., 4., 5., 6., 99.];
        let b = [1., 0., 2., 0., 1., 1.];
        let a = View::new(&a, [2, 3], 4);
        let b = View::new(&b, [2, 3], 3).transposed();
        assert_eq!(product(a, b), [7., 5., 16., 11.]);
        let mut out = [0.; 6];
        multiply(&mut out, 4, a, b, false);
        assert_eq!(out, [7., 5., 0., 0., 16., 11.]);
    }

    #[test]
    fn a_product_of_nothing_is_zero() {
        assert_eq!(product(View::new(&[], [2, 0], 0), View::new(&[], [0, 3], 3)), [0.0; 6]);
    }

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        (0..count as u64).map(|i| (crate::random::mix(seed << 32 | i) >> 40) as f32 / 1e7 - 0.8).collect()
    }

    #[test]
    fn an_element_does_not_depend_on_the_other_rows_and_columns() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 2), (16, 16, 64), (20, 300, 33), (130, 70, 700), (300, 129, 1300)]
        {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let whole = product(View::new(&a, [m, k], k), View::new(&b, [k, n], n));
            for (rows, columns) in [(1, n), (m, 1), (1, 1), (m.div_ceil(2), n.div_ceil(3))] {
                let part = product(View::new(&a, [rows, k], k), View::new(&b, [k, columns], n));
                for row in 0..rows {
                    assert_eq!(part[row * columns..][..columns], whole[row * n..][..columns], "{m} {n} {k}");
                }
                // The same numbers, stored column after column.
                let across: Vec<f32> = (0..k * rows).map(|i| a[i % rows * k + i / rows]).collect();
                let across = View::new(&across, [k, rows], rows).transposed();
                assert_eq!(product(across, View::new(&b, [k, columns], n)), part, "{m} {n} {k}");
            }
        }
    }

    #[test]
    fn terms_of_zero_at_the_end_change_nothing() {
        let (m, n) = (7, 40);
        for (k, more) in [(1, 1), (3, 10), (500, 40), (1024, 1), (1030, 600)] {
            let (mut a, mut b) = (noise(k * m, 3), noise(k * n, 4));
            let short = product(View::new(&a, [k, m], m).transposed(), View::new(&b, [k, n], n));
            a.resize((k + more) * m, 0.0);
            b.extend(noise(more * n, 5));
            let long = product(View::new(&a, [k + more, m], m).transposed(), View::new(&b, [k + more, n], n));
            assert_eq!(short, long, "{k} {more}");
        }
    }
}
