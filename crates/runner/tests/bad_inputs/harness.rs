//! One case, and how it is run.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::common::Workspace;

/// Limit of the address space, in KiB, which exposes unneeded allocations.
const ADDRESS_SPACE: u64 = 8 << 20;

/// A refusal takes milliseconds; anything this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

type Change<'a> = Box<dyn Fn(&Workspace) + 'a>;

/// One mistake.
pub(crate) struct Case<'a> {
    name: String,
    changes: Vec<Change<'a>>,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    parts: Vec<String>,
    /// The input may be valid after all; then the program must succeed.
    may_succeed: bool,
    /// The message of the command line's parser has lines about the usage.
    usage: bool,
}

impl<'a> Case<'a> {
    /// A mistake in a run of the tiny suite.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            changes: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            parts: Vec::new(),
            may_succeed: false,
            usage: false,
        }
        .command("run tiny-suite.toml --method lora --steps 1 --seed 1 --out out")
    }

    /// Another command line, split at spaces.
    pub(crate) fn command(self, words: &str) -> Self {
        self.arguments(&words.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn arguments(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Changes the workspace.
    pub(crate) fn with(mut self, change: impl Fn(&Workspace) + 'a) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    pub(crate) fn write(self, file: &'a str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.with(move |w| w.write_bytes(file, &bytes))
    }

    pub(crate) fn edit(self, file: &'a str, from: impl Into<String>, to: impl Into<String>) -> Self {
        let (from, to) = (from.into(), to.into());
        self.with(move |w| w.edit(file, &from, &to))
    }

    /// What the message must contain: the file, the key.
    pub(crate) fn says(mut self, parts: &[&str]) -> Self {
        self.parts.extend(parts.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn may_succeed(mut self) -> Self {
        self.may_succeed = true;
        self
    }

    pub(crate) fn usage(mut self) -> Self {
        self.usage = true;
        self
    }

    /// What is wrong with the program's response.
    fn problem(&self) -> Option<String> {
        let workspace = Workspace::new();
        for change in &self.changes {
            change(&workspace);
        }
        let Answer { status, message } = match run(&workspace, &self.command, &self.environment) {
            Ok(answer) => answer,
            Err(message) => return Some(format!("hangs, after saying: {message}")),
        };
        let says = |problem: String| Some(format!("{problem}; it says: {}", shortened(&message)));
        if let Some(signal) = status.signal() {
            return says(format!("dies of signal {signal}"));
        }
        if message.contains("panicked") {
            return says("panics".into());
        }
        if let Some(odd) = message.chars().find(|c| c.is_control() && !"\n".contains(*c)) {
            return says(format!("sends {odd:?} to the terminal"));
        }
        if self.may_succeed && status.code() == Some(0) {
            return None;
        }
        if status.code() != Some(2) {
            return says(format!("ends with {status}"));
        }
        let is_error = |line: &&str| line.starts_with("error: ");
        if message.lines().filter(is_error).count() != 1 {
            return says("has not one error".into());
        }
        // Notes and progress come before it, and what to do about it behind.
        let mut lines = message.lines().rev().skip_while(|line| line.starts_with("hint: "));
        if !lines.next().is_some_and(|line| is_error(&line)) && !self.usage {
            return says("goes on after its error".into());
        }
        let missing = self.parts.iter().find(|part| !message.contains(part.as_str()))?;
        says(format!("does not name `{missing}`"))
    }
}

/// Runs every case and reports all failures.
pub(crate) fn check(cases: Vec<Case>) {
    let total = cases.len();
    println!("{total} mistakes");
    let failed = cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, case.problem()?)));
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{} of {total} mistakes:\n{}", failed.len(), failed.join("\n"));
}

struct Answer {
    status: ExitStatus,
    message: String,
}

/// Runs the program within limits; on timeout, the error is its output so far.
fn run(workspace: &Workspace, words: &[String], environment: &[(String, String)]) -> Result<Answer, String> {
    let program = workspace.command(&[]);
    let mut command = Command::new("sh");
    let limited = format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"");
    command.args(["-c", &limited]).arg(program.get_program()).args(words);
    command.current_dir(program.get_current_dir().unwrap());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.env("RAYON_NUM_THREADS", "1").envs(environment.iter().cloned());
    // Files, unlike pipes, need no reader while it runs.
    let message = tempfile::NamedTempFile::new().unwrap();
    command.stdin(std::process::Stdio::null());
    command.stdout(File::create("/dev/null").unwrap()).stderr(message.reopen().unwrap());
    let said = || String::from_utf8_lossy(&std::fs::read(message.path()).unwrap()).into_owned();
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ok(Answer { status, message: said() });
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(said());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn shortened(message: &str) -> String {
    let mut text: String = message.trim().chars().take(400).collect();
    if text.len() < message.trim().len() {
        text.push('…');
    }
    text
}
