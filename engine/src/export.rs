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

/// What the file of one type will be: its objects, and the bytes of its lines with their ends.
///
/// A tar archive wants the size of a file before its content. Counting takes about half of what writing does.
///
/// # Errors
///
/// When the snapshot cannot be read, or it was cancelled.
pub fn size(
    reader: &SnapshotReader,
    object_type: ObjectType,
    monitor: &dyn Monitor,
) -> Result<(u64, u64), ExportError> {
    let (mut objects, mut bytes) = (0, 0);
    let read = reader.lengths(object_type, &mut |id, body| {
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        objects += 1;
        bytes += line_length(object_type, id, body) as u64 + 1;
        Ok(())
    });
    match read {
        Err(StoreError::Cancelled) => Err(ExportError::Cancelled),
        Err(error) => Err(ExportError::Store(error)),
        Ok(()) => Ok((objects, bytes)),
    }
}

/// The object as it is shown to people and exported: its body, or for a relation without one its two ends.
#[must_use]
pub fn shown(object_type: ObjectType, id: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len().max(64));
    put_shown(&mut out, object_type, id, body);
    out
}

fn put_shown(out: &mut Vec<u8>, object_type: ObjectType, id: &str, body: &[u8]) {
    if !body.is_empty() {
        return out.extend_from_slice(body);
    }
    let Some((parent, key)) = id.split_once('/') else {
        return out.extend_from_slice(b"{}");
    };
    // In the order of the keys, as all canonical objects are.
    let ends = match object_type.name() {
        "group_member" => [("{\"groupId\":", parent), (",\"userId\":", key)],
        _ => [("{\"id\":", key), (",\"parentId\":", parent)],
    };
    for (name, end) in ends {
        out.extend_from_slice(name.as_bytes());
        put_text(out, end);
    }
    out.push(b'}');
}

/// Writes a JSON string; ids hold nothing that must be escaped, names may.
fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(&Json::String(text.to_owned()).to_bytes());
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

fn line(object_type: ObjectType, id: &str, body: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(body.len() + 2 * id.len() + 64);
    line.extend_from_slice(LINE_START);
    put_text(&mut line, id);
    line.extend_from_slice(LINE_MIDDLE);
    put_shown(&mut line, object_type, id, body);
    line.push(b'}');
    line
}

const LINE_START: &[u8] = b"{\"id\":";
const LINE_MIDDLE: &[u8] = b",\"object\":";

/// The length of the [`line`] of an object whose body has `body` bytes.
fn line_length(object_type: ObjectType, id: &str, body: usize) -> usize {
    if body == 0 || !id.bytes().all(is_plain) {
        return line(object_type, id, b"").len()
            - usize::from(body > 0) * shown(object_type, id, b"").len()
            + body;
    }
    LINE_START.len() + id.len() + 2 + LINE_MIDDLE.len() + body + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_long_as_was_said_before() {
        for name in [
            "user",
            "group_member",
            "app_user",
            "linked_object_definition",
        ] {
            let object_type: ObjectType = name.parse().unwrap();
            for id in ["00u1", "00g1/00u2", "na\"me\\\u{1f600} x"] {
                for body in ["", "{}", r#"{"id":"00u1"}"#] {
                    assert_eq!(
                        line(object_type, id, body.as_bytes()).len(),
                        line_length(object_type, id, body.len()),
                        "{name} {id} {body}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_relation_without_a_body_is_shown_as_its_ends() {
        let shown = |name: &str| {
            let bytes = shown(name.parse().unwrap(), "00g1/00u2", b"");
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(
            shown("group_member"),
            r#"{"groupId":"00g1","userId":"00u2"}"#
        );
        assert_eq!(shown("app_user"), r#"{"id":"00u2","parentId":"00g1"}"#);
    }
}
