//! JSON lines: one object per line, whose keys are the columns.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::table::{Column, Table};
use super::value::Value;

/// Reads the requested keys of every line; missing keys are empty cells. The last of duplicate keys wins, as in other
/// JSON readers.
pub(super) fn json_lines(text: &str, wanted: &[String]) -> Result<Table, String> {
    if text.trim_start().starts_with('[') {
        return Err("the file is one JSON list; JSON lines have one object per line".into());
    }
    let mut known = HashSet::new();
    let mut names = Vec::new();
    let mut columns: Vec<Column> = wanted.iter().cloned().map(Column::new).collect();
    let mut lines = Vec::new();
    for (before, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at_line = |problem: String| format!("line {}: {problem}", before + 1);
        let mut row: Map<String, Json> =
            serde_json::from_str(line).map_err(|e| at_line(what_is_wrong(line, &e)))?;
        for name in row.keys() {
            if !known.contains(name) {
                known.insert(name.clone());
                names.push(name.clone());
            }
        }
        for column in &mut columns {
            let value = value(row.remove(&column.name).unwrap_or_default());
            let pushed =
                value.map_err(|e| format!("column `{}`: {e}", column.name)).and_then(|v| column.push(v));
            pushed.map_err(at_line)?;
        }
        lines.push(before + 1);
    }
    columns.retain(|column| known.contains(&column.name));
    Ok(Table { names, columns, rows: lines.len(), lines: Some(lines) })
}

fn what_is_wrong(line: &str, error: &serde_json::Error) -> String {
    let at = error.column().saturating_sub(1);
    let rest = line.get(at..).unwrap_or_default();
    if let Some(literal) = ["NaN", "Infinity", "-Infinity"].into_iter().find(|text| rest.starts_with(text)) {
        return format!("`{literal}` is not valid JSON; write null for a missing number");
    }
    // The position at its end counts lines from this one.
    let problem = error.to_string().split(" at line ").next().unwrap_or_default().to_string();
    if error.is_eof() { format!("{problem}; every line must be a complete object") } else { problem }
}

fn value(json: Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(boolean) => Value::Boolean(boolean),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => Value::Integer(integer),
            (_, Some(integer), _) => Value::Digits(integer.to_string()),
            // An integer beyond 64 bits has lost digits already.
            (_, _, Some(number)) if number.abs() < 2f64.powi(63) => Value::Number(number),
            _ => return Err(format!("the number {number} is too large; write it as text")),
        },
        Json::Array(values) => Value::List(values.into_iter().map(value).collect::<Result<_, _>>()?),
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(name, json)| Ok((name, value(json)?)));
            Value::Record(fields.collect::<Result<_, String>>()?)
        }
    })
}
