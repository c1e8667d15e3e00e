use std::fmt;

/// Numbers of cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub done: usize,
    pub running: usize,
    pub missing: usize,
}

impl Counts {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            done: self.done + other.done,
            running: self.running + other.running,
            missing: self.missing + other.missing,
        }
    }

    pub(super) fn total(self) -> usize {
        self.done + self.running + self.missing
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { done, running, missing } = self;
        write!(f, "{} cells: {done} done, {running} running, {missing} missing", self.total())
    }
}
