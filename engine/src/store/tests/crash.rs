//! Each operation again and again, disturbed at every one of its effects in turn.
//!
//! An effect is what can fail: making a directory, writing, syncing or renaming a file, syncing a directory, deleting, a
//! commit of the index. An operation runs once to count its effects; then, for each of them, it fails there, the disk is full from there
//! on, or the process dies there, with and without losing what was not synced. After it the store is opened by another
//! process, and must be as before the operation or as after it, and as after it if the operation said that it was done.

use std::fs;

use super::reindex::{assert_same, dump, dump_rebuilt};
use super::repair::{Contents, contents, contents_so_far, nothing_is_wrong};
use super::*;
use crate::backup::BackupOptions;
use crate::clock::SystemClock;
use crate::durable::faults::{self, Loss, Strike};
use crate::index::faults::let_grow;
use crate::repair::Patient;

/// A process that has the store in a directory open.
struct Process {
    provider: FileProvider,
    blobs: Arc<dyn BlobStore>,
    index: PathBuf,
    store: Store,
    domain: DomainStore,
}

impl Process {
    fn start(dir: &Path) -> Result<Self, StoreError> {
        let provider = FileProvider::open_or_create(&dir.join("keys/kek"), false);
        let blobs: Arc<dyn BlobStore> = Arc::new(Local::open(&dir.join("store"))?);
        let index = dir.join("index.db");
        let store = Store::open(Arc::clone(&blobs), &index)?;
        store.create_domain_keys(DOMAIN, &provider)?;
        let domain = store.open_domain(DOMAIN, &provider)?;
        Ok(Self {
            provider,
            blobs,
            index,
            store,
            domain,
        })
    }

    fn oldest(&self) -> Result<Option<SnapshotInfo>, StoreError> {
        Ok(self.store.snapshots(DOMAIN)?.pop())
    }
}

/// What a process does; if it fails, it may be done again by the same process.
type Act = fn(&Process) -> Result<(), StoreError>;

fn nothing(_: &Process) -> Result<(), StoreError> {
    Ok(())
}

fn first_backup(process: &Process) -> Result<(), StoreError> {
    write(&process.domain, &two_backups()[0], 1000).map(drop)
}

/// So little changes that no checkpoint is due.
fn small_backup(process: &Process) -> Result<(), StoreError> {
    write(&process.domain, &small_change(), 2000).map(drop)
}

fn small_change() -> Vec<Op> {
    vec![Op::Object {
        kind: 2,
        parent: 0,
        key: 3,
        content: 2,
    }]
}

/// So much changes that a checkpoint is due.
fn large_backup(process: &Process) -> Result<(), StoreError> {
    write(&process.domain, &two_backups()[1], 2000).map(drop)
}

fn pin(process: &Process) -> Result<(), StoreError> {
    let oldest = process.oldest()?.unwrap();
    process.domain.set_pinned(oldest.id, true)
}

fn unpin(process: &Process) -> Result<(), StoreError> {
    let oldest = process.oldest()?.unwrap();
    process.domain.set_pinned(oldest.id, false)
}

/// Removes the oldest snapshot of two.
fn remove(process: &Process) -> Result<(), StoreError> {
    match process.store.snapshots(DOMAIN)?.as_slice() {
        [_, oldest] => process.domain.remove_snapshot(oldest.id),
        _ => Ok(()),
    }
}

/// Removes the older two snapshots of three.
fn remove_two(process: &Process) -> Result<(), StoreError> {
    match process.store.snapshots(DOMAIN)?.as_slice() {
        [_, newer, oldest] => {
            process.domain.remove_snapshot(newer.id)?;
            process.domain.remove_snapshot(oldest.id)
        }
        found => panic!("{} snapshots", found.len()),
    }
}

fn remove_oldest(process: &Process) -> Result<(), StoreError> {
    let oldest = process.oldest()?.unwrap();
    process.domain.remove_snapshot(oldest.id)
}

fn prune(process: &Process) -> Result<(), StoreError> {
    assert_eq!(process.domain.prune(&eager(), &Silent)?.problems, []);
    Ok(())
}

fn reindex(process: &Process) -> Result<(), StoreError> {
    let domain = process.domain.clone();
    let report = process.store.reindex(&[domain], &Silent)?;
    assert_eq!(report.problems, []);
    Ok(())
}

fn sealed(process: &Process, text: &[u8]) -> Result<Vec<u8>, StoreError> {
    Ok(crate::keys::seal_envelope(&process.provider, b"x", text)?)
}

fn register(process: &Process) -> Result<(), StoreError> {
    process
        .store
        .put_registration(DOMAIN, sealed(process, b"first")?)
}

fn register_again(process: &Process) -> Result<(), StoreError> {
    process
        .store
        .put_registration(DOMAIN, sealed(process, b"second")?)
}

fn keep(process: &Process) -> Result<(), StoreError> {
    process.store.put_meta("thing", sealed(process, b"kept")?)
}

fn forget(process: &Process) -> Result<(), StoreError> {
    process.store.remove_registration(DOMAIN)
}

/// What a store holds, as far as anyone can see.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    /// What each snapshot holds, oldest first, and whether it is pinned.
    snapshots: Vec<(State, bool)>,
    registration: Option<Vec<u8>>,
    meta: Option<Vec<u8>>,
}

impl World {
    fn of<'a>(states: impl IntoIterator<Item = &'a State>) -> Self {
        Self {
            snapshots: states
                .into_iter()
                .map(|state| (state.clone(), false))
                .collect(),
            ..Self::default()
        }
    }

    fn pinned(mut self) -> Self {
        self.snapshots[0].1 = true;
        self
    }

    fn registered(mut self, text: &[u8]) -> Self {
        self.registration = Some(text.to_vec());
        self
    }

    fn keeping(mut self, text: &[u8]) -> Self {
        self.meta = Some(text.to_vec());
        self
    }
}

/// Reads everything that another process finds; the index is what a rebuilt one would be, once what was removed is out of it.
fn observe(dir: &Path) -> World {
    let process = Process::start(dir).unwrap();
    let world = observe_with(&process);
    process.domain.shared.close_gaps().unwrap();
    assert_same(
        &dump(&process.index, &process.domain),
        &dump_rebuilt(&process.blobs, &process.provider),
    );
    world
}

/// Reads everything that a process finds, which must be whole: a check finds nothing but orphans.
fn observe_with(process: &Process) -> World {
    let Process { store, domain, .. } = process;
    let report = crate::check::check(store, std::slice::from_ref(domain), true, &Silent).unwrap();
    assert_eq!(report.problems, []);
    let stats = store.stats().unwrap().domains.remove(&DOMAIN).unwrap();
    assert_eq!(stats.orphan_packs, report.orphans.len() as u64);
    assert_eq!(stats.orphan_bytes, report.orphans.values().sum::<u64>());
    let open = |sealed: Vec<u8>| {
        crate::keys::open_envelope(&process.provider, b"x", &sealed)
            .unwrap()
            .to_vec()
    };
    let mut registrations = store.registrations().unwrap();
    let mut world = World {
        snapshots: Vec::new(),
        registration: registrations.pop().map(|(_, sealed)| open(sealed)),
        meta: store.meta("thing").unwrap().map(open),
    };
    for info in store.snapshots(DOMAIN).unwrap().iter().rev() {
        let reader = domain.reader(info.id).unwrap();
        let mut state = State::new();
        for name in TYPES {
            reader
                .for_each(object_type(name), &mut |stored| {
                    let name = (stored.object_type, stored.id);
                    state.insert(name, (stored.parent, stored.body));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(info.objects, state.len() as u64);
        world.snapshots.push((state, info.pinned));
    }
    world
}

/// An operation, and what it makes of a store.
struct Case {
    name: &'static str,
    /// What other processes did before, one after another.
    prepared: Vec<Act>,
    /// Whether the index is lost before.
    lose_index: bool,
    /// Whether the opening of the store belongs to it.
    with_start: bool,
    act: Act,
    /// What is there before, after the operation, and after each repetition.
    worlds: Vec<World>,
    /// How many checkpoints it adds.
    checkpoints: usize,
    /// How many effects it has at the least.
    effects_min: u64,
}

fn cases() -> Vec<Case> {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let small = model(&first, &small_change());
    let large = model(&first, &ops[1]);
    let two = World::of([&first, &large]);
    let pruned = World::of([&model(&large, &small_change())]);
    let case = |name, prepared, act, worlds, effects_min| Case {
        name,
        prepared,
        lose_index: false,
        with_start: false,
        act,
        worlds,
        checkpoints: 0,
        effects_min,
    };
    let twice = |before: &World, after: &World| vec![before.clone(), after.clone(), after.clone()];
    let grows = |kept: &[&State], state| {
        (0..4)
            .map(|times| {
                World::of(
                    kept.iter()
                        .copied()
                        .chain(std::iter::repeat_n(state, times)),
                )
            })
            .collect()
    };
    vec![
        Case {
            with_start: true,
            ..case(
                "key creation",
                vec![],
                nothing,
                twice(&World::default(), &World::default()),
                15,
            )
        },
        case(
            "first backup",
            vec![nothing],
            first_backup,
            grows(&[], &first),
            11,
        ),
        case(
            "small backup",
            vec![first_backup],
            small_backup,
            grows(&[&first], &small),
            9,
        ),
        Case {
            checkpoints: 1,
            ..case(
                "backup with checkpoint",
                vec![first_backup],
                large_backup,
                grows(&[&first], &large),
                13,
            )
        },
        Case {
            with_start: true,
            lose_index: true,
            ..case(
                "start without index",
                vec![first_backup, large_backup],
                nothing,
                twice(&two, &two),
                6,
            )
        },
        case(
            "reindex",
            vec![first_backup, large_backup],
            reindex,
            twice(&two, &two),
            6,
        ),
        case(
            "pin",
            vec![first_backup, large_backup],
            pin,
            twice(&two, &two.clone().pinned()),
            7,
        ),
        case(
            "unpin",
            vec![first_backup, large_backup, pin],
            unpin,
            twice(&two.clone().pinned(), &two),
            7,
        ),
        case(
            "removal",
            vec![first_backup, large_backup],
            remove,
            twice(&two, &World::of([&large])),
            7,
        ),
        case(
            "prune",
            vec![first_backup, large_backup, small_backup, remove_two],
            prune,
            twice(&pruned, &pruned),
            30,
        ),
        case(
            "registration",
            vec![first_backup, register],
            register_again,
            twice(
                &World::of([&first]).registered(b"first"),
                &World::of([&first]).registered(b"second"),
            ),
            7,
        ),
        case(
            "what else is kept",
            vec![nothing],
            keep,
            twice(&World::default(), &World::default().keeping(b"kept")),
            10,
        ),
        case(
            "deregistration",
            vec![first_backup, register],
            forget,
            twice(
                &World::of([&first]).registered(b"first"),
                &World::of([&first]),
            ),
            2,
        ),
    ]
}

/// How an operation is disturbed, and how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// An effect fails, and another process takes up.
    Failure,
    /// An effect fails, the same process does it again, is told that it is done, and the power goes.
    FailureThenPower(Loss),
    /// The process dies, another does it again and is told that it is done, and the power goes.
    DeathThenPower(Loss),
    /// The disk is full, until another process takes up.
    Full,
    /// The process dies, or the power goes.
    Death(Loss),
}

impl Trouble {
    fn all() -> impl Iterator<Item = Self> {
        [
            Self::Failure,
            Self::FailureThenPower(Loss::AllCommits),
            Self::DeathThenPower(Loss::AllCommits),
            Self::Full,
        ]
        .into_iter()
        .chain(Loss::ALL.map(Self::Death))
    }

    fn strike(self) -> Strike {
        match self {
            Self::Failure | Self::FailureThenPower(_) => Strike::Fail,
            Self::Full => Strike::Full,
            Self::Death(_) | Self::DeathThenPower(_) => Strike::Die,
        }
    }

    fn loss(self) -> Loss {
        match self {
            Self::FailureThenPower(loss) | Self::DeathThenPower(loss) | Self::Death(loss) => loss,
            Self::Failure | Self::Full => Loss::Nothing,
        }
    }
}

/// A directory for a store; in memory where that can be, for nothing here depends on the disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
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

/// Does it, in a process that is started if there is none.
fn attempt(process: &mut Option<Process>, dir: &Path, act: Act) -> Result<(), StoreError> {
    let process = match process {
        Some(process) => process,
        none => none.insert(Process::start(dir)?),
    };
    act(process)
}

/// A store as it is before the operation.
fn prepared(case: &Case) -> tempfile::TempDir {
    let dir = directory();
    for act in &case.prepared {
        attempt(&mut None, dir.path(), *act).unwrap();
    }
    if case.lose_index {
        Index::remove_files(&dir.path().join("index.db")).unwrap();
    }
    dir
}

/// Disturbs the operation at one effect, and checks what became of the store.
///
/// Gives whether anything was checked: a loss that takes no more away than the next smaller one needs not be.
fn disturb(case: &Case, template: &Path, at: u64, trouble: Trouble) -> bool {
    let dir = directory();
    let path = dir.path();
    copy(template, path);
    let mut process = (!case.with_start).then(|| Process::start(path).unwrap());
    faults::plan(at, trouble.strike());
    let mut done = attempt(&mut process, path, case.act);
    let struck = faults::has_struck();
    assert!(struck, "it has so many effects");
    if let (Trouble::Full, Err(error), false) = (trouble, &done, case.with_start) {
        assert!(matches!(error, StoreError::NoSpace), "{error:?}");
    }
    if let Trouble::DeathThenPower(_) = trouble {
        process = None;
    }
    if let Trouble::FailureThenPower(_) | Trouble::DeathThenPower(_) = trouble {
        faults::calm();
        done = attempt(&mut process, path, case.act);
        done.as_ref().unwrap();
    }
    let identity = process
        .as_ref()
        .map(|process| process.domain.content_id(b"x"));
    drop(process);
    let is_new = !matches!(trouble, Trouble::Death(loss) if !faults::matters(loss));
    faults::end(trouble.loss());
    if !is_new {
        return false;
    }

    let known = |from: usize, world: &World| {
        let at = case
            .worlds
            .iter()
            .skip(from)
            .position(|known| known == world);
        at.map(|at| from + at)
    };
    let found = observe_with(&Process::start(path).unwrap());
    let Some(now) = known(usize::from(done.is_ok()), &found) else {
        panic!("{} of {done:?} are there", found.snapshots.len());
    };
    if done.is_ok() {
        let process = Process::start(path).unwrap();
        assert_eq!(Some(process.domain.content_id(b"x")), identity);
    }
    attempt(&mut None, path, case.act).unwrap();
    let again = observe(path);
    assert!(known(now + 1, &again).is_some() || case.worlds.last() == Some(&again));
    true
}

/// Disturbs an operation at each of its effects, in every way.
fn disturb_everywhere(name: &str) {
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    let mut failures = Vec::new();
    let template = prepared(&case);
    let dir = directory();
    copy(template.path(), dir.path());
    let mut process = (!case.with_start).then(|| Process::start(dir.path()).unwrap());
    faults::plan(u64::MAX, Strike::None);
    attempt(&mut process, dir.path(), case.act).unwrap();
    drop(process);
    let effects = faults::counted();
    faults::end(Loss::Nothing);
    let checkpoints = |dir: &Path| {
        let found = fs::read_dir(dir.join(format!("store/{DOMAIN}/checkpoints")));
        found.map_or(0, Iterator::count)
    };
    let added = checkpoints(dir.path()).saturating_sub(checkpoints(template.path()));
    assert_eq!(added, case.checkpoints, "{}", case.name);
    let untouched = directory();
    copy(template.path(), untouched.path());
    let before = observe_with(&Process::start(untouched.path()).unwrap());
    assert_eq!(before, case.worlds[0]);
    assert_eq!(observe(dir.path()), case.worlds[1]);

    let points: u64 = effects.values().sum();
    assert!(points >= case.effects_min, "{}: {effects:?}", case.name);
    let mut runs = 0;
    for trouble in Trouble::all() {
        for at in 1..=points {
            let context = format!("{}, {trouble:?} at {at} of {points}", case.name);
            match trying(|| disturb(&case, template.path(), at, trouble)) {
                Ok(checked) => runs += u32::from(checked),
                Err(why) => failures.push(format!("{context}: {why}")),
            }
        }
    }
    let kinds: Vec<String> = effects
        .iter()
        .map(|(effect, count)| format!("{count} {effect}"))
        .collect();
    tell(&format!(
        "{}: {points} points ({}), {runs} runs",
        case.name,
        kinds.join(", ")
    ));
    assert_eq!(failures, [""; 0]);
}

#[test]
fn key_creation_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("key creation");
}

#[test]
fn a_first_backup_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("first backup");
}

#[test]
fn a_small_backup_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("small backup");
}

#[test]
fn a_backup_with_a_checkpoint_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("backup with checkpoint");
}

#[test]
fn a_start_without_an_index_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("start without index");
}

#[test]
fn a_reindex_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("reindex");
}

#[test]
fn a_pin_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("pin");
}

#[test]
fn an_unpin_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("unpin");
}

#[test]
fn a_removal_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("removal");
}

#[test]
fn a_prune_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("prune");
}

#[test]
fn a_registration_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("registration");
}

#[test]
fn what_else_is_kept_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("what else is kept");
}

#[test]
fn a_deregistration_disturbed_at_any_effect_leaves_the_store_whole() {
    disturb_everywhere("deregistration");
}

/// What it gives, or why it panicked, so that all that is wrong is told at once.
fn trying<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).map_err(|why| {
        faults::end(Loss::Nothing);
        match why.downcast::<String>() {
            Ok(text) => *text,
            Err(why) => why
                .downcast::<&str>()
                .map_or_else(|_| "it panicked".to_owned(), |text| (*text).to_owned()),
        }
    })
}

/// Opens a store without making keys.
fn open_bare(dir: &Path) -> (Store, Arc<dyn BlobStore>) {
    let blobs: Arc<dyn BlobStore> = Arc::new(Local::open(&dir.join("store")).unwrap());
    let store = Store::open(Arc::clone(&blobs), &dir.join("index.db")).unwrap();
    (store, blobs)
}

#[test]
fn an_erasure_disturbed_at_any_effect_ends_when_it_is_repeated() {
    let template = directory();
    for act in [first_backup, large_backup, pin, register] {
        attempt(&mut None, template.path(), act).unwrap();
    }
    let whole = observe(template.path());
    let mut runs = 0;
    let mut at = 0;
    loop {
        at += 1;
        let mut struck = false;
        for trouble in Trouble::all() {
            let dir = directory();
            copy(template.path(), dir.path());
            let (store, _) = open_bare(dir.path());
            faults::plan(at, trouble.strike());
            let mut done = store.erase_domain(DOMAIN);
            struck = faults::has_struck();
            if let Trouble::FailureThenPower(_) = trouble {
                done = store.erase_domain(DOMAIN);
            }
            drop(store);
            if let Trouble::DeathThenPower(_) = trouble {
                faults::calm();
                done = open_bare(dir.path()).0.erase_domain(DOMAIN);
            }
            // The index is emptied with its log, which SQLite syncs.
            let acknowledged = done.is_ok();
            faults::end(if acknowledged {
                Loss::Everything
            } else {
                trouble.loss()
            });
            runs += 1;
            let (store, blobs) = open_bare(dir.path());
            if acknowledged {
                assert_eq!(blobs.list("").unwrap(), [], "{trouble:?} at {at}");
                assert_eq!(store.snapshots(DOMAIN).unwrap(), []);
            } else if store.has_domain_keys(DOMAIN).unwrap() {
                assert_eq!(observe(dir.path()), whole, "{trouble:?} at {at}");
            }
            store.erase_domain(DOMAIN).unwrap();
            assert_eq!(blobs.list("").unwrap(), []);
            assert_eq!(store.snapshots(DOMAIN).unwrap(), []);
        }
        if !struck {
            break;
        }
    }
    tell(&format!("erasure: {} points, {runs} runs", at - 1));
    assert!(at > 15, "{at}");
}

/// Repairs without the org; gives whether nothing is left that could be done without it.
fn repair(process: &Process) -> Result<bool, StoreError> {
    let patient = Patient {
        domain: process.domain.clone(),
        provider: &process.provider,
        connect: Box::new(|| Err("it is away".to_owned())),
        backup: BackupOptions::default(),
    };
    let report = crate::repair::repair(&process.store, &[patient], &SystemClock, &Silent)?;
    assert_eq!(report.foreign, []);
    let [done] = report.domains.as_slice() else {
        panic!("{} domains", report.domains.len());
    };
    assert_eq!(done.snapshots_lost, []);
    let is_away = |note: &String| note.ends_with("it is away");
    Ok(done.remaining.is_empty() && done.notes.iter().all(is_away))
}

fn repair_once(process: &Process) -> Result<(), StoreError> {
    assert!(repair(process)?);
    Ok(())
}

/// A store of which a blob is damaged.
struct Wounded {
    dir: tempfile::TempDir,
    snapshots: Vec<SnapshotId>,
    /// What the snapshots held, and what they hold after a repair.
    before: Contents,
    after: Contents,
    /// The damaged blob, below the directory of its domain, and its bytes.
    blob: PathBuf,
    bytes: Option<Vec<u8>>,
}

/// What happens to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wound {
    Flipped,
    Deleted,
}

impl Wounded {
    /// Damages the largest blob of a kind, in a history with every kind of blob in it; then others do `since`.
    fn make(kind: &str, wound: Wound, since: &[Act]) -> Self {
        let dir = directory();
        let history: [Act; 8] = [
            first_backup,
            small_backup,
            first_backup,
            large_backup,
            remove_oldest,
            remove_oldest,
            prune,
            pin,
        ];
        for act in history {
            attempt(&mut None, dir.path(), act).unwrap();
        }
        let process = Process::start(dir.path()).unwrap();
        let snapshots: Vec<SnapshotId> = process
            .store
            .snapshots(DOMAIN)
            .unwrap()
            .iter()
            .map(|info| info.id)
            .collect();
        let before = contents(&process.domain, &snapshots);
        drop(process);
        let mut blobs: Vec<(u64, PathBuf)> =
            files(&dir.path().join(format!("store/{DOMAIN}")), kind);
        blobs.sort();
        let (_, blob) = blobs.pop().unwrap();
        let path = dir.path().join(format!("store/{DOMAIN}")).join(&blob);
        let bytes = match wound {
            Wound::Flipped => {
                let mut bytes = fs::read(&path).unwrap();
                // In a pack, within its first chunk: that is one of objects.
                let at = if kind == "packs" { 64 } else { bytes.len() / 2 };
                bytes[at] ^= 4;
                put_file(&path, &bytes);
                Some(bytes)
            }
            Wound::Deleted => {
                fs::remove_file(&path).unwrap();
                None
            }
        };
        for act in since {
            attempt(&mut None, dir.path(), *act).unwrap();
        }
        Self {
            dir,
            snapshots,
            before,
            after: Contents::new(),
            blob,
            bytes,
        }
    }

    /// What the snapshots hold in a store that has been repaired, and once its index is rebuilt.
    fn mended(&self, dir: &Path) -> Contents {
        let process = Process::start(dir).unwrap();
        let Process { store, domain, .. } = &process;
        let checked = || {
            let report =
                crate::check::check(store, std::slice::from_ref(domain), true, &Silent).unwrap();
            assert_eq!(report.problems, []);
        };
        checked();
        let found = contents(domain, &self.snapshots);
        if let Some(bytes) = &self.bytes {
            let copies = dir.join(format!("store/{DOMAIN}/damaged")).join(&self.blob);
            let copies = fs::read_dir(copies).into_iter().flatten();
            let mut copies = copies.map(|copy| fs::read(copy.unwrap().path()).unwrap());
            assert!(copies.any(|copy| copy == *bytes), "it is kept aside");
        }
        reindex(&process).unwrap();
        checked();
        assert_eq!(contents(domain, &self.snapshots), found);
        found
    }

    /// Disturbs the repair at one effect, and checks what became of the store; gives whether anything was checked.
    fn disturb(&self, at: u64, trouble: Trouble) -> bool {
        let dir = directory();
        let path = dir.path();
        copy(self.dir.path(), path);
        let mut process = Some(Process::start(path).unwrap());
        faults::plan(at, trouble.strike());
        let mut done = repair(process.as_ref().unwrap());
        assert!(faults::has_struck(), "it has so many effects");
        if let (Trouble::Full, Err(error)) = (trouble, &done) {
            assert!(matches!(error, StoreError::NoSpace), "{error:?}");
        }
        if let Trouble::DeathThenPower(_) = trouble {
            process = None;
        }
        if let Trouble::FailureThenPower(_) | Trouble::DeathThenPower(_) = trouble {
            faults::calm();
            let process = match &process {
                Some(process) => process,
                None => process.insert(Process::start(path).unwrap()),
            };
            done = repair(process);
            assert!(matches!(done, Ok(true)), "{done:?}");
        }
        drop(process);
        let is_new = !matches!(trouble, Trouble::Death(loss) if !faults::matters(loss));
        faults::end(trouble.loss());
        if !is_new {
            return false;
        }

        let process = Process::start(path).unwrap();
        let so_far = contents_so_far(&process.domain, &self.snapshots);
        nothing_is_wrong(&self.before, &so_far);
        // What a repair commits is synced. Should an older index come back, that is noticed, and mended by the next one.
        let older = matches!(trouble.loss(), Loss::LastCommit | Loss::AllCommits);
        if older || !matches!(done, Ok(true)) {
            assert!(repair(&process).unwrap(), "the next one ends it");
        }
        drop(process);
        assert_eq!(self.mended(path), self.after);
        true
    }
}

/// The files of a directory below one of its directories: their sizes, and their paths from it.
fn files(dir: &Path, below: &str) -> Vec<(u64, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}/{}", entry.file_name().to_str().unwrap());
        match entry.metadata().unwrap() {
            known if known.is_dir() => found.extend(files(dir, &name)),
            known => found.push((known.len(), PathBuf::from(name))),
        }
    }
    found
}

fn put_file(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

/// Disturbs the repair of a store of which a blob is damaged at each of its effects, in every way; gives how much is lost.
fn disturb_repair(kind: &str, wound: Wound, since: &[Act]) -> usize {
    let mut wounded = Wounded::make(kind, wound, since);
    let dir = directory();
    copy(wounded.dir.path(), dir.path());
    let process = Process::start(dir.path()).unwrap();
    faults::plan(u64::MAX, Strike::None);
    assert!(repair(&process).unwrap());
    drop(process);
    let effects = faults::counted();
    faults::end(Loss::Nothing);
    wounded.after = wounded.mended(dir.path());
    let lost = nothing_is_wrong(&wounded.before, &wounded.after);
    assert_eq!(wounded.after.len(), wounded.before.len());

    let points: u64 = effects.values().sum();
    let (mut runs, mut failures) = (0, Vec::new());
    for at in 1..=points {
        // What a death loses, in turn: a repair has many effects, and looks at everything after each.
        let death = usize::try_from(at).unwrap() % Loss::ALL.len();
        let troubles = [
            Trouble::Failure,
            Trouble::FailureThenPower(Loss::Everything),
            Trouble::FailureThenPower(Loss::AllCommits),
            Trouble::DeathThenPower(Loss::Everything),
            Trouble::DeathThenPower(Loss::AllCommits),
            Trouble::Full,
            Trouble::Death(Loss::ALL[death]),
        ];
        for trouble in troubles {
            match trying(|| wounded.disturb(at, trouble)) {
                Ok(checked) => runs += u32::from(checked),
                Err(why) => failures.push(format!("{trouble:?} at {at} of {points}: {why}")),
            }
        }
    }
    let kinds: Vec<String> = effects
        .iter()
        .map(|(effect, count)| format!("{count} {effect}"))
        .collect();
    tell(&format!(
        "repair of {kind}, {wound:?}: {points} points ({}), {runs} runs",
        kinds.join(", ")
    ));
    assert_eq!(failures, [""; 0]);
    assert!(points > 3, "{points}");
    lost
}

#[test]
fn a_repair_of_a_pack_disturbed_at_any_effect_loses_no_more() {
    assert!(disturb_repair("packs", Wound::Flipped, &[]) > 0);
}

#[test]
fn a_repair_that_brings_contents_back_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(
        disturb_repair(
            "packs",
            Wound::Flipped,
            &[repair_once, first_backup, large_backup]
        ),
        0
    );
}

#[test]
fn a_repair_of_a_record_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("records", Wound::Flipped, &[]), 0);
}

#[test]
fn a_repair_of_a_merged_record_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("merged", Wound::Flipped, &[]), 0);
}

#[test]
#[ignore = "slow; it takes as long as all others"]
fn a_repair_of_a_list_of_moves_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("moves", Wound::Flipped, &[]), 0);
}

#[test]
#[ignore = "slow; it takes as long as all others"]
fn a_repair_without_a_list_of_moves_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("moves", Wound::Deleted, &[]), 0);
}

#[test]
fn a_repair_of_a_checkpoint_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("checkpoints", Wound::Flipped, &[]), 0);
}

#[test]
fn a_repair_of_a_marker_disturbed_at_any_effect_loses_nothing() {
    assert_eq!(disturb_repair("markers", Wound::Flipped, &[]), 0);
}

/// More than fits into the pages that an empty index has.
fn wide(content: u8) -> Vec<Op> {
    let users = (0..=250).map(|key| Op::Object {
        kind: 0,
        parent: 0,
        key,
        content,
    });
    let members = Op::Children {
        kind: TYPES.len() - 1,
        parent: 1,
        children: (0..200).map(|key| (key, 0)).collect(),
    };
    users.chain([members]).collect()
}

fn first_wide_backup(process: &Process) -> Result<(), StoreError> {
    write(&process.domain, &wide(0), 1000).map(drop)
}

fn second_wide_backup(process: &Process) -> Result<(), StoreError> {
    write(&process.domain, &wide(1), 2000).map(drop)
}

#[test]
fn an_index_that_is_full_fails_clearly_and_goes_on_when_it_can_grow() {
    let first = model(&State::new(), &wide(0));
    let second = model(&first, &wide(1));
    let (none, one) = (World::default(), World::of([&first]));
    let two = World::of([&first, &second]);
    type Full = (&'static str, &'static [Act], Act, [World; 2], u32);
    let cases: [Full; 3] = [
        (
            "first backup",
            &[nothing],
            first_wide_backup,
            [none, one.clone()],
            2,
        ),
        (
            "second backup",
            &[first_wide_backup],
            second_wide_backup,
            [one, two.clone()],
            1,
        ),
        (
            "reindex",
            &[first_wide_backup, second_wide_backup],
            reindex,
            [two.clone(), two],
            10,
        ),
    ];
    for (name, prepared, act, [before, after], points_min) in cases {
        let template = directory();
        for act in prepared {
            attempt(&mut None, template.path(), *act).unwrap();
        }
        let mut runs = 0;
        for pages in 0.. {
            let dir = directory();
            copy(template.path(), dir.path());
            let_grow(Some(pages));
            let process = Process::start(dir.path()).unwrap();
            let done = act(&process);
            let_grow(None);
            drop(process);
            if done.is_ok() {
                assert_eq!(observe(dir.path()), after);
                break;
            }
            assert!(matches!(done, Err(StoreError::NoSpace)), "{done:?}");
            // The record is durable before the index is written: another process reads it in.
            assert!(
                [&before, &after].contains(&&observe(dir.path())),
                "{name} at {pages}"
            );
            attempt(&mut None, dir.path(), act).unwrap();
            let found = observe(dir.path());
            assert_eq!(
                found.snapshots.last(),
                after.snapshots.last(),
                "{name} at {pages}"
            );
            runs += 1;
        }
        tell(&format!(
            "{name} with a full index: {runs} points, {runs} runs"
        ));
        assert!(runs >= points_min, "{name}: {runs}");
    }
}

#[test]
fn a_failure_at_any_step_of_the_storage_leaves_nothing_behind() {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let states = [
        first.clone(),
        model(&first, &ops[1]),
        model(&first, &ops[1]),
    ];
    for fault in [Fault::Before, Fault::After, Fault::Full] {
        for step in 1.. {
            let (bench, memory) = Bench::in_memory();
            let (store, domain) = bench.open();
            write(&domain, &ops[0], 1000).unwrap();
            memory.fail_at(step, fault);
            let written = write(&domain, &ops[1], 2000);
            let struck = memory.heal();
            if let Err(error) = &written {
                assert!(struck);
                assert_eq!(matches!(error, StoreError::NoSpace), fault == Fault::Full);
            } else {
                // Also if no checkpoint could be written, the snapshot is there.
                assert_eq!(store.snapshots(DOMAIN).unwrap().len(), 2);
            }
            // The same process goes on, or another takes up where it ended.
            if step % 2 == 0 {
                drop((store, domain));
                let there = is_whole(&bench, &states);
                assert!(there == 2 || written.is_err());
                write(&bench.open().1, &ops[1], 3000).unwrap();
            } else {
                write(&domain, &ops[1], 3000).unwrap();
            }
            assert!(is_whole(&bench, &states) >= 2);
            bench.lose_index();
            assert!(is_whole(&bench, &states) >= 2);
            if !struck {
                break;
            }
        }
    }
}
