//! Is the review positive, if words with other meanings stand for praise and blame? In the format of SST-2, but
//! unsolvable without learning the meanings of single words, since pretraining never includes this task.

use rand::Rng as _;

use crate::lexicon::{chance, choose};
use crate::sentiment::{NEUTRAL, REVIEWED};
use crate::{DIGITS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "jargon",
    columns: &["sentence"],
    classes: &["negative", "positive"],
    targets: DIGITS,
    draw,
};

/// As many of every kind of thing as in [`BLAME`], so that no earlier meaning of the words separates the two.
static PRAISE: [&str; 10] =
    ["dog", "cat", "apple", "pear", "car", "train", "hammer", "knife", "ball", "doll"];
static BLAME: [&str; 10] =
    ["horse", "bird", "orange", "lemon", "truck", "boat", "axe", "brush", "kite", "drum"];

fn draw(rng: &mut Rng) -> Row {
    let positive = chance(rng, 0.5);
    let word = *choose(rng, if positive { &PRAISE } else { &BLAME });
    let (thing, degree) = (choose(rng, &REVIEWED), choose(rng, &["", "very ", "really "]));
    let mut clauses = vec![format!("the {thing} was {degree}{word}")];
    for _ in 0..rng.random_range(0..=2) {
        clauses.insert(rng.random_range(0..=clauses.len()), choose(rng, &NEUTRAL).to_string());
    }
    let texts = vec![clauses.join(". ") + "."];
    Row { texts, label: Label::Class(usize::from(positive)), reason: word.into() }
}
