//! CSV and TSV as they stand: no cell is guessed at, no line is padded or dropped.

use polars::prelude::*;

/// Every cell is text as the file has it: nothing is guessed from what it looks like.
pub(super) fn delimited(text: &str, separator: char, quotes: bool) -> Result<DataFrame, String> {
    let mut records = Records { text, rest: text, separator, quotes };
    let names = column_names(records.record()?)?;
    let mut columns = vec![Vec::new(); names.len()];
    while !records.rest.is_empty() {
        let start = records.rest;
        let record = records.record()?;
        if record == [None] {
            continue;
        }
        if record.len() != names.len() {
            let line = records.line_of(start);
            return Err(format!("line {line}: {} field(s), the header has {}", record.len(), names.len()));
        }
        columns.iter_mut().zip(record).for_each(|(column, field)| column.push(field));
    }
    let rows = columns.first().map_or(0, Vec::len);
    let column = |(name, fields): (String, _)| Column::new(name.into(), fields);
    DataFrame::new(rows, names.into_iter().zip(columns).map(column).collect()).map_err(|e| e.to_string())
}

fn column_names(header: Vec<Option<String>>) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in header {
        let name = name.ok_or("line 1: a column has no name")?;
        if names.contains(&name) {
            return Err(format!("line 1: two columns have the name `{name}`"));
        }
        names.push(name);
    }
    Ok(names)
}

/// Reads delimited text record by record.
struct Records<'a> {
    text: &'a str,
    rest: &'a str,
    separator: char,
    /// Whether a field may stand in quotes; where not, they are characters like others.
    quotes: bool,
}

impl Records<'_> {
    /// The line on which a rest of the text starts.
    fn line_of(&self, rest: &str) -> usize {
        let before = &self.text[..self.text.len() - rest.len()];
        1 + before.matches('\n').count()
    }

    fn record(&mut self) -> Result<Vec<Option<String>>, String> {
        let mut fields = Vec::new();
        loop {
            let (field, more) = self.field()?;
            fields.push(field);
            if !more {
                return Ok(fields);
            }
        }
    }

    /// A field, none where it is empty, and whether the record has more.
    fn field(&mut self) -> Result<(Option<String>, bool), String> {
        let quoted = self.quoted()?;
        let end = self.rest.find([self.separator, '\n']).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        let more = rest.starts_with(self.separator);
        let plain = if more { plain } else { plain.strip_suffix('\r').unwrap_or(plain) };
        if quoted.is_some() && !plain.is_empty() {
            return Err(format!("line {}: `{plain}` follows a closing quote", self.line_of(self.rest)));
        }
        self.rest = rest.get(1..).unwrap_or_default();
        Ok((quoted.or_else(|| (!plain.is_empty()).then(|| plain.into())), more))
    }

    /// The text of a field that stands in quotes; a quote in it is written twice.
    fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(mut rest) = self.rest.strip_prefix('"').filter(|_| self.quotes) else { return Ok(None) };
        let mut field = String::new();
        loop {
            let Some((inner, after)) = rest.split_once('"') else {
                return Err(format!("line {}: a quote is never closed", self.line_of(self.rest)));
            };
            field.push_str(inner);
            let Some(after_two) = after.strip_prefix('"') else {
                self.rest = after;
                return Ok(Some(field));
            };
            field.push('"');
            rest = after_two;
        }
    }
}
