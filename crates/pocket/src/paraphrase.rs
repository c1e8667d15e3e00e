//! Do the two sentences mean the same? In the format of MRPC, QQP and PAWS, with high word overlap.

use crate::grammar::{Clause, Form};
use crate::lexicon::chance;
use crate::meaning::{NOTHING, altered, analysis, reworded};
use crate::{LETTERS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "paraphrase",
    columns: &["sentence1", "sentence2"],
    classes: &["different", "same"],
    targets: LETTERS,
    draw,
};

fn draw(rng: &mut Rng) -> Row {
    let same = chance(rng, 0.5);
    loop {
        let first = Clause::random(rng);
        let second = reworded(&first, rng);
        let (second, what) = if same { (second, NOTHING) } else { altered(&second, rng) };
        let texts = vec![first.sentence(Form::random(rng)), second.sentence(Form::random(rng))];
        if texts[0] != texts[1] {
            return Row { texts, label: Label::Class(usize::from(same)), reason: analysis(&second, what) };
        }
    }
}
