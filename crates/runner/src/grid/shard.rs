//! A share of a suite's cells, so that processes that know nothing of each other compute all of them once.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One of so many shares, counted from 1: `2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

/// Cells that one process computes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Ids of the cells; at least one.
    pub cells: Vec<String>,
    /// What computing them takes.
    pub work: u64,
}

impl Unit {
    /// Each cell with its share of the work.
    pub(super) fn work_of_cells(self) -> impl Iterator<Item = (String, u64)> {
        let share = self.work / self.cells.len() as u64;
        self.cells.into_iter().map(move |cell| (cell, share))
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("it must be i/n, with i from 1 to n, such as 1/3, 2/3 and 3/3".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// The cells of this share.
    pub(super) fn cells(self, units: &[Unit]) -> BTreeSet<String> {
        let places = balanced(units, self.of);
        let own = units.iter().zip(places).filter(|(_, place)| *place + 1 == self.number);
        own.flat_map(|(unit, _)| unit.cells.iter().cloned()).collect()
    }
}

/// Divides units among so many places, the largest first, each to the place with the least work so far; the same on
/// every machine.
pub(super) fn balanced(units: &[Unit], places: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&unit| (std::cmp::Reverse(units[unit].work), &units[unit].cells));
    // More places than units stay empty.
    let mut work = vec![0u64; places.min(units.len())];
    let mut chosen = vec![0; units.len()];
    for unit in order {
        let least = (0..work.len()).min_by_key(|&place| work[place]).unwrap_or(0);
        work[least] = work[least].saturating_add(units[unit].work);
        chosen[unit] = least;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn units(work: impl IntoIterator<Item = u64>) -> Vec<Unit> {
        let unit = |(i, work)| Unit { cells: vec![format!("{i:016x}")], work };
        work.into_iter().enumerate().map(unit).collect()
    }

    #[test]
    fn shards_are_disjoint_and_together_everything() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let units = units((0..rng.random_range(0..40)).map(|_| rng.random_range(1..1000)));
            let of = rng.random_range(1..12);
            let shares = (1..=of).map(|number| Shard { number, of }.cells(&units));
            let mut all: Vec<String> = shares.flatten().collect();
            all.sort();
            assert!(all.iter().eq(units.iter().flat_map(|unit| &unit.cells)), "{of} of {units:?}");
        }
    }

    #[test]
    fn work_is_balanced_to_within_its_largest_unit() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..100 {
            let units = units((0..60).map(|_| rng.random_range(1..1000)));
            let mut work = [0; 7];
            for (unit, place) in units.iter().zip(balanced(&units, 7)) {
                work[place] += unit.work;
            }
            let spread = work.iter().max().unwrap() - work.iter().min().unwrap();
            assert!(spread <= units.iter().map(|unit| unit.work).max().unwrap(), "{work:?}");
        }
    }

    #[test]
    fn the_order_in_which_a_suite_names_its_cells_changes_nothing() {
        let some = units([5, 5, 5, 7, 7, 1]);
        let turned: Vec<Unit> = some.iter().rev().cloned().collect();
        let shard = Shard { number: 2, of: 3 };
        assert_eq!(shard.cells(&some), shard.cells(&turned));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["0/3", "4/3", "a/b", "1/0", "1", "/", "-1/3", "1/3/5", "", "1.0/3"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("i/n"), "{text}");
        }
        let shard: Shard = "3/3".parse().unwrap();
        assert_eq!(shard.to_string(), "3/3");
    }
}
