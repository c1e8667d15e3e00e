//! Changes to a clause that keep its meaning, and changes that do not.

use rand::Rng as _;

use super::Rng;
use super::grammar::{Clause, Determiner, NounPhrase, Tense};
use super::lexicon::*;

/// Synonyms for some of the words.
pub fn reworded(clause: &Clause, rng: &mut Rng) -> Clause {
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

/// The clause with one change after which it no longer says the same; never an added or a dropped part.
pub fn altered(clause: &Clause, rng: &mut Rng) -> Clause {
    loop {
        let mut other = *clause;
        let changed = match rng.random_range(0..6) {
            0 => swap_roles(&mut other),
            1 => set(&mut other.verb, clause.verb.other(rng)),
            2 => other_noun(&mut other.agent, rng),
            3 => other_noun(&mut other.patient, rng),
            4 => other_adjective(&mut other, rng),
            _ => {
                other.negated = !other.negated;
                true
            }
        };
        if changed {
            return other;
        }
    }
}

/// The clause with one change after which both cannot be true.
pub fn contradicted(clause: &Clause, rng: &mut Rng) -> Clause {
    let mut other = *clause;
    match clause.verb.antonym(rng) {
        Some(verb) if !clause.negated && chance(rng, 0.5) => other.verb = verb,
        _ => other.negated = !other.negated,
    }
    other
}

/// Says less of what `said` shares with `told`: fewer modifiers, and hypernyms where they are wanted.
///
/// What follows from `told` still follows, and what does not still does not.
pub fn weakened(told: &Clause, said: &Clause, hypernyms: bool, rng: &mut Rng) -> Clause {
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
            generalise(phrase);
        }
    }
    weak
}

/// The clause with something added that it does not say, such that it neither follows nor is excluded.
///
/// Returns none if nothing can be added.
pub fn strengthened(clause: &Clause, rng: &mut Rng) -> Option<Clause> {
    let mut other = *clause;
    let bare = |phrase: &NounPhrase| phrase.as_noun().is_some() && phrase.adjective.is_none();
    match rng.random_range(0..3) {
        0 if clause.place.is_none() => other.place = Some(choose(rng, &PLACES)),
        1 if bare(&clause.agent) => other.agent.adjective = Some(super::grammar::adjective(rng)),
        2 if bare(&clause.patient) => other.patient.adjective = Some(super::grammar::adjective(rng)),
        _ => return None,
    }
    Some(other)
}

/// "the dog" becomes "an animal", "three dogs" "three animals".
fn generalise(phrase: &mut NounPhrase) {
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

/// Only where the patient can act too.
fn swap_roles(clause: &mut Clause) -> bool {
    if !clause.patient.as_noun().is_some_and(|noun| noun.kind.is_living()) {
        return false;
    }
    std::mem::swap(&mut clause.agent, &mut clause.patient);
    true
}

fn other_noun(phrase: &mut NounPhrase, rng: &mut Rng) -> bool {
    use super::grammar::Head;
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
                None => choose_where(rng, &COLOURS, |other| other != adjective).expect("many colours"),
            });
            return true;
        }
    }
    false
}

/// A clause in the past with modifiers, of which there is much to say.
pub fn rich_clause(rng: &mut Rng) -> Clause {
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
