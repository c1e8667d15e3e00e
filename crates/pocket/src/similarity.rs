//! How similar are the sentences, from 0 to 5? In the format of STS-B.
//!
//! Five slots (agent, action, patient, the patient's adjective, place) count 1 each if they mean the
//! same, 0.5 for nouns of one kind or for two colors, and 0 otherwise.

use rand::Rng as _;

use crate::grammar::{Clause, Determiner, Form, NounPhrase, Tense};
use crate::lexicon::*;
use crate::{Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask =
    PocketTask { name: "similarity", columns: &["sentence1", "sentence2"], classes: &[], targets: &[], draw };

fn draw(rng: &mut Rng) -> Row {
    let [first, mut second] = [clause(rng), clause(rng)];
    let overlap = rng.random_range(0.0..=1.0);
    let mut kept = || chance(rng, overlap);
    if kept() {
        second.agent = first.agent;
    }
    if kept() {
        second.verb = first.verb;
    }
    if kept() {
        second.patient.head = first.patient.head;
    }
    if kept() {
        second.patient.adjective = first.patient.adjective;
    }
    if kept() {
        second.place = first.place;
    }
    let second = crate::meaning::reworded(&second, rng);
    let texts = vec![first.sentence(Form::default()), second.sentence(Form::random(rng))];
    let slots = slots(&first, &second);
    let words = slots.iter().map(|&slot| match slot {
        1.0 => "same",
        0.5 => "half",
        _ => "different",
    });
    let reason = words.collect::<Vec<_>>().join(" ");
    Row { texts, label: Label::Score(slots.iter().sum()), reason }
}

/// "the baker washed the red kite in the park", with every slot filled.
fn clause(rng: &mut Rng) -> Clause {
    let mut phrase = |admits: fn(Kind) -> bool| {
        let noun = choose_where(rng, &NOUNS, |noun| admits(noun.kind)).expect("every kind has nouns");
        NounPhrase::noun(noun, Determiner::The)
    };
    let agent = phrase(Kind::is_living);
    let patient = phrase(|kind| !kind.is_living());
    let adjective = Some(crate::grammar::adjective(rng));
    Clause {
        agent,
        verb: choose(rng, &VERBS),
        patient: NounPhrase { adjective, ..patient },
        tense: Tense::Past,
        negated: false,
        place: Some(choose(rng, &PLACES)),
    }
}

/// The score of each of the five slots.
fn slots(first: &Clause, second: &Clause) -> [f64; 5] {
    let nouns = |a: &NounPhrase, b: &NounPhrase| match (a.as_noun(), b.as_noun()) {
        (Some(a), Some(b)) if a == b => 1.0,
        (Some(a), Some(b)) if a.kind == b.kind => 0.5,
        _ => 0.0,
    };
    let is_color = |a: &Adjective| COLORS.contains(a);
    let adjectives = match (first.patient.adjective, second.patient.adjective) {
        (Some(a), Some(b)) if a.meaning == b.meaning => 1.0,
        (Some(a), Some(b)) if is_color(a) && is_color(b) => 0.5,
        _ => 0.0,
    };
    [
        nouns(&first.agent, &second.agent),
        f64::from(first.verb.meaning == second.verb.meaning),
        nouns(&first.patient, &second.patient),
        adjectives,
        f64::from(first.place == second.place),
    ]
}
