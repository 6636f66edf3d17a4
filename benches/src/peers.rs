//! Orgkeep and general-purpose backup tools on the same org, day after day.
//!
//! The org lives in this process and is served over HTTP. Each day it changes, Orgkeep's daemon backs it up, and what it
//! holds is exported, sorted and handed to every other tool as files: the same contents for all of them, without
//! what Orgkeep keeps apart (`_links`, `lastLogin`, `lastMembershipUpdated`). So the others get their files ready-made,
//! while Orgkeep has to fetch, page by page, what it keeps.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
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
use tools::{Source, TOOLS, Tool};

/// Above this many users there are no trees of one file for each object, and solid archives get a lower level.
const SMALL_USERS_MAX: u32 = 20_000;
/// How many users are read from the snapshot in the middle, at most.
const PROBES_MAX: usize = 200;
/// How often the other tools read one object.
const READS: usize = 3;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// Half of the users sign in each day; `lastLogin` is then part of the dumps
    #[arg(long)]
    logins: bool,
    /// How many seconds each step of another tool may take
    #[arg(long, default_value_t = 900)]
    budget: u64,
    /// Begin no further day after so many minutes; what is there then is printed
    #[arg(long, default_value_t = 600)]
    minutes: u64,
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

/// Runs the comparison for each size.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    say(&machine())?;
    let mut documents = Vec::new();
    for users in &options.users {
        documents.push(Run::new(options, *users)?.run(&documents)?);
    }
    Ok(())
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
        "Machine: {} cores, {}, Linux {}, load average {}",
        ask("nproc"),
        ask("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n1"),
        ask("uname -r"),
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
    users: u32,
    okta: OktaSim,
    orgkeep: Orgkeep,
    peers: Vec<Peer>,
    places: Places,
    began: Instant,
    /// The days over so far, the first included.
    days: u32,
    /// The day from which single objects are read.
    middle: u32,
    /// Users of that day.
    probes: Vec<String>,
    dump_bytes: Vec<u64>,
    changes: Vec<dump::Changes>,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, users: u32) -> anyhow::Result<Self> {
        let okta = OktaSim::builder()
            .users(users)
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
            users,
            okta,
            orgkeep,
            peers: Vec::new(),
            places,
            began: start(),
            days: 0,
            middle: options.days / 2 + 1,
            probes: Vec::new(),
            dump_bytes: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Lives through the days, prints the tables and gives the figures.
    fn run(mut self, earlier: &[Value]) -> anyhow::Result<Value> {
        say(&format!(
            "\n## {} users, seed {}, {} days after the first{}\n",
            self.users,
            self.options.seed,
            self.options.days,
            if self.options.logins {
                ", half of the users sign in each day"
            } else {
                ""
            }
        ))?;
        for tool in TOOLS {
            if self.takes_part(tool) {
                self.enlist(tool)?;
            }
        }
        for number in 1..=self.options.days + 1 {
            let minutes = self.began.elapsed().as_secs() / 60;
            if number > 1 && minutes >= self.options.minutes {
                let days = self.days;
                say(&format!("The time was up after day {days}.\n"))?;
                break;
            }
            self.day(number)
                .with_context(|| format!("day {number} went wrong"))?;
            self.keep(earlier)?;
        }
        self.afterwards()?;
        self.keep(earlier)
    }

    fn takes_part(&self, tool: &Tool) -> bool {
        let named = |parts: &[String]| parts.iter().any(|part| tool.name.contains(part.as_str()));
        let small = self.users <= SMALL_USERS_MAX;
        (self.options.only.is_empty() || named(&self.options.only))
            && !named(&self.options.without)
            && (small || tool.source == Source::Dumps)
    }

    /// Sets a tool up, if it is there.
    fn enlist(&mut self, tool: &'static Tool) -> anyhow::Result<()> {
        let home = self
            .places
            .scratch
            .path()
            .join(format!("peer{}", self.peers.len()));
        fs::create_dir_all(home.join("cache"))?;
        let bench = self.variables_of_all();
        let version = bench.iter().find(|(name, _)| name == "BENCH");
        let asked = match version {
            Some((_, bench)) => tool.version.replace("$BENCH", bench),
            None => tool.version.to_owned(),
        };
        let Some(version) = measured::ask(&asked) else {
            return say(&format!("- {}: skipped, it is not installed", tool.name));
        };
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
        };
        if !tool.setup.is_empty() {
            fs::create_dir_all(self.source(tool))?;
            let ended = self.step(&peer, tool.setup, 0, None)?;
            peer.out = peer
                .figures
                .take("setting up", ended, self.budget())
                .is_none();
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

    fn budget(&self) -> Duration {
        Duration::from_secs(self.options.budget)
    }

    /// The variables that no tool changes.
    fn variables_of_all(&self) -> Vec<(String, String)> {
        let bench = std::env::current_exe().unwrap_or_default();
        let level = if self.users <= SMALL_USERS_MAX {
            "19"
        } else {
            "3"
        };
        [
            ("BENCH", bench.display().to_string()),
            ("CHANGES", self.places.changes.display().to_string()),
            ("PARENTS", self.places.parents.display().to_string()),
            ("LEVEL", level.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Runs one of a tool's scripts, for a day and perhaps an object.
    fn step(
        &self,
        peer: &Peer,
        script: &str,
        day: u32,
        object: Option<&str>,
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
            budget: self.budget(),
            scratch: &peer.home,
        })
    }

    fn day(&mut self, number: u32) -> anyhow::Result<()> {
        if number > 1 {
            self.okta.advance(DAY);
            let day = Day {
                logins: if self.options.logins { 500 } else { 0 },
                ..Day::default()
            };
            let counts = self.okta.live(day, number);
            note(&format!("day {number}: {counts:?}"));
        }
        self.orgkeep.back_up()?;
        self.okta.clear_requests();
        let next = self.places.scratch.path().join("next");
        self.orgkeep.export(&next)?;
        self.save(&next, number)?;
        let mut line = format!("day {number}:");
        line += &brief(&self.orgkeep.figures, number);
        let mut peers = std::mem::take(&mut self.peers);
        for peer in peers.iter_mut().filter(|peer| !peer.out) {
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
        let logins = self.options.logins.then(|| last_logins(&self.okta));
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
        if number <= self.middle {
            // The last of them stays: of the day in the middle, or of the last there is.
            let ids = dump::ids(&dump.join("user.ndjson"))?;
            let stride = (ids.len() / PROBES_MAX).max(1);
            self.probes = ids.into_iter().step_by(stride).take(PROBES_MAX).collect();
        }
        Ok(())
    }

    /// A tool's backup of the day.
    fn feed(&self, peer: &mut Peer, number: u32) -> anyhow::Result<()> {
        let tool = peer.tool;
        let script = tool.first.filter(|_| number == 1).unwrap_or(tool.daily);
        let ended = self.step(peer, script, number, None)?;
        let what = format!("day {number}");
        let Some(cost) = peer.figures.take(&what, ended, self.budget()) else {
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
        {
            self.upkeep(peer, number)?;
        }
        let bytes = tree_bytes(&peer.home.join("repo"))?;
        peer.figures.bytes.push(bytes);
        Ok(())
    }

    fn upkeep(&self, peer: &mut Peer, number: u32) -> anyhow::Result<()> {
        let Some((_, script)) = peer.tool.upkeep else {
            return Ok(());
        };
        let ended = self.step(peer, script, number, None)?;
        let what = format!("upkeep on day {number}");
        let cost = peer.figures.take(&what, ended, self.budget());
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
        say(&self.orgkeep.figures.row())?;
        let mut peers = std::mem::take(&mut self.peers);
        for peer in &mut peers {
            if !peer.out {
                self.examine(peer, middle)?;
            }
            say(&peer.figures.row())?;
            // What it kept is not needed any more, and the next may need the room.
            fs::remove_dir_all(&peer.home).ok();
        }
        self.peers = peers;
        say("")?;
        for words in self.orgkeep.words() {
            say(&format!("- {words}"))?;
        }
        say("\n| target | at most | measured | |\n|---|--:|--:|---|")?;
        for target in self.targets() {
            say(&target.row())?;
        }
        say(&format!("\nAfterwards: {}", machine()))
    }

    fn examine(&self, peer: &mut Peer, middle: u32) -> anyhow::Result<()> {
        let tool = peer.tool;
        let last_upkeep = tool
            .upkeep
            .is_some_and(|(every, _)| every == 0 || !self.days.is_multiple_of(every));
        if last_upkeep && self.days > 1 {
            self.upkeep(peer, self.days)?;
            let bytes = tree_bytes(&peer.home.join("repo"))?;
            if let Some(last) = peer.figures.bytes.last_mut() {
                *last = bytes;
            }
        }
        if let Some(script) = tool.read {
            for id in self.probes.iter().rev().take(READS) {
                let ended = self.step(peer, script, middle, Some(id))?;
                let cost = peer.figures.take("reading", ended, self.budget());
                peer.figures.read.extend(cost);
            }
        }
        if let Some(script) = tool.check {
            let ended = self.step(peer, script, self.days, None)?;
            peer.figures.check = peer.figures.take("checking", ended, self.budget());
        }
        if let Some(script) = tool.restore {
            fs::create_dir_all(peer.home.join("out"))?;
            let ended = self.step(peer, script, self.days, None)?;
            peer.figures.export = peer.figures.take("restoring", ended, self.budget());
        }
        Ok(())
    }

    fn say_first(&self) -> anyhow::Result<()> {
        say("\n| first backup | CPU s | wall s | MB |\n|---|--:|--:|--:|")?;
        let rows = self.peers.iter().map(|peer| &peer.figures);
        for figures in std::iter::once(&self.orgkeep.figures).chain(rows) {
            let Cost {
                cpu_seconds,
                wall_seconds,
                ..
            } = figures.first.unwrap_or_default();
            let megabytes = figures.bytes.last().map_or(0.0, |bytes| float(*bytes) / MB);
            let name = &figures.name;
            say(&format!(
                "| {name} | {cpu_seconds:.2} | {wall_seconds:.2} | {megabytes:.2} |"
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
        let row = |name: &str| {
            let peer = self.peers.iter().find(|peer| peer.tool.name == name)?;
            (!peer.figures.bytes.is_empty()).then_some(&peer.figures)
        };
        let last = |figures: &Figures| figures.bytes.last().map(|bytes| float(*bytes) / MB);
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
        let bupstash = row("bupstash").and_then(last).map(|bytes| bytes / 20.0);
        add(
            format!("after day {days}, 1/20 of bupstash"),
            bupstash,
            ours,
            "MB",
        );
        let git = row("git, gc every 5 days").and_then(last);
        add(
            format!("after day {days}, as little as git after gc (beyond the target)"),
            git,
            ours,
            "MB",
        );
        if self.users >= 100_000 {
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
        targets.extend(self.orgkeep.targets(self.users));
        targets
    }

    /// Everything there is so far, as JSON; also written to the file, if one is wanted.
    fn keep(&self, earlier: &[Value]) -> anyhow::Result<Value> {
        let rows: Vec<&Figures> = std::iter::once(&self.orgkeep.figures)
            .chain(self.peers.iter().map(|peer| &peer.figures))
            .collect();
        let document = json!({
            "users": self.users,
            "seed": self.options.seed,
            "days": self.days,
            "logins": self.options.logins,
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
