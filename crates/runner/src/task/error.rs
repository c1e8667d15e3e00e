//! What can be wrong with a task or its rows.

use std::path::PathBuf;

use crate::files::FileError;
use crate::hub::HubError;
use crate::terminal::printable;

/// What can be wrong with a task or its rows.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("unknown task `{name}`{}; `peft-bench tasks` lists the tasks, and a path to a TOML file works too", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    Unknown { name: String, suggestion: Option<String> },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{file}: {problem}")]
    Spec { file: String, problem: String },
    #[error(
        "{}: unknown file format `{extension}`; known: parquet, csv, tsv and jsonl, uncompressed",
        path.display()
    )]
    Format { path: PathBuf, extension: String },
    #[error("{file}: {place}: {problem}")]
    Row { file: String, place: String, problem: String },
    #[error("{file}: `{key}`: {problem}")]
    Column { file: String, key: String, problem: String },
    #[error("{file}: `split`: `data.files` has no split `{split}`; known: {known}")]
    Split { file: String, split: String, known: String },
    #[error(
        "{file}: `split`: the {role} split is empty: the rule gives it none of the {rows} rows in {source_split}"
    )]
    Empty { file: String, role: &'static str, rows: usize, source_split: String },
    #[error("{file}: `{key}`: {source}")]
    Hub { file: String, key: &'static str, source: Box<HubError> },
}

/// Most characters of a text in a message.
const SHOWN: usize = 200;

/// The beginning of a text, on one line and without terminal control characters.
pub(super) fn shown(text: &str) -> String {
    let (start, more) = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => (&text[..end], "..."),
        None => (text, ""),
    };
    printable(start).replace('\n', "\\n") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_message_is_short_and_one_line() {
        assert_eq!(shown("é\n\u{1b}[31m"), "é\\n\\x1b[31m");
        assert_eq!(shown(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(shown(&"é".repeat(201)), "é".repeat(200) + "...");
    }
}
