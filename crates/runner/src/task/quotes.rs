//! Whether the quotes of a file enclose its fields or belong to their text.

use super::records::{Record, Records, Style};

/// Error for quotes that are escaped with backslashes.
pub(super) const ESCAPED: &str = "quotes are escaped with backslashes, as in `\\\"`; double them instead, `\"\"`, \
                                  or set `quote = \"none\"` in [data] if quotes are text";

/// Detects the style of a file's quotes.
///
/// A program that quotes fields doubles the quotes inside them, and leaves none in unquoted fields; so a file whose
/// quotes are text rarely looks like one with quoted fields.
///
/// # Errors
/// When both readings are possible, or neither.
pub(super) fn style(text: &str, separator: char) -> Result<Style, String> {
    if !text.contains('"') {
        return Ok(Style::Raw);
    }
    match (fits(text, separator, Style::Doubled), fits(text, separator, Style::Raw)) {
        (Err(_), _) if are_escaped(text, separator) => Err(ESCAPED.into()),
        (Ok(_), Err(_)) => Ok(Style::Doubled),
        (Err(_), Ok(_)) => Ok(Style::Raw),
        (Ok(signs), Ok(_)) => signs.style().ok_or_else(|| {
            "quotes may enclose fields or be text; set `data.quote` to `'\"'` or `\"none\"`".into()
        }),
        (Err(enclosing), Err(raw)) => Err(format!(
            "if quotes are text: {raw}; if they enclose fields: {enclosing}; set `data.quote` to \
             `\"none\"` or `'\"'`"
        )),
    }
}

/// Whether fields are quoted, and quotes inside them are escaped with backslashes.
pub(super) fn are_escaped(text: &str, separator: char) -> bool {
    text.contains("\\\"") && fits(text, separator, Style::Escaped).is_ok_and(|signs| signs.doubled)
}

/// Evidence on whether quotes enclose fields, from a file that could be read so.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// A column name is quoted.
    header: bool,
    /// A field has a doubled quote.
    doubled: bool,
    /// A field has line breaks.
    lines: bool,
    columns: Vec<ColumnSigns>,
}

#[derive(Debug, Default, Clone)]
struct ColumnSigns {
    /// A field is quoted without need.
    needless: bool,
    /// A field is not quoted.
    bare: bool,
}

impl Signs {
    /// Adds the evidence of a row.
    fn add(&mut self, row: &Record, separator: char) {
        for (field, column) in row.fields.iter().zip(&mut self.columns) {
            if field.quoted {
                // Some programs quote whatever would be special in CSV.
                let special = [separator, ',', '\n', '\r', '"'];
                column.needless |= !field.text.is_empty() && !field.text.contains(special);
                self.doubled |= field.text.contains('"');
                self.lines |= field.text.contains('\n');
            } else {
                column.bare |= !field.text.is_empty();
            }
        }
    }

    fn style(&self) -> Option<Style> {
        // No program quotes only some fields of a column without need, and a text that could be several rows is several.
        let text = self.lines || self.columns.iter().any(|column| column.needless && column.bare);
        match (self.header, self.doubled, text) {
            (true, _, _) | (_, true, false) => Some(Style::Doubled),
            (_, false, true) => Some(Style::Raw),
            _ => None,
        }
    }
}

/// Whether a file can be read in a style: rows of equal width, and no quotes inside unquoted fields.
pub(super) fn fits(text: &str, separator: char, style: Style) -> Result<Signs, String> {
    let mut records = Records::new(text, separator, style);
    let Some(header) = records.next()? else { return Ok(Signs::default()) };
    let mut signs = Signs { header: header.fields.iter().any(|field| field.quoted), ..Signs::default() };
    signs.columns.resize_with(header.fields.len(), ColumnSigns::default);
    check_fields(&header, style)?;
    while let Some(record) = records.next()? {
        record.check_width(signs.columns.len())?;
        check_fields(&record, style)?;
        signs.add(&record, separator);
    }
    Ok(signs)
}

/// Refuses quotes inside unquoted fields.
fn check_fields(record: &Record, style: Style) -> Result<(), String> {
    let within = record.fields.iter().any(|field| !field.quoted && field.text.contains('"'));
    match within && style != Style::Raw {
        true => Err(format!("line {}: a quote inside an unquoted field", record.line)),
        false => Ok(()),
    }
}
