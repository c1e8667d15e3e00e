//! What is in the caches: those of the hub's files and of tokens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Doctor;
use super::check::{Check, Status};
use crate::cli::error_text::message;
use crate::data::TokenCache;
use crate::grid;
use crate::hub::{Fetched, Hub, HubError};
use crate::{model, task};

pub(super) fn checks(doctor: &Doctor) -> Vec<Check> {
    let (Some(settings), Some(hub)) = (doctor.hub(), doctor.offline_hub()) else { return Vec::new() };
    let mut checks = vec![folder("hub cache", &settings.cache)];
    checks.extend(TokenCache::from_env().folder().map(|tokens| folder("token cache", tokens)));
    let (models, tasks) = embedded_suites();
    let model = |name: &String| (name.clone(), model::fetch(name, &hub).map_err(anyhow::Error::from));
    checks.extend(contents("suite models", models.iter().map(model)));
    checks.extend(contents("suite datasets", tasks.iter().map(|name| (name.clone(), dataset(name, &hub)))));
    checks
}

fn folder(name: &str, folder: &Path) -> Check {
    match folder.is_dir() {
        true => {
            let mebibytes = bytes_below(folder) as f64 / f64::from(1 << 20);
            Check::ok(name, format!("{}: {mebibytes:.1} MiB", folder.display()))
        }
        false => Check::absent(name, format!("{}: not there yet", folder.display())),
    }
}

/// Sizes of the files in a folder, those behind links not counted again.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |found| found.len()),
        _ => 0,
    });
    bytes.sum()
}

/// Models and tasks of all suites of the program.
fn embedded_suites() -> (BTreeSet<String>, BTreeSet<String>) {
    let suites = grid::names().into_iter().filter_map(|name| grid::find(&name).ok());
    let (models, tasks): (BTreeSet<String>, Vec<Vec<String>>) =
        suites.map(|suite| (suite.model, suite.tasks)).unzip();
    (models, tasks.into_iter().flatten().collect())
}

fn dataset(name: &str, hub: &Hub) -> anyhow::Result<Option<Fetched>> {
    Ok(task::find(name)?.fetch(hub)?)
}

/// What of several things is there; each that is damaged is a check of its own.
fn contents(
    what: &str,
    found: impl Iterator<Item = (String, anyhow::Result<Option<Fetched>>)>,
) -> Vec<Check> {
    let (mut present, mut absent, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for (name, found) in found {
        match found {
            Ok(Some(_)) => present.push(name),
            // Generated or embedded.
            Ok(None) => {}
            Err(error) if is_absent(&error) => absent.push(name),
            Err(error) => checks.push(Check::failed(name, message(&error))),
        }
    }
    let total = present.len() + absent.len() + checks.len();
    let listed = |names: &[String], none: &str| match names.is_empty() {
        true => none.to_string(),
        false => names.join(", "),
    };
    let mut detail = format!("{} of {total} in the cache: {}", present.len(), listed(&present, "none"));
    if !absent.is_empty() {
        detail += &format!("; not there: {}; `peft-bench fetch SUITE` gets them", absent.join(", "));
    }
    let status = if absent.is_empty() { Status::Ok } else { Status::Absent };
    checks.insert(0, Check { name: what.into(), status, detail });
    checks
}

/// Whether something is merely not in the cache.
pub(super) fn is_absent(error: &anyhow::Error) -> bool {
    let of_hub = |cause: &(dyn std::error::Error + 'static)| {
        let boxed = cause.downcast_ref::<Box<HubError>>().map(|boxed| &**boxed);
        let error = cause.downcast_ref::<HubError>().or(boxed);
        error.is_some_and(|error| error.is_fixed_by_fetching() && !error.is_damage())
    };
    error.chain().any(of_hub)
}
