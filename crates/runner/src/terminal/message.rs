//! The one way to standard error: messages with a level, as text or as one JSON object per line.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::printable::{is_unsafe, printable};
use crate::host;

/// Whether only errors are told.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether messages are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// How messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Progress,
    Note,
    Warning,
    Error,
}

/// Decides for the whole process which messages are written, and how.
pub fn configure(quiet: bool, format: LogFormat) {
    QUIET.store(quiet, Relaxed);
    JSON.store(format == LogFormat::Json, Relaxed);
}

/// Whether only errors are told.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Relaxed)
}

/// Whether progress can be drawn as bars.
pub(crate) fn draws_bars() -> bool {
    !is_quiet() && !JSON.load(Relaxed) && std::io::stderr().is_terminal()
}

/// Prints a line to standard error like `eprintln`, but with terminal control characters escaped and write errors
/// ignored. A line that begins with `note: `, `warning: ` or `error: ` has that level, any other one is progress.
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::say_text(&format!($($text)*)) };
}
pub(crate) use say;

/// What [`say!`] does with its text.
pub(crate) fn say_text(text: &str) {
    let (level, message) = Level::of(text);
    tell(level, message, Map::new());
}

/// Tells how far work has come; `numbers` are for programs.
pub(crate) fn progress(text: &str, numbers: &[(&str, Value)]) {
    let fields = numbers.iter().map(|(name, value)| (name.to_string(), value.clone()));
    tell(Level::Progress, text, fields.collect());
}

/// Tells something and what to do about it, if that is known.
pub(crate) fn with_hint(level: Level, text: &str, hint: Option<String>) {
    let hint = hint.map(|hint| (HINT.to_string(), hint.into()));
    tell(level, text, hint.into_iter().collect());
}

/// The field that text shows on a line of its own.
const HINT: &str = "hint";

fn tell(level: Level, message: &str, fields: Map<String, Value>) {
    if is_quiet() && level != Level::Error {
        return;
    }
    let line = match JSON.load(Relaxed) {
        true => json_line(&host::timestamp(), level, message, fields),
        false => text_line(level, message, &fields),
    };
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn text_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let prefix = if level == Level::Progress { String::new() } else { format!("{}: ", level.name()) };
    let hint = fields.get(HINT).and_then(Value::as_str).map(|hint| format!("\n{HINT}: {hint}"));
    printable(&format!("{prefix}{message}{}", hint.unwrap_or_default())).into_owned()
}

fn json_line(time: &str, level: Level, message: &str, fields: Map<String, Value>) -> String {
    let own = [("time", time), ("level", level.name()), ("message", message)];
    let mut object: Map<String, Value> =
        own.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    object.extend(fields);
    // JSON may hold what a terminal obeys; as an escape it means the same.
    let escaped = |c: char| if is_unsafe(c) { format!("\\u{:04x}", c as u32) } else { c.into() };
    Value::Object(object).to_string().chars().map(escaped).collect()
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The level that a text names, and the rest of it.
    fn of(text: &str) -> (Self, &str) {
        let named = |level: Self| Some((level, text.strip_prefix(level.name())?.strip_prefix(": ")?));
        [Self::Note, Self::Warning, Self::Error].into_iter().find_map(named).unwrap_or((Self::Progress, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_its_level() {
        for (text, level, message) in [
            ("note: few rows", Level::Note, "few rows"),
            ("warning: few rows", Level::Warning, "few rows"),
            ("error: no rows", Level::Error, "no rows"),
            ("noted: 3/4", Level::Progress, "noted: 3/4"),
            ("lora: 3/4", Level::Progress, "lora: 3/4"),
        ] {
            assert_eq!(Level::of(text), (level, message));
            assert_eq!(text_line(level, message, &Map::new()), text);
        }
    }

    #[test]
    fn a_hint_has_a_line_of_its_own() {
        let hint = Map::from_iter([(HINT.to_string(), "run it again".into())]);
        assert_eq!(text_line(Level::Error, "no rows", &hint), "error: no rows\nhint: run it again");
        let line = json_line("now", Level::Error, "no rows", hint);
        assert_eq!(line, r#"{"time":"now","level":"error","message":"no rows","hint":"run it again"}"#);
    }

    #[test]
    fn a_line_of_json_cannot_control_a_terminal_and_means_the_same() {
        let message = "a\u{1b}[31m\tb\u{9b}2J\u{202e}c\u{7f}\r\nd \"e\" é";
        let line = json_line("now", Level::Note, message, Map::new());
        assert!(!line.contains(is_unsafe) && line.lines().count() == 1, "{line:?}");
        let parsed: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["message"], message);
    }
}
