//! The steps of [`disk`](super::disk), counted, failing where a test plans it, and losing what was not synced.
//!
//! The commits of every index are counted among them ([`commit`]). A plan holds for the thread that made it, so that
//! tests do not disturb each other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::disk;

/// What can fail: each is one call or two of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    MakeDir,
    Write,
    Sync,
    Rename,
    SyncDir,
    Remove,
    /// A commit of an index.
    Commit,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MakeDir => "made directories",
            Self::Write => "writes",
            Self::Sync => "syncs",
            Self::Rename => "renames",
            Self::SyncDir => "syncs of directories",
            Self::Remove => "deletions",
            Self::Commit => "commits",
        })
    }
}

/// What happens at the planned effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Nothing: effects are only counted.
    None,
    /// It fails; later ones do not.
    Fail,
    /// From it on nothing can be written or made, because the disk is full.
    Full,
    /// The process dies: it and all later ones fail.
    Die,
}

/// What of that which was not synced is lost after the process has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the system goes on.
    Nothing,
    /// The contents of files; what directories say is kept.
    Contents,
    /// The contents of files, and what became of the entries of directories.
    Everything,
    /// All of that, and the last commit of the index, which SQLite does not sync.
    LastCommit,
    /// All of that, and every commit of the index since the plan was made.
    AllCommits,
}

impl Loss {
    /// Every kind of loss.
    pub(crate) const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Contents,
        Self::Everything,
        Self::LastCommit,
        Self::AllCommits,
    ];

    fn loses_entries(self) -> bool {
        !matches!(self, Self::Nothing | Self::Contents)
    }
}

#[derive(Debug)]
enum Change {
    Made(PathBuf),
    Renamed {
        from: PathBuf,
        to: PathBuf,
        over: Option<Vec<u8>>,
    },
    Removed {
        path: PathBuf,
        bytes: Vec<u8>,
    },
}

/// An index as it was before a commit: its file and its write-ahead log, where there were any.
#[derive(Debug)]
struct Uncommitted {
    path: PathBuf,
    file: Option<Vec<u8>>,
    log: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Plan {
    at: u64,
    strike: Strike,
    effects: BTreeMap<Effect, u64>,
    /// What directories do not say durably yet, in order.
    changes: Vec<Change>,
    /// Files whose contents are not durable yet.
    unsynced: BTreeSet<PathBuf>,
    commits: Vec<Uncommitted>,
}

impl Plan {
    fn count(&self) -> u64 {
        self.effects.values().sum()
    }

    /// Counts an effect and says whether it fails.
    fn strikes(&mut self, effect: Effect) -> Option<io::Error> {
        *self.effects.entry(effect).or_default() += 1;
        let count = self.count();
        let needs_space = matches!(effect, Effect::MakeDir | Effect::Write);
        match self.strike {
            Strike::Fail if count == self.at => Some(io::Error::other("a planned fault")),
            Strike::Die if count >= self.at => Some(io::Error::other("a planned death")),
            Strike::Full if count >= self.at && needs_space => {
                Some(io::ErrorKind::StorageFull.into())
            }
            _ => None,
        }
    }
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// Plans for the `at`-th effect from now on (the first is 1).
pub(crate) fn plan(at: u64, strike: Strike) {
    let plan = Plan {
        at,
        strike,
        effects: BTreeMap::new(),
        changes: Vec::new(),
        unsynced: BTreeSet::new(),
        commits: Vec::new(),
    };
    PLAN.set(Some(plan));
}

/// Lets the rest succeed; what was not synced can still be lost.
pub(crate) fn calm() {
    with(|plan| plan.strike = Strike::None);
}

/// What has been done so far of what the plan counts.
pub(crate) fn counted() -> BTreeMap<Effect, u64> {
    with(|plan| plan.effects.clone()).unwrap_or_default()
}

/// Whether the planned effect was reached.
pub(crate) fn has_struck() -> bool {
    with(|plan| plan.count() >= plan.at).unwrap_or_default()
}

/// Whether this loss would now take anything away that the next smaller one would leave.
pub(crate) fn matters(loss: Loss) -> bool {
    with(|plan| match loss {
        Loss::Nothing => true,
        Loss::Contents => !plan.unsynced.is_empty(),
        Loss::Everything => !plan.changes.is_empty(),
        Loss::LastCommit => !plan.commits.is_empty(),
        Loss::AllCommits => plan.commits.len() > 1,
    })
    .unwrap_or_default()
}

/// Ends the plan, and loses what is to be lost; every index must be closed. Gives whether the planned effect was reached.
pub(crate) fn end(loss: Loss) -> bool {
    let struck = has_struck();
    let Some(plan) = PLAN.take() else {
        return false;
    };
    if loss.loses_entries() {
        for change in plan.changes.iter().rev() {
            match change {
                Change::Made(path) if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Change::Made(path) => fs::remove_file(path).unwrap(),
                Change::Renamed { from, to, over } => {
                    fs::rename(to, from).unwrap();
                    if let Some(bytes) = over {
                        put_back(to, Some(bytes));
                    }
                }
                Change::Removed { path, bytes } => put_back(path, Some(bytes)),
            }
        }
    }
    if loss != Loss::Nothing {
        for path in plan.unsynced.iter().filter(|path| path.exists()) {
            File::create(path).unwrap();
        }
    }
    let lost: &[Uncommitted] = match loss {
        Loss::LastCommit => plan.commits.last().map_or(&[], std::slice::from_ref),
        Loss::AllCommits => &plan.commits,
        _ => &[],
    };
    for before in lost.iter().rev() {
        put_back(&before.path, before.file.as_ref());
        put_back(&beside(&before.path, "-wal"), before.log.as_ref());
        put_back(&beside(&before.path, "-shm"), None);
    }
    struck
}

fn put_back(path: &Path, bytes: Option<&Vec<u8>>) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
    if let Some(bytes) = bytes {
        drop(disk::write_new(path, bytes).unwrap());
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Counts a commit of the index at `path`, and says whether it fails.
pub(crate) fn commit(path: &Path) -> bool {
    with(|plan| {
        if plan.strikes(Effect::Commit).is_some() {
            return true;
        }
        plan.commits.push(Uncommitted {
            path: path.to_owned(),
            file: fs::read(path).ok(),
            log: fs::read(beside(path, "-wal")).ok(),
        });
        false
    })
    .unwrap_or_default()
}

fn step(effect: Effect) -> io::Result<()> {
    with(|plan| plan.strikes(effect))
        .flatten()
        .map_or(Ok(()), Err)
}

fn with<T>(act: impl FnOnce(&mut Plan) -> T) -> Option<T> {
    PLAN.with_borrow_mut(|plan| plan.as_mut().map(act))
}

pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    step(Effect::MakeDir)?;
    disk::create_dir(dir)?;
    with(|plan| plan.changes.push(Change::Made(dir.to_owned())));
    Ok(())
}

pub(super) fn remove_dir(dir: &Path) -> io::Result<()> {
    step(Effect::Remove)?;
    disk::remove_dir(dir)?;
    with(|plan| {
        let made = plan
            .changes
            .iter()
            .rposition(|change| matches!(change, Change::Made(path) if path == dir));
        if let Some(made) = made {
            plan.changes.remove(made);
        }
    });
    Ok(())
}

pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let planned = step(Effect::Write);
    let written = match planned {
        Ok(()) => bytes,
        // Half of it is there.
        Err(_) => &bytes[..bytes.len() / 2],
    };
    let file = disk::write_new(path, written)?;
    with(|plan| {
        plan.changes.push(Change::Made(path.to_owned()));
        plan.unsynced.insert(path.to_owned());
    });
    planned.map(|()| file)
}

pub(super) fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    step(Effect::Sync)?;
    if with(|plan| plan.unsynced.remove(path)).is_none() {
        disk::sync_file(file, path)?;
    }
    Ok(())
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(Effect::Rename)?;
    let over = fs::read(to).ok();
    disk::rename(from, to)?;
    with(|plan| {
        if plan.unsynced.remove(from) {
            plan.unsynced.insert(to.to_owned());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        plan.changes.push(Change::Renamed { from, to, over });
    });
    Ok(())
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    step(Effect::Remove)?;
    let bytes = fs::read(path)?;
    disk::remove_file(path)?;
    with(|plan| {
        let path = path.to_owned();
        plan.changes.push(Change::Removed { path, bytes });
    });
    Ok(())
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    step(Effect::SyncDir)?;
    let planned = with(|plan| {
        plan.changes.retain(|change| {
            let path = match change {
                Change::Made(path) | Change::Removed { path, .. } => path,
                Change::Renamed { to, .. } => to,
            };
            path.parent() != Some(dir)
        });
    });
    if planned.is_none() {
        disk::sync_dir(dir)?;
    }
    Ok(())
}

#[test]
fn what_is_not_synced_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::File::create(at("old")).unwrap();
    plan(9, Strike::Die);
    super::write_durably(&at("kept"), b"kept").unwrap();
    create_dir(&at("dir")).unwrap();
    drop(write_new(&at("torn"), b"torn").unwrap());
    rename(&at("torn"), &at("old")).unwrap();
    remove_file(&at("kept")).unwrap();
    assert!(create_dir(&at("never")).is_err());
    assert_eq!(counted().values().sum::<u64>(), 9);
    assert!(end(Loss::Everything));
    assert_eq!(fs::read(at("kept")).unwrap(), b"kept");
    assert!(!at("dir").exists() && !at("torn").exists() && !at("never").exists());
    assert!(at("old").exists());
    assert!(!end(Loss::Everything));
}
