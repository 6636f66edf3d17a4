//! Removing and pruning against the same model, in random order, with faults, and beside others.

use jiff::SignedDuration;

use super::*;
use crate::index::prune as sql;
use crate::retention::Retention;

const LATE: i64 = 4_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Backup(Vec<Op>),
    Remove(prop::sample::Index),
    Pin(prop::sample::Index),
    Prune {
        share: u8,
        small: usize,
    },
    Reindex,
    /// The process ends; perhaps the index is lost.
    Reopen {
        lost: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => proptest::collection::vec(op(), 0..12).prop_map(Step::Backup),
        4 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => any::<prop::sample::Index>().prop_map(Step::Pin),
        3 => (prop_oneof![Just(0u8), Just(60), Just(101)], 0usize..4).prop_map(|(share, small)| Step::Prune { share, small }),
        1 => Just(Step::Reindex),
        1 => any::<bool>().prop_map(|lost| Step::Reopen { lost }),
    ]
}

/// The histories of all objects, and the snapshots, as they are given out.
fn given_out(store: &Store, domain: &DomainStore) -> (Vec<SnapshotInfo>, Vec<Vec<VersionInfo>>) {
    let histories = all_objects()
        .map(|(kind, parent, key)| {
            let object = made(kind, parent, key, 0);
            domain.history(object.object_type, &object.id).unwrap()
        })
        .collect();
    (store.snapshots(DOMAIN).unwrap(), histories)
}

/// The rows of the index, with chunks by what they hold in place of their numbers.
fn rows(store: &Store) -> Vec<String> {
    let read = store.inner.index.read();
    let mut found = Vec::new();
    for (code, space) in index::spaces(&read, DOMAIN).unwrap() {
        sql::each_version(&read, space, &mut |version| {
            let place = version.body.map(|(place, fingerprint)| {
                (
                    index::chunk(&read, place.chunk())
                        .unwrap()
                        .map(|row| (row.pack, row.place)),
                    place.ordinal(),
                    fingerprint,
                )
            });
            found.push(format!(
                "{code} {:?} {} {:?} {place:?}",
                version.key, version.first, version.last
            ));
        })
        .unwrap();
        for (bucket, chunk, digest) in index::observations(&read, space).unwrap() {
            let row = index::chunk(&read, chunk).unwrap().unwrap();
            found.push(format!(
                "{code} {bucket} {:?} {} {digest:?}",
                row.pack, row.place
            ));
        }
    }
    let states = sql::pack_states(&read, DOMAIN).unwrap();
    let needed = states.iter().filter(|state| !state.doomed);
    let mut packs: Vec<_> = needed.map(|state| (state.id, state.bytes)).collect();
    packs.sort_unstable();
    found.push(format!("{packs:?}"));
    for mut row in index::snapshots(&read, DOMAIN).unwrap() {
        // It is sealed with another nonce each time.
        row.watermark.clear();
        found.push(format!("{row:?}"));
    }
    found
}

/// The parents that the index knows of no version.
fn idle_parents(store: &Store) -> i64 {
    let sql = "SELECT count(*) FROM parentage t WHERE NOT EXISTS \
               (SELECT 1 FROM version v WHERE v.space = t.space AND v.parent = t.parent AND v.key = t.key)";
    let read = store.inner.index.read();
    let found = read.query_row(sql, [], |row| row.get(0));
    found.unwrap()
}

fn is_clean(store: &Store, domain: &DomainStore) {
    let report = crate::check::check(store, std::slice::from_ref(domain), true, &Silent).unwrap();
    assert_eq!(report.problems, []);
}

/// The blobs of each kind.
fn kinds(bench: &Bench) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for blob in bench.blobs.list(&format!("{DOMAIN}/")).unwrap() {
        let kind = blob.name.split('/').nth(1).unwrap().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

proptest! {
    #![proptest_config(random(48))]

    #[test]
    fn whatever_is_removed_and_pruned_the_rest_is_as_it_was(steps in proptest::collection::vec(step(), 1..22)) {
        let (bench, _) = Bench::in_memory();
        let (mut store, mut domain) = bench.open();
        let mut known: Vec<(SnapshotId, State)> = Vec::new();
        let mut newest = State::new();
        for step in steps {
            match step {
                Step::Backup(ops) => {
                    newest = model(&newest, &ops);
                    let info = write(&domain, &ops, 1000).unwrap();
                    known.push((info.id, newest.clone()));
                }
                Step::Remove(at) if !known.is_empty() => {
                    let (id, _) = known.remove(at.index(known.len()));
                    domain.remove_snapshot(id).unwrap();
                }
                Step::Pin(at) if !known.is_empty() => {
                    domain.set_pinned(known[at.index(known.len())].0, true).unwrap();
                }
                Step::Remove(_) | Step::Pin(_) => {}
                Step::Prune { share, small } => {
                    let before = given_out(&store, &domain);
                    let options = PruneOptions { live_share_pct_min: share, small_packs_min: small, ..eager() };
                    let foreseen = domain.prune(&PruneOptions { dry_run: true, ..options }, &Silent).unwrap();
                    let bytes = || bench.blobs.list("").unwrap().iter().map(|blob| blob.bytes).sum::<u64>();
                    let weighed = bytes();
                    let report = domain.prune(&options, &Silent).unwrap();
                    prop_assert_eq!(&report.problems, &[]);
                    prop_assert_eq!(weighed + report.bytes_rewritten, bytes() + report.bytes_freed);
                    prop_assert_eq!(foreseen.snapshots_removed, report.snapshots_removed);
                    prop_assert_eq!(report.packs.kept_in_use + report.packs.kept_young, 0);
                    prop_assert_eq!(given_out(&store, &domain), before);
                    let stats = store.stats().unwrap().domains.get(&DOMAIN).copied().unwrap_or_default();
                    prop_assert_eq!(stats.orphan_packs, 0);
                    prop_assert_eq!(idle_parents(&store), 0);
                    // An index that is rebuilt now is the same.
                    let pruned = rows(&store);
                    let rebuilt = store.reindex(std::slice::from_ref(&domain), &Silent).unwrap();
                    prop_assert_eq!(rebuilt.problems, Vec::new());
                    prop_assert_eq!(rows(&store), pruned);
                    // And there is nothing left to be done but for small packs.
                    let again = PruneOptions { small_packs_min: 0, live_share_pct_min: 0, ..options };
                    let report = domain.prune(&again, &Silent).unwrap();
                    prop_assert_eq!((report.snapshots_removed, report.versions_dropped, report.packs.deleted), (0, 0, 0));
                }
                Step::Reindex => {
                    let before = given_out(&store, &domain);
                    let report = store.reindex(std::slice::from_ref(&domain), &Silent).unwrap();
                    prop_assert_eq!(report.problems, Vec::new());
                    prop_assert_eq!(given_out(&store, &domain), before);
                }
                Step::Reopen { lost } => {
                    let before = given_out(&store, &domain);
                    drop((store, domain));
                    if lost {
                        bench.lose_index();
                    }
                    (store, domain) = bench.open();
                    prop_assert_eq!(given_out(&store, &domain), before);
                }
            }
        }
        agrees(&store, &domain, &known, false);
        is_clean(&store, &domain);
    }
}

/// Seven backups of which three are removed; gives the states of those that stay.
fn with_removals(bench: &Bench) -> Vec<(SnapshotId, State)> {
    let (_, domain) = bench.open();
    let mut known = chain_of(&domain, &seven_backups());
    for at in [4, 3, 1] {
        let (id, _) = known.remove(at);
        domain.remove_snapshot(id).unwrap();
    }
    known
}

#[test]
#[expect(clippy::print_stdout, reason = "numbers that are to be read")]
fn a_failure_at_any_step_of_a_prune_costs_nothing_and_the_next_goes_on() {
    let (bench, _) = Bench::in_memory();
    with_removals(&bench);
    bench.open().1.prune(&eager(), &Silent).unwrap();
    bench.open().1.prune(&eager(), &Silent).unwrap();
    let wanted = kinds(&bench);
    let mut points = 0;
    for fault in [Fault::Before, Fault::After, Fault::Full] {
        for step in 1.. {
            let (bench, memory) = Bench::in_memory();
            let known = with_removals(&bench);
            let (store, domain) = bench.open();
            memory.fail_at(step, fault);
            let pruned = domain.prune(&eager(), &Silent);
            let struck = memory.heal();
            assert_eq!(pruned.is_err(), struck);
            if let Err(error) = &pruned {
                assert_eq!(matches!(error, StoreError::NoSpace), fault == Fault::Full);
            }
            is_clean(&store, &domain);
            // The same process goes on, or another does, with the index or without.
            if step % 3 != 0 {
                drop((store, domain));
                if step % 3 == 1 {
                    bench.lose_index();
                }
            }
            let (store, domain) = bench.open();
            agrees(&store, &domain, &known, false);
            for _ in 0..2 {
                assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
            }
            agrees(&store, &domain, &known, false);
            is_clean(&store, &domain);
            assert_eq!(kinds(&bench), wanted, "{fault:?} {step}");
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("{points} points");
    assert!(points > 30, "{points}");
}

#[test]
fn what_old_keys_sealed_is_sealed_anew_when_that_is_asked_for() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let known = chain_of(&domain, &seven_backups());
    drop(domain);
    store.rotate_domain_keys(DOMAIN, &bench.provider).unwrap();
    let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
    let epochs = || -> BTreeSet<u32> {
        let states = sql::pack_states(&store.inner.index.read(), DOMAIN).unwrap();
        states.iter().map(|state| state.epoch).collect()
    };
    let still = PruneOptions {
        live_share_pct_min: 0,
        small_packs_min: 0,
        ..eager()
    };
    assert_eq!(domain.prune(&still, &Silent).unwrap().packs.written, 0);
    assert_eq!(epochs(), [1].into());
    let anew = PruneOptions {
        reseal: true,
        ..still
    };
    let report = domain.prune(&anew, &Silent).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.packs.written > 0 && report.packs.deleted > 0);
    assert_eq!(epochs(), [2].into());
    assert_eq!(domain.prune(&anew, &Silent).unwrap().packs.written, 0);
    agrees(&store, &domain, &known, true);
    is_clean(&store, &domain);
    bench.lose_index();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &known, true);
    is_clean(&store, &domain);
}

#[test]
fn an_index_from_before_a_prune_is_as_good_as_one_from_after_it() {
    let (bench, _) = Bench::in_memory();
    let known = with_removals(&bench);
    let (store, domain) = bench.open();
    store.checkpoint_wal().unwrap();
    let kept = std::fs::read(bench.index()).unwrap();
    domain.prune(&eager(), &Silent).unwrap();
    let (wanted, rows_wanted) = (given_out(&store, &domain), rows(&store));
    drop((store, domain));
    bench.lose_index();
    std::io::Write::write_all(&mut std::fs::File::create(bench.index()).unwrap(), &kept).unwrap();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &known, false);
    is_clean(&store, &domain);
    assert_eq!(given_out(&store, &domain), wanted);
    assert_eq!(rows(&store), rows_wanted);
    assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
    agrees(&store, &domain, &known, false);
}

#[test]
fn nothing_is_deleted_while_anything_is_in_doubt() {
    let (bench, memory) = Bench::in_memory();
    let known = with_removals(&bench);
    // So that there are merged records and moves, and something to be removed again.
    bench.open().1.prune(&eager(), &Silent).unwrap();
    let (store, domain) = bench.open();
    domain.remove_snapshot(known[1].0).unwrap();
    let names = |bench: &Bench| -> Vec<String> {
        let blobs = bench.blobs.list("").unwrap();
        blobs.into_iter().map(|blob| blob.name).collect()
    };
    let before = names(&bench);
    let mut kinds = BTreeSet::new();
    for name in &before {
        let kind = name.split('/').nth(1).unwrap();
        if kind == "keys" {
            continue;
        }
        kinds.insert(kind.to_owned());
        // The head of a pack is not read; its length is.
        let versions: &[bool] = if kind == "packs" {
            &[false]
        } else {
            &[false, true]
        };
        for version in versions {
            let kept = bench.blobs.get(name).unwrap();
            memory.damage(name, |bytes| {
                if *version {
                    bytes[7] = 9;
                } else if kind == "packs" {
                    bytes.pop();
                } else {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
            });
            let opened = store.open_domain(DOMAIN, &bench.provider).unwrap();
            let report = opened.prune(&eager(), &Silent).unwrap();
            assert!(
                report.problems.iter().any(|problem| problem.blob == *name),
                "{name}"
            );
            assert_eq!(names(&bench), before, "{name}");
            assert!(report.packs.kept_in_doubt > 0);
            memory.damage(name, |bytes| *bytes = kept);
        }
    }
    for kind in ["merged", "moves", "markers", "records"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    bench
        .blobs
        .put(&format!("{DOMAIN}/newer/1"), &SealedBlob::new(vec![1]))
        .unwrap();
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(report.problems.len(), 1);
}

#[test]
fn a_pack_of_what_came_and_went_within_its_backup_is_known_to_a_rebuilt_index_and_pruned() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let (kind, parent, key) = (1, 0, 1);
    let put = Op::Object {
        kind,
        parent,
        key,
        content: 0,
    };
    write(&domain, &[put, Op::Gone { kind, parent, key }], 1000).unwrap();
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    is_clean(&store, &domain);
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.packs.deleted, 1);
    is_clean(&store, &domain);
}

#[test]
fn an_index_that_says_otherwise_is_not_believed() {
    let (bench, _) = Bench::in_memory();
    let known = with_removals(&bench);
    let (store, domain) = bench.open();
    let read = rusqlite::Connection::open(bench.index()).unwrap();
    read.execute(
        "DELETE FROM version WHERE last IS NULL AND (space, parent, key) IN (SELECT space, parent, key FROM version WHERE last IS NULL LIMIT 1)",
        [],
    )
    .unwrap();
    drop(read);
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert!(!report.problems.is_empty());
    assert_eq!(report.bytes_freed, 0);
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
    agrees(&store, &domain, &known, false);
}

#[test]
fn packs_of_a_killed_backup_go_when_they_are_a_day_old_and_those_of_a_running_one_stay() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    write(&domain, &ops[0], 1000).unwrap();
    let now = Timestamp::from_second(LATE).unwrap();
    memory.set_now(now);
    let orphan = format!("{DOMAIN}/packs/00000000000000aa");
    bench
        .blobs
        .put(&orphan, &SealedBlob::new(vec![7; 9]))
        .unwrap();
    let options = PruneOptions::at(now);
    let report = domain.prune(&options, &Silent).unwrap();
    assert_eq!((report.packs.kept_young, report.packs.deleted), (1, 0));
    assert_eq!(store.stats().unwrap().domains[&DOMAIN].orphan_packs, 1);
    let later = PruneOptions::at(now + SignedDuration::from_hours(24));

    // A backup has written packs, however long ago, and is not done.
    let writer = domain.begin(&Silent, from_millis(2000)).unwrap();
    let running = "00000000000000bb".parse().unwrap();
    let name = format!("{DOMAIN}/packs/{running}");
    let mut holding = super::super::usage::Holding::new(&store.inner);
    assert!(holding.hold(running));
    bench
        .blobs
        .put(&name, &SealedBlob::new(vec![7; 9]))
        .unwrap();
    let report = domain.prune(&later, &Silent).unwrap();
    assert_eq!((report.packs.kept_in_use, report.packs.deleted), (1, 1));
    assert!(bench.blobs.get(&orphan).is_err());
    assert!(bench.blobs.get(&name).is_ok());
    drop((holding, writer));
    assert_eq!(domain.prune(&later, &Silent).unwrap().packs.deleted, 1);
    assert!(bench.blobs.get(&name).is_err());
}

#[test]
fn a_backup_beside_a_prune_names_nothing_that_is_doomed() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let object = |content| made(0, 0, 1, content);
    let one = |content| Op::Object {
        kind: 0,
        parent: 0,
        key: 1,
        content,
    };
    let first = write(&domain, &[one(0)], 1000).unwrap();
    let second = write(&domain, &[one(1)], 1000).unwrap();
    domain.remove_snapshot(first.id).unwrap();

    // One backup has found the content again before the prune, and keeps it.
    let mut writer = domain.begin(&Silent, from_millis(2000)).unwrap();
    writer.object(object(0)).unwrap();
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.packs.kept_in_use > 0);
    let third = writer.finish(from_millis(2000), Vec::new()).unwrap();
    let user = object_type("user");
    let body = |id: SnapshotId| {
        let reader = domain.reader(id).unwrap();
        reader.get(user, &own_id(1)).unwrap().unwrap().body
    };
    assert_eq!(body(second.id), object(1).body);
    assert_eq!(body(third.id), object(0).body);
    is_clean(&store, &domain);

    // The next began before the prune and looks for the content after it: it is unknown, and stored again.
    write(&domain, &[one(2)], 3000).unwrap();
    domain.remove_snapshot(second.id).unwrap();
    domain.remove_snapshot(third.id).unwrap();
    let mut writer = domain.begin(&Silent, from_millis(4000)).unwrap();
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.packs.deleted > 0);
    writer.object(object(0)).unwrap();
    let last = writer.finish(from_millis(4000), Vec::new()).unwrap();
    assert_eq!(body(last.id), object(0).body);
    is_clean(&store, &domain);
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(body(last.id), object(0).body);
    is_clean(&store, &domain);
}

#[test]
fn a_reader_keeps_its_snapshot_although_it_is_removed_and_pruned() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let known = chain_of(&domain, &seven_backups());
    let reader = domain.reader(known[2].0).unwrap();
    let read = |reader: &SnapshotReader| {
        let mut found = State::new();
        for name in TYPES {
            reader
                .for_each(object_type(name), &mut |stored| {
                    found.insert(
                        (stored.object_type, stored.id),
                        (stored.parent, stored.body),
                    );
                    Ok(())
                })
                .unwrap();
        }
        found
    };
    for (id, _) in &known[1..5] {
        domain.remove_snapshot(*id).unwrap();
    }
    assert!(domain.reader(known[2].0).is_err());
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert_eq!(report.problems, []);
    // What was moved is still there, as the reader began before.
    assert!(report.packs.kept_in_use > 0);
    assert_eq!(read(&reader), known[2].1);
    is_clean(&store, &domain);
    drop(reader);
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert!(report.packs.deleted > 0);
    assert_eq!(report.packs.kept_in_use, 0);
    let left: Vec<_> = [0, 5, 6].map(|at| known[at].clone()).to_vec();
    agrees(&store, &domain, &left, false);
    is_clean(&store, &domain);
}

#[test]
fn prunes_backups_and_readers_run_beside_each_other() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let first = write(&domain, &two_backups()[0], 1000).unwrap();
    let first_state = model(&State::new(), &two_backups()[0]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    let mut known = vec![(first.id, first_state.clone())];
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let mut pruned = 0;
            while !done.load(ordering) {
                assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
                pruned += 1;
            }
            pruned
        });
        let reading = scope.spawn(|| {
            while !done.load(ordering) {
                let reader = domain.reader(first.id).unwrap();
                let mut found = 0;
                for name in TYPES {
                    reader
                        .for_each(object_type(name), &mut |stored| {
                            let name = (stored.object_type, stored.id);
                            assert_eq!(first_state[&name].1, stored.body);
                            found += 1;
                            Ok(())
                        })
                        .unwrap();
                }
                assert_eq!(found, first_state.len());
            }
        });
        let steps = seven_backups();
        for (round, ops) in steps.iter().cycle().take(25).enumerate() {
            let state = model(&known.last().unwrap().1, ops);
            let info = write(&domain, ops, 2000).unwrap();
            known.push((info.id, state));
            if round % 4 != 0 {
                let (id, _) = known.remove(known.len() - 2);
                if id == first.id {
                    known.insert(0, (id, first_state.clone()));
                } else {
                    domain.remove_snapshot(id).unwrap();
                }
            }
        }
        done.store(true, ordering);
        reading.join().unwrap();
        assert!(pruning.join().unwrap() > 0);
    });
    agrees(&store, &domain, &known, false);
    is_clean(&store, &domain);
    domain.prune(&eager(), &Silent).unwrap();
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    agrees(&store, &domain, &known, false);
    is_clean(&store, &domain);
}

#[test]
fn damage_that_is_found_while_rows_are_moved_costs_no_other_rows() {
    let (bench, memory) = Bench::in_memory();
    let known = with_removals(&bench);
    let pack = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap()[0]
        .name
        .clone();
    let whole = bench.blobs.get(&pack).unwrap();
    memory.damage(&pack, |bytes| bytes[60] ^= 1);
    let (store, domain) = bench.open();
    let report = domain.prune(&eager(), &Silent).unwrap();
    assert!(report.problems.iter().all(|problem| problem.blob == pack));
    memory.damage(&pack, |bytes| *bytes = whole);
    agrees(&store, &domain, &known, false);
    is_clean(&store, &domain);
    assert_eq!(domain.prune(&eager(), &Silent).unwrap().problems, []);
    agrees(&store, &domain, &known, false);
    is_clean(&store, &domain);
}

#[test]
fn counts_are_true_after_the_index_was_rebuilt_from_damaged_packs() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let known = chain_of(&domain, &seven_backups());
    drop((store, domain));
    let pack = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap()[0]
        .name
        .clone();
    memory.damage(&pack, |bytes| bytes[60] ^= 1);
    bench.lose_index();
    let (_, domain) = bench.open();
    for (id, _) in &known {
        let reader = domain.reader(*id).unwrap();
        for name in TYPES {
            let mut count = 0;
            reader
                .ids(object_type(name), &mut |_, _| {
                    count += 1;
                    Ok(())
                })
                .unwrap();
            assert_eq!(reader.count(object_type(name)), count, "{name}");
        }
    }
}

#[test]
fn an_index_of_the_first_version_is_migrated() {
    let (bench, _) = Bench::in_memory();
    let connection = rusqlite::Connection::open(bench.index()).unwrap();
    connection
        .execute_batch(include_str!(
            "../../index/migrations/0001_temporal_index.sql"
        ))
        .unwrap();
    connection
        .execute_batch(
            "INSERT INTO domain VALUES (1, x'd001020304050607'); \
             INSERT INTO pack VALUES (1, 1, x'0102030405060708', 1, 77); PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let index = Index::open(&bench.index()).unwrap();
    let states = sql::pack_states(&index.read(), DOMAIN).unwrap();
    assert_eq!((states[0].bytes, states[0].doomed), (77, false));
}

/// Sixty daily backups of so many users, each followed by retention and a prune; those that stay are compared.
#[expect(clippy::print_stdout, reason = "numbers that are to be read")]
fn sixty_days(count: u32) {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let user = object_type("user");
    let day = 86_400_000i64;
    let body = |number: u32, version: u32| {
        let id = format!("00u{number:016}X");
        let noise = blake3::hash(format!("{number} {version}").as_bytes()).to_hex();
        let body = format!(
            r#"{{"created":"2026-01-01T00:00:00.000Z","id":"{id}","profile":{{"email":"{}@example.com","firstName":"{}","title":"{}"}}}}"#,
            &noise[..12],
            &noise[12..20],
            &noise[20..26]
        );
        Canonical {
            object_type: user,
            id,
            parent: None,
            body: body.into_bytes(),
            observed: Vec::new(),
        }
    };
    let size = || {
        bench
            .blobs
            .list("")
            .unwrap()
            .iter()
            .map(|blob| blob.bytes)
            .sum::<u64>()
    };
    let policy: Retention = "daily=14,weekly=4,monthly=2".parse().unwrap();
    let mut versions: BTreeMap<u32, u32> = BTreeMap::new();
    let mut states = BTreeMap::new();
    let mut kept_all = 0;
    for at in 1..=60u32 {
        let now = from_millis(i64::from(at) * day);
        memory.set_now(now);
        let mut writer = domain.begin(&Silent, now).unwrap();
        for number in 0..count {
            // About 1 in 50 changes a day.
            if at == 1 || (number * 7 + at) % 50 == 0 {
                versions.insert(number, at);
                writer.object(body(number, at)).unwrap();
            }
        }
        let before = size();
        let info = writer.finish(now, Vec::new()).unwrap();
        kept_all += size() - before;
        states.insert(info.id, versions.clone());
        let removed = domain
            .apply_retention(&policy, &jiff::tz::TimeZone::UTC, now)
            .unwrap();
        for id in removed {
            states.remove(&id);
        }
        let report = domain.prune(&PruneOptions::at(now), &Silent).unwrap();
        assert_eq!(report.problems, []);
    }
    let report = domain
        .prune(&PruneOptions::at(from_millis(61 * day)), &Silent)
        .unwrap();
    assert_eq!(report.problems, []);
    println!(
        "{count} users, 60 days: {} snapshots kept; without prune some {kept_all} bytes, with it {}; {:?}",
        states.len(),
        size(),
        kinds(&bench)
    );
    assert!(size() < kept_all);
    assert_eq!(store.snapshots(DOMAIN).unwrap().len(), states.len());
    for (id, versions) in &states {
        let reader = domain.reader(*id).unwrap();
        for (number, version) in versions {
            let object = body(*number, *version);
            let found = reader.get(user, &object.id).unwrap().unwrap();
            assert_eq!(found.body, object.body);
        }
    }
    is_clean(&store, &domain);
    let before = rows(&store);
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(rows(&store), before);
}

#[test]
fn retention_removes_by_markers_and_a_prune_frees_the_rest() {
    sixty_days(200);
}

#[test]
#[ignore = "slow; prints what sixty days of 10,000 users weigh"]
fn sixty_days_of_ten_thousand_users() {
    sixty_days(10_000);
}
