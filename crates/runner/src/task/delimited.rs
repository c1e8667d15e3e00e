//! CSV and TSV as they stand: no cell is guessed at, no line is padded or dropped.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::quotes;
use super::rows::Value;
use super::shown;
use super::table::Table;

/// What quotes mean, as a task's TOML says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quote {
    /// As the file shows; refused where it does not.
    #[serde(rename = "auto")]
    Auto,
    /// They are characters like others.
    #[serde(rename = "none")]
    None,
    /// They enclose fields, and are doubled in them.
    #[serde(rename = "\"")]
    Enclosing,
}

/// How the text of a file is cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Quotes are text.
    Raw,
    /// A field may stand in quotes; a quote in it is written twice.
    Doubled,
    /// A field may stand in quotes; a quote in it has a backslash before it.
    Escaped,
}

/// Characters that separate columns in files that one meets.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Every cell is text as the file has it: nothing is guessed from what it looks like.
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
        // Backslashes can hide ends of fields, so that rows run into each other.
        if (table.is_err() || text.contains("\\\"\"")) && quotes::are_escaped(text, separator) {
            return Err(quotes::ESCAPED.into());
        }
        let fits = |style| quotes::fits(text, separator, style).is_ok();
        if table.is_err() && !fits(Style::Doubled) && fits(Style::Raw) {
            let advice = "if quotes are text, say so: `quote = \"none\"` in [data]";
            return table.map_err(|problem| format!("{problem}; {advice}"));
        }
    }
    table
}

fn read(text: &str, separator: char, style: Style, wanted: &[String]) -> Result<Table, String> {
    let mut records = Records::new(text, separator, style);
    let header = records.next()?.ok_or("it is empty; its first line must have the columns' names")?;
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

/// Refuses a header of one column that another character seems to cut into several.
fn check_separator(names: &[String], separator: char, wanted: &[String]) -> Result<(), String> {
    let [name] = names else { return Ok(()) };
    let other = SEPARATORS.into_iter().find(|&other| other != separator && name.contains(other));
    match other {
        Some(other) if !wanted.contains(name) => Err(format!(
            "there is one column, `{}`; if `{}` separates columns, say so: `separator = \"{}\"` in [data]",
            shown(name),
            other.escape_default(),
            other.escape_default()
        )),
        _ => Ok(()),
    }
}

/// Reads delimited text record by record.
pub(super) struct Records<'a> {
    rest: &'a str,
    /// The line that the rest begins on.
    line: usize,
    separator: char,
    style: Style,
}

/// One row as it stands in the file.
pub(super) struct Record<'a> {
    /// The line that it begins on.
    pub line: usize,
    pub fields: Vec<Field<'a>>,
}

#[derive(Default)]
pub(super) struct Field<'a> {
    pub text: Cow<'a, str>,
    pub quoted: bool,
}

impl Field<'_> {
    fn into_value(self) -> Value {
        match self.text.is_empty() && !self.quoted {
            true => Value::Null,
            false => Value::Text(self.text.into_owned()),
        }
    }
}

impl Record<'_> {
    pub fn check_width(&self, columns: usize) -> Result<(), String> {
        match self.fields.len() {
            width if width == columns => Ok(()),
            width => Err(format!("line {}: {width} field(s), the header has {columns}", self.line)),
        }
    }

    fn is_blank(&self) -> bool {
        matches!(&self.fields[..], [field] if field.text.is_empty() && !field.quoted)
    }
}

impl<'a> Records<'a> {
    pub fn new(text: &'a str, separator: char, style: Style) -> Self {
        Self { rest: text, line: 1, separator, style }
    }

    /// The next record; blank lines are none.
    pub fn next(&mut self) -> Result<Option<Record<'a>>, String> {
        while !self.rest.is_empty() {
            let record = self.record()?;
            if !record.is_blank() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Record<'a>, String> {
        let (line, mut fields) = (self.line, Vec::new());
        loop {
            let (field, more) = self.field()?;
            fields.push(field);
            if !more {
                return Ok(Record { line, fields });
            }
        }
    }

    /// A field, and whether the record has more.
    fn field(&mut self) -> Result<(Field<'a>, bool), String> {
        let quoted = self.quoted()?;
        let end = self.rest.find([self.separator, '\n']).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        let more = rest.starts_with(self.separator);
        let plain = if more { plain } else { plain.strip_suffix('\r').unwrap_or(plain) };
        if quoted.is_some() && !plain.is_empty() {
            return Err(format!("line {}: `{}` follows a closing quote", self.line, shown(plain)));
        }
        self.line += usize::from(rest.starts_with('\n'));
        let mut rest = rest.chars();
        rest.next();
        self.rest = rest.as_str();
        let field = match quoted {
            Some(text) => Field { text, quoted: true },
            None => Field { text: plain.into(), quoted: false },
        };
        Ok((field, more))
    }

    /// The text of a field that stands in quotes.
    fn quoted(&mut self) -> Result<Option<Cow<'a, str>>, String> {
        let Some(inside) = self.rest.strip_prefix('"').filter(|_| self.style != Style::Raw) else {
            return Ok(None);
        };
        let (mut text, mut rest) = (String::new(), inside);
        loop {
            let stops: &[char] = if self.style == Style::Escaped { &['"', '\\'] } else { &['"'] };
            let Some(stop) = rest.find(stops) else {
                return Err(format!("line {}: a quote is never closed", self.line));
            };
            text.push_str(&rest[..stop]);
            let (mark, after) = rest[stop..].split_at(1);
            let escapes = if self.style == Style::Escaped { mark == "\\" } else { after.starts_with('"') };
            rest = after;
            if !escapes {
                break;
            }
            let mut characters = after.chars();
            text.extend(characters.next());
            rest = characters.as_str();
        }
        self.line += text.matches('\n').count();
        self.rest = rest;
        Ok(Some(text.into()))
    }
}
