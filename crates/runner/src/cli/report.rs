use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::adapter::describe;
use super::output;
use crate::files::atomic;
use crate::grid::{self, Suite};
use crate::report::{Format, ReportData, against_published, curves_to_csv, index, page, summary, to_frame};
use crate::results::{self, Published, Record, Roster, Store};
use crate::terminal::progress::say;

#[derive(Debug, Args)]
#[command(after_help = super::examples::REPORT)]
pub(super) struct Report {
    /// Results folder, such as results/pocket
    #[arg(required_unless_present = "adapter")]
    folder: Option<PathBuf>,
    /// How the tables are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print published scores beside ours: `paper` for those of results/paper/, or a CSV file of such scores, or a folder
    /// of them; `report.html` shows them too
    #[arg(long, value_name = "PAPER")]
    compare: Option<String>,
    /// Also write the curves of all cells (loss, validation score, gradient norm, learning rate) as CSV
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Describe a trained adapter instead, from a run of this program or from Python's peft
    #[arg(long, value_name = "DIR", conflicts_with_all = ["folder", "format", "compare", "curves"])]
    adapter: Option<PathBuf>,
    /// Backbone of the adapter: a folder or a hub id [default: the one it was trained on]
    #[arg(long, value_name = "DIR_OR_HUB_ID", requires = "adapter")]
    model: Option<String>,
}

impl Report {
    /// Prints the table of every suite that has cells in the folder, and writes `report.html` and `pairwise.parquet`
    /// there; of several suites, each under its name.
    pub(super) fn execute(self) -> Result<ExitCode> {
        if let Some(folder) = &self.adapter {
            return describe(folder, self.model.as_deref());
        }
        let store = Store::read_only(self.folder.as_deref().unwrap_or(Path::new(".")))?;
        let records = store.records()?;
        let rosters = rosters(&store, &records)?;
        let published = self.published().load()?;
        let (mut texts, mut reports) = (Vec::new(), Vec::new());
        for roster in &rosters {
            let report = results::Report::new(roster, &records);
            let data = ReportData::read(&store, roster, &report, &published)?;
            texts.push(match self.format {
                Format::Parquet => comparison(&store, &data)?,
                format => text(format, &data, &report),
            });
            texts.extend(self.compare.as_ref().map(|_| against_published(&data)));
            reports.push(data);
        }
        output::line(texts.join("\n\n"))?;
        if let Some(path) = &self.curves {
            let text = curves_to_csv(&records);
            atomic::write(path, text.as_bytes())
                .with_context(|| format!("--curves: cannot write {}", path.display()))?;
        }
        match write(&store, &reports) {
            Ok(paths) => paths.iter().for_each(|path| say!("written: {}", path.display())),
            // What is printed can be read all the same.
            Err(problem) => say!("note: {problem:#}"),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn published(&self) -> Published {
        match self.compare.as_deref() {
            None | Some(PAPER) => Published::Embedded,
            Some(path) => Published::At(path.into()),
        }
    }
}

/// Stands for the published scores that the program carries.
const PAPER: &str = "paper";

fn text(format: Format, data: &ReportData, report: &results::Report) -> String {
    match format {
        Format::Markdown => data.to_markdown(),
        Format::Latex => data.to_latex(),
        Format::Csv => data.to_csv(),
        Format::Terminal | Format::Parquet => {
            let table = report.to_text();
            let summary = summary(data);
            if summary.is_empty() { table } else { format!("{table}\n{summary}") }
        }
    }
    .trim_end()
    .into()
}

/// Writes the table of a suite as Parquet, and gives its path.
fn comparison(store: &Store, data: &ReportData) -> Result<String> {
    let written = store.write_table("comparison.parquet", data.to_parquet()?)?;
    Ok(written.display().to_string())
}

/// Writes the page of each suite and the table of all comparisons; gives their paths. A folder of several suites has a
/// page for each, and one that leads to them.
fn write(store: &Store, reports: &[ReportData]) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let mut write = |name: String, text: String| -> Result<()> {
        let path = store.folder().join(name);
        atomic::write(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
        Ok(())
    };
    match reports {
        [report] => write("report.html".into(), page(report))?,
        several => {
            for report in several {
                write(page_name(report), page(report))?;
            }
            let pages = several.iter().map(|report| (page_name(report), report.title.clone()));
            write("report.html".into(), index(&pages.collect::<Vec<_>>()))?;
        }
    }
    written.push(store.write_table("pairwise.parquet", to_frame(reports)?)?);
    Ok(written)
}

fn page_name(report: &ReportData) -> String {
    format!("report-{}.html", report.suite)
}

/// The report of every suite that has cells in a folder.
pub(super) fn reports(store: &Store) -> Result<Vec<results::Report>> {
    let records = store.records()?;
    Ok(rosters(store, &records)?.iter().map(|roster| results::Report::new(roster, &records)).collect())
}

/// The roster of every suite; for suites whose file is lost, one derived from their records.
fn rosters(store: &Store, records: &[Record]) -> Result<Vec<Roster>> {
    let mut rosters = Roster::all(store.folder())?;
    let known: BTreeSet<String> = rosters.iter().map(|roster| roster.suite.clone()).collect();
    // Those of sources name none.
    let named: BTreeSet<&String> =
        records.iter().map(|record| &record.suite).filter(|name| !name.is_empty()).collect();
    for name in named.into_iter().filter(|name| !known.contains(*name)) {
        rosters.push(grid::find(name).unwrap_or_else(|_| Suite::named(name)).roster());
    }
    Ok(rosters)
}
