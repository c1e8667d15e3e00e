//! Few-shot training sets: k rows in all, balanced over classes.

use super::split::permutation;

/// Chooses `shots` rows by their classes, as the reference does: the rows are shuffled by the run's
/// seed; each class gets `shots / classes` of the first ones it has, and the slots that are left over, or that
/// a class is too small for, go to the next rows of any class. Rows without classes are chosen in shuffled order.
pub fn few_shot(classes: &[Option<&str>], shots: usize, seed: u64) -> Vec<u32> {
    let mut names: Vec<Option<&str>> = classes.to_vec();
    names.sort_unstable();
    names.dedup();
    let per_class = shots / names.len().max(1);
    let size = |name: &Option<&str>| classes.iter().filter(|class| *class == name).count();
    let mut left: Vec<usize> = names.iter().map(|name| per_class.min(size(name))).collect();
    let mut spare = shots - left.iter().sum::<usize>();
    let mut chosen = Vec::with_capacity(shots);
    for row in permutation(classes.len(), seed as u32) {
        let class = names.binary_search(&classes[row as usize]).expect("every class is listed");
        match (&mut left[class], &mut spare) {
            (0, 0) => continue,
            (0, spare) => *spare -= 1,
            (left, _) => *left -= 1,
        }
        chosen.push(row);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(chosen: &[u32], classes: &[Option<&str>], class: &str) -> usize {
        chosen.iter().filter(|&&row| classes[row as usize] == Some(class)).count()
    }

    #[test]
    fn classes_are_balanced_and_the_last_slot_is_anyones() {
        let names = ["0", "1", "2"];
        // Class 2 is rare, and late.
        let classes: Vec<Option<&str>> =
            (0..300).map(|i| Some(if i > 270 { names[2] } else { names[i % 2] })).collect();
        for (shots, seed) in [(4, 1), (16, 2), (32, 3), (3, 4)] {
            let chosen = few_shot(&classes, shots, seed);
            assert_eq!(chosen.len(), shots);
            for name in names {
                assert!(count(&chosen, &classes, name) >= shots / 3);
            }
            assert_eq!(chosen, few_shot(&classes, shots, seed));
            assert_ne!(chosen, few_shot(&classes, shots, seed + 100));
        }
    }

    #[test]
    fn rows_without_classes_and_small_sets() {
        assert_eq!(few_shot(&[None; 50], 16, 7), permutation(50, 7)[..16]);
        assert_eq!(few_shot(&[Some("a"), Some("b")], 16, 7).len(), 2);
    }

    #[test]
    fn a_class_that_is_too_small_leaves_its_slots_to_others() {
        let classes: Vec<Option<&str>> =
            (0..160).map(|i| Some(if i < 7 { "rare" } else { "usual" })).collect();
        let chosen = few_shot(&classes, 32, 3);
        assert_eq!((chosen.len(), count(&chosen, &classes, "rare")), (32, 7));
    }
}
