//! What a long run tells the person who waits: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::printable;

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
    if std::io::stderr().is_terminal() { Box::new(Bar::new(title)) } else { Box::new(Lines::new(title)) }
}

/// Counts what bars and lines both show.
struct Meter {
    title: String,
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
            steps: 0,
            first: 0,
            done: 0,
            rows: 0,
            loss: None,
            started: Instant::now(),
        }
    }

    fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    fn remaining(&self) -> Duration {
        let per_step = self.started.elapsed().as_secs_f64() / (self.done - self.first).max(1) as f64;
        Duration::from_secs_f64(per_step * (self.steps - self.done.min(self.steps)) as f64)
    }

    fn message(&self) -> String {
        let loss = self.loss.map_or("-".into(), |l| format!("{l:.4}"));
        format!("loss {loss}, {:.0} examples/s", self.rows_per_second())
    }
}

struct Bar {
    meter: Meter,
    bar: ProgressBar,
}

impl Bar {
    fn new(title: &str) -> Self {
        Self { meter: Meter::new(title), bar: ProgressBar::hidden() }
    }
}

impl Progress for Bar {
    fn start(&mut self, done: u64, steps: u64, what: &str) {
        self.meter = Meter { steps, done, first: done, ..Meter::new(&self.meter.title) };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}, {eta} left");
        self.bar = ProgressBar::new(steps).with_style(style.expect("a valid template"));
        self.bar.set_prefix(printable(&format!("{} ({what})", self.meter.title)).into_owned());
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
        self.bar.set_message(self.meter.message());
    }

    fn scoring(&mut self, split: &str, done: usize, rows: usize) {
        self.bar.set_message(format!("{}, {split} {done}/{rows}", self.meter.message()));
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
    last: Instant,
}

impl Lines {
    fn new(title: &str) -> Self {
        Self { meter: Meter::new(title), last: Instant::now() }
    }
}

impl Progress for Lines {
    fn start(&mut self, done: u64, steps: u64, what: &str) {
        self.meter = Meter { steps, done, first: done, ..Meter::new(&self.meter.title) };
        let from = if done > 0 { format!(", going on after {done}") } else { String::new() };
        say!("{}: {steps} steps, {what}{from}", self.meter.title);
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
            let (message, left) = (self.meter.message(), self.meter.remaining().as_secs());
            say!("{title}: step {done}/{steps}, {message}, {left} s left");
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
