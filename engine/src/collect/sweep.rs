//! The full sweep: a pool of workers reads every list, the calling thread gives it to the sink.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::CollectError;
use super::failure::Outcomes;
use super::ids::IdSet;
use super::paths::{expand, limit, query_value};
use super::read::{Child, Items, NO_ID, Parent, Reader, bare_key};
use crate::canonical::top_level_str;
use crate::catalogue::{Listing, ObjectType};
use crate::monitor::Progress;
use crate::object::{Batch, Keys, Sink};
use crate::okta::OktaError;
use crate::okta::pager::Pager;

/// The most bytes of canonical objects that wait for the sink.
const QUEUE_BYTES_MAX: usize = 2 << 20;

/// The children of one parent are given as one list up to this size; a larger list is given in parts.
const CHILDREN_BYTES_MAX: usize = 16 << 20;

/// The keys of relations under one parent are given as one list up to this size: some two million of them.
const KEYS_BYTES_MAX: usize = 64 << 20;

/// How many relations of a list that is larger are given at a time.
const KEYS_PART: usize = 4096;

/// A list that is larger is gathered by one worker at a time; the others wait with theirs when they get there.
const LONG_LIST_BYTES: usize = 2 << 20;

/// How often a list that moves while it is read is read at most.
pub(super) const LISTINGS_MAX: u32 = 4;

/// Why a type is incomplete whose list never stood still.
pub(super) const MOVING: &str = "the list kept moving while it was read";

/// What the sweep has seen, for the reading that follows it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The parents of every type that has children, by id.
    pub(super) parents: BTreeMap<ObjectType, BTreeMap<String, Parent>>,
    /// The ids of types that are listed as a whole.
    pub(super) seen: BTreeMap<ObjectType, IdSet>,
    /// Types of which some list had more than one page.
    pub(super) paged: BTreeSet<ObjectType>,
    /// Types of which a list showed an object twice: it moved while it was read, and what came twice may have
    /// taken the place of what did not come.
    pub(super) moved: BTreeSet<ObjectType>,
}

/// A piece of work for one worker.
#[derive(Debug)]
pub(super) enum Work {
    /// Read a list of a type that stands for itself.
    List {
        object_type: ObjectType,
        path: &'static str,
    },
    /// Read what lives under a parent.
    Under { child: Child, parent: Parent },
    /// Read one object of a list that tells too little.
    Get { object_type: ObjectType, id: String },
}

/// What a worker tells the sink's thread.
#[derive(Debug)]
pub(super) enum Message {
    Objects(Batch),
    Children {
        parent: String,
        children: Batch,
    },
    /// The children of a type that says nothing beyond parent and key.
    Related {
        object_type: ObjectType,
        parent: String,
        keys: Keys,
    },
    Parents(Vec<Parent>),
    /// A parent that its own document shows to be gone.
    ParentGone(Parent),
    /// The list had more than one page.
    Paged(ObjectType),
    Complete {
        object_type: ObjectType,
        requests_minimum: u64,
    },
    Incomplete {
        object_type: ObjectType,
        reason: String,
    },
    Failed {
        object_type: ObjectType,
        error: OktaError,
    },
}

/// Where work and what came of it go.
pub(super) trait Output {
    /// Hands a message on; `Err` when nobody takes any more.
    fn tell(&self, bytes: usize, message: Message) -> Result<(), OktaError>;

    /// Adds work.
    fn add(&self, work: Work);
}

/// Reads everything that is needed.
pub(super) fn run<S: Sink>(
    reader: &Reader<'_>,
    parallel: usize,
    sink: &mut S,
    outcomes: &mut Outcomes,
) -> Result<Known, CollectError<S::Error>> {
    let pool = Pool::default();
    for object_type in reader.needed() {
        if !reader.has_scope(object_type.entry().read_scope) {
            let scopes = vec![object_type.entry().read_scope.to_owned()];
            outcomes.failed(reader, object_type, OktaError::MissingScopes { scopes })?;
            continue;
        }
        for path in lists(object_type) {
            pool.add(Work::List { object_type, path });
        }
    }
    let mut known = Known::default();
    let result = thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel.max(1))
            .map(|_| scope.spawn(|| pool.work(reader)))
            .collect();
        let result = take_all(reader, &pool, sink, outcomes, &mut known);
        // Whatever the reason for ending, the workers must not wait for anyone.
        pool.close();
        for worker in workers {
            drop(worker.join());
        }
        result
    });
    result?;
    outcomes.pass_on_to_children(reader);
    Ok(known)
}

fn lists(object_type: ObjectType) -> Vec<&'static str> {
    match object_type.entry().listing {
        Listing::Pages(paths) => paths.to_vec(),
        Listing::PagesThenGet(path) | Listing::Single(path) => vec![path],
        Listing::UnderParent(_) | Listing::OnePerParent { .. } => Vec::new(),
    }
}

fn take_all<S: Sink>(
    reader: &Reader<'_>,
    pool: &Pool,
    sink: &mut S,
    outcomes: &mut Outcomes,
    known: &mut Known,
) -> Result<(), CollectError<S::Error>> {
    while let Some(message) = pool.next_message() {
        reader.check_cancelled().map_err(stopped)?;
        take(reader, message, sink, outcomes, known)?;
    }
    reader.check_cancelled().map_err(stopped)
}

fn stopped<E>(error: OktaError) -> CollectError<E> {
    match error {
        OktaError::Cancelled => CollectError::Cancelled,
        error => CollectError::Okta(error),
    }
}

/// Gives one message to the sink.
pub(super) fn take<S: Sink>(
    reader: &Reader<'_>,
    message: Message,
    sink: &mut S,
    outcomes: &mut Outcomes,
    known: &mut Known,
) -> Result<(), CollectError<S::Error>> {
    let progress = |object_type, count: usize| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        reader.monitor.report(Progress::Done {
            object_type: Some(object_type),
            count,
        });
    };
    match message {
        Message::Objects(objects) => {
            let object_type = objects.object_type();
            if !object_type.has_parent() {
                let seen = known.seen.entry(object_type).or_default();
                let ids = objects.iter().map(|object| object.id);
                if ids.filter(|id| !seen.insert(id)).count() > 0 {
                    known.moved.insert(object_type);
                }
            }
            sink.objects(&objects).map_err(CollectError::Sink)?;
            progress(object_type, objects.len());
        }
        Message::Children { parent, children } => {
            sink.list(&parent, &children).map_err(CollectError::Sink)?;
            progress(children.object_type(), children.len());
        }
        Message::Related {
            object_type,
            parent,
            keys,
        } => {
            sink.related(object_type, &parent, &keys)
                .map_err(CollectError::Sink)?;
            progress(object_type, keys.len());
        }
        Message::Parents(parents) => {
            for parent in parents {
                known
                    .parents
                    .entry(parent.object_type)
                    .or_default()
                    .insert(parent.id.clone(), parent);
            }
        }
        Message::ParentGone(parent) => forget(reader, &parent, sink, known)?,
        Message::Paged(object_type) => {
            known.paged.insert(object_type);
        }
        Message::Complete {
            object_type,
            requests_minimum,
        } => outcomes.complete(object_type, requests_minimum),
        Message::Incomplete {
            object_type,
            reason,
        } => outcomes.incomplete(object_type, &reason),
        Message::Failed { object_type, error } => {
            outcomes
                .failed(reader, object_type, error)
                .map_err(stopped)?;
        }
    }
    Ok(())
}

/// A parent is gone, and with it what lived under it.
pub(super) fn forget<S: Sink>(
    reader: &Reader<'_>,
    parent: &Parent,
    sink: &mut S,
    known: &mut Known,
) -> Result<(), CollectError<S::Error>> {
    for child in parent
        .object_type
        .children()
        .filter(|child| reader.is_wanted(*child))
    {
        sink.children(child, &parent.id, Vec::new())
            .map_err(CollectError::Sink)?;
    }
    if reader.is_wanted(parent.object_type) {
        sink.gone(parent.object_type, &parent.id)
            .map_err(CollectError::Sink)?;
    }
    if let Some(parents) = known.parents.get_mut(&parent.object_type) {
        parents.remove(&parent.id);
    }
    if let Some(seen) = known.seen.get_mut(&parent.object_type) {
        seen.remove(&parent.id);
    }
    Ok(())
}

/// Carries out one piece of work; an error is told as the type's failure.
pub(super) fn perform(
    reader: &Reader<'_>,
    work: Work,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let (object_type, result) = match work {
        Work::List { object_type, path } => (object_type, list(reader, object_type, path, output)),
        Work::Under { child, parent } => {
            (child.object_type, under(reader, &child, &parent, output))
        }
        Work::Get { object_type, id } => (object_type, get(reader, object_type, &id, output)),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) => output.tell(0, Message::Failed { object_type, error }),
    }
}

fn list(
    reader: &Reader<'_>,
    object_type: ObjectType,
    path: &'static str,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let entry = object_type.entry();
    if matches!(entry.listing, Listing::Single(_)) {
        match reader.get(object_type, None, path)? {
            Some(items) => hand_on(object_type, items, output)?,
            // There is always one: whoever denies that is not believed.
            None => output.tell(
                0,
                Message::Incomplete {
                    object_type,
                    reason: "Okta says that it does not exist".to_owned(),
                },
            )?,
        }
        return output.tell(
            0,
            Message::Complete {
                object_type,
                requests_minimum: 1,
            },
        );
    }
    let then_get = matches!(entry.listing, Listing::PagesThenGet(_));
    let filter = query_value(path, "type");
    let mut pages = Pager::new(reader.api, path, entry.items_property);
    let (mut count, mut filled) = (0u64, 0u64);
    while let Some(page) = pages.next_page()? {
        reader.check_cancelled()?;
        let raw = page.items();
        filled += u64::from(raw.len() > 0);
        count += u64::try_from(raw.len()).unwrap_or(0);
        if filled == 2 {
            output.tell(0, Message::Paged(object_type))?;
        }
        if then_get {
            for item in raw {
                match top_level_str(item, "id") {
                    Some(id) => output.add(Work::Get {
                        object_type,
                        id: id.into_owned(),
                    }),
                    None => output.tell(0, no_id(object_type))?,
                }
            }
        } else {
            let items = reader.items(object_type, None, raw, filter)?;
            page.give_back(reader.api);
            hand_on(object_type, items, output)?;
        }
    }
    let gets = if then_get { count } else { 0 };
    let requests_minimum = pages_minimum(path, count, filled) + gets;
    output.tell(
        0,
        Message::Complete {
            object_type,
            requests_minimum,
        },
    )
}

fn no_id(object_type: ObjectType) -> Message {
    Message::Incomplete {
        object_type,
        reason: NO_ID.to_owned(),
    }
}

/// The fewest pages that hold `count` items: as many as there were, where the size is the server's choice.
fn pages_minimum(path: &str, count: u64, filled: u64) -> u64 {
    limit(path)
        .map_or(filled, |limit| count.div_ceil(limit.max(1)))
        .max(1)
}

fn get(
    reader: &Reader<'_>,
    object_type: ObjectType,
    id: &str,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let Some(template) = object_type.entry().get else {
        return Ok(());
    };
    // What vanished since it was listed is simply gone.
    match reader.get(object_type, None, &expand(template, id, None, None))? {
        Some(items) => hand_on(object_type, items, output),
        None => Ok(()),
    }
}

/// Hands on objects, then the work under those that are parents.
fn hand_on(object_type: ObjectType, items: Items, output: &dyn Output) -> Result<(), OktaError> {
    if let Some(reason) = items.broken {
        output.tell(
            0,
            Message::Incomplete {
                object_type,
                reason,
            },
        )?;
    }
    output.tell(items.objects.bytes(), Message::Objects(items.objects))?;
    open_up(items.parents, output)
}

fn open_up(parents: Vec<Parent>, output: &dyn Output) -> Result<(), OktaError> {
    if parents.is_empty() {
        return Ok(());
    }
    output.tell(0, Message::Parents(parents.clone()))?;
    for parent in parents {
        for child in parent.children.clone() {
            output.add(Work::Under {
                child,
                parent: parent.clone(),
            });
        }
    }
    Ok(())
}

fn under(
    reader: &Reader<'_>,
    child: &Child,
    parent: &Parent,
    output: &dyn Output,
) -> Result<(), OktaError> {
    if !reader.has_scope(child.object_type.entry().read_scope) {
        return Ok(());
    }
    let result = match child.object_type.entry().listing {
        Listing::OnePerParent { path, .. } => one_under(reader, child, parent, path, output),
        Listing::UnderParent(path) => list_under(reader, child.object_type, parent, path, output),
        Listing::Pages(_) | Listing::PagesThenGet(_) | Listing::Single(_) => Ok(()),
    };
    match result {
        Err(error) if error.is_gone() && reader.is_gone(parent)? => {
            output.tell(0, Message::ParentGone(parent.clone()))?;
            output.tell(
                0,
                Message::Complete {
                    object_type: child.object_type,
                    requests_minimum: 1,
                },
            )
        }
        result => result,
    }
}

fn one_under(
    reader: &Reader<'_>,
    child: &Child,
    parent: &Parent,
    path: &str,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let object_type = child.object_type;
    let by_link = matches!(
        object_type.entry().listing,
        Listing::OnePerParent {
            via_link: Some(_),
            ..
        }
    );
    if by_link && child.via.is_none() {
        let reason = format!("{} has no link to it", parent.object_type);
        return output.tell(
            0,
            Message::Incomplete {
                object_type,
                reason,
            },
        );
    }
    let key = child.via.as_deref().unwrap_or(&parent.id);
    // Some parents have no such document (Okta's own apps have no schema): that is a complete answer.
    let items = reader.get(
        object_type,
        Some(parent),
        &expand(path, key, Some(key), parent.parent.as_deref()),
    )?;
    let items = items.unwrap_or_else(|| Items::new(object_type, Some(parent)));
    if let Some(reason) = items.broken {
        return output.tell(
            0,
            Message::Incomplete {
                object_type,
                reason,
            },
        );
    }
    if reader.is_wanted(object_type) {
        let parent = parent.id.clone();
        let children = items.objects;
        output.tell(children.bytes(), Message::Children { parent, children })?;
    }
    output.tell(
        0,
        Message::Complete {
            object_type,
            requests_minimum: 1,
        },
    )
}

fn list_under(
    reader: &Reader<'_>,
    object_type: ObjectType,
    parent: &Parent,
    template: &str,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let path = expand(
        template,
        &parent.id,
        Some(&parent.id),
        parent.parent.as_deref(),
    );
    if object_type.entry().bare_relation && reader.is_wanted(object_type) {
        return keys_under(reader, object_type, parent, &path, output);
    }
    let mut all = Items::new(object_type, Some(parent));
    let mut long_list = None;
    let mut requests_minimum = 0;
    let mut in_parts = false;
    for attempt in 1..=LISTINGS_MAX {
        let listed = read_under(
            reader,
            object_type,
            parent,
            &path,
            &mut all,
            output,
            &mut long_list,
        )?;
        in_parts |= listed.in_parts;
        let minimum = pages_minimum(&path, listed.count, listed.filled);
        requests_minimum = minimum.max(requests_minimum);
        if listed.filled > 1 {
            output.tell(0, Message::Paged(object_type))?;
        }
        if listed.repeated == 0 {
            break;
        }
        // The list moved while it was read: what came twice may have taken the place of what did not come.
        if attempt == LISTINGS_MAX {
            all.broken.get_or_insert_with(|| MOVING.to_owned());
        }
    }
    let whole = !in_parts && all.broken.is_none();
    if let Some(reason) = all.broken {
        output.tell(
            0,
            Message::Incomplete {
                object_type,
                reason,
            },
        )?;
    }
    if reader.is_wanted(object_type) {
        let bytes = all.objects.bytes();
        let message = if whole {
            Message::Children {
                parent: parent.id.clone(),
                children: all.objects,
            }
        } else {
            Message::Objects(all.objects)
        };
        output.tell(bytes, message)?;
    }
    drop(long_list);
    open_up(all.parents, output)?;
    output.tell(
        0,
        Message::Complete {
            object_type,
            requests_minimum,
        },
    )
}

/// Reads the relations under a parent that say nothing beyond their two ends.
fn keys_under(
    reader: &Reader<'_>,
    object_type: ObjectType,
    parent: &Parent,
    path: &str,
    output: &dyn Output,
) -> Result<(), OktaError> {
    let mut all = Keys::default();
    let mut broken = None;
    let mut long_list = None;
    let mut requests_minimum = 0;
    for attempt in 1..=LISTINGS_MAX {
        let mut pages = Pager::new(reader.api, path, object_type.entry().items_property);
        let mut now = Keys::default();
        let (mut count, mut filled) = (0u64, 0u64);
        while let Some(page) = pages.next_page()? {
            reader.check_cancelled()?;
            if page.restarted {
                all.append(&std::mem::take(&mut now));
                (count, filled) = (0, 0);
            }
            let items = page.items();
            filled += u64::from(items.len() > 0);
            count += u64::try_from(items.len()).unwrap_or(0);
            for item in items {
                match bare_key(object_type, item) {
                    Some(key) => now.push(&key),
                    None => broken = broken.or(Some(NO_ID)),
                }
            }
            page.give_back(reader.api);
            let bytes = all.bytes() + now.bytes();
            if bytes > LONG_LIST_BYTES && long_list.is_none() {
                long_list = Some(reader.begin_long_list());
            }
        }
        let read = now.len();
        now = now.sorted();
        let repeated = read > now.len();
        if all.is_empty() {
            all = now;
        } else {
            all.append(&now);
            all = all.sorted();
        }
        requests_minimum = pages_minimum(path, count, filled).max(requests_minimum);
        if filled > 1 {
            output.tell(0, Message::Paged(object_type))?;
        }
        if !repeated {
            break;
        }
        // The list moved while it was read: what came twice may have taken the place of what did not come.
        if attempt == LISTINGS_MAX {
            broken = broken.or(Some(MOVING));
        }
    }
    give_keys(object_type, parent, all, broken, output)?;
    drop(long_list);
    output.tell(
        0,
        Message::Complete {
            object_type,
            requests_minimum,
        },
    )
}

/// Gives relations as one list, or, where the list is not whole or too large, one by one.
fn give_keys(
    object_type: ObjectType,
    parent: &Parent,
    keys: Keys,
    broken: Option<&str>,
    output: &dyn Output,
) -> Result<(), OktaError> {
    if broken.is_none() && keys.bytes() <= KEYS_BYTES_MAX {
        let parent = parent.id.clone();
        return output.tell(
            keys.bytes(),
            Message::Related {
                object_type,
                parent,
                keys,
            },
        );
    }
    if let Some(reason) = broken {
        let reason = reason.to_owned();
        output.tell(
            0,
            Message::Incomplete {
                object_type,
                reason,
            },
        )?;
    }
    let mut relations = keys.iter().map(|key| [&parent.id, "/", key].concat());
    loop {
        let mut objects = Batch::new(object_type, Some(&parent.id));
        for id in relations.by_ref().take(KEYS_PART) {
            // It has no body.
            objects.push::<OktaError>(&id, |_| Ok(0))?;
        }
        if objects.is_empty() {
            return Ok(());
        }
        output.tell(objects.bytes(), Message::Objects(objects))?;
    }
}

/// How one reading of a list under a parent went.
#[derive(Debug, Default)]
struct Listed {
    count: u64,
    /// Pages that were not empty.
    filled: u64,
    /// Items that came more than once, as far as they were kept together.
    repeated: usize,
    /// Whether the list was too large to be kept as one.
    in_parts: bool,
}

/// Reads the list under a parent into `all`; of equal ids the last one read counts. `long_list` is taken when it grows long.
fn read_under<'r>(
    reader: &'r Reader<'_>,
    object_type: ObjectType,
    parent: &Parent,
    path: &str,
    all: &mut Items,
    output: &dyn Output,
    long_list: &mut Option<MutexGuard<'r, ()>>,
) -> Result<Listed, OktaError> {
    let mut pages = Pager::new(reader.api, path, object_type.entry().items_property);
    let mut listed = Listed::default();
    let mut earlier = all.objects.take();
    while let Some(page) = pages.next_page()? {
        reader.check_cancelled()?;
        if page.restarted {
            earlier.append(all.objects.take());
            listed.count = 0;
            listed.filled = 0;
        }
        let items = reader.items(object_type, Some(parent), page.items(), None)?;
        page.give_back(reader.api);
        listed.filled += u64::from(items.count > 0);
        listed.count += items.count;
        all.objects.append(items.objects);
        all.parents.extend(items.parents);
        all.broken = all.broken.take().or(items.broken);
        let bytes = earlier.bytes() + all.objects.bytes();
        if bytes > LONG_LIST_BYTES && long_list.is_none() {
            *long_list = Some(reader.begin_long_list());
        }
        if bytes > CHILDREN_BYTES_MAX {
            listed.in_parts = true;
            earlier.append(all.objects.take());
            output.tell(bytes, Message::Objects(earlier.take()))?;
        }
    }
    listed.repeated = all.objects.keep_last();
    if !earlier.is_empty() {
        earlier.append(all.objects.take());
        all.objects = earlier;
        all.objects.keep_last();
    }
    all.parents.sort_by(|a, b| a.id.cmp(&b.id));
    all.parents.dedup_by(|later, kept| later.id == kept.id);
    Ok(listed)
}

/// The workers' queue of work, and the bounded queue of what they tell.
#[derive(Debug, Default)]
struct Pool {
    state: Mutex<State>,
    work_changed: Condvar,
    messages_changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Work by collection (`apps`, `groups` …): those share a rate limit.
    pending: BTreeMap<String, VecDeque<Work>>,
    active: BTreeMap<String, usize>,
    messages: VecDeque<(usize, Message)>,
    bytes: usize,
    closed: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.active.values().all(|count| *count == 0)
            && self.pending.values().all(VecDeque::is_empty)
    }

    /// Work of the collection on which the fewest are working, so that a bucket that is exhausted
    /// does not keep everybody waiting.
    fn pick(&mut self) -> Option<(String, Work)> {
        let least = self
            .pending
            .iter()
            .filter(|(_, work)| !work.is_empty())
            .map(|(collection, _)| collection)
            .min_by_key(|collection| self.active.get(*collection).copied().unwrap_or(0))?
            .clone();
        let work = self.pending.get_mut(&least)?.pop_front()?;
        *self.active.entry(least.clone()).or_default() += 1;
        Some((least, work))
    }
}

/// The part of a path that tells which rate limit it counts against, roughly.
fn collection(work: &Work) -> String {
    let path = match work {
        Work::List { path, .. } => path,
        Work::Under { child, .. } => match child.object_type.entry().listing {
            Listing::UnderParent(path) | Listing::OnePerParent { path, .. } => path,
            Listing::Pages(_) | Listing::PagesThenGet(_) | Listing::Single(_) => "",
        },
        Work::Get { object_type, .. } => object_type.entry().get.unwrap_or_default(),
    };
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').nth(3).unwrap_or_default().to_owned()
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, reader: &Reader<'_>) {
        while let Some((collection, work)) = self.take_work() {
            let working = Working {
                pool: self,
                collection,
            };
            // An error here means that nobody takes messages any more.
            if perform(reader, work, self).is_err() {
                self.close();
            }
            drop(working);
        }
    }

    fn take_work(&self) -> Option<(String, Work)> {
        let mut state = self.lock();
        loop {
            if state.closed || state.is_idle() {
                return None;
            }
            if let Some(picked) = state.pick() {
                return Some(picked);
            }
            state = self
                .work_changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next message; `None` when all work is done.
    fn next_message(&self) -> Option<Message> {
        let mut state = self.lock();
        loop {
            if let Some((bytes, message)) = state.messages.pop_front() {
                state.bytes -= bytes;
                drop(state);
                self.messages_changed.notify_all();
                return Some(message);
            }
            if state.closed || state.is_idle() {
                return None;
            }
            state = self
                .messages_changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.work_changed.notify_all();
        self.messages_changed.notify_all();
    }
}

/// A worker's place, given back whatever happens.
struct Working<'a> {
    pool: &'a Pool,
    collection: String,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        if let Some(active) = state.active.get_mut(&self.collection) {
            *active = active.saturating_sub(1);
        }
        drop(state);
        self.pool.work_changed.notify_all();
        self.pool.messages_changed.notify_all();
    }
}

impl Output for Pool {
    fn tell(&self, bytes: usize, message: Message) -> Result<(), OktaError> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(OktaError::Cancelled);
            }
            if state.bytes == 0 || state.bytes + bytes <= QUEUE_BYTES_MAX {
                break;
            }
            state = self
                .messages_changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes;
        state.messages.push_back((bytes, message));
        drop(state);
        self.messages_changed.notify_all();
        Ok(())
    }

    fn add(&self, work: Work) {
        let mut state = self.lock();
        state
            .pending
            .entry(collection(&work))
            .or_default()
            .push_back(work);
        drop(state);
        self.work_changed.notify_all();
    }
}
