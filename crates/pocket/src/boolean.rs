//! Is the answer yes, according to the passage? In the format of BoolQ.

use crate::lexicon::{NUMBERS, chance};
use crate::story::{Fact, Story};
use crate::{LETTERS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "boolean",
    columns: &["question", "passage"],
    classes: &["no", "yes"],
    targets: LETTERS,
    draw,
};

fn draw(rng: &mut Rng) -> Row {
    let story = Story::random(rng);
    let [fact, other] = story.pair(rng);
    let yes = chance(rng, 0.5);
    // A wrong question mixes two facts of the passage, so that its words alone reveal nothing.
    let question = question(if yes { fact } else { mixed(fact, other) });
    let reason = fact.sentence(rng);
    Row { texts: vec![question, story.text(rng)], label: Label::Class(usize::from(yes)), reason }
}

/// The subject of the first fact with the predicate of the second.
fn mixed(fact: Fact, other: Fact) -> Fact {
    match (fact, other) {
        (Fact::At(name, _), Fact::At(_, place)) => Fact::At(name, place),
        (Fact::Has(name, ..), Fact::Has(_, count, noun)) => Fact::Has(name, count, noun),
        (Fact::Colored(noun, _), Fact::Colored(_, color)) => Fact::Colored(noun, color),
        (Fact::Likes(name, _), Fact::Likes(_, noun)) => Fact::Likes(name, noun),
        _ => unreachable!("a pair has facts of one kind"),
    }
}

fn question(fact: Fact) -> String {
    match fact {
        Fact::At(name, place) => format!("is {} {}?", name.word, place.phrase()),
        Fact::Has(name, count, noun) => {
            format!("does {} have {} {}?", name.word, NUMBERS[count], noun.plural)
        }
        Fact::Colored(noun, color) => format!("is the {} {}?", noun.singular, color.word),
        Fact::Likes(name, noun) => format!("does {} like the {}?", name.word, noun.singular),
    }
}
