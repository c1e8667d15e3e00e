use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{Table, presets};

use crate::cli::output;
use crate::task;

/// Prints every task, one line each.
pub fn list() -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["task", "title", "group", "metric", "data", "description"]);
    for name in task::names() {
        let task = task::find(&name)?;
        let spec = &task.spec;
        let data = match (&spec.data.repo, &spec.data.config) {
            (Some(repo), Some(config)) => format!("{repo} ({config})"),
            (Some(repo), None) => repo.clone(),
            (None, _) if spec.data.generated.is_some() => "generated".into(),
            (None, _) => "local files".into(),
        };
        table.add_row([
            &name,
            &spec.title,
            &spec.group,
            &spec.metrics.reported().to_string(),
            &data,
            &spec.description,
        ]);
    }
    output::line(table)?;
    Ok(ExitCode::SUCCESS)
}
