//! Rows of the pocket world as a table.

use peft_pocket::Values;
use polars::prelude::*;

/// A table of generated columns, all of one length and of different names.
pub(super) fn frame(columns: Vec<peft_pocket::Column>) -> DataFrame {
    let columns: Vec<Column> = columns.into_iter().map(column).collect();
    let rows = columns.first().map_or(0, Column::len);
    DataFrame::new(rows, columns).expect("columns of one length and of different names")
}

fn column(generated: peft_pocket::Column) -> Column {
    let name = generated.name.into();
    match generated.values {
        Values::Texts(texts) => Column::new(name, texts),
        Values::Classes(classes) => Column::new(name, classes),
        Values::Scores(scores) => Column::new(name, scores),
        Values::Answers(answers) => {
            let lists: Vec<Series> = answers.into_iter().map(|list| Series::new("".into(), list)).collect();
            Column::new(name, lists)
        }
    }
}
