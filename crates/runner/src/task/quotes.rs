//! Whether the quotes of a file enclose its fields or belong to their text.

use super::records::{Record, Records, Style};

/// What to do about quotes that have backslashes before them.
pub(super) const ESCAPED: &str = "its quotes have backslashes before them, as in `\\\"`; write them doubled, `\"\"`, \
                                  or say `quote = \"none\"` in [data] if quotes are text";

/// The style that a file's quotes show.
///
/// Who writes fields in quotes doubles the quotes in them, and leaves none in a field without; so text with
/// quotes of its own hardly ever passes for such a file.
///
/// # Errors
/// When the file can be read either way, or neither.
pub(super) fn style(text: &str, separator: char) -> Result<Style, String> {
    if !text.contains('"') {
        return Ok(Style::Raw);
    }
    match (fits(text, separator, Style::Doubled), fits(text, separator, Style::Raw)) {
        (Err(_), _) if are_escaped(text, separator) => Err(ESCAPED.into()),
        (Ok(_), Err(_)) => Ok(Style::Doubled),
        (Err(_), Ok(_)) => Ok(Style::Raw),
        (Ok(signs), Ok(_)) => signs.style().ok_or_else(|| {
            "its quotes may enclose fields or be text; `data.quote` says which: `'\"'` or `\"none\"`".into()
        }),
        (Err(enclosing), Err(raw)) => Err(format!(
            "{raw}, if quotes are text; {enclosing}, if they enclose fields; `data.quote` says which: \
             `\"none\"` or `'\"'`"
        )),
    }
}

/// Whether fields stand in quotes, and the quotes in them behind backslashes.
pub(super) fn are_escaped(text: &str, separator: char) -> bool {
    text.contains("\\\"") && fits(text, separator, Style::Escaped).is_ok_and(|signs| signs.doubled)
}

/// What the quotes of a file look like that could enclose its fields.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// A column's name stands in quotes.
    header: bool,
    /// A quote is doubled in a field.
    doubled: bool,
    /// A field has line ends.
    lines: bool,
    columns: Vec<ColumnSigns>,
}

#[derive(Debug, Default, Clone)]
struct ColumnSigns {
    /// A field stands in quotes for no reason.
    needless: bool,
    /// A field stands without.
    bare: bool,
}

impl Signs {
    /// Takes note of a row.
    fn add(&mut self, row: &Record, separator: char) {
        for (field, column) in row.fields.iter().zip(&mut self.columns) {
            if field.quoted {
                // Some programs quote what would be special in CSV.
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
        // Nobody quotes every field of a column but some, and a text that could be several rows is several.
        let text = self.lines || self.columns.iter().any(|column| column.needless && column.bare);
        match (self.header, self.doubled, text) {
            (true, _, _) | (_, true, false) => Some(Style::Doubled),
            (_, false, true) => Some(Style::Raw),
            _ => None,
        }
    }
}

/// Whether a file can be read in a style: rows of one width, and no quotes in fields without quotes around.
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

/// Refuses quotes in fields that do not stand in quotes.
fn check_fields(record: &Record, style: Style) -> Result<(), String> {
    let within = record.fields.iter().any(|field| !field.quoted && field.text.contains('"'));
    match within && style != Style::Raw {
        true => Err(format!("line {}: a quote stands within a field", record.line)),
        false => Ok(()),
    }
}
