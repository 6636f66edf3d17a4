//! Binds blobs, index and keys together.

mod types;

pub use types::{
    Change, ChangeKind, Comparison, DomainStats, Loss, SnapshotInfo, StoreStats, Stored, VersionInfo,
};
