//! Progress of long runs: bars on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use super::message::say;
use super::message::{draws_bars, is_quiet, progress};
use super::printable;

/// Receives the progress of a training.
pub trait Progress {
    /// A training of `steps` steps begins, or resumes after `done` of them.
    fn start(&mut self, done: u64, steps: u64, what: &str);
    /// A step is done.
    fn step(&mut self);
    /// `rows` more rows were trained on.
    fn examples(&mut self, rows: usize);
    /// The mean loss since the last report.
    fn loss(&mut self, loss: f64);
    /// `done` of the `rows` rows of a split are scored.
    fn scoring(&mut self, split: &str, done: usize, rows: usize);
    /// A message on its own line.
    fn note(&mut self, line: &str);
    /// The training is over.
    fn finish(&mut self);
}

/// No output.
pub struct Silent;

impl Progress for Silent {
    fn start(&mut self, _done: u64, _steps: u64, _what: &str) {}
    fn step(&mut self) {}
    fn examples(&mut self, _rows: usize) {}
    fn loss(&mut self, _loss: f64) {}
    fn scoring(&mut self, _split: &str, _done: usize, _rows: usize) {}
    fn note(&mut self, _line: &str) {}
    fn finish(&mut self) {}
}

/// Progress on stderr: bars on a terminal, plain lines elsewhere.
pub fn for_stderr(title: &str) -> Box<dyn Progress> {
    let meter = Meter::new(title);
    match () {
        () if is_quiet() => Box::new(Silent),
        () if draws_bars() => Box::new(Bar::of(meter)),
        () => Box::new(Lines::of(meter)),
    }
}

/// One of several consecutive trainings.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    /// Its number and the total, such as `cell 2 of 9`.
    pub place: String,
    /// Details that are shown when it begins.
    pub detail: String,
    pub overall: Overall,
}

/// Overall progress of several trainings, in units of work.
#[derive(Debug, Clone, Copy)]
pub struct Overall {
    pub started: Instant,
    /// Done before this training.
    pub before: u64,
    pub own: u64,
    pub total: u64,
}

impl Overall {
    /// The seconds left overall, when this fraction of the current training is done.
    fn remaining(&self, fraction: f64) -> Option<f64> {
        let done = self.before as f64 + self.own as f64 * fraction;
        (done > 0.0)
            .then(|| self.started.elapsed().as_secs_f64() * (self.total as f64 - done).max(0.0) / done)
    }
}

/// Progress of one of several trainings, on stderr.
pub fn for_part(part: Part) -> Box<dyn Progress> {
    let meter = Meter { overall: Some(part.overall), ..Meter::new(&part.name) };
    match () {
        () if is_quiet() => Box::new(Silent),
        () if draws_bars() => {
            Box::new(Bar { prefix: format!("{}: {}", part.place, part.name), ..Bar::of(meter) })
        }
        () => Box::new(Lines {
            heading: format!("{}: {}, {}", part.place, part.name, part.detail),
            ..Lines::of(meter)
        }),
    }
}

/// A human-readable duration: `41 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The counts that bars and lines show.
struct Meter {
    title: String,
    overall: Option<Overall>,
    steps: u64,
    /// Steps done by an earlier process.
    resumed_at: u64,
    done: u64,
    rows: usize,
    loss: Option<f64>,
    started: Instant,
}

impl Meter {
    fn new(title: &str) -> Self {
        Self {
            title: title.into(),
            overall: None,
            steps: 0,
            resumed_at: 0,
            done: 0,
            rows: 0,
            loss: None,
            started: Instant::now(),
        }
    }

    /// Resets the counts for a training of `steps` steps, of which `done` are done.
    fn start(&mut self, done: u64, steps: u64) {
        let (title, overall) = (std::mem::take(&mut self.title), self.overall);
        *self = Self { steps, done, resumed_at: done, overall, ..Self::new(&title) };
    }

    fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// The time left for this training, and overall.
    fn remaining(&self) -> String {
        let (done, all) = (self.done - self.resumed_at, self.steps - self.resumed_at.min(self.steps));
        let per_step = self.started.elapsed().as_secs_f64() / done.max(1) as f64;
        let own = duration(per_step * all.saturating_sub(done) as f64);
        let overall = self.overall.and_then(|overall| overall.remaining(done as f64 / all.max(1) as f64));
        match overall {
            Some(seconds) => format!("{own} left, {} overall", duration(seconds)),
            None => format!("{own} left"),
        }
    }

    fn message(&self) -> String {
        let loss = self.loss.map_or("-".into(), |l| format!("{l:.4}"));
        format!("loss {loss}, {:.0} examples/s", self.rows_per_second())
    }
}

struct Bar {
    meter: Meter,
    /// Text in front of the bar.
    prefix: String,
    bar: ProgressBar,
}

impl Bar {
    fn of(meter: Meter) -> Self {
        Self { prefix: meter.title.clone(), meter, bar: ProgressBar::hidden() }
    }

    fn show(&self, message: String) {
        self.bar.set_message(format!("{message}, {}", self.meter.remaining()));
    }
}

impl Progress for Bar {
    fn start(&mut self, done: u64, steps: u64, what: &str) {
        self.meter.start(done, steps);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
        self.bar = ProgressBar::new(steps).with_style(style.expect("a valid template"));
        self.bar.set_prefix(printable(&format!("{} ({what})", self.prefix)).into_owned());
    }

    fn step(&mut self) {
        self.meter.done += 1;
        self.bar.set_position(self.meter.done);
    }

    fn examples(&mut self, rows: usize) {
        self.meter.rows += rows;
    }

    fn loss(&mut self, loss: f64) {
        self.meter.loss = Some(loss);
        self.show(self.meter.message());
    }

    fn scoring(&mut self, split: &str, done: usize, rows: usize) {
        self.show(format!("{}, {split} {done}/{rows}", self.meter.message()));
    }

    fn note(&mut self, line: &str) {
        self.bar.println(printable(line));
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// At most one line per interval keeps a log readable.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

struct Lines {
    meter: Meter,
    /// Shown when the training begins.
    heading: String,
    last: Instant,
}

impl Lines {
    fn of(meter: Meter) -> Self {
        Self { heading: meter.title.clone(), meter, last: Instant::now() }
    }
}

impl Progress for Lines {
    fn start(&mut self, done: u64, steps: u64, what: &str) {
        self.meter.start(done, steps);
        let from = if done > 0 { format!(", resuming after step {done}") } else { String::new() };
        say!("{}: {steps} steps, {what}{from}", self.heading);
    }

    fn step(&mut self) {
        self.meter.done += 1;
    }

    fn examples(&mut self, rows: usize) {
        self.meter.rows += rows;
    }

    fn loss(&mut self, loss: f64) {
        self.meter.loss = Some(loss);
        if self.last.elapsed() >= LINE_INTERVAL {
            self.last = Instant::now();
            let Meter { title, done, steps, .. } = &self.meter;
            let (message, left) = (self.meter.message(), self.meter.remaining());
            let text = format!("{title}: step {done}/{steps}, {message}, {left}");
            let numbers = [("step", (*done).into()), ("steps", (*steps).into()), ("loss", loss.into())];
            progress(&text, &numbers);
        }
    }

    fn scoring(&mut self, split: &str, done: usize, rows: usize) {
        if self.last.elapsed() >= LINE_INTERVAL {
            self.last = Instant::now();
            say!("{}: scoring {split} {done}/{rows}", self.meter.title);
        }
    }

    fn note(&mut self, line: &str) {
        say!("{}: {line}", self.meter.title);
    }

    fn finish(&mut self) {
        let Meter { title, done, started, .. } = &self.meter;
        say!("{title}: {done} steps in {:.1} s, {}", started.elapsed().as_secs_f64(), self.meter.message());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_their_two_largest_units() {
        for (seconds, text) in
            [(0.2, "0 s"), (41.4, "41 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn the_overall_time_left_follows_from_the_work_done() {
        let started = Instant::now() - Duration::from_secs(10);
        let overall = Overall { started, before: 30, own: 20, total: 100 };
        assert_eq!(overall.remaining(0.5).map(f64::round), Some(15.0));
        assert_eq!(Overall { before: 0, ..overall }.remaining(0.0), None);
    }
}
