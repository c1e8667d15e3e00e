use std::collections::BTreeSet;

/// The methods that share one letter.
type Column = BTreeSet<usize>;

/// Piepho's (2004) compact letter display, by insert-and-absorb and then sweeping: the letters of each of `count`
/// methods. Two methods share a letter exactly if they are not separable, and no letter could be taken away.
///
/// Methods are numbered in the order of falling means, so that the best has an `a`; `separable` is asked for every
/// pair once, the better method first. After `z` the letters go on with `A` to `Z`, then `a1` to `Z1`, `a2` and so on.
pub fn compact_letters(count: usize, mut separable: impl FnMut(usize, usize) -> bool) -> Vec<String> {
    let mut columns = vec![(0..count).collect::<Column>()];
    for better in 0..count {
        for worse in better + 1..count {
            if separable(better, worse) {
                columns = absorb(insert(columns, better, worse));
            }
        }
    }
    columns.sort();
    sweep(&mut columns, count);
    columns.sort();
    let letters_of = |method| {
        let columns = columns.iter().enumerate().filter(move |(_, column)| column.contains(&method));
        columns.map(|(index, _)| letter(index)).collect()
    };
    (0..count).map(letters_of).collect()
}

/// Splits every column that holds both methods into one without the one and one without the other.
fn insert(columns: Vec<Column>, better: usize, worse: usize) -> Vec<Column> {
    let without = |column: &Column, method| column.iter().copied().filter(|other| *other != method).collect();
    let split = |column: Column| {
        if column.contains(&better) && column.contains(&worse) {
            vec![without(&column, worse), without(&column, better)]
        } else {
            vec![column]
        }
    };
    columns.into_iter().flat_map(split).collect()
}

/// Leaves out columns within another one.
fn absorb(mut columns: Vec<Column>) -> Vec<Column> {
    columns.sort_by_key(|column| std::cmp::Reverse(column.len()));
    let mut kept: Vec<Column> = Vec::new();
    for column in columns {
        if !kept.iter().any(|other| column.is_subset(other)) {
            kept.push(column);
        }
    }
    kept
}

/// Takes methods out of columns wherever other columns hold the same pairs, and the method itself.
fn sweep(columns: &mut Vec<Column>, count: usize) {
    let mut shared = vec![vec![0_usize; count]; count];
    for column in columns.iter() {
        for &a in column {
            for &b in column {
                shared[a][b] += 1;
            }
        }
    }
    // One pass is enough: these counts only fall, so that a method kept once is kept for good.
    for column in columns.iter_mut() {
        for method in column.clone() {
            if column.iter().all(|&other| shared[method][other] > 1) {
                for &other in column.iter() {
                    shared[method][other] -= 1;
                    if other != method {
                        shared[other][method] -= 1;
                    }
                }
                column.remove(&method);
            }
        }
    }
    columns.retain(|column| !column.is_empty());
}

fn letter(index: usize) -> String {
    let letters = || ('a'..='z').chain('A'..='Z');
    let (round, position) = (index / 52, index % 52);
    let letter = letters().nth(position).expect("the position is below the number of letters");
    if round == 0 { letter.to_string() } else { format!("{letter}{round}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn split(letters: &str) -> BTreeSet<String> {
        let mut result: Vec<String> = Vec::new();
        for character in letters.chars() {
            match result.last_mut() {
                Some(last) if character.is_ascii_digit() => last.push(character),
                _ => result.push(character.into()),
            }
        }
        let count = result.len();
        let set = BTreeSet::from_iter(result);
        assert_eq!(set.len(), count, "{letters} repeats a letter");
        set
    }

    fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..count).flat_map(|worse| (0..worse).map(move |better| (better, worse)))
    }

    fn displays(sets: &[BTreeSet<String>], relation: &[Vec<bool>]) -> bool {
        let agrees = |(better, worse): (usize, usize)| {
            sets[better].is_disjoint(&sets[worse]) == relation[better][worse]
        };
        sets.iter().all(|set| !set.is_empty()) && pairs(sets.len()).all(agrees)
    }

    fn check(relation: &[Vec<bool>]) {
        let letters = compact_letters(relation.len(), |a, b| relation[a][b]);
        let mut sets: Vec<BTreeSet<String>> = letters.iter().map(|letters| split(letters)).collect();
        assert!(displays(&sets, relation), "{letters:?} for {relation:?}");
        for method in 0..sets.len() {
            for letter in sets[method].clone() {
                sets[method].remove(&letter);
                assert!(!displays(&sets, relation), "{letter} of {method} is redundant in {letters:?}");
                sets[method].insert(letter);
            }
        }
    }

    fn relation(count: usize, mut separable: impl FnMut(usize, usize) -> bool) -> Vec<Vec<bool>> {
        let mut relation = vec![vec![false; count]; count];
        for (better, worse) in pairs(count) {
            relation[better][worse] = separable(better, worse);
        }
        relation
    }

    #[test]
    fn letters_show_the_relation_and_none_is_redundant() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for case in 0..3000 {
            let share = rng.random::<f64>();
            check(&relation(case % 13, |_, _| rng.random::<f64>() < share));
        }
    }

    #[test]
    fn every_relation_of_five_methods_is_shown() {
        for bits in 0..1 << 10 {
            let mut bit = 0;
            let next = |_, _| {
                bit += 1;
                bits >> (bit - 1) & 1 == 1
            };
            check(&relation(5, next));
        }
    }

    #[test]
    fn methods_in_a_row_get_letters_in_order() {
        assert_eq!(compact_letters(0, |_, _| true), [""; 0]);
        assert_eq!(compact_letters(1, |_, _| true), ["a"]);
        assert_eq!(compact_letters(3, |_, _| false), ["a", "a", "a"]);
        assert_eq!(compact_letters(3, |_, _| true), ["a", "b", "c"]);
        assert_eq!(compact_letters(4, |better, worse| worse - better > 1), ["a", "ab", "bc", "c"]);
        assert_eq!(compact_letters(3, |better, worse| (better, worse) == (0, 1)), ["a", "b", "ab"]);
    }

    #[test]
    fn letters_go_on_after_the_alphabet() {
        let letters = compact_letters(120, |_, _| true);
        assert_eq!([&letters[25], &letters[26], &letters[51]], ["z", "A", "Z"]);
        assert_eq!([&letters[52], &letters[103], &letters[104]], ["a1", "Z1", "a2"]);
        check(&relation(60, |better, worse| worse - better > 1));
    }
}
