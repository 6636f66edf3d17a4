//! Orgkeep and general-purpose backup tools on the same org, day after day.
//!
//! The org lives in this process and is served over HTTP. Each day it changes, Orgkeep's daemon backs it up, and what it
//! holds is exported, sorted and handed to every other tool as files: the same contents for all of them, without
//! what Orgkeep keeps apart (`_links`, `lastLogin`, `lastMembershipUpdated`). So the others get their files ready-made,
//! while Orgkeep has to fetch, page by page, what it keeps.
//!
//! A day's changes happen at noon by the org's clock and the backups at midnight, so that the System Log that a
//! backup follows while it runs names none of them. (The daemon's own clock is not moved: of its decisions only the schedule,
//! which is off, and retention, which nobody set, depend on it.)
//!
//! Everything is bounded: each step of another tool, each row's days and its questions afterwards, each diff, and all tables
//! together. What did not fit is marked in its row.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use okta_sim::{Day, OktaSim, RateLimits};
use orgkeep_engine::authorize::scopes_for;
use orgkeep_engine::catalogue;
use orgkeep_engine::clock::SystemClock;
use orgkeep_engine::collect::{CollectOptions, collect};
use orgkeep_engine::monitor::Silent;
use orgkeep_engine::okta::{Credentials, Http, HttpOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::engine::Parents;
use crate::installation::tree_bytes;
use crate::measured::{self, Cost, Ended, Program, start};

mod dump;
mod figures;
mod orgkeep;
mod tools;

use figures::{Figures, HEADER, MB, Target, float};
use orgkeep::Orgkeep;
use tools::{Part, Source, TOOLS, Tool};

/// Above this many users there are fewer rows, no table with logins, and archives get a lower level.
const SMALL_USERS_MAX: u32 = 20_000;
/// Up to this many, a solid archive of all days is compressed as far as that of the changed lines.
const TINY_USERS_MAX: u32 = 3_000;
/// The days, the first included, for which there are goals in bytes.
const DAYS_OF_GOALS: u32 = 31;
/// How many users are read from the snapshot in the middle, at most.
const PROBES_MAX: usize = 200;
/// How often the other tools read one object.
const READS: usize = 3;
const HALF_A_DAY: Duration = Duration::from_secs(12 * 60 * 60);
/// How many thousandths of the users sign in on a day on which they do.
const LOGINS: u32 = 500;

/// Whether there are tables of days on which half of the users sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Logins {
    /// For orgs of up to 20,000 users, after the other table
    Also,
    /// None
    No,
    /// Only those, for every size
    Only,
}

/// What is asked of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many users the org has; may be given several times
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    users: Vec<u32>,
    /// How many days follow the first backup
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Only the rows whose names hold one of these; Orgkeep's daemon always runs
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Without the rows whose names hold one of these
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Days on which half of the users sign in; `lastLogin` is then part of the dumps
    #[arg(long, value_enum, default_value_t = Logins::Also, default_missing_value = "only", num_args = 0..=1)]
    logins: Logins,
    /// How many seconds each step of another tool may take
    #[arg(long, default_value_t = 240)]
    budget: u64,
    /// How many seconds all days of a row may take, and half as many its upkeep, and what it is asked afterwards; with a file for
    /// each object a quarter of that
    #[arg(long, default_value_t = 400)]
    row_budget: u64,
    /// For how many minutes further days may begin; the tables share them, and what is there then is printed
    #[arg(long, default_value_t = 75)]
    minutes: u64,
    /// Something to be said of a row's version, `ROW=TEXT`, for example how the tool was built
    #[arg(long, value_parser = note_of)]
    note: Vec<(String, String)>,
    /// What the generated org depends on besides its size
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The daemon and ctl are built in release mode already
    #[arg(long)]
    already_built: bool,
    /// Keep every figure in this file, as JSON; it is written anew each day
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the scratch directory is made; by default where the system has its temporary files
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// One table that is to be made.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    users: u32,
    logins: bool,
}

impl Wanted {
    /// What share of the time it needs, compared with the others.
    fn weight(self) -> u32 {
        match (self.users <= SMALL_USERS_MAX, self.logins) {
            (true, true) => 2,
            (true, false) => 4,
            (false, _) => 8,
        }
    }

    /// `10,000`, and what is special about it.
    fn name(self) -> String {
        let logins = if self.logins {
            ", half of them sign in each day"
        } else {
            ""
        };
        format!("{} users{logins}", self.users)
    }
}

fn wanted(options: &Options) -> Vec<Wanted> {
    let mut tables = Vec::new();
    for &users in &options.users {
        if options.logins != Logins::Only {
            let logins = false;
            tables.push(Wanted { users, logins });
        }
        let small = users <= SMALL_USERS_MAX;
        if options.logins == Logins::Only || options.logins == Logins::Also && small {
            let logins = true;
            tables.push(Wanted { users, logins });
        }
    }
    tables
}

/// `ROW=TEXT`.
fn note_of(text: &str) -> Result<(String, String), String> {
    let (row, note) = text.split_once('=').ok_or("ROW=TEXT is wanted")?;
    Ok((row.to_owned(), note.to_owned()))
}

/// Makes each table, then says which goals were met.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    say(&format!("Machine: {}", machine()))?;
    let began = start();
    let all = Duration::from_secs(options.minutes * 60);
    let mut documents = Vec::new();
    let mut goals = Vec::new();
    let mut tables = wanted(options);
    while !tables.is_empty() {
        let weights: u32 = tables.iter().map(|table| table.weight()).sum();
        let table = tables.remove(0);
        // What an earlier table did not need goes to the later ones.
        let share = all.saturating_sub(began.elapsed()) / weights * table.weight();
        let (document, targets) = Run::new(options, table, share)?.run(&documents)?;
        documents.push(document);
        goals.extend(targets.into_iter().map(|target| (table, target)));
    }
    if !goals.is_empty() {
        say("\n## Goals\n\n| org | goal | at most | measured | met? |\n|---|---|--:|--:|---|")?;
    }
    for (table, target) in goals {
        say(&format!("| {} {}", table.name(), target.row()))?;
    }
    let minutes = began.elapsed().as_secs() / 60;
    say(&format!("\nAfter {minutes} minutes: {}", machine()))
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

fn note(text: &str) {
    // Where nobody listens to the progress, there is none.
    writeln!(io::stderr(), "{text}").ok();
}

fn machine() -> String {
    let ask = |script: &str| measured::ask(script).unwrap_or_else(|| "unknown".to_owned());
    format!(
        "{} cores, {}, Linux {}, {}, load average {}",
        ask("nproc"),
        ask("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n1"),
        ask("uname -r"),
        ask("rustc --version"),
        ask("cut -d' ' -f1-3 /proc/loadavg"),
    )
}

/// One of the other tools at work.
#[derive(Debug)]
struct Peer {
    tool: &'static Tool,
    home: PathBuf,
    figures: Figures,
    /// Whether something went wrong, so that it takes no further part.
    out: bool,
    /// The time that its days took so far; its upkeep; what it was asked afterwards.
    spent: [Duration; 3],
    /// Whether the time for its days is up, so that what it holds stays as it is.
    full: bool,
}

/// What a row's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Days,
    Upkeep,
    Questions,
}

impl Peer {
    fn spent(&mut self, on: On) -> &mut Duration {
        let [days, upkeep, questions] = &mut self.spent;
        match on {
            On::Days => days,
            On::Upkeep => upkeep,
            On::Questions => questions,
        }
    }

    /// The last day of which it has a backup.
    fn last_day(&self) -> u32 {
        u32::try_from(self.figures.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// Where the files of a run lie.
#[derive(Debug)]
struct Places {
    scratch: TempDir,
    dump: PathBuf,
    tree: PathBuf,
    changes: PathBuf,
    parents: PathBuf,
}

struct Run<'a> {
    options: &'a Options,
    table: Wanted,
    okta: OktaSim,
    orgkeep: Orgkeep,
    peers: Vec<Peer>,
    places: Places,
    began: Instant,
    /// For how long further days may begin.
    share: Duration,
    /// The days over so far, the first included.
    days: u32,
    /// The day from which single objects are read.
    middle: u32,
    /// Users of that day and all before.
    probes: Vec<String>,
    dump_bytes: Vec<u64>,
    changes: Vec<dump::Changes>,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, table: Wanted, share: Duration) -> anyhow::Result<Self> {
        let okta = OktaSim::builder()
            .users(table.users)
            .seed(options.seed)
            .rate_limits(RateLimits::Off)
            .start()
            .context("could not start the simulated org")?;
        let scratch = match &options.scratch {
            Some(directory) => TempDir::new_in(directory),
            None => TempDir::new(),
        };
        let scratch = scratch.context("could not make a directory")?;
        let path = |name: &str| scratch.path().join(name);
        let places = Places {
            dump: path("dump"),
            tree: path("tree"),
            changes: path("changes"),
            parents: path("parents.tsv"),
            scratch,
        };
        let orgkeep = Orgkeep::start(&okta, options.already_built)?;
        parents(&okta)?.write(&places.parents)?;
        Ok(Self {
            options,
            table,
            okta,
            orgkeep,
            peers: Vec::new(),
            places,
            began: start(),
            share,
            days: 0,
            middle: options.days / 2 + 1,
            probes: Vec::new(),
            dump_bytes: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Lives through the days, prints the tables and gives the figures and what became of the goals.
    fn run(mut self, earlier: &[Value]) -> anyhow::Result<(Value, Vec<Target>)> {
        say(&format!(
            "\n## {}, seed {}, {} days after the first\n",
            self.table.name(),
            self.options.seed,
            self.options.days,
        ))?;
        for tool in TOOLS {
            if self.takes_part(tool) {
                self.enlist(tool)?;
            }
        }
        for number in 1..=self.options.days + 1 {
            if number > 1 && self.began.elapsed() >= self.share {
                let (days, minutes) = (self.days, self.share.as_secs_f64() / 60.0);
                say(&format!(
                    "This table's {minutes:.0} minutes were up after day {days}.\n"
                ))?;
                break;
            }
            self.day(number)
                .with_context(|| format!("day {number} went wrong"))?;
            self.keep(earlier)?;
        }
        self.afterwards()?;
        Ok((self.keep(earlier)?, self.targets()))
    }

    fn takes_part(&self, tool: &Tool) -> bool {
        let named = |parts: &[String]| parts.iter().any(|part| tool.name.contains(part.as_str()));
        let fits = match tool.part {
            Part::Always => true,
            Part::Quiet => !self.table.logins,
            Part::Small => self.is_small(),
            Part::SmallAndQuiet => self.is_small() && !self.table.logins,
        };
        fits && (self.options.only.is_empty() || named(&self.options.only))
            && !named(&self.options.without)
    }

    fn is_small(&self) -> bool {
        self.table.users <= SMALL_USERS_MAX
    }

    /// Sets a tool up, if it is there.
    fn enlist(&mut self, tool: &'static Tool) -> anyhow::Result<()> {
        let home = self
            .places
            .scratch
            .path()
            .join(format!("peer{}", self.peers.len()));
        fs::create_dir_all(home.join("cache"))?;
        let mut asked = tool.version.to_owned();
        for (name, value) in self.variables_of_all() {
            asked = asked.replace(&format!("${name}"), &value);
        }
        let Some(mut version) = measured::ask(&asked) else {
            return say(&format!("- {}: skipped, it is not installed", tool.name));
        };
        let notes = self.options.note.iter();
        for (_, note) in notes.filter(|(row, _)| tool.name.starts_with(row.as_str())) {
            version = format!("{version} ({note})");
        }
        say(&format!("- {}: {version}", tool.name))?;
        let mut peer = Peer {
            tool,
            home,
            figures: Figures {
                name: tool.name.to_owned(),
                version,
                encrypted: tool.sealed,
                ..Figures::default()
            },
            out: false,
            spent: [Duration::ZERO; 3],
            full: false,
        };
        if !tool.setup.is_empty() {
            fs::create_dir_all(self.source(tool))?;
            let made = self.step(&mut peer, On::Days, "setting up", tool.setup, 0, None)?;
            peer.out = made.is_none();
        }
        self.peers.push(peer);
        Ok(())
    }

    fn source(&self, tool: &Tool) -> PathBuf {
        match tool.source {
            Source::Dumps => self.places.dump.clone(),
            Source::Trees => self.places.tree.clone(),
        }
    }

    /// How long all of a row's steps of this kind may take.
    fn row_budget(&self, tool: &Tool, on: On) -> Duration {
        let whole = match tool.source {
            Source::Dumps => Duration::from_secs(self.options.row_budget),
            Source::Trees => Duration::from_secs(self.options.row_budget) / 4,
        };
        match on {
            On::Days => whole,
            On::Upkeep | On::Questions => whole / 2,
        }
    }

    /// The variables that no tool changes.
    fn variables_of_all(&self) -> Vec<(String, String)> {
        let bench = std::env::current_exe().unwrap_or_default();
        let level = if self.is_small() { "19" } else { "6" };
        let is_tiny = self.table.users <= TINY_USERS_MAX;
        let solid_level = if is_tiny { level } else { "9" };
        [
            ("BENCH", bench.display().to_string()),
            ("CHANGES", self.places.changes.display().to_string()),
            ("PARENTS", self.places.parents.display().to_string()),
            ("LEVEL", level.to_owned()),
            ("SOLID_LEVEL", solid_level.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Runs one of a tool's scripts, for a day and perhaps an object. What does not end well becomes a remark.
    fn step(
        &self,
        peer: &mut Peer,
        on: On,
        what: &str,
        script: &str,
        day: u32,
        object: Option<&str>,
    ) -> anyhow::Result<Option<Cost>> {
        let left = self
            .row_budget(peer.tool, on)
            .saturating_sub(*peer.spent(on));
        let budget = left.min(Duration::from_secs(self.options.budget));
        if budget < Duration::from_secs(1) {
            peer.figures.remarks.push(format!("{what}: no time left"));
            return Ok(None);
        }
        let began = start();
        let ended = self.script(peer, script, day, object, budget)?;
        *peer.spent(on) += began.elapsed();
        Ok(peer.figures.take(what, ended, budget))
    }

    fn script(
        &self,
        peer: &Peer,
        script: &str,
        day: u32,
        object: Option<&str>,
        budget: Duration,
    ) -> anyhow::Result<Ended> {
        let source = self.source(peer.tool);
        let (repo, cache) = (peer.home.join("repo"), peer.home.join("cache"));
        let out = peer.home.join("out");
        let mut environment = self.variables_of_all();
        let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
        set("REPO", repo.display().to_string());
        set("CACHE", cache.display().to_string());
        set("SRC", source.display().to_string());
        set("OUT", out.display().to_string());
        set("DAY", format!("day{day}"));
        set("N", day.to_string());
        if let Some(id) = object {
            set("OBJECT", id.to_owned());
            let file = match peer.tool.source {
                Source::Dumps => "user.ndjson".to_owned(),
                Source::Trees => format!("user/{id}.json"),
            };
            set("FILE", file);
        }
        for (name, value) in peer.tool.environment {
            let value = value
                .replace("{REPO}", &repo.display().to_string())
                .replace("{CACHE}", &cache.display().to_string())
                .replace("{SRC}", &source.display().to_string());
            environment.push(((*name).to_owned(), value));
        }
        measured::run(&Program {
            command: &["sh", "-ec", script],
            directory: &source,
            environment: &environment,
            budget,
            scratch: &peer.home,
        })
    }

    fn day(&mut self, number: u32) -> anyhow::Result<()> {
        if number > 1 {
            self.okta.advance(HALF_A_DAY);
            let day = Day {
                logins: if self.table.logins { LOGINS } else { 0 },
                ..Day::default()
            };
            let counts = self.okta.live(day, number);
            self.okta.advance(HALF_A_DAY);
            note(&format!("day {number}: {counts:?}"));
        }
        self.orgkeep.back_up(&self.okta)?;
        let next = self.places.scratch.path().join("next");
        self.orgkeep.export(&next)?;
        self.save(&next, number)?;
        let mut line = format!("day {number}, {} s:", self.began.elapsed().as_secs());
        line += &brief(&self.orgkeep.figures, number);
        let mut peers = std::mem::take(&mut self.peers);
        for peer in peers.iter_mut().filter(|peer| !peer.out && !peer.full) {
            self.feed(peer, number)?;
            line += &brief(&peer.figures, number);
        }
        self.peers = peers;
        self.days = number;
        note(&line);
        if number == 1 {
            self.say_first()?;
        }
        Ok(())
    }

    /// Turns an export into the day's dump, changes and tree.
    fn save(&mut self, next: &Path, number: u32) -> anyhow::Result<()> {
        let logins = self.table.logins.then(|| last_logins(&self.okta));
        self.dump_bytes.push(dump::sort(next, logins.as_ref())?);
        let Places {
            dump,
            tree,
            changes,
            ..
        } = &self.places;
        let trees = self
            .peers
            .iter()
            .any(|peer| peer.tool.source == Source::Trees && !peer.out);
        if number == 1 {
            fs::create_dir_all(dump)?;
            if trees {
                dump::plant(next, tree)?;
            }
        } else {
            fs::remove_dir_all(changes).ok();
            let counts = dump::compare(dump, next, changes, trees.then_some(tree.as_path()))?;
            self.changes.push(counts);
        }
        fs::remove_dir_all(dump)?;
        fs::rename(next, dump)?;
        if number == 1 {
            let ids = dump::ids(&dump.join("user.ndjson"))?;
            let stride = (ids.len() / PROBES_MAX).max(1);
            self.probes = ids.into_iter().step_by(stride).take(PROBES_MAX).collect();
        } else if number <= self.middle {
            // Those stay that are there each day until then.
            let ids: HashSet<String> = dump::ids(&dump.join("user.ndjson"))?.into_iter().collect();
            self.probes.retain(|id| ids.contains(id));
        }
        Ok(())
    }

    /// A tool's backup of the day.
    fn feed(&self, peer: &mut Peer, number: u32) -> anyhow::Result<()> {
        let tool = peer.tool;
        let script = tool.first.filter(|_| number == 1).unwrap_or(tool.daily);
        let what = format!("day {number}");
        let Some(cost) = self.step(peer, On::Days, &what, script, number, None)? else {
            peer.out = true;
            return Ok(());
        };
        if number == 1 {
            peer.figures.first = Some(cost);
        } else {
            peer.figures.days.push(cost);
        }
        if let Some((every, _)) = tool.upkeep
            && every > 0
            && number.is_multiple_of(every)
            && self.may_tidy(peer)
        {
            self.upkeep(peer, number)?;
        }
        let bytes = tree_bytes(&peer.home.join("repo"))?;
        peer.figures.bytes.push(bytes);
        // Another day has to fit, even one that takes twice as long as this one.
        let next = 2 * Duration::from_secs_f64(cost.wall_seconds);
        peer.full = *peer.spent(On::Days) + next > self.row_budget(peer.tool, On::Days);
        if peer.full && number <= self.options.days {
            let seconds = self.row_budget(peer.tool, On::Days).as_secs();
            let remark = format!("its {seconds} s for all days were up after day {number}");
            peer.figures.remarks.push(remark);
        }
        Ok(())
    }

    /// Whether there is time for upkeep now and for the one after the last day, which takes at least as long.
    fn may_tidy(&self, peer: &mut Peer) -> bool {
        let last = peer.figures.upkeep.last();
        let next = Duration::from_secs_f64(last.map_or(0.0, |cost| cost.wall_seconds));
        *peer.spent(On::Upkeep) + 3 * next <= self.row_budget(peer.tool, On::Upkeep)
    }

    fn upkeep(&self, peer: &mut Peer, number: u32) -> anyhow::Result<()> {
        let Some((_, script)) = peer.tool.upkeep else {
            return Ok(());
        };
        let what = format!("upkeep on day {number}");
        let cost = self.step(peer, On::Upkeep, &what, script, number, None)?;
        peer.figures.upkeep.extend(cost);
        Ok(())
    }

    /// What each tool is asked when all days are over.
    fn afterwards(&mut self) -> anyhow::Result<()> {
        let middle = self.middle.min(self.days);
        if let Err(error) = self.orgkeep.afterwards(middle as usize, &self.probes) {
            let remarks = &mut self.orgkeep.figures.remarks;
            remarks.push(format!("failed ({error:#})").replace('|', "/"));
        }
        self.say_about_the_org()?;
        say(&HEADER.replace("{days}", &self.days.to_string()))?;
        say(&self.orgkeep.figures.row(self.days))?;
        note(&format!("Orgkeep: {} s", self.began.elapsed().as_secs()));
        let mut peers = std::mem::take(&mut self.peers);
        for peer in &mut peers {
            if !peer.out {
                self.examine(peer, middle)?;
            }
            say(&peer.figures.row(self.days))?;
            note(&format!(
                "{}: {} s",
                peer.tool.name,
                self.began.elapsed().as_secs()
            ));
            // What it kept is not needed any more, and the next may need the room.
            fs::remove_dir_all(&peer.home).ok();
        }
        self.peers = peers;
        say("")?;
        for words in self.orgkeep.words() {
            say(&format!("- {words}"))?;
        }
        let targets = self.targets();
        if !targets.is_empty() {
            say("\n| goal | at most | measured | met? |\n|---|--:|--:|---|")?;
        }
        for target in targets {
            say(&target.row())?;
        }
        say(&format!("\nAfterwards: {}", machine()))
    }

    fn examine(&self, peer: &mut Peer, middle: u32) -> anyhow::Result<()> {
        let tool = peer.tool;
        let day = peer.last_day();
        let last_upkeep = tool
            .upkeep
            .is_some_and(|(every, _)| every == 0 || !day.is_multiple_of(every));
        if last_upkeep && day > 1 {
            self.upkeep(peer, day)?;
            let bytes = tree_bytes(&peer.home.join("repo"))?;
            if let Some(last) = peer.figures.bytes.last_mut() {
                *last = bytes;
            }
        }
        if let Some(script) = tool.read {
            for id in self.probes.iter().rev().take(READS) {
                let of = middle.min(day);
                let cost = self.step(peer, On::Questions, "reading", script, of, Some(id))?;
                peer.figures.read.extend(cost);
            }
        }
        if let Some(script) = tool.restore {
            fs::create_dir_all(peer.home.join("out"))?;
            let restored = self.step(peer, On::Questions, "restoring", script, day, None)?;
            peer.figures.export = restored;
        }
        // The last, since it takes the longest.
        if let Some(script) = tool.check {
            peer.figures.check = self.step(peer, On::Questions, "checking", script, day, None)?;
        }
        Ok(())
    }

    fn say_first(&self) -> anyhow::Result<()> {
        say("\n| first backup | CPU s | wall s | MB |\n|---|--:|--:|--:|")?;
        let rows = self.peers.iter().map(|peer| &peer.figures);
        for figures in std::iter::once(&self.orgkeep.figures).chain(rows) {
            let Some(first) = figures.first else {
                continue;
            };
            say(&format!(
                "| {} | {:.2} | {:.2} | {:.2} |",
                figures.name,
                first.cpu_seconds,
                first.wall_seconds,
                figures.bytes.last().map_or(0.0, |bytes| float(*bytes) / MB),
            ))?;
        }
        say("")
    }

    fn say_about_the_org(&self) -> anyhow::Result<()> {
        let of = |figure: fn(&dump::Changes) -> u64| {
            figures::median(self.changes.iter().map(|day| float(figure(day))).collect())
                .unwrap_or_default()
        };
        let dumps = figures::median(self.dump_bytes.iter().map(|bytes| float(*bytes)).collect());
        say(&format!(
            "{} objects and relations after {} days; a dump of a day is {:.1} MB of NDJSON. A day adds {:.0}, changes {:.0} and removes {:.0} of them (medians). \
             Single objects are users, read from the snapshot of day {}. CPU and wall by process: of Orgkeep's daemon alone, of the other tools with all their children.\n",
            self.orgkeep.objects,
            self.days,
            dumps.unwrap_or_default() / MB,
            of(|day| day.added),
            of(|day| day.changed),
            of(|day| day.removed),
            self.middle.min(self.days),
        ))
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        if self.table.logins {
            // The goals are those of days on which nobody signs in.
            return targets;
        }
        let row = |name: &str| {
            let peer = self.peers.iter().find(|peer| peer.tool.name == name)?;
            (!peer.figures.bytes.is_empty()).then_some(&peer.figures)
        };
        let last = |figures: &Figures| {
            let whole = figures.bytes.len() == self.days as usize;
            let bytes = figures.bytes.last().filter(|_| whole)?;
            Some(float(*bytes) / MB)
        };
        let ours = last(&self.orgkeep.figures);
        let days = self.days;
        let mut add =
            |what: String, at_most: Option<f64>, measured: Option<f64>, unit: &'static str| {
                if let Some(at_most) = at_most {
                    targets.push(Target {
                        what,
                        at_most,
                        measured,
                        unit,
                    });
                }
            };
        let fixed = match self.table.users {
            10_000 => Some(9.2),
            100_000 => Some(110.0),
            _ => None,
        };
        let fixed = fixed.filter(|_| days == DAYS_OF_GOALS);
        add(
            format!("after day {days}, whole data directory"),
            fixed,
            ours,
            "MB",
        );
        let bupstash = row("bupstash").and_then(last).map(|bytes| bytes / 20.0);
        add(
            format!("after day {days}, 1/20 of bupstash with stock settings"),
            bupstash,
            ours,
            "MB",
        );
        let git = row("git, gc every 5 days").and_then(last);
        add(
            format!("after day {days}, as little as git after gc (beyond the goal)"),
            git,
            ours,
            "MB",
        );
        if self.table.users >= 100_000 {
            let day = |name: &str| {
                row(name)
                    .and_then(Figures::day)
                    .map(|cost| cost.cpu_seconds)
            };
            add(
                "a day's changes, given as such to the engine".to_owned(),
                Some(0.5),
                day("Orgkeep's engine, changes given as such"),
                "CPU s",
            );
            add(
                "full rescan by the engine from ready NDJSON".to_owned(),
                Some(3.5),
                day("Orgkeep's engine, rescan of ready NDJSON"),
                "CPU s",
            );
        }
        targets.extend(self.orgkeep.targets(self.table.users));
        targets
    }

    /// Everything there is so far, as JSON; also written to the file, if one is wanted.
    fn keep(&self, earlier: &[Value]) -> anyhow::Result<Value> {
        let rows: Vec<&Figures> = std::iter::once(&self.orgkeep.figures)
            .chain(self.peers.iter().map(|peer| &peer.figures))
            .collect();
        let document = json!({
            "users": self.table.users,
            "seed": self.options.seed,
            "days": self.days,
            "logins": self.table.logins,
            "objects": self.orgkeep.objects,
            "changes": self.orgkeep.changes,
            "dump_bytes": self.dump_bytes,
            "rows": rows,
            "words": self.orgkeep.words(),
            "targets": self.targets(),
        });
        if let Some(path) = &self.options.json {
            let all: Vec<&Value> = earlier.iter().chain([&document]).collect();
            #[expect(clippy::disallowed_methods, reason = "figures, not data")]
            fs::write(path, serde_json::to_vec_pretty(&all)?)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        Ok(document)
    }
}

/// ` NAME 1.2 s 3.4 MB`, for those who watch.
fn brief(figures: &Figures, number: u32) -> String {
    let cost = match number {
        1 => figures.first,
        _ => figures.days.last().copied(),
    };
    let name: String = figures.name.chars().take(40).collect();
    let megabytes = figures.bytes.last().map_or(0.0, |bytes| float(*bytes) / MB);
    let seconds = cost.map_or(0.0, |cost| cost.cpu_seconds);
    format!("\n  {name:<40} {seconds:>8.2} CPU s {megabytes:>9.2} MB")
}

/// Asks the org for the parents of those objects whose ids do not tell.
fn parents(okta: &OktaSim) -> anyhow::Result<Parents> {
    let types: Vec<_> = catalogue::all()
        .filter(|object_type| Parents::is_needed(*object_type))
        .collect();
    let mut options = HttpOptions::new(
        okta.url().parse()?,
        Credentials::ClientSecret {
            client_id: okta.client_id().to_owned(),
            secret: okta.client_secret().to_owned().into(),
        },
        Arc::new(SystemClock),
        Arc::new(Silent),
    );
    options.scopes = scopes_for(&types).read;
    let api = Http::new(options)?;
    let options = CollectOptions {
        types,
        ..CollectOptions::default()
    };
    let mut parents = Parents::default();
    collect(&api, &options, &mut parents, &SystemClock, &Silent)?;
    Ok(parents)
}

/// When each user last signed in.
fn last_logins(okta: &OktaSim) -> HashMap<String, String> {
    let users = okta.dump("user").into_iter();
    users
        .filter_map(|(id, user)| Some((id, user.get("lastLogin")?.as_str()?.to_owned())))
        .collect()
}
