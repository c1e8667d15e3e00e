//! Few-shot training sets: k rows in all, divided among the classes.

use serde::{Deserialize, Serialize};

use super::numpy::permutation;

/// How k rows are chosen. Both rules shuffle the rows by the run's seed and allot each class a quota of
/// k / classes, rounded down; rows without classes are taken in shuffled order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShotsRule {
    /// As in the code of DePT and ADePT: one pass over the rows takes a row if its class is below its quota, and
    /// also, whatever its class, if exactly one row is missing. So two classes get 7 and 9 or 8 and 8 rows at
    /// k = 16, and three classes get 30 rows in all at k = 32.
    #[default]
    Reference,
    /// Every class gets its quota, as far as it has rows; the remainder up to k comes from any class.
    Balanced,
}

impl ShotsRule {
    /// Chooses at most `shots` rows by their classes.
    pub fn choose(self, classes: &[Option<&str>], shots: usize, seed: u64) -> Vec<u32> {
        let mut names: Vec<Option<&str>> = classes.to_vec();
        names.sort_unstable();
        names.dedup();
        let quota = shots / names.len().max(1);
        let shuffled = permutation(classes.len(), seed).into_iter().map(|row| {
            (row, names.binary_search(&classes[row as usize]).expect("every class is among the names"))
        });
        match self {
            Self::Reference => reference(shuffled, names.len(), quota, shots),
            Self::Balanced => {
                let size = |name: &Option<&str>| classes.iter().filter(|class| *class == name).count();
                balanced(shuffled, names.iter().map(|name| quota.min(size(name))).collect(), shots)
            }
        }
    }
}

/// Rows come with the number of their class.
fn reference(
    rows: impl Iterator<Item = (u32, usize)>,
    classes: usize,
    quota: usize,
    shots: usize,
) -> Vec<u32> {
    let mut taken = vec![0; classes];
    let mut chosen = Vec::with_capacity(shots);
    for (row, class) in rows {
        if chosen.len() == shots {
            break;
        }
        if taken[class] < quota || chosen.len() + 1 == shots {
            taken[class] += 1;
            chosen.push(row);
        }
    }
    chosen
}

/// `quotas` are what each class may still get.
fn balanced(rows: impl Iterator<Item = (u32, usize)>, mut quotas: Vec<usize>, shots: usize) -> Vec<u32> {
    let mut spare = shots - quotas.iter().sum::<usize>();
    let mut chosen = Vec::with_capacity(shots);
    for (row, class) in rows {
        match (&mut quotas[class], &mut spare) {
            (0, 0) => continue,
            (0, spare) => *spare -= 1,
            (quota, _) => *quota -= 1,
        }
        chosen.push(row);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ShotsRule::{Balanced, Reference};
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        size: usize,
        classes: usize,
        rare: usize,
        shots: usize,
        seed: u64,
        rows: Vec<u32>,
    }

    fn count(chosen: &[u32], classes: &[Option<&str>], class: &str) -> usize {
        chosen.iter().filter(|&&row| classes[row as usize] == Some(class)).count()
    }

    #[test]
    fn the_references_rule_chooses_the_rows_that_its_code_chooses() {
        let file = include_str!("../../tests/fixtures/few_shot/choices.json");
        let cases: Vec<Case> = serde_json::from_str(file).unwrap();
        assert!(cases.len() > 50);
        for case in cases {
            let Case { size, classes, rare, shots, seed, rows } = case;
            let class = |row| match row % classes {
                of_row if of_row + 1 == classes && row % rare > 0 => 0,
                of_row => of_row,
            };
            let labels: Vec<Option<&str>> = (0..size).map(|row| Some(["A", "B", "C"][class(row)])).collect();
            assert_eq!(Reference.choose(&labels, shots, seed), rows, "{shots} of {size}, seed {seed}");
        }
    }

    #[test]
    fn the_references_rule_leaves_two_classes_uneven_in_about_half_of_the_shuffles() {
        let classes: Vec<Option<&str>> = (0..400).map(|i| Some(["0", "1"][i % 2])).collect();
        let uneven = |rule: ShotsRule| {
            let seeds = 0..200;
            seeds.filter(|&seed| count(&rule.choose(&classes, 16, seed), &classes, "0") != 8).count()
        };
        assert!((70..130).contains(&uneven(Reference)), "{}", uneven(Reference));
        assert_eq!(uneven(Balanced), 0);
    }

    #[test]
    fn a_balanced_choice_has_k_rows_and_the_remainder_comes_from_any_class() {
        let names = ["0", "1", "2"];
        // Class 2 is rare, and late.
        let classes: Vec<Option<&str>> =
            (0..300).map(|i| Some(if i > 270 { names[2] } else { names[i % 2] })).collect();
        for (shots, seed) in [(4, 1), (16, 2), (32, 3), (3, 4)] {
            let chosen = Balanced.choose(&classes, shots, seed);
            assert_eq!(chosen.len(), shots);
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), shots, "no row twice");
            for name in names {
                assert!(count(&chosen, &classes, name) >= shots / 3);
            }
        }
    }

    #[test]
    fn seeds_that_differ_by_two_to_the_32_choose_different_rows() {
        for rule in [Reference, Balanced] {
            let choose = |seed| rule.choose(&[Some("0"); 300], 16, seed);
            assert_eq!(choose(42), choose(42));
            assert_ne!(choose(42), choose(42 + (1 << 32)));
        }
    }

    #[test]
    fn rows_without_classes_are_taken_in_shuffled_order_and_small_sets_whole() {
        for rule in [Reference, Balanced] {
            assert_eq!(rule.choose(&[None; 50], 16, 7), permutation(50, 7)[..16]);
            assert_eq!(rule.choose(&[Some("a"), Some("b")], 16, 7).len(), 2);
            assert!(rule.choose(&[], 16, 7).is_empty());
        }
    }

    #[test]
    fn only_a_balanced_choice_fills_the_slots_of_a_class_that_is_too_small() {
        let classes: Vec<Option<&str>> =
            (0..160).map(|i| Some(if i < 7 { "rare" } else { "usual" })).collect();
        for (rule, rows) in [(Balanced, 32), (Reference, 7 + 16)] {
            let chosen = rule.choose(&classes, 32, 3);
            assert_eq!((chosen.len(), count(&chosen, &classes, "rare")), (rows, 7));
        }
    }
}
