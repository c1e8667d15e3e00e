//! What classes are called: in a task's own rows, and in pretraining beside the classes' own names.

use crate::lexicon::choose;
use crate::{PocketTask, Rng};

/// Names of the first class, the second and the third of any task.
pub const DIGITS: &[&str] = &["0", "1", "2"];
pub const LETTERS: &[&str] = &["a", "b", "c"];

static SETS: [&[&str]; 4] = [DIGITS, LETTERS, &["no", "yes"], &["bad", "good"]];

/// Words for a task's classes, in their order, that are not those of the task's own rows: how its classes
/// are called there is held out, though other tasks call theirs so.
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
