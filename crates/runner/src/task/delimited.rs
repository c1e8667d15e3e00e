//! CSV and TSV read literally: no cell is guessed at, no line is padded or dropped.

use serde::{Deserialize, Serialize};

use super::error::shown;
use super::quotes;
use super::records::{Records, Style};
use super::table::Table;

/// The meaning of quotes, from a task's TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quote {
    /// Detected from the file; refused if ambiguous.
    #[serde(rename = "auto")]
    Auto,
    /// They are ordinary characters.
    #[serde(rename = "none")]
    None,
    /// They enclose fields, and are doubled inside them.
    #[serde(rename = "\"")]
    Enclosing,
}

/// Common column separators.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Every cell is text exactly as in the file: no types are guessed.
pub(super) fn delimited(
    text: &str,
    separator: char,
    quote: Quote,
    wanted: &[String],
) -> Result<Table, String> {
    let style = match quote {
        Quote::None => Style::Raw,
        Quote::Enclosing => Style::Doubled,
        Quote::Auto => quotes::style(text, separator)?,
    };
    let table = read(text, separator, style, wanted);
    if style == Style::Doubled {
        // Backslashes can hide the end of a field, which would merge rows.
        if (table.is_err() || text.contains("\\\"\"")) && quotes::are_escaped(text, separator) {
            return Err(quotes::ESCAPED.into());
        }
        let fits = |style| quotes::fits(text, separator, style).is_ok();
        if table.is_err() && !fits(Style::Doubled) && fits(Style::Raw) {
            let advice = "if quotes are text, set `quote = \"none\"` in [data]";
            return table.map_err(|problem| format!("{problem}; {advice}"));
        }
    }
    table
}

fn read(text: &str, separator: char, style: Style, wanted: &[String]) -> Result<Table, String> {
    let mut records = Records::new(text, separator, style);
    let header = records.next()?.ok_or("the file is empty; its first line must have the column names")?;
    let at_header = |problem: String| format!("line {}: {problem}", header.line);
    let names: Vec<String> = header.fields.iter().map(|field| field.text.to_string()).collect();
    check_separator(&names, separator, wanted).map_err(at_header)?;
    let mut table = Table::new(names, wanted).map_err(at_header)?;
    let places: Vec<usize> =
        table.columns.iter().filter_map(|c| table.names.iter().position(|name| *name == c.name)).collect();
    let mut lines = Vec::new();
    while let Some(mut record) = records.next()? {
        record.check_width(table.names.len())?;
        for (column, &place) in table.columns.iter_mut().zip(&places) {
            column.push(std::mem::take(&mut record.fields[place]).into_value())?;
        }
        lines.push(record.line);
    }
    table.rows = lines.len();
    table.lines = Some(lines);
    Ok(table)
}

/// Refuses a header of one column that another separator would split.
fn check_separator(names: &[String], separator: char, wanted: &[String]) -> Result<(), String> {
    let [name] = names else { return Ok(()) };
    let other = SEPARATORS.into_iter().find(|&other| other != separator && name.contains(other));
    match other {
        Some(other) if !wanted.contains(name) => Err(format!(
            "there is one column, `{}`; if `{}` separates columns, set `separator = \"{}\"` in [data]",
            shown(name),
            other.escape_default(),
            other.escape_default()
        )),
        _ => Ok(()),
    }
}
