//! A training's progress, shown and also told to other processes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::group::PlannedCell;
use crate::files::atomic;
use crate::host;
use crate::results::{Running, ScoredRows};
use crate::terminal::progress::Progress;

/// Time between writes, so that they cost the training nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// Passes progress on, and keeps a file with it for as long as it lives.
pub(super) struct Reported {
    shown: Box<dyn Progress>,
    path: PathBuf,
    running: Running,
    started: Instant,
    /// Updates that an earlier process did.
    resumed_at: u64,
    written: Option<Instant>,
}

impl Reported {
    /// The progress of cells that are about to train side by side.
    pub(super) fn new(shown: Box<dyn Progress>, path: PathBuf, cells: &[PlannedCell]) -> Self {
        let name = |name: fn(&PlannedCell) -> &String| cells.first().map(name).cloned().unwrap_or_default();
        let running = Running {
            cells: cells.iter().map(|cell| cell.id.clone()).collect(),
            method: name(|cell| &cell.method),
            task_title: name(|cell| &cell.task_title),
            seeds: cells.iter().map(|cell| cell.seed).collect(),
            process: host::process(),
            step: 0,
            steps: 0,
            loss: None,
            scoring: None,
            steps_per_second: None,
            seconds_left: None,
            timestamp: String::new(),
        };
        Self { shown, path, running, started: Instant::now(), resumed_at: 0, written: None }
    }

    fn write_if_due(&mut self) {
        if self.written.is_none_or(|written| written.elapsed() >= INTERVAL) {
            self.write();
        }
    }

    fn write(&mut self) {
        self.written = Some(Instant::now());
        let running = &mut self.running;
        let done = running.step.saturating_sub(self.resumed_at) as f64;
        let rate = done / self.started.elapsed().as_secs_f64();
        running.steps_per_second = (done > 0.0).then_some(rate);
        let left = running.steps.saturating_sub(running.step) as f64;
        running.seconds_left = running.steps_per_second.map(|rate| left / rate);
        running.timestamp = host::timestamp();
        // Whoever looks sees less; the training itself loses nothing.
        let _ = running.write(&self.path);
    }
}

impl Progress for Reported {
    fn start(&mut self, done: u64, steps: u64, what: &str) {
        self.shown.start(done, steps, what);
        (self.started, self.resumed_at) = (Instant::now(), done);
        (self.running.step, self.running.steps) = (done, steps);
        self.write();
    }

    fn step(&mut self) {
        self.shown.step();
        self.running.step += 1;
        self.running.scoring = None;
        self.write_if_due();
    }

    fn examples(&mut self, rows: usize) {
        self.shown.examples(rows);
    }

    fn loss(&mut self, loss: f64) {
        self.shown.loss(loss);
        self.running.loss = Some(loss).filter(|loss| loss.is_finite());
    }

    fn scoring(&mut self, split: &str, done: usize, rows: usize) {
        self.shown.scoring(split, done, rows);
        self.running.scoring = Some(ScoredRows { split: split.into(), done, rows });
        self.write_if_due();
    }

    fn note(&mut self, line: &str) {
        self.shown.note(line);
    }

    fn finish(&mut self) {
        self.shown.finish();
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        atomic::remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::progress::Silent;

    #[test]
    fn a_training_tells_how_far_it_is_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.progress.json");
        let cell = PlannedCell {
            id: "0123456789abcdef".into(),
            group: "G".into(),
            task: "t".into(),
            task_title: "T".into(),
            metrics: Vec::new(),
            limit: None,
            shots: None,
            method: "lora".into(),
            seed: 7,
            trainable: 1,
            work: 1,
            sources: Vec::new(),
            is_source: false,
            trains: true,
        };
        let mut progress = Reported::new(Box::new(Silent), path.clone(), &[cell]);
        assert_eq!(Running::read(&path), None);
        progress.start(10, 50, "1 run");
        let told = Running::read(&path).unwrap();
        assert_eq!((told.step, told.steps, &told.seeds[..], told.loss), (10, 50, &[7][..], None));
        assert_eq!((&*told.cells[0], told.steps_per_second), ("0123456789abcdef", None));
        progress.step();
        progress.loss(f64::NAN);
        progress.loss(1.5);
        assert_eq!(Running::read(&path).unwrap().step, 10, "no more often than every two seconds");
        progress.written = None;
        progress.scoring("validation", 3, 9);
        let told = Running::read(&path).unwrap();
        assert_eq!((told.step, told.loss), (11, Some(1.5)));
        assert_eq!(told.scoring, Some(ScoredRows { split: "validation".into(), done: 3, rows: 9 }));
        let rate = told.steps_per_second.unwrap();
        assert!((told.seconds_left.unwrap() * rate / 39.0 - 1.0).abs() < 1e-9);
        drop(progress);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}
