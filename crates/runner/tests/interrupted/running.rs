//! The program as a child process that the test watches and sends signals to.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::Workspace;

/// A process that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running child process.
pub(crate) struct Running {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Running {
    pub(crate) fn start(w: &Workspace, arguments: &[&str]) -> Self {
        Self::spawn(w.command(arguments))
    }

    /// Starts it with a shell command, in which `"$0" "$@"` is the program.
    pub(crate) fn start_by(w: &Workspace, line: &str, arguments: &[&str]) -> Self {
        let program = w.command(arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).arg(program.get_program()).args(arguments);
        shell.current_dir(program.get_current_dir().unwrap());
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        Self::spawn(shell)
    }

    fn spawn(mut command: Command) -> Self {
        let said = tempfile::NamedTempFile::new().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.reopen().unwrap());
        Self { child: command.spawn().unwrap(), said }
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.said.path()).unwrap()).into_owned()
    }

    pub(crate) fn wait_for(&self, part: &str) {
        self.wait_until(part, |said| said.contains(part));
    }

    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !is_so(&self.said()) {
            assert!(started.elapsed() < PATIENCE, "still not: {what}; it says: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn send(&self, signal: i32) {
        // SAFETY: the process is a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits for its end and returns its output.
    pub(crate) fn ended(&mut self, code: i32) -> String {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it hangs, after saying: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(code), "{}", self.said());
        self.said()
    }

    pub(crate) fn kill(&mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
