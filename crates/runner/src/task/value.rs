//! What a cell of a dataset holds.

use std::borrow::Cow;

/// The value of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// A number with more digits than the types above keep: a large integer, or a decimal number.
    Digits(String),
    List(Vec<Value>),
    Record(Vec<(String, Value)>),
    /// A type without text, such as a date: its name.
    Other(String),
}

impl Value {
    /// The kind of value, for messages.
    pub fn kind(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Value::Null => "an empty cell",
            Value::Text(_) => "text",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) => "an integer",
            Value::Number(_) | Value::Digits(_) => "a number",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
            Value::Other(name) => return format!("the type `{name}`").into(),
        })
    }

    /// The kind that all values of a column must share; `None` for an empty cell.
    pub(super) fn kind_of_column(&self) -> Option<&'static str> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(_) => "true or false",
            Value::Integer(_) | Value::Number(_) | Value::Digits(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Record(_) => "a record",
            Value::Other(_) => "a type without text",
        })
    }

    /// The value as text; lists and records have none.
    pub(super) fn into_text(self, path: &impl std::fmt::Display) -> Result<String, String> {
        match self {
            Value::Text(text) | Value::Digits(text) => Ok(text),
            Value::Boolean(b) => Ok(b.to_string()),
            Value::Integer(i) => Ok(i.to_string()),
            // Unlike `Display`, this distinguishes 1.0 from 1, and is short for 1e300.
            Value::Number(x) => Ok(format!("{x:?}")),
            Value::Null => Err(format!("column `{path}` is empty")),
            other @ Value::Other(_) => {
                Err(format!("column `{path}` holds {}, which has no text; store it as text", other.kind()))
            }
            other => Err(format!(
                "column `{path}` holds {}; use a text function such as `first` or `join`",
                other.kind()
            )),
        }
    }
}
