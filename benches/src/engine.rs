//! The engine by itself, fed from files as the other tools are: each command is one process, measured from outside.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Subcommand;
use orgkeep_engine::blobs::Local;
use orgkeep_engine::canonical::{Divider, Split};
use orgkeep_engine::catalogue::{self, IdRule, ObjectType};
use orgkeep_engine::check;
use orgkeep_engine::clock::{Clock, SystemClock};
use orgkeep_engine::export::export;
use orgkeep_engine::id::DomainId;
use orgkeep_engine::keys::FileProvider;
use orgkeep_engine::monitor::Silent;
use orgkeep_engine::object::{Batch, Canonical, Coverage, Sink};
use orgkeep_engine::store::{DomainStore, SnapshotWriter, Store};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What the engine is to do with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a snapshot of a whole org from `DUMP/TYPE.ndjson`
    Ingest {
        /// Where the files are
        dump: PathBuf,
        /// The parents of the objects whose ids do not tell
        parents: PathBuf,
    },
    /// Makes a snapshot from what changed alone
    Changes {
        /// Where the files are
        changes: PathBuf,
        /// The parents of the objects whose ids do not tell
        parents: PathBuf,
    },
    /// Prints one object of the snapshot of this number, the first being 1
    Read {
        snapshot: usize,
        object_type: ObjectType,
        id: String,
    },
    /// Checks the store and every byte in it
    Check,
    /// Writes a snapshot out as files
    Export { snapshot: usize, output: PathBuf },
}

/// The one domain of such a store.
const DOMAIN: DomainId = DomainId::from_bytes([7; 8]);

/// Objects without a parent are handed over in batches of so many, as from a page.
const BATCH_MAX: usize = 200;

/// One line of a dump, or of a day's changes.
#[derive(Debug)]
struct Line<'a> {
    id: Cow<'a, str>,
    object: Option<&'a str>,
    observed: Option<&'a str>,
}

/// The same, as serde sees it.
#[derive(Debug, Deserialize)]
struct AnyLine<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    observed: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> anyhow::Result<Self> {
        if let Some((id, object)) = plain_line(text) {
            return Ok(Self {
                id: Cow::Borrowed(id),
                object: Some(object),
                observed: None,
            });
        }
        let line: AnyLine<'_> = serde_json::from_str(text)?;
        Ok(Self {
            id: line.id,
            object: line.object.map(RawValue::get),
            observed: line.observed.map(RawValue::get),
        })
    }
}

/// The id and the object of a line `{"id":"…","object":…}`, as nearly all are; `None` of any other. Whether the object is JSON
/// is for who reads it next, so that it is read once.
fn plain_line(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_ascii_end().strip_prefix("{\"id\":\"")?;
    let (id, rest) = rest.split_once('"')?;
    let object = rest.strip_prefix(",\"object\":")?.strip_suffix('}')?;
    (!id.contains('\\') && !object.contains(",\"observed\":")).then_some((id, object))
}

/// Does it, in the store in `directory`.
pub(crate) fn run(directory: &Path, command: &Command) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let blobs = Local::open(&directory.join("blobs"))?;
    let store = Store::open(Arc::new(blobs), &directory.join("index.db"))?;
    let provider = FileProvider::open_or_create(&directory.join("kek"), false);
    store.create_domain_keys(DOMAIN, &provider)?;
    let domain = store.open_domain(DOMAIN, &provider)?;
    match command {
        Command::Ingest { dump, parents } => ingest(&domain, dump, &Parents::read(parents)?)?,
        Command::Changes { changes, parents } => {
            apply(&domain, changes, &Parents::read(parents)?)?;
        }
        Command::Read {
            snapshot,
            object_type,
            id,
        } => {
            let reader = domain.reader(nth(&store, *snapshot)?)?;
            let found = reader.get(*object_type, id)?.context("it is not there")?;
            std::io::stdout().write_all(&found.body)?;
        }
        Command::Check => {
            let report = check::check(&store, &[domain], true, &Silent)?;
            ensure!(report.problems.is_empty(), "the store is damaged");
        }
        Command::Export { snapshot, output } => {
            write_out(&domain, nth(&store, *snapshot)?, output)?;
        }
    }
    store.checkpoint_wal()?;
    Ok(())
}

fn nth(store: &Store, number: usize) -> anyhow::Result<orgkeep_engine::id::SnapshotId> {
    let snapshots = store.snapshots(DOMAIN)?;
    let found = snapshots.iter().rev().nth(number.saturating_sub(1));
    Ok(found.context("there is no such snapshot")?.id)
}

fn ingest(domain: &DomainStore, dump: &Path, parents: &Parents) -> anyhow::Result<()> {
    let mut writer = domain.begin(&Silent, SystemClock.now())?;
    let mut divider = Divider::default();
    for object_type in catalogue::all() {
        let Some(mut file) = open(dump, object_type)? else {
            continue;
        };
        let mut text = String::new();
        let mut batch = Batch::new(object_type, None);
        while next(&mut file, &mut text)? {
            let line = Line::read(&text)?;
            if Parents::is_needed(object_type) {
                writer.object(object(object_type, &line, parents, &mut divider)?)?;
                continue;
            }
            // The children of one parent follow each other in a sorted file.
            let parent = parent_of(object_type, &line.id);
            let goes_on = match parent {
                Some(parent) => batch.parent() == Some(parent),
                None => batch.len() < BATCH_MAX,
            };
            if !goes_on {
                hand_over(&mut writer, &batch)?;
                batch = Batch::new(object_type, parent);
            }
            push(&mut batch, &line, &mut divider)?;
        }
        hand_over(&mut writer, &batch)?;
        writer.end_type(object_type, Coverage::Complete)?;
    }
    writer.finish(SystemClock.now(), Vec::new())?;
    Ok(())
}

/// The parent of an object whose id tells it.
fn parent_of(object_type: ObjectType, id: &str) -> Option<&str> {
    let tells = matches!(object_type.entry().id, IdRule::UnderParent(_));
    let (parent, _) = id.split_once('/').filter(|_| tells)?;
    Some(parent)
}

fn hand_over(writer: &mut SnapshotWriter<'_>, batch: &Batch) -> anyhow::Result<()> {
    match batch.parent() {
        _ if batch.is_empty() => {}
        Some(parent) => writer.list(parent, batch)?,
        None => writer.objects(batch)?,
    }
    Ok(())
}

fn push(batch: &mut Batch, line: &Line<'_>, divider: &mut Divider) -> anyhow::Result<()> {
    let object_type = batch.object_type();
    let object = line.object.context("a line without object")?;
    if object_type.entry().bare_relation {
        // It says nothing beyond its id, and is not read.
        let _: IgnoredAny = serde_json::from_str(object)?;
    }
    batch.push(&line.id, |out| {
        let start = out.len();
        let body_bytes = divider.divide_into(object_type, object.as_bytes(), out)?;
        if let Some(observed) = line.observed {
            out.truncate(start + body_bytes);
            out.extend_from_slice(observed.as_bytes());
        }
        anyhow::Ok(body_bytes)
    })
}

fn apply(domain: &DomainStore, changes: &Path, parents: &Parents) -> anyhow::Result<()> {
    let mut writer = domain.begin(&Silent, SystemClock.now())?;
    let mut divider = Divider::default();
    for object_type in catalogue::all() {
        let Some(mut file) = open(changes, object_type)? else {
            continue;
        };
        let mut text = String::new();
        while next(&mut file, &mut text)? {
            let line = Line::read(&text)?;
            if line.object.is_some() {
                writer.object(object(object_type, &line, parents, &mut divider)?)?;
            } else {
                writer.gone(object_type, &line.id)?;
            }
        }
    }
    writer.finish(SystemClock.now(), Vec::new())?;
    Ok(())
}

fn open(directory: &Path, object_type: ObjectType) -> anyhow::Result<Option<BufReader<File>>> {
    let path = directory.join(format!("{}.ndjson", object_type.name()));
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(BufReader::with_capacity(1 << 18, File::open(path)?)))
}

fn next(file: &mut BufReader<File>, text: &mut String) -> anyhow::Result<bool> {
    text.clear();
    Ok(file.read_line(text)? > 0)
}

fn object(
    object_type: ObjectType,
    line: &Line<'_>,
    parents: &Parents,
    divider: &mut Divider,
) -> anyhow::Result<Canonical> {
    let raw = line.object.context("a line without object")?;
    let Split { body, observed } = divider.divide(object_type, raw.as_bytes())?;
    let parent = match parent_of(object_type, &line.id) {
        Some(parent) => Some(parent.to_owned()),
        None => parents.of(object_type, &line.id),
    };
    let observed = match line.observed {
        Some(observed) => observed.as_bytes().to_vec(),
        None => observed,
    };
    Ok(Canonical {
        object_type,
        id: line.id.clone().into_owned(),
        parent,
        body,
        observed,
    })
}

fn write_out(
    domain: &DomainStore,
    snapshot: orgkeep_engine::id::SnapshotId,
    output: &Path,
) -> anyhow::Result<()> {
    fs::create_dir_all(output)?;
    let reader = domain.reader(snapshot)?;
    let types: Vec<ObjectType> = catalogue::all().filter(|t| reader.count(*t) > 0).collect();
    let mut files = BTreeMap::new();
    for object_type in &types {
        let file = File::create(output.join(format!("{}.ndjson", object_type.name())))?;
        files.insert(*object_type, BufWriter::with_capacity(1 << 18, file));
    }
    let mut failed = None;
    export(&reader, &types, &Silent, &mut |lines| {
        let file = files
            .get_mut(&lines.object_type)
            .ok_or(orgkeep_engine::diff::Stop)?;
        file.write_all(&lines.text).map_err(|error| {
            failed = Some(error);
            orgkeep_engine::diff::Stop
        })
    })?;
    for file in files.values_mut() {
        file.flush()?;
    }
    Ok(())
}

/// The parents of the objects whose ids do not hold them (rules of policies, scopes of servers), which a dump leaves out.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    by_id: HashMap<(String, String), String>,
}

impl Parents {
    /// Whether the parent of such objects has to be told.
    pub(crate) fn is_needed(object_type: ObjectType) -> bool {
        object_type.has_parent() && !matches!(object_type.entry().id, IdRule::UnderParent(_))
    }

    /// Keeps what can be kept of an object.
    pub(crate) fn note(&mut self, object: Canonical) {
        if let Some(parent) = object.parent {
            let name = object.object_type.name().to_owned();
            self.by_id.insert((name, object.id), parent);
        }
    }

    fn of(&self, object_type: ObjectType, id: &str) -> Option<String> {
        if !object_type.has_parent() {
            return None;
        }
        let key = (object_type.name().to_owned(), id.to_owned());
        self.by_id.get(&key).cloned()
    }

    /// Reads what [`write`](Self::write) wrote.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)?;
        let by_id = text.lines().filter_map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            Some(((fields.next()?, fields.next()?), fields.next()?))
        });
        Ok(Self {
            by_id: by_id.collect(),
        })
    }

    /// Writes them, one a line.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for ((object_type, id), parent) in &self.by_id {
            writeln!(file, "{object_type}\t{id}\t{parent}")?;
        }
        Ok(file.flush()?)
    }
}

impl Sink for Parents {
    type Error = std::convert::Infallible;

    fn object(&mut self, object: Canonical) -> Result<(), Self::Error> {
        self.note(object);
        Ok(())
    }

    fn children(
        &mut self,
        _object_type: ObjectType,
        _parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), Self::Error> {
        children.into_iter().for_each(|child| self.note(child));
        Ok(())
    }

    fn gone(&mut self, _object_type: ObjectType, _id: &str) -> Result<(), Self::Error> {
        Ok(())
    }

    fn end_type(
        &mut self,
        _object_type: ObjectType,
        _coverage: Coverage,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
