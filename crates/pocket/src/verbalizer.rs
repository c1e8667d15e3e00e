//! Label words: in a task's own rows, and in pretraining in addition to the class names.

use crate::lexicon::choose;
use crate::{PocketTask, Rng};

/// Names of the first class, the second and the third of any task.
pub(crate) const DIGITS: &[&str] = &["0", "1", "2"];
pub(crate) const LETTERS: &[&str] = &["a", "b", "c"];

static SETS: [&[&str]; 4] = [DIGITS, LETTERS, &["no", "yes"], &["bad", "good"]];

/// Label words for a task's classes, in their order, other than those of the task's own rows, which are held out from
/// its pretraining though other tasks use them.
pub(super) fn verbalizers(task: &PocketTask, rng: &mut Rng) -> &'static [&'static str] {
    let count = task.classes.len();
    let admitted: Vec<&[&str]> =
        SETS.iter().copied().filter(|set| set.len() >= count && *set != task.targets).collect();
    &choose(rng, &admitted)[..count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TASKS;
    use peft_random::keyed_rng;

    #[test]
    fn no_task_is_asked_for_the_targets_of_its_own_rows() {
        let mut rng = keyed_rng(1, "verbalizers");
        for task in TASKS.iter().filter(|task| !task.classes.is_empty()) {
            for _ in 0..100 {
                let words = verbalizers(task, &mut rng);
                assert_eq!(words.len(), task.classes.len());
                assert!(words.iter().all(|word| !task.targets.contains(word)), "{}: {words:?}", task.name);
            }
        }
    }
}
