//! Words that stand for classes in pretraining, beside the classes' own names.

use std::sync::LazyLock;

use peft_model::random::mix;

use super::lexicon::*;
use super::{Rng, TASKS};

/// The most classes that a task has.
const MOST_CLASSES: usize = 3;

/// The words for the first class of any task, for the second and for the third.
static WORDS: LazyLock<[Vec<&'static str>; MOST_CLASSES]> = LazyLock::new(|| {
    let mut words: [Vec<&str>; MOST_CLASSES] = Default::default();
    for word in lexicon().filter(|word| !TASKS.iter().any(|task| task.classes.contains(word))) {
        words[class_of(word)].push(word);
    }
    words
});

/// A word for each of a task's classes, in their order.
///
/// Which class a word stands for is the same in every instruction and for every task, so it is part of
/// what the model knows of the word; which of the many words is the answer, the instruction says. "0",
/// "1" and "2", the tasks' own targets, are none of them: a method has to teach those.
pub(super) fn verbalizers(classes: usize, rng: &mut Rng) -> Vec<&'static str> {
    WORDS[..classes].iter().map(|words| *choose(rng, words)).collect()
}

fn class_of(word: &str) -> usize {
    (word.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte))) % MOST_CLASSES as u64) as usize
}

fn lexicon() -> impl Iterator<Item = &'static str> {
    let nouns = NOUNS.iter().flat_map(|noun| [noun.singular, noun.plural]);
    let verbs = VERBS.iter().flat_map(|verb| [verb.base, verb.third, verb.past]);
    let adjectives = QUALITIES.iter().chain(&COLOURS).map(|adjective| adjective.word);
    let names = NAMES.iter().map(|name| name.word);
    let places = PLACES.iter().map(|place| place.noun);
    let digits = ["3", "4", "5", "6", "7", "8", "9", "10"];
    nouns.chain(verbs).chain(adjectives).chain(names).chain(places).chain(NUMBERS).chain(digits)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_word_stands_for_one_class_and_no_target_is_among_them() {
        let all: Vec<&str> = WORDS.iter().flatten().copied().collect();
        for words in WORDS.iter() {
            assert!(words.len() > 50, "{}", words.len());
        }
        assert!(all.iter().all(|word| !["0", "1", "2"].contains(word)));
        let pairs: HashSet<(&str, usize)> = all.iter().map(|word| (*word, class_of(word))).collect();
        let words: HashSet<&str> = all.into_iter().collect();
        assert_eq!(pairs.len(), words.len());
    }

    #[test]
    fn no_task_has_more_classes_than_there_are_words_for() {
        assert!(TASKS.iter().all(|task| task.classes.len() <= MOST_CLASSES));
    }
}
