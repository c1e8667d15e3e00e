//! Token ids of several runs side by side.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// `(source, target)` ids of the rows of one run.
type Pairs<'a> = Vec<(&'a [u32], &'a [u32])>;

/// How rows are brought to one width.
#[derive(Debug, Clone, Copy)]
pub struct Padding {
    /// The id of padding.
    pub id: u32,
    /// To which width sources are padded.
    pub source: Widths,
    /// To which width targets are padded.
    pub target: Widths,
}

/// The width of rows side by side: at least that of the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    /// That of the widest.
    Exact,
    /// One of few, so that a GPU sees the same shapes again and keeps what it compiled and tuned for them; never more
    /// than this, unless the widest is.
    Rounded(usize),
}

impl From<u32> for Padding {
    /// Exact widths, with this id.
    fn from(id: u32) -> Self {
        Self { id, source: Widths::Exact, target: Widths::Exact }
    }
}

impl Widths {
    /// The width for rows of which the widest is so wide. Above 64, four widths lie between a power of two and the next.
    fn of(self, widest: usize) -> usize {
        match self {
            Self::Exact => widest,
            Self::Rounded(most) => {
                let step = (widest.next_power_of_two() / 8).max(8);
                widest.next_multiple_of(step).min(most).max(widest)
            }
        }
    }
}

/// Token ids padded to one width.
#[derive(Debug, Clone)]
pub struct Rows {
    /// `[runs, batch, length]`.
    pub ids: Tensor<3, Int>,
    /// 1 for real tokens, 0 for padding: `[runs, batch, length]`.
    pub mask: Tensor<3>,
    /// Which task each row is of, for methods that tell tasks apart: `[runs, batch]`.
    pub tasks: Option<Tensor<2, Int>>,
}

impl Rows {
    /// Pads `[runs][batch]` sources to one width.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows.
    pub fn new(sources: &[Vec<&[u32]>], padding: impl Into<Padding>, device: &Device) -> Self {
        let padding = padding.into();
        let (mut rows, []) = upload(&[Padded::new(sources, padding.id, padding.source)], [], device);
        rows.remove(0)
    }

    /// The same rows with the task of each, `[runs][batch]`.
    ///
    /// # Panics
    /// When there are more or fewer tasks than rows.
    pub fn of_tasks(self, tasks: &[Vec<u32>]) -> Self {
        let [runs, batch, _] = self.ids.dims();
        let tasks: Vec<i64> = tasks.iter().flatten().map(|&task| i64::from(task)).collect();
        let tasks = Tensor::from_data(TensorData::new(tasks, [runs, batch]), &self.ids.device());
        Self { tasks: Some(tasks), ..self }
    }
}

/// Sends lists of rows, and lists of numbers, to the device in one transfer.
fn upload<const N: usize>(
    lists: &[Padded],
    numbers: [&[i64]; N],
    device: &Device,
) -> (Vec<Rows>, [Tensor<1, Int>; N]) {
    let rows = lists.iter().flat_map(|list| list.ids.iter().chain(&list.lengths));
    let all: Vec<i64> = rows.chain(numbers.iter().copied().flatten()).copied().collect();
    let count = all.len();
    let all = Tensor::<1, Int>::from_data(TensorData::new(all, [count]), device);
    let mut start = 0;
    let mut next = |count: usize| {
        let next = all.clone().narrow(0, start, count);
        start += count;
        next
    };
    let to_rows = |list: &Padded| {
        let [runs, batch, width] = list.shape;
        let (ids, lengths) = (next(list.ids.len()), next(list.lengths.len()));
        let positions = Tensor::<1, Int>::arange(0..width as i64, device).reshape([1, 1, width]);
        let mask = positions
            .expand([runs, batch, width])
            .lower(lengths.reshape([runs, batch, 1]).expand([runs, batch, width]));
        Rows { ids: ids.reshape([runs, batch, width]), mask: mask.float(), tasks: None }
    };
    let rows = lists.iter().map(to_rows).collect();
    (rows, numbers.map(|numbers| next(numbers.len())))
}

/// Rows of one width on the host.
struct Padded {
    /// `[runs, batch, width]`.
    shape: [usize; 3],
    ids: Vec<i64>,
    /// Tokens of each row.
    lengths: Vec<i64>,
}

impl Padded {
    fn new(rows: &[Vec<&[u32]>], pad: u32, widths: Widths) -> Self {
        let batch = rows.first().map_or(0, Vec::len);
        let width = widths.of(rows.iter().flatten().map(|row| row.len()).max().unwrap_or(0));
        let mut ids = Vec::with_capacity(rows.len() * batch * width);
        for run in rows {
            assert_eq!(run.len(), batch, "runs side by side need batches of one size");
            for row in run {
                ids.extend(row.iter().map(|&id| i64::from(id)));
                ids.resize(ids.len() + width - row.len(), i64::from(pad));
            }
        }
        let lengths = rows.iter().flatten().map(|row| row.len() as i64).collect();
        Self { shape: [rows.len(), batch, width], ids, lengths }
    }
}

/// Sources and targets of one step, or a slice of them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the model reads.
    pub source: Rows,
    /// What it is to answer, EOS tokens included.
    pub target: Rows,
    /// Where it is a slice of a larger batch.
    pub slice: Option<Slice>,
}

/// The place of some rows in the batch that they are a slice of.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The first row of each run.
    pub first_row: usize,
    /// Target tokens of each run in the whole batch, `[runs]`: what a sum over the slice is divided by.
    pub tokens: Tensor<1>,
}

impl Batch {
    /// Pads the `(source, target)` ids of each run to one width.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows.
    pub fn new(rows: &[Pairs], padding: impl Into<Padding>, device: &Device) -> Self {
        let (mut lists, []) = upload(&padded(rows, padding.into()), [], device);
        let (target, source) = (lists.remove(1), lists.remove(0));
        Self { source, target, slice: None }
    }

    /// The same rows in slices of at most `most` rows of each run, whose losses add up to that of the whole.
    ///
    /// # Panics
    /// When the runs have unequal numbers of rows, or `most` is 0.
    pub fn slices(rows: &[Pairs], most: usize, padding: impl Into<Padding>, device: &Device) -> Vec<Self> {
        let padding = padding.into();
        let count = rows.first().map_or(0, Vec::len);
        if count <= most {
            return vec![Self::new(rows, padding, device)];
        }
        let tokens: Vec<i64> =
            rows.iter().map(|run| run.iter().map(|pair| pair.1.len() as i64).sum()).collect();
        let firsts: Vec<usize> = (0..count).step_by(most).collect();
        let cut = |&first: &usize| {
            let cut: Vec<Pairs> =
                rows.iter().map(|run| run[first..run.len().min(first + most)].to_vec()).collect();
            padded(&cut, padding)
        };
        let lists: Vec<Padded> = firsts.iter().flat_map(cut).collect();
        let (lists, [tokens]) = upload(&lists, [&tokens], device);
        let mut lists = lists.into_iter();
        let mut next = |first_row| {
            let (source, target) = (lists.next()?, lists.next()?);
            Some(Self { source, target, slice: Some(Slice { first_row, tokens: tokens.clone().float() }) })
        };
        firsts.into_iter().map_while(&mut next).collect()
    }

    /// Says which task each row of the whole batch is of, `[runs][batch]`; a slice takes those of its own rows.
    ///
    /// # Panics
    /// When there are fewer tasks than rows.
    pub fn tell_tasks(&mut self, tasks: &[Vec<u32>]) {
        let first = self.slice.as_ref().map_or(0, |slice| slice.first_row);
        let [_, count, _] = self.source.ids.dims();
        let own: Vec<Vec<u32>> = tasks.iter().map(|run| run[first..first + count].to_vec()).collect();
        self.source = self.source.clone().of_tasks(&own);
    }
}

/// Sources and targets, each at one width.
fn padded(rows: &[Pairs], padding: Padding) -> [Padded; 2] {
    let sources: Vec<Vec<&[u32]>> = rows.iter().map(|run| run.iter().map(|pair| pair.0).collect()).collect();
    let targets: Vec<Vec<&[u32]>> = rows.iter().map(|run| run.iter().map(|pair| pair.1).collect()).collect();
    [Padded::new(&sources, padding.id, padding.source), Padded::new(&targets, padding.id, padding.target)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_widths_are_few_and_within_their_limit() {
        let rounded = |most| move |widest| Widths::Rounded(most).of(widest);
        let (all, limited) = (rounded(usize::MAX), rounded(250));
        assert_eq!(
            [0, 1, 8, 9, 64, 65, 128, 129, 250, 257].map(all),
            [0, 8, 8, 16, 64, 80, 128, 160, 256, 320]
        );
        assert_eq!([3, 225, 250, 251].map(limited), [8, 250, 250, 251]);
        let widths: std::collections::BTreeSet<usize> = (1..=512).map(all).collect();
        assert_eq!(widths.len(), 20);
        assert!((65..5000).all(|widest| all(widest) < widest + widest / 4));
    }

    #[test]
    fn rows_are_padded_to_the_widest_and_masked() {
        let rows: [(&[u32], &[u32]); 2] = [(&[5, 6, 7], &[1]), (&[8], &[9, 1])];
        let other: [(&[u32], &[u32]); 2] = [(&[2, 3], &[4, 1]), (&[], &[1])];
        let batch = Batch::new(&[rows.to_vec(), other.to_vec()], 0, &Device::flex());
        let ids = |rows: &Rows| rows.ids.clone().try_into_vec_as::<i64>().unwrap();
        let mask = |rows: &Rows| rows.mask.clone().try_into_vec_as::<f32>().unwrap();
        assert_eq!(batch.source.ids.dims(), [2, 2, 3]);
        assert_eq!(ids(&batch.source), [5, 6, 7, 8, 0, 0, 2, 3, 0, 0, 0, 0]);
        assert_eq!(mask(&batch.source), [1., 1., 1., 1., 0., 0., 1., 1., 0., 0., 0., 0.]);
        assert_eq!(ids(&batch.target), [1, 0, 9, 1, 4, 1, 1, 0]);
        assert_eq!(mask(&batch.target), [1., 0., 1., 1., 1., 1., 1., 0.]);

        let slices = Batch::slices(&[rows.to_vec(), other.to_vec()], 1, 0, &Device::flex());
        assert_eq!(
            slices.iter().map(|s| ids(&s.source)).collect::<Vec<_>>(),
            [vec![5, 6, 7, 2, 3, 0], vec![8, 0]]
        );
        assert_eq!(
            slices.iter().map(|s| ids(&s.target)).collect::<Vec<_>>(),
            [vec![1, 0, 4, 1], vec![9, 1, 1, 0]]
        );
        for (i, slice) in slices.into_iter().map(|batch| batch.slice.unwrap()).enumerate() {
            assert_eq!(slice.first_row, i);
            assert_eq!(slice.tokens.try_into_vec_as::<f32>().unwrap(), [3., 3.]);
        }
        let whole = Batch::slices(&[rows.to_vec(), other.to_vec()], 2, 0, &Device::flex());
        assert!(matches!(&whole[..], [Batch { slice: None, .. }]));
    }
}
