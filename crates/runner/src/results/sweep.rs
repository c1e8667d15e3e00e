//! How the settings of a suite's methods were chosen.

use serde::{Deserialize, Serialize};

use super::score_text::score_text;
use super::table::seeds_text;
use crate::train::Criterion;

/// The trials of a sweep and what they led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Seeds of the trials, none of them a seed of the suite.
    pub seeds: Vec<u64>,
    pub rule: String,
    pub choices: Vec<Choice>,
}

/// The choice for a method on a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub method: String,
    pub group: String,
    pub task_title: String,
    /// The metrics that choose.
    pub metric: String,
    /// In the order of the grid.
    pub trials: Vec<Trial>,
    /// Which trial is the best; `None` where no setting can be chosen.
    pub chosen: Option<usize>,
}

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of its cells' method in the table of trials.
    pub name: String,
    /// `learning_rate = 0.001, rank = 4`
    pub settings: String,
    /// Each setting with its value, as TOML writes them; none where an older version of the program tried it.
    #[serde(default)]
    pub values: Vec<(String, String)>,
    /// Mean over seeds on the validation split.
    pub score: Option<f64>,
    /// Why there is no score.
    pub problem: Option<Problem>,
}

/// Why a trial has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// Some seed's loss stopped being finite.
    Diverged,
    /// Some seed has no result.
    Missing,
}

impl Sweep {
    /// The rule by which a trial is chosen.
    pub const RULE: &str = "the best mean over seeds on the validation split, the first of equals";

    /// Takes over the choices of an earlier run that this one says nothing of.
    pub(super) fn join(&mut self, earlier: Self) {
        let is_new = |choice: &Choice| !self.choices.iter().any(|own| own.is_for(choice));
        let others: Vec<Choice> = earlier.choices.into_iter().filter(is_new).collect();
        self.choices.extend(others);
    }

    /// What is told under a table.
    pub(super) fn notes(&self) -> Vec<String> {
        let heading = format!("sweep: {}, with {}:", self.rule, seeds_text(&self.seeds));
        let choices = self.choices.iter().map(|choice| format!("  {}", choice.text()));
        [heading].into_iter().chain(choices).collect()
    }
}

impl Choice {
    /// Which of these trials is the best: those that diverged are not, and where one is missing there is no choice.
    pub fn best(metric: &str, trials: &[Trial]) -> Option<usize> {
        if trials.iter().any(|trial| trial.problem == Some(Problem::Missing)) {
            return None;
        }
        let criterion = Criterion::parse(metric)?;
        let scored = trials.iter().enumerate().filter_map(|(i, trial)| Some((i, trial.score?)));
        let best = scored.fold(None, |best: Option<(usize, f64)>, (i, score)| {
            let is_better = criterion.prefers(score, best.map(|(_, score)| score));
            if is_better { Some((i, score)) } else { best }
        });
        best.map(|(i, _)| i)
    }

    fn is_for(&self, other: &Self) -> bool {
        let key = |choice: &Self| [&choice.method, &choice.group, &choice.task_title].map(String::clone);
        key(self) == key(other)
    }

    /// The choice in words.
    pub fn text(&self) -> String {
        let Self { method, task_title, metric, trials, .. } = self;
        let others = |own: Option<usize>| {
            let others = trials.iter().enumerate().filter(|(i, _)| Some(*i) != own);
            others
                .map(|(_, trial)| format!("{}: {}", trial.settings, trial.text(metric)))
                .collect::<Vec<_>>()
                .join("; ")
        };
        match self.chosen.map(|chosen| (chosen, &trials[chosen])) {
            Some((chosen, trial)) => format!(
                "{method} on {task_title}: {}, with {metric} {} ({})",
                trial.settings,
                trial.text(metric),
                others(Some(chosen))
            ),
            None => format!(
                "{method} on {task_title}: none can be chosen, and so it does not run ({})",
                others(None)
            ),
        }
    }
}

impl Trial {
    fn text(&self, metric: &str) -> String {
        match (self.score, self.problem) {
            (Some(score), _) => score_text(metric, score),
            (None, Some(Problem::Diverged)) => "diverged".into(),
            (None, _) => "no result".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(scores: &[Result<f64, Problem>]) -> Vec<Trial> {
        let trial = |(i, score): (usize, &Result<f64, Problem>)| Trial {
            name: format!("lora [rank = {i}]"),
            settings: format!("rank = {i}"),
            values: vec![("rank".into(), i.to_string())],
            score: score.ok(),
            problem: score.err(),
        };
        scores.iter().enumerate().map(trial).collect()
    }

    #[test]
    fn the_first_of_the_best_is_chosen_and_errors_are_best_when_low() {
        let scores = trials(&[Ok(70.0), Ok(80.0), Ok(80.0), Ok(60.0)]);
        assert_eq!(Choice::best("accuracy", &scores), Some(1));
        assert_eq!(Choice::best("mean of accuracy and f1", &scores), Some(1));
        assert_eq!(Choice::best("mean-absolute-error", &scores), Some(3));
    }

    #[test]
    fn what_diverged_is_not_chosen_and_what_is_missing_leaves_no_choice() {
        use Problem::{Diverged, Missing};
        let best = |scores| Choice::best("accuracy", &trials(scores));
        assert_eq!(best(&[Err(Diverged), Ok(-1.0)]), Some(1));
        assert_eq!(best(&[Err(Diverged), Err(Diverged)]), None);
        assert_eq!(best(&[Ok(90.0), Err(Missing)]), None);
    }

    #[test]
    fn a_choice_is_told_with_all_trials() {
        let trials = trials(&[Ok(70.0), Ok(80.0), Err(Problem::Diverged)]);
        let text = String::from;
        let (method, group, task_title, metric) = (text("lora"), text("GLUE"), text("RTE"), text("accuracy"));
        let choice = Choice { method, group, task_title, metric, chosen: Some(1), trials };
        assert_eq!(
            choice.text(),
            "lora on RTE: rank = 1, with accuracy 80.0 (rank = 0: 70.0; rank = 2: diverged)"
        );
        let none = Choice { chosen: None, ..choice.clone() };
        assert!(none.text().starts_with("lora on RTE: none can be chosen"), "{}", none.text());
        let other = Choice { task_title: "CoLA".into(), ..choice.clone() };
        let mut sweep = Sweep { seeds: vec![7], rule: Sweep::RULE.into(), choices: vec![choice.clone()] };
        sweep.join(Sweep { choices: vec![none, other.clone()], ..sweep.clone() });
        assert_eq!(sweep.choices, [choice, other]);
    }
}
