//! What the demo plays on: the programs, a directory, a daemon; all of it cleared away at the end.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// How long the daemon may take to answer, in steps of [`STEP`].
const STEPS_MAX: u32 = 600;
const STEP: Duration = Duration::from_millis(50);

/// The client's exit code for a job that it followed and that completed with errors.
const COMPLETED_WITH_ERRORS: i32 = 3;

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// The daemon in its directory.
#[derive(Debug)]
pub(crate) struct Stage {
    ctl: PathBuf,
    directory: PathBuf,
    props: Arc<Mutex<Option<Props>>>,
}

/// What must be cleared away.
#[derive(Debug)]
struct Props {
    daemon: Child,
    directory: TempDir,
}

impl Stage {
    /// Builds the programs if need be, and starts the daemon.
    pub(crate) fn set() -> Result<Self> {
        let profile = build()?;
        let directory = TempDir::with_prefix("orgkeep-demo-")?;
        let path = directory.path().to_owned();
        let log = File::create(path.join("orgkeepd.log"))?;
        let daemon = Command::new(profile.join("orgkeepd"))
            .arg("--data-dir")
            .arg(path.join("data"))
            .arg("--socket")
            .arg(path.join("orgkeep.sock"))
            .arg("--config")
            .arg(empty_file(&path.join("config.toml"))?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start orgkeepd")?;
        let props = Arc::new(Mutex::new(Some(Props { daemon, directory })));
        clear_when_interrupted(Arc::clone(&props))?;
        let stage = Self {
            ctl: profile.join("orgkeepctl"),
            directory: path,
            props,
        };
        stage.wait_for_daemon()?;
        Ok(stage)
    }

    /// The socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("orgkeep.sock")
    }

    /// The client.
    pub(crate) fn ctl(&self) -> &Path {
        &self.ctl
    }

    /// Writes a secret into a file that only its owner can read.
    pub(crate) fn secret_file(&self, name: &str, secret: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        let mut options = File::options();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?
            .write_all(secret.as_bytes())?;
        Ok(path)
    }

    /// Shows a command of the client, then runs it, and requires that it succeeds.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        announce(arguments)?;
        let status = self.command(arguments).status()?;
        self.must_succeed(arguments, status)
    }

    /// As [`Stage::run`], but a job that ends with errors is let pass: `false`.
    pub(crate) fn run_job(&self, arguments: &[&str]) -> Result<bool> {
        announce(arguments)?;
        let status = self.command(arguments).status()?;
        if status.code() == Some(COMPLETED_WITH_ERRORS) {
            return Ok(false);
        }
        self.must_succeed(arguments, status).map(|()| true)
    }

    /// As [`Stage::run`]; gives back what was printed, too.
    pub(crate) fn run_and_read(&self, arguments: &[&str]) -> Result<String> {
        announce(arguments)?;
        let text = self.read(arguments)?;
        say(text.trim_end())?;
        Ok(text)
    }

    /// Runs a command behind the scenes and gives back what it printed.
    pub(crate) fn read(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output()?;
        self.must_succeed(arguments, output.status)?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Leaves everything as it is until it is interrupted.
    pub(crate) fn keep(&self) -> Result<()> {
        loop {
            thread::park();
            ensure!(self.socket().exists(), "the daemon has gone");
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.ctl);
        command
            .env("ORGKEEP_SOCKET", self.socket())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn must_succeed(&self, arguments: &[&str], status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.directory.join("orgkeepd.log")).unwrap_or_default();
        bail!(
            "`orgkeepctl {}` ended with {status}; the daemon's log:\n{log}",
            arguments.join(" ")
        )
    }

    fn wait_for_daemon(&self) -> Result<()> {
        for _ in 0..STEPS_MAX {
            if UnixStream::connect(self.socket()).is_ok() {
                return Ok(());
            }
            wait(STEP);
        }
        let log = fs::read_to_string(self.directory.join("orgkeepd.log")).unwrap_or_default();
        bail!("the daemon does not answer; its log:\n{log}")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        clear(&self.props);
    }
}

/// Prints a line.
pub(crate) fn say(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// Prints a heading.
pub(crate) fn title(text: &str) -> Result<()> {
    say(&format!("\n== {text}"))
}

fn announce(arguments: &[&str]) -> Result<()> {
    say(&format!("\n$ orgkeepctl {}", arguments.join(" ")))
}

/// Builds the daemon and the client in the profile of this program; gives back where they are.
fn build() -> Result<PathBuf> {
    let demo = env::current_exe()?;
    let profile = demo
        .parent()
        .context("the demo lies in the directory of its profile")?;
    let target = profile
        .parent()
        .context("a profile lies in the target directory")?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("the simulator lies in the workspace")?;
    let mut cargo = Command::new(cargo());
    cargo
        .current_dir(workspace)
        .args(["build", "--package", "orgkeepd", "--package", "orgkeepctl"])
        .env("CARGO_TARGET_DIR", target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().context("could not run cargo")?;
    ensure!(
        status.success(),
        "the daemon and the client could not be built"
    );
    Ok(profile.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo names itself to what it runs"
)]
fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn empty_file(path: &Path) -> Result<&Path> {
    File::create(path)?;
    Ok(path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the demo waits"
)]
fn wait(duration: Duration) {
    thread::sleep(duration);
}

/// Clears the stage when someone interrupts the demo, which would otherwise leave it as it is.
fn clear_when_interrupted(props: Arc<Mutex<Option<Props>>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        io::Result::Ok((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    })?;
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        clear(&props);
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

fn clear(props: &Mutex<Option<Props>>) {
    let props = props.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Props {
        mut daemon,
        directory,
    }) = props
    {
        // Whatever happened to the daemon, it is gone afterwards.
        let _killed = daemon.kill();
        let _gone = daemon.wait();
        let _removed = directory.close();
    }
}
