//! What a result is the result of, and the identity that follows from it.

use peft_model::source::SOURCES;
use serde_json::{Map, Value, json};

use crate::files::digest::Digest;
use crate::model::Precision;
use crate::task::{Role, ShotsRule, TaskSpec};
use crate::train::TrainSettings;

/// Version of the results: it changes when the same identity would give another result, or a record says something else.
pub const FORMAT: u32 = 3;

/// One training, or the scoring of another one's result, and what decides what comes of it, under the names that those things have.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The task's name.
    pub task: String,
    pub spec: TaskSpec,
    /// What the rows of each role are, in the order of [`Role::ALL`]: a dataset's commit, the generator's version, or
    /// a digest of a local file.
    pub rows: [String; Role::ALL.len()],
    /// Most rows of each role, in a trial.
    pub limit: Option<usize>,
    /// Number of training rows, where not all of them train.
    pub shots: Option<usize>,
    /// How those rows are chosen.
    pub shots_rule: Option<ShotsRule>,
    /// The model as the user named it.
    pub model: String,
    /// Commit on the hub, or a digest of the weights.
    pub model_revision: String,
    /// In which the backbone computes.
    pub precision: Precision,
    pub method: String,
    /// All settings of the method, those left out included.
    pub settings: Map<String, Value>,
    pub training: TrainSettings,
    pub seed: u64,
    /// Seeds that train side by side, in this order, on a device that gives a run other bits in other company.
    pub company: Vec<u64>,
    /// Ids of the cells that the method starts from, in its order.
    pub sources: Vec<String>,
    /// Of a cell that scores what its only source has trained, and trains nothing: the [kind](Self::kind) of that source.
    pub scores: Option<String>,
    /// SHA-256 of the adapter's tensors that it starts from instead of the method's initial values.
    pub init_from: Option<String>,
}

impl Cell {
    /// The task's title in tables, which says how many rows train where not all of them do.
    pub fn title(&self) -> String {
        match self.shots {
            Some(shots) => format!("{} (k={shots})", self.spec.title),
            None => self.spec.title.clone(),
        }
    }

    /// What the rows are, told once where several roles have the same.
    pub fn dataset_revision(&self) -> String {
        let mut revisions: Vec<&str> = Vec::new();
        for revision in &self.rows {
            if !revisions.contains(&revision.as_str()) {
                revisions.push(revision);
            }
        }
        revisions.join(" ")
    }

    /// The cell's identity, 16 hexadecimal digits: what gives the same result has the same id on every machine.
    pub fn id(&self) -> String {
        let mut identity = self.without_seed();
        identity["seed"] = self.seed.into();
        Digest::of_json(&identity).short()
    }

    /// The identity of all cells that differ from this one in their seed alone.
    pub fn kind(&self) -> String {
        Digest::of_json(&self.without_seed()).short()
    }

    /// No name, title, display metric or place: only what decides the result.
    fn without_seed(&self) -> Value {
        let mut content = self.spec.content();
        if self.shots.is_none() {
            content.few_shot_threshold = None;
        }
        let mut settings = self.settings.clone();
        if !self.sources.is_empty() {
            // Their cells say what they are, whatever their tasks are called.
            settings.shift_remove(SOURCES);
        }
        let mut identity = json!({
            "format": FORMAT,
            "content": content,
            "rows": self.rows,
            "selection": self.training.selection.criterion(&self.spec).to_string(),
            "shots": self.shots,
            "shots_rule": self.shots_rule,
            "model": self.model_revision,
            "precision": self.precision,
            "method": self.method,
            "settings": settings,
            "training": self.training,
            "company": self.company,
        });
        // Left out where there are none, as the limit is.
        if let Some(trained) = &self.scores {
            identity["scores"] = json!(trained);
        } else if !self.sources.is_empty() {
            identity["sources"] = json!(self.sources);
        }
        if let Some(adapter) = &self.init_from {
            identity["init_from"] = json!(adapter);
        }
        // Left out where there is none: cells of all rows are what they were before there was a limit.
        if let Some(limit) = self.limit {
            identity["limit"] = limit.into();
        }
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::parse_toml;
    use crate::metric::Metric;
    use crate::train::{Interval, Selection};

    fn spec() -> TaskSpec {
        parse_toml(
            r#"
            title = "Title"
            group = "Group"
            description = "What it is"
            data.repo = "owner/rows"
            split.rule = "official"
            text.source = "a: {a}"
            labels.words = ["no", "yes"]
            metrics = { select = "accuracy", average = ["accuracy", "f1"] }
            reference = { majority = 50.0, ceiling = 90.0 }
            few_shot_threshold = 2.5
            "#,
        )
        .unwrap()
    }

    fn cell() -> Cell {
        Cell {
            task: "task".into(),
            spec: spec(),
            rows: ["commit"; 3].map(String::from),
            limit: None,
            shots: None,
            shots_rule: None,
            model: "owner/model".into(),
            model_revision: "commit of the model".into(),
            precision: Precision::F32,
            method: "lora".into(),
            settings: Map::from_iter([("rank".to_string(), json!(8))]),
            training: TrainSettings::default(),
            seed: 1,
            company: Vec::new(),
            sources: Vec::new(),
            scores: None,
            init_from: None,
        }
    }

    fn changed(change: impl FnOnce(&mut Cell)) -> Cell {
        let mut cell = cell();
        change(&mut cell);
        cell
    }

    #[test]
    fn names_titles_and_what_is_only_shown_are_no_part_of_the_identity() {
        type Change = fn(&mut Cell);
        let changes: [(&str, Change); 13] = [
            ("task", |c| c.task = "other".into()),
            ("model", |c| c.model = "/elsewhere/model".into()),
            ("title", |c| c.spec.title = "Other".into()),
            ("group", |c| c.spec.group = "Other".into()),
            ("description", |c| c.spec.description = String::new()),
            ("reference", |c| c.spec.reference = None),
            ("metrics.report", |c| c.spec.metrics.report = Some(Metric::F1)),
            ("metrics.also", |c| c.spec.metrics.also = vec![Metric::Matthews]),
            ("metrics.average that chooses nothing", |c| c.spec.metrics.average = Vec::new()),
            ("data.revision, of which the commit is known", |c| c.spec.data.revision = Some("v1".into())),
            ("text.name, which the source has where it is asked for", |c| {
                c.spec.text.name = Some("other".into());
            }),
            ("few_shot_threshold where all rows train", |c| c.spec.few_shot_threshold = None),
            ("files where there are none", |c| {
                c.spec.data.files.insert("unused".into(), "x.csv".into());
            }),
        ];
        for (what, change) in changes {
            assert_eq!(changed(change).id(), cell().id(), "{what}");
        }
    }

    #[test]
    fn everything_that_decides_the_result_makes_another_identity() {
        type Change = fn(&mut Cell);
        let changes: [(&str, Change); 41] = [
            ("data.repo", |c| c.spec.data.repo = Some("owner/others".into())),
            ("data.config", |c| c.spec.data.config = Some("x".into())),
            ("data.generated", |c| c.spec.data.generated = Some("sense".into())),
            ("data.quote", |c| c.spec.data.quote = Some(crate::task::Quote::None)),
            ("data.separator", |c| c.spec.data.separator = Some(';')),
            ("rows of a role", |c| c.rows[2] = "other".into()),
            ("split", |c| c.spec.split = toml::from_str("rule = \"random\"").unwrap()),
            ("text.source", |c| c.spec.text.source = "b: {a}".into()),
            ("text.target", |c| c.spec.text.target = Some("{b}".into())),
            ("text.expand", |c| c.spec.text.expand = true),
            ("text.empty", |c| c.spec.text.empty = Some("none".into())),
            ("text.answers", |c| c.spec.text.answers = Some("{c}".into())),
            ("text.group", |c| c.spec.text.group = Some("{d}".into())),
            ("labels", |c| c.spec.labels = toml::from_str("words = [\"0\", \"1\"]").unwrap()),
            ("limits.source_tokens", |c| c.spec.limits.source_tokens = 16),
            ("limits.target_tokens", |c| c.spec.limits.target_tokens = 16),
            ("probes", |c| {
                c.spec.probes.insert("p".into(), "{a}".into());
            }),
            ("metrics.select", |c| c.spec.metrics.select = Metric::F1),
            ("limit", |c| c.limit = Some(50)),
            ("another limit", |c| c.limit = Some(51)),
            ("shots", |c| c.shots = Some(16)),
            ("shots_rule", |c| c.shots_rule = Some(ShotsRule::Balanced)),
            ("model_revision", |c| c.model_revision = "other".into()),
            ("precision", |c| c.precision = Precision::Bf16),
            ("method", |c| c.method = "dept".into()),
            ("settings", |c| {
                c.settings.insert("rank".into(), 4.into());
            }),
            ("training.steps", |c| c.training.steps = 7),
            ("training.batch_size", |c| c.training.batch_size = 7),
            ("training.batching", |c| c.training.batching = crate::data::Batching::Bucketed),
            ("training.evaluate_every", |c| c.training.evaluate_every = Interval::Updates(7)),
            ("training.selection", |c| c.training.selection = Selection::Average),
            ("training.weight_decay", |c| c.training.weight_decay = 0.1),
            ("seed", |c| c.seed = 2),
            ("seed in its upper half", |c| c.seed = 1 + (1 << 32)),
            ("company", |c| c.company = vec![1, 2]),
            ("order of company", |c| c.company = vec![2, 1]),
            ("sources", |c| c.sources = vec!["a".into(), "b".into()]),
            ("scores", |c| c.scores = Some("a".into())),
            ("order of sources", |c| c.sources = vec!["b".into(), "a".into()]),
            ("init_from", |c| c.init_from = Some("a".into())),
            ("another init_from", |c| c.init_from = Some("b".into())),
        ];
        let mut ids = vec![cell().id()];
        for (what, change) in changes {
            let id = changed(change).id();
            assert!(!ids.contains(&id), "{what}");
            ids.push(id);
        }
        let few_shot =
            |threshold| changed(|c| (c.shots, c.spec.few_shot_threshold) = (Some(16), Some(threshold))).id();
        assert_ne!(few_shot(2.5), few_shot(3.0));
        let averaged = |metrics: &[Metric]| {
            changed(|c| {
                c.training.selection = Selection::Average;
                c.spec.metrics.average = metrics.to_vec();
            })
            .id()
        };
        assert_ne!(averaged(&[Metric::F1]), averaged(&[Metric::Accuracy]));
    }

    #[test]
    fn names_of_source_tasks_are_no_part_of_the_identity_but_their_cells_are() {
        let from = |task: &str, cell: &str| {
            changed(|c| {
                c.settings.insert(SOURCES.into(), json!([task]));
                c.sources = vec![cell.into()];
            })
            .id()
        };
        assert_eq!(from("mnli", "a"), from("copies/mnli.toml", "a"));
        assert_ne!(from("mnli", "a"), from("mnli", "b"));
    }

    #[test]
    fn cells_of_one_kind_differ_in_their_seed_alone() {
        assert_eq!(changed(|c| c.seed = 2).kind(), cell().kind());
        assert_ne!(changed(|c| c.training.steps = 7).kind(), cell().kind());
        // What is scored is of another cell for each seed, all of them of one kind.
        let scored = |seed, trained: &str| {
            changed(|c| (c.seed, c.sources, c.scores) = (seed, vec![trained.into()], Some("kind".into())))
        };
        assert_eq!(scored(1, "a").kind(), scored(2, "b").kind());
        assert_ne!(scored(1, "a").id(), scored(2, "b").id());
    }

    #[test]
    fn a_revision_that_several_roles_have_is_told_once() {
        assert_eq!(cell().dataset_revision(), "commit");
        assert_eq!(changed(|c| c.rows[1] = "b".into()).dataset_revision(), "commit b");
    }
}
