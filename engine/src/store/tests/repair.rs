//! Repair, without an org: what is damaged is mended, salvaged or recorded as lost, and never read as something else.

use super::model::{Content, Name};
use super::*;
use crate::backup::BackupOptions;
use crate::check::{self, CheckReport};
use crate::clock::SystemClock;
use crate::monitor::{Monitor, Progress};
use crate::repair::{DomainRepair, Patient, RepairReport, repair};

/// What happens to the bytes of a blob.
type Damage = fn(&mut Vec<u8>);

/// Every object of some snapshots; `None` where it is lost.
pub(super) type Contents = BTreeMap<(SnapshotId, Name), Option<Content>>;

fn checked(store: &Store, domain: &DomainStore) -> CheckReport {
    check::check(store, std::slice::from_ref(domain), true, &Silent).unwrap()
}

/// Repairs a domain whose org cannot be read.
fn try_repair(
    bench: &Bench,
    store: &Store,
    domain: &DomainStore,
) -> Result<RepairReport, StoreError> {
    try_repair_heard(bench, store, domain, &Silent)
}

fn try_repair_heard(
    bench: &Bench,
    store: &Store,
    domain: &DomainStore,
    monitor: &dyn Monitor,
) -> Result<RepairReport, StoreError> {
    let patient = Patient {
        domain: domain.clone(),
        provider: &bench.provider,
        connect: Box::new(|| Err("it is away".to_owned())),
        backup: BackupOptions::default(),
    };
    repair(store, &[patient], &SystemClock, monitor)
}

fn repaired(bench: &Bench, store: &Store, domain: &DomainStore) -> DomainRepair {
    let report = try_repair(bench, store, domain).unwrap();
    assert_eq!(report.foreign, []);
    report.domains.into_iter().next().unwrap()
}

/// What the snapshots hold; one that cannot be opened any more holds nothing.
pub(super) fn contents(domain: &DomainStore, snapshots: &[SnapshotId]) -> Contents {
    let mut found = Contents::new();
    for id in snapshots {
        let Ok(reader) = domain.reader(*id) else {
            continue;
        };
        for name in TYPES {
            let of_type = object_type(name);
            let mut ids = Vec::new();
            reader
                .ids(of_type, &mut |id, _| {
                    ids.push(id.to_owned());
                    Ok(())
                })
                .unwrap();
            for object in ids {
                let content = match reader.get(of_type, &object) {
                    Ok(stored) => stored.map(|stored| (stored.parent, stored.body)),
                    Err(StoreError::Lost) => None,
                    Err(error) => panic!("{of_type} {object}: {error}"),
                };
                found.insert((*id, (of_type, object)), content);
            }
        }
    }
    found
}

/// Everything is as before, or lost; gives how much is lost.
pub(super) fn nothing_is_wrong(before: &Contents, after: &Contents) -> usize {
    let mut lost = 0;
    for (name, content) in after {
        match content {
            Some(_) => assert_eq!(before.get(name), Some(content)),
            None => lost += 1,
        }
    }
    lost
}

fn blobs_of(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let names = bench.blobs.list("").unwrap().into_iter();
    names
        .map(|blob| (blob.name.clone(), bench.blobs.get(&blob.name).unwrap()))
        .collect()
}

/// Two backups, of which the first is pinned.
fn two_snapshots(domain: &DomainStore) -> Vec<SnapshotId> {
    let ids: Vec<SnapshotId> = two_backups()
        .iter()
        .map(|ops| write(domain, ops, 1000).unwrap().id)
        .collect();
    domain.set_pinned(ids[0], true).unwrap();
    ids
}

/// The same two after others that are removed.
fn two_after_others(domain: &DomainStore) -> Vec<SnapshotId> {
    let [first, _] = two_backups();
    let small = vec![Op::Object {
        kind: 2,
        parent: 0,
        key: 1,
        content: 2,
    }];
    let gone = [first, small].map(|ops| write(domain, &ops, 900).unwrap().id);
    let ids = two_snapshots(domain);
    for id in gone {
        domain.remove_snapshot(id).unwrap();
    }
    ids
}

/// The same, of which a prune has left merged records and moves.
fn two_after_a_prune(domain: &DomainStore) -> Vec<SnapshotId> {
    let ids = two_after_others(domain);
    let pruned = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(pruned.problems, []);
    assert!(pruned.records_merged > 0 && pruned.packs.written > 0);
    ids
}

const HISTORIES: [fn(&DomainStore) -> Vec<SnapshotId>; 2] = [two_snapshots, two_after_a_prune];

const DAMAGES: [(&str, Damage); 4] = [
    ("flipped", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    }),
    ("first byte", |bytes| bytes[0] ^= 1),
    ("truncated", |bytes| {
        bytes.pop();
    }),
    ("emptied", Vec::clear),
];

/// Takes the damaged blob's name, the store, the domain, its snapshots, and what they held before.
type See<'a> = &'a mut dyn FnMut(&str, &Bench, &Store, &DomainStore, &[SnapshotId], &Contents);

/// Damages each blob in turn in each way, or deletes it, and gives what the repair did of it.
fn each_damage(see: See<'_>) {
    for history in HISTORIES {
        let count = {
            let (bench, _) = Bench::in_memory();
            history(&bench.open().1);
            bench.blobs.list("").unwrap().len()
        };
        for at in 0..count {
            for way in 0..=DAMAGES.len() {
                let (bench, memory) = Bench::in_memory();
                let (store, domain) = bench.open();
                let ids = history(&domain);
                let before = contents(&domain, &ids);
                let blob = bench.blobs.list("").unwrap()[at].name.clone();
                match DAMAGES.get(way) {
                    Some((_, damage)) => memory.damage(&blob, damage),
                    None => bench.blobs.delete(&blob).unwrap(),
                }
                // As after a restart; the keys are had before they can be damaged.
                let domain = if blob.contains("/keys/") {
                    domain
                } else {
                    drop(domain);
                    store.open_domain(DOMAIN, &bench.provider).unwrap()
                };
                see(&blob, &bench, &store, &domain, &ids, &before);
            }
        }
    }
}

#[test]
fn whatever_is_damaged_is_whole_or_lost_after_a_repair_and_stays_so() {
    let mut lost_in_packs = 0;
    each_damage(&mut |blob, bench, store, domain, ids, before| {
        let done = repaired(bench, store, domain);
        assert_eq!(done.remaining, [], "{blob}");
        let checked_after = checked(store, domain);
        assert_eq!(checked_after.problems, [], "{blob}");
        let after = contents(domain, ids);
        assert_eq!(after.len(), before.len(), "{blob}");
        let lost = nothing_is_wrong(before, &after);
        if blob.contains("/packs/") {
            lost_in_packs += lost;
            assert_eq!(lost > 0, !done.lost.is_empty(), "{blob}");
            assert!(done.lost.iter().all(|version| version.pending));
        } else {
            assert_eq!((lost, done.lost.len()), (0, 0), "{blob}");
        }
        let pinned = domain.reader(ids[0]).unwrap().info().pinned;
        assert!(pinned, "{blob}");
        // A damaged blob is kept aside, with all its bytes.
        let copies = bench.blobs.list(&format!("{DOMAIN}/damaged/")).unwrap();
        assert!(copies.len() <= 1 || blob.contains("/moves/"), "{blob}");

        // Again: there is nothing to do.
        let stood = blobs_of(bench);
        let again = repaired(bench, store, domain);
        assert_eq!((again.found, again.remaining), (vec![], vec![]), "{blob}");
        assert_eq!(blobs_of(bench), stood, "{blob}");

        // From the blobs alone it is the same.
        let report = store
            .reindex(std::slice::from_ref(domain), &Silent)
            .unwrap();
        assert_eq!(report.problems, [], "{blob}");
        assert_eq!(checked(store, domain).problems, [], "{blob}");
        assert_eq!(contents(domain, ids), after, "{blob}");
    });
    assert!(lost_in_packs > 0);
}

#[test]
fn a_later_backup_brings_back_what_the_org_still_has() {
    each_damage(&mut |blob, bench, store, domain, ids, before| {
        let done = repaired(bench, store, domain);
        // The org is as it was at the second backup.
        let third = write(domain, &two_backups()[1], 3000).unwrap().id;
        let again = repaired(bench, store, domain);
        assert_eq!(again.remaining, [], "{blob}");
        assert_eq!(again.lost, [], "{blob}");
        assert_eq!(
            again.versions_recovered + checked(store, domain).lost,
            done.lost.len() as u64,
            "{blob}"
        );
        let after = contents(domain, ids);
        nothing_is_wrong(before, &after);
        // Whatever the second snapshot held is there again.
        for ((snapshot, name), content) in &after {
            assert!(*snapshot != ids[1] || content.is_some(), "{blob} {name:?}");
        }
        let newest = contents(domain, &[third]);
        let second = contents(domain, &ids[1..]);
        assert!(
            newest.values().eq(second.values()),
            "{blob}: the third snapshot is as the second"
        );
        store
            .reindex(std::slice::from_ref(domain), &Silent)
            .unwrap();
        assert_eq!(checked(store, domain).problems, [], "{blob}");
        assert_eq!(contents(domain, ids), after, "{blob}");
    });
}

#[test]
fn a_lost_index_and_a_damaged_pack_leave_what_is_intact_and_say_how_much_is_lost() {
    let versions = |found: &Contents| -> BTreeSet<(Name, Content)> {
        let with_body = found.iter().filter_map(|((_, name), content)| {
            let content = content.clone().filter(|(_, body)| !body.is_empty());
            Some((name.clone(), content?))
        });
        with_body.collect()
    };
    let mut most = 0;
    each_damage(&mut |blob, bench, _, domain, ids, before| {
        if blob.contains("/keys/") {
            return;
        }
        let _ = domain;
        bench.lose_index();
        let (store, domain) = bench.open();
        let done = repaired(bench, &store, &domain);
        assert_eq!(done.remaining, [], "{blob}");
        assert_eq!(checked(&store, &domain).problems, [], "{blob}");
        let after = contents(&domain, ids);
        let gone = versions(before).difference(&versions(&after)).count() as u64;
        let unnamed: u64 = done.lost_unnamed.values().sum();
        if blob.contains("/packs/") {
            assert_eq!(unnamed, gone, "{blob}");
            most = most.max(gone);
        } else if blob.contains("/moves/") {
            assert_eq!(unnamed > 0, gone > 0, "{blob}");
        } else {
            // With a record its snapshot is lost, and said to be.
            assert_eq!(unnamed, 0, "{blob}");
            let readable = |id: &&SnapshotId| domain.reader(**id).is_ok();
            let (there, lost): (Vec<_>, Vec<_>) = ids.iter().partition(readable);
            assert!(lost.iter().all(|id| done.snapshots_lost.contains(id)));
            assert!(!there.iter().any(|id| done.snapshots_lost.contains(id)));
        }
        // What cannot be known any more makes its type incomplete; then what was before may stand there still.
        for ((snapshot, name), content) in &after {
            let reader = domain.reader(*snapshot).unwrap();
            let complete = reader.info().coverage.get(&name.0) == Some(&Coverage::Complete);
            let was = before.get(&(*snapshot, name.clone()));
            assert!(!complete || was == Some(content), "{blob} {name:?}");
        }
        let infos = store.snapshots(DOMAIN).unwrap();
        store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert_eq!(contents(&domain, ids), after, "{blob}");
        let covered = |infos: &[SnapshotInfo]| -> Vec<_> {
            let infos = infos.iter();
            infos.map(|info| (info.id, info.coverage.clone())).collect()
        };
        let again = store.snapshots(DOMAIN).unwrap();
        assert_eq!(covered(&again), covered(&infos), "{blob}");
        if blob.contains("/checkpoints/") {
            assert_eq!(&after, before, "{blob}");
        }
        let again = repaired(bench, &store, &domain);
        assert_eq!((again.found, again.remaining), (vec![], vec![]), "{blob}");
        // A backup makes the newest state whole.
        let third = write(&domain, &two_backups()[1], 3000).unwrap().id;
        let newest: BTreeSet<Name> = contents(&domain, &[third])
            .into_iter()
            .map(|((_, name), content)| {
                assert!(content.is_some());
                name
            })
            .collect();
        let second = before.keys().filter(|(id, _)| *id == ids[1]);
        let second: BTreeSet<Name> = second.map(|(_, name)| name.clone()).collect();
        assert_eq!(newest, second, "{blob}");
        assert_eq!(checked(&store, &domain).problems, [], "{blob}");
        // What is given up stands in nobody's way, and an index that is rebuilt knows that the newest is whole.
        let pruned = domain.prune(&eager(), &Silent).unwrap();
        assert_eq!(pruned.problems, [], "{blob}");
        assert_eq!(checked(&store, &domain).problems, [], "{blob}");
        let report = store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert_eq!(report.problems, [], "{blob}");
        assert!(domain.reader(third).unwrap().info().complete, "{blob}");
        // What was let go on purpose is not lost.
        if let Ok(reader) = domain.reader(ids[1]) {
            drop(reader);
            domain.remove_snapshot(ids[1]).unwrap();
            domain.prune(&never(), &Silent).unwrap();
            assert_eq!(domain.untold().unwrap().len(), 0, "{blob}");
        }
    });
    assert!(most > 1);
}

/// Merges nothing and moves nothing.
fn never() -> PruneOptions {
    PruneOptions {
        live_share_pct_min: 0,
        small_packs_min: 0,
        ..eager()
    }
}

#[test]
fn records_and_index_lost_together_cost_the_snapshots_before_the_checkpoint_and_say_so() {
    let mut tried = 0;
    for history in HISTORIES {
        let (bench, _) = Bench::in_memory();
        let (store, domain) = bench.open();
        let ids = history(&domain);
        let before = contents(&domain, &ids);
        drop((store, domain));
        let checkpoint = format!("{DOMAIN}/checkpoints/{}", ids[1]);
        if bench.blobs.get(&checkpoint).is_err() {
            continue;
        }
        tried += 1;
        let older = format!("{DOMAIN}/checkpoints/{}", ids[0]);
        bench.blobs.delete(&older).unwrap();
        for kind in ["records", "merged"] {
            for blob in bench.blobs.list(&format!("{DOMAIN}/{kind}/")).unwrap() {
                bench.blobs.delete(&blob.name).unwrap();
            }
        }
        bench.lose_index();
        let (store, domain) = bench.open();
        let done = repaired(&bench, &store, &domain);
        assert_eq!(done.remaining, []);
        assert_eq!(done.snapshots_lost, &ids[..1]);
        let after = contents(&domain, &ids);
        let kept: Contents = before
            .into_iter()
            .filter(|((id, _), _)| *id == ids[1])
            .collect();
        assert_eq!(after, kept);
        let again = repaired(&bench, &store, &domain);
        assert_eq!((again.found, again.snapshots_lost), (vec![], vec![]));
        assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
    }
    assert!(tried > 0);
}

#[test]
fn where_no_snapshot_is_known_prune_keeps_packs_that_nothing_names() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = two_snapshots(&domain);
    let before = contents(&domain, &ids);
    drop((store, domain));
    let mut taken = Vec::new();
    for kind in ["records", "checkpoints"] {
        for blob in bench.blobs.list(&format!("{DOMAIN}/{kind}/")).unwrap() {
            taken.push((blob.name.clone(), bench.blobs.get(&blob.name).unwrap()));
            bench.blobs.delete(&blob.name).unwrap();
        }
    }
    bench.lose_index();
    let (store, domain) = bench.open();
    let pruned = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(pruned.packs.deleted, 0);
    assert!(pruned.packs.kept_in_doubt > 0);
    // So that records can be put back from a copy.
    drop((store, domain));
    for (name, bytes) in taken {
        let blob = SealedBlob::new(bytes);
        bench.blobs.put(&name, &blob).unwrap();
    }
    let (store, domain) = bench.open();
    assert_eq!(contents(&domain, &ids), before);
    assert_eq!(checked(&store, &domain).problems, []);
}

#[test]
fn keys_that_are_gone_are_not_made_anew_beside_what_they_sealed() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    two_snapshots(&domain);
    drop(domain);
    for blob in bench.blobs.list(&format!("{DOMAIN}/keys/")).unwrap() {
        bench.blobs.delete(&blob.name).unwrap();
    }
    let opened = store.open_domain(DOMAIN, &bench.provider);
    assert!(matches!(opened, Err(StoreError::KeysGone { .. })));
    let made = store.create_domain_keys(DOMAIN, &bench.provider);
    assert!(matches!(made, Err(StoreError::KeysGone { .. })));
    assert!(!store.has_domain_keys(DOMAIN).unwrap());
}

#[test]
fn packs_that_are_missing_or_cut_off_are_counted_without_being_opened() {
    let (bench, memory) = Bench::in_memory();
    let (_store, domain) = bench.open();
    two_snapshots(&domain);
    assert_eq!(domain.packs_missing().unwrap(), 0);
    let packs = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
    memory.damage(&packs[0].name, |bytes| {
        bytes.pop();
    });
    assert_eq!(domain.packs_missing().unwrap(), 1);
    bench.blobs.delete(&packs[0].name).unwrap();
    assert_eq!(domain.packs_missing().unwrap(), 1);
}

#[test]
fn moves_that_the_index_has_not_followed_lead_nowhere_without_cost() {
    let ways: [fn(&Bench, &Memory, &str); 2] = [
        |bench, _, pack| bench.blobs.delete(pack).unwrap(),
        |_, memory, pack| memory.damage(pack, Vec::clear),
    ];
    let mut led = 0;
    for way in ways {
        for step in 1.. {
            let (bench, memory) = Bench::in_memory();
            let (store, domain) = bench.open();
            let ids = two_after_others(&domain);
            let before = contents(&domain, &ids);
            memory.fail_at(step, Fault::After);
            let _stopped = domain.prune(&eager(), &Silent);
            if !memory.heal() {
                break;
            }
            let states = index::prune::pack_states(&store.inner.index.read(), DOMAIN).unwrap();
            let packs = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
            let is_known = |name: &str| {
                let mut states = states.iter();
                states.any(|state| name.ends_with(&state.id.to_string()))
            };
            let unknown: Vec<_> = packs.iter().filter(|blob| !is_known(&blob.name)).collect();
            for pack in &unknown {
                way(&bench, &memory, &pack.name);
            }
            let moves = bench.blobs.list(&format!("{DOMAIN}/moves/")).unwrap();
            led += usize::from(!unknown.is_empty() && !moves.is_empty());
            drop((store, domain));
            let (store, domain) = bench.open();
            assert_eq!(contents(&domain, &ids), before, "{step}");
            let done = repaired(&bench, &store, &domain);
            assert_eq!((done.remaining, done.lost), (vec![], vec![]), "{step}");
            assert_eq!(contents(&domain, &ids), before, "{step}");
            assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
            let slice = std::slice::from_ref(&domain);
            assert_eq!(
                store.reindex(slice, &Silent).unwrap().problems,
                [],
                "{step}"
            );
            assert_eq!(contents(&domain, &ids), before, "{step}");
            assert_eq!(checked(&store, &domain).problems, [], "{step}");
        }
    }
    assert!(led > 1, "{led}");
}

#[test]
fn a_repair_without_an_index_that_fails_at_any_step_does_not_hide_the_loss() {
    /// What was warned of.
    #[derive(Default)]
    struct Ears(Mutex<Vec<String>>);
    impl Monitor for Ears {
        fn report(&self, progress: Progress) {
            if let Progress::Warning(text) = progress {
                self.0.lock().unwrap().push(text);
            }
        }

        fn is_cancelled(&self) -> bool {
            false
        }
    }
    let mut points = 0;
    for fault in [Fault::Before, Fault::After] {
        for step in 1.. {
            let (bench, memory) = Bench::in_memory();
            let (store, domain) = bench.open();
            two_snapshots(&domain);
            let packs = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
            let first = bench.blobs.get(&packs[0].name).unwrap();
            memory.damage(&packs[0].name, |bytes| bytes[0] ^= 1);
            drop((store, domain));
            bench.lose_index();
            let (store, domain) = bench.open();
            let ears = Ears::default();
            memory.fail_at(step, fault);
            let struck_by = try_repair_heard(&bench, &store, &domain, &ears);
            let struck = memory.heal();
            assert!(struck || struck_by.is_ok());
            drop((store, domain));
            let (store, domain) = bench.open();
            let report = try_repair_heard(&bench, &store, &domain, &ears).unwrap();
            let done = report.domains.into_iter().next().unwrap();
            assert_eq!(done.remaining, [], "{fault:?} {step}");
            // Until the org was backed up again, each repair says that something is missing.
            assert!(!done.is_whole(), "{fault:?} {step}");
            let heard = ears.0.lock().unwrap();
            let counted = |text: &String| text.contains("are lost, and their ids with them");
            assert!(heard.iter().any(counted), "{fault:?} {step}: {heard:?}");
            // The damaged pack is kept.
            let kept = bench.blobs.list(&format!("{DOMAIN}/")).unwrap().into_iter();
            let mut kept = kept.filter_map(|blob| bench.blobs.get(&blob.name).ok());
            let damaged = |bytes: &Vec<u8>| bytes.len() == first.len() && bytes[1..] == first[1..];
            assert!(kept.any(|bytes| damaged(&bytes)), "{fault:?} {step}");
            if !struck {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 10, "{points}");
}

#[test]
fn a_list_of_moves_that_is_gone_costs_nothing_once_the_records_do_without_it() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = two_after_a_prune(&domain);
    let before = contents(&domain, &ids);
    let moves = bench.blobs.list(&format!("{DOMAIN}/moves/")).unwrap();
    bench.blobs.delete(&moves[0].name).unwrap();
    drop(domain);
    let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
    assert_ne!(checked(&store, &domain).problems, []);
    let done = repaired(&bench, &store, &domain);
    assert_eq!((done.remaining, done.lost), (vec![], vec![]));
    assert_eq!(contents(&domain, &ids), before);
    drop((store, domain));
    bench.lose_index();
    let (store, domain) = bench.open();
    assert_eq!(checked(&store, &domain).problems, []);
    assert_eq!(contents(&domain, &ids), before);
}

#[test]
fn a_repair_that_fails_at_any_step_is_done_by_the_next() {
    let mut points = 0;
    for kind in ["packs", "records", "checkpoints", "markers"] {
        for fault in [Fault::Before, Fault::After, Fault::Full] {
            for step in 1.. {
                let (bench, memory) = Bench::in_memory();
                let (store, domain) = bench.open();
                let ids = two_snapshots(&domain);
                let before = contents(&domain, &ids);
                let blobs = bench.blobs.list(&format!("{DOMAIN}/{kind}/")).unwrap();
                let Some(blob) = blobs.first() else { break };
                memory.damage(&blob.name, |bytes| {
                    let middle = bytes.len() / 3;
                    bytes[middle] ^= 1;
                });
                drop(domain);
                let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
                memory.fail_at(step, fault);
                let struck_by = try_repair(&bench, &store, &domain);
                let struck = memory.heal();
                assert!(struck || struck_by.is_ok());
                drop((store, domain));
                let (store, domain) = bench.open();
                nothing_is_wrong(&before, &{
                    let mut found = contents_so_far(&domain, &ids);
                    found.retain(|_, content| content.is_some());
                    found
                });
                let done = repaired(&bench, &store, &domain);
                assert_eq!(done.remaining, [], "{kind} {fault:?} {step}");
                let after = contents(&domain, &ids);
                assert_eq!(after.len(), before.len());
                let lost = nothing_is_wrong(&before, &after);
                assert!(lost == 0 || kind == "packs");
                assert_eq!(checked(&store, &domain).problems, []);
                if !struck {
                    points += step - 1;
                    break;
                }
            }
        }
    }
    assert!(points > 20, "{points}");
}

/// What can be read in the middle of it all.
pub(super) fn contents_so_far(domain: &DomainStore, snapshots: &[SnapshotId]) -> Contents {
    let mut found = Contents::new();
    for id in snapshots {
        let reader = domain.reader(*id).unwrap();
        for (kind, parent, key) in all_objects() {
            let object = made(kind, parent, key, 0);
            if let Ok(Some(stored)) = reader.get(object.object_type, &object.id) {
                let name = (stored.object_type, stored.id);
                found.insert((*id, name), Some((stored.parent, stored.body)));
            }
        }
    }
    found
}

#[test]
fn the_history_of_a_lost_version_says_that_it_is_lost() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = two_snapshots(&domain);
    for pack in bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap() {
        memory.damage(&pack.name, Vec::clear);
    }
    drop(domain);
    let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
    let done = repaired(&bench, &store, &domain);
    assert!(done.lost.iter().any(|version| version.snapshots == ids));
    let user = object_type("user");
    let history = domain.history(user, &own_id(1)).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].content_id, None);
    let reader = domain.reader(ids[0]).unwrap();
    assert!(matches!(
        reader.get(user, &own_id(1)),
        Err(StoreError::Lost)
    ));
    assert!(reader.contains(user, &own_id(1)).unwrap());
    assert_eq!(checked(&store, &domain).lost, done.lost.len() as u64);
}

#[test]
fn new_keys_seal_what_is_new_and_open_what_is_old() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    let first = write(&domain, &ops[0], 1000).unwrap().id;
    assert_eq!(
        store.rotate_domain_keys(DOMAIN, &bench.provider).unwrap(),
        2
    );
    store.rewrap_domain_keys(DOMAIN, &bench.provider).unwrap();
    let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
    let second = write(&domain, &ops[1], 2000).unwrap().id;
    let record = format!("{DOMAIN}/records/{second}");
    assert_eq!(
        &bench.blobs.get(&record).unwrap()[8..12],
        &2u32.to_le_bytes()
    );
    let states = model(&State::new(), &ops[0]);
    let known = [(first, states.clone()), (second, model(&states, &ops[1]))];
    agrees(&store, &domain, &known, true);
    bench.lose_index();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &known, true);
    assert_eq!(
        bench.blobs.list(&format!("{DOMAIN}/keys/")).unwrap().len(),
        1
    );
}

#[test]
fn a_relation_that_went_and_came_is_there_once_after_its_record_was_written_anew() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let members = |children: &[u8]| {
        vec![Op::Children {
            kind: TYPES.len() - 1,
            parent: 1,
            children: children.iter().map(|key| (*key, 0)).collect(),
        }]
    };
    let mut known = chain_of(
        &domain,
        &[members(&[1, 2]), members(&[2]), members(&[1, 2])],
    );
    let (second, _) = known.remove(1);
    domain.remove_snapshot(second).unwrap();
    assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
    let merged = bench.blobs.list(&format!("{DOMAIN}/merged/")).unwrap();
    assert!(!merged.is_empty());
    for blob in merged {
        memory.damage(&blob.name, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    repaired(&bench, &store, &domain);
    drop((store, domain));
    bench.lose_index();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &known, false);
    assert_eq!(checked(&store, &domain).problems, []);
    assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
}

#[test]
fn what_only_a_removed_first_snapshot_had_stays_gone_after_a_record_was_written_anew() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let user = |number: u32, content: u32| {
        let noise = blake3::hash(&number.to_le_bytes()).to_hex();
        Canonical {
            object_type: object_type("user"),
            id: noise[..20].to_owned(),
            parent: None,
            body: format!(r#"{{"id":"{}","title":"{content}"}}"#, &noise[..20]).into_bytes(),
            observed: Vec::new(),
        }
    };
    let backup = |put: &[Canonical], gone: &[Canonical]| {
        let mut writer = domain.begin(&Silent, from_millis(1000)).unwrap();
        for object in put {
            writer.object(object.clone()).unwrap();
        }
        for object in gone {
            writer.gone(object.object_type, &object.id).unwrap();
        }
        writer.finish(from_millis(1000), Vec::new()).unwrap().id
    };
    let all: Vec<Canonical> = (0..2000).map(|number| user(number, 0)).collect();
    let removed = backup(&all, &[]);
    let kept = [
        backup(&[user(7, 1)], &all[..3]),
        backup(&[user(8, 1), all[0].clone()], &all[4..6]),
    ];
    domain.remove_snapshot(removed).unwrap();
    let pruned = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(pruned.problems, []);
    // Merging the record of the removed one with the next does not pay: it stays, and tells of what is gone.
    assert_eq!(pruned.snapshots_linked, 1);
    let wanted = contents(&domain, &kept);
    bench
        .blobs
        .delete(&format!("{DOMAIN}/records/{}", kept[0]))
        .unwrap();
    repaired(&bench, &store, &domain);
    drop((store, domain));
    bench.lose_index();
    let (store, domain) = bench.open();
    assert_eq!(contents(&domain, &kept), wanted);
    assert_eq!(checked(&store, &domain).problems, []);
}
