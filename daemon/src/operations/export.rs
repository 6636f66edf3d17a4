//! The export job: a tar archive of plain files, streamed to whoever fetches it. Nothing plain touches the disk.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orgkeep_api::snapshot::StartExport;
use orgkeep_engine::catalogue::{self, ObjectType};
use orgkeep_engine::clock::Clock;
use orgkeep_engine::diff::Stop;
use orgkeep_engine::export;
use orgkeep_engine::id::SnapshotId;
use orgkeep_engine::monitor::Monitor;
use orgkeep_engine::store::SnapshotReader;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;

use super::{domain, result};
use crate::app::App;
use crate::jobs::{Done, ExportSink, Failure, Live};
use crate::problem::Problem;
use crate::settings;

/// What an export wrote.
#[derive(Debug, Serialize)]
struct Exported {
    snapshot: String,
    objects: u64,
    by_type: BTreeMap<String, u64>,
    /// Objects that were left out: their contents are lost, and the warnings name them.
    lost: u64,
}

pub(super) fn run(app: &Arc<App>, live: &Arc<Live>) -> Result<Done, Failure> {
    let domain = domain(app, live)?;
    let params = live.params(app)?;
    let asked: StartExport = serde_json::from_slice(&params)
        .map_err(|error| Problem::internal("The job's parameters cannot be read", &error))?;
    let snapshot: SnapshotId = asked
        .snapshot
        .parse()
        .map_err(|_| Problem::not_found(format_args!("snapshot `{}`", asked.snapshot)))?;
    let reader = app.stores.domain(app, domain.id)?.reader(snapshot)?;
    let types = if asked.types.is_empty() {
        catalogue::all().collect()
    } else {
        settings::object_types(&asked.types).map_err(|error| Problem::invalid(error.to_string()))?
    };
    let sink = live.sink().ok_or_else(reader_gone)?;
    let mut archive = tar::Builder::new(Pieces {
        sink,
        live,
        clock: &*app.clock,
        buffer: Vec::new(),
    });
    let mut by_type = BTreeMap::new();
    let mut lost = 0;
    for object_type in types {
        if reader.count(object_type) > 0 {
            let (count, lost_of_type) = write_type(app, live, &reader, object_type, &mut archive)?;
            lost += lost_of_type;
            by_type.insert(object_type.name().to_owned(), count);
        }
    }
    archive
        .into_inner()
        .and_then(|mut pieces| pieces.flush())
        .map_err(|_| reader_gone())?;
    Ok(Done {
        result: result(&Exported {
            snapshot: snapshot.to_string(),
            objects: by_type.values().sum(),
            by_type,
            lost,
        }),
        with_errors: lost > 0,
        items: Vec::new(),
    })
}

/// One file of the archive; gives how many objects it holds, and how many are lost. Its header needs its size, so the type is walked twice: once to count,
/// which is cheap, once to write.
fn write_type(
    app: &App,
    live: &Live,
    reader: &SnapshotReader,
    object_type: ObjectType,
    archive: &mut tar::Builder<Pieces<'_>>,
) -> Result<(u64, u64), Failure> {
    let counted = export::size(reader, object_type, live);
    let (count, size) = match counted {
        Err(_) if live.is_cancelled() => return Err(Failure::Cancelled),
        counted => counted?,
    };
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(app.clock.now().as_second().unsigned_abs());
    let name = format!("{}.ndjson", object_type.name());
    header
        .set_path(&name)
        .map_err(|error| Problem::internal("The archive could not be written", &error))?;
    header.set_cksum();
    let pieces = archive.get_mut();
    pieces
        .write_all(header.as_bytes())
        .map_err(|_| reader_gone())?;
    let mut written = 0u64;
    let lost = walk(live, reader, object_type, &mut |lines| {
        written += lines.len() as u64;
        pieces.pass_on(lines)
    })?;
    if written != size {
        return Err(Problem::new(
            "internal",
            "The snapshot changed while it was exported. Export it again.",
        )
        .into());
    }
    let odd = usize::try_from(size % TAR_BLOCK.len() as u64).unwrap_or(0);
    if odd > 0 {
        let padding = TAR_BLOCK.get(odd..).unwrap_or_default();
        pieces.write_all(padding).map_err(|_| reader_gone())?;
    }
    Ok((count, lost))
}

/// A block of a tar archive: files end on whole ones.
const TAR_BLOCK: [u8; 512] = [0; 512];

/// Gives the lines of a type's file, many at a time; tells how many objects are lost.
fn walk(
    monitor: &dyn Monitor,
    reader: &SnapshotReader,
    object_type: ObjectType,
    write: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<u64, Failure> {
    let walked = export::export(reader, &[object_type], monitor, &mut |lines| {
        write(lines.text).map_err(|_| Stop)
    });
    match walked {
        Err(_) if monitor.is_cancelled() => Err(Failure::Cancelled),
        walked => Ok(walked?),
    }
}

fn reader_gone() -> Problem {
    Problem::new(
        "interrupted",
        "Whoever fetched the export went away before its end. Ask for another one.",
    )
}

/// Passes the archive on in pieces of some size.
struct Pieces<'a> {
    sink: ExportSink,
    live: &'a Live,
    clock: &'a dyn Clock,
    buffer: Vec<u8>,
}

/// How long to wait for a slow reader before looking again.
const READER_WAIT: Duration = Duration::from_millis(10);

/// What is smaller is gathered until it is this large, in bytes; what is larger is passed on as it is.
const PIECE_BYTES: usize = export::LINES_BYTES / 2;

impl Pieces<'_> {
    /// Writes what is no longer needed where it is.
    fn pass_on(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.len() < PIECE_BYTES {
            return self.write_all(&bytes);
        }
        self.flush()?;
        self.send(bytes)
    }

    fn send(&self, bytes: Vec<u8>) -> io::Result<()> {
        let mut piece = Ok(Bytes::from(bytes));
        loop {
            piece = match self.sink.try_send(piece) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(piece)) => piece,
            };
            // A reader that stands still must not keep the job from being cancelled.
            if self.live.is_cancelled() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.clock.sleep(READER_WAIT);
        }
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.buffer);
        self.send(piece)
    }
}
