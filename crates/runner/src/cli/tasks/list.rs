use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{listing, output};
use crate::task::{self, Task};

/// Prints every task, group by group.
pub(super) fn list() -> Result<ExitCode> {
    let tasks: Vec<Task> = task::names().iter().map(|name| task::find(name)).collect::<Result<_, _>>()?;
    let mut groups: Vec<&str> = tasks.iter().map(|task| task.spec.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let group_text = |group: &&str| {
        let own = tasks.iter().filter(|task| task.spec.group == **group).map(entry);
        format!("{group}\n{}", own.collect::<Vec<_>>().join("\n"))
    };
    output::line(groups.iter().map(group_text).collect::<Vec<_>>().join("\n\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn entry(task: &Task) -> String {
    let spec = &task.spec;
    let data = match (&spec.data.repo, &spec.data.config) {
        (Some(repo), Some(config)) => format!("{repo} ({config})"),
        (Some(repo), None) => repo.clone(),
        (None, _) if spec.data.generated.is_some() => "generated".into(),
        (None, _) => "local files".into(),
    };
    let about = format!("{}. {}", spec.title, spec.description);
    listing::entry(&task.name, &[about, format!("{}; {data}", spec.metrics.reported())])
}
