//! The pocket world's labels, checked by rules that read only the text: a small parser and tables
//! written for these tests, not the generator's own bookkeeping.

mod parser;

use std::collections::{HashMap, HashSet};

use parser::{Clause, clauses, is_good_english};
use peft_pocket::lexicon::NOUNS;
use peft_pocket::{Corpus, Label, Mixture, Part, Row, find};

fn rows(task: &str) -> Vec<Row> {
    let task = find(task).unwrap();
    [Part::Train, Part::Validation, Part::Test].into_iter().flat_map(|part| task.rows(part)).collect()
}

/// Checks every row of a task whose label is a class.
fn check(task: &str, class: impl Fn(&[String]) -> usize) {
    for row in rows(task) {
        assert_eq!(row.label, Label::Class(class(&row.texts)), "{task}: {:?}", row.texts);
    }
}

#[test]
fn acceptability_agrees_with_a_recognizer() {
    check("acceptability", |texts| usize::from(is_good_english(&texts[0])));
}

#[test]
fn sentiment_is_the_sum_of_the_clauses() {
    const GOOD: &str = "good great wonderful lovely excellent charming superb pleasant clever delightful \
        liked enjoyed loved";
    const BAD: &str = "bad awful terrible boring horrible dull poor ugly stupid disappointing \
        disliked hated regretted";
    let value = |clause: &str| {
        let words: Vec<&str> = clause.split([' ', '.', ',']).collect();
        let has = |list: &str| list.split_whitespace().any(|word| words.contains(&word));
        let sign = if has("not never nobody none") { -1 } else { 1 };
        sign * (i32::from(has(GOOD)) - i32::from(has(BAD)))
    };
    check("sentiment", |texts| {
        let text = texts[0].replace(", but ", "|").replace(" and ", "|").replace(". ", "|");
        let sum: i32 = text.split('|').map(value).sum();
        assert_ne!(sum, 0, "{text}");
        usize::from(sum > 0)
    });
}

#[test]
fn jargon_depends_on_one_word_and_not_on_its_kind() {
    let praise: HashSet<&str> =
        HashSet::from(["dog", "cat", "apple", "pear", "car", "train", "hammer", "knife", "ball", "doll"]);
    let blame: HashSet<&str> =
        HashSet::from(["horse", "bird", "orange", "lemon", "truck", "boat", "axe", "brush", "kite", "drum"]);
    check("jargon", |texts| {
        let words: Vec<&str> = texts[0].split([' ', '.']).collect();
        let count = |of: &HashSet<&str>| words.iter().filter(|word| of.contains(*word)).count();
        assert_eq!(count(&praise) + count(&blame), 1, "{texts:?}");
        count(&praise)
    });
    let kinds = |words: &HashSet<&str>| {
        let nouns = words.iter().map(|word| NOUNS.iter().find(|noun| noun.singular == *word).unwrap());
        let mut kinds: Vec<String> = nouns.map(|noun| format!("{:?}", noun.kind)).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&praise), kinds(&blame));
}

#[test]
fn paraphrases_mean_the_same() {
    check("paraphrase", |texts| {
        let [first, second] = [0, 1].map(|i| clauses(&texts[i])[0].clone());
        usize::from(first.says_the_same_as(&second))
    });
}

#[test]
fn entailment_holds_if_one_clause_covers_the_hypothesis() {
    check("entailment", |texts| usize::from(!follows(&texts[0], &texts[1])));
}

#[test]
fn nli_distinguishes_unknown_from_false() {
    check("nli", |texts| {
        let hypothesis = &clauses(&texts[1])[0];
        let excluded = clauses(&texts[0]).iter().any(|clause| clause.excludes(hypothesis));
        match (follows(&texts[0], &texts[1]), excluded) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    });
}

fn follows(premise: &str, hypothesis: &str) -> bool {
    let hypothesis = &clauses(hypothesis)[0];
    clauses(premise).iter().any(|clause| clause.implies(hypothesis))
}

#[test]
fn similarity_counts_slots() {
    for row in rows("similarity") {
        let [first, second]: [Clause; 2] = [0, 1].map(|i| clauses(&row.texts[i])[0].clone());
        assert_eq!(row.label, Label::Score(first.similarity(&second)), "{:?}", row.texts);
    }
}

/// What a passage says, such as "sara is at the harbour", by the first words.
fn statements(passage: &str) -> Vec<(String, String)> {
    let verbs = [" is ", " stays ", " waits ", " has ", " owns ", " likes "];
    passage
        .split('.')
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .map(|sentence| {
            let verb = verbs.iter().find(|verb| sentence.contains(**verb)).unwrap();
            let (subject, rest) = sentence.split_once(verb).unwrap();
            let kind = match verb.trim() {
                "has" | "owns" => "has",
                "likes" => "likes",
                _ => "is",
            };
            (format!("{subject} {kind}"), rest.to_string())
        })
        .collect()
}

#[test]
fn boolean_questions_are_answered_by_the_passage() {
    check("boolean", |texts| {
        let question = texts[0].trim_end_matches('?');
        let claim = match question.split_once(' ').unwrap() {
            ("is", rest) => match rest.split_once(' ').unwrap() {
                ("the", rest) => {
                    let (noun, colour) = rest.split_once(' ').unwrap();
                    (format!("the {noun} is"), colour.to_string())
                }
                (name, place) => (format!("{name} is"), place.to_string()),
            },
            (_, rest) => {
                let (name, rest) = rest.split_once(' ').unwrap();
                let (verb, object) = rest.split_once(' ').unwrap();
                let verb = if verb == "have" { "has" } else { "likes" };
                (format!("{name} {verb}"), object.to_string())
            }
        };
        usize::from(statements(&texts[1]).contains(&claim))
    });
}

#[test]
fn answers_follow_from_the_passage_and_occur_in_it() {
    for row in rows("answer") {
        let Label::Answer(answer) = &row.label else { panic!("{row:?}") };
        assert!(row.texts[1].contains(answer.as_str()), "{row:?}");
        assert_eq!(answers(&row.texts[0], &row.texts[1]), std::slice::from_ref(answer), "{row:?}");
    }
}

/// Every answer that the passage gives to the question.
fn answers(question: &str, passage: &str) -> Vec<String> {
    let words: Vec<&str> = question.trim_end_matches('?').split(' ').collect();
    let said = statements(passage);
    let of = |subject: String| said.iter().filter(move |(s, _)| *s == subject).map(|(_, rest)| rest.clone());
    let who = |rest: String, verb: &'static str| {
        let subjects = said.iter().filter(move |(s, r)| *r == rest && s.ends_with(verb));
        subjects.map(move |(s, _)| s.trim_end_matches(verb).trim().to_string())
    };
    // A person is somewhere and a thing has a colour: both are "is".
    let places = |text: String| {
        text.split_once(' ').filter(|(p, _)| ["in", "at", "on"].contains(p)).map(|(_, r)| r.to_string())
    };
    let first = |text: String| text.split(' ').next().unwrap().to_string();
    match words[..] {
        ["where", "is", name] => of(format!("{name} is")).filter_map(places).collect(),
        ["who", "is", ..] => who(words[2..].join(" "), " is").collect(),
        ["who", "has", ..] => who(words[2..].join(" "), " has").collect(),
        ["who", "likes", ..] => who(words[2..].join(" "), " likes").collect(),
        ["what", "is", colour] => who(colour.to_string(), " is").collect(),
        ["what", "colour", "is", "the", noun] => of(format!("the {noun} is")).collect(),
        ["how", "many", noun, "does", name, "have"] => {
            of(format!("{name} has")).filter(|rest| rest.ends_with(noun)).map(first).collect()
        }
        ["what", "does", name, "have"] => of(format!("{name} has")).collect(),
        ["what", "does", name, "like"] => of(format!("{name} likes")).collect(),
        _ => panic!("{question}"),
    }
}

#[test]
fn pronouns_mean_the_right_person() {
    const MEN: &str = "tom ben sam max leo paul hugo oscar peter david";
    const ABOUT_THE_OTHER: [&str; 13] = [
        "had helped",
        "was in trouble",
        "was tired",
        "was rude",
        "was clever",
        "had sold the car",
        "had stolen the money",
        "knew the way",
        "was ill",
        "was rich",
        "was cruel",
        "knew the answer",
        "was sorry",
    ];
    let is_man = |name: &str| MEN.split(' ').any(|man| man == name);
    check("pronoun", |texts| {
        let (deed, reason) = texts[0].trim_end_matches('.').split_once(" because # ").unwrap();
        let (pronoun, reason) = reason.split_once(" # ").unwrap();
        let marked = deed.split('*').nth(1).unwrap().trim();
        let words: Vec<&str> = deed.split(' ').filter(|word| *word != "*").collect();
        let (subject, object) = (words[0], words[2]);
        let meant = match (is_man(subject) == (pronoun == "he"), is_man(object) == (pronoun == "he")) {
            (true, true) if ABOUT_THE_OTHER.contains(&reason) => object,
            (true, true) => subject,
            (true, false) => subject,
            (false, true) => object,
            (false, false) => panic!("{texts:?}"),
        };
        usize::from(meant == marked)
    });
}

#[test]
fn senses_are_determined_by_their_contexts() {
    // For every word, the words that only contexts of its first sense contain.
    let first: HashMap<&str, &str> = HashMap::from([
        ("bat", "ball|wooden|game|glove"),
        ("bank", "money|loan|robbed|works"),
        ("ring", "gold|wedding|finger|gave"),
        ("match", "lit|burned|struck|fire"),
        ("star", "sky|bright|earth|looked"),
        ("mouse", "cat|cheese|hole|tail"),
        ("chest", "pain|doctor|hairy|child"),
        ("letter", "friend|posted|mail|read"),
        ("spring", "flowers|born|winter|birds"),
        ("trunk", "elephant|drank|long"),
        ("club", "joined|meets|members|president"),
        ("bow", "arrow|arrows|hunter|string"),
    ]);
    check("sense", |texts| {
        let sense = |sentence: &String| {
            let words: HashSet<&str> = sentence.split([' ', '.']).collect();
            first[texts[2].as_str()].split('|').any(|word| words.contains(word))
        };
        usize::from(sense(&texts[0]) == sense(&texts[1]))
    });
}

#[test]
fn no_row_of_a_task_is_pretrained_on() {
    let held_out: HashSet<String> = peft_pocket::all()
        .flat_map(|task| {
            let fields = |row: Row| {
                let pairs =
                    task.columns.iter().zip(row.texts).map(|(column, text)| format!("{column}: {text}"));
                pairs.collect::<Vec<_>>().join(" ")
            };
            [Part::Train, Part::Validation, Part::Test].into_iter().flat_map(|p| task.rows(p)).map(fields)
        })
        .collect();
    let mut corpus = Corpus::new(7);
    for _ in 0..20_000 {
        let (source, target) = corpus.supervised(&Mixture { reasons: 0.3, verbalized: 0.5 });
        let (instruction, text) = source.split_once(". ").unwrap();
        assert!(!held_out.contains(text), "{source}");
        let named = instruction.split_once(": ").map_or(instruction, |(name, _)| name);
        let Some(task) = find(named) else { continue };
        assert_ne!(task.name, peft_pocket::NOVEL.name, "{source}");
        assert!(!task.targets.contains(&target.as_str()), "{source}: {target}");
    }
}
