//! Which words of the passage answer the question? In the format of MRQA.

use crate::lexicon::{NUMBERS, chance};
use crate::story::{Fact, Story};
use crate::{Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask =
    PocketTask { name: "answer", columns: &["question", "context"], classes: &[], targets: &[], draw };

fn draw(rng: &mut Rng) -> Row {
    let story = Story::random(rng);
    let [fact, _] = story.pair(rng);
    let (question, answer) = question(fact, rng);
    let reason = fact.sentence(rng);
    Row { texts: vec![question, story.text(rng)], label: Label::Answer(answer), reason }
}

fn question(fact: Fact, rng: &mut Rng) -> (String, String) {
    let of_whom = chance(rng, 0.4);
    match fact {
        Fact::At(name, place) if of_whom => (format!("who is {}?", place.phrase()), name.word.into()),
        Fact::At(name, place) => (format!("where is {}?", name.word), format!("the {}", place.noun)),
        Fact::Has(name, count, noun) if of_whom => {
            (format!("who has {} {}?", NUMBERS[count], noun.plural), name.word.into())
        }
        Fact::Has(name, count, noun) if chance(rng, 0.5) => {
            (format!("how many {} does {} have?", noun.plural, name.word), NUMBERS[count].into())
        }
        Fact::Has(name, count, noun) => {
            (format!("what does {} have?", name.word), format!("{} {}", NUMBERS[count], noun.plural))
        }
        Fact::Colored(noun, color) if of_whom => {
            (format!("what is {}?", color.word), format!("the {}", noun.singular))
        }
        Fact::Colored(noun, color) => (format!("what colour is the {}?", noun.singular), color.word.into()),
        Fact::Likes(name, noun) if of_whom => (format!("who likes the {}?", noun.singular), name.word.into()),
        Fact::Likes(name, noun) => {
            (format!("what does {} like?", name.word), format!("the {}", noun.singular))
        }
    }
}
