//! Short stories: facts about people and things in random order, and questions about them.

use rand::Rng as _;
use rand::seq::SliceRandom;

use crate::Rng;
use crate::lexicon::*;

/// One fact of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// "tom is in the park."
    At(&'static Name, &'static Place),
    /// "tom has three apples."
    Has(&'static Name, usize, &'static Noun),
    /// "the car is red."
    Colored(&'static Noun, &'static Adjective),
    /// "mary likes the dog."
    Likes(&'static Name, &'static Noun),
}

impl Fact {
    /// Its text as a sentence.
    pub(crate) fn sentence(self, rng: &mut Rng) -> String {
        match self {
            Fact::At(name, place) => {
                let verb = choose(rng, &["is", "is", "stays", "waits"]);
                format!("{} {verb} {}.", name.word, place.phrase())
            }
            Fact::Has(name, count, noun) => {
                let verb = choose(rng, &["has", "has", "owns"]);
                format!("{} {verb} {} {}.", name.word, NUMBERS[count], noun.plural)
            }
            Fact::Colored(noun, color) => format!("the {} is {}.", noun.singular, color.word),
            Fact::Likes(name, noun) => format!("{} likes the {}.", name.word, noun.singular),
        }
    }
}

impl Place {
    /// "in the park"
    pub fn phrase(&self) -> String {
        format!("{} the {}", self.preposition, self.noun)
    }
}

/// Three to five facts; no person is in two places, no thing has two colors, and no two facts of one
/// kind say the same about different people.
pub(crate) struct Story {
    pub facts: Vec<Fact>,
}

impl Story {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let mut names: Vec<&'static Name> = NAMES.iter().collect();
        let mut places: Vec<&'static Place> = PLACES.iter().collect();
        let mut things: Vec<&'static Noun> = NOUNS.iter().filter(|n| !n.kind.is_living()).collect();
        let mut living: Vec<&'static Noun> = NOUNS.iter().filter(|n| n.kind.is_living()).collect();
        // A color that is also a fruit would make "what is orange" ambiguous.
        let mut colors: Vec<&'static Adjective> = COLORS.iter().filter(|c| c.word != "orange").collect();
        let mut counts: Vec<usize> = (2..=9).collect();
        names.shuffle(rng);
        places.shuffle(rng);
        things.shuffle(rng);
        living.shuffle(rng);
        colors.shuffle(rng);
        counts.shuffle(rng);
        let cast = &names[..3];
        let mut facts: Vec<Fact> = Vec::new();
        // Two facts of the first kind, so that a question about one of them has a distractor.
        let first = rng.random_range(0..4);
        for i in 0..rng.random_range(3..=5) {
            let kind = if i < 2 { first } else { rng.random_range(0..4) };
            let of_kind = facts.iter().filter(|fact| fact.kind() == kind).count();
            if of_kind == cast.len() {
                continue;
            }
            facts.push(match kind {
                0 => Fact::At(cast[of_kind], places[i]),
                1 => Fact::Has(cast[of_kind], counts[i], things[i]),
                2 => Fact::Colored(things[i], colors[i]),
                _ => Fact::Likes(cast[of_kind], living[i]),
            });
        }
        facts.shuffle(rng);
        Self { facts }
    }

    /// The facts in order.
    pub(crate) fn text(&self, rng: &mut Rng) -> String {
        self.facts.iter().map(|fact| fact.sentence(rng)).collect::<Vec<_>>().join(" ")
    }

    /// Two different facts of one kind.
    pub(crate) fn pair(&self, rng: &mut Rng) -> [Fact; 2] {
        loop {
            let [first, second] = choose_two(rng, &self.facts);
            if first.kind() == second.kind() {
                return [*first, *second];
            }
        }
    }
}

impl Fact {
    fn kind(&self) -> usize {
        match self {
            Fact::At(..) => 0,
            Fact::Has(..) => 1,
            Fact::Colored(..) => 2,
            Fact::Likes(..) => 3,
        }
    }
}
