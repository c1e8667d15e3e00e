//! Splits delimited text into records and fields.

use std::borrow::Cow;

use super::error::shown;
use super::value::Value;

/// How text is split into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Quotes are text.
    Raw,
    /// Quotes may enclose a field; a quote inside is doubled.
    Doubled,
    /// Quotes may enclose a field; a quote inside is escaped with a backslash.
    Escaped,
}

/// Reads delimited text record by record.
pub(crate) struct Records<'a> {
    rest: &'a str,
    /// The line on which the rest begins.
    line: usize,
    separator: char,
    style: Style,
}

/// One row as written in the file.
pub(crate) struct Record<'a> {
    /// The line on which it begins.
    pub line: usize,
    pub fields: Vec<Field<'a>>,
}

#[derive(Default)]
pub(crate) struct Field<'a> {
    pub text: Cow<'a, str>,
    pub quoted: bool,
}

impl Field<'_> {
    pub(super) fn into_value(self) -> Value {
        match self.text.is_empty() && !self.quoted {
            true => Value::Null,
            false => Value::Text(self.text.into_owned()),
        }
    }
}

impl Record<'_> {
    pub(crate) fn check_width(&self, columns: usize) -> Result<(), String> {
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
    pub(crate) fn new(text: &'a str, separator: char, style: Style) -> Self {
        Self { rest: text, line: 1, separator, style }
    }

    /// The next record; blank lines are skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'a>>, String> {
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

    /// The text of a quoted field.
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
