//! Published scores, for comparison with our own: CSV files whose columns results/README.md documents.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use peft_model::settings::nearest;

use crate::files::{self, FileError};
use crate::task::{Records, Style};

/// `results/paper/` of the repository.
static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/published");

/// The metric of averages.
const AVERAGE: &str = "average";

/// Columns that every file has.
const REQUIRED: [&str; 5] = ["task", "group", "metric", "method", "score"];

/// Columns that a file may leave out, which is the same as leaving them empty.
const OPTIONAL: [&str; 11] = [
    "published_as",
    "deviation",
    "seeds",
    "model",
    "trainable",
    "regime",
    "over",
    "source",
    "table",
    "row_of",
    "protocol",
];

/// Where published scores are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Published {
    /// Those of `results/paper/`, which the program carries.
    #[default]
    Embedded,
    /// A user's CSV file, or all of those in a folder.
    At(PathBuf),
}

/// A score that somebody has published, or the place for one that is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedScore {
    /// The task's name, its file's in `datasets/`; empty for an average.
    pub task: String,
    pub group: String,
    /// Whether this is the average over the tasks in `over`.
    pub average: bool,
    /// Names of the tasks that an average is over, which may be fewer than its group has.
    pub over: Vec<String>,
    /// Name in the registry, or the one that it would have there.
    pub method: String,
    /// The paper's name of the method, with what sets it apart from the paper's other rows.
    pub published_as: String,
    pub metric: String,
    /// In percent; `None` where it is not known.
    pub score: Option<f64>,
    /// Standard deviation over seeds, in percent.
    pub deviation: Option<f64>,
    pub seeds: Option<u32>,
    pub model: String,
    /// Number of trainable parameters, as printed.
    pub trainable: String,
    pub regime: Regime,
    /// Where the value was read: a paper or a repository, and the table or file in it.
    pub source: String,
    pub table: String,
    /// The paper whose row it is, where the source reprints another's.
    pub row_of: String,
    /// What else must be known to compare with it.
    pub protocol: String,
}

/// What a method had learned from before, or learned beside the task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Regime {
    /// Nothing.
    #[default]
    SingleTask,
    /// Other tasks, before this one.
    Transfer,
    /// Several tasks at once.
    MultiTask,
    /// Both.
    TransferAndMultiTask,
}

impl Regime {
    /// As the CSV files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleTask => "single-task",
            Self::Transfer => "transfer",
            Self::MultiTask => "multi-task",
            Self::TransferAndMultiTask => "transfer and multi-task",
        }
    }
}

/// Why published scores cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot list {}: {source}", path.display())]
    List { path: PathBuf, source: std::io::Error },
    #[error("{}: there is no CSV file in it", path.display())]
    NoFiles { path: PathBuf },
    #[error("{file}: {problem}")]
    Content { file: String, problem: String },
}

impl Published {
    /// Reads all of them.
    ///
    /// # Errors
    /// When a file cannot be read, a column is unknown or missing, a value is not what its column holds, or a score is
    /// there twice.
    pub fn load(&self) -> Result<Vec<PublishedScore>, PublishedError> {
        let mut scores: Vec<(String, PublishedScore)> = Vec::new();
        for (file, text) in self.texts()? {
            let wrong = |problem| PublishedError::Content { file: file.clone(), problem };
            for (line, score) in parse(&text).map_err(wrong)? {
                let place = format!("{file}, line {line}");
                if let Some((other, _)) = scores.iter().find(|(_, other)| other.is_same_as(&score)) {
                    return Err(wrong(format!("line {line} repeats {other}; keep one of them")));
                }
                scores.push((place, score));
            }
        }
        Ok(scores.into_iter().map(|(_, score)| score).collect())
    }

    /// Every file's name and text.
    fn texts(&self) -> Result<Vec<(String, String)>, PublishedError> {
        let Self::At(path) = self else { return Ok(embedded()) };
        let paths = if path.is_dir() { csv_files(path)? } else { vec![path.clone()] };
        let read = |path: PathBuf| Ok((path.display().to_string(), files::read_settings(&path)?));
        paths.into_iter().map(read).collect()
    }
}

fn embedded() -> Vec<(String, String)> {
    let csv = EMBEDDED.files().filter(|file| is_csv(file.path()));
    let named = |file: &include_dir::File| {
        let name = format!("results/paper/{}", file.path().display());
        (name, file.contents_utf8().unwrap_or_default().to_string())
    };
    csv.map(named).collect()
}

fn csv_files(folder: &Path) -> Result<Vec<PathBuf>, PublishedError> {
    let failed = |source| PublishedError::List { path: folder.into(), source };
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| is_csv(path));
    paths.sort();
    match paths.is_empty() {
        true => Err(PublishedError::NoFiles { path: folder.into() }),
        false => Ok(paths),
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "csv")
}

impl PublishedScore {
    /// Whether two rows say the same thing of the same source, whatever their scores.
    fn is_same_as(&self, other: &Self) -> bool {
        let key = |row: &Self| {
            let Self { task, group, metric, method, published_as, model, source, table, row_of, .. } =
                row.clone();
            (task, group, metric, method, published_as, model, row.regime as u8, source, table, row_of)
        };
        key(self) == key(other)
    }
}

/// The scores of a file, with their lines.
fn parse(text: &str) -> Result<Vec<(usize, PublishedScore)>, String> {
    let mut records = Records::new(text, ',', Style::Doubled);
    let header = records.next()?.ok_or("it is empty; its first line must have the names of the columns")?;
    let names: Vec<String> = header.fields.iter().map(|field| field.text.to_string()).collect();
    check_names(&names)?;
    let mut scores = Vec::new();
    while let Some(record) = records.next()? {
        record.check_width(names.len())?;
        let values = record.fields.iter().map(|field| field.text.trim().to_string()).collect();
        let row = Row { names: &names, values };
        let score = row.score().map_err(|problem| format!("line {}: {problem}", record.line))?;
        scores.push((record.line, score));
    }
    Ok(scores)
}

fn check_names(names: &[String]) -> Result<(), String> {
    let known = || REQUIRED.into_iter().chain(OPTIONAL);
    for (i, name) in names.iter().enumerate() {
        if !known().any(|known| known == name) {
            let near = nearest(name, known()).map(|near| format!(", did you mean `{near}`?"));
            let all = known().collect::<Vec<_>>().join(", ");
            return Err(format!("unknown column `{name}`{}; known are {all}", near.unwrap_or_default()));
        }
        if names[..i].contains(name) {
            return Err(format!("two columns are named `{name}`"));
        }
    }
    match REQUIRED.into_iter().find(|required| !names.iter().any(|name| name == required)) {
        Some(missing) => Err(format!("there is no column `{missing}`")),
        None => Ok(()),
    }
}

/// A line, by the names of the columns.
struct Row<'a> {
    names: &'a [String],
    values: Vec<String>,
}

impl Row<'_> {
    fn score(&self) -> Result<PublishedScore, String> {
        let text = |column| self.text(column).to_string();
        let average = text("task").is_empty();
        for column in ["group", "metric", "method"] {
            if self.text(column).is_empty() {
                return Err(format!("`{column}` is empty"));
            }
        }
        if average != (self.text("metric") == AVERAGE) || average == self.text("over").is_empty() {
            return Err(format!(
                "an average has no `task`, the metric `{AVERAGE}` and in `over` the tasks that it is over; a task has \
                 its name in `task`, a metric of its own and nothing in `over`"
            ));
        }
        Ok(PublishedScore {
            task: text("task"),
            group: text("group"),
            average,
            over: self.text("over").split_whitespace().map(String::from).collect(),
            method: text("method"),
            published_as: text("published_as"),
            metric: text("metric"),
            score: self.number("score", "a number, or empty if it is not known", |_: &f64| true)?,
            deviation: self.number("deviation", "a number from 0 up, or empty", |number| *number >= 0.0)?,
            seeds: self.whole("seeds")?,
            model: text("model"),
            trainable: text("trainable"),
            regime: self.regime()?,
            source: text("source"),
            table: text("table"),
            row_of: text("row_of"),
            protocol: text("protocol"),
        })
    }

    /// The value of a column; empty where the file has no such column.
    fn text(&self, column: &str) -> &str {
        let place = self.names.iter().position(|name| name == column);
        place.map_or("", |place| &self.values[place])
    }

    fn number(&self, column: &str, wanted: &str, fits: impl Fn(&f64) -> bool) -> Result<Option<f64>, String> {
        self.read(column, wanted, |text| text.parse().ok().filter(|n: &f64| n.is_finite() && fits(n)))
    }

    fn whole(&self, column: &str) -> Result<Option<u32>, String> {
        self.read(column, "a whole number from 1 up, or empty", |text| text.parse().ok().filter(|n| *n > 0))
    }

    fn read<T>(
        &self,
        column: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.text(column) {
            "" => Ok(None),
            text => match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(format!("`{column}` is `{text}`; it must be {wanted}")),
            },
        }
    }

    fn regime(&self) -> Result<Regime, String> {
        match self.text("regime") {
            "" | "single-task" => Ok(Regime::SingleTask),
            "transfer" => Ok(Regime::Transfer),
            "multi-task" => Ok(Regime::MultiTask),
            "transfer and multi-task" => Ok(Regime::TransferAndMultiTask),
            other => Err(format!(
                "`regime` is `{other}`; it must be `single-task`, `transfer`, `multi-task` or `transfer and multi-task`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use peft_model::peft;

    use super::*;
    use crate::task;

    /// Methods of published rows that this program does not have.
    const TO_COME: [&str; 2] = ["dpt", "ulpt"];

    fn all() -> Vec<PublishedScore> {
        Published::Embedded.load().unwrap()
    }

    #[test]
    fn every_task_and_metric_is_in_the_catalog() {
        for row in all() {
            let tasks = if row.average { row.over.clone() } else { vec![row.task.clone()] };
            for name in &tasks {
                let spec = task::find(name).unwrap().spec;
                assert_eq!(spec.group, row.group, "{row:?}");
                let metrics = spec.metrics.all();
                assert!(row.average || metrics.iter().any(|metric| metric.name() == row.metric), "{row:?}");
            }
        }
    }

    #[test]
    fn every_method_is_in_the_registry_or_to_come() {
        let methods: BTreeSet<String> = all().into_iter().map(|row| row.method).collect();
        for method in &methods {
            assert_ne!(peft::find(method).is_ok(), TO_COME.contains(&method.as_str()), "{method}");
        }
        assert!(TO_COME.iter().all(|method| methods.contains(*method)));
    }

    #[test]
    fn fine_tuning_dept_and_their_averages_join_with_our_tables() {
        let rows = all();
        let of = |method: &str, task: &str, group: &str| -> Vec<f64> {
            let own = rows.iter().filter(|row| {
                row.row_of.starts_with("DePT")
                    && row.regime == Regime::SingleTask
                    && row.seeds.is_none()
                    && (row.method.as_str(), row.task.as_str(), row.group.as_str()) == (method, task, group)
            });
            own.filter_map(|row| row.score).collect()
        };
        assert_eq!(of("full", "mnli", "GLUE"), [86.8]);
        assert_eq!(of("dept", "stsb", "GLUE"), [90.8]);
        assert_eq!(of("full", "", "GLUE"), [84.9]);
    }

    #[test]
    fn averages_are_those_of_their_tasks_unless_they_are_noted() {
        let rows = all();
        let key = |row: &PublishedScore| {
            (
                row.method.clone(),
                row.published_as.clone(),
                row.source.clone(),
                row.row_of.clone(),
                row.regime as u8,
            )
        };
        let scores: BTreeMap<_, _> =
            rows.iter().filter_map(|row| Some(((key(row), row.task.clone()), row.score?))).collect();
        let mut checked = 0;
        for row in rows.iter().filter(|row| row.average) {
            let Some(printed) = row.score else { continue };
            let of_task = |task: &String| scores[&(key(row), task.clone())];
            let mean = row.over.iter().map(of_task).sum::<f64>() / row.over.len() as f64;
            let differs = (mean - printed).abs() > 0.1;
            assert_eq!(differs, row.protocol.contains("as printed"), "{row:?}: {mean}");
            checked += 1;
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn adepts_own_scores_are_not_known() {
        let rows = all();
        let own: Vec<_> = rows.iter().filter(|row| row.method == "adept").collect();
        assert_eq!((own.len(), own.iter().filter_map(|row| row.score).count()), (22 + 4, 0));
    }

    fn problem(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.csv");
        fs::write(&path, text).unwrap();
        Published::At(path).load().unwrap_err().to_string()
    }

    #[test]
    fn a_users_file_or_folder_takes_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let text = "method,score,task,group,metric,seeds\nadept,93.4,rte,GLUE,accuracy,3\nadept,,cb,SuperGLUE,accuracy,\n";
        fs::write(folder.path().join("own.csv"), text).unwrap();
        for place in [folder.path().to_path_buf(), folder.path().join("own.csv")] {
            let rows = Published::At(place).load().unwrap();
            assert_eq!(rows.iter().map(|row| row.score).collect::<Vec<_>>(), [Some(93.4), None]);
            assert_eq!(
                (rows[0].seeds, rows[0].regime, rows[0].average),
                (Some(3), Regime::SingleTask, false)
            );
        }
        fs::write(folder.path().join("other.csv"), text).unwrap();
        let twice = Published::At(folder.path().into()).load().unwrap_err().to_string();
        assert!(twice.contains("own.csv: line 2 repeats") && twice.contains("other.csv, line 2"), "{twice}");
        let empty = tempfile::tempdir().unwrap();
        let none = Published::At(empty.path().into()).load().unwrap_err().to_string();
        assert!(none.contains("no CSV file"), "{none}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let header = "task,group,metric,method,score";
        for (text, parts) in [
            (String::new(), ["own.csv: ", "empty"]),
            (format!("{header},scor"), ["unknown column `scor`", "did you mean `score`?"]),
            (format!("{header},task"), ["two columns", "`task`"]),
            ("task,group,metric,score\n".into(), ["no column", "`method`"]),
            (format!("{header}\nrte,GLUE,accuracy,adept,high\n"), ["line 2: `score` is `high`", "a number"]),
            (format!("{header}\nrte,GLUE,accuracy,adept,inf\n"), ["line 2: `score` is `inf`", "a number"]),
            (format!("{header},seeds\nrte,GLUE,accuracy,adept,9,0\n"), ["`seeds` is `0`", "from 1 up"]),
            (
                format!("{header},deviation\nrte,GLUE,accuracy,adept,9,-1\n"),
                ["`deviation` is `-1`", "from 0 up"],
            ),
            (
                format!("{header},regime\nrte,GLUE,accuracy,adept,9,zero-shot\n"),
                ["`zero-shot`", "`transfer`"],
            ),
            (format!("{header}\n,GLUE,accuracy,adept,9\n"), ["line 2", "`over`"]),
            (format!("{header}\nrte,GLUE,average,adept,9\n"), ["line 2", "a metric of its own"]),
            (format!("{header}\nrte,GLUE,accuracy,,9\n"), ["line 2", "`method` is empty"]),
            (format!("{header}\nrte,GLUE,accuracy,adept\n"), ["line 2", "4 field(s)"]),
        ] {
            let problem = problem(&text);
            assert!(parts.iter().all(|part| problem.contains(part)), "{text:?}: {problem}");
        }
    }
}
