//! From meaning to words: noun phrases and clauses with agreement, negation, passive and pronouns.

use rand::Rng as _;

use crate::Rng;
use crate::lexicon::*;

/// Who or what takes part in a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Name(&'static Name),
    Noun(&'static Noun),
    Pronoun(Pronoun),
}

/// A third-person pronoun for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pronoun {
    He,
    She,
    They,
}

impl Pronoun {
    pub fn subject(self) -> &'static str {
        match self {
            Self::He => "he",
            Self::She => "she",
            Self::They => "they",
        }
    }

    pub fn object(self) -> &'static str {
        match self {
            Self::He => "him",
            Self::She => "her",
            Self::They => "them",
        }
    }

    pub fn of(gender: Gender) -> Self {
        match gender {
            Gender::Male => Self::He,
            Gender::Female => Self::She,
        }
    }
}

/// A determiner, which also fixes the noun's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Determiner {
    /// "the dog"
    The,
    /// "a dog", "an apple"
    A,
    /// "the dogs"
    ThePlural,
    /// "three dogs": an index into [`NUMBERS`], at least 2
    Number(usize),
}

/// A name, a pronoun, or a determiner with an adjective and a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NounPhrase {
    pub head: Head,
    pub determiner: Determiner,
    pub adjective: Option<&'static Adjective>,
}

impl NounPhrase {
    pub fn name(name: &'static Name) -> Self {
        Self { head: Head::Name(name), determiner: Determiner::The, adjective: None }
    }

    pub fn noun(noun: &'static Noun, determiner: Determiner) -> Self {
        Self { head: Head::Noun(noun), determiner, adjective: None }
    }

    /// Any phrase of one of these kinds, sometimes with an adjective.
    pub fn random(rng: &mut Rng, admits: impl Fn(Kind) -> bool) -> Self {
        let noun = choose_where(rng, &NOUNS, |noun| admits(noun.kind)).expect("every kind has nouns");
        let determiner = match rng.random_range(0..8) {
            0..=3 => Determiner::The,
            4 | 5 => Determiner::A,
            6 => Determiner::ThePlural,
            _ => Determiner::Number(rng.random_range(2..=6)),
        };
        let adjective = chance(rng, 0.4).then(|| adjective(rng));
        Self { head: Head::Noun(noun), determiner, adjective }
    }

    /// The noun, if it has one.
    pub fn as_noun(&self) -> Option<&'static Noun> {
        match self.head {
            Head::Noun(noun) => Some(noun),
            _ => None,
        }
    }

    pub fn is_plural(&self) -> bool {
        match self.head {
            Head::Name(_) => false,
            Head::Pronoun(pronoun) => pronoun == Pronoun::They,
            Head::Noun(_) => matches!(self.determiner, Determiner::ThePlural | Determiner::Number(_)),
        }
    }

    /// Its words as a subject or as an object.
    pub fn words(&self, case: Case) -> Vec<Word> {
        let noun = match self.head {
            Head::Name(name) => return vec![Word::new(name.word, Tag::Noun)],
            Head::Pronoun(pronoun) => {
                let (right, wrong) = match case {
                    Case::Subject => (pronoun.subject(), pronoun.object()),
                    Case::Object => (pronoun.object(), pronoun.subject()),
                };
                return vec![Word::with_wrong(right, wrong, Tag::Noun)];
            }
            Head::Noun(noun) => noun,
        };
        let form = if self.is_plural() { noun.plural } else { noun.singular };
        let next = self.adjective.map_or(form, |a| a.word);
        let mut words = vec![match self.determiner {
            Determiner::The => Word::new("the", Tag::SingularDeterminer),
            Determiner::ThePlural => Word::new("the", Tag::Determiner),
            Determiner::Number(number) => Word::new(NUMBERS[number], Tag::Determiner),
            Determiner::A if starts_with_vowel(next) => Word::with_wrong("an", "a", Tag::SingularDeterminer),
            Determiner::A => Word::with_wrong("a", "an", Tag::SingularDeterminer),
        }];
        words.extend(self.adjective.map(|a| Word::new(a.word, Tag::Adjective)));
        words.push(match self.determiner {
            Determiner::Number(_) => Word::with_wrong(form, noun.singular, Tag::Noun),
            Determiner::A => Word::with_wrong(form, noun.plural, Tag::Noun),
            _ => Word::new(form, Tag::Noun),
        });
        words
    }

    /// Its text as an object.
    pub fn text(&self) -> String {
        join(&self.words(Case::Object))
    }
}

/// A quality or a color.
pub fn adjective(rng: &mut Rng) -> &'static Adjective {
    if chance(rng, 0.7) { choose(rng, &QUALITIES) } else { choose(rng, &COLORS) }
}

/// Whether "an" goes before the word.
pub fn starts_with_vowel(word: &str) -> bool {
    word.starts_with(['a', 'e', 'i', 'o'])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Subject,
    Object,
}

/// The role of a word in its clause, as far as introducing errors requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The determiner of a singular noun, which needs one.
    SingularDeterminer,
    Determiner,
    Adjective,
    Noun,
    /// The verb that agrees with the subject, auxiliary or not.
    Finite,
    Other,
}

/// A word in a clause, with a form of it that would be ungrammatical there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    pub text: &'static str,
    pub tag: Tag,
    pub wrong: Option<&'static str>,
}

impl Word {
    fn new(text: &'static str, tag: Tag) -> Self {
        Self { text, tag, wrong: None }
    }

    fn with_wrong(text: &'static str, wrong: &'static str, tag: Tag) -> Self {
        Self { text, tag, wrong: (wrong != text).then_some(wrong) }
    }
}

/// The words, separated by spaces.
pub fn join(words: &[Word]) -> String {
    words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    Past,
    Present,
}

/// Who does what to whom, where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clause {
    pub agent: NounPhrase,
    pub verb: &'static Verb,
    pub patient: NounPhrase,
    pub tense: Tense,
    pub negated: bool,
    pub place: Option<&'static Place>,
}

/// Word order and voice of a clause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form {
    /// "the ball was kicked by the dog"
    pub passive: bool,
    /// "in the park the dog kicked the ball"
    pub place_first: bool,
}

impl Form {
    pub fn random(rng: &mut Rng) -> Self {
        Self { passive: chance(rng, 0.3), place_first: chance(rng, 0.3) }
    }
}

impl Clause {
    /// Any clause: someone acts on something, in the present or the past, with or without a place.
    pub fn random(rng: &mut Rng) -> Self {
        let agent = match chance(rng, 0.4) {
            true => NounPhrase::name(choose(rng, &NAMES)),
            false => NounPhrase::random(rng, Kind::is_living),
        };
        let mut patient = NounPhrase::random(rng, |kind| kind != Kind::Person);
        while patient.head == agent.head {
            patient = NounPhrase::random(rng, |kind| kind != Kind::Person);
        }
        Self {
            agent,
            verb: choose(rng, &VERBS),
            patient,
            tense: if chance(rng, 0.7) { Tense::Past } else { Tense::Present },
            negated: chance(rng, 0.15),
            place: chance(rng, 0.5).then(|| choose(rng, &PLACES)),
        }
    }

    /// Its words, without the final period.
    pub fn words(&self, form: Form) -> Vec<Word> {
        let mut words = match form.passive {
            true => self.passive(),
            false => self.active(),
        };
        if let Some(place) = self.place {
            let phrase = [
                Word::new(place.preposition, Tag::Other),
                Word::new("the", Tag::SingularDeterminer),
                Word::new(place.noun, Tag::Noun),
            ];
            let at = if form.place_first { 0 } else { words.len() };
            words.splice(at..at, phrase);
        }
        words
    }

    /// Its text, without the final period.
    pub fn text(&self, form: Form) -> String {
        join(&self.words(form))
    }

    /// Its text as a sentence.
    pub fn sentence(&self, form: Form) -> String {
        self.text(form) + "."
    }

    fn active(&self) -> Vec<Word> {
        let (verb, plural) = (self.verb, self.agent.is_plural());
        let mut words = self.agent.words(Case::Subject);
        if self.negated {
            words.push(match (self.tense, plural) {
                (Tense::Past, _) => Word::new("did", Tag::Finite),
                (Tense::Present, true) => Word::with_wrong("do", "does", Tag::Finite),
                (Tense::Present, false) => Word::with_wrong("does", "do", Tag::Finite),
            });
            words.push(Word::new("not", Tag::Other));
            words.push(Word::with_wrong(verb.base, verb.past, Tag::Other));
        } else {
            words.push(match (self.tense, plural) {
                (Tense::Past, false) => Word::with_wrong(verb.past, verb.base, Tag::Finite),
                (Tense::Past, true) => Word::with_wrong(verb.past, verb.third, Tag::Finite),
                (Tense::Present, true) => Word::with_wrong(verb.base, verb.third, Tag::Finite),
                (Tense::Present, false) => Word::with_wrong(verb.third, verb.base, Tag::Finite),
            });
        }
        words.extend(self.patient.words(Case::Object));
        words
    }

    fn passive(&self) -> Vec<Word> {
        let mut words = self.patient.words(Case::Subject);
        words.push(match (self.tense, self.patient.is_plural()) {
            (Tense::Past, true) => Word::with_wrong("were", "was", Tag::Finite),
            (Tense::Past, false) => Word::with_wrong("was", "were", Tag::Finite),
            (Tense::Present, true) => Word::with_wrong("are", "is", Tag::Finite),
            (Tense::Present, false) => Word::with_wrong("is", "are", Tag::Finite),
        });
        if self.negated {
            words.push(Word::new("not", Tag::Other));
        }
        words.push(Word::with_wrong(self.verb.participle, self.verb.base, Tag::Other));
        words.push(Word::new("by", Tag::Other));
        words.extend(self.agent.words(Case::Object));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause() -> Clause {
        let [dog, apple] = ["dog", "apple"].map(|w| NOUNS.iter().find(|n| n.singular == w).unwrap());
        Clause {
            agent: NounPhrase::noun(dog, Determiner::ThePlural),
            verb: VERBS.iter().find(|v| v.base == "hide").unwrap(),
            patient: NounPhrase { adjective: Some(&COLORS[7]), ..NounPhrase::noun(apple, Determiner::A) },
            tense: Tense::Past,
            negated: false,
            place: Some(&PLACES[0]),
        }
    }

    #[test]
    fn a_clause_in_its_forms() {
        let clause = clause();
        let form = |passive, place_first| Form { passive, place_first };
        assert_eq!(clause.sentence(form(false, false)), "the dogs hid an orange apple in the park.");
        assert_eq!(clause.sentence(form(true, true)), "in the park an orange apple was hidden by the dogs.");
        let present = Clause { tense: Tense::Present, negated: true, place: None, ..clause };
        assert_eq!(present.text(form(false, false)), "the dogs do not hide an orange apple");
        assert_eq!(present.text(form(true, false)), "an orange apple is not hidden by the dogs");
    }

    #[test]
    fn pronouns_take_the_case_of_their_role() {
        let he = NounPhrase { head: Head::Pronoun(Pronoun::He), ..NounPhrase::name(&NAMES[0]) };
        let clause = Clause { agent: he, place: None, ..clause() };
        assert_eq!(clause.text(Form::default()), "he hid an orange apple");
        assert_eq!(
            clause.text(Form { passive: true, ..Form::default() }),
            "an orange apple was hidden by him"
        );
    }
}
