//! The small language that turns a row into text: `"question: {question|pad-punctuation}"`.
//!
//! Braces hold a column (dots reach into records) and text functions, applied from left to right.
//! A function's arguments are other columns or quoted text. `{{` and `}}` are literal braces.

use std::fmt;

use super::rows::Row;
use super::text_functions::{self, Function};
use super::value::Value;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Field { path: Path, calls: Vec<Call> },
}

/// A column, or a field of a record in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As written.
    whole: String,
    /// Its parts between the dots: the column, then fields of records.
    parts: Vec<String>,
}

#[derive(Debug, Clone)]
struct Call {
    function: &'static Function,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
enum Argument {
    Column(Path),
    Text(String),
}

impl Path {
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<String> = text.trim().split('.').map(|p| p.trim().to_string()).collect();
        if parts.iter().any(String::is_empty) {
            return Err(format!("`{text}` is not a column name"));
        }
        Ok(Self { whole: parts.join("."), parts })
    }

    /// The column that holds it, if its name has no dots of its own.
    pub fn column(&self) -> &str {
        &self.parts[0]
    }

    /// Whether a table with these columns contains it.
    pub fn is_in(&self, columns: &[String]) -> bool {
        columns.iter().any(|column| column == self.column() || *column == self.whole)
    }

    fn value(&self, row: &Row) -> Result<Value, String> {
        // A column's own name may contain dots.
        if self.parts.len() == 1 || row.has(&self.whole) {
            return row.value(&self.whole);
        }
        let mut value = row.value(self.column())?;
        for field in &self.parts[1..] {
            value = match value {
                Value::Record(fields) => fields
                    .into_iter()
                    .find(|(name, _)| name == field)
                    .map(|(_, value)| value)
                    .ok_or_else(|| format!("`{self}`: no field `{field}`"))?,
                other => return Err(format!("`{self}`: {} has no fields", other.kind())),
            };
        }
        Ok(value)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if rest.starts_with(brace) {
                literal.push_str(brace);
                rest = &rest[1..];
            } else if brace == "}" {
                return Err(format!("`{text}`: a `}}` without a `{{`; write `}}}}` for the character"));
            } else {
                let end = rest.find('}').ok_or_else(|| format!("`{text}`: a `{{` is never closed"))?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(parse_field(&rest[..end]).map_err(|e| format!("`{text}`: {e}"))?);
                rest = &rest[end + 1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// Puts a literal text in front.
    pub(super) fn prepend(&mut self, text: &str) {
        self.parts.insert(0, Part::Literal(text.into()));
    }

    /// Names of the columns that the template reads: a name with dots may be a column's or reach into a record.
    pub(super) fn column_names(&self) -> Vec<String> {
        self.columns().into_iter().flat_map(|path| [path.column().to_string(), path.to_string()]).collect()
    }

    /// The columns and record fields that the template reads.
    pub fn columns(&self) -> Vec<&Path> {
        let mut columns = Vec::new();
        for part in &self.parts {
            if let Part::Field { path, calls } = part {
                columns.push(path);
                for argument in calls.iter().flat_map(|c| &c.arguments) {
                    if let Argument::Column(path) = argument {
                        columns.push(path);
                    }
                }
            }
        }
        columns
    }

    /// Renders a row to text.
    ///
    /// # Errors
    /// When a column is missing, or a value does not fit a text function.
    pub fn render(&self, row: &Row) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field { path, calls } => text.push_str(&evaluate(path, calls, row)?.into_text(path)?),
            }
        }
        Ok(text)
    }

    /// Renders a template that is one field holding a list to one text per element.
    ///
    /// # Errors
    /// As for [`Template::render`]. Other templates give one text.
    pub fn render_all(&self, row: &Row) -> Result<Vec<String>, String> {
        if let [Part::Field { path, calls }] = &self.parts[..]
            && let Value::List(values) = evaluate(path, calls, row)?
        {
            return values.into_iter().map(|v| v.into_text(path)).collect();
        }
        Ok(vec![self.render(row)?])
    }
}

fn evaluate(path: &Path, calls: &[Call], row: &Row) -> Result<Value, String> {
    let mut value = path.value(row)?;
    for call in calls {
        let arguments: Vec<Value> = call
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Column(path) => path.value(row),
                Argument::Text(text) => Ok(Value::Text(text.clone())),
            })
            .collect::<Result<_, _>>()?;
        value = (call.function.apply)(value, &arguments)
            .map_err(|e| format!("column `{path}`, function `{}`: {e}", call.function.name))?;
    }
    Ok(value)
}

fn parse_field(text: &str) -> Result<Part, String> {
    let mut pieces = split_outside(text, '|').into_iter();
    let path = Path::parse(pieces.next().unwrap_or_default())?;
    let calls = pieces.map(parse_call).collect::<Result<_, _>>()?;
    Ok(Part::Field { path, calls })
}

fn parse_call(text: &str) -> Result<Call, String> {
    let text = text.trim();
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')').ok_or_else(|| format!("`{text}`: a `(` is never closed"))?;
            (name.trim(), split_outside(inner, ','))
        }
        None => (text, Vec::new()),
    };
    let function = text_functions::find(name)?;
    if arguments.len() != function.arguments {
        return Err(format!("`{name}` takes {} arguments, not {}", function.arguments, arguments.len()));
    }
    let arguments = arguments.into_iter().map(parse_argument).collect::<Result<_, _>>()?;
    Ok(Call { function, arguments })
}

fn parse_argument(text: &str) -> Result<Argument, String> {
    let text = text.trim();
    match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        Some(inner) => Ok(Argument::Text(inner.into())),
        None => Path::parse(text).map(Argument::Column),
    }
}

/// Splits at separators outside quotes and parentheses.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            c if c == separator && !quoted && depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::task::Rows;

    #[test]
    fn a_dot_reaches_into_a_record_unless_a_column_has_that_name() {
        let dotted = ("a.b".to_string(), vec![Value::Text("whole".into())]);
        let record = vec![Value::Record(vec![("b".into(), Value::Text("inner".into()))])];
        let record = ("a".to_string(), record);
        let template = Template::parse("{a.b}").unwrap();
        for (columns, text) in [(vec![dotted, record.clone()], "whole"), (vec![record], "inner")] {
            let rows = Rows::new(columns, "memory");
            assert!(rows.files().all(|(_, columns)| template.columns()[0].is_in(columns)));
            assert_eq!(template.render(&rows.row(0)).unwrap(), text);
        }
    }

    #[test]
    fn doubled_braces_are_literal_braces() {
        let rows = Rows::new(vec![("name".into(), vec![Value::Text("{Ada}}".into())])], "memory");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut random = || -> String {
            let length = rng.random_range(0..12);
            (0..length).map(|_| *['{', '}', 'a', 'é', '|', ' ', '\n'].choose(&mut rng).unwrap()).collect()
        };
        let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
        for _ in 0..2000 {
            let (before, after) = (random(), random());
            let literal = Template::parse(&escaped(&before)).unwrap();
            assert_eq!(literal.render(&rows.row(0)).unwrap(), before);
            assert!(literal.columns().is_empty());
            let around = format!("{}{{name}}{}", escaped(&before), escaped(&after));
            let rendered = Template::parse(&around).unwrap().render(&rows.row(0)).unwrap();
            assert_eq!(rendered, format!("{before}{{Ada}}}}{after}"), "{around}");
        }
    }
}
