//! The store, its check and its rebuild.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/store`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreStatus {
    /// Where the blobs are.
    pub location: String,
    /// `local`, or the object store's region.
    pub region: String,
    /// Blobs of every kind.
    pub blobs: u64,
    /// Packs among them.
    pub packs: u64,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the index's write-ahead log.
    pub wal_bytes: u64,
    /// Snapshots of all domains.
    pub snapshots: u64,
    /// Each domain's part.
    pub domains: Vec<StoreDomain>,
}

/// One domain's part of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreDomain {
    /// The domain's name; its internal id where it is not registered any more.
    pub domain: String,
    /// Its snapshots.
    pub snapshots: u64,
    /// Bytes of its blobs.
    pub bytes: u64,
}

/// `POST /v1/store/check`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartCheck {
    /// Whether to open every byte, instead of checking that every name resolves.
    #[serde(default)]
    pub read_data: bool,
}

/// The result of a check, in its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// Packs looked at.
    pub packs: u64,
    /// Chunks looked at.
    pub chunks: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<CheckProblem>,
}

/// One thing that is wrong in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckProblem {
    /// The blob that is damaged, missing or foreign.
    pub blob: String,
    /// What is wrong with it.
    pub what: String,
    /// The objects whose versions it holds.
    pub objects: Vec<ObjectName>,
}

/// An object by type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectName {
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
}
