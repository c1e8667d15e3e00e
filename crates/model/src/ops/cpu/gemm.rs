//! Matrix products on strided slices.

use std::mem::MaybeUninit;

/// A matrix inside a slice: element `(i, j)` is at `offset + i * rows + j * columns`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> View<'a> {
    /// A matrix of this shape whose rows are `row_stride` elements apart.
    ///
    /// # Panics
    /// When the matrix reaches beyond the slice.
    pub fn new(data: &'a [f32], shape: [usize; 2], row_stride: usize) -> Self {
        let view = Self { data, shape, strides: [row_stride, 1] };
        assert!(view.extent() <= data.len());
        view
    }

    /// The transposed matrix.
    pub fn transposed(self) -> Self {
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

/// `out = lhs x rhs`, into rows that are `row_stride` apart.
///
/// # Panics
/// When the shapes do not fit, or the product reaches beyond `out`.
pub fn multiply(out: &mut [f32], row_stride: usize, lhs: View, rhs: View, parallel: bool) {
    // SAFETY: f32 and MaybeUninit<f32> have one layout, and the product writes f32 only.
    let out = unsafe { &mut *(out as *mut [f32] as *mut [MaybeUninit<f32>]) };
    run(out, row_stride, lhs, rhs, parallel);
}

/// `lhs x rhs` in a new vector, row after row.
///
/// # Panics
/// When the shapes do not fit.
pub fn product(lhs: View, rhs: View) -> Vec<f32> {
    let (rows, columns) = (lhs.shape[0], rhs.shape[1]);
    let mut out = Vec::with_capacity(rows * columns);
    run(&mut out.spare_capacity_mut()[..rows * columns], columns, lhs, rhs, true);
    // SAFETY: the product has written every element.
    unsafe { out.set_len(rows * columns) };
    out
}

fn run(out: &mut [MaybeUninit<f32>], row_stride: usize, lhs: View, rhs: View, parallel: bool) {
    let [m, k] = lhs.shape;
    let [inner, n] = rhs.shape;
    assert_eq!(k, inner, "inner sizes of a product");
    assert!(extent([m, n], [row_stride, 1]) <= out.len());
    let parallelism =
        if parallel && m * n * k >= PARALLEL { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    // SAFETY: both views lie inside their slices, the output was checked above, and with
    // `read_dst = false` the output is written without being read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().cast::<f32>(),
            1,
            row_stride as isize,
            false,
            lhs.data.as_ptr(),
            lhs.strides[1] as isize,
            lhs.strides[0] as isize,
            rhs.data.as_ptr(),
            rhs.strides[1] as isize,
            rhs.strides[0] as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
