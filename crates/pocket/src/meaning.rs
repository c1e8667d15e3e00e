//! Changes to a clause that keep its meaning, and changes that do not.

use rand::Rng as _;

use crate::Rng;
use crate::grammar::{Clause, Determiner, Head, NounPhrase, Tense};
use crate::lexicon::*;

/// Replaces some of the words with synonyms.
pub(crate) fn reworded(clause: &Clause, rng: &mut Rng) -> Clause {
    let mut clause = *clause;
    if chance(rng, 0.6) {
        clause.verb = clause.verb.synonym(rng).unwrap_or(clause.verb);
    }
    for phrase in [&mut clause.agent, &mut clause.patient] {
        if chance(rng, 0.6) {
            phrase.adjective = phrase.adjective.map(|a| a.synonym(rng).unwrap_or(a));
        }
    }
    clause
}

/// The clause with one change of its meaning, never an added or a dropped part; also names the change.
pub(crate) fn altered(clause: &Clause, rng: &mut Rng) -> (Clause, &'static str) {
    loop {
        let mut other = *clause;
        let (changed, what) = match rng.random_range(0..6) {
            0 => (swap_roles(&mut other), "roles"),
            1 => (set(&mut other.verb, clause.verb.other(rng)), "verb"),
            2 => (other_noun(&mut other.agent, rng), "agent"),
            3 => (other_noun(&mut other.patient, rng), "patient"),
            4 => (other_adjective(&mut other, rng), "adjective"),
            _ => (set(&mut other.negated, !clause.negated), "negation"),
        };
        if changed {
            return (other, what);
        }
    }
}

/// The clause with one change that makes it contradict the original; also names the change.
pub(crate) fn contradicted(clause: &Clause, rng: &mut Rng) -> (Clause, &'static str) {
    match clause.verb.antonym(rng) {
        Some(verb) if !clause.negated && chance(rng, 0.5) => (Clause { verb, ..*clause }, "verb"),
        _ => (Clause { negated: !clause.negated, ..*clause }, "negation"),
    }
}

/// Weakens what `said` shares with `told`: fewer modifiers, and hypernyms if allowed.
///
/// The result follows from `told` exactly if `said` does.
pub(crate) fn weakened(told: &Clause, said: &Clause, hypernyms: bool, rng: &mut Rng) -> Clause {
    let mut weak = *said;
    if said.place == told.place && chance(rng, 0.5) {
        weak.place = None;
    }
    for (phrase, told) in [(&mut weak.agent, &told.agent), (&mut weak.patient, &told.patient)] {
        let meaning = |phrase: &NounPhrase| phrase.adjective.map(|a| a.meaning);
        if meaning(phrase) == meaning(told) && chance(rng, 0.5) {
            phrase.adjective = None;
        }
        if hypernyms && phrase.head == told.head && chance(rng, 0.3) {
            generalize(phrase);
        }
    }
    weak
}

/// The clause with an addition that neither follows from it nor contradicts it; also names the addition. `None` if the
/// drawn addition does not apply.
pub(crate) fn strengthened(clause: &Clause, rng: &mut Rng) -> Option<(Clause, &'static str)> {
    let mut other = *clause;
    let bare = |phrase: &NounPhrase| phrase.as_noun().is_some() && phrase.adjective.is_none();
    let what = match rng.random_range(0..3) {
        0 if clause.place.is_none() => {
            other.place = Some(choose(rng, &PLACES));
            "place"
        }
        1 if bare(&clause.agent) => {
            other.agent.adjective = Some(crate::grammar::adjective(rng));
            "adjective"
        }
        2 if bare(&clause.patient) => {
            other.patient.adjective = Some(crate::grammar::adjective(rng));
            "adjective"
        }
        _ => return None,
    };
    Some((other, what))
}

/// The clause in the base words of its meaning, and its difference from another.
pub(crate) fn analysis(clause: &Clause, difference: &str) -> String {
    let noun = |phrase: &NounPhrase| match phrase.head {
        Head::Name(name) => name.word,
        Head::Noun(noun) => noun.singular,
        Head::Pronoun(pronoun) => pronoun.subject(),
    };
    let adjective = |phrase: &NounPhrase| phrase.adjective.map(|a| a.meaning);
    let mut words: Vec<&str> = Vec::new();
    words.extend(adjective(&clause.agent));
    words.push(noun(&clause.agent));
    words.extend(clause.negated.then_some("not"));
    words.push(clause.verb.meaning);
    words.extend(adjective(&clause.patient));
    words.push(noun(&clause.patient));
    words.extend(clause.place.map(|place| place.noun));
    format!("{}: {difference}", words.join(" "))
}

/// Nothing changed.
pub(crate) const NOTHING: &str = "nothing";

/// "the dog" becomes "an animal", "three dogs" "three animals".
fn generalize(phrase: &mut NounPhrase) {
    let Some(noun) = phrase.as_noun() else { return };
    let determiner = match phrase.determiner {
        Determiner::The => Determiner::A,
        other => other,
    };
    *phrase =
        NounPhrase { adjective: phrase.adjective, ..NounPhrase::noun(noun.kind.hypernym(), determiner) };
}

fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}

/// Only if the patient can act too.
fn swap_roles(clause: &mut Clause) -> bool {
    if !clause.patient.as_noun().is_some_and(|noun| noun.kind.is_living()) {
        return false;
    }
    std::mem::swap(&mut clause.agent, &mut clause.patient);
    true
}

fn other_noun(phrase: &mut NounPhrase, rng: &mut Rng) -> bool {
    phrase.head = match phrase.head {
        Head::Name(name) => Head::Name(choose_where(rng, &NAMES, |other| other != name).expect("many names")),
        Head::Noun(noun) => {
            let sibling = |other: &Noun| other.kind == noun.kind && other != noun;
            Head::Noun(choose_where(rng, &NOUNS, sibling).expect("every kind has several nouns"))
        }
        Head::Pronoun(_) => return false,
    };
    true
}

fn other_adjective(clause: &mut Clause, rng: &mut Rng) -> bool {
    for phrase in [&mut clause.agent, &mut clause.patient] {
        if let Some(adjective) = phrase.adjective {
            phrase.adjective = Some(match adjective.antonym(rng) {
                Some(antonym) => antonym,
                None => choose_where(rng, &COLORS, |other| other != adjective).expect("many colours"),
            });
            return true;
        }
    }
    false
}

/// A clause in the past tense with at least one modifier.
pub(crate) fn rich_clause(rng: &mut Rng) -> Clause {
    loop {
        let mut clause = Clause::random(rng);
        clause.tense = Tense::Past;
        let modifiers =
            [clause.agent.adjective.is_some(), clause.patient.adjective.is_some(), clause.place.is_some()];
        // A clause whose two participants are of one kind would be ambiguous under hypernyms.
        let kinds = clause.agent.as_noun().map(|n| n.kind) != clause.patient.as_noun().map(|n| n.kind);
        if modifiers.contains(&true) && kinds {
            return clause;
        }
    }
}
