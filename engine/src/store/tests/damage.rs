//! Damaged blobs are found, and never read as something else.

use super::*;

type Damage = fn(&mut Vec<u8>);

#[test]
fn damage_to_any_blob_is_found_and_never_read_as_something_else() {
    let ops = two_backups();
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = ops
        .each_ref()
        .map(|ops| write(&domain, ops, 1000).unwrap().id);
    domain.set_pinned(ids[0], true).unwrap();
    let mut whole = BTreeMap::new();
    for id in ids {
        for name in TYPES {
            let reader = domain.reader(id).unwrap();
            reader
                .for_each(object_type(name), &mut |stored| {
                    whole.insert((id, stored.object_type, stored.id.clone()), stored);
                    Ok(())
                })
                .unwrap();
        }
    }
    drop(domain);
    let damages: [(&str, Damage); 4] = [
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
    for blob in bench.blobs.list("").unwrap() {
        if blob.name.contains("/keys/") {
            continue;
        }
        for (what, damage) in damages {
            let before = bench.blobs.get(&blob.name).unwrap();
            memory.damage(&blob.name, damage);
            let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
            let report =
                crate::check::check(&store, std::slice::from_ref(&domain), true, &Silent).unwrap();
            assert!(
                report
                    .problems
                    .iter()
                    .any(|problem| problem.blob == blob.name),
                "{} {what}",
                blob.name
            );
            for id in ids {
                let reader = domain.reader(id).unwrap();
                for ((snapshot, object_type, id), stored) in &whole {
                    if *snapshot != reader.info().id {
                        continue;
                    }
                    if let Ok(found) = reader.get(*object_type, id) {
                        let mut found = found.unwrap();
                        assert!(found.observed == stored.observed || found.observed.is_empty());
                        found.observed.clone_from(&stored.observed);
                        assert_eq!(&found, stored);
                    }
                }
            }
            memory.damage(&blob.name, |bytes| *bytes = before);
        }
        let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
        assert!(
            crate::check::check(&store, &[domain], true, &Silent)
                .unwrap()
                .is_clean()
        );
    }
}

#[test]
fn missing_blobs_are_found_and_the_rest_is_read_in() {
    let ops = two_backups();
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = ops
        .each_ref()
        .map(|ops| write(&domain, ops, 1000).unwrap().id);
    bench
        .blobs
        .put("foreign/thing", &SealedBlob::new(b"x".to_vec()))
        .unwrap();
    let record = format!("{DOMAIN}/records/{}", ids[1]);
    let pack = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap()[0]
        .name
        .clone();
    for name in [record, pack] {
        let before = bench.blobs.get(&name).unwrap();
        bench.blobs.delete(&name).unwrap();
        let report =
            crate::check::check(&store, std::slice::from_ref(&domain), false, &Silent).unwrap();
        assert!(report.problems.iter().any(|problem| problem.blob == name));
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.blob == "foreign/thing")
        );
        bench.blobs.put(&name, &SealedBlob::new(before)).unwrap();
        memory.damage(&name, |bytes| bytes[20] ^= 1);
        let report = store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert!(report.problems.iter().any(|problem| problem.blob == name));
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.blob == "foreign/thing")
        );
        memory.damage(&name, |bytes| bytes[20] ^= 1);
        let report = store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert_eq!((report.problems.len(), report.snapshots), (1, 2));
    }
}
