//! The words of the pocket world and what they mean.

use rand::Rng as _;
use rand::seq::IndexedRandom;

use crate::Rng;

/// The kind of thing that a noun names; each kind has a hypernym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Person,
    Animal,
    Fruit,
    Vehicle,
    Tool,
    Toy,
}

/// A countable noun.
#[derive(Debug, PartialEq, Eq)]
pub struct Noun {
    pub singular: &'static str,
    pub plural: &'static str,
    pub kind: Kind,
}

/// A transitive verb. Verbs with the same meaning are synonyms.
#[derive(Debug, PartialEq, Eq)]
pub struct Verb {
    pub base: &'static str,
    pub third: &'static str,
    pub past: &'static str,
    pub participle: &'static str,
    pub meaning: &'static str,
    /// The meaning that contradicts this one.
    pub opposite: Option<&'static str>,
}

/// An adjective. Adjectives with the same meaning are synonyms; each color is a meaning of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Adjective {
    pub word: &'static str,
    pub meaning: &'static str,
    pub opposite: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    Male,
    Female,
}

/// A first name.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    pub word: &'static str,
    pub gender: Gender,
}

/// A place with its preposition.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub preposition: &'static str,
    pub noun: &'static str,
}

const fn noun(kind: Kind, singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural, kind }
}

pub static NOUNS: [Noun; 44] = [
    noun(Kind::Person, "teacher", "teachers"),
    noun(Kind::Person, "doctor", "doctors"),
    noun(Kind::Person, "farmer", "farmers"),
    noun(Kind::Person, "baker", "bakers"),
    noun(Kind::Person, "sailor", "sailors"),
    noun(Kind::Person, "nurse", "nurses"),
    noun(Kind::Person, "child", "children"),
    noun(Kind::Person, "artist", "artists"),
    noun(Kind::Animal, "dog", "dogs"),
    noun(Kind::Animal, "cat", "cats"),
    noun(Kind::Animal, "horse", "horses"),
    noun(Kind::Animal, "bird", "birds"),
    noun(Kind::Animal, "goose", "geese"),
    noun(Kind::Animal, "rabbit", "rabbits"),
    noun(Kind::Animal, "elephant", "elephants"),
    noun(Kind::Animal, "wolf", "wolves"),
    noun(Kind::Fruit, "apple", "apples"),
    noun(Kind::Fruit, "orange", "oranges"),
    noun(Kind::Fruit, "pear", "pears"),
    noun(Kind::Fruit, "cherry", "cherries"),
    noun(Kind::Fruit, "lemon", "lemons"),
    noun(Kind::Fruit, "peach", "peaches"),
    noun(Kind::Vehicle, "car", "cars"),
    noun(Kind::Vehicle, "bus", "buses"),
    noun(Kind::Vehicle, "train", "trains"),
    noun(Kind::Vehicle, "boat", "boats"),
    noun(Kind::Vehicle, "bicycle", "bicycles"),
    noun(Kind::Vehicle, "truck", "trucks"),
    noun(Kind::Vehicle, "engine", "engines"),
    noun(Kind::Tool, "hammer", "hammers"),
    noun(Kind::Tool, "knife", "knives"),
    noun(Kind::Tool, "axe", "axes"),
    noun(Kind::Tool, "brush", "brushes"),
    noun(Kind::Tool, "spoon", "spoons"),
    noun(Kind::Tool, "ladder", "ladders"),
    noun(Kind::Tool, "rope", "ropes"),
    noun(Kind::Toy, "ball", "balls"),
    noun(Kind::Toy, "doll", "dolls"),
    noun(Kind::Toy, "kite", "kites"),
    noun(Kind::Toy, "drum", "drums"),
    noun(Kind::Toy, "puzzle", "puzzles"),
    noun(Kind::Toy, "robot", "robots"),
    noun(Kind::Toy, "puppet", "puppets"),
    noun(Kind::Toy, "balloon", "balloons"),
];

static HYPERNYMS: [Noun; 6] = [
    noun(Kind::Person, "person", "people"),
    noun(Kind::Animal, "animal", "animals"),
    noun(Kind::Fruit, "fruit", "fruits"),
    noun(Kind::Vehicle, "vehicle", "vehicles"),
    noun(Kind::Tool, "tool", "tools"),
    noun(Kind::Toy, "toy", "toys"),
];

impl Kind {
    /// The noun that covers every noun of this kind.
    pub fn hypernym(self) -> &'static Noun {
        &HYPERNYMS[self as usize]
    }

    /// Whether such things can act.
    pub fn is_living(self) -> bool {
        matches!(self, Kind::Person | Kind::Animal)
    }
}

const fn verb(forms: [&'static str; 4], meaning: &'static str, opposite: Option<&'static str>) -> Verb {
    let [base, third, past, participle] = forms;
    Verb { base, third, past, participle, meaning, opposite }
}

pub static VERBS: [Verb; 34] = [
    verb(["see", "sees", "saw", "seen"], "see", None),
    verb(["spot", "spots", "spotted", "spotted"], "see", None),
    verb(["help", "helps", "helped", "helped"], "help", None),
    verb(["assist", "assists", "assisted", "assisted"], "help", None),
    verb(["push", "pushes", "pushed", "pushed"], "push", Some("pull")),
    verb(["pull", "pulls", "pulled", "pulled"], "pull", Some("push")),
    verb(["buy", "buys", "bought", "bought"], "buy", Some("sell")),
    verb(["purchase", "purchases", "purchased", "purchased"], "buy", Some("sell")),
    verb(["sell", "sells", "sold", "sold"], "sell", Some("buy")),
    verb(["love", "loves", "loved", "loved"], "love", Some("hate")),
    verb(["adore", "adores", "adored", "adored"], "love", Some("hate")),
    verb(["hate", "hates", "hated", "hated"], "hate", Some("love")),
    verb(["find", "finds", "found", "found"], "find", Some("lose")),
    verb(["lose", "loses", "lost", "lost"], "lose", Some("find")),
    verb(["clean", "cleans", "cleaned", "cleaned"], "clean", None),
    verb(["wash", "washes", "washed", "washed"], "clean", None),
    verb(["paint", "paints", "painted", "painted"], "paint", None),
    verb(["chase", "chases", "chased", "chased"], "chase", None),
    verb(["carry", "carries", "carried", "carried"], "carry", None),
    verb(["lift", "lifts", "lifted", "lifted"], "lift", Some("lower")),
    verb(["raise", "raises", "raised", "raised"], "lift", Some("lower")),
    verb(["lower", "lowers", "lowered", "lowered"], "lower", Some("lift")),
    verb(["praise", "praises", "praised", "praised"], "praise", Some("blame")),
    verb(["blame", "blames", "blamed", "blamed"], "blame", Some("praise")),
    verb(["hide", "hides", "hid", "hidden"], "hide", Some("show")),
    verb(["show", "shows", "showed", "shown"], "show", Some("hide")),
    verb(["remember", "remembers", "remembered", "remembered"], "remember", Some("forget")),
    verb(["forget", "forgets", "forgot", "forgotten"], "forget", Some("remember")),
    verb(["take", "takes", "took", "taken"], "take", None),
    verb(["grab", "grabs", "grabbed", "grabbed"], "take", None),
    verb(["watch", "watches", "watched", "watched"], "watch", None),
    verb(["observe", "observes", "observed", "observed"], "watch", None),
    verb(["kick", "kicks", "kicked", "kicked"], "kick", None),
    verb(["draw", "draws", "drew", "drawn"], "draw", None),
];

const fn quality(word: &'static str, meaning: &'static str, opposite: &'static str) -> Adjective {
    Adjective { word, meaning, opposite: Some(opposite) }
}

const fn color(word: &'static str) -> Adjective {
    Adjective { word, meaning: word, opposite: None }
}

pub static QUALITIES: [Adjective; 26] = [
    quality("big", "big", "small"),
    quality("large", "big", "small"),
    quality("small", "small", "big"),
    quality("little", "small", "big"),
    quality("fast", "fast", "slow"),
    quality("quick", "fast", "slow"),
    quality("slow", "slow", "fast"),
    quality("happy", "happy", "sad"),
    quality("glad", "happy", "sad"),
    quality("sad", "sad", "happy"),
    quality("tidy", "tidy", "dirty"),
    quality("neat", "tidy", "dirty"),
    quality("dirty", "dirty", "tidy"),
    quality("strong", "strong", "weak"),
    quality("weak", "weak", "strong"),
    quality("new", "new", "old"),
    quality("old", "old", "new"),
    quality("heavy", "heavy", "light"),
    quality("light", "light", "heavy"),
    quality("brave", "brave", "shy"),
    quality("bold", "brave", "shy"),
    quality("shy", "shy", "brave"),
    quality("loud", "loud", "quiet"),
    quality("noisy", "loud", "quiet"),
    quality("quiet", "quiet", "loud"),
    quality("silent", "quiet", "loud"),
];

pub static COLORS: [Adjective; 8] = [
    color("red"),
    color("blue"),
    color("green"),
    color("yellow"),
    color("black"),
    color("white"),
    color("brown"),
    color("orange"),
];

const fn name(gender: Gender, word: &'static str) -> Name {
    Name { word, gender }
}

pub static NAMES: [Name; 20] = [
    name(Gender::Male, "tom"),
    name(Gender::Male, "ben"),
    name(Gender::Male, "sam"),
    name(Gender::Male, "max"),
    name(Gender::Male, "leo"),
    name(Gender::Male, "paul"),
    name(Gender::Male, "hugo"),
    name(Gender::Male, "oscar"),
    name(Gender::Male, "peter"),
    name(Gender::Male, "david"),
    name(Gender::Female, "mary"),
    name(Gender::Female, "anna"),
    name(Gender::Female, "lucy"),
    name(Gender::Female, "emma"),
    name(Gender::Female, "rose"),
    name(Gender::Female, "jane"),
    name(Gender::Female, "clara"),
    name(Gender::Female, "nina"),
    name(Gender::Female, "olga"),
    name(Gender::Female, "sara"),
];

const fn place(preposition: &'static str, noun: &'static str) -> Place {
    Place { preposition, noun }
}

pub static PLACES: [Place; 12] = [
    place("in", "park"),
    place("in", "garden"),
    place("in", "kitchen"),
    place("in", "forest"),
    place("in", "village"),
    place("in", "library"),
    place("at", "market"),
    place("at", "school"),
    place("at", "station"),
    place("at", "harbour"),
    place("on", "beach"),
    place("on", "farm"),
];

/// Number words; the index is the number.
pub static NUMBERS: [&str; 11] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// A word whose meaning other words may share.
pub trait Meaning: 'static + Sized {
    fn meaning(&self) -> &'static str;
    fn opposite(&self) -> Option<&'static str>;
    fn all() -> &'static [Self];

    /// Another word with the same meaning.
    fn synonym(&self, rng: &mut Rng) -> Option<&'static Self>
    where
        Self: PartialEq,
    {
        choose_where(rng, Self::all(), |other| other.meaning() == self.meaning() && other != self)
    }

    /// A word with the opposite meaning.
    fn antonym(&self, rng: &mut Rng) -> Option<&'static Self> {
        choose_where(rng, Self::all(), |other| Some(other.meaning()) == self.opposite())
    }

    /// A word with another meaning, opposite or not.
    fn other(&self, rng: &mut Rng) -> &'static Self {
        choose_where(rng, Self::all(), |other| other.meaning() != self.meaning()).expect("many meanings")
    }
}

impl Meaning for Verb {
    fn meaning(&self) -> &'static str {
        self.meaning
    }
    fn opposite(&self) -> Option<&'static str> {
        self.opposite
    }
    fn all() -> &'static [Self] {
        &VERBS
    }
}

impl Meaning for Adjective {
    fn meaning(&self) -> &'static str {
        self.meaning
    }
    fn opposite(&self) -> Option<&'static str> {
        self.opposite
    }
    fn all() -> &'static [Self] {
        &QUALITIES
    }
}

/// One of the items, uniformly at random.
pub fn choose<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    items.choose(rng).expect("the lists of the lexicon are not empty")
}

/// One of the items that satisfy a condition, uniformly at random.
pub fn choose_where<'a, T>(rng: &mut Rng, items: &'a [T], admits: impl Fn(&T) -> bool) -> Option<&'a T> {
    let admitted: Vec<&T> = items.iter().filter(|item| admits(item)).collect();
    admitted.choose(rng).copied()
}

/// Two different items.
pub fn choose_two<'a, T: PartialEq>(rng: &mut Rng, items: &'a [T]) -> [&'a T; 2] {
    let first = choose(rng, items);
    [first, choose_where(rng, items, |item| item != first).expect("more than one item")]
}

/// True with this probability.
pub fn chance(rng: &mut Rng, probability: f64) -> bool {
    rng.random_bool(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opposite_is_the_meaning_of_a_word_and_mutual() {
        fn check<T: Meaning>() {
            for word in T::all() {
                let Some(opposite) = word.opposite() else { continue };
                let others: Vec<&T> = T::all().iter().filter(|o| o.meaning() == opposite).collect();
                assert!(!others.is_empty());
                assert!(others.iter().all(|o| o.opposite() == Some(word.meaning())));
            }
        }
        check::<Verb>();
        check::<Adjective>();
    }

    #[test]
    fn hypernyms_fit_their_kinds() {
        assert!(NOUNS.iter().all(|n| n.kind.hypernym().kind == n.kind));
    }
}
