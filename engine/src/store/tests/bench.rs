//! A store to try things with, and histories to write into it.

use super::*;

pub(super) fn write(domain: &DomainStore, ops: &[Op], at: i64) -> Result<SnapshotInfo, StoreError> {
    let mut writer = domain.begin(&Silent, from_millis(at))?;
    for op in ops {
        match op {
            Op::Object {
                kind,
                parent,
                key,
                content,
            } => writer.object(made(*kind, *parent, *key, *content))?,
            Op::Children {
                kind,
                parent,
                children,
            } => {
                let children = children
                    .iter()
                    .map(|(key, content)| made(*kind, *parent, *key, *content))
                    .collect();
                writer.children(object_type(TYPES[*kind]), &parent_id(*parent), children)?;
            }
            Op::Gone { kind, parent, key } => {
                let object = made(*kind, *parent, *key, 0);
                writer.gone(object.object_type, &object.id)?;
            }
            Op::End { kind, complete } => {
                let coverage = if *complete {
                    Coverage::Complete
                } else {
                    Coverage::Incomplete {
                        reason: "x".to_owned(),
                    }
                };
                writer.end_type(object_type(TYPES[*kind]), coverage)?;
            }
        }
    }
    writer.finish(from_millis(at + 5), at.to_le_bytes().to_vec())
}

pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) provider: FileProvider,
}

impl Bench {
    pub(super) fn new(blobs: impl FnOnce(&Path) -> Arc<dyn BlobStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::open_or_create(&dir.path().join("kek"), false);
        let blobs = blobs(dir.path());
        Self {
            dir,
            blobs,
            provider,
        }
    }

    pub(super) fn in_memory() -> (Self, Arc<Memory>) {
        let memory = Arc::new(Memory::new());
        let blobs: Arc<dyn BlobStore> = Arc::clone(&memory) as Arc<dyn BlobStore>;
        (Self::new(|_| blobs), memory)
    }

    pub(super) fn index(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }

    pub(super) fn open(&self) -> (Store, DomainStore) {
        let store = Store::open(Arc::clone(&self.blobs), &self.index()).unwrap();
        store.create_domain_keys(DOMAIN, &self.provider).unwrap();
        let domain = store.open_domain(DOMAIN, &self.provider).unwrap();
        (store, domain)
    }

    pub(super) fn lose_index(&self) {
        Index::remove_files(&self.index()).unwrap();
    }
}

/// A first backup of some objects of every kind, and a second in which some changed.
pub(super) fn two_backups() -> [Vec<Op>; 2] {
    let of = |content: u8| -> Vec<Op> {
        let mut ops = Vec::new();
        for kind in 0..TYPES.len() {
            if kind < WHOLE {
                ops.extend((0..5).map(|key| Op::Object {
                    kind,
                    parent: 0,
                    key,
                    content: if key == 0 { content } else { 0 },
                }));
            } else {
                let children = (content..5).map(|key| (key, content)).collect();
                ops.push(Op::Children {
                    kind,
                    parent: 1,
                    children,
                });
            }
            ops.push(Op::End {
                kind,
                complete: true,
            });
        }
        ops
    };
    [of(0), of(1)]
}

/// Whether the store is whole, and every snapshot in it is one that the model knows.
pub(super) fn is_whole(bench: &Bench, states: &[State]) -> usize {
    let (store, domain) = bench.open();
    let report = crate::check::check(&store, std::slice::from_ref(&domain), true, &Silent).unwrap();
    assert_eq!(report.problems, []);
    let snapshots = store.snapshots(DOMAIN).unwrap();
    let known: Vec<(SnapshotId, State)> = snapshots
        .iter()
        .rev()
        .zip(states)
        .map(|(info, state)| (info.id, state.clone()))
        .collect();
    assert_eq!(known.len(), snapshots.len());
    agrees(&store, &domain, &known, true);
    snapshots.len()
}

/// Snapshots of which each changes a little, with the states that they should hold.
pub(super) fn chain_of(domain: &DomainStore, steps: &[Vec<Op>]) -> Vec<(SnapshotId, State)> {
    let mut known: Vec<(SnapshotId, State)> = Vec::new();
    for ops in steps {
        let before = known
            .last()
            .map(|(_, state)| state.clone())
            .unwrap_or_default();
        let info = write(domain, ops, 1000).unwrap();
        known.push((info.id, model(&before, ops)));
    }
    known
}

/// Six backups with few changes each, after a first one.
pub(super) fn seven_backups() -> Vec<Vec<Op>> {
    let [first, _] = two_backups();
    let mut steps = vec![first];
    for step in 0..6u8 {
        let kind = usize::from(step) % TYPES.len();
        steps.push(vec![
            Op::Object {
                kind: 0,
                parent: 0,
                key: step % 5,
                content: step % 3 + 1,
            },
            Op::Gone {
                kind,
                parent: 1,
                key: 4,
            },
            Op::Children {
                kind: TYPES.len() - 1,
                parent: 1,
                children: (0..step % 5).map(|key| (key, 0)).collect(),
            },
        ]);
    }
    steps
}
