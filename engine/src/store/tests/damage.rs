//! Damage to any blob is found, said to concern the objects that it does, and never read as something else.
//!
//! Trial after trial, one blob is damaged, everything is checked and read, and the damage is undone. The seed and the number
//! of trials can be set: `ORGKEEP_TEST_SEED`, `ORGKEEP_TEST_TRIALS`.

use std::collections::btree_map::Entry;

use super::*;
use crate::check::CheckReport;
use crate::pack::Kind;

/// Trials, if the environment does not say otherwise.
const TRIALS: usize = 810;

/// One trial in so many also rebuilds the index from what is left.
const REBUILT_ONE_IN: usize = 12;

/// What happens to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    /// One bit is another.
    Flip,
    /// Its end is missing.
    Cut,
    /// All of it is missing, but its name is there.
    Empty,
    /// There is more after its end.
    Extend,
    /// A range of it is zero.
    Zero,
    /// It and another blob have changed places.
    Swap,
    /// It is gone.
    Delete,
    /// It is there a second time, under another name of its kind.
    Duplicate,
    /// Something that is none of the store's has a name beside it.
    Stray,
}

impl Damage {
    const ALL: [Self; 9] = [
        Self::Flip,
        Self::Cut,
        Self::Empty,
        Self::Extend,
        Self::Zero,
        Self::Swap,
        Self::Delete,
        Self::Duplicate,
        Self::Stray,
    ];
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % end
    }

    fn of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

type Names = BTreeSet<(ObjectType, String)>;
type Objects = BTreeMap<(ObjectType, String), Stored>;

/// What a store holds while nothing is damaged.
struct Truth {
    blobs: BTreeMap<String, Vec<u8>>,
    /// The snapshots that the index knows, the removed ones included.
    known: BTreeSet<String>,
    /// Every snapshot, oldest first, the removed one included: its objects, and whether it is listed.
    snapshots: Vec<(SnapshotId, Objects, bool)>,
    history: BTreeMap<(ObjectType, String), Vec<VersionInfo>>,
    /// By pack: its chunks of objects, where they lie, and whose versions some listed snapshot reads there.
    chunks: BTreeMap<String, Vec<Lies>>,
}

/// Where a chunk lies in its pack.
struct Lies {
    kind: Kind,
    start: usize,
    end: usize,
    /// The objects of which any version is in it, and those of which a listed snapshot reads one.
    any: Names,
    read: Names,
}

fn stored_of(domain: &DomainStore, id: SnapshotId) -> Objects {
    let reader = domain.reader(id).unwrap();
    let mut found = BTreeMap::new();
    for name in TYPES {
        reader
            .for_each(object_type(name), &mut |stored| {
                found.insert((stored.object_type, stored.id.clone()), stored);
                Ok(())
            })
            .unwrap();
    }
    found
}

impl Truth {
    /// Writes a history with every kind of blob in it.
    fn make(bench: &Bench) -> Self {
        let (store, domain) = bench.open();
        let sealed =
            |aad: &[u8]| crate::keys::seal_envelope(&bench.provider, aad, b"kept").unwrap();
        store
            .put_registration(DOMAIN, sealed(b"registration"))
            .unwrap();
        store.put_meta("thing", sealed(b"meta")).unwrap();
        let [first, second] = two_backups();
        let small = |content| {
            vec![Op::Object {
                kind: 2,
                parent: 0,
                key: 1,
                content,
            }]
        };
        // What is removed and pruned leaves merged records and moves, which the rest needs.
        write(&domain, &first, 900).unwrap();
        let ids: Vec<SnapshotId> = [second, small(2), first]
            .iter()
            .map(|ops| write(&domain, ops, 1000).unwrap().id)
            .collect();
        let removed = store.snapshots(DOMAIN).unwrap().pop().unwrap().id;
        domain.remove_snapshot(removed).unwrap();
        let pruned = domain.prune(&eager(), &Silent).unwrap();
        assert_eq!(pruned.problems, []);
        assert!(
            pruned.records_merged > 0 && pruned.packs.written > 0,
            "{pruned:?}"
        );
        let mut snapshots: Vec<_> = ids
            .iter()
            .map(|id| (*id, stored_of(&domain, *id), true))
            .collect();
        domain.set_pinned(ids[0], true).unwrap();
        domain.remove_snapshot(ids[1]).unwrap();
        snapshots[1].2 = false;
        let mut truth = Self {
            blobs: BTreeMap::new(),
            known: BTreeSet::new(),
            history: BTreeMap::new(),
            chunks: BTreeMap::new(),
            snapshots,
        };
        for blob in bench.blobs.list("").unwrap() {
            let bytes = bench.blobs.get(&blob.name).unwrap();
            truth.blobs.insert(blob.name, bytes);
        }
        for (_, objects, _) in &truth.snapshots {
            for name in objects.keys() {
                if let Entry::Vacant(free) = truth.history.entry(name.clone()) {
                    free.insert(domain.history(name.0, &name.1).unwrap());
                }
            }
        }
        truth.look_up_chunks(&domain);
        truth
    }

    fn look_up_chunks(&mut self, domain: &DomainStore) {
        let shared = &domain.shared;
        let known = shared.known_snapshots().unwrap();
        self.known = known.iter().map(ToString::to_string).collect();
        let listed: Vec<u32> = index::snapshots(&shared.inner.index.read(), DOMAIN)
            .unwrap()
            .iter()
            .filter(|row| !row.removed)
            .map(|row| row.sequence)
            .collect();
        let packs = index::packs(&shared.inner.index.read(), DOMAIN).unwrap();
        for (pack, _) in packs {
            let rows = index::chunks_of(&shared.inner.index.read(), pack).unwrap();
            let lies = rows.into_iter().map(|(no, row)| {
                let entry = row.entry;
                let (mut any, mut read) = (Names::new(), Names::new());
                let code = entry.type_code;
                let space = index::space(&shared.inner.index.read(), DOMAIN, code).unwrap();
                let of_type = ObjectType::from_code(code).unwrap();
                let keys = match space {
                    Some(space) => {
                        let read = shared.inner.index.read();
                        let versions = index::mend::versions_in_chunk(&read, space, no).unwrap();
                        versions.into_iter().map(|version| version.key).collect()
                    }
                    None => Vec::new(),
                };
                for key in keys {
                    let name = (of_type, shared.id_text(of_type, key).unwrap());
                    let is_read = listed.iter().any(|sequence| {
                        index::version_at(
                            &shared.inner.index.read(),
                            space.unwrap(),
                            key,
                            *sequence,
                        )
                        .unwrap()
                        .and_then(|version| version.body)
                        .is_some_and(|(place, _)| place.chunk() == no)
                    });
                    if is_read {
                        read.insert(name.clone());
                    }
                    any.insert(name);
                }
                let start = usize::try_from(entry.offset).unwrap();
                Lies {
                    kind: entry.kind,
                    start,
                    end: start + entry.bytes,
                    any,
                    read,
                }
            });
            self.chunks.insert(shared.pack_name(pack), lies.collect());
        }
    }

    fn listed(&self) -> impl Iterator<Item = (SnapshotId, &Objects)> {
        let listed = self.snapshots.iter().filter(|(.., listed)| *listed);
        listed.map(|(id, objects, _)| (*id, objects))
    }

    /// Every object of which a version lies in a pack.
    fn in_pack(&self, name: &str) -> Names {
        let chunks = self.chunks.get(name).into_iter().flatten();
        chunks.flat_map(|lies| lies.any.iter().cloned()).collect()
    }

    /// Reads everything; gives the objects of which something could not be read. What could must be true.
    fn unreadable(&self, domain: &DomainStore) -> Names {
        let mut failed = Names::new();
        for (id, objects) in self.listed() {
            let reader = domain.reader(id).unwrap();
            for name in TYPES {
                let object_type = object_type(name);
                let of_type = || {
                    objects
                        .iter()
                        .filter(|((found, _), _)| *found == object_type)
                };
                let mut seen = 0;
                let read = reader.for_each(object_type, &mut |found| {
                    let name = (found.object_type, found.id.clone());
                    assert_is(&found, &objects[&name]);
                    seen += 1;
                    Ok(())
                });
                match read {
                    Ok(()) => assert_eq!(seen, of_type().count()),
                    Err(_) => {
                        for (name, stored) in of_type() {
                            match reader.get(object_type, &name.1) {
                                Ok(found) => assert_is(&found.unwrap(), stored),
                                Err(_) => drop(failed.insert(name.clone())),
                            }
                        }
                    }
                }
                let parent = parent_id(1);
                if let Ok(children) = reader.children(object_type, &parent) {
                    let under =
                        of_type().filter(|(_, stored)| stored.parent.as_ref() == Some(&parent));
                    assert_eq!(children.len(), under.count());
                    for child in &children {
                        assert_is(child, &objects[&(object_type, child.id.clone())]);
                    }
                }
            }
        }
        for (name, history) in &self.history {
            if let Ok(found) = domain.history(name.0, &name.1) {
                assert_eq!(&found, history);
            }
        }
        failed
    }
}

/// Whether what was read is what was written. What moves by itself may be missing, but never be something else.
fn assert_is(found: &Stored, written: &Stored) {
    assert!(found.observed == written.observed || found.observed.is_empty());
    let mut found = found.clone();
    found.observed.clone_from(&written.observed);
    assert_eq!(&found, written);
}

/// What has been done to the store.
struct Done {
    damage: Damage,
    /// The blobs that are not as they were.
    touched: Vec<String>,
    /// Where in the first of them the damage lies, if that can be said.
    within: Option<(usize, usize)>,
}

fn kind_of(name: &str) -> &str {
    match name.split_once('/').unwrap() {
        ("meta", _) => "meta",
        (_, rest) => rest.split('/').next().unwrap(),
    }
}

/// Another name that a blob of its kind could have.
fn other_name(name: &str, dice: &mut Dice) -> String {
    let (dir, last) = name.rsplit_once('/').unwrap();
    if last.len() == 16 {
        format!("{dir}/{:016x}", dice.below(usize::MAX))
    } else if let kind @ ("markers" | "merged") = kind_of(name) {
        format!("{DOMAIN}/{kind}/{:016x}/{last}", dice.below(usize::MAX))
    } else {
        format!("{dir}/{}", last.parse::<u64>().unwrap() + 1)
    }
}

fn damaged(
    truth: &Truth,
    memory: &Memory,
    damage: Damage,
    name: &str,
    dice: &mut Dice,
) -> Option<Done> {
    let mut bytes = truth.blobs[name].clone();
    let length = bytes.len();
    let mut done = Done {
        damage,
        touched: vec![name.to_owned()],
        within: None,
    };
    match damage {
        Damage::Flip => {
            let at = dice.below(length);
            bytes[at] ^= 1 << dice.below(8);
            done.within = Some((at, at + 1));
        }
        Damage::Cut => bytes.truncate(1 + dice.below(length - 1)),
        Damage::Empty => bytes.clear(),
        Damage::Extend => bytes.extend(std::iter::repeat_n(7, 1 + dice.below(40))),
        Damage::Zero => {
            let start = dice.below(length);
            let end = (start + 1 + dice.below(64)).min(length);
            bytes[start..end].fill(0);
            done.within = Some((start, end));
        }
        Damage::Swap => {
            let names: Vec<&String> = truth.blobs.keys().collect();
            let other = *dice.of(&names);
            memory.replace(other, Some(bytes));
            bytes = truth.blobs[other].clone();
            done.touched.push(other.clone());
        }
        Damage::Delete => {
            memory.replace(name, None);
            return Some(done);
        }
        Damage::Duplicate => {
            let other = other_name(name, dice);
            memory.replace(&other, Some(bytes));
            done.touched = vec![other];
            return Some(done);
        }
        Damage::Stray => {
            let (dir, _) = name.rsplit_once('/').unwrap();
            let other = format!("{dir}/{}", dice.of(&["lost-found", "1.bak", "x/y", "0000"]));
            memory.replace(&other, Some(bytes));
            done.touched = vec![other];
            return Some(done);
        }
    }
    let changed = bytes != truth.blobs[name];
    memory.replace(name, Some(bytes));
    changed.then_some(done)
}

/// Checks and reads a store of which something is damaged; gives whether the damage was found.
fn is_found(truth: &Truth, store: &Store, bench: &Bench, done: &Done) -> bool {
    let sealed_is_bad = |sealed: Option<Vec<u8>>, aad: &[u8]| {
        sealed
            .is_none_or(|sealed| crate::keys::open_envelope(&bench.provider, aad, &sealed).is_err())
    };
    let mut registrations = store.registrations().unwrap();
    let mut found = sealed_is_bad(
        registrations.pop().map(|(_, sealed)| sealed),
        b"registration",
    );
    found |= sealed_is_bad(store.meta("thing").unwrap(), b"meta");
    let Ok(domain) = store.open_domain(DOMAIN, &bench.provider) else {
        assert!(done.touched.iter().any(|name| kind_of(name) == "keys"));
        return true;
    };
    // What is in no pack is read without reading data.
    let read_data = done.touched.iter().any(|name| kind_of(name) == "packs");
    let CheckReport {
        problems, orphans, ..
    } = crate::check::check(store, std::slice::from_ref(&domain), read_data, &Silent).unwrap();
    let about = |name: &String| {
        let is = |blob: &String| blob == name || (blob.ends_with('/') && name.starts_with(blob));
        orphans.contains_key(name) || problems.iter().any(|problem| is(&problem.blob))
    };
    // What is no longer there may be told by what misses it.
    let is_there = |name: &&String| bench.blobs.size(name).is_ok();
    found |= match done.damage {
        Damage::Delete => !problems.is_empty(),
        _ => done.touched.iter().filter(is_there).any(about),
    };

    let named: Names = problems
        .iter()
        .flat_map(|problem| problem.objects.iter().cloned())
        .collect();
    let unreadable = if read_data {
        truth.unreadable(&domain)
    } else {
        Names::new()
    };
    assert!(unreadable.is_subset(&named), "what cannot be read is named");
    let concerned: Names = done
        .touched
        .iter()
        .flat_map(|name| truth.in_pack(name))
        .collect();
    assert!(named.is_subset(&concerned), "nothing else is named");
    if let (Some((start, end)), Some(chunks)) = (done.within, truth.chunks.get(&done.touched[0])) {
        let hit = |lies: &&Lies| start < lies.end && end > lies.start && lies.kind == Kind::Objects;
        let expected: Names = chunks
            .iter()
            .filter(hit)
            .flat_map(|lies| lies.read.iter().cloned())
            .collect();
        assert_eq!(
            unreadable, expected,
            "the objects of the damaged chunks, and no other"
        );
    }
    found
}

/// Whether nothing is lost or different: what counts is there as before.
fn is_harmless(truth: &Truth, kind: &str, damage: Damage, name: &str) -> bool {
    match damage {
        // The newest of several counts, and it is the same.
        Damage::Duplicate => ["keys", "meta", "registration"].contains(&kind),
        // All records are there.
        Damage::Delete if kind == "checkpoints" => true,
        // Its snapshot has been pruned.
        Damage::Delete if kind == "markers" => {
            !truth.known.iter().any(|snapshot| name.contains(snapshot))
        }
        _ => false,
    }
}

/// Whether an object was like this at any time.
fn was_ever(found: &Stored) -> bool {
    all_objects().any(|(kind, parent, key)| {
        (0..3).any(|content| {
            let object = made(kind, parent, key, content);
            (object.object_type, &object.id) == (found.object_type, &found.id)
                && (&object.parent, &object.body) == (&found.parent, &found.body)
        })
    })
}

/// Rebuilds the index from what is left: that is never fatal, and what it serves is true, or its type is marked.
fn is_rebuilt(truth: &Truth, bench: &Bench, done: &Done) {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let store = Store::open(Arc::clone(&bench.blobs), &dir.path().join("index.db")).unwrap();
    let Ok(domain) = store.open_domain(DOMAIN, &bench.provider) else {
        return;
    };
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    for name in &done.touched {
        let told = report.problems.iter().any(|problem| problem.blob == *name);
        let is_there = bench.blobs.size(name).is_ok();
        match kind_of(name) {
            "records" | "markers" if is_there => assert!(told, "{name}"),
            _ => {}
        }
    }
    for info in store.snapshots(DOMAIN).unwrap() {
        let at = truth
            .snapshots
            .iter()
            .position(|(id, ..)| *id == info.id)
            .unwrap();
        let reader = domain.reader(info.id).unwrap();
        for name in TYPES {
            let object_type = object_type(name);
            let of_type = |at: usize| -> BTreeMap<&String, &Stored> {
                let objects = truth.snapshots[at].1.iter();
                objects
                    .filter(|((found, _), _)| *found == object_type)
                    .map(|((_, id), stored)| (id, stored))
                    .collect()
            };
            let wanted = of_type(at);
            let marked = !matches!(
                info.coverage.get(&object_type),
                None | Some(Coverage::Complete)
            );
            let mut seen = 0;
            reader
                .for_each(object_type, &mut |found| {
                    let is = |stored: Option<&&Stored>| {
                        stored.is_some_and(|stored| {
                            (&stored.parent, &stored.body) == (&found.parent, &found.body)
                        })
                    };
                    seen += usize::from(is(wanted.get(&found.id)));
                    let was = || was_ever(&found);
                    assert!(
                        is(wanted.get(&found.id)) || (marked && was()),
                        "{} of {name}, marked: {marked}",
                        found.id
                    );
                    Ok(())
                })
                .unwrap();
            assert!(
                marked || seen == wanted.len(),
                "{seen} of {} {name}",
                wanted.len()
            );
        }
    }
}

#[test]
fn damage_to_any_blob_is_found_and_never_read_as_something_else() {
    let (bench, memory) = Bench::in_memory();
    let truth = Truth::make(&bench);
    let seed = setting("ORGKEEP_TEST_SEED", 20_261_121);
    let trials = setting("ORGKEEP_TEST_TRIALS", TRIALS);
    let mut dice = Dice(seed as u64);
    let mut by_kind: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in truth.blobs.keys() {
        by_kind.entry(kind_of(name)).or_default().push(name);
    }
    let kinds: Vec<&str> = by_kind.keys().copied().collect();
    assert_eq!(
        kinds,
        [
            "checkpoints",
            "keys",
            "markers",
            "merged",
            "meta",
            "moves",
            "packs",
            "records",
            "registration"
        ]
    );
    let store = Store::open(Arc::clone(&bench.blobs), &bench.index()).unwrap();
    let mut counts: BTreeMap<(&str, Damage), usize> = BTreeMap::new();
    let mut rebuilt = 0;
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for trial in 0..trials {
        let kind = kinds[trial % kinds.len()];
        let damage = Damage::ALL[trial / kinds.len() % Damage::ALL.len()];
        let name = *dice.of(&by_kind[kind]);
        if let Some(done) = damaged(&truth, &memory, damage, name, &mut dice) {
            *counts.entry((kind, damage)).or_default() += 1;
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let found = is_found(&truth, &store, &bench, &done);
                assert!(
                    found || is_harmless(&truth, kind, damage, name),
                    "it is found"
                );
                if trial % REBUILT_ONE_IN == 0 {
                    rebuilt += 1;
                    is_rebuilt(&truth, &bench, &done);
                }
            }));
            if let Err(why) = tried {
                tell(&format!("{damage:?} of {name}"));
                let why = why.downcast::<String>().map_or_else(
                    |why| {
                        why.downcast::<&str>()
                            .map_or_else(|_| String::new(), |text| text.to_string())
                    },
                    |text| *text,
                );
                *failures
                    .entry(format!("{:?} of {kind}: {why}", done.damage))
                    .or_default() += 1;
            }
        }
        for (name, bytes) in &truth.blobs {
            memory.replace(name, Some(bytes.clone()));
        }
        for blob in bench.blobs.list("").unwrap() {
            if !truth.blobs.contains_key(&blob.name) {
                memory.replace(&blob.name, None);
            }
        }
    }
    assert_eq!(failures, BTreeMap::new());
    let done: usize = counts.values().sum();
    tell(&format!(
        "corruption: {done} trials (seed {seed}) over {} kinds of blobs and {} of damage, the index rebuilt after {rebuilt}",
        kinds.len(),
        Damage::ALL.len()
    ));
    assert!(counts.len() == kinds.len() * Damage::ALL.len() || trials < 1_000);
    assert!(done * 10 >= trials * 9);
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
