//! Do the two marked phrases mean the same person? In the format of WSC.

use crate::grammar::Pronoun;
use crate::lexicon::*;
use crate::{LETTERS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask =
    PocketTask { name: "pronoun", columns: &["text"], classes: &["no", "yes"], targets: LETTERS, draw };

/// What one person did to another, and why; the reason is about one of them.
pub(crate) struct Reason {
    pub deed: &'static str,
    pub reason: &'static str,
    /// Whether the reason is about the one who acted.
    pub about_subject: bool,
}

const fn reason(deed: &'static str, about_subject: bool, reason: &'static str) -> Reason {
    Reason { deed, reason, about_subject }
}

pub(crate) static REASONS: [Reason; 24] = [
    reason("thanked", false, "had helped"),
    reason("thanked", true, "was grateful"),
    reason("helped", true, "was kind"),
    reason("helped", false, "was in trouble"),
    reason("carried", true, "was strong"),
    reason("carried", false, "was tired"),
    reason("scolded", false, "was rude"),
    reason("scolded", true, "was strict"),
    reason("praised", false, "was clever"),
    reason("paid", false, "had sold the car"),
    reason("paid", true, "had bought the car"),
    reason("chased", true, "was angry"),
    reason("chased", false, "had stolen the money"),
    reason("followed", false, "knew the way"),
    reason("followed", true, "was lost"),
    reason("visited", false, "was ill"),
    reason("visited", true, "had time"),
    reason("envied", false, "was rich"),
    reason("envied", true, "was poor"),
    reason("feared", false, "was cruel"),
    reason("feared", true, "was weak"),
    reason("asked", true, "needed advice"),
    reason("asked", false, "knew the answer"),
    reason("forgave", false, "was sorry"),
];

fn draw(rng: &mut Rng) -> Row {
    let reason = choose(rng, &REASONS);
    let [subject, object] = choose_two(rng, &NAMES);
    let place = if chance(rng, 0.5) { format!(" {}", choose(rng, &PLACES).phrase()) } else { String::new() };
    let meant = if reason.about_subject { subject } else { object };
    let pronoun = Pronoun::of(meant.gender).subject();
    let marked = *choose(rng, &[subject, object]);
    let mark = |name: &Name| if name == marked { format!("* {} *", name.word) } else { name.word.into() };
    let text = format!(
        "{} {} {}{place} because # {pronoun} # {}.",
        mark(subject),
        reason.deed,
        mark(object),
        reason.reason
    );
    Row { texts: vec![text], label: Label::Class(usize::from(meant == marked)), reason: meant.word.into() }
}
