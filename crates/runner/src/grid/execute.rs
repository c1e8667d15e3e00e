use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::execution::{Execution, Watcher};
use super::group::Group;
use super::group_run::{GroupRun, Progressed};
use super::resolve::Resolved;
use super::rows::TaskRows;
use crate::results::{Cell, Record};
use crate::terminal::progress::say;

/// What came of a suite's cells.
#[derive(Debug)]
pub struct Executed {
    pub records: Vec<Record>,
    /// Trainings that the device failed at, or whose source came to nothing; they have no record.
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
    let all = resolved.sources.iter().chain(&resolved.tasks).flat_map(|task| &task.methods);
    let mut results: Vec<Option<Vec<Record>>> = vec![None; all.map(|method| method.groups.len()).sum()];
    let mut failed = 0;
    // Sources that the device failed at, and why.
    let mut without_source: BTreeMap<String, String> = BTreeMap::new();
    let sources: BTreeSet<String> = resolved.source_cells().into_iter().map(|cell| cell.id).collect();
    let is_source = |group: &Group, cell: &String| group.sources.iter().any(|source| source.id == *cell);
    loop {
        let (mut busy, mut some_done) = (Vec::new(), false);
        let mut slots = results.iter_mut();
        // What others start from comes first.
        for task in resolved.sources.iter_mut().chain(&mut resolved.tasks) {
            for method in &task.methods {
                for group in &method.groups {
                    let Some(slot) = slots.next().filter(|slot| slot.is_none()) else { continue };
                    let rows = &task.rows[method.rows];
                    let (suite, init_from) = (&resolved.suite, resolved.init_from.as_ref());
                    let run = GroupRun { suite, rows, method, group, init_from, execution };
                    let lacking = group
                        .sources
                        .iter()
                        .find_map(|source| Some((source, without_source.get(&source.id)?)));
                    let progressed = match lacking {
                        Some((source, problem)) => {
                            Progressed::Blocked(format!("its source {}: {problem}", source.described()))
                        }
                        None => run.run(watcher)?,
                    };
                    match progressed {
                        // Of sources, only what starts from them is a result.
                        Progressed::Done(records) => {
                            (*slot, some_done) =
                                (Some(if group.is_source { Vec::new() } else { records }), true);
                        }
                        // A source whose result somebody removed, and that seemed to be done when this began.
                        Progressed::Busy(cell) if is_source(group, &cell) && !sources.contains(&cell) => {
                            return Err(store.vanished(&cell).into());
                        }
                        Progressed::Busy(cell) => busy.push((cell, run.title())),
                        Progressed::Blocked(problem) => {
                            say!("error: {} does not run: {problem}", run.title());
                            (*slot, failed) = (Some(Vec::new()), failed + 1);
                        }
                        Progressed::Failed(problem) => {
                            let device = execution.hardware.device;
                            say!("error: {}: {device} failed: {problem}", run.title());
                            device.open()?;
                            if group.is_source {
                                let ids = group.cells.iter().map(Cell::id);
                                without_source
                                    .extend(ids.map(|id| (id, format!("{device} failed: {problem}"))));
                            }
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
