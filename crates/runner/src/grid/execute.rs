use anyhow::Result;

use super::execution::{Execution, Watcher};
use super::group_run::{GroupRun, Progressed};
use super::resolve::Resolved;
use super::rows::TaskRows;
use crate::results::Record;
use crate::terminal::progress::say;

/// What came of a suite's cells.
#[derive(Debug)]
pub struct Executed {
    pub records: Vec<Record>,
    /// Trainings that the device failed at, which have no record.
    pub failed: usize,
}

/// Runs the cells that the store lacks, seed by seed side by side, and gives the records of all of them. Those that
/// another process computes on the same folder come last: what they come to is read.
///
/// `watcher` is told the records that there are, each time that some were made. What the device fails at is told, and
/// the rest goes on.
///
/// # Errors
/// When weights or rows cannot be loaded, a result cannot be written, the device does not work any more, or a signal
/// came; what is done stays done.
pub fn execute(mut resolved: Resolved, execution: Execution, watcher: &mut dyn Watcher) -> Result<Executed> {
    let store = execution.store;
    let groups = resolved.tasks.iter().flat_map(|task| &task.methods).map(|method| method.groups.len());
    let mut results: Vec<Option<Vec<Record>>> = vec![None; groups.sum()];
    let mut failed = 0;
    loop {
        let (mut busy, mut some_done) = (Vec::new(), false);
        let mut slots = results.iter_mut();
        for task in &mut resolved.tasks {
            for method in &task.methods {
                for group in &method.groups {
                    let Some(slot) = slots.next().filter(|slot| slot.is_none()) else { continue };
                    let rows = &task.rows[method.rows];
                    let run = GroupRun { suite: &resolved.suite, rows, method, group, execution };
                    match run.run(watcher)? {
                        Progressed::Done(records) => (*slot, some_done) = (Some(records), true),
                        Progressed::Busy(cell) => busy.push((cell, run.title())),
                        Progressed::Failed(problem) => {
                            say!("error: {}: {} failed: {problem}", run.title(), execution.hardware.device);
                            execution.hardware.device.open()?;
                            (*slot, failed) = (Some(Vec::new()), failed + 1);
                        }
                    }
                }
            }
            task.rows.iter_mut().for_each(TaskRows::release);
        }
        match busy.first() {
            None => break,
            // By now, others may be free.
            Some(_) if some_done => {}
            Some((cell, title)) => {
                let others = match busy.len() {
                    1 => String::new(),
                    more => format!(", and for {} more", more - 1),
                };
                say!("waiting for {}, which computes {title}{others}", store.holder(cell));
                // Whichever is free first: its process may have been killed.
                store.wait(&busy.into_iter().map(|(cell, _)| cell).collect::<Vec<_>>());
            }
        }
    }
    let records: Vec<Record> = results.into_iter().flatten().flatten().collect();
    store.check(&records)?;
    Ok(Executed { records, failed })
}
