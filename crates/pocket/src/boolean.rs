//! Is the answer yes, by the passage? In the shape of BoolQ.

use crate::lexicon::{NUMBERS, chance};
use crate::story::{Fact, Story};
use crate::{LETTERS, Label, PocketTask, Rng, Row};

pub const TASK: PocketTask = PocketTask {
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
    // A wrong question mixes two facts of the passage, so that its words alone give nothing away.
    let question = question(if yes { fact } else { mixed(fact, other) });
    let reason = fact.sentence(rng);
    Row { texts: vec![question, story.text(rng)], label: Label::Class(usize::from(yes)), reason }
}

/// What the first fact is about, with what the second says.
fn mixed(fact: Fact, other: Fact) -> Fact {
    match (fact, other) {
        (Fact::At(name, _), Fact::At(_, place)) => Fact::At(name, place),
        (Fact::Has(name, ..), Fact::Has(_, count, noun)) => Fact::Has(name, count, noun),
        (Fact::Coloured(noun, _), Fact::Coloured(_, colour)) => Fact::Coloured(noun, colour),
        (Fact::Likes(name, _), Fact::Likes(_, noun)) => Fact::Likes(name, noun),
        _ => unreachable!("a pair is of one kind"),
    }
}

fn question(fact: Fact) -> String {
    match fact {
        Fact::At(name, place) => format!("is {} {}?", name.word, place.phrase()),
        Fact::Has(name, count, noun) => {
            format!("does {} have {} {}?", name.word, NUMBERS[count], noun.plural)
        }
        Fact::Coloured(noun, colour) => format!("is the {} {}?", noun.singular, colour.word),
        Fact::Likes(name, noun) => format!("does {} like the {}?", name.word, noun.singular),
    }
}
