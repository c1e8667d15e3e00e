//! Does the hypothesis follow from the premise? Two classes as in RTE, three as in MNLI and
//! CB.

use rand::Rng as _;

use crate::grammar::{Clause, Form};
use crate::lexicon::chance;
use crate::meaning::*;
use crate::{DIGITS, Label, PocketTask, Rng, Row};

const COLUMNS: &[&str] = &["premise", "hypothesis"];

pub(crate) const TWO_WAY: PocketTask = PocketTask {
    name: "entailment",
    columns: COLUMNS,
    classes: &["follows", "not"],
    targets: DIGITS,
    draw: two_way,
};

pub(crate) const THREE_WAY: PocketTask = PocketTask {
    name: "nli",
    columns: COLUMNS,
    classes: &["follows", "unknown", "false"],
    targets: DIGITS,
    draw: three_way,
};

fn two_way(rng: &mut Rng) -> Row {
    let class = usize::from(chance(rng, 0.5));
    let (premise, told) = premise(rng);
    let said = reworded(&told, rng);
    let (said, what) = if class == 0 { (said, NOTHING) } else { altered(&said, rng) };
    row(premise, &weakened(&told, &said, true, rng), what, class, rng)
}

fn three_way(rng: &mut Rng) -> Row {
    let class = rng.random_range(0..3);
    loop {
        let (premise, told) = premise(rng);
        let said = reworded(&told, rng);
        let said = match class {
            0 => Some((said, NOTHING)),
            1 => strengthened(&said, rng),
            _ => Some(contradicted(&said, rng)),
        };
        if let Some((said, what)) = said {
            // "An animal did not run" does not exclude that the dog ran.
            return row(premise, &weakened(&told, &said, class < 2, rng), what, class, rng);
        }
    }
}

/// One or two facts, and the one that the hypothesis is about.
fn premise(rng: &mut Rng) -> (String, Clause) {
    // Negated premises would reverse the direction of weakening.
    let told = Clause { negated: false, ..rich_clause(rng) };
    let text = told.text(Form::random(rng));
    if chance(rng, 0.6) {
        return (text + ".", told);
    }
    let other = loop {
        let other = Clause { negated: false, ..rich_clause(rng) };
        let kinds = |clause: &Clause| [&clause.agent, &clause.patient].map(|p| p.as_noun().map(|n| n.kind));
        // The second fact must not affect a hypothesis about the first.
        if other.agent.head != told.agent.head
            && other.verb.meaning != told.verb.meaning
            && kinds(&other) != kinds(&told)
        {
            break other.text(Form::random(rng));
        }
    };
    let text = if chance(rng, 0.5) { format!("{text} and {other}.") } else { format!("{other} and {text}.") };
    (text, told)
}

fn row(premise: String, hypothesis: &Clause, what: &str, class: usize, rng: &mut Rng) -> Row {
    Row {
        texts: vec![premise, hypothesis.sentence(Form::random(rng))],
        label: Label::Class(class),
        reason: analysis(hypothesis, what),
    }
}
