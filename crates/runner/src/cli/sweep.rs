use anyhow::Result;

use super::run::Ran;
use crate::grid::{Suite, Trials};
use crate::terminal::progress::say;

/// Runs the trials of a suite's sweep, and then the suite with what they choose; gives whether every cell has a score.
/// That a trial diverged is no lack, as long as another one can be chosen. A shard ends with its trials where those of
/// others are not in the folder.
pub(super) fn run(suite: Suite, trials: &Trials, mut run: impl FnMut(Suite) -> Result<Ran>) -> Result<bool> {
    let tried = run(trials.suite.clone())?;
    if tried.left > 0 {
        say!(
            "{} trials are left to other shards; run the same command again where their results are too",
            tried.left
        );
        return Ok(tried.is_complete);
    }
    let suite = trials.choose(suite, &tried.cells, &tried.records)?;
    let lacking: Vec<String> = suite.without_choice().map(|choice| choice.text()).collect();
    lacking.iter().for_each(|text| say!("error: sweep: {text}"));
    match suite.has_choice() {
        true => Ok(run(suite)?.is_complete && lacking.is_empty()),
        false => Ok(false),
    }
}
