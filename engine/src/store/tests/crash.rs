//! Each operation again and again, failing at every step of the disk and at every commit in turn.

use std::fs;

use super::*;
use crate::durable::faults::{self, Loss, Strike};
use crate::index::faults as commits;

/// One operation on the store in a directory, by a process of its own.
type Operation = fn(&Path) -> Result<(), StoreError>;

fn open_at(dir: &Path) -> Result<(Store, DomainStore), StoreError> {
    let provider = FileProvider::open_or_create(&dir.join("keys/kek"), false);
    let blobs = Local::open(&dir.join("store"))?;
    let store = Store::open(Arc::new(blobs), &dir.join("index.db"))?;
    store.create_domain_keys(DOMAIN, &provider)?;
    let domain = store.open_domain(DOMAIN, &provider)?;
    Ok((store, domain))
}

fn first_backup(dir: &Path) -> Result<(), StoreError> {
    write(&open_at(dir)?.1, &two_backups()[0], 1000).map(drop)
}

fn second_backup(dir: &Path) -> Result<(), StoreError> {
    write(&open_at(dir)?.1, &two_backups()[1], 2000).map(drop)
}

fn reindex(dir: &Path) -> Result<(), StoreError> {
    let (store, domain) = open_at(dir)?;
    let report = store.reindex(&[domain], &Silent)?;
    assert_eq!(report.problems, []);
    Ok(())
}

fn removal(dir: &Path) -> Result<(), StoreError> {
    let (store, domain) = open_at(dir)?;
    let oldest = store.snapshots(DOMAIN)?.pop().unwrap();
    domain.remove_snapshot(oldest.id)
}

fn prune(dir: &Path) -> Result<(), StoreError> {
    let (_, domain) = open_at(dir)?;
    let mut options = PruneOptions::at(Timestamp::from_second(4_000_000_000).unwrap());
    (options.bytes_min, options.small_packs_min) = (0, 2);
    assert_eq!(domain.prune(&options, &Silent)?.problems, []);
    Ok(())
}

/// Copies what lies in a directory into another.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a store is to hold before an operation, and what the operation adds.
struct Case {
    operation: Operation,
    prepared: Vec<Operation>,
    /// The states of the snapshots, oldest first, with the operation's twice: it may be done, and then repeated.
    states: Vec<State>,
    adds: usize,
}

fn cases() -> Vec<Case> {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let second = model(&first, &ops[1]);
    vec![
        Case {
            operation: first_backup,
            prepared: vec![],
            states: vec![first.clone(), first.clone()],
            adds: 1,
        },
        Case {
            operation: second_backup,
            prepared: vec![first_backup],
            states: vec![first.clone(), second.clone(), second.clone()],
            adds: 1,
        },
        Case {
            operation: reindex,
            prepared: vec![first_backup, second_backup],
            states: vec![first, second.clone()],
            adds: 0,
        },
        Case {
            operation: prune,
            prepared: vec![first_backup, second_backup, removal],
            states: vec![second],
            adds: 0,
        },
    ]
}

/// The number of snapshots in a store that is whole: each is as the model says, and a check finds nothing but orphans.
fn whole_at(dir: &Path, states: &[State]) -> usize {
    let (store, domain) = open_at(dir).unwrap();
    let report = crate::check::check(&store, std::slice::from_ref(&domain), true, &Silent).unwrap();
    assert_eq!(report.problems, []);
    let orphans = store.stats().unwrap().domains[&DOMAIN];
    assert_eq!(orphans.orphan_packs, report.orphans.len() as u64);
    assert_eq!(orphans.orphan_bytes, report.orphans.values().sum::<u64>());
    let mut snapshots = store.snapshots(DOMAIN).unwrap();
    snapshots.reverse();
    assert!(snapshots.len() <= states.len());
    for (info, state) in snapshots.iter().zip(states) {
        let reader = domain.reader(info.id).unwrap();
        let mut found = State::new();
        for name in TYPES {
            reader
                .for_each(object_type(name), &mut |stored| {
                    let name = (stored.object_type, stored.id);
                    found.insert(name, (stored.parent, stored.body));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(&found, state);
    }
    snapshots.len()
}

/// Runs an operation with a fault at each of its steps, until none strikes; gives how many steps there were.
///
/// `strike` plans the fault at a step, `end` ends it and tells whether it has struck.
fn at_every_step(case: &Case, strike: &dyn Fn(u64), end: &dyn Fn(&Path, &Path) -> bool) -> u64 {
    let template = tempfile::tempdir().unwrap();
    for prepare in &case.prepared {
        prepare(template.path()).unwrap();
    }
    let before = case.states.len() - case.adds - usize::from(case.adds > 0);
    for step in 1.. {
        let dir = tempfile::tempdir().unwrap();
        copy(template.path(), dir.path());
        strike(step);
        let done = (case.operation)(dir.path());
        let struck = end(dir.path(), template.path());
        assert!(struck || done.is_ok());
        let there = whole_at(dir.path(), &case.states);
        let acknowledged = before + if done.is_ok() { case.adds } else { 0 };
        assert!((acknowledged..=before + case.adds).contains(&there));
        (case.operation)(dir.path()).unwrap();
        assert_eq!(whole_at(dir.path(), &case.states), there + case.adds);
        if !struck {
            return step - 1;
        }
    }
    0
}

/// Puts the index back as it was before the operation: what SQLite had not synced is lost too.
fn lose_commits(dir: &Path, template: &Path) {
    Index::remove_files(&dir.join("index.db")).unwrap();
    if template.join("index.db").exists() {
        fs::copy(template.join("index.db"), dir.join("index.db")).unwrap();
    }
}

#[test]
fn a_failure_of_any_step_of_the_disk_leaves_the_store_whole() {
    for case in cases() {
        for strike in [Strike::Fail, Strike::Full] {
            let points = at_every_step(&case, &|step| faults::plan(step, strike), &|_, _| {
                faults::end(Loss::Nothing)
            });
            assert!(points > 5, "{points}");
        }
    }
}

#[test]
fn death_at_any_step_of_the_disk_leaves_the_store_whole_whatever_was_not_synced() {
    for case in cases() {
        for loss in [Loss::Nothing, Loss::Contents, Loss::Everything] {
            let points = at_every_step(
                &case,
                &|step| faults::plan(step, Strike::Die),
                &|dir, template| {
                    let struck = faults::end(loss);
                    if loss == Loss::Everything {
                        lose_commits(dir, template);
                    }
                    struck
                },
            );
            assert!(points > 5, "{points}");
        }
    }
}

#[test]
fn a_failure_of_any_commit_leaves_the_store_whole() {
    for case in cases() {
        for for_good in [false, true] {
            let points =
                at_every_step(&case, &|commit| commits::plan(commit, for_good), &|_, _| {
                    commits::end()
                });
            assert!(points > 0);
        }
    }
}
