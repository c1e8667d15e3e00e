//! What a long run tells the person who waits: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::printable;

/// Says a line on standard error, as `eprintln` does, in characters that command no terminal; where nobody can hear it,
/// the work goes on.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let text = format!($($text)*);
        let _ = writeln!(std::io::stderr(), "{}", $crate::terminal::printable(&text));
    }};
}
pub(crate) use say;

/// Listens to a training.
pub trait Progress {
    /// A training of so many updates begins, or goes on after `done` of them.
    fn start(&mut self, done: u64, steps: u64, what: &str);
    /// An update is done.
    fn step(&mut self);
    /// So many rows were trained on.
    fn examples(&mut self, rows: usize);
    /// The mean loss of late.
    fn loss(&mut self, loss: f64);
    /// Scoring a split has come so far.
    fn scoring(&mut self, split: &str, done: usize, rows: usize);
    /// Something worth a line of its own.
    fn note(&mut self, line: &str);
    /// The training is over.
    fn finish(&mut self);
}

/// Says nothing.
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

/// The progress that suits stderr: bars on a terminal, plain lines elsewhere.
pub fn for_stderr(title: &str) -> Box<dyn Progress> {
    let meter = Meter::new(title);
    if std::io::stderr().is_terminal() { Box::new(Bar::of(meter)) } else { Box::new(Lines::of(meter)) }
}

/// One training of several that follow each other.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    /// Which one it is of how many.
    pub place: String,
    /// What else is told when it begins.
    pub detail: String,
    pub whole: Whole,
}

/// How far several trainings have come together, in units of work.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    pub started: Instant,
    /// Done before this training.
    pub before: u64,
    pub own: u64,
    pub total: u64,
}

impl Whole {
    /// The seconds that are left of all, when this part of the present training is done.
    fn remaining(&self, share: f64) -> Option<f64> {
        let done = self.before as f64 + self.own as f64 * share;
        (done > 0.0)
            .then(|| self.started.elapsed().as_secs_f64() * (self.total as f64 - done).max(0.0) / done)
    }
}

/// The progress of one training of several that suits stderr.
pub fn for_part(part: Part) -> Box<dyn Progress> {
    let meter = Meter { whole: Some(part.whole), ..Meter::new(&part.name) };
    match std::io::stderr().is_terminal() {
        true => Box::new(Bar { prefix: format!("{}: {}", part.place, part.name), ..Bar::of(meter) }),
        false => Box::new(Lines {
            heading: format!("{}: {}, {}", part.place, part.name, part.detail),
            ..Lines::of(meter)
        }),
    }
}

/// A time for people: `41 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Counts what bars and lines both show.
struct Meter {
    title: String,
    whole: Option<Whole>,
    steps: u64,
    /// Updates that an earlier process did.
    first: u64,
    done: u64,
    rows: usize,
    loss: Option<f64>,
    started: Instant,
}

impl Meter {
    fn new(title: &str) -> Self {
        Self {
            title: title.into(),
            whole: None,
            steps: 0,
            first: 0,
            done: 0,
            rows: 0,
            loss: None,
            started: Instant::now(),
        }
    }

    /// A training of so many updates begins, or goes on after some of them.
    fn start(&mut self, done: u64, steps: u64) {
        let (title, whole) = (std::mem::take(&mut self.title), self.whole);
        *self = Self { steps, done, first: done, whole, ..Self::new(&title) };
    }

    fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// The time left for this training, and for all.
    fn remaining(&self) -> String {
        let (done, all) = (self.done - self.first, self.steps - self.first.min(self.steps));
        let per_step = self.started.elapsed().as_secs_f64() / done.max(1) as f64;
        let own = duration(per_step * all.saturating_sub(done) as f64);
        let whole = self.whole.and_then(|whole| whole.remaining(done as f64 / all.max(1) as f64));
        match whole {
            Some(seconds) => format!("{own} left, {} in all", duration(seconds)),
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
    /// What stands before the bar.
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

/// At most one line per interval, so that a log stays readable.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

struct Lines {
    meter: Meter,
    /// What is told when the training begins.
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
        let from = if done > 0 { format!(", going on after {done}") } else { String::new() };
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
            say!("{title}: step {done}/{steps}, {message}, {left}");
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
    fn times_are_told_in_their_two_largest_units() {
        for (seconds, text) in
            [(0.2, "0 s"), (41.4, "41 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn what_is_left_of_all_follows_from_what_is_done() {
        let started = Instant::now() - Duration::from_secs(10);
        let whole = Whole { started, before: 30, own: 20, total: 100 };
        assert_eq!(whole.remaining(0.5).map(f64::round), Some(15.0));
        assert_eq!(Whole { before: 0, ..whole }.remaining(0.0), None);
    }
}
