//! Does the word mean the same in both sentences? In the format of WiC.

use crate::lexicon::{NAMES, PLACES, chance, choose, choose_two};
use crate::{DIGITS, Label, PocketTask, Rng, Row};

pub(crate) const TASK: PocketTask = PocketTask {
    name: "sense",
    columns: &["sentence1", "sentence2", "word"],
    classes: &["different", "same"],
    targets: DIGITS,
    draw,
};

/// A word with two senses, and contexts that determine each; `*` stands for a person.
pub(crate) struct Polyseme {
    pub word: &'static str,
    /// A word for each sense.
    pub names: [&'static str; 2],
    pub senses: [[&'static str; 4]; 2],
}

pub(crate) static POLYSEMES: [Polyseme; 12] = [
    Polyseme {
        word: "bat",
        names: ["game", "animal"],
        senses: [
            [
                "* hit the ball with a bat",
                "* swung the wooden bat",
                "the bat broke in the game",
                "* bought a bat and a glove",
            ],
            [
                "a bat flew out of the cave",
                "* saw a bat asleep in the dark",
                "the bat ate a fly",
                "the bat hung from the roof",
            ],
        ],
    },
    Polyseme {
        word: "bank",
        names: ["money", "river"],
        senses: [
            [
                "* put money in the bank",
                "* got a loan from the bank",
                "the bank was robbed",
                "* works in a bank",
            ],
            [
                "* sat on the bank of the river",
                "the boat lay by the bank",
                "grass grew on the bank",
                "* fished from the bank",
            ],
        ],
    },
    Polyseme {
        word: "ring",
        names: ["gold", "sound"],
        senses: [
            [
                "* wore a gold ring",
                "* lost the wedding ring",
                "the ring was on her finger",
                "* gave her a ring",
            ],
            [
                "* heard the ring of a bell",
                "the ring of the phone woke *",
                "with a ring the door opened",
                "the loud ring of the clock stopped",
            ],
        ],
    },
    Polyseme {
        word: "match",
        names: ["fire", "game"],
        senses: [
            [
                "* lit a match",
                "the match burned out",
                "* struck a match in the dark",
                "a match started the fire",
            ],
            [
                "our team won the match",
                "* played in the match",
                "the match ended in a draw",
                "* watched the tennis match",
            ],
        ],
    },
    Polyseme {
        word: "star",
        names: ["sky", "person"],
        senses: [
            [
                "a star shone in the sky",
                "* saw a bright star at night",
                "the star is far from the earth",
                "* looked at a star",
            ],
            [
                "the star signed her name",
                "* is the star of the film",
                "the star sang on the stage",
                "* wants to be a famous star",
            ],
        ],
    },
    Polyseme {
        word: "mouse",
        names: ["animal", "computer"],
        senses: [
            [
                "the cat caught a mouse",
                "a mouse ate the cheese",
                "* saw a mouse in its hole",
                "the mouse has a long tail",
            ],
            [
                "* clicked with the mouse",
                "the mouse of the computer broke",
                "* moved the mouse on the desk",
                "* plugged in a new mouse",
            ],
        ],
    },
    Polyseme {
        word: "chest",
        names: ["body", "box"],
        senses: [
            [
                "* felt a pain in the chest",
                "the doctor listened to his chest",
                "* has a hairy chest",
                "* held the child to her chest",
            ],
            [
                "the gold was in a chest",
                "* opened the wooden chest",
                "the pirates buried a chest",
                "* locked the chest with a key",
            ],
        ],
    },
    Polyseme {
        word: "letter",
        names: ["paper", "word"],
        senses: [
            [
                "* wrote a letter to her friend",
                "* posted the letter",
                "the letter came in the mail",
                "* read the long letter",
            ],
            [
                "* learned the first letter of the word",
                "the word ends in this letter",
                "* wrote a capital letter",
                "a letter is missing in the name",
            ],
        ],
    },
    Polyseme {
        word: "spring",
        names: ["time", "metal"],
        senses: [
            [
                "flowers grow in spring",
                "* was born in spring",
                "after winter comes spring",
                "the birds return every spring",
            ],
            [
                "the spring in the bed broke",
                "* bent the metal spring",
                "a spring holds the door",
                "the clock has a small spring",
            ],
        ],
    },
    Polyseme {
        word: "trunk",
        names: ["animal", "tree"],
        senses: [
            [
                "the elephant raised its trunk",
                "with its trunk it drank water",
                "the animal has a long trunk",
                "* touched the grey trunk of the elephant",
            ],
            [
                "* cut the trunk of the tree",
                "the tree has a thick trunk",
                "* leaned on the trunk of an oak",
                "leaves lay around the trunk",
            ],
        ],
    },
    Polyseme {
        word: "club",
        names: ["people", "wood"],
        senses: [
            [
                "* joined the chess club",
                "the club meets on friday",
                "the members of the club voted",
                "* is president of the club",
            ],
            [
                "the hunter swung a club",
                "* hit the stone with a club",
                "the giant carried a heavy club",
                "a wooden club was his weapon",
            ],
        ],
    },
    Polyseme {
        word: "bow",
        names: ["arrow", "ribbon"],
        senses: [
            [
                "* shot an arrow with a bow",
                "the hunter drew his bow",
                "* made a bow and arrows",
                "the string of the bow broke",
            ],
            [
                "* tied a ribbon in a bow",
                "she wore a bow in her hair",
                "the gift had a pink bow",
                "* put a bow on the present",
            ],
        ],
    },
];

fn draw(rng: &mut Rng) -> Row {
    let polyseme = choose(rng, &POLYSEMES);
    let same = chance(rng, 0.5);
    let [one, other] = choose_two(rng, &[0, 1]);
    let second_sense = if same { one } else { other };
    let first = choose(rng, &polyseme.senses[*one]);
    let mut second = choose(rng, &polyseme.senses[*second_sense]);
    while second == first {
        second = choose(rng, &polyseme.senses[*second_sense]);
    }
    let texts = vec![sentence(rng, first), sentence(rng, second), polyseme.word.into()];
    let reason = format!("{} {}", polyseme.names[*one], polyseme.names[*second_sense]);
    Row { texts, label: Label::Class(usize::from(same)), reason }
}

/// The context with a person, and sometimes with a place, which is unrelated to the sense.
fn sentence(rng: &mut Rng, context: &str) -> String {
    let text = context.replace('*', choose(rng, &NAMES).word);
    if chance(rng, 0.3) {
        return format!("{} {text}.", choose(rng, &PLACES).phrase());
    }
    let opening = choose(rng, &["", "", "yesterday ", "once ", "one day ", "today "]);
    format!("{opening}{text}.")
}
