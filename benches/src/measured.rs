//! What a program costs: a small process of its own starts it, waits for it and reports.
//!
//! The kernel counts into a child's peak memory what its parent held when it was started, and this program holds
//! a whole org. So each program that is measured is started by a second, empty process of this binary.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, getppid};
use serde::{Deserialize, Serialize};

/// How often the process in between looks whether the benchmark is still there.
const PARENT_PAUSE: Duration = Duration::from_secs(1);

/// What a program, with all that it started, has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// From its start to its end, in seconds.
    pub(crate) wall_seconds: f64,
    /// The most memory that one of its processes held, in bytes.
    pub(crate) peak_bytes: u64,
}

/// How a measured program ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// Well.
    Done(Cost),
    /// It was ended when its time was up.
    TooLong,
    /// Badly; how, and what it said last.
    Failed(String),
}

/// The moment, for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "the benchmark's one stopwatch")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A program to be measured.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// It, and its arguments.
    pub(crate) command: &'a [&'a str],
    pub(crate) directory: &'a Path,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) budget: Duration,
    /// Where the report and what it prints are kept meanwhile.
    pub(crate) scratch: &'a Path,
}

/// Runs a program and measures it.
///
/// Nothing of this process's environment but the search path reaches it, so that no tool finds settings of the user's.
pub(crate) fn run(program: &Program<'_>) -> anyhow::Result<Ended> {
    let report = program.scratch.join("report.json");
    let output = program.scratch.join("output");
    let this = std::env::current_exe().context("could not find this program's file")?;
    let log = fs::File::create(&output).context("could not make a file")?;
    fs::remove_file(&report).ok();
    let status = Command::new(this)
        .arg("measured")
        .arg("--report")
        .arg(&report)
        .arg("--budget")
        .arg(program.budget.as_secs().to_string())
        .arg("--")
        .args(program.command)
        .current_dir(program.directory)
        .env_clear()
        .env("PATH", search_path())
        .env("HOME", program.scratch)
        .env("LC_ALL", "C.UTF-8")
        .envs(program.environment.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("could not share a file")?)
        .stderr(log)
        .status()
        .context("could not run this program")?;
    if !status.success() {
        return Ok(Ended::Failed(last_line(&output)));
    }
    let report = fs::read(&report).context("there is no report")?;
    let ended = serde_json::from_slice(&report).context("the report cannot be read")?;
    Ok(match ended {
        Ended::Failed(how) => Ended::Failed(format!("{how}: {}", last_line(&output))),
        ended => ended,
    })
}

/// What a short script prints, in one line; `None` if it fails.
pub(crate) fn ask(text: &str) -> Option<String> {
    let output = Command::new("sh")
        .args(["-ec", text])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs are found where the caller of the benchmark finds them"
)]
fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn last_line(output: &Path) -> String {
    let text = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing")
        .chars()
        .take(200)
        .collect()
}

/// Ends a group of processes when its time is up, or when nobody is left who wants to know; tells whether it did.
fn watch(group: Pid, done: &mpsc::Receiver<()>, until: Instant) -> bool {
    let parent = getppid();
    loop {
        let left = until.saturating_duration_since(start());
        if done.recv_timeout(left.min(PARENT_PAUSE)) != Err(mpsc::RecvTimeoutError::Timeout) {
            return false;
        }
        if left.is_zero() || getppid() != parent {
            return killpg(group, Signal::SIGKILL).is_ok();
        }
    }
}

/// The other side of [`run`], in the process in between.
pub(crate) fn serve(report: &PathBuf, budget: u64, command: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("nothing to run")?;
    let began = start();
    let mut child = Command::new(program)
        .args(arguments)
        .process_group(0)
        .spawn()
        .with_context(|| format!("could not start {program}"))?;
    let group = Pid::from_raw(i32::try_from(child.id()).context("an odd process id")?);
    let (done, wait) = mpsc::channel::<()>();
    let watch = thread::spawn(move || watch(group, &wait, began + Duration::from_secs(budget)));
    let status = child.wait().context("could not wait")?;
    let wall_seconds = began.elapsed().as_secs_f64();
    drop(done);
    let late = watch.join().unwrap_or(false);
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).context("could not read what it used")?;
    let seconds = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let cpu = seconds(used.user_time().num_microseconds())
        + seconds(used.system_time().num_microseconds());
    let ended = if late {
        Ended::TooLong
    } else if status.success() {
        Ended::Done(Cost {
            cpu_seconds: cpu.as_secs_f64(),
            wall_seconds,
            peak_bytes: u64::try_from(used.max_rss()).unwrap_or(0) * 1024,
        })
    } else {
        Ended::Failed(status.to_string())
    };
    #[expect(clippy::disallowed_methods, reason = "a scratch file of the benchmark")]
    fs::write(report, serde_json::to_vec(&ended)?).context("could not write the report")
}
