//! Writes a snapshot out as plain objects, one by one.

use crate::catalogue::ObjectType;

/// One exported object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportItem {
    /// The type: it goes into the file `TYPE.ndjson`.
    pub object_type: ObjectType,
    /// The object's id, as the interface writes it.
    pub id: String,
    /// The line without its end: `{"id":…,"object":…}`.
    pub line: Vec<u8>,
}
