//! Writes a snapshot out as plain objects, one by one.
//!
//! Each object becomes one line, `{"id":…,"object":…}`, for the file `TYPE.ndjson`. The object is as it was
//! backed up, with the ids Okta gave. A relation that says nothing beyond its two ends is shown as those
//! ends: `{"groupId":"00g…","userId":"00u…"}` for a membership.

use crate::canonical::Json;
use crate::catalogue::ObjectType;
use crate::diff::Stop;
use crate::monitor::{Monitor, Progress};
use crate::store::{SnapshotReader, StoreError, Stored};

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

/// Why an export did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The snapshot cannot be read.
    #[error("the snapshot cannot be read")]
    Store(#[source] StoreError),
    /// Whoever takes the objects wants no more of them.
    #[error("the reader of the export has gone")]
    Stopped,
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Gives every object of the given types, type by type in the order given.
///
/// # Errors
///
/// When the snapshot cannot be read, it was cancelled, or `take` wants no more.
///
/// Gives how many objects were left out because their contents are lost; each is a warning.
pub fn export(
    reader: &SnapshotReader,
    types: &[ObjectType],
    monitor: &dyn Monitor,
    take: &mut dyn FnMut(ExportItem) -> Result<(), Stop>,
) -> Result<u64, ExportError> {
    let mut lost = 0;
    monitor.report(Progress::Phase {
        name: "exporting",
        total: Some(types.iter().map(|t| reader.count(*t)).sum()),
    });
    for object_type in types {
        let mut ended = None;
        let mut see = |stored: Stored| {
            if ended.is_some() {
                return Ok(());
            }
            if monitor.is_cancelled() {
                ended = Some(ExportError::Cancelled);
                return Ok(());
            }
            let line = line(*object_type, &stored.id, &stored.body);
            if take(ExportItem {
                object_type: *object_type,
                id: stored.id,
                line,
            })
            .is_err()
            {
                ended = Some(ExportError::Stopped);
            }
            monitor.report(Progress::Done {
                object_type: Some(*object_type),
                count: 1,
            });
            Ok(())
        };
        let read = reader.for_each_or_lost(*object_type, &mut see, &mut |id, _| {
            lost += 1;
            monitor.report(Progress::Warning(format!(
                "{object_type} {id} was left out: its content in this snapshot is lost"
            )));
            Ok(())
        });
        match ended {
            Some(error) => return Err(error),
            None => read.map_err(ExportError::Store)?,
        }
    }
    Ok(lost)
}

/// The object as it is shown to people and exported: its body, or for a relation without one its two ends.
#[must_use]
pub fn shown(object_type: ObjectType, id: &str, body: &[u8]) -> Vec<u8> {
    if !body.is_empty() {
        return body.to_vec();
    }
    let Some((parent, key)) = id.split_once('/') else {
        return b"{}".to_vec();
    };
    let (near, far) = match object_type.name() {
        "group_member" => ("groupId", "userId"),
        _ => ("parentId", "id"),
    };
    let text = |text: &str| Json::String(text.to_owned());
    Json::Object(
        [(near.to_owned(), text(parent)), (far.to_owned(), text(key))]
            .into_iter()
            .collect(),
    )
    .to_bytes()
}

fn line(object_type: ObjectType, id: &str, body: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(body.len() + 64);
    line.extend_from_slice(b"{\"id\":");
    line.extend_from_slice(&Json::String(id.to_owned()).to_bytes());
    line.extend_from_slice(b",\"object\":");
    line.extend_from_slice(&shown(object_type, id, body));
    line.push(b'}');
    line
}
