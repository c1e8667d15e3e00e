use std::collections::BTreeSet;

use polars::prelude::*;
use serde_json::json;

use super::cell::FORMAT;
use super::origin::Origin;
use super::shown::ReportedSplit;
use crate::task::TaskSpec;
use crate::train::Scores;

/// How a cell ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellStatus {
    Completed,
    /// The loss stopped being finite; the message says when.
    Diverged(String),
}

/// Values by update.
pub type Curve = Vec<(u64, f64)>;

/// One row of results: what came out of a cell, and what made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub cell: String,
    /// Identity of all cells that differ from this one in their seed alone; empty in outdated records.
    pub kind: String,
    pub suite: String,
    pub task: String,
    pub task_title: String,
    pub group: String,
    /// Name of the method in this suite's tables.
    pub method: String,
    pub seed: u64,
    pub status: CellStatus,
    /// Metric in tables, and its value on the test split: in percent, an error in the targets' units.
    pub metric: String,
    pub score: Option<f64>,
    /// Metric that chose the checkpoint, or the mean of those that did, and its value on the validation split.
    pub selection_metric: String,
    pub selection_score: Option<f64>,
    pub best_step: Option<u64>,
    /// All metrics on the test and on the validation split, as JSON.
    pub test_scores: String,
    pub validation_scores: String,
    /// What is known of newer records only.
    pub evidence: Option<RecordedEvidence>,
    /// The adapters that it started from.
    pub started_from: Vec<Origin>,
    pub trainable_parameters: u64,
    /// Wall-clock seconds of this run: those of the runs side by side, divided by their number.
    pub train_seconds: f64,
    pub evaluate_seconds: f64,
    pub runs_side_by_side: u32,
    pub peak_memory_bytes: Option<u64>,
    pub losses: Curve,
    pub validation_curve: Curve,
    pub train_rows: u64,
    pub validation_rows: u64,
    pub test_rows: u64,
    /// Most rows of each split, in a trial run.
    pub limit: Option<u64>,
    /// Sources over all splits that the length limit cut.
    pub truncated_sources: u64,
    pub model: String,
    pub model_revision: String,
    /// The dataset's commit, or what stands for it where rows are local or generated.
    pub dataset_revision: String,
    /// The method's settings, the training's and the task's, as JSON.
    pub settings: String,
    pub training: String,
    pub task_spec: String,
    /// Program, framework and device.
    pub versions: String,
    /// When it was finished, in UTC (RFC 3339).
    pub timestamp: String,
    /// Of the program's source.
    pub commit: String,
    /// The processor's model, and the threads that shared the work.
    pub cpu: String,
    pub threads: u32,
    /// Version of the record and of what its identity means: [`FORMAT`] of the program that wrote it.
    pub format: u32,
}

/// What was measured and kept of a cell beside its scores; records of earlier programs lack it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvidence {
    /// All metrics on the test split after the last update, as JSON; empty where the run diverged.
    pub last_test_scores: String,
    /// Norm of the gradients before clipping, by update.
    pub gradient_norms: Curve,
    /// The schedule's factor on every learning rate at the updates of the losses.
    pub schedule: Vec<f64>,
    /// Tokens that the training computed with, without and with the padding that its company caused.
    pub real_tokens: u64,
    pub padded_tokens: u64,
    pub examples_per_second: f64,
    /// Floating-point operations of all updates, counted from the backbone's layout for the expected widths of batches.
    pub training_flops: f64,
    /// Bytes of the backbone's weights, and of what trains with its gradients and moments.
    pub weights_bytes: u64,
    pub trained_bytes: u64,
    /// SHA-256 of the backbone's weights; of random ones, what they were drawn from.
    pub weights: String,
    /// The items that `predictions/<id>.parquet` answers; `None` where there is no checkpoint.
    pub items: Option<String>,
}

/// The column with the adapters that a cell started from, as JSON.
const STARTED_FROM: &str = "started_from";

/// The format of records that do not say which one they have.
const FIRST_FORMAT: u32 = 2;

/// Why a table is no record of this program.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "it was written by a newer version of the program (format {found}, and this one reads formats up to {FORMAT}); \
         update the program, or give another folder"
    )]
    Newer { found: u32 },
    #[error(transparent)]
    Table(#[from] PolarsError),
}

impl Record {
    /// All metrics on the test split, those under a probe as `probe/metric`.
    pub fn test_scores(&self) -> Scores {
        serde_json::from_str(&self.test_scores).unwrap_or_default()
    }

    /// All metrics on the validation split.
    pub fn validation_scores(&self) -> Scores {
        serde_json::from_str(&self.validation_scores).unwrap_or_default()
    }

    /// The distinct labels that the task declares, if it does.
    pub fn labels(&self) -> Option<Vec<String>> {
        let spec: TaskSpec = serde_json::from_str(&self.task_spec).ok()?;
        let (labels, mut seen) = (spec.labels?, BTreeSet::new());
        let words = labels.words().into_iter().filter(|word| seen.insert(*word));
        Some(words.map(String::from).collect())
    }

    /// The score that a table of this split shows.
    pub fn score_on(&self, split: ReportedSplit) -> Option<f64> {
        match split {
            ReportedSplit::Test => self.score,
            // A run that diverged has no score, whatever its checkpoints had.
            ReportedSplit::Validation => self.score.and(self.selection_score),
        }
    }

    /// The metric of that score.
    pub fn metric_on(&self, split: ReportedSplit) -> &str {
        match split {
            ReportedSplit::Test => &self.metric,
            ReportedSplit::Validation => &self.selection_metric,
        }
    }

    /// The record as a table of one row.
    pub fn to_frame(&self) -> PolarsResult<DataFrame> {
        let (status, problem) = match &self.status {
            CellStatus::Completed => ("completed", None),
            CellStatus::Diverged(problem) => ("diverged", Some(problem.as_str())),
        };
        let mut frame = df!(
            "cell" => [self.cell.as_str()],
            "kind" => [self.kind.as_str()],
            "suite" => [self.suite.as_str()],
            "task" => [self.task.as_str()],
            "task_title" => [self.task_title.as_str()],
            "group" => [self.group.as_str()],
            "method" => [self.method.as_str()],
            "seed" => [self.seed],
            "status" => [status],
            "problem" => [problem],
            "metric" => [self.metric.as_str()],
            "score" => [self.score],
            "selection_metric" => [self.selection_metric.as_str()],
            "selection_score" => [self.selection_score],
            "best_step" => [self.best_step],
            "test_scores" => [self.test_scores.as_str()],
            "validation_scores" => [self.validation_scores.as_str()],
            "trainable_parameters" => [self.trainable_parameters],
            "train_seconds" => [self.train_seconds],
            "evaluate_seconds" => [self.evaluate_seconds],
            "runs_side_by_side" => [self.runs_side_by_side],
            "peak_memory_bytes" => [self.peak_memory_bytes],
            "loss_steps" => steps(&self.losses),
            "losses" => values(&self.losses),
            "validation_steps" => steps(&self.validation_curve),
            "validation_curve" => values(&self.validation_curve),
            "train_rows" => [self.train_rows],
            "validation_rows" => [self.validation_rows],
            "test_rows" => [self.test_rows],
            "limit" => [self.limit],
            "truncated_sources" => [self.truncated_sources],
            "model" => [self.model.as_str()],
            "model_revision" => [self.model_revision.as_str()],
            "dataset_revision" => [self.dataset_revision.as_str()],
            "settings" => [self.settings.as_str()],
            "training" => [self.training.as_str()],
            "task_spec" => [self.task_spec.as_str()],
            "versions" => [self.versions.as_str()],
            "timestamp" => [self.timestamp.as_str()],
            "commit" => [self.commit.as_str()],
            "cpu" => [self.cpu.as_str()],
            "threads" => [self.threads],
            "format" => [self.format],
            STARTED_FROM => [(!self.started_from.is_empty()).then(|| json!(self.started_from).to_string())],
        )?;
        if let Some(evidence) = &self.evidence {
            frame.hstack_mut(evidence.to_frame()?.columns())?;
        }
        Ok(frame)
    }

    /// Whether it is from before this format: its cell would have another identity today.
    pub fn is_outdated(&self) -> bool {
        self.format < FORMAT
    }

    /// Reads the record back from a table of one row.
    ///
    /// # Errors
    /// When a newer program wrote it, or it is no record.
    pub fn from_frame(frame: &DataFrame) -> Result<Self, RecordError> {
        if frame.height() != 1 {
            return Err(polars_err!(ComputeError: "it has {} rows, not one", frame.height()).into());
        }
        match format(frame)? {
            found if found > FORMAT => Err(RecordError::Newer { found }),
            format => Ok(Self::from_columns(frame, format)?),
        }
    }

    fn from_columns(frame: &DataFrame, format: u32) -> PolarsResult<Self> {
        let text = |name: &str| present(name, optional_text(frame, name)?);
        let number = |name: &str| -> PolarsResult<Option<f64>> { Ok(frame.column(name)?.f64()?.get(0)) };
        let whole = |name: &str| -> PolarsResult<Option<u64>> { Ok(frame.column(name)?.u64()?.get(0)) };
        let small = |name: &str| present(name, frame.column(name)?.u32()?.get(0));
        let some = |name: &str| present(name, whole(name)?);
        let curve = |steps: &str, values: &str| curve(frame, steps, values);
        let status = match optional_text(frame, "problem")? {
            None => CellStatus::Completed,
            Some(problem) => CellStatus::Diverged(problem),
        };
        Ok(Self {
            cell: text("cell")?,
            kind: if format == FIRST_FORMAT { String::new() } else { text("kind")? },
            suite: text("suite")?,
            task: text("task")?,
            task_title: text("task_title")?,
            group: text("group")?,
            method: text("method")?,
            seed: some("seed")?,
            status,
            metric: text("metric")?,
            score: number("score")?,
            selection_metric: text("selection_metric")?,
            selection_score: number("selection_score")?,
            best_step: whole("best_step")?,
            test_scores: text("test_scores")?,
            validation_scores: text("validation_scores")?,
            evidence: match frame.column("last_test_scores").is_ok() {
                true => Some(RecordedEvidence::from_columns(frame)?),
                false => None,
            },
            started_from: started_from(frame)?,
            trainable_parameters: some("trainable_parameters")?,
            train_seconds: present("train_seconds", number("train_seconds")?)?,
            evaluate_seconds: present("evaluate_seconds", number("evaluate_seconds")?)?,
            runs_side_by_side: small("runs_side_by_side")?,
            peak_memory_bytes: whole("peak_memory_bytes")?,
            losses: curve("loss_steps", "losses")?,
            validation_curve: curve("validation_steps", "validation_curve")?,
            train_rows: some("train_rows")?,
            validation_rows: some("validation_rows")?,
            test_rows: some("test_rows")?,
            // Records from before there was a limit lack the column.
            limit: match frame.column("limit") {
                Ok(column) => column.u64()?.get(0),
                Err(_) => None,
            },
            truncated_sources: some("truncated_sources")?,
            model: text("model")?,
            model_revision: text("model_revision")?,
            dataset_revision: text("dataset_revision")?,
            settings: text("settings")?,
            training: text("training")?,
            task_spec: text("task_spec")?,
            versions: text("versions")?,
            timestamp: text("timestamp")?,
            commit: text("commit")?,
            cpu: text("cpu")?,
            threads: small("threads")?,
            format,
        })
    }
}

impl RecordedEvidence {
    /// All metrics on the test split after the last update.
    pub fn last_test_scores(&self) -> Scores {
        serde_json::from_str(&self.last_test_scores).unwrap_or_default()
    }

    fn to_frame(&self) -> PolarsResult<DataFrame> {
        df!(
            "last_test_scores" => [self.last_test_scores.as_str()],
            "gradient_norm_steps" => steps(&self.gradient_norms),
            "gradient_norms" => values(&self.gradient_norms),
            "schedule" => list(Series::new(PlSmallStr::EMPTY, self.schedule.as_slice())),
            "real_tokens" => [self.real_tokens],
            "padded_tokens" => [self.padded_tokens],
            "examples_per_second" => [self.examples_per_second],
            "training_flops" => [self.training_flops],
            "weights_bytes" => [self.weights_bytes],
            "trained_bytes" => [self.trained_bytes],
            "weights" => [self.weights.as_str()],
            "items" => [self.items.as_deref()],
        )
    }

    fn from_columns(frame: &DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| present(name, optional_text(frame, name)?);
        let whole = |name: &str| present(name, frame.column(name)?.u64()?.get(0));
        let schedule = present("schedule", frame.column("schedule")?.list()?.get_as_series(0))?;
        Ok(Self {
            last_test_scores: text("last_test_scores")?,
            gradient_norms: curve(frame, "gradient_norm_steps", "gradient_norms")?,
            schedule: schedule.f64()?.into_no_null_iter().collect(),
            real_tokens: whole("real_tokens")?,
            padded_tokens: whole("padded_tokens")?,
            examples_per_second: present(
                "examples_per_second",
                frame.column("examples_per_second")?.f64()?.get(0),
            )?,
            training_flops: present("training_flops", frame.column("training_flops")?.f64()?.get(0))?,
            weights_bytes: whole("weights_bytes")?,
            trained_bytes: whole("trained_bytes")?,
            weights: text("weights")?,
            items: optional_text(frame, "items")?,
        })
    }
}

fn curve(frame: &DataFrame, steps: &str, values: &str) -> PolarsResult<Curve> {
    let list = |name: &str| present(name, frame.column(name)?.list()?.get_as_series(0));
    let (steps, values) = (list(steps)?, list(values)?);
    Ok(steps.u64()?.into_no_null_iter().zip(values.f64()?.into_no_null_iter()).collect())
}

fn steps(curve: &Curve) -> Series {
    let steps = curve.iter().map(|(step, _)| *step);
    list(UInt64Chunked::from_iter_values(PlSmallStr::EMPTY, steps).into_series())
}

fn values(curve: &Curve) -> Series {
    let values = curve.iter().map(|(_, value)| *value);
    list(Float64Chunked::from_iter_values(PlSmallStr::EMPTY, values).into_series())
}

fn format(frame: &DataFrame) -> PolarsResult<u32> {
    match frame.column("format") {
        Ok(column) => present("format", column.u32()?.get(0)),
        Err(_) => Ok(FIRST_FORMAT),
    }
}

/// The adapters that a cell started from; records from before there were any lack the column.
fn started_from(frame: &DataFrame) -> PolarsResult<Vec<Origin>> {
    let origins = match frame.column(STARTED_FROM) {
        Ok(column) => column.str()?.get(0),
        Err(_) => None,
    };
    let Some(origins) = origins else { return Ok(Vec::new()) };
    serde_json::from_str(origins).map_err(|e| polars_err!(ComputeError: "column `{STARTED_FROM}`: {e}"))
}

fn optional_text(frame: &DataFrame, name: &str) -> PolarsResult<Option<String>> {
    Ok(frame.column(name)?.str()?.get(0).map(str::to_string))
}

/// A value that every record has.
fn present<T>(column: &str, value: Option<T>) -> PolarsResult<T> {
    value.ok_or_else(|| polars_err!(ComputeError: "column `{column}` is empty"))
}

/// A list column of one row.
fn list(values: Series) -> Series {
    values.implode().map(ListChunked::into_series).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::origin::Role;
    use super::*;

    fn record() -> Record {
        let text = String::from;
        Record {
            cell: text("0123456789abcdef"),
            kind: text("fedcba9876543210"),
            suite: text("suite"),
            task: text("task"),
            task_title: text("Task"),
            group: text("Group"),
            method: text("lora"),
            seed: u64::MAX,
            status: CellStatus::Completed,
            metric: text("accuracy"),
            score: Some(100.0 / 3.0),
            selection_metric: text("mean of accuracy and f1"),
            selection_score: Some(0.1 + 0.2),
            best_step: Some(20),
            test_scores: text("{\"accuracy\":33.3}"),
            validation_scores: text("{}"),
            evidence: Some(RecordedEvidence {
                last_test_scores: text("{\"accuracy\":33.0}"),
                gradient_norms: vec![(10, 1.0 / 3.0), (20, 0.0)],
                schedule: vec![1.0, 0.1 + 0.2],
                real_tokens: 1 << 40,
                padded_tokens: 1 << 41,
                examples_per_second: 100.0 / 7.0,
                training_flops: 1e18,
                weights_bytes: 9,
                trained_bytes: 8,
                weights: text("sha256:00"),
                items: Some(text("00")),
            }),
            started_from: vec![Origin {
                role: Role::Source,
                method: text("prompt-tuning"),
                cell: Some(text("0011223344556677")),
                task: Some(text("other")),
                seed: Some(42),
                sha256: text("00"),
            }],
            trainable_parameters: 7,
            train_seconds: 1.5,
            evaluate_seconds: 0.5,
            runs_side_by_side: 3,
            peak_memory_bytes: Some(1 << 40),
            losses: vec![(10, 2.5), (20, f64::MIN_POSITIVE)],
            validation_curve: vec![(20, 1.0 / 3.0)],
            train_rows: 4,
            validation_rows: 5,
            test_rows: 6,
            limit: Some(6),
            truncated_sources: 0,
            model: text("model"),
            model_revision: text("1"),
            dataset_revision: text("2"),
            settings: text("{}"),
            training: text("{}"),
            task_spec: text("{}"),
            versions: text("{}"),
            timestamp: text("2026-01-02T03:04:05Z"),
            commit: text("c0ffee"),
            cpu: text("cpu"),
            threads: 2,
            format: FORMAT,
        }
    }

    #[test]
    fn a_record_is_read_back_to_the_bit() {
        let completed = record();
        let diverged = Record {
            status: CellStatus::Diverged("the loss was NaN by step 10".into()),
            score: None,
            selection_score: None,
            best_step: None,
            peak_memory_bytes: None,
            limit: None,
            losses: Vec::new(),
            validation_curve: Vec::new(),
            ..record()
        };
        let without_checkpoint = Record {
            evidence: record().evidence.map(|evidence| RecordedEvidence { items: None, ..evidence }),
            ..record()
        };
        let of_an_earlier_program = Record { evidence: None, started_from: Vec::new(), ..record() };
        for record in [completed, diverged, without_checkpoint, of_an_earlier_program] {
            assert_eq!(Record::from_frame(&record.to_frame().unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn a_table_of_no_or_two_rows_is_no_record() {
        let frame = record().to_frame().unwrap();
        assert!(Record::from_frame(&frame.head(Some(0))).unwrap_err().to_string().contains("0 rows"));
        let two = frame.vstack(&frame).unwrap();
        assert!(Record::from_frame(&two).unwrap_err().to_string().contains("2 rows"));
    }

    #[test]
    fn the_columns_are_those_that_the_readme_documents() {
        let readme = include_str!("../../../../results/README.md");
        let section = readme.split("\n## ").find(|section| section.starts_with("Columns of a cell"));
        let kind = |dtype: &DataType| match dtype {
            DataType::String => "text".to_string(),
            DataType::List(inner) => format!("list of {inner}"),
            other => other.to_string(),
        };
        let documented: Vec<(&str, &str)> = section
            .unwrap()
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(name, rest)| (name, rest.split(" | ").next().unwrap()))
            .collect();
        let frame = record().to_frame().unwrap();
        let columns: Vec<(&str, String)> =
            frame.columns().iter().map(|column| (column.name().as_str(), kind(column.dtype()))).collect();
        let columns: Vec<(&str, &str)> = columns.iter().map(|(name, kind)| (*name, kind.as_str())).collect();
        assert_eq!(documented, columns);
    }

    #[test]
    fn a_record_of_a_newer_program_is_refused_and_one_without_a_format_is_the_first() {
        let newer = Record { format: FORMAT + 1, ..record() };
        let problem = Record::from_frame(&newer.to_frame().unwrap()).unwrap_err();
        assert!(problem.to_string().contains("update the program"), "{problem}");
        let frame = record().to_frame().unwrap().drop_many(["format", "kind", "limit"]);
        let first = Record::from_frame(&frame).unwrap();
        assert_eq!(first.limit, None);
        assert!(first.is_outdated());
        assert_eq!(first, Record { kind: String::new(), format: FIRST_FORMAT, limit: None, ..record() });
    }
}
