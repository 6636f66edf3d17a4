//! A daemon in a directory of its own, driven by `orgkeepctl`, and what it costs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::Value;
use tempfile::TempDir;

use crate::measured::{self, Cost, Ended, Program};

/// How often a starting daemon is asked whether it is there, and how long between.
const START_TRIES_MAX: u32 = 200;
const START_PAUSE: Duration = Duration::from_millis(50);
/// How long one `orgkeepctl` that is measured may take.
const CTL_BUDGET: Duration = Duration::from_secs(60);

/// A running daemon with an empty data directory. Dropping it stops the daemon and removes the directory.
#[derive(Debug)]
pub(crate) struct Installation {
    directory: TempDir,
    binaries: PathBuf,
    daemon: Child,
}

/// What the daemon's process has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// The most memory it held since its start, or since [`Installation::forget_peak`], in bytes.
    pub(crate) memory_peak_bytes: u64,
}

/// What lies on the disk, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskUsage {
    /// The blobs of the store.
    pub(crate) blobs: u64,
    /// `index.db`.
    pub(crate) index: u64,
    /// The write-ahead logs of both databases.
    pub(crate) wal: u64,
    /// Everything in the data directory.
    pub(crate) total: u64,
}

impl Installation {
    /// Starts the daemon. The two programs are built in release mode before, unless they are there `already_built`.
    pub(crate) fn start(already_built: bool) -> anyhow::Result<Self> {
        if !already_built {
            build()?;
        }
        let this = std::env::current_exe().context("could not find this program's file")?;
        let binaries = release_directory(&this)?;
        let directory = TempDir::new().context("could not make a directory")?;
        let log = File::create(directory.path().join("log")).context("could not make the log")?;
        let daemon = Command::new(binaries.join("orgkeepd"))
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .arg("--socket")
            .arg(directory.path().join("orgkeep.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("could not start the daemon")?;
        let installation = Self {
            directory,
            binaries,
            daemon,
        };
        installation.wait_until_ready()?;
        Ok(installation)
    }

    /// A file of its directory with these contents, for secrets.
    pub(crate) fn file(&self, name: &str, contents: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "a scratch file of the benchmark")]
        fs::write(&path, contents).context("could not write a file")?;
        Ok(path)
    }

    /// Runs `orgkeepctl --json` and reads the one document it prints.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self
            .command(arguments)
            .output()
            .context("could not run ctl")?;
        ensure!(
            output.status.success(),
            "orgkeepctl {arguments:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("ctl printed no JSON document")
    }

    /// What one whole `orgkeepctl` costs.
    pub(crate) fn ctl_cost(&self, arguments: &[&str]) -> anyhow::Result<Cost> {
        self.ctl_cost_within(arguments, CTL_BUDGET)
    }

    /// What one whole `orgkeepctl` costs that may take so long.
    pub(crate) fn ctl_cost_within(
        &self,
        arguments: &[&str],
        budget: Duration,
    ) -> anyhow::Result<Cost> {
        let (program, socket) = (self.binaries.join("orgkeepctl"), self.socket());
        let program = program.to_str().context("an odd directory name")?;
        let socket = socket.to_str().context("an odd directory name")?;
        let mut command = vec![program, "--json", "--socket", socket];
        command.extend(arguments);
        let program = Program {
            command: &command,
            directory: self.directory.path(),
            environment: &[],
            budget,
            scratch: self.directory.path(),
        };
        match measured::run(&program)? {
            Ended::Done(cost) => Ok(cost),
            other => bail!("orgkeepctl {arguments:?}: {other:?}"),
        }
    }

    /// The daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("orgkeep.sock")
    }

    /// Lets the daemon's peak memory count from now on.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        let path = format!("/proc/{}/clear_refs", self.daemon.id());
        #[expect(
            clippy::disallowed_methods,
            reason = "not a file but a switch of the kernel's"
        )]
        fs::write(path, "5").context("could not reset its peak memory")
    }

    /// What the daemon has used since it was started.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.daemon.id()));
        let stat = fs::read_to_string(process.join("stat")).context("could not read its times")?;
        let after_name = stat.rsplit_once(')').context("an odd stat file")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |place: usize| -> anyhow::Result<f64> {
            Ok(fields.get(place).context("a short stat file")?.parse()?)
        };
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
        #[expect(clippy::cast_precision_loss, reason = "about 100")]
        let cpu_seconds = (ticks(11)? + ticks(12)?) / ticks_per_second as f64;
        let status =
            fs::read_to_string(process.join("status")).context("could not read its memory")?;
        let peak_kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .context("no VmHWM")?
            .trim()
            .parse()?;
        Ok(Usage {
            cpu_seconds,
            memory_peak_bytes: peak_kib * 1024,
        })
    }

    /// What lies in its data directory.
    pub(crate) fn disk_usage(&self) -> anyhow::Result<DiskUsage> {
        let data = self.directory.path().join("data");
        let size = |name: &str| fs::metadata(data.join(name)).map_or(0, |file| file.len());
        Ok(DiskUsage {
            blobs: tree_bytes(&data.join("store"))?,
            index: size("index.db"),
            wal: size("index.db-wal") + size("state.db-wal"),
            total: tree_bytes(&data)?,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join("orgkeepctl"));
        command
            .arg("--json")
            .arg("--socket")
            .arg(self.socket())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..START_TRIES_MAX {
            if self.command(&["status"]).output()?.status.success() {
                return Ok(());
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "another process starts meanwhile"
            )]
            std::thread::sleep(START_PAUSE);
        }
        bail!("the daemon did not become ready")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.daemon.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        self.daemon.wait().ok();
    }
}

fn build() -> anyhow::Result<()> {
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--quiet",
            "-p",
            "orgkeepd",
            "-p",
            "orgkeepctl",
        ])
        .status()
        .context("could not run cargo")?;
    ensure!(built.success(), "the daemon and ctl do not build");
    Ok(())
}

/// Where the release binaries lie: beside this one, or in the `release` folder beside its own profile's.
fn release_directory(this: &Path) -> anyhow::Result<PathBuf> {
    let own = this.parent().context("this program lies nowhere")?;
    let release = own
        .parent()
        .context("an odd target directory")?
        .join("release");
    Ok(if release.is_dir() {
        release
    } else {
        own.to_owned()
    })
}

/// The bytes of all files below a directory.
pub(crate) fn tree_bytes(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}
