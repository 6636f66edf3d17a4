//! Running a program to its end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::wait::patience;

/// What a program said, and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What was run.
    pub line: String,
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Requires this exit code.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{self:#?}");
        self
    }

    /// Requires exit code 0.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    /// The output as the one document it must be, on one line.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "one document is printed: {self:#?}");
        lines.remove(0)
    }

    /// The output as documents, one a line.
    ///
    /// # Panics
    ///
    /// When a line is not a document.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(value) => value,
                Err(error) => panic!("{error} in {line:?} of {self:#?}"),
            })
            .collect()
    }

    /// The problem document that was printed on standard error with `--json`.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn problem(&self) -> Value {
        match self.stderr.lines().last().map(serde_json::from_str) {
            Some(Ok(problem)) => problem,
            _ => panic!("a problem document is printed: {self:#?}"),
        }
    }
}

/// Runs `command` to its end, giving it `input`.
///
/// # Panics
///
/// When it cannot be started, or does not end in time.
pub fn run(command: &mut Command, input: &str) -> Ran {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let mut stdin = child.stdin.take().expect("the input is piped");
    // A program need not read what it is given.
    let _written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(patience()) else {
        let _gone = kill(pid, Signal::SIGKILL);
        panic!("{line} does not end");
    };
    let output = output.expect("the program's output can be read");
    Ran {
        line,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program without the settings that the caller of the tests may have.
pub(crate) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = name.starts_with("ORGKEEP_") || name.starts_with("XDG_");
        let systemd = [
            "STATE_DIRECTORY",
            "RUNTIME_DIRECTORY",
            "NOTIFY_SOCKET",
            "LISTEN_FDS",
        ];
        if ours || systemd.contains(&name.as_ref()) || name == "SSL_CERT_FILE" {
            command.env_remove(name.as_ref());
        }
    }
    command
}
