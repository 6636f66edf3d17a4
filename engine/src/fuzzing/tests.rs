use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Mutations, TARGETS, Target};
use crate::chunk;
use crate::id::{DomainId, PackId, SnapshotId};
use crate::keys::{DomainKeys, FileProvider};
use crate::{pack, record};

/// How many changed seeds each target gets.
const CHANGED: usize = 1_500;

fn seeds_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds")
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let Ok(directory) = fs::read_dir(seeds_directory().join(name)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = directory.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// What fails, if anything does.
fn run(name: &str, target: Target) -> Option<String> {
    let seeds = seeds(name);
    let taken = seeds.iter().filter(|seed| target(seed)).count();
    // A pack can be opened with its own keys alone.
    assert!(
        taken > 0 || name == "pack",
        "no seed of {name} is what it is about"
    );
    target(b"");
    Mutations::of(&seeds).take(CHANGED).find_map(|changed| {
        let panic = std::panic::catch_unwind(|| target(&changed)).err()?;
        let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        let text = String::from_utf8_lossy(&changed);
        Some(format!("{name}: {why} ({text:?}, {changed:?})"))
    })
}

#[test]
fn whatever_comes_from_outside_is_read_or_refused() {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let half = |first: usize| {
            scope.spawn(move || {
                let targets = TARGETS.iter().skip(first).step_by(2);
                targets
                    .filter_map(|(name, target)| run(name, *target))
                    .collect::<Vec<_>>()
            })
        };
        let halves = [half(0), half(1)];
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    });
    assert_eq!(failures, [""; 0]);
}

#[test]
fn every_target_has_its_seeds() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len());
    for name in names {
        assert!(!seeds(&name).is_empty(), "tests/fuzz/seeds/{name}");
    }
}

/// Writes the seeds that are stored formats, from the data directory of a fixture (`tests/fixtures`, unpacked).
#[test]
#[ignore = "writes seeds; ORGKEEP_FIXTURE_DATA names an unpacked fixture"]
#[expect(
    clippy::disallowed_methods,
    reason = "a tool for those who make fixtures"
)]
fn seeds_of_stored_formats_are_written() {
    let data = PathBuf::from(std::env::var_os("ORGKEEP_FIXTURE_DATA").unwrap());
    let provider = FileProvider::open_or_create(&data.join("keys/kek"), true);
    let files = |directory: &Path| -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .filter(|path| path.is_file())
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    fs::read(path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let put = |target: &str, name: &str, bytes: &[u8]| {
        // Large seeds make slow fuzzers.
        if bytes.len() <= 6_000 {
            let directory = seeds_directory().join(target);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), bytes).unwrap();
        }
    };
    for entry in fs::read_dir(data.join("store")).unwrap() {
        let store = entry.unwrap().path();
        let Ok(domain) = store
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<DomainId>()
        else {
            continue;
        };
        let (_, wrapped) = files(&store.join("keys")).pop().unwrap();
        let keys = DomainKeys::unwrap(domain, &provider, &wrapped).unwrap();
        for (name, blob) in files(&store.join("records")) {
            let snapshot: SnapshotId = name.parse().unwrap();
            let plain = record::fuzzing::seed(&keys, domain, snapshot, &blob);
            put("record", &name, &plain);
            // The fixture's own checkpoint is large; this is as if a record had been made from nothing after one other snapshot.
            let mut checkpoint = vec![1, 1, 1];
            checkpoint.extend_from_slice(snapshot.as_bytes());
            checkpoint.extend_from_slice(&[5, 100]);
            checkpoint.extend_from_slice(&plain);
            put("checkpoint", &name, &checkpoint);
        }
        for (name, blob) in files(&store.join("packs")) {
            let id: PackId = name.parse().unwrap();
            put("pack", &name, &blob);
            put(
                "directory",
                &name,
                &pack::fuzzing::seed(&keys, domain, id, &blob),
            );
            let (epoch, entries) = pack::read_directory(&keys, domain, id, &blob).unwrap();
            for (place, entry) in entries.iter().enumerate() {
                let start = usize::try_from(entry.offset).unwrap();
                let sealed = &blob[start..start + entry.bytes];
                let bytes =
                    pack::open_chunk(&keys, epoch, domain, id, place, entry, sealed).unwrap();
                if place < 3 {
                    let name = format!("{name}-{place}");
                    put("chunk", &name, &bytes);
                    put("chunk_frame", &name, &chunk::fuzzing::unpack(&bytes));
                }
            }
        }
    }
}
