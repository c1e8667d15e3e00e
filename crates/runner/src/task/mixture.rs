//! Mixtures: the rows of several tasks as those of one, named `mnli+qqp`.
//!
//! Each row has the text that its own task makes of it; answers are compared as text, whatever the tasks' own metrics are.
//! Limits are the largest of the tasks'.

use std::path::PathBuf;

use peft_model::source::MIXTURE;

use super::catalog::{RowSource, Task};
use super::error::TaskError;
use super::rows::{Row, Rows};
use super::spec::{Data, Limits, Metrics, TaskSpec, Text};
use super::split::{Role, SplitRule};
use super::value::Value;
use crate::metric::Metric;

/// The columns of a mixture's rows.
const PART: &str = "part";
const SOURCE: &str = "source";
const TARGET: &str = "target";
const ANSWERS: &str = "answers";
const GROUP: &str = "group";

/// Title of their group in tables.
const TITLE: &str = "Mixtures";

/// Token limit of a task.
type Limit = fn(&Limits) -> usize;

impl Task {
    /// The mixture of tasks.
    ///
    /// # Errors
    /// When a task occurs twice, or its checkpoints are chosen by an error, which has no mean with percentages.
    pub(super) fn mixture(parts: Vec<Task>) -> Result<Self, TaskError> {
        let name = parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(MIXTURE);
        let wrong = |problem: String| TaskError::Spec { file: name.clone(), problem };
        let twice =
            parts.iter().enumerate().find(|(i, part)| parts[..*i].iter().any(|p| p.name == part.name));
        if let Some((_, twice)) = twice {
            return Err(wrong(format!("the mixture has `{}` twice", twice.name)));
        }
        let errors = parts.iter().find_map(|part| {
            let Metrics { select, average, .. } = &part.spec.metrics;
            Some((&part.name, average.iter().chain([select]).find(|metric| metric.is_error())?))
        });
        if let Some((task, metric)) = errors {
            return Err(wrong(format!(
                "`{task}` chooses checkpoints by {metric}, an error in the units of its targets, which has no mean with \
                 the percentages of other tasks; leave it out"
            )));
        }
        let specs: Vec<TaskSpec> = parts.iter().map(|part| part.spec.clone()).collect();
        let titles: Vec<&str> = specs.iter().map(|spec| spec.title.as_str()).collect();
        let largest = |limit: Limit| specs.iter().map(|spec| limit(&spec.limits)).max().unwrap_or_default();
        let text = |column: &str| format!("{{{column}}}");
        let spec = TaskSpec {
            title: titles.join(" + "),
            group: TITLE.into(),
            description: format!("the rows of {} tasks", parts.len()),
            data: Data::default(),
            split: SplitRule::official(),
            text: Text {
                name: None,
                source: text(SOURCE),
                target: Some(text(TARGET)),
                expand: false,
                empty: None,
                answers: Some(text(ANSWERS)),
                group: None,
            },
            labels: None,
            metrics: Metrics {
                select: Metric::ExactMatch,
                report: None,
                also: Vec::new(),
                average: Vec::new(),
            },
            limits: Limits {
                source_tokens: largest(|limits| limits.source_tokens),
                target_tokens: largest(|limits| limits.target_tokens),
            },
            reference: None,
            probes: Default::default(),
            few_shot_threshold: None,
            variants: None,
            mixture: specs.clone(),
        };
        let templates = spec.templates().map_err(wrong)?;
        let file = parts.iter().map(|part| part.file.as_str()).collect::<Vec<_>>().join(" and ");
        Ok(Self { name, spec, templates, file, folder: PathBuf::new(), parts })
    }

    /// A mixture of the same tasks, each in another form.
    pub(super) fn with_parts(parts: Vec<Task>) -> Task {
        Self::mixture(parts).expect("the names are those of a mixture")
    }

    /// The tasks of a mixture; none of any other task.
    pub fn parts(&self) -> &[Task] {
        &self.parts
    }

    /// The place of a task among those of a mixture.
    pub fn place_of(&self, task: &Task) -> Option<usize> {
        self.parts.iter().position(|part| part.name == task.name)
    }

    /// The rows that play a role, one of each task in turn, so that the first ones are of all.
    pub(super) fn mixed(&self, role: Role, sources: &[RowSource]) -> Result<Rows, TaskError> {
        let examples = self.parts.iter().zip(sources).map(|(part, source)| {
            let read = part.read(role, source)?;
            part.examples(&read.rows, &read.indices)
        });
        let mut examples: Vec<_> =
            examples.map(|of_part| of_part.map(Vec::into_iter)).collect::<Result<_, _>>()?;
        let mut columns = [PART, SOURCE, TARGET, ANSWERS, GROUP].map(|name| (name.to_string(), Vec::new()));
        let mut some_left = true;
        while std::mem::take(&mut some_left) {
            for (part, rows) in (0..).zip(&mut examples) {
                let Some(row) = rows.next() else { continue };
                some_left = true;
                let answers = row.answers.into_iter().map(Value::Text).collect();
                let values = [
                    Value::Integer(part),
                    Value::Text(row.source),
                    Value::Text(row.target),
                    Value::List(answers),
                    row.group.map_or(Value::Null, Value::Text),
                ];
                columns.iter_mut().zip(values).for_each(|((_, column), value)| column.push(value));
            }
        }
        Ok(Rows::new(columns.into(), &format!("{}, {}", self.name, role.name())))
    }
}

/// The place of a row's task in its mixture.
pub(super) fn part(row: Row) -> Option<u32> {
    match row.value(PART) {
        Ok(Value::Integer(part)) => u32::try_from(part).ok(),
        _ => None,
    }
}

/// The group in which its task scores a row of a mixture.
pub(super) fn group(row: Row) -> Option<String> {
    match row.value(GROUP) {
        Ok(Value::Text(group)) => Some(group),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::find;

    #[test]
    fn rows_of_all_tasks_come_in_turn_with_their_own_texts() {
        let (one, other) = (find("pocket-sentiment").unwrap(), find("pocket-entailment").unwrap());
        let both = find("pocket-sentiment+pocket-entailment").unwrap();
        let hub = crate::hub::Hub::new(crate::hub::HubSettings::new(
            "http://127.0.0.1:1",
            std::path::Path::new("/nowhere"),
            crate::hub::Progress::Silent,
        ));
        let examples = |task: &Task| {
            let source = task.source(Role::Validation, &hub).unwrap();
            let read = task.read(Role::Validation, &source).unwrap();
            let examples = task.examples(&read.rows, &read.indices).unwrap();
            assert_eq!(task.count(Role::Validation, &source).unwrap(), examples.len());
            examples
        };
        let (one, other, mixed) = (examples(&one), examples(&other), examples(&both));
        assert_eq!(mixed.len(), one.len() + other.len());
        for (place, of) in [(0, &one[0]), (1, &other[0]), (2, &one[1]), (3, &other[1])] {
            assert_eq!((&mixed[place].source, &mixed[place].target), (&of.source, &of.target));
            assert_eq!(mixed[place].part, Some(place as u32 % 2));
        }
        let prefixed = examples(&both.with_prefix());
        assert!(prefixed[0].source.ends_with(&one[0].source) && prefixed[0].source != one[0].source);
    }

    #[test]
    fn a_task_twice_and_an_unknown_one_are_refused() {
        let problem = |name: &str| find(name).unwrap_err().to_string();
        assert!(problem("rte+cola+rte").contains("has `rte` twice"), "{}", problem("rte+cola+rte"));
        assert!(problem("rte+colla").contains("cola"), "{}", problem("rte+colla"));
    }

    #[test]
    fn what_a_mixture_is_follows_from_its_tasks_and_their_order() {
        let content = |name: &str| serde_json::json!(find(name).unwrap().spec.content()).to_string();
        assert_ne!(content("rte+cola"), content("cola+rte"));
        assert_eq!(content("rte+cola"), content("rte+cola"));
        assert!(!content("rte").contains("mixture"));
    }
}
