//! Ways to lay objects and relations out in chunks: how many bytes they take, and how much CPU.
//!
//! One generated org, taken from the simulator without HTTP and brought into the canonical form that is stored. Every way is measured on
//! the same objects, in the same order, on one thread; a chunk's 40 bytes of nonce and tag are counted, packs and index are not.

use std::collections::{BTreeMap, HashMap};
use std::io::{Write, stdout};
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use okta_sim::{Day, OktaSim};
use orgkeep_engine::canonical::canonical;
use orgkeep_engine::catalogue::{self, IdRule, ObjectType};
use orgkeep_engine::measuring::{Row, chunks, relations, unpacked};
use zstd::bulk::Compressor;

/// What sealing adds to a chunk.
const SEAL_BYTES: usize = 40;
/// The store's own choice, see the engine's module `chunk`.
const LEVEL: i32 = 6;
const CHUNK_BYTES: usize = 1 << 20;
const DICTIONARY_BYTES: usize = 64 * 1024;
/// How often a chunk is decompressed to be measured: the kernel counts in thousandths of a second.
const REPEATS: usize = 50;
/// The types that are shown by themselves.
const SHOWN: [&str; 6] = [
    "user",
    "group",
    "app",
    "app_user",
    "app_group_assignment",
    "policy_rule",
];

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many users the org has.
    #[arg(long, default_value_t = 20_000)]
    users: u32,
    /// What the generated org depends on besides its size.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The objects of an org as they are stored, and its relations without a body.
#[derive(Debug, Default)]
struct Org {
    rows: BTreeMap<ObjectType, Vec<Row>>,
    relations: Vec<(u32, u32)>,
    relation_lines: Vec<Vec<u8>>,
}

/// Numbers ids in the order in which they are first met.
#[derive(Debug, Default)]
struct Numbers(HashMap<String, u32>);

impl Numbers {
    fn of(&mut self, id: &str) -> u32 {
        let next = u32::try_from(self.0.len() + 1).unwrap_or(u32::MAX);
        *self.0.entry(id.to_owned()).or_insert(next)
    }
}

impl Org {
    fn take(sim: &OktaSim, numbers: &mut Numbers) -> anyhow::Result<Self> {
        let mut org = Self::default();
        for object_type in catalogue::all() {
            let under_parent = matches!(object_type.entry().id, IdRule::UnderParent(_));
            for (id, value) in sim.dump(object_type.name()) {
                let (parent_id, own_id) = id
                    .split_once('/')
                    .filter(|_| under_parent)
                    .unwrap_or(("", &id));
                let parent = if parent_id.is_empty() {
                    0
                } else {
                    numbers.of(parent_id)
                };
                let key = numbers.of(own_id);
                if object_type.entry().bare_relation {
                    org.relations.push((parent, key));
                    let line = format!(r#"{{"groupId":"{parent_id}","userId":"{own_id}"}}"#);
                    org.relation_lines.push(line.into_bytes());
                    continue;
                }
                let raw = serde_json::to_vec(&value)?;
                let body = canonical(object_type, &raw)
                    .context("an object of the simulator")?
                    .body;
                let (own_id, parent_id) = (own_id.to_owned(), parent_id.to_owned());
                org.rows.entry(object_type).or_default().push(Row {
                    parent,
                    key,
                    own_id,
                    parent_id,
                    body,
                });
            }
        }
        org.relations.sort_unstable();
        Ok(org)
    }
}

/// What a way costs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    bytes: usize,
    cpu: Duration,
}

impl Cost {
    fn of(make: impl FnOnce() -> anyhow::Result<usize>) -> anyhow::Result<Self> {
        let before = cpu()?;
        let bytes = make()?;
        Ok(Self {
            bytes,
            cpu: cpu()?.saturating_sub(before),
        })
    }

    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.cpu += other.cpu;
    }

    fn cells(self) -> String {
        format!(
            "{:.3} | {:.2}",
            self.bytes as f64 / 1e6,
            self.cpu.as_secs_f64()
        )
    }
}

fn cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// Measures everything and prints it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let sim = OktaSim::builder()
        .users(options.users)
        .seed(options.seed)
        .start()?;
    let mut numbers = Numbers::default();
    let before = Org::take(&sim, &mut numbers)?;
    sim.live(Day::default(), 1);
    let after = Org::take(&sim, &mut numbers)?;
    let all: usize = before.rows.values().map(Vec::len).sum();
    let mut out = stdout();
    writeln!(
        out,
        "An org of {} users (seed {}): {all} objects and {} memberships. MB are millions of bytes, CPU is in seconds, one thread.",
        options.users,
        options.seed,
        before.relations.len()
    )?;
    layouts(&mut out, &before)?;
    sizes(&mut out, &before)?;
    levels(&mut out, &before)?;
    memberships(&mut out, &before)?;
    a_day(&mut out, &before, &after)
}

/// Gives the bytes that objects of one type take.
type Way<'a> = (
    &'static str,
    Box<dyn Fn(&[Row]) -> anyhow::Result<usize> + 'a>,
);
/// As [`Way`], for all relations.
type Relating<'a> = (&'static str, Box<dyn Fn() -> anyhow::Result<usize> + 'a>);
/// Takes the place of the type, what is new of it, and what that was before.
type DayWay<'a> = dyn Fn(usize, &[Row], &[Vec<u8>]) -> anyhow::Result<usize> + 'a;

/// Ways to lay out objects of one type.
fn layouts(out: &mut impl Write, org: &Org) -> anyhow::Result<()> {
    let ways: [Way<'_>; 7] = [
        (
            "canonical JSON, plain",
            Box::new(|rows| Ok(rows.iter().map(|row| row.body.len()).sum())),
        ),
        (
            "a chunk for each object, sealed by itself",
            Box::new(|rows| Ok(alone(rows, None)? + rows.len() * SEAL_BYTES)),
        ),
        ("each object by itself", Box::new(|rows| alone(rows, None))),
        (
            "each object by itself, trained dictionary of 64 KiB",
            Box::new(|rows| alone(rows, Some(trained(rows.iter().map(|row| &*row.body))?))),
        ),
        (
            "lines of JSON, 1 MiB",
            Box::new(|rows| lines(rows, CHUNK_BYTES, LEVEL, None)),
        ),
        (
            "lines of JSON, 128 KiB, trained dictionary of 64 KiB",
            Box::new(|rows| {
                let dictionary = trained(rows.iter().map(|row| &*row.body))?;
                lines(rows, 128 * 1024, LEVEL, Some(dictionary))
            }),
        ),
        (
            "columns by template, 1 MiB (chosen)",
            Box::new(|rows| columns(rows, CHUNK_BYTES)),
        ),
    ];
    writeln!(out, "\n## Layouts, level {LEVEL}: MB | CPU\n")?;
    write!(out, "| way |")?;
    for name in SHOWN {
        write!(out, " {name} | |")?;
    }
    writeln!(
        out,
        " all | |\n|---|{}",
        "---:|---:|".repeat(SHOWN.len() + 1)
    )?;
    for (name, way) in &ways {
        let mut total = Cost::default();
        let mut shown = BTreeMap::new();
        for (object_type, rows) in &org.rows {
            let cost = Cost::of(|| way(rows))?;
            total.add(cost);
            shown.insert(object_type.name(), cost);
        }
        write!(out, "| {name} |")?;
        for name in SHOWN {
            write!(
                out,
                " {} |",
                shown.get(name).copied().unwrap_or_default().cells()
            )?;
        }
        writeln!(out, " {} |", total.cells())?;
    }
    Ok(())
}

fn total(org: &Org, way: impl Fn(&[Row]) -> anyhow::Result<usize>) -> anyhow::Result<Cost> {
    let mut total = Cost::default();
    for rows in org.rows.values() {
        total.add(Cost::of(|| way(rows))?);
    }
    Ok(total)
}

fn sizes(out: &mut impl Write, org: &Org) -> anyhow::Result<()> {
    writeln!(
        out,
        "\n## Sizes of chunks, level {LEVEL}, all types: MB | CPU\n"
    )?;
    writeln!(
        out,
        "| plaintext | columns | | lines of JSON | | decompressing one chunk of users, ms |\n|---|---:|---:|---:|---:|---:|"
    )?;
    for kib in [64, 128, 256, 512, 1024, 2048, 4096] {
        let by_columns = total(org, |rows| columns(rows, kib * 1024))?;
        let by_lines = total(org, |rows| lines(rows, kib * 1024, LEVEL, None))?;
        let users = org
            .rows
            .iter()
            .find(|(of_type, _)| of_type.name() == "user");
        let made = chunks(users.map_or(&[], |(_, rows)| rows), kib * 1024)?;
        let sample: Vec<_> = made.iter().take(8).collect();
        let decompressing = Cost::of(|| {
            let repeated = sample.iter().cycle().take(sample.len() * REPEATS);
            Ok(repeated.map(|chunk| unpacked(chunk).len()).sum())
        })?;
        let times = (sample.len() * REPEATS).max(1);
        let each = decompressing.cpu.as_secs_f64() * 1e3 / times as f64;
        writeln!(
            out,
            "| {kib} KiB | {} | {} | {each:.2} |",
            by_columns.cells(),
            by_lines.cells()
        )?;
    }
    Ok(())
}

fn levels(out: &mut impl Write, org: &Org) -> anyhow::Result<()> {
    writeln!(
        out,
        "\n## Levels of zstd at 1 MiB, all types, compression alone: MB | CPU\n"
    )?;
    writeln!(
        out,
        "| level | columns | | lines of JSON | |\n|---|---:|---:|---:|---:|"
    )?;
    let mut frames = Vec::new();
    for rows in org.rows.values() {
        frames.extend(
            chunks(rows, CHUNK_BYTES)?
                .iter()
                .map(|chunk| unpacked(chunk)),
        );
    }
    for level in [1, 3, 6, 9, 12, 15, 19] {
        let by_columns = Cost::of(|| {
            let mut compressor = Compressor::new(level)?;
            frames.iter().try_fold(0, |bytes, frame| {
                Ok(bytes + compressor.compress(frame)?.len() + SEAL_BYTES)
            })
        })?;
        let by_lines = total(org, |rows| lines(rows, CHUNK_BYTES, level, None))?;
        writeln!(
            out,
            "| {level} | {} | {} |",
            by_columns.cells(),
            by_lines.cells()
        )?;
    }
    Ok(())
}

fn memberships(out: &mut impl Write, org: &Org) -> anyhow::Result<()> {
    writeln!(
        out,
        "\n## Memberships: MB | CPU\n\n| way | | |\n|---|---:|---:|"
    )?;
    let plain = org.relation_lines.concat();
    let ways: [Relating<'_>; 4] = [
        (
            "lines of JSON, plain",
            Box::new(|| Ok(plain.len() + org.relation_lines.len())),
        ),
        (
            "lines of JSON, zstd 6",
            Box::new(|| {
                let lines = org.relation_lines.join(&b'\n');
                Ok(zstd::bulk::compress(&lines, LEVEL)?.len())
            }),
        ),
        (
            "by column, differences of numbers, plain",
            Box::new(|| Ok(relations(&org.relations).len())),
        ),
        (
            "by column, differences of numbers, zstd 3 (chosen: in the record)",
            Box::new(|| Ok(zstd::bulk::compress(&relations(&org.relations), 3)?.len())),
        ),
    ];
    for (name, way) in ways {
        writeln!(out, "| {name} | {} |", Cost::of(way)?.cells())?;
    }
    Ok(())
}

/// A day's changes: what is new or other than the day before, by type.
fn a_day(out: &mut impl Write, before: &Org, after: &Org) -> anyhow::Result<()> {
    let mut changed: Vec<(Vec<Row>, Vec<Vec<u8>>)> = Vec::new();
    let mut samples: Vec<Vec<u8>> = Vec::new();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for (object_type, rows) in &after.rows {
        let earlier = before.rows.get(object_type).map_or(&[][..], Vec::as_slice);
        let known: HashMap<(u32, u32), &Row> = earlier
            .iter()
            .map(|row| ((row.parent, row.key), row))
            .collect();
        let mut now = Vec::new();
        let mut was = Vec::new();
        for row in rows {
            let earlier = known.get(&(row.parent, row.key));
            if earlier.is_none_or(|earlier| earlier.body != row.body) {
                now.push(row.clone());
                was.push(earlier.map(|row| row.body.clone()).unwrap_or_default());
            }
        }
        if !now.is_empty() {
            let sample: Vec<&Row> = earlier.iter().step_by(earlier.len() / 2000 + 1).collect();
            samples.push(trained(sample.iter().map(|row| &*row.body)).unwrap_or_default());
            let last = chunks(earlier, CHUNK_BYTES)?
                .pop()
                .map(|chunk| unpacked(&chunk));
            let mut last = last.unwrap_or_default();
            last.truncate(DICTIONARY_BYTES);
            frames.push(last);
            changed.push((now, was));
        }
    }
    let count: usize = changed.iter().map(|(rows, _)| rows.len()).sum();
    let plain: usize = changed
        .iter()
        .flat_map(|(rows, _)| rows)
        .map(|row| row.body.len())
        .sum();
    writeln!(
        out,
        "\n## A day's changes: {count} objects of {} types, {:.3} MB of canonical JSON: MB | CPU\n\n| way | | |\n|---|---:|---:|",
        changed.len(),
        plain as f64 / 1e6
    )?;
    let each = |way: &DayWay<'_>| {
        Cost::of(|| {
            changed
                .iter()
                .enumerate()
                .try_fold(0, |bytes, (place, (rows, was))| {
                    Ok(bytes + way(place, rows, was)?)
                })
        })
    };
    let dictionary = |place: usize| samples.get(place).cloned();
    let length = |place: usize| samples.get(place).map_or(0, Vec::len);
    let costs = [
        (
            "each object by itself, dictionary of 64 KiB trained the day before (not counted)",
            each(&|place, rows, _| Ok(alone(rows, dictionary(place))? - length(place)))?,
        ),
        (
            "lines of JSON",
            each(&|_, rows, _| lines(rows, CHUNK_BYTES, LEVEL, None))?,
        ),
        (
            "lines of JSON, dictionary of 64 KiB trained the day before (not counted)",
            each(&|place, rows, _| {
                Ok(lines(rows, CHUNK_BYTES, LEVEL, dictionary(place))? - length(place))
            })?,
        ),
        (
            "each object against its previous version; new ones by themselves",
            each(&|_, rows, was| against(rows, was))?,
        ),
        (
            "columns by template (chosen)",
            each(&|_, rows, _| columns(rows, CHUNK_BYTES))?,
        ),
        (
            "columns, with 64 KiB of the day before's columns as dictionary",
            each(&|place, rows, _| {
                let mut compressor = Compressor::with_dictionary(
                    LEVEL,
                    frames.get(place).map_or(&[], Vec::as_slice),
                )?;
                chunks(rows, CHUNK_BYTES)?
                    .iter()
                    .try_fold(0, |bytes, chunk| {
                        Ok(bytes + compressor.compress(&unpacked(chunk))?.len() + SEAL_BYTES)
                    })
            })?,
        ),
    ];
    for (name, cost) in costs {
        writeln!(out, "| {name} | {} |", cost.cells())?;
    }
    Ok(())
}

fn columns(rows: &[Row], bytes_target: usize) -> anyhow::Result<usize> {
    let made = chunks(rows, bytes_target)?;
    Ok(made.iter().map(|chunk| chunk.len() + SEAL_BYTES).sum())
}

/// Each object compressed by itself, in chunks of 1 MiB so that what is compared is not the sealing.
fn alone(rows: &[Row], dictionary: Option<Vec<u8>>) -> anyhow::Result<usize> {
    let stored = dictionary.as_ref().map_or(0, Vec::len);
    let mut compressor = Compressor::with_dictionary(LEVEL, &dictionary.unwrap_or_default())?;
    let mut plain = 0;
    let mut bytes = stored + SEAL_BYTES;
    for row in rows {
        plain += row.body.len();
        bytes += compressor.compress(&row.body)?.len() + 2;
    }
    Ok(bytes + plain / CHUNK_BYTES * SEAL_BYTES)
}

/// Each object with its previous version as dictionary.
fn against(rows: &[Row], was: &[Vec<u8>]) -> anyhow::Result<usize> {
    let mut bytes = SEAL_BYTES;
    for (row, was) in rows.iter().zip(was) {
        bytes += Compressor::with_dictionary(LEVEL, was)?
            .compress(&row.body)?
            .len()
            + 2;
    }
    Ok(bytes)
}

fn lines(
    rows: &[Row],
    bytes_target: usize,
    level: i32,
    dictionary: Option<Vec<u8>>,
) -> anyhow::Result<usize> {
    let mut bytes = dictionary.as_ref().map_or(0, Vec::len);
    let mut compressor = Compressor::with_dictionary(level, &dictionary.unwrap_or_default())?;
    let mut chunk = Vec::new();
    for row in rows {
        chunk.extend_from_slice(&row.body);
        chunk.push(b'\n');
        if chunk.len() >= bytes_target {
            bytes += compressor.compress(&chunk)?.len() + SEAL_BYTES;
            chunk.clear();
        }
    }
    if !chunk.is_empty() {
        bytes += compressor.compress(&chunk)?.len() + SEAL_BYTES;
    }
    Ok(bytes)
}

/// A dictionary of one type; empty where there is too little to learn from.
fn trained<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<Vec<u8>> {
    let bodies: Vec<&[u8]> = bodies.collect();
    let step = bodies.len() / 2000 + 1;
    let sample: Vec<&[u8]> = bodies.into_iter().step_by(step).collect();
    Ok(zstd::dict::from_samples(&sample, DICTIONARY_BYTES).unwrap_or_default())
}
