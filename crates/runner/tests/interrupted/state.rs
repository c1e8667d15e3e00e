//! Resuming from a state is bit-identical, and nothing else is accepted as a state.

use std::fs;
use std::path::Path;

use peft_bench::train::{RunStatus, StateError, TrainError};
use peft_model::random::keyed_rng;
use rand::Rng;
use serde_json::{Value, json};

use crate::common::files;
use crate::small::{Bits, EVALUATE_EVERY, STEPS, Small, forge, forge_state};

#[test]
fn a_training_killed_after_every_step_is_bit_identical() {
    let small = Small::new();
    let undisturbed = small.train().unwrap();
    assert_eq!(undisturbed[0].2.iter().map(|point| point.0).collect::<Vec<_>>(), [10, 20, STEPS]);
    assert!(undisturbed.iter().all(|run| run.4.is_some()));
    // The state is written between loss records, at them, and at evaluations.
    small.die_in(2);
    for _ in 2..STEPS {
        small.die_in(2);
    }
    assert_eq!(small.train().unwrap(), undisturbed);
}

#[test]
fn writing_a_state_changes_nothing() {
    let small = Small::new();
    let undisturbed = small.train().unwrap();
    small.die_in(STEPS);
    assert_eq!(small.train().unwrap(), undisturbed);
}

#[test]
fn a_run_that_diverges_between_loss_checks_does_not_affect_its_neighbor() {
    let small = Small::breaking_the_second();
    let undisturbed = small.train().unwrap();
    assert_eq!(undisturbed[0], Small::new().train().unwrap()[0]);
    let (_, status, losses, ..) = &undisturbed[1];
    assert!(matches!(status, RunStatus::Diverged { step: EVALUATE_EVERY, .. }), "{status:?}");
    assert!(losses.is_empty());
    small.die_in(EVALUATE_EVERY - 1);
    for _ in 0..6 {
        small.die_in(2);
    }
    assert_eq!(small.train().unwrap(), undisturbed);
}

/// A number of correct answers and of rows, whose score serde_json's fast path reads one unit in the last place lower.
const EASILY_LOWERED: (usize, usize) = (14, 15);

#[test]
fn a_resumed_run_on_a_tie_keeps_the_earlier_checkpoint() {
    let (right, rows) = EASILY_LOWERED;
    let small = Small::standing_still(right, rows);
    let undisturbed = small.train().unwrap();
    for run in &undisturbed {
        let scores: Vec<f64> = run.3.iter().map(|point| f64::from_bits(point.1)).collect();
        assert!(scores.len() > 2 && scores.iter().all(|score| *score == scores[0]), "{scores:?}");
        assert_eq!(run.4.as_ref().unwrap().0, EVALUATE_EVERY);
    }
    assert_eq!(f64::from_bits(undisturbed[0].3[0].1), 100.0 * right as f64 / rows as f64);
    small.die_in(EVALUATE_EVERY + 3);
    assert_eq!(small.train().unwrap(), undisturbed);
}

/// A training, its results, and its state after 14 steps.
struct Begun {
    small: Small,
    undisturbed: Bits,
    state: Vec<u8>,
}

impl Begun {
    fn new() -> Self {
        let small = Small::new();
        let undisturbed = small.train().unwrap();
        small.die_in(15);
        let state = fs::read(small.state()).unwrap();
        fs::remove_file(small.state()).unwrap();
        Self { small, undisturbed, state }
    }

    /// Resumes from a modified state: it is set aside, and the result is that of a training without it.
    fn assert_set_aside(&self, what: &str, change: impl FnOnce(&Path)) {
        let path = self.small.state();
        fs::write(&path, &self.state).unwrap();
        change(&path);
        assert!(self.small.train().unwrap() == self.undisturbed, "{what}");
        let aside = path.with_file_name("state.safetensors.damaged-1");
        assert!(aside.exists() && !path.exists(), "{what}: {:?}", files(path.parent().unwrap()));
        fs::remove_file(aside).unwrap();
    }
}

#[test]
fn an_inconsistent_state_is_set_aside() {
    type Lie = (&'static str, fn(&mut Value));
    let lies: [Lie; 24] = [
        ("a step beyond the end", |s| s["step"] = json!(STEPS + 1)),
        ("the last step", |s| s["step"] = json!(STEPS)),
        ("the next step", |s| s["step"] = json!(15)),
        ("the step before", |s| s["step"] = json!(13)),
        ("a step of as many losses of late", |s| s["step"] = json!(4)),
        ("a huge step", |s| s["step"] = json!(u64::MAX)),
        ("no runs", |s| s["alive"] = json!([])),
        ("a run twice", |s| s["alive"] = json!([0, 0])),
        ("one run of two", |s| s["alive"] = json!([0])),
        ("another order of runs", |s| s["alive"] = json!([1, 0])),
        ("a run too many", |s| s["alive"] = json!([0, 1, 2])),
        ("a run that there is not", |s| s["alive"] = json!([0, 2])),
        ("swapped outcomes", |s| s["outcomes"].as_array_mut().unwrap().swap(0, 1)),
        ("the first outcome twice", |s| s["outcomes"][1] = s["outcomes"][0].clone()),
        ("one outcome", |s| drop(s["outcomes"].as_array_mut().unwrap().pop())),
        ("no outcomes", |s| s["outcomes"] = json!([])),
        ("another seed", |s| s["outcomes"][0]["seed"] = json!(9)),
        ("a run that has diverged", |s| {
            s["outcomes"][0]["status"] = json!({"Diverged": {"step": 10, "loss": "NaN"}});
        }),
        ("no best checkpoint", |s| s["outcomes"][0]["best"] = Value::Null),
        ("another best checkpoint", |s| {
            let best = &mut s["outcomes"][0]["best"]["step"];
            *best = json!(if *best == 4 { 8 } else { 4 });
        }),
        ("a best score of its own", |s| s["outcomes"][0]["best"]["validation"][0][1] = json!("101.0")),
        ("no best scores", |s| s["outcomes"][0]["best"]["validation"] = json!([])),
        ("a loss too few", |s| s["outcomes"][0]["losses"] = json!([])),
        ("a score too many", |s| {
            s["outcomes"][0]["validation"].as_array_mut().unwrap().push(json!([14, "0.0"]));
        }),
    ];
    let begun = Begun::new();
    for (what, lie) in lies {
        begun.assert_set_aside(what, |path| forge_state(path, lie));
    }
    // A rewritten but consistent state is accepted, so the rewriting itself is not what is detected.
    let path = begun.small.state();
    fs::write(&path, &begun.state).unwrap();
    forge_state(&path, |_| {});
    assert!(begun.small.train().unwrap() == begun.undisturbed && path.exists());
}

#[test]
fn a_damaged_state_is_set_aside() {
    let begun = Begun::new();
    let whole = &begun.state;
    for copy in 0..12 {
        let mut rng = keyed_rng(copy, "damage to a state");
        let at = rng.random_range(0..whole.len());
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << rng.random_range(0..8);
        let stretched = [&whole[..at], &whole[at / 2..]].concat();
        for (what, bytes) in [("flipped", flipped), ("cut", whole[..at].to_vec()), ("stretched", stretched)] {
            begun.assert_set_aside(&format!("{what} at {at}"), |path| fs::write(path, bytes).unwrap());
        }
    }
}

#[test]
fn the_state_of_another_training_is_set_aside() {
    Begun::new().assert_set_aside("another owner", |path| {
        forge(path, |description| description["owner"] = json!("another"));
    });
}

#[test]
fn a_state_that_cannot_be_read_is_an_error() {
    let small = Small::new();
    fs::create_dir(small.state()).unwrap();
    let problem = small.train().unwrap_err();
    assert!(matches!(problem, TrainError::State(StateError::Read { .. })), "{problem}");
    assert!(problem.to_string().contains("state.safetensors"), "{problem}");
    assert!(small.state().is_dir());
}
