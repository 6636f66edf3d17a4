//! Checkpoints: when they are written, and what they save where records are lost.

use super::*;

/// The places of the snapshots that can be read where records are lost, in the plainest way.
fn still_read(lost: &[bool], checkpoints: &[bool]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        if lost.get(at) == Some(&false) {
            found.push(at);
            at += 1;
        } else if let Some(next) = (at..lost.len()).find(|place| checkpoints[*place]) {
            found.push(next);
            at = next + 1;
        } else {
            return found;
        }
    }
}

/// Rebuilds the index where some records are lost, deleted or damaged, and compares what can still be read with the model.
///
/// Some checkpoints are damaged as well.
fn lose_records(
    bench: &Bench,
    memory: &Memory,
    known: &[(SnapshotId, State)],
    lost: &[bool],
    damaged: &[bool],
) {
    let record = |at: usize| format!("{DOMAIN}/records/{}", known[at].0);
    bench.lose_index();
    let mut kept = BTreeMap::new();
    for at in (0..known.len()).filter(|at| lost[*at]) {
        let name = record(at);
        kept.insert(name.clone(), bench.blobs.get(&name).unwrap());
        if at % 2 == 0 {
            bench.blobs.delete(&name).unwrap();
        } else {
            memory.damage(&name, |bytes| bytes[30] ^= 1);
        }
    }
    let checkpoint = |at: usize| format!("{DOMAIN}/checkpoints/{}", known[at].0);
    let damage_checkpoints = || {
        for at in (0..known.len()).filter(|at| damaged[*at]) {
            memory.damage(&checkpoint(at), |bytes| bytes[30] ^= 1);
        }
    };
    damage_checkpoints();
    let checkpoints: Vec<bool> = (0..known.len())
        .map(|at| bench.blobs.size(&checkpoint(at)).is_ok() && !damaged[at])
        .collect();
    let found = still_read(lost, &checkpoints);
    let read: Vec<_> = found.iter().map(|at| known[*at].clone()).collect();
    let (store, domain) = bench.open();
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(report.snapshots, read.len() as u64);
    agrees(&store, &domain, &read, false);
    // A record that was deleted is named by the checkpoint that was read instead, or by the record after it.
    let named: BTreeSet<&str> = report.problems.iter().map(|at| at.blob.as_str()).collect();
    let is_read = |at: &usize| found.contains(at);
    let jumped_to = |at: &usize| lost[*at] || (*at > 0 && !is_read(&(at - 1)));
    for at in 0..known.len() {
        let deleted = lost[at] && at % 2 == 0;
        let unread_after = at + 1 < known.len() && !lost[at + 1] && !is_read(&(at + 1));
        let expected = if deleted {
            unread_after || found.iter().any(|read| *read >= at && jumped_to(read))
        } else {
            lost[at] || !is_read(&at)
        };
        assert_eq!(named.contains(record(at).as_str()), expected, "{at}");
    }
    drop((store, domain));
    bench.lose_index();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &read, false);
    drop((store, domain));
    damage_checkpoints();
    for (name, bytes) in kept {
        bench.blobs.delete(&name).unwrap();
        bench.blobs.put(&name, &SealedBlob::new(bytes)).unwrap();
    }
    bench.lose_index();
}

proptest! {
    #![proptest_config(random(16))]

    #[test]
    fn whatever_records_are_lost_the_next_checkpoint_is_read(
        steps in proptest::collection::vec(proptest::collection::vec(op(), 0..14), 3..8),
        lost in proptest::collection::vec(proptest::bool::weighted(0.3), 8),
        damaged in proptest::collection::vec(proptest::bool::weighted(0.2), 8),
    ) {
        let (bench, memory) = Bench::in_memory();
        let (store, domain) = bench.open();
        let known = chain_of(&domain, &steps);
        drop((store, domain));
        lose_records(&bench, &memory, &known, &lost[..known.len()], &damaged);
        let (store, domain) = bench.open();
        agrees(&store, &domain, &known, true);
    }
}

#[test]
fn a_lost_record_costs_only_the_snapshots_before_the_next_checkpoint() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let known = chain_of(&domain, &seven_backups());
    drop((store, domain));
    let prefix = format!("{DOMAIN}/checkpoints/");
    let checkpoints = bench.blobs.list(&prefix).unwrap();
    let at = |name: &str| {
        known
            .iter()
            .position(|(id, _)| name.ends_with(&id.to_string()))
    };
    let places: BTreeSet<usize> = checkpoints
        .iter()
        .map(|blob| at(&blob.name).unwrap())
        .collect();
    assert!(!places.is_empty() && places.len() < known.len() - 1);
    let whole = vec![false; known.len()];
    for lost in 0..known.len() {
        let one: Vec<bool> = (0..known.len()).map(|at| at == lost).collect();
        lose_records(&bench, &memory, &known, &one, &whole);
    }
    let all = vec![true; known.len()];
    lose_records(&bench, &memory, &known, &all, &whole);

    // What is known through a checkpoint alone begins with it; a backup goes on from there.
    let first = *places.first().unwrap();
    for (id, _) in &known[..=first] {
        bench
            .blobs
            .delete(&format!("{DOMAIN}/records/{id}"))
            .unwrap();
    }
    let (store, domain) = bench.open();
    let history = domain.history(object_type("group"), &parent_id(0)).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].first_snapshot, known[first].0);
    let mut read = known[first..].to_vec();
    let ops = &two_backups()[1];
    let next = write(&domain, ops, 9000).unwrap();
    assert_eq!(next.parent, known.last().map(|(id, _)| *id));
    read.push((next.id, model(&known.last().unwrap().1, ops)));
    agrees(&store, &domain, &read, false);
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    let named: BTreeSet<String> = report.problems.into_iter().map(|at| at.blob).collect();
    let missing = known[..=first].iter();
    assert_eq!(
        named,
        missing
            .map(|(id, _)| format!("{DOMAIN}/records/{id}"))
            .collect()
    );
    agrees(&store, &domain, &read, false);
}

#[test]
fn a_checkpoint_is_written_when_the_records_since_the_last_exceed_half_of_it() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let size = |kind: &str, id: SnapshotId| bench.blobs.size(&format!("{DOMAIN}/{kind}/{id}"));
    let mut last = None;
    let mut since = 0;
    let mut written = 0;
    for ops in seven_backups().iter().cycle().take(20) {
        let id = write(&domain, ops, 1000).unwrap().id;
        let record = size("records", id).unwrap();
        let Some(base) = last else {
            last = Some(record);
            continue;
        };
        since += record;
        let found = size("checkpoints", id).ok();
        assert_eq!(found.is_some(), since * 2 > base);
        if let Some(bytes) = found {
            (last, since) = (Some(bytes), 0);
            written += 1;
        }
    }
    assert!((2..12).contains(&written), "{written}");
}
