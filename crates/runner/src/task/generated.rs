//! Rows of the pocket world as a table.

use peft_pocket::{Label, Part, PocketTask};

use super::rows::Rows;
use super::value::Value;

/// The rows of a split: the task's columns, then `label` or `answers`; `source` names them in messages.
pub(super) fn generated(task: &PocketTask, part: Part, source: &str) -> Rows {
    let rows = task.rows(part);
    let text = |text: &str| Value::Text(text.into());
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for (place, name) in task.columns.iter().enumerate() {
        columns.push((name.to_string(), rows.iter().map(|row| text(&row.texts[place])).collect()));
    }
    let labels = rows.iter().map(|row| match &row.label {
        Label::Class(class) => Value::Integer(*class as i64),
        Label::Score(score) => Value::Number(*score),
        Label::Answer(answer) => Value::List(vec![text(answer)]),
    });
    let name = if matches!(rows[0].label, Label::Answer(_)) { "answers" } else { "label" };
    columns.push((name.into(), labels.collect()));
    Rows::new(columns, source)
}
