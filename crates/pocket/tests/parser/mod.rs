//! Parses pocket sentences with an independent grammar, which shares only the word lists with the generator.

use peft_pocket::lexicon::{COLORS, Kind, NAMES, NOUNS, NUMBERS, PLACES, QUALITIES, VERBS};

/// A parsed noun phrase.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phrase {
    pub noun: String,
    pub adjective: Option<&'static str>,
    plural: bool,
    may_be_subject: bool,
    may_be_object: bool,
}

/// A parsed clause.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    pub agent: Phrase,
    pub verb: &'static str,
    pub patient: Phrase,
    pub place: Option<String>,
    pub negated: bool,
}

/// Whether a sentence is one grammatical clause.
pub(crate) fn is_good_english(sentence: &str) -> bool {
    !readings(sentence.trim_end_matches('.')).is_empty()
}

/// The clauses of a sentence, joined by "and".
pub(crate) fn clauses(sentence: &str) -> Vec<Clause> {
    let read = |text: &str| readings(text).into_iter().next().unwrap_or_else(|| panic!("unreadable: {text}"));
    sentence.trim_end_matches('.').split(" and ").map(read).collect()
}

fn readings(text: &str) -> Vec<Clause> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut all = Vec::new();
    if let Some((place, rest)) = leading_place(&words) {
        all.extend(core(rest).into_iter().map(|clause| Clause { place: Some(place.clone()), ..clause }));
    }
    if let Some((place, rest)) = trailing_place(&words) {
        all.extend(core(rest).into_iter().map(|clause| Clause { place: Some(place.clone()), ..clause }));
    }
    all.extend(core(&words));
    all
}

fn is_place(words: &[&str]) -> bool {
    let [preposition, "the", noun] = words else { return false };
    PLACES.iter().any(|place| place.preposition == *preposition && place.noun == *noun)
}

fn leading_place<'a>(words: &'a [&'a str]) -> Option<(String, &'a [&'a str])> {
    let (place, rest) = words.split_at_checked(3)?;
    is_place(place).then(|| (place[2].to_string(), rest))
}

fn trailing_place<'a>(words: &'a [&'a str]) -> Option<(String, &'a [&'a str])> {
    let (rest, place) = words.split_at_checked(words.len().checked_sub(3)?)?;
    is_place(place).then(|| (place[2].to_string(), rest))
}

/// Every parse of the words as subject, verb and object.
fn core(words: &[&str]) -> Vec<Clause> {
    let mut all = Vec::new();
    for (subject, length) in phrases(words) {
        if subject.may_be_subject {
            all.extend(predicates(&subject, &words[length..]));
        }
    }
    all
}

fn predicates(subject: &Phrase, words: &[&str]) -> Vec<Clause> {
    let mut all = Vec::new();
    let mut add = |agent: &Phrase, verb: &'static str, patient: &Phrase, negated: bool| {
        all.push(Clause { agent: agent.clone(), verb, patient: patient.clone(), place: None, negated });
    };
    for verb in &VERBS {
        let finite = [verb.past, if subject.plural { verb.base } else { verb.third }];
        for (start, negated) in active_starts(subject.plural) {
            let forms: &[&str] = if negated { &[verb.base] } else { &finite };
            let Some(rest) = words.strip_prefix(start) else { continue };
            let Some((form, rest)) = rest.split_first() else { continue };
            if let (true, Some(object)) = (forms.contains(form), whole_object(rest)) {
                add(subject, verb.meaning, &object, negated);
            }
        }
        for be in if subject.plural { ["were", "are"] } else { ["was", "is"] } {
            for negated in [false, true] {
                let start: &[&str] = if negated { &[be, "not"] } else { &[be] };
                let Some([participle, "by", rest @ ..]) = words.strip_prefix(start) else { continue };
                if let (true, Some(object)) = (*participle == verb.participle, whole_object(rest)) {
                    add(&object, verb.meaning, subject, negated);
                }
            }
        }
    }
    all
}

fn active_starts(plural: bool) -> [(&'static [&'static str], bool); 3] {
    let present: &[&str] = if plural { &["do", "not"] } else { &["does", "not"] };
    [(&[], false), (&["did", "not"], true), (present, true)]
}

fn whole_object(words: &[&str]) -> Option<Phrase> {
    phrases(words).into_iter().find(|(p, length)| p.may_be_object && *length == words.len()).map(|(p, _)| p)
}

/// Every noun phrase at the beginning of the words, and its length.
fn phrases(words: &[&str]) -> Vec<(Phrase, usize)> {
    let Some((&first, rest)) = words.split_first() else { return Vec::new() };
    let whole = |plural, may_be_subject, may_be_object| {
        let phrase = Phrase { noun: first.into(), adjective: None, plural, may_be_subject, may_be_object };
        vec![(phrase, 1)]
    };
    match first {
        "he" | "she" => return whole(false, true, false),
        "they" => return whole(true, true, false),
        "him" | "her" => return whole(false, false, true),
        "them" => return whole(true, false, true),
        name if NAMES.iter().any(|n| n.word == name) => return whole(false, true, true),
        _ => {}
    }
    let mut all = Vec::new();
    for skipped in [0, 1] {
        let adjective =
            QUALITIES.iter().chain(&COLORS).find(|a| skipped == 1 && rest.first() == Some(&a.word));
        if skipped == 1 && adjective.is_none() {
            continue;
        }
        let Some(&noun) = rest.get(skipped) else { continue };
        let known = |plural| nouns().any(|n| if plural { n.plural == noun } else { n.singular == noun });
        let vowel = rest[0].starts_with(['a', 'e', 'i', 'o']);
        let numbers: &[bool] = match first {
            "the" => &[false, true],
            "a" if !vowel => &[false],
            "an" if vowel => &[false],
            number if NUMBERS[2..].contains(&number) => &[true],
            _ => &[],
        };
        for &plural in numbers.iter().filter(|&&plural| known(plural)) {
            let singular = nouns().find(|n| n.plural == noun || n.singular == noun).unwrap().singular;
            let phrase = Phrase {
                noun: singular.into(),
                adjective: adjective.map(|a| a.meaning),
                plural,
                may_be_subject: true,
                may_be_object: true,
            };
            all.push((phrase, 2 + skipped));
        }
    }
    all
}

fn nouns() -> impl Iterator<Item = &'static peft_pocket::lexicon::Noun> {
    use Kind::*;
    NOUNS.iter().chain([Person, Animal, Fruit, Vehicle, Tool, Toy].map(Kind::hypernym))
}

fn kind(noun: &str) -> Option<Kind> {
    nouns().find(|n| n.singular == noun).map(|n| n.kind)
}

impl Phrase {
    fn says_the_same_as(&self, other: &Phrase) -> bool {
        (&self.noun, self.adjective, self.plural) == (&other.noun, other.adjective, other.plural)
    }

    /// Whether what this names is also what the other names: "the big dog" is "an animal".
    fn is(&self, other: &Phrase) -> bool {
        let covered = kind(&self.noun).is_some_and(|kind| kind.hypernym().singular == other.noun);
        (self.noun == other.noun || covered)
            && (other.adjective.is_none() || other.adjective == self.adjective)
    }

    fn similarity(&self, other: &Phrase) -> f64 {
        match () {
            () if self.noun == other.noun => 1.0,
            () if kind(&self.noun) == kind(&other.noun) => 0.5,
            () => 0.0,
        }
    }
}

impl Clause {
    pub(crate) fn says_the_same_as(&self, other: &Clause) -> bool {
        self.agent.says_the_same_as(&other.agent)
            && self.patient.says_the_same_as(&other.patient)
            && (self.verb, &self.place, self.negated) == (other.verb, &other.place, other.negated)
    }

    fn is_about(&self, other: &Clause) -> bool {
        self.agent.is(&other.agent)
            && self.patient.is(&other.patient)
            && (other.place.is_none() || self.place == other.place)
    }

    /// Whether the other clause follows from this one.
    pub(crate) fn implies(&self, other: &Clause) -> bool {
        self.is_about(other) && self.verb == other.verb && self.negated == other.negated
    }

    /// Whether both cannot be true: the negation of the same, or its opposite.
    pub(crate) fn excludes(&self, other: &Clause) -> bool {
        let opposite = VERBS.iter().any(|v| v.meaning == self.verb && v.opposite == Some(other.verb));
        let negation = self.verb == other.verb && self.negated != other.negated;
        self.is_about(other) && (negation || (opposite && !self.negated && !other.negated))
    }

    /// From 0 to 5, as the similarity task defines it.
    pub(crate) fn similarity(&self, other: &Clause) -> f64 {
        let color = |a: &str| COLORS.iter().any(|c| c.word == a);
        let adjectives = match (self.patient.adjective, other.patient.adjective) {
            (Some(a), Some(b)) if a == b => 1.0,
            (Some(a), Some(b)) if color(a) && color(b) => 0.5,
            _ => 0.0,
        };
        self.agent.similarity(&other.agent)
            + f64::from(self.verb == other.verb)
            + self.patient.similarity(&other.patient)
            + adjectives
            + f64::from(self.place == other.place)
    }
}
