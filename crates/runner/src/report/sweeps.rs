//! How sensitive methods are to the settings that were swept, on the validation split.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::results::{Choice, Sweep};

/// The scores of a method on a task by the values of one setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    pub method: String,
    pub task: String,
    /// The setting's name.
    pub setting: String,
    pub points: Vec<Point>,
}

/// All trials with one value of a setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    pub value: String,
    pub mean: f64,
    /// Lowest and highest of the trials, whose other settings may differ.
    pub low: f64,
    pub high: f64,
    pub seeds: usize,
}

/// The sensitivities to all settings that have several values.
pub(super) fn sensitivities(sweep: Option<&Sweep>) -> Vec<Sensitivity> {
    let Some(sweep) = sweep else { return Vec::new() };
    sweep.choices.iter().flat_map(|choice| of_choice(choice, sweep.seeds.len())).collect()
}

/// Scores of the trials with each value of a setting.
type ScoresByValue = Vec<(String, Vec<f64>)>;

fn of_choice(choice: &Choice, seeds: usize) -> Vec<Sensitivity> {
    // Settings and values in the order of the trials.
    let mut settings: Vec<(String, ScoresByValue)> = Vec::new();
    for trial in &choice.trials {
        let Some(score) = trial.score else { continue };
        for (setting, value) in &trial.values {
            let values = entry(&mut settings, setting);
            entry(values, value).push(score);
        }
    }
    let several = settings.into_iter().filter(|(_, values)| values.len() > 1);
    several
        .map(|(setting, values)| Sensitivity {
            method: choice.method.clone(),
            task: choice.task_title.clone(),
            setting,
            points: values.into_iter().map(|(value, scores)| point(value, &scores, seeds)).collect(),
        })
        .collect()
}

/// The entry of a name, made where there is none.
fn entry<'a, T: Default>(entries: &'a mut Vec<(String, T)>, name: &str) -> &'a mut T {
    let place = entries.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        entries.push((name.into(), T::default()));
        entries.len() - 1
    });
    &mut entries[place].1
}

fn point(value: String, scores: &[f64], seeds: usize) -> Point {
    Point {
        value,
        mean: scores.iter().sum::<f64>() / scores.len() as f64,
        low: scores.iter().copied().fold(f64::INFINITY, f64::min),
        high: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        seeds,
    }
}

/// Number of trials of each method, and what they were.
pub(super) fn trials(sweep: Option<&Sweep>) -> BTreeMap<&str, (u32, String)> {
    let choices = sweep.into_iter().flat_map(|sweep| &sweep.choices);
    let of_choice = |choice: &'_ Choice| {
        let settings: Vec<&str> = choice.trials.iter().map(|trial| trial.settings.as_str()).collect();
        (choice.trials.len() as u32, settings.join("; "))
    };
    choices.map(|choice| (choice.method.as_str(), of_choice(choice))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Trial;

    #[test]
    fn trials_are_grouped_by_each_setting_that_varies() {
        let trial = |rate: &str, rank: &str, score| Trial {
            name: String::new(),
            settings: String::new(),
            values: [("learning_rate", rate), ("rank", rank), ("alpha", "8, or so = many")]
                .map(|(setting, value)| (setting.to_string(), value.to_string()))
                .into(),
            score,
            problem: None,
        };
        let choice = Choice {
            method: "lora".into(),
            group: "G".into(),
            task_title: "T".into(),
            metric: "accuracy".into(),
            trials: vec![
                trial("0.1", "4", Some(50.0)),
                trial("0.1", "8", Some(70.0)),
                trial("0.2", "4", Some(80.0)),
                trial("0.2", "8", None),
            ],
            chosen: Some(2),
        };
        let found = of_choice(&choice, 2);
        let names: Vec<&str> = found.iter().map(|found| found.setting.as_str()).collect();
        assert_eq!(names, ["learning_rate", "rank"]);
        let rates: Vec<(&str, f64, f64, f64)> =
            found[0].points.iter().map(|p| (p.value.as_str(), p.mean, p.low, p.high)).collect();
        assert_eq!(rates, [("0.1", 60.0, 50.0, 70.0), ("0.2", 80.0, 80.0, 80.0)]);
        let sweep = Sweep { seeds: vec![1, 2], rule: String::new(), choices: vec![choice] };
        assert_eq!(trials(Some(&sweep))["lora"].0, 4);
        assert!(sensitivities(None).is_empty());
    }
}
