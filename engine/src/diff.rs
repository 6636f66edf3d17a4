//! What is different between two snapshots, or between a snapshot and the org as it is now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::ObjectType;
use crate::plan::{AttributeChange, type_name};

/// What happened to an object between the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// It is only on the later side.
    Added,
    /// It is only on the earlier side.
    Removed,
    /// It is on both sides, with other values.
    Changed,
}

/// One object that is different, as the interface shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// What happened to it.
    pub change: DiffKind,
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// Its id.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// Attribute by attribute, where that was asked for.
    pub attributes: Option<Vec<AttributeChange>>,
    /// Who did it, where known.
    pub actor: Option<String>,
    /// When, where known.
    pub at: Option<Timestamp>,
}
