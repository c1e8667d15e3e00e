//! The command line: one file per subcommand.

mod adapter;
mod choice;
mod completions;
mod counts;
mod devices;
mod doctor;
mod error_text;
mod examples;
mod export;
mod fetch;
mod helpers;
mod json_lines;
mod listing;
mod man;
mod merge;
mod methods;
mod metric;
mod output;
mod plan;
mod pretrain;
mod report;
mod rescore;
mod run;
mod score;
mod status;
mod suites;
mod sweep;
mod tally;
mod tasks;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use error_text::{hint, message};

use crate::host::interrupt::{self, Interrupted};
use crate::host::threads;
use crate::terminal::progress::say;
use crate::terminal::{self, Level, LogFormat};

/// Compares parameter-efficient fine-tuning methods.
#[derive(Debug, Parser)]
#[command(name = "peft-bench", version, after_help = examples::TOP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print results and errors only
    #[arg(long, global = true, help_heading = MESSAGES)]
    quiet: bool,
    /// Format of progress, notes and errors on standard error; json is one object per line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = MESSAGES)]
    log_format: LogFormat,
}

/// Heading of the options that every command has.
const MESSAGES: &str = "Messages";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train methods on tasks and compare them (the default)
    Run(run::Run),
    /// List what a run would compute, without computing it
    Plan(plan::PlanCommand),
    /// Print how far the suites in a results folder are, while they run or not
    Status(status::Status),
    /// Print the table of a results folder, finished or not
    Report(report::Report),
    /// Score kept predictions by further metrics, without training
    Rescore(rescore::Rescore),
    /// Join results folders of several machines
    Merge(merge::Merge),
    /// Download a suite's model and datasets into the hub's cache
    Fetch(fetch::Fetch),
    /// List the tasks, or inspect one
    Tasks(tasks::Tasks),
    /// List the suites with their tasks, methods and seeds
    Suites(suites::Suites),
    /// List the methods and their trainable parameters
    Methods(methods::Methods),
    /// List the devices of this machine that runs can use
    Devices(devices::Devices),
    /// Check this build, this machine, the hub and its cache
    Doctor(doctor::Doctor),
    /// Pretrain a T5 from a recipe
    Pretrain(pretrain::Pretrain),
    /// Score source-target pairs: log-probabilities and greedy generations
    Score(score::Score),
    /// Write a trained adapter so that other programs read it
    Export(export::Export),
    /// Score existing predictions with a metric
    Metric(metric::MetricCommand),
    /// Print a script that completes this program's arguments in a shell
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands
    Man(man::Man),
}

/// Exit code for bad input: an invalid argument, a malformed file, a task that does not fit its rows.
const BAD_INPUT: u8 = 2;

/// Parses the command line and runs it. Errors go to stderr as one message.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Like [`main`], with these arguments; the first one is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            say!("{}", error.to_string().trim_end());
            return ExitCode::from(BAD_INPUT);
        }
        Err(help) => help.exit(),
    };
    terminal::configure(arguments.quiet || helpers::is_one(), arguments.log_format);
    let command = arguments.command.unwrap_or(Command::Run(run::Run::default()));
    let fetch = command.fetch();
    match start().and_then(|()| dispatch(command)) {
        Ok(code) => code,
        Err(error) => match error.chain().find_map(|cause| cause.downcast_ref::<Interrupted>()) {
            Some(interrupted) => {
                let resume = "run the same command again to resume".to_string();
                let text = format!("{interrupted}; progress is saved");
                terminal::with_hint(Level::Progress, &text, Some(resume));
                ExitCode::from(interrupted.exit_code())
            }
            None => {
                terminal::with_hint(Level::Error, &message(&error), hint(&error, fetch));
                ExitCode::from(BAD_INPUT)
            }
        },
    }
}

/// Sets up threads and signal handlers.
fn start() -> Result<()> {
    threads::start()?;
    interrupt::listen().context("cannot install signal handlers")
}

impl Command {
    /// The `fetch` command for what this command needs from the hub, if known.
    fn fetch(&self) -> Option<String> {
        match self {
            Command::Run(run) => Some(run.fetch()),
            Command::Plan(plan) => Some(plan.fetch()),
            Command::Tasks(tasks) => tasks.fetch(),
            Command::Methods(methods) => methods.fetch(),
            Command::Score(score) => Some(score.fetch()),
            Command::Export(export) => export.fetch(),
            Command::Report(_)
            | Command::Rescore(_)
            | Command::Status(_)
            | Command::Merge(_)
            | Command::Suites(_)
            | Command::Fetch(_)
            | Command::Devices(_)
            | Command::Doctor(_)
            | Command::Pretrain(_)
            | Command::Metric(_)
            | Command::Completions(_)
            | Command::Man(_) => None,
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(run) => run.execute(),
        Command::Plan(plan) => plan.execute(),
        Command::Status(status) => status.execute(),
        Command::Report(report) => report.execute(),
        Command::Rescore(rescore) => rescore.execute(),
        Command::Merge(merge) => merge.execute(),
        Command::Suites(suites) => suites.execute(),
        Command::Fetch(fetch) => fetch.execute(),
        Command::Tasks(tasks) => tasks.execute(),
        Command::Methods(methods) => methods.execute(),
        Command::Devices(devices) => devices.execute(),
        Command::Doctor(doctor) => doctor.execute(),
        Command::Pretrain(pretrain) => pretrain.execute(),
        Command::Score(score) => score.execute(),
        Command::Export(export) => export.execute(),
        Command::Metric(metric) => metric.execute(),
        Command::Completions(completions) => completions.execute(),
        Command::Man(man) => man.execute(),
    }
}
