//! The content of a results folder, for comparison with another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use peft_bench::results::{Record, RecordedEvidence, Store};

use crate::common::{Workspace, files};

/// Everything that is equal in two folders if only times differ.
#[derive(Debug, PartialEq)]
pub(crate) struct Results {
    pub records: BTreeMap<String, Record>,
    /// Bytes of the files of trained adapters, by path.
    adapters: BTreeMap<String, Vec<u8>>,
}

pub(crate) fn results(workspace: &Workspace, out: &str) -> Results {
    let folder = workspace.path(out);
    let store = Store::read_only(&folder).unwrap();
    let records = store.records().unwrap();
    let records = records.into_iter().map(|record| (record.cell.clone(), without_times(record))).collect();
    let mut adapters = BTreeMap::new();
    for cell in files(&folder.join("adapters")) {
        for name in files(&folder.join("adapters").join(&cell)) {
            let path = format!("{cell}/{name}");
            adapters.insert(path.clone(), fs::read(folder.join("adapters").join(path)).unwrap());
        }
    }
    Results { records, adapters }
}

/// Names of cells that have a file.
pub(crate) fn cells(folder: &Path) -> Vec<String> {
    let names = files(&folder.join("cells"));
    names.iter().filter_map(|name| name.strip_suffix(".parquet")).map(String::from).collect()
}

/// Every other column must be equal.
fn without_times(record: Record) -> Record {
    Record {
        train_seconds: 0.0,
        evaluate_seconds: 0.0,
        timestamp: String::new(),
        // It depends on the earlier work of the process.
        peak_memory_bytes: None,
        // Processes that share the work have fewer each.
        threads: 0,
        evidence: record.evidence.map(|evidence| RecordedEvidence {
            examples_per_second: 0.0,
            // Of the widest row of all runs side by side.
            padded_tokens: 0,
            ..evidence
        }),
        ..record
    }
}
