//! Is the review positive? In the format of SST-2 and Yelp.

use rand::Rng as _;

use crate::lexicon::{chance, choose};
use crate::{DIGITS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "sentiment",
    columns: &["sentence"],
    classes: &["negative", "positive"],
    targets: DIGITS,
    draw,
};

pub(crate) static PRAISE: [&str; 10] = [
    "good",
    "great",
    "wonderful",
    "lovely",
    "excellent",
    "charming",
    "superb",
    "pleasant",
    "clever",
    "delightful",
];
pub(crate) static BLAME: [&str; 10] =
    ["bad", "awful", "terrible", "boring", "horrible", "dull", "poor", "ugly", "stupid", "disappointing"];
pub(crate) static REVIEWED: [&str; 12] =
    ["film", "book", "song", "meal", "hotel", "play", "concert", "story", "game", "show", "dinner", "party"];
pub(crate) static LIKING: [&str; 3] = ["liked", "enjoyed", "loved"];
pub(crate) static DISLIKING: [&str; 3] = ["disliked", "hated", "regretted"];
pub(crate) static NEUTRAL: [&str; 6] = [
    "i saw it on monday",
    "it was on the second floor",
    "we went there by bus",
    "my sister came too",
    "it lasted two hours",
    "it was in the old town",
];

fn draw(rng: &mut Rng) -> Row {
    let thing = *choose(rng, &REVIEWED);
    // Three clauses may disagree; the majority decides. Two must agree, or the label would be undefined.
    let count = rng.random_range(1..=3);
    let positive = chance(rng, 0.5);
    let mut polarities = vec![positive; count];
    if count == 3 && chance(rng, 0.5) {
        polarities[rng.random_range(0..3)] = !positive;
    }
    let mut clauses: Vec<String> =
        polarities.iter().enumerate().map(|(i, &polarity)| opinion(rng, thing, i == 0, polarity)).collect();
    if chance(rng, 0.4) {
        clauses.insert(rng.random_range(0..=clauses.len()), choose(rng, &NEUTRAL).to_string());
    }
    let mut text = clauses[0].clone();
    for clause in &clauses[1..] {
        text += *choose(rng, &[". ", " and ", ", but ", ", and "]);
        text += clause;
    }
    let words = polarities.iter().map(|&positive| TASK.classes[usize::from(positive)]);
    let reason = words.collect::<Vec<_>>().join(" ");
    Row { texts: vec![text + "."], label: Label::Class(usize::from(positive)), reason }
}

/// A clause of this polarity about the thing.
fn opinion(rng: &mut Rng, thing: &str, first: bool, positive: bool) -> String {
    let negated = chance(rng, 0.35);
    let praises = positive != negated;
    let subject = if first || chance(rng, 0.3) { format!("the {thing}") } else { "it".into() };
    if chance(rng, 0.3) {
        let verbs = if praises { &LIKING } else { &DISLIKING };
        let verb = choose(rng, verbs);
        return match negated {
            false => format!("{} {verb} {subject}", choose(rng, &["i", "we", "everyone"])),
            true => format!("{} {verb} {subject}", choose(rng, &["nobody", "none of us", "not one of us"])),
        };
    }
    let word = choose(rng, if praises { &PRAISE } else { &BLAME });
    match negated {
        false => format!("{subject} was {}{word}", choose(rng, &["", "", "very ", "really "])),
        true => format!("{subject} was {}{word}", choose(rng, &["not ", "not at all ", "never "])),
    }
}
