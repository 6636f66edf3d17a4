//! A daemon in a directory of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use okta_sim::OktaSim;
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::binaries;
use crate::command::{Ran, clean, run};
use crate::wait::until;

/// How a daemon is to be started.
#[derive(Debug, Default, Clone)]
pub struct Setup {
    /// The configuration file's text.
    pub config: String,
    /// Environment variables, of the daemon alone.
    pub env: Vec<(String, OsString)>,
}

/// A daemon, and everything it keeps. Dropping it kills the daemon and removes all of it.
#[derive(Debug)]
pub struct TestDaemon {
    directory: TempDir,
    setup: Setup,
    child: Option<Child>,
}

impl TestDaemon {
    /// A daemon with the org registered as `acme`, its keys enabled.
    ///
    /// # Panics
    ///
    /// When any of it fails.
    #[must_use]
    #[track_caller]
    pub fn start(okta: &OktaSim) -> Self {
        let daemon = Self::bare();
        daemon.add(okta, "acme", &["--enable-keys"]).success();
        daemon
    }

    /// A daemon that knows no domain.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn bare() -> Self {
        Self::with(Setup::default())
    }

    /// A daemon that knows no domain, set up in a certain way.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let mut daemon = Self::not_started(setup);
        daemon.restart();
        daemon
    }

    /// Everything a daemon needs, but no daemon yet.
    ///
    /// # Panics
    ///
    /// When the directory cannot be made.
    #[must_use]
    pub fn not_started(setup: Setup) -> Self {
        let directory = TempDir::with_prefix("orgkeep-").expect("a directory can be made");
        Self {
            directory,
            setup,
            child: None,
        }
    }

    /// The directory that holds everything: the data, the socket, the log, and room for a test's own.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory().join("orgkeep.sock")
    }

    /// The daemon's process.
    ///
    /// # Panics
    ///
    /// When it is not running.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("the daemon is running");
        Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
    }

    /// What the daemon logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap_or_default()
    }

    /// The daemon's command line, ready to be run.
    ///
    /// # Panics
    ///
    /// When the configuration cannot be written.
    #[must_use]
    pub fn command(&self) -> Command {
        let config = self.directory().join("config.toml");
        fs::write(&config, &self.setup.config).expect("the configuration can be written");
        let mut command = clean(&binaries().daemon);
        command
            .env("HOME", self.directory())
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(self.data())
            .arg("--socket")
            .arg(self.socket())
            .envs(self.setup.env.iter().cloned());
        command
    }

    /// Starts the daemon, again if it was killed, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn restart(&mut self) {
        let mut command = self.command();
        self.spawn(&mut command);
    }

    /// Starts the daemon by this command, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn spawn(&mut self, command: &mut Command) {
        assert!(self.child.is_none(), "the daemon is running already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory().join("log"))
            .expect("the log can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .expect("the daemon can be started");
        let child = self.child.insert(child);
        let socket = self.directory.path().join("orgkeep.sock");
        until("the daemon answers", || {
            let ended = child.try_wait().expect("the daemon can be asked for");
            if let Some(status) = ended {
                let log = fs::read_to_string(self.directory.path().join("log"));
                panic!(
                    "the daemon ended with {status}: {}",
                    log.unwrap_or_default()
                );
            }
            UnixStream::connect(&socket).ok()
        });
    }

    /// Kills the daemon: it has no chance to do anything about it.
    ///
    /// # Panics
    ///
    /// When it is not running.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon is running");
        child.kill().expect("the daemon can be killed");
        child.wait().expect("the daemon can be waited for");
    }

    /// Asks the daemon to end, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).expect("the daemon can be asked to end");
        let mut child = self.child.take().expect("the daemon is running");
        until("the daemon ends", || {
            child.try_wait().expect("the daemon can be asked for")
        })
    }

    /// Runs `orgkeepctl` with these arguments.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn ctl<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        self.ctl_with(arguments, "")
    }

    /// Runs `orgkeepctl`, giving it `input`.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn ctl_with<S: AsRef<str>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Ran {
        run(&mut self.ctl_command(arguments), input)
    }

    /// The command line of `orgkeepctl`, ready to be run.
    #[must_use]
    pub fn ctl_command<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = clean(&binaries().ctl);
        command.env("ORGKEEP_SOCKET", self.socket());
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command
    }

    /// Runs `orgkeepctl --json`, which must succeed with one document.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn json<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let arguments = arguments.iter().map(AsRef::as_ref).chain(["--json"]);
        self.ctl(arguments).success().json()
    }

    /// Runs `orgkeepctl --json`, which must succeed with any number of documents.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn json_lines<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<Value> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let arguments = arguments.iter().map(AsRef::as_ref).chain(["--json"]);
        self.ctl(arguments).success().lines()
    }

    /// Registers an org by its client secret.
    ///
    /// # Panics
    ///
    /// When the client does not end.
    pub fn add(&self, okta: &OktaSim, name: &str, flags: &[&str]) -> Ran {
        let arguments = [
            "domains",
            "add",
            okta.url(),
            "--name",
            name,
            "--client-id",
            okta.client_id(),
            "--client-secret-file",
            "-",
            "--json",
        ];
        self.ctl_with(arguments.iter().chain(flags), okta.client_secret())
    }

    /// How many packs the store holds.
    ///
    /// # Panics
    ///
    /// When it does not say.
    #[must_use]
    pub fn packs(&self) -> u64 {
        let status = self.json(["store", "status"]);
        status
            .get("packs")
            .and_then(Value::as_u64)
            .expect("the store counts its packs")
    }

    /// Every file below the data directory, with its path.
    ///
    /// # Panics
    ///
    /// When one cannot be read.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut directories) = (Vec::new(), vec![self.data()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("the data directory can be read") {
                let path = entry.expect("the data directory can be read").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Whatever happened to it, it is gone afterwards.
            let _killed = child.kill();
            let _gone = child.wait();
        }
        if std::thread::panicking() {
            eprint_log(&self.log());
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "shown by the test runner for a test that failed"
)]
fn eprint_log(log: &str) {
    eprintln!("the daemon's log:\n{log}");
}
