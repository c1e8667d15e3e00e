//! Shows downloads and warnings on stderr.

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::terminal::{draws_bars, is_quiet, printable};

/// How downloads and warnings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not at all.
    Silent,
    /// One plain line per download and warning, for logs.
    Lines,
    /// A bar per download, and plain lines for warnings.
    Bars,
}

impl Progress {
    /// Bars if stderr is a terminal, else lines; nothing if only errors are told.
    pub fn detect() -> Self {
        match () {
            () if is_quiet() => Progress::Silent,
            () if draws_bars() => Progress::Bars,
            () => Progress::Lines,
        }
    }

    /// Prints a notice.
    pub(super) fn say(self, message: impl std::fmt::Display) {
        if self != Progress::Silent {
            crate::terminal::progress::say!("{message}");
        }
    }

    /// Shows a download of `size` bytes, `done` of which have arrived; a bar disappears when dropped.
    pub(super) fn transfer(self, name: &str, size: u64, done: u64) -> Transfer {
        if self == Progress::Lines {
            let rest =
                if done > 0 { format!(", {} already downloaded", HumanBytes(done)) } else { String::new() };
            crate::terminal::progress::say!("fetching {name} ({}{rest})", HumanBytes(size));
        }
        Transfer((self == Progress::Bars).then(|| {
            let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(size).with_style(style).with_message(printable(name).into_owned());
            bar.with_position(done)
        }))
    }
}

/// A download in progress.
pub(super) struct Transfer(Option<ProgressBar>);

impl Transfer {
    pub(super) fn advance(&self, bytes: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes as u64);
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
