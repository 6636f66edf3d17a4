//! The steps of [`disk`](super::disk), failing where a test plans it, and losing what was not synced.
//!
//! A plan holds for the thread that made it, so that tests do not disturb each other.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::disk;

/// What happens at the planned step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
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

#[derive(Debug)]
struct Plan {
    at: u64,
    strike: Strike,
    steps: u64,
    /// What directories do not say durably yet, in order.
    changes: Vec<Change>,
    /// Files whose contents are not durable yet.
    unsynced: BTreeSet<PathBuf>,
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// Plans for the `at`-th step from now on (the first is 1).
pub(crate) fn plan(at: u64, strike: Strike) {
    let plan = Plan {
        at,
        strike,
        steps: 0,
        changes: Vec::new(),
        unsynced: BTreeSet::new(),
    };
    PLAN.set(Some(plan));
}

/// Ends the plan, and loses what is to be lost. Gives whether the planned step was reached.
pub(crate) fn end(loss: Loss) -> bool {
    let Some(plan) = PLAN.take() else {
        return false;
    };
    if loss == Loss::Everything {
        for change in plan.changes.iter().rev() {
            match change {
                Change::Made(path) if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Change::Made(path) => fs::remove_file(path).unwrap(),
                Change::Renamed { from, to, over } => {
                    fs::rename(to, from).unwrap();
                    if let Some(bytes) = over {
                        drop(disk::write_new(to, bytes).unwrap());
                    }
                }
                Change::Removed { path, bytes } => drop(disk::write_new(path, bytes).unwrap()),
            }
        }
    }
    if loss != Loss::Nothing {
        for path in plan.unsynced.iter().filter(|path| path.exists()) {
            File::create(path).unwrap();
        }
    }
    plan.steps >= plan.at
}

/// Counts a step and says whether it fails; `writes` if it needs space.
fn step(writes: bool) -> io::Result<()> {
    with(|plan| {
        plan.steps += 1;
        let reached = plan.steps >= plan.at;
        match plan.strike {
            Strike::Fail if plan.steps == plan.at => Err(io::Error::other("a planned fault")),
            Strike::Die if reached => Err(io::Error::other("a planned death")),
            Strike::Full if reached && writes => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    })
    .unwrap_or(Ok(()))
}

fn with<T>(act: impl FnOnce(&mut Plan) -> T) -> Option<T> {
    PLAN.with_borrow_mut(|plan| plan.as_mut().map(act))
}

pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    step(true)?;
    disk::create_dir(dir)?;
    with(|plan| plan.changes.push(Change::Made(dir.to_owned())));
    Ok(())
}

pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let planned = step(true);
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
    step(false)?;
    if with(|plan| plan.unsynced.remove(path)).is_none() {
        disk::sync_file(file, path)?;
    }
    Ok(())
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(false)?;
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
    step(false)?;
    let bytes = fs::read(path)?;
    disk::remove_file(path)?;
    with(|plan| {
        let path = path.to_owned();
        plan.changes.push(Change::Removed { path, bytes });
    });
    Ok(())
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    step(false)?;
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
    assert!(end(Loss::Everything));
    assert_eq!(fs::read(at("kept")).unwrap(), b"kept");
    assert!(!at("dir").exists() && !at("torn").exists() && !at("never").exists());
    assert!(at("old").exists());
    assert!(!end(Loss::Everything));
}
