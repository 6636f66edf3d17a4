//! The stored formats, read by a second reader that was written from the modules' documentation alone.
//!
//! It takes the stores that earlier versions left behind (`tests/fixtures`) apart byte by byte, puts every snapshot together again and compares
//! the result with what those versions exported. It shares the catalogue with the engine, and nothing else. So a format cannot
//! change without its documentation, and what stands there is enough to get at the data.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use jiff::Timestamp;
use orgkeep_engine::catalogue::{IdRule, ObjectType};
use serde_json::Value;

type Id8 = [u8; 8];
/// Parent's number and key's number.
type Key = (u32, u32);

/// `codec`: the parts that formats are made of.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn id(&mut self) -> Id8 {
        self.take(8).try_into().unwrap()
    }

    fn fixed32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    /// Seven bits a byte, lowest first, the top bit set on all but the last.
    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return value;
            }
            shift += 7;
        }
    }

    fn number(&mut self) -> usize {
        self.varint().try_into().unwrap()
    }

    /// 0, -1, 1, -2 … as 0, 1, 2, 3 …
    fn signed(&mut self) -> i64 {
        let coded = i128::from(self.varint());
        let value = if coded % 2 == 0 {
            coded / 2
        } else {
            -(coded + 1) / 2
        };
        value.try_into().unwrap()
    }

    fn sized(&mut self) -> &'a [u8] {
        let length = self.number();
        self.take(length)
    }

    fn differences(&mut self, count: usize) -> Vec<u32> {
        let mut last = 0;
        let mut next = || {
            last += self.signed();
            u32::try_from(last).unwrap()
        };
        (0..count).map(|_| next()).collect()
    }

    fn end(self) {
        assert!(self.0.is_empty(), "{} bytes are left", self.0.len());
    }
}

/// Nonce (24 bytes) and sealed bytes: XChaCha20-Poly1305.
fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (nonce, sealed) = sealed.split_first_chunk::<24>().unwrap();
    let payload = Payload { msg: sealed, aad };
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(&XNonce::from(*nonce), payload).unwrap()
}

fn unpack(length: usize, frame: &[u8]) -> Vec<u8> {
    let plain = zstd::bulk::decompress(frame, length).unwrap();
    assert_eq!(plain.len(), length);
    plain
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `keys`: the keys of one epoch, from the envelope at `DOMAIN/keys/N`.
struct Keys {
    epoch: u32,
    chunk: [u8; 32],
    record: [u8; 32],
}

fn keys(kek: &[u8; 32], domain: &Id8, envelope: &[u8]) -> Vec<Keys> {
    let aad = joined(&[b"orgkeep domain keys 1", domain]);
    let mut from = Bytes(envelope);
    assert_eq!(from.take(8), b"ORGKENV\x01");
    let length = u16::from_le_bytes(from.take(2).try_into().unwrap());
    let wrapped = from.take(length.into());
    assert_eq!(wrapped[0], 1);
    let data_key: [u8; 32] = open(kek, &aad, &wrapped[1..]).try_into().unwrap();
    let plain = open(&data_key, &aad, from.0);
    let mut from = Bytes(&plain);
    assert_eq!(from.byte(), 1);
    let _identity_key = from.take(32);
    let epochs = from.fixed32();
    let mut keys = Vec::new();
    for _ in 0..epochs {
        let epoch = from.fixed32();
        let data: [u8; 32] = from.take(32).try_into().unwrap();
        keys.push(Keys {
            epoch,
            chunk: blake3::derive_key("orgkeep 2026-11 chunk key", &data),
            record: blake3::derive_key("orgkeep 2026-11 record key", &data),
        });
    }
    from.end();
    keys
}

/// A domain's blobs, with what is needed to open them.
struct Domain {
    id: Id8,
    directory: PathBuf,
    keys: Vec<Keys>,
}

/// `record`.
#[derive(Debug, Default)]
struct Record {
    sequence: u64,
    parent: Option<Id8>,
    ids_first: u64,
    ids: Vec<String>,
    packs: Vec<Id8>,
    counts: BTreeMap<u64, u64>,
    types: Vec<TypeDelta>,
}

#[derive(Debug, Default)]
struct TypeDelta {
    code: u64,
    /// Pack by its place in the record, chunk, first ordinal, rows.
    runs: Vec<[usize; 4]>,
    removed: Vec<Key>,
    related: Vec<Key>,
    /// Pack and chunk.
    observations: Vec<(usize, usize)>,
}

fn key_list(from: &mut Bytes<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut parent = 0;
    for _ in 0..from.number() {
        parent += u32::try_from(from.varint()).unwrap();
        let count = from.number();
        keys.extend(from.differences(count).into_iter().map(|key| (parent, key)));
    }
    keys
}

fn record(from: &mut Bytes<'_>) -> Record {
    assert_eq!(from.byte(), 1);
    let mut record = Record {
        sequence: from.varint(),
        parent: (from.byte() == 1).then(|| from.id()),
        ..Record::default()
    };
    let (_created_at, _as_of) = (from.signed(), from.signed());
    let _watermark = from.sized();
    record.ids_first = from.varint();
    for _ in 0..from.number() {
        let coded = from.number();
        let text = from.take(coded / 2);
        record.ids.push(String::from_utf8(text.to_vec()).unwrap());
    }
    for _ in 0..from.number() {
        record.packs.push(from.id());
        from.varint();
    }
    let _bytes_of_new_packs = from.varint();
    for _ in 0..from.number() {
        let (_code, state, _text) = (from.varint(), from.byte(), from.sized());
        assert!(state <= 3);
    }
    for _ in 0..from.number() {
        let code = from.varint();
        record.counts.insert(code, from.varint());
    }
    for _ in 0..from.number() {
        let mut of_type = TypeDelta {
            code: from.varint(),
            ..TypeDelta::default()
        };
        for _ in 0..from.number() {
            of_type.runs.push([(); 4].map(|()| from.number()));
        }
        of_type.removed = key_list(from);
        of_type.related = key_list(from);
        for _ in 0..from.number() {
            let _bucket = from.varint();
            of_type.observations.push((from.number(), from.number()));
            let _digest = from.take(16);
        }
        record.types.push(of_type);
    }
    record
}

/// `pack`: kind, type, offset and length of each chunk.
struct Pack {
    bytes: Vec<u8>,
    epoch: u32,
    chunks: Vec<(u8, u16, usize, usize, usize)>,
}

impl Domain {
    fn key(&self, epoch: u32) -> &Keys {
        self.keys.iter().find(|keys| keys.epoch == epoch).unwrap()
    }

    /// The names and bytes of the blobs in one of the domain's directories.
    fn blobs(&self, of: &str) -> BTreeMap<Id8, Vec<u8>> {
        let directory = self.directory.join(of);
        let Ok(entries) = fs::read_dir(directory) else {
            return BTreeMap::new();
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (id_of(&path), fs::read(&path).unwrap()))
            .collect()
    }

    /// A record, checkpoint or marker: magic, epoch, nonce and sealed bytes.
    fn open(&self, magic: &[u8; 8], label: &str, snapshot: &Id8, blob: &[u8]) -> Vec<u8> {
        let mut from = Bytes(blob);
        assert_eq!(from.take(8), magic);
        let keys = self.key(from.fixed32());
        let aad = joined(&[label.as_bytes(), &self.id, snapshot]);
        open(&keys.record, &aad, from.0)
    }

    /// What a record or a checkpoint is compressed into.
    fn open_packed(&self, magic: &[u8; 8], label: &str, snapshot: &Id8, blob: &[u8]) -> Vec<u8> {
        let packed = self.open(magic, label, snapshot, blob);
        let mut from = Bytes(&packed);
        let length = from.number();
        unpack(length, from.0)
    }

    fn record(&self, snapshot: &Id8, blob: &[u8]) -> Record {
        let plain = self.open_packed(b"ORGKREC\x01", "orgkeep record 1", snapshot, blob);
        let mut from = Bytes(&plain);
        let record = record(&mut from);
        from.end();
        record
    }

    fn pack(&self, id: &Id8, bytes: Vec<u8>) -> Pack {
        let mut from = Bytes(&bytes);
        assert_eq!(from.take(8), b"ORGKPAK\x01");
        let epoch = from.fixed32();
        let rest = from.0;
        assert_eq!(&rest[rest.len() - 8..], b"ORGKDIR\x01");
        let end = rest.len() - 12;
        let length = Bytes(&rest[end..]).fixed32();
        let sealed = &rest[end - usize::try_from(length).unwrap()..end];
        let aad = joined(&[b"orgkeep directory 1", &self.id, id]);
        let plain = open(&self.key(epoch).chunk, &aad, sealed);
        let mut from = Bytes(&plain);
        assert_eq!(from.byte(), 1);
        let mut offset = 12;
        let mut chunks = Vec::new();
        for _ in 0..from.number() {
            let (kind, code) = (from.byte(), u16::try_from(from.varint()).unwrap());
            let (length, rows) = (from.number(), from.number());
            assert!(matches!(kind, 1 | 2));
            chunks.push((kind, code, offset, length, rows));
            offset += length;
        }
        from.end();
        assert_eq!(offset + sealed.len() + 12, bytes.len());
        Pack {
            epoch,
            chunks,
            bytes,
        }
    }

    /// The rows of a chunk: its key and its body.
    fn chunk(&self, id: &Id8, pack: &Pack, place: usize, ids: &[String]) -> Vec<(Key, String)> {
        let (kind, code, offset, length, rows) = pack.chunks[place];
        let place = u8::try_from(place).unwrap();
        assert!(place < 0x80, "one byte of a varint");
        let aad = joined(&[
            b"orgkeep chunk 1",
            &self.id,
            id,
            &[place, kind],
            &code.to_le_bytes(),
        ]);
        let sealed = &pack.bytes[offset..offset + length];
        let found = chunk_rows(&open(&self.key(pack.epoch).chunk, &aad, sealed), ids);
        assert_eq!(found.len(), rows);
        found
    }
}

/// `chunk`.
fn chunk_rows(bytes: &[u8], ids: &[String]) -> Vec<(Key, String)> {
    let mut from = Bytes(bytes);
    assert_eq!(from.byte(), 1);
    let length = from.number();
    let plain = unpack(length, from.0);
    let mut from = Bytes(&plain);
    let count = from.number();
    let parents = from.differences(count);
    let keys = from.differences(count);
    let templates: Vec<&[u8]> = (0..from.number()).map(|_| from.sized()).collect();
    let template_of: Vec<usize> = (0..count).map(|_| from.number()).collect();
    let mut columns: Vec<Vec<std::vec::IntoIter<Cell>>> = Vec::new();
    for template in &templates {
        let mut of_template = Vec::new();
        let mut before: Option<Vec<Option<i64>>> = None;
        for _ in template.iter().filter(|byte| **byte == 1) {
            of_template.push(
                match from.byte() {
                    0 => texts(from.sized()),
                    1 => {
                        let times = times(from.sized(), before.as_deref());
                        before = Some(times.clone());
                        times.into_iter().map(Cell::Time).collect::<Vec<_>>()
                    }
                    kind => unreachable!("a column of kind {kind}"),
                }
                .into_iter(),
            );
        }
        columns.push(of_template);
    }
    from.end();
    let name = |number: u32| &ids[usize::try_from(number).unwrap()];
    let mut rows = Vec::new();
    for (row, template) in template_of.into_iter().enumerate() {
        let (parent, key) = (parents[row], keys[row]);
        let mut body = Vec::new();
        let mut cells = columns[template]
            .iter_mut()
            .map(|column| column.next().unwrap());
        for byte in templates[template] {
            if *byte != 1 {
                body.push(*byte);
                continue;
            }
            let text = match cells.next().unwrap() {
                Cell::Time(None) => "null".to_owned(),
                Cell::Time(Some(moment)) => {
                    let moment = Timestamp::from_millisecond(moment).unwrap();
                    format!("\"{moment:.3}\"")
                }
                Cell::Other(text) => text,
                Cell::Text(text) if text == "\u{2}" => format!("\"{}\"", name(key)),
                Cell::Text(text) if text == "\u{3}" => format!("\"{}\"", name(parent)),
                Cell::Text(text) => format!("\"{text}\""),
            };
            body.extend_from_slice(text.as_bytes());
        }
        rows.push(((parent, key), String::from_utf8(body).unwrap()));
    }
    rows
}

#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Other(String),
    Time(Option<i64>),
}

fn texts(mut column: &[u8]) -> Vec<Cell> {
    let mut cells = Vec::new();
    while let Some(end) = column.iter().position(|byte| *byte < 2) {
        let text = String::from_utf8(column[..end].to_vec()).unwrap();
        cells.push(if column[end] == 0 {
            Cell::Text(text)
        } else {
            Cell::Other(text)
        });
        column = &column[end + 1..];
    }
    assert!(column.is_empty());
    cells
}

fn times(column: &[u8], before: Option<&[Option<i64>]>) -> Vec<Option<i64>> {
    let mut from = Bytes(column);
    let flags = from.byte();
    let smallest = from.signed();
    let width = from.number();
    let count = from.0.len() / width;
    let planes: Vec<&[u8]> = (0..width).map(|_| from.take(count)).collect();
    from.end();
    (0..count)
        .map(|place| {
            let coded = (0..width).rev().fold(0i64, |value, plane| {
                value << 8 | i64::from(planes[plane][place])
            });
            let above = coded - 1;
            (above >= 0).then(|| {
                let unit = if flags & 2 == 0 { 1 } else { 1000 };
                let base = if flags & 1 == 0 {
                    0
                } else {
                    before.unwrap()[place].unwrap()
                };
                base + (smallest + above) * unit
            })
        })
        .collect()
}

/// What is there of each type: a body, or none for a relation without one.
type State = BTreeMap<u64, BTreeMap<Key, Option<String>>>;

fn apply(
    domain: &Domain,
    packs: &BTreeMap<Id8, Pack>,
    ids: &[String],
    record: &Record,
    state: &mut State,
) {
    for of_type in &record.types {
        let objects = state.entry(of_type.code).or_default();
        for key in &of_type.removed {
            assert!(objects.remove(key).is_some(), "what is removed was there");
        }
        for key in &of_type.related {
            objects.insert(*key, None);
        }
        for [pack, chunk, first, rows] in &of_type.runs {
            let id = &record.packs[*pack];
            assert_eq!(u64::from(packs[id].chunks[*chunk].1), of_type.code);
            let found = domain.chunk(id, &packs[id], *chunk, ids);
            for (key, body) in &found[*first..first + rows] {
                objects.insert(*key, Some(body.clone()));
            }
        }
        for (pack, chunk) in &of_type.observations {
            let id = &record.packs[*pack];
            assert_eq!(packs[id].chunks[*chunk].0, 2, "a chunk of observations");
            domain.chunk(id, &packs[id], *chunk, ids);
        }
    }
}

/// The lines of an export, by file.
fn lines(state: &State, ids: &[String]) -> BTreeMap<String, Vec<String>> {
    let name = |number: u32| ids[usize::try_from(number).unwrap()].as_str();
    let mut files = BTreeMap::new();
    for (code, objects) in state {
        let object_type = ObjectType::from_code(u16::try_from(*code).unwrap()).unwrap();
        let under_parent = matches!(object_type.entry().id, IdRule::UnderParent(_));
        let lines = objects.iter().map(|((parent, key), body)| {
            let id = match under_parent {
                true => format!("{}/{}", name(*parent), name(*key)),
                false => name(*key).to_owned(),
            };
            let object = body.clone().unwrap_or_else(|| {
                format!(
                    r#"{{"groupId":"{}","userId":"{}"}}"#,
                    name(*parent),
                    name(*key)
                )
            });
            format!(r#"{{"id":"{id}","object":{object}}}"#)
        });
        files.insert(format!("{object_type}.ndjson"), lines.collect());
    }
    files
}

/// As `tests/fixtures/README.md` has it.
fn hash(mut files: BTreeMap<String, Vec<String>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, lines) in &mut files {
        lines.sort();
        hasher.update(format!("{name}\n").as_bytes());
        for line in lines {
            hasher.update(format!("{line}\n").as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

fn id_of(path: &Path) -> Id8 {
    let text = path.file_name().unwrap().to_str().unwrap();
    u64::from_str_radix(text, 16).unwrap().to_be_bytes()
}

fn hex(id: &Id8) -> String {
    format!("{:016x}", u64::from_be_bytes(*id))
}

/// Reads one domain of a fixture; gives the export of each snapshot, and which are pinned and removed.
fn read(domain: &Domain) -> (BTreeMap<String, String>, BTreeSet<String>, BTreeSet<String>) {
    let packs: BTreeMap<Id8, Pack> = domain
        .blobs("packs")
        .into_iter()
        .map(|(id, bytes)| (id, domain.pack(&id, bytes)))
        .collect();
    let mut records: Vec<(Id8, Record)> = domain
        .blobs("records")
        .into_iter()
        .map(|(id, blob)| (id, domain.record(&id, &blob)))
        .collect();
    records.sort_by_key(|(_, record)| record.sequence);
    let checkpoints = domain.blobs("checkpoints");
    let (mut pinned, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for (snapshot, _) in &records {
        let directory = format!("markers/{}", hex(snapshot));
        let Some((_, newest)) = domain.blobs(&directory).pop_last() else {
            continue;
        };
        let plain = domain.open(b"ORGKMRK\x01", "orgkeep marker 1", snapshot, &newest);
        for (says, all) in plain.iter().zip([&mut pinned, &mut removed]) {
            if *says == 1 {
                all.insert(hex(snapshot));
            }
        }
    }

    let mut exports = BTreeMap::new();
    let mut state = State::new();
    let mut ids = vec![String::new()];
    let mut parent = None;
    for (snapshot, record) in &records {
        assert_eq!(record.parent, parent, "the chain of records is whole");
        parent = Some(*snapshot);
        assert_eq!(
            record.ids_first,
            ids.len() as u64,
            "ids are numbered from 1"
        );
        ids.extend(record.ids.iter().cloned());
        apply(domain, &packs, &ids, record, &mut state);
        for (code, count) in &record.counts {
            let found = state.get(code).map_or(0, BTreeMap::len);
            assert_eq!(found as u64, *count, "type {code}");
        }
        exports.insert(hex(snapshot), hash(lines(&state, &ids)));

        if let Some(blob) = checkpoints.get(snapshot) {
            let plain = domain.open_packed(b"ORGKCHP\x01", "orgkeep checkpoint 1", snapshot, blob);
            let mut from = Bytes(&plain);
            assert_eq!(from.byte(), 1);
            let before: Vec<(u64, Id8)> = (0..from.number())
                .map(|_| (from.varint(), from.id()))
                .collect();
            let earlier = records.iter().map(|(id, record)| (record.sequence, *id));
            let earlier: Vec<(u64, Id8)> = earlier
                .take_while(|(sequence, _)| *sequence < record.sequence)
                .collect();
            assert_eq!(before, earlier);
            let (_changes, _record_bytes) = (from.varint(), from.varint());
            let whole = self::record(&mut from);
            from.end();
            assert_eq!(whole.ids, ids[1..]);
            let mut alone = State::new();
            apply(domain, &packs, &ids, &whole, &mut alone);
            alone.retain(|_, objects| !objects.is_empty());
            let there: State = state
                .iter()
                .filter(|(_, objects)| !objects.is_empty())
                .map(|(code, objects)| (*code, objects.clone()))
                .collect();
            assert_eq!(alone, there, "a checkpoint is what the records come to");
        }
    }
    (exports, pinned, removed)
}

#[test]
fn what_the_documentation_says_is_enough_to_read_every_store() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let mut read_stores = 0;
    for entry in fs::read_dir(fixtures).unwrap() {
        let fixture = entry.unwrap().path();
        let Ok(packed) = File::open(fixture.join("store.tar.zst")) else {
            continue;
        };
        let data = tempfile::tempdir().unwrap();
        let plain = zstd::stream::read::Decoder::new(packed).unwrap();
        tar::Archive::new(plain).unpack(data.path()).unwrap();
        let kek: [u8; 32] = fs::read(data.path().join("keys/kek"))
            .unwrap()
            .try_into()
            .unwrap();
        let expected = fs::read_to_string(fixture.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        for entry in fs::read_dir(data.path().join("store")).unwrap() {
            let directory = entry.unwrap().path();
            if directory.ends_with("meta") {
                continue;
            }
            let id = id_of(&directory);
            let newest = fs::read_dir(directory.join("keys"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .max()
                .unwrap();
            let domain = Domain {
                id,
                keys: keys(&kek, &id, &fs::read(newest).unwrap()),
                directory,
            };
            let (exports, pinned, removed) = read(&domain);
            let snapshots = expected["snapshots"].as_array().unwrap();
            assert_eq!(exports.len(), snapshots.len() + removed.len());
            for snapshot in snapshots {
                let id = snapshot["id"].as_str().unwrap();
                assert!(!removed.contains(id));
                assert_eq!(pinned.contains(id), snapshot["pinned"], "{id}");
                assert_eq!(exports[id], snapshot["export_blake3"], "{id}");
            }
            read_stores += 1;
        }
    }
    assert!(read_stores > 0);
}
