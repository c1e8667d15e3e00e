//! The tables of a report for other programs: Markdown, LaTeX with booktabs, CSV, Parquet.

use std::fmt::Write;

use clap::ValueEnum;
use polars::prelude::{DataFrame, PolarsResult, df};

use super::data::{ReportData, TableCell};
use crate::results::{Block, blocks, score_text, thousands, to_frame};

/// How tables are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Terminal,
    Markdown,
    Latex,
    Csv,
    /// `comparison.parquet`
    Parquet,
}

impl ReportData {
    /// The tables in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n", markdown(&self.title), caption(self));
        for block in blocks(&self.table) {
            let _ = write!(text, "\n## {}\n\n", markdown(&block.title));
            let header: Vec<String> = header(&block).iter().map(|name| markdown(name)).collect();
            let _ = writeln!(text, "| {} |", header.join(" | "));
            let _ = writeln!(text, "|{}", " --- |".to_string() + &" ---: |".repeat(header.len() - 1));
            for method in &block.methods {
                let cells = block.tasks.iter().map(|task| block.cell(method, task).map_or("-".into(), score));
                let line: Vec<String> =
                    lead(&block, method).into_iter().map(|text| markdown(&text)).chain(cells).collect();
                let _ = writeln!(text, "| {} |", line.join(" | "));
            }
        }
        text
    }

    /// The tables in LaTeX, for the package booktabs.
    pub fn to_latex(&self) -> String {
        let mut text = String::from("% \\usepackage{booktabs}\n");
        for block in blocks(&self.table) {
            let columns = format!("lr{}", "r".repeat(block.tasks.len()));
            let header: Vec<String> = header(&block).iter().map(|name| latex(name)).collect();
            let _ = write!(
                text,
                "\\begin{{table}}\n\\centering\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{} \\\\\n\\midrule\n",
                header.join(" & ")
            );
            for method in &block.methods {
                let cells =
                    block.tasks.iter().map(|task| block.cell(method, task).map_or("--".into(), latex_score));
                let line: Vec<String> =
                    lead(&block, method).into_iter().map(|text| latex(&text)).chain(cells).collect();
                let _ = writeln!(text, "{} \\\\", line.join(" & "));
            }
            let caption = format!("{}, {}: {}", self.title, block.title, caption(self));
            let _ = write!(
                text,
                "\\bottomrule\n\\end{{tabular}}\n\\caption{{{}}}\n\\end{{table}}\n",
                latex(&caption)
            );
        }
        text
    }

    /// The columns of [`results::to_frame`](crate::results::to_frame), the letters, and the sampled intervals.
    ///
    /// # Errors
    /// Never in practice: the columns have one length.
    pub fn to_parquet(&self) -> PolarsResult<DataFrame> {
        let mut frame = to_frame(&self.table)?;
        let cells = || self.table.iter();
        let more = df!(
            "letters" => cells().map(|cell| cell.letters.as_deref()).collect::<Vec<_>>(),
            "sampled_low" => cells().map(|cell| cell.sampled_low).collect::<Vec<_>>(),
            "sampled_high" => cells().map(|cell| cell.sampled_high).collect::<Vec<_>>(),
        )?;
        frame.hstack_mut(more.columns())?;
        Ok(frame)
    }

    /// One line for each method and task, with all that is known of it.
    pub fn to_csv(&self) -> String {
        let mut text = String::from(
            "group,task,average,probe,method,metric,mean,deviation,low,high,seeds,diverged,trainable_parameters,\
             seconds,peak_memory_bytes,letters,sampled_low,sampled_high\n",
        );
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        for TableCell { comparison: cell, letters, sampled_low, sampled_high } in &self.table {
            let fields = [
                cell.group.clone(),
                cell.task.clone(),
                cell.average.to_string(),
                cell.probe.to_string(),
                cell.method.clone(),
                cell.metric.clone(),
                number(cell.mean),
                number(cell.deviation),
                number(cell.low),
                number(cell.high),
                cell.seeds.to_string(),
                cell.diverged.to_string(),
                cell.trainable_parameters.to_string(),
                cell.seconds.to_string(),
                cell.peak_memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
                letters.clone().unwrap_or_default(),
                number(*sampled_low),
                number(*sampled_high),
            ];
            let _ = writeln!(text, "{}", fields.map(|field| csv(&field)).join(","));
        }
        text
    }
}

fn header(block: &Block<TableCell>) -> Vec<String> {
    let lead = ["method", "trainable"].map(String::from);
    lead.into_iter().chain(block.tasks.iter().map(|cell| cell.comparison.task.clone())).collect()
}

/// A method's name and its number of trainable parameters.
fn lead(block: &Block<TableCell>, method: &str) -> Vec<String> {
    let own = block.of_method(method).into_iter().next();
    vec![method.into(), own.map(|cell| thousands(cell.comparison.trainable_parameters)).unwrap_or_default()]
}

fn caption(data: &ReportData) -> String {
    format!(
        "mean ± standard deviation over seeds, in percent, on the {} split; methods that share a letter are not \
         separable at 5 %",
        data.split.name()
    )
}

fn score(TableCell { comparison: cell, letters, .. }: &TableCell) -> String {
    let letters = letters.as_ref().map(|letters| format!(" {letters}")).unwrap_or_default();
    let text = |score| score_text(&cell.metric, score);
    match (cell.mean, cell.deviation) {
        (Some(mean), Some(deviation)) => format!("{} ± {}{letters}", text(mean), text(deviation)),
        (Some(mean), None) => format!("{}{letters}", text(mean)),
        (None, _) => "-".into(),
    }
}

fn latex_score(TableCell { comparison: cell, letters, .. }: &TableCell) -> String {
    let letters = letters.as_ref().map(|letters| format!("^{{{letters}}}")).unwrap_or_default();
    let text = |score| score_text(&cell.metric, score);
    match (cell.mean, cell.deviation) {
        (Some(mean), Some(deviation)) => format!("${}_{{\\pm {}}}{letters}$", text(mean), text(deviation)),
        (Some(mean), None) => format!("${}{letters}$", text(mean)),
        (None, _) => "--".into(),
    }
}

/// Text in a cell of Markdown.
fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '&' => escaped.extend(['\\', c]),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text in LaTeX.
fn latex(text: &str) -> String {
    let escape = |c: char| match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '~' => "\\textasciitilde{}".into(),
        '^' => "\\textasciicircum{}".into(),
        '\\' => "\\textbackslash{}".into(),
        '±' => "$\\pm$".into(),
        '\n' | '\r' => " ".into(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

/// A field of CSV (RFC 4180).
pub(super) fn csv(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Comparison;

    fn cell(method: &str, task: &str, average: bool, mean: Option<f64>) -> TableCell {
        let comparison = Comparison {
            group: "G & H".into(),
            task: task.into(),
            average,
            probe: false,
            method: method.into(),
            metric: "accuracy".into(),
            mean,
            deviation: mean.map(|_| 0.25),
            low: None,
            high: None,
            seeds: 3,
            diverged: 0,
            trainable_parameters: 76_800,
            seconds: 1.5,
            peak_memory_bytes: None,
        };
        TableCell { comparison, letters: Some("ab".into()), sampled_low: None, sampled_high: Some(91.5) }
    }

    fn data() -> ReportData {
        let table = vec![
            cell("lora_1", "A|B", false, Some(90.04)),
            cell("full, \"all\"", "A|B", false, None),
            cell("lora_1", "average", true, Some(90.04)),
        ];
        ReportData { title: "T_1".into(), table, ..ReportData::default() }
    }

    #[test]
    fn names_cannot_break_a_table() {
        let markdown = data().to_markdown();
        assert!(markdown.contains("| lora\\_1 | 76,800 | 90.0 ± 0.2 ab | 90.0 ± 0.2 ab |"), "{markdown}");
        assert!(markdown.contains("| method | trainable | A\\|B | average |"), "{markdown}");
        assert!(markdown.contains("| 76,800 | - | - |"), "{markdown}");
        let latex = data().to_latex();
        assert!(latex.contains("lora\\_1 & 76,800 & $90.0_{\\pm 0.2}^{ab}$ &"), "{latex}");
        assert!(latex.contains("T\\_1, G \\& H: mean $\\pm$ standard deviation"), "{latex}");
        let csv = data().to_csv();
        assert!(
            csv.contains("\n\"G & H\"") || csv.contains("\nG & H,A|B,false,false,\"full, \"\"all\"\"\","),
            "{csv}"
        );
        assert_eq!(csv.lines().count(), 4);
        assert!(
            csv.lines().all(|line| line.ends_with(",ab,,91.5") || line.ends_with(",sampled_high")),
            "{csv}"
        );
    }
}
