//! A task as data: the contents of a TOML in `datasets/`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::delimited::Quote;
use super::error::shown;
use super::files::{Dialect, is_delimited};
use super::split::SplitRule;
use super::template::Template;
use crate::metric::Metric;

/// A task as described by its TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Name in tables.
    pub title: String,
    /// Group over which tables average, such as GLUE.
    pub group: String,
    /// One line about the task.
    #[serde(default)]
    pub description: String,
    pub data: Data,
    pub split: SplitRule,
    pub text: Text,
    #[serde(default)]
    pub labels: Option<Labels>,
    pub metrics: Metrics,
    #[serde(default)]
    pub limits: Limits,
    /// Scores to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Alternative source templates by name; the trained model is scored on the test split with each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, String>,
    /// Threshold that splits numeric targets into two classes for few-shot training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few_shot_threshold: Option<f64>,
    /// Alternative texts, such as one with a bug of the reference fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<Variants>,
    /// The tasks whose rows it has, in a mixture, which has no data of its own and no TOML.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub mixture: Vec<TaskSpec>,
}

/// Scores of the reported metric between which a method's scores should lie: percentages, or errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Of always predicting the most frequent answer.
    pub majority: f64,
    /// The best that a method can reach.
    pub ceiling: f64,
}

/// Named ways to make a task's text; `task@variant` on the command line chooses one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variants {
    /// Name of the text that the task's own keys describe.
    pub default: String,
    #[serde(flatten)]
    pub others: BTreeMap<String, Variant>,
}

/// What a variant changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Template of the source; defaults to the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Template of the target; defaults to the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Where the rows are: a dataset on the hub, local files, or a generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Dataset on the hub, `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Configuration of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Branch, tag or commit; defaults to `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Local files by split: parquet, csv, tsv or jsonl, relative to the TOML.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Meaning of quotes in CSV and TSV files; by default they enclose fields in CSV and are detected in TSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// Column separator in CSV and TSV files; defaults to comma and tab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// Task of the pocket world, whose rows are generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
}

impl Data {
    pub(super) fn dialect(&self) -> Dialect {
        Dialect { quote: self.quote, separator: self.separator }
    }

    fn check_dialect(&self) -> Result<(), String> {
        let given = [("data.quote", self.quote.is_some()), ("data.separator", self.separator.is_some())];
        let Some((key, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(()) };
        if self.files.is_empty() {
            return Err(format!("`{key}` is only for CSV and TSV files in `data.files`"));
        }
        if let Some(other) = self.files.values().find(|file| !is_delimited(Path::new(file))) {
            return Err(format!("`{key}` is only for CSV and TSV files, and `{}` is neither", shown(other)));
        }
        match self.separator {
            Some(separator @ ('"' | '\n' | '\r')) => Err(format!(
                "`data.separator` is `{}`, which is reserved; use another character",
                separator.escape_default()
            )),
            _ => Ok(()),
        }
    }
}

/// How a row becomes text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The task's name in front of every source, if `training.task_prefix` is set; defaults to the TOML's file
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Template of the source.
    pub source: String,
    /// Template of the target; omitted in tasks with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Makes one row per element of the target's list.
    #[serde(default)]
    pub expand: bool,
    /// The target of a row whose list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<String>,
    /// Template of every accepted answer; defaults to the target alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Template of the id by which rows are grouped for scoring, such as a question's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The classes of a task and their label words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Column that holds the class.
    #[serde(default = "label")]
    pub column: String,
    /// Target text of each class: a list for classes 0, 1, ..., or a table from the column's values.
    pub words: Words,
}

fn label() -> String {
    "label".into()
}

/// The target text of each class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Words {
    List(Vec<String>),
    Table(BTreeMap<String, String>),
}

impl Labels {
    /// The class that a cell denotes, and its word, if there is one. Cells may spell it differently from `words`: with
    /// surrounding whitespace, `1.0` for `1`, `True` for `true`.
    pub fn class(&self, cell: &str) -> Option<(String, &str)> {
        match &self.words {
            Words::List(words) => {
                let place = position(&canonical(cell))?;
                Some((place.to_string(), words.get(place)?))
            }
            Words::Table(words) => {
                if let Some(word) = words.get(cell) {
                    return Some((cell.into(), word));
                }
                let mut alike = words.iter().filter(|(class, _)| canonical(class) == canonical(cell));
                match (alike.next(), alike.next()) {
                    (Some((class, word)), None) => Some((class.clone(), word)),
                    _ => None,
                }
            }
        }
    }

    /// A word that occurs twice in a list is a mistake; a table may merge classes.
    fn check(&self) -> Result<(), String> {
        if self.column.is_empty() {
            return Err("`labels.column` is empty; it must be a column name".into());
        }
        let words = self.words();
        let repeated = words.iter().enumerate().find(|(class, word)| words[..*class].contains(word));
        if let (Words::List(_), Some((class, word))) = (&self.words, repeated) {
            return Err(format!(
                "`labels.words` gives class {class} the word `{word}`, which an earlier class has; \
                 only a table from the column's values may merge classes"
            ));
        }
        if words.iter().all(|word| *word == words[0]) {
            return Err("`labels.words` needs at least two classes with different words".into());
        }
        Ok(())
    }

    /// The raw classes.
    pub fn classes(&self) -> Vec<String> {
        match &self.words {
            Words::List(words) => (0..words.len()).map(|i| i.to_string()).collect(),
            Words::Table(words) => words.keys().cloned().collect(),
        }
    }

    /// The words, one per class.
    pub fn words(&self) -> Vec<&str> {
        match &self.words {
            Words::List(words) => words.iter().map(String::as_str).collect(),
            Words::Table(words) => words.values().map(String::as_str).collect(),
        }
    }
}

/// The canonical spelling of a class: trimmed, `true` and `false` in lowercase, numbers without redundant zeros and
/// signs.
fn canonical(class: &str) -> String {
    let class = class.trim();
    let lower = class.to_ascii_lowercase();
    if matches!(&*lower, "true" | "false") {
        return lower;
    }
    let unsigned = class.strip_prefix(['+', '-']).unwrap_or(class);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return class.into();
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.trim_end_matches('0');
    let sign = if class.starts_with('-') && (whole, fraction) != ("0", "") { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Index of a class in a list; false and true are classes 0 and 1.
fn position(class: &str) -> Option<usize> {
    match class {
        "false" => Some(0),
        "true" => Some(1),
        number => number.parse().ok(),
    }
}

/// The metrics of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Chooses the checkpoint on the validation split.
    pub select: Metric,
    /// Shown in tables; defaults to the selecting metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Metric>,
    /// Recorded in addition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Metric>,
    /// Their mean chooses the checkpoint if `training.selection` is `average`; defaults to `select`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub average: Vec<Metric>,
}

impl Metrics {
    /// The metric in tables.
    pub fn reported(&self) -> Metric {
        self.report.unwrap_or(self.select)
    }

    /// Every metric once, the selecting one first.
    pub fn all(&self) -> Vec<Metric> {
        let mut all = Vec::new();
        for (_, metric) in self.by_key() {
            if !all.contains(&metric) {
                all.push(metric);
            }
        }
        all
    }

    /// Every metric, with its key.
    fn by_key(&self) -> impl Iterator<Item = (&'static str, Metric)> {
        let select = std::iter::once(("metrics.select", self.select));
        let report = self.report.iter().map(|&metric| ("metrics.report", metric));
        let listed = [("metrics.also", &self.also), ("metrics.average", &self.average)];
        let listed = listed.into_iter().flat_map(|(key, metrics)| metrics.iter().map(move |&m| (key, m)));
        select.chain(report).chain(listed)
    }
}

/// Largest token limit.
const MOST_TOKENS: usize = 65_536;

/// Token limits, from 2 to 65,536.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest source, including the EOS token; longer ones are truncated and counted.
    pub source_tokens: usize,
    /// Longest target of tasks without labels, including the EOS token.
    pub target_tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { source_tokens: 256, target_tokens: 20 }
    }
}

pub(super) const SOURCE: &str = "text.source";
pub(super) const TARGET: &str = "text.target";
pub(super) const ANSWERS: &str = "text.answers";
pub(super) const GROUP: &str = "text.group";

/// The templates of a specification, parsed.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    pub source: Template,
    pub target: Option<Template>,
    pub answers: Option<Template>,
    pub group: Option<Template>,
    pub probes: Vec<(String, Template)>,
}

impl Templates {
    /// Every template, with its key.
    pub(super) fn by_key(&self) -> impl Iterator<Item = (String, &Template)> {
        let templates = [
            (SOURCE, Some(&self.source)),
            (TARGET, self.target.as_ref()),
            (ANSWERS, self.answers.as_ref()),
            (GROUP, self.group.as_ref()),
        ];
        let templates =
            templates.into_iter().filter_map(|(key, template)| Some((key.to_string(), template?)));
        let probes = self.probes.iter();
        templates.chain(probes.map(|(name, template)| (format!("probes.{name}"), template)))
    }
}

impl TaskSpec {
    /// The task in a variant, whose name its title gets; the error lists the variants.
    pub(super) fn with_variant(mut self, name: Option<&str>) -> Result<Self, String> {
        let Some(variants) = self.variants.take() else {
            return match name {
                None => Ok(self),
                Some(name) => Err(format!("unknown variant `{name}`: the task has no variants")),
            };
        };
        let chosen = name.unwrap_or(&variants.default);
        if let Some(variant) = variants.others.get(chosen) {
            if (&variant.source, &variant.target) == (&None, &None) {
                return Err("it changes nothing; it needs `source` or `target`".into());
            }
            self.text.source = variant.source.clone().unwrap_or(self.text.source);
            self.text.target = variant.target.clone().or(self.text.target);
        } else if chosen != variants.default {
            let known: Vec<&str> = variants.others.keys().map(String::as_str).collect();
            return Err(format!(
                "unknown variant `{chosen}`; known: {}, {}",
                variants.default,
                known.join(", ")
            ));
        }
        self.title = format!("{} ({chosen})", self.title);
        Ok(self)
    }

    /// Checks everything that does not need the rows; the error names the key.
    pub(super) fn check(&self) -> Result<Templates, String> {
        let data = &self.data;
        let sources = [data.repo.is_some(), !data.files.is_empty(), data.generated.is_some()];
        match sources.iter().filter(|&&given| given).count() {
            0 => return Err("[data] needs `repo` (a hub dataset) or `files` (local files)".into()),
            1 => {}
            _ => return Err("[data] has more than one of `repo`, `files` and `generated`; keep one".into()),
        }
        if data.repo.is_none() {
            for (key, value) in [("data.config", &data.config), ("data.revision", &data.revision)] {
                if value.is_some() {
                    return Err(format!("`{key}` is only for datasets on the hub, with `data.repo`"));
                }
            }
        }
        data.check_dialect()?;
        self.check_names()?;
        self.check_numbers()?;
        self.split.check()?;
        if self.labels.is_some() == self.text.target.is_some() {
            return Err("set exactly one of [labels] and `text.target`".into());
        }
        self.labels.as_ref().map_or(Ok(()), Labels::check)?;
        for (key, metric) in self.metrics.by_key() {
            self.check_metric(metric).map_err(|problem| format!("`{key}`: `{metric}` {problem}"))?;
        }
        let average = &self.metrics.average;
        if let Some((_, twice)) =
            average.iter().enumerate().find(|(i, metric)| average[..*i].contains(metric))
        {
            return Err(format!("`metrics.average` lists `{twice}` twice"));
        }
        let of_kind = |is_error: bool| average.iter().find(|metric| metric.is_error() == is_error);
        if let (Some(error), Some(percentage)) = (of_kind(true), of_kind(false)) {
            return Err(format!(
                "`metrics.average` lists `{error}`, an error that is better when lower, with `{percentage}`, a \
                 percentage; a mean of both would mean nothing: list one kind"
            ));
        }
        if self.text.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err("`text.name` is empty; it is the text in front of every source".into());
        }
        if self.text.expand && self.text.target.is_none() {
            return Err("`text.expand` needs `text.target`".into());
        }
        if self.text.empty.is_some() && !self.text.expand {
            return Err("`text.empty` needs `text.expand`".into());
        }
        if self.few_shot_threshold.is_some() && self.labels.is_some() {
            return Err(
                "`few_shot_threshold` is only for numeric targets; [labels] are already classes".into()
            );
        }
        for (key, value) in [
            ("limits.source_tokens", self.limits.source_tokens),
            ("limits.target_tokens", self.limits.target_tokens),
        ] {
            if !(2..=MOST_TOKENS).contains(&value) {
                return Err(format!(
                    "`{key}` is {value}; it must be between 2 (a token and EOS) and {MOST_TOKENS}"
                ));
            }
        }
        self.templates()
    }

    /// The templates, parsed; the error names the key.
    pub(super) fn templates(&self) -> Result<Templates, String> {
        let parse = |key: &str, text: &str| Template::parse(text).map_err(|e| format!("`{key}`: {e}"));
        let with_column = |key: &str, text: &str| match parse(key, text)? {
            template if template.columns().is_empty() => {
                Err(format!("`{key}`: `{text}` has no column in braces, so every row would be the same"))
            }
            template => Ok(template),
        };
        let optional = |key: &str, text: &Option<String>| text.as_ref().map(|t| parse(key, t)).transpose();
        Ok(Templates {
            source: with_column("text.source", &self.text.source)?,
            target: optional("text.target", &self.text.target)?,
            answers: optional("text.answers", &self.text.answers)?,
            group: optional("text.group", &self.text.group)?,
            probes: self
                .probes
                .iter()
                .map(|(name, text)| Ok((name.clone(), with_column(&format!("probes.{name}"), text)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// Refuses terminal control characters in names that are shown.
    fn check_names(&self) -> Result<(), String> {
        let texts = [("title", &self.title), ("group", &self.group), ("description", &self.description)];
        let probes = self.probes.keys().map(|name| ("probes", name));
        match texts.into_iter().chain(probes).find(|(_, text)| text.contains(char::is_control)) {
            Some((key, text)) => Err(format!("`{key}` contains control characters: `{}`", shown(text))),
            None => Ok(()),
        }
    }

    /// Refuses numbers that are valid TOML but out of range.
    fn check_numbers(&self) -> Result<(), String> {
        if let Some(threshold) = self.few_shot_threshold.filter(|threshold| !threshold.is_finite()) {
            return Err(format!("`few_shot_threshold` is {threshold}; it must be a finite number"));
        }
        let Some(Reference { majority, ceiling }) = self.reference else { return Ok(()) };
        let (most, range) = match self.metrics.reported().is_error() {
            true => (f64::MAX, "a finite number from 0 up, an error in the targets' units"),
            false => (100.0, "between 0 and 100"),
        };
        let scores = [("reference.majority", majority), ("reference.ceiling", ceiling)];
        match scores.into_iter().find(|(_, value)| !(0.0..=most).contains(value)) {
            Some((key, value)) => Err(format!("`{key}` is {value}; it must be {range}")),
            None => Ok(()),
        }
    }

    /// Checks that the task's answers fit a metric.
    fn check_metric(&self, metric: Metric) -> Result<(), String> {
        use Metric::*;
        let is_number = |word: &str| word.trim().parse().is_ok_and(f64::is_finite);
        match metric {
            F1 | MultircF1a | MultircF1m | MultircExactMatch => {
                self.check_words("`0` and `1`", |word| matches!(word, "0" | "1"))?;
            }
            Pearson | Spearman | MeanAbsoluteError | RootMeanSquaredError => {
                self.check_words("numbers", is_number)?;
            }
            _ => {}
        }
        let grouped = matches!(metric, RecordExactMatch | RecordF1 | MultircF1m | MultircExactMatch);
        if grouped && self.text.group.is_none() {
            return Err("needs `text.group`, the id of each row's question".into());
        }
        if self.text.answers.is_some() && !metric.compares_words() {
            return Err("compares with one answer per row; remove `text.answers`, or use a metric \
                 that accepts several, such as `exact-match`"
                .into());
        }
        Ok(())
    }

    /// Checks that a metric can read the label words.
    fn check_words(&self, wanted: &str, fits: impl Fn(&str) -> bool) -> Result<(), String> {
        let words = self.labels.as_ref().map(Labels::words).unwrap_or_default();
        if words.iter().all(|word| fits(word)) {
            return Ok(());
        }
        Err(format!("needs `labels.words` to be {wanted}; they are `{}`", words.join("`, `")))
    }
}
