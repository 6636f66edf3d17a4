//! Snapshots are what was given.

use super::*;

proptest! {
    #![proptest_config(random(40))]

    #[test]
    fn snapshots_are_what_the_model_says(steps in proptest::collection::vec(proptest::collection::vec(op(), 0..14), 1..7), removed: prop::sample::Index) {
        let (bench, _) = Bench::in_memory();
        let (store, domain) = bench.open();
        let mut known: Vec<(SnapshotId, State)> = Vec::new();
        for ops in &steps {
            let before = known.last().map(|(_, state)| state.clone()).unwrap_or_default();
            let after = model(&before, ops);
            let info = write(&domain, ops, 1000).unwrap();
            prop_assert_eq!(info.parent, known.last().map(|(id, _)| *id));
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let changed = names.into_iter().filter(|name| before.get(name) != after.get(name)).count();
            prop_assert_eq!(info.changes, changed as u64);
            known.push((info.id, after));
        }
        agrees(&store, &domain, &known, true);
        let report = store.reindex(std::slice::from_ref(&domain), &Silent).unwrap();
        prop_assert_eq!(report, ReindexReport { snapshots: known.len() as u64, problems: Vec::new() });
        agrees(&store, &domain, &known, true);

        let gone = removed.index(known.len());
        domain.remove_snapshot(known[gone].0).unwrap();
        known.remove(gone);
        if let Some((id, _)) = known.first() {
            domain.set_pinned(*id, true).unwrap();
        }
        if gone + 1 != steps.len() {
            agrees(&store, &domain, &known, false);
        }
        drop((store, domain));
        bench.lose_index();
        let (store, domain) = bench.open();
        if let Some((id, _)) = known.first() {
            prop_assert!(store.snapshot_info(*id).unwrap().unwrap().pinned);
        }
        if gone + 1 != steps.len() {
            agrees(&store, &domain, &known, false);
        }
    }
}

#[test]
fn one_domain_is_written_by_one_writer_however_often_it_is_opened() {
    let (bench, _) = Bench::in_memory();
    let (store, one) = bench.open();
    let other = store.open_domain(DOMAIN, &bench.provider).unwrap();
    let writer = one.begin(&Silent, from_millis(1000)).unwrap();
    for domain in [&one, &other] {
        assert!(matches!(
            domain.begin(&Silent, from_millis(1000)),
            Err(StoreError::Busy)
        ));
    }
    let elsewhere = DomainId::from_bytes([7; 8]);
    store
        .create_domain_keys(elsewhere, &bench.provider)
        .unwrap();
    let domain = store.open_domain(elsewhere, &bench.provider).unwrap();
    write(&domain, &two_backups()[0], 1000).unwrap();
    drop(writer);
    let ops = two_backups();
    let first = write(&other, &ops[0], 1000).unwrap();
    let second = write(&one, &ops[1], 1000).unwrap();
    assert_eq!(second.parent, Some(first.id));
    // What one has written the other can name.
    let mut changes = 0;
    other
        .changes(first.id, second.id, &mut |_| {
            changes += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(changes, second.changes);
    assert!(one.history(object_type("user"), &own_id(0)).unwrap().len() == 2);
}

#[test]
fn a_relation_that_was_gone_and_is_listed_after_all_is_there() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let listed = Op::Children {
        kind: 6,
        parent: 1,
        children: vec![(2, 0)],
    };
    let gone = Op::Gone {
        kind: 6,
        parent: 1,
        key: 2,
    };
    write(&domain, std::slice::from_ref(&listed), 1000).unwrap();
    let info = write(&domain, &[gone, listed], 2000).unwrap();
    assert_eq!((info.objects, info.changes), (1, 0));
    // An index that knew a snapshot, the record of which is lost, names it when it is rebuilt.
    let name = format!("{DOMAIN}/records/{}", info.id);
    bench.blobs.delete(&name).unwrap();
    let checkpoint = format!("{DOMAIN}/checkpoints/{}", info.id);
    bench.blobs.delete(&checkpoint).unwrap();
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(report.snapshots, 1);
    assert!(report.problems.iter().any(|problem| problem.blob == name));
}

#[test]
fn what_lives_under_what_is_gone_goes_with_it_where_it_was_read_completely() {
    for (child_complete, gone_last) in [(true, true), (true, false), (false, true)] {
        let (bench, _) = Bench::in_memory();
        let (_, domain) = bench.open();
        let ops = &two_backups()[0];
        write(&domain, ops, 1000).unwrap();
        let (server, scope) = (object_type("authorization_server"), object_type("as_scope"));
        let (group, member) = (object_type("group"), object_type("group_member"));
        let mut writer = domain.begin(&Silent, from_millis(2000)).unwrap();
        let gone = |writer: &mut SnapshotWriter<'_>| {
            writer.gone(server, &parent_id(1)).unwrap();
            writer.gone(group, &parent_id(1)).unwrap();
        };
        if !gone_last {
            gone(&mut writer);
        }
        // They were listed, and one of them is new.
        for (kind, of_type) in [(4, scope), (6, member)] {
            let children = (0..6).map(|key| made(kind, 1, key, 0)).collect();
            writer.children(of_type, &parent_id(1), children).unwrap();
            let coverage = if child_complete {
                Coverage::Complete
            } else {
                Coverage::Incomplete {
                    reason: "x".to_owned(),
                }
            };
            writer.end_type(of_type, coverage).unwrap();
        }
        if gone_last {
            gone(&mut writer);
        }
        let lost: u64 = writer.losses().unwrap().iter().map(|loss| loss.gone).sum();
        let info = writer.finish(from_millis(2000), Vec::new()).unwrap();
        let reader = domain.reader(info.id).unwrap();
        let left = if child_complete { 0 } else { 6 };
        assert_eq!(lost, if child_complete { 12 } else { 2 });
        for of_type in [scope, member] {
            assert_eq!(reader.count(of_type), left);
            assert_eq!(
                reader.children(of_type, &parent_id(1)).unwrap().len() as u64,
                left
            );
        }
        assert!(!reader.contains(group, &parent_id(1)).unwrap());
    }
}

#[test]
fn an_unchanged_org_makes_a_snapshot_and_no_pack() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    let first = write(&domain, &ops[0], 1000).unwrap();
    let packs = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
    let second = write(&domain, &ops[0], 1000).unwrap();
    assert_eq!(
        bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap(),
        packs
    );
    assert_eq!(
        (second.changes, second.objects, second.parent),
        (0, first.objects, Some(first.id))
    );
    assert!(second.created_at > first.created_at && second.bytes_new < 300);
    assert_eq!(
        domain.log_position().unwrap(),
        Some(1000i64.to_le_bytes().to_vec())
    );
    assert_eq!(
        store.resolve_prefix(&second.id.to_string()[..9]).unwrap(),
        [second.id]
    );
}

#[test]
fn what_went_and_came_back_is_not_stored_again() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let ops = two_backups();
    for (ops, packs) in [(&ops[0], 1), (&ops[1], 2), (&ops[0], 3)] {
        write(&domain, ops, 1000).unwrap();
        assert_eq!(
            bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap().len(),
            packs
        );
    }
    // The third pack holds the logins alone, of which only the latest are kept.
    let last = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
    assert!(last.iter().any(|blob| blob.bytes < 400));
}

#[test]
fn only_the_latest_of_what_moves_is_kept_and_what_was_not_read_stays() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let user = object_type("user");
    let seen = |id: SnapshotId, key: u8| {
        let stored = domain
            .reader(id)
            .unwrap()
            .get(user, &own_id(key))
            .unwrap()
            .unwrap();
        String::from_utf8(stored.observed).unwrap()
    };
    let first = write(
        &domain,
        &[
            Op::Object {
                kind: 0,
                parent: 0,
                key: 0,
                content: 1,
            },
            Op::Object {
                kind: 0,
                parent: 0,
                key: 1,
                content: 1,
            },
            Op::End {
                kind: 0,
                complete: true,
            },
        ],
        1000,
    )
    .unwrap();
    assert_eq!(seen(first.id, 0), r#"{"lastLogin":1}"#);
    let second = write(
        &domain,
        &[
            Op::Object {
                kind: 0,
                parent: 0,
                key: 0,
                content: 2,
            },
            Op::End {
                kind: 0,
                complete: false,
            },
        ],
        1000,
    )
    .unwrap();
    for id in [first.id, second.id] {
        assert_eq!(
            (seen(id, 0).as_str(), seen(id, 1).as_str()),
            (r#"{"lastLogin":2}"#, r#"{"lastLogin":1}"#)
        );
    }
}

#[test]
fn losses_are_counted_by_type_before_the_snapshot_is_finished() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    write(&domain, &two_backups()[0], 1000).unwrap();
    let mut writer = domain.begin(&Silent, from_millis(2000)).unwrap();
    assert!(matches!(
        domain.begin(&Silent, from_millis(2000)),
        Err(StoreError::Busy)
    ));
    writer.object(made(0, 0, 1, 0)).unwrap();
    writer
        .end_type(object_type("user"), Coverage::Complete)
        .unwrap();
    writer
        .children(object_type("group_member"), &parent_id(1), Vec::new())
        .unwrap();
    writer
        .end_type(object_type("group_member"), Coverage::Complete)
        .unwrap();
    let losses: Vec<_> = writer
        .losses()
        .unwrap()
        .iter()
        .map(|loss| (loss.object_type.name(), loss.before, loss.gone))
        .collect();
    assert!(
        losses.contains(&("user", 5, 4))
            && losses.contains(&("group_member", 5, 5))
            && losses.len() == 2
    );
    drop(writer);
    domain.begin(&Silent, from_millis(2000)).unwrap();
}

#[test]
fn readers_keep_their_snapshot_while_others_are_written_and_the_index_is_rebuilt() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    let first = write(&domain, &ops[0], 1000).unwrap();
    let reader = domain.reader(first.id).unwrap();
    let all = |reader: &SnapshotReader| {
        let mut found = Vec::new();
        for name in TYPES {
            reader
                .for_each(object_type(name), &mut |stored| {
                    found.push((stored.id, stored.body));
                    Ok(())
                })
                .unwrap();
        }
        found
    };
    let before = all(&reader);
    write(&domain, &ops[1], 2000).unwrap();
    assert_eq!(all(&reader), before);
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(all(&reader), before);
    write(&domain, &ops[0], 3000).unwrap();
    assert_eq!(all(&reader), before);
}

#[test]
fn few_changed_observations_are_kept_beside_their_bucket_and_many_replace_it() {
    const USERS: u8 = 12;
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let user = object_type("user");
    let mut logins = vec![Some(1); usize::from(USERS)];
    // What is changed, and which of the two buckets the snapshot writes: the bucket itself, and the one beside it.
    type Change = fn(&mut Vec<Option<u32>>);
    let days: [(Change, bool, bool); 8] = [
        (|_| {}, true, false),
        (|logins| logins[0] = Some(2), false, true),
        (|_| {}, false, false),
        (
            |logins| (logins[0], logins[11]) = (None, Some(3)),
            false,
            true,
        ),
        (|logins| logins[0] = Some(1), false, true),
        (|logins| logins[11] = Some(1), false, true),
        (|logins| logins.fill(Some(7)), true, true),
        (|logins| logins[5] = Some(8), false, true),
    ];
    let written = |name: &str| -> Vec<Vec<u8>> {
        let connection = rusqlite::Connection::open(bench.index()).unwrap();
        connection
            .prepare(&format!("SELECT pack.id FROM observation JOIN chunk ON chunk.no = observation.chunk JOIN pack ON pack.no = chunk.pack WHERE {name}"))
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let places = || (written("bucket = 0"), written("bucket > 2147483647"));
    let mut before = places();
    for (day, (change, whole, beside)) in days.into_iter().enumerate() {
        change(&mut logins);
        let mut writer = domain.begin(&Silent, from_millis(1000)).unwrap();
        for (key, login) in (0..USERS).zip(&logins) {
            let mut object = made(0, 0, key, 1);
            object.observed = login.map_or_else(Vec::new, |login| {
                format!(r#"{{"lastLogin":{login}}}"#).into_bytes()
            });
            writer.object(object).unwrap();
        }
        writer.end_type(user, Coverage::Complete).unwrap();
        let info = writer.finish(from_millis(1000), Vec::new()).unwrap();
        let after = places();
        assert_eq!(
            (after.0 != before.0, after.1 != before.1),
            (whole, beside),
            "day {day}"
        );
        before = after;
        for rebuilt in [false, true] {
            if rebuilt {
                store
                    .reindex(std::slice::from_ref(&domain), &Silent)
                    .unwrap();
            }
            let reader = domain.reader(info.id).unwrap();
            let mut seen = BTreeMap::new();
            reader
                .for_each(user, &mut |stored| {
                    seen.insert(stored.id.clone(), stored.observed.clone());
                    Ok(())
                })
                .unwrap();
            for (key, login) in (0..USERS).zip(&logins) {
                let expected =
                    login.map_or_else(String::new, |login| format!(r#"{{"lastLogin":{login}}}"#));
                let one = reader.get(user, &own_id(key)).unwrap().unwrap();
                assert_eq!(one.observed, expected.as_bytes(), "day {day}");
                assert_eq!(seen[&own_id(key)], expected.as_bytes(), "day {day}");
            }
        }
    }
}
