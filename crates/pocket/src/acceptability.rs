//! Is the sentence good English? In the format of CoLA.

use rand::Rng as _;

use crate::grammar::{Clause, Form, Head, NounPhrase, Pronoun, Tag, Word, join};
use crate::lexicon::{chance, choose};
use crate::{LETTERS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "acceptability",
    columns: &["sentence"],
    classes: &["bad", "good"],
    targets: LETTERS,
    draw,
};

fn draw(rng: &mut Rng) -> Row {
    let good = chance(rng, 0.5);
    loop {
        let words = clause(rng).words(Form::random(rng));
        let right = join(&words);
        let text = if good { Some(right.clone()) } else { broken(&words, rng) };
        if let Some(text) = text {
            return Row { texts: vec![text + "."], label: Label::Class(usize::from(good)), reason: right };
        }
    }
}

/// A clause, sometimes with a pronoun as its agent.
fn clause(rng: &mut Rng) -> Clause {
    let mut clause = Clause::random(rng);
    if chance(rng, 0.2) {
        let pronoun = *choose(rng, &[Pronoun::He, Pronoun::She, Pronoun::They]);
        clause.agent = NounPhrase { head: Head::Pronoun(pronoun), adjective: None, ..clause.agent };
    }
    clause
}

/// The words with one error, or `None` if the drawn kind of error does not apply.
fn broken(words: &[Word], rng: &mut Rng) -> Option<String> {
    let mut faulty = words.to_vec();
    match rng.random_range(0..6) {
        0..=2 => {
            let at = pick(words, rng, |word| word.wrong.is_some())?;
            faulty[at].text = words[at].wrong?;
        }
        3 => {
            let at = pick(words, rng, |word| word.tag == Tag::SingularDeterminer)?;
            match chance(rng, 0.5) {
                true => drop(faulty.remove(at)),
                false => faulty.insert(at, words[at]),
            }
        }
        4 => {
            let at = pick(words, rng, |word| word.tag == Tag::Adjective)?;
            faulty.swap(at, at + 1);
        }
        _ => {
            let at = pick(words, rng, |word| word.tag == Tag::Finite)?;
            let verb = faulty.remove(at);
            faulty.push(verb);
        }
    }
    let (right, wrong) = (join(words), join(&faulty));
    (right != wrong).then_some(wrong)
}

fn pick(words: &[Word], rng: &mut Rng, admits: impl Fn(&Word) -> bool) -> Option<usize> {
    let places: Vec<usize> = (0..words.len()).filter(|&i| admits(&words[i])).collect();
    (!places.is_empty()).then(|| *choose(rng, &places))
}
