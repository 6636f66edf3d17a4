//! After the sweep: reads again what changed while it ran.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::CollectError;
use super::failure::Outcomes;
use super::log::{Event, Settle, Tail};
use super::paths::expand;
use super::read::{Parent, Reader};
use super::sweep::{self, Known, LISTINGS_MAX, MOVING, Message, Output, Work};
use crate::catalogue::{IdRule, Listing, ObjectType};
use crate::monitor::Progress;
use crate::object::Sink;
use crate::okta::OktaError;

/// More assignments than this under one parent are read by its list rather than one by one.
const PAIRS_MAX: usize = 20;

/// The reading after the sweep.
pub(super) struct Replay<'r, 'a, S> {
    pub(super) reader: &'r Reader<'a>,
    pub(super) known: Known,
    pub(super) sink: &'r mut S,
    pub(super) outcomes: &'r mut Outcomes,
}

/// What a batch of events touches.
#[derive(Debug, Default)]
struct Touched {
    /// Types to list again as a whole.
    lists: BTreeSet<ObjectType>,
    /// Objects to read by id.
    objects: BTreeMap<ObjectType, BTreeSet<String>>,
    /// Lists to read again, by type and parent.
    under: BTreeMap<ObjectType, BTreeSet<String>>,
    /// Relations to read by type, parent and key.
    pairs: BTreeMap<(ObjectType, String), BTreeSet<String>>,
    /// Types of which objects were created or deleted.
    shifted: BTreeSet<ObjectType>,
}

/// Follows the log until it has settled; without a log, lists once more what may have moved.
pub(super) fn run<S: Sink>(
    mut replay: Replay<'_, '_, S>,
    tail: &mut Tail,
    settle: &Settle<'_>,
) -> Result<(), CollectError<S::Error>> {
    if !tail.is_readable() {
        return replay.list_again();
    }
    replay.reader.monitor.report(Progress::Phase {
        name: "following_log",
        total: None,
    });
    let mut shifted = BTreeSet::new();
    loop {
        // What one page holds cannot move: only where lists had several is there anything to wait for.
        let last = replay.known.paged.is_empty() || settle.is_over();
        match tail.read_new(replay.reader) {
            Ok(events) => {
                let touched = replay.touched(&events);
                shifted.extend(touched.shifted.iter().copied());
                replay.read_touched(touched)?;
            }
            Err(error @ (OktaError::Unauthorized { .. } | OktaError::Cancelled)) => {
                return Err(stopped(error));
            }
            Err(error) => {
                let text = format!(
                    "the System Log could not be followed ({error}); users and groups were listed again"
                );
                replay.reader.monitor.report(Progress::Warning(text));
                tail.give_up();
                return replay.list_again();
            }
        }
        if last {
            break;
        }
        settle.wait(replay.reader).map_err(stopped)?;
    }
    shifted.retain(|object_type| replay.known.paged.contains(object_type));
    shifted.extend(replay.known.moved.iter().copied());
    for object_type in shifted {
        replay.relist(object_type)?;
    }
    Ok(())
}

fn stopped<E>(error: OktaError) -> CollectError<E> {
    match error {
        OktaError::Cancelled => CollectError::Cancelled,
        error => CollectError::Okta(error),
    }
}

impl<S: Sink> Replay<'_, '_, S> {
    /// What the events name, by the catalogue.
    fn touched(&self, events: &[Event]) -> Touched {
        let mut touched = Touched::default();
        for event in events {
            for object_type in self.reader.needed() {
                let events = object_type.entry().log_events;
                if events
                    .iter()
                    .any(|start| event.event_type.starts_with(start))
                {
                    self.touch(object_type, event, &mut touched);
                }
            }
        }
        touched
    }

    fn touch(&self, object_type: ObjectType, event: &Event, touched: &mut Touched) {
        let entry = object_type.entry();
        let named = |target: &str| {
            entry
                .log_targets
                .iter()
                .any(|name| name.eq_ignore_ascii_case(target))
        };
        let ids: Vec<&str> = event
            .targets()
            .filter(|(target, _)| named(target))
            .map(|(_, id)| id)
            .collect();
        if !object_type.has_parent() {
            if event.event_type.contains(".create") || event.event_type.contains(".delete") {
                touched.shifted.insert(object_type);
            }
            if ids.is_empty() {
                touched.lists.insert(object_type);
            } else {
                let objects = touched.objects.entry(object_type).or_default();
                objects.extend(ids.into_iter().map(str::to_owned));
            }
            return;
        }
        // Any target that is a known parent will do, whatever its type is called.
        let parents: BTreeSet<&str> = event
            .targets()
            .map(|(_, id)| id)
            .filter(|id| self.parent_of(object_type, id).is_some())
            .collect();
        if parents.is_empty() {
            // A parent of a named target type that nobody knows yet has its own event.
            if ids.is_empty() {
                touched.lists.insert(object_type);
            }
            return;
        }
        let key = self.pair_key(object_type, event);
        for parent in parents {
            match key {
                Some(key) => {
                    let pairs = touched
                        .pairs
                        .entry((object_type, parent.to_owned()))
                        .or_default();
                    pairs.insert(key.to_owned());
                }
                None => {
                    touched
                        .under
                        .entry(object_type)
                        .or_default()
                        .insert(parent.to_owned());
                }
            }
        }
    }

    /// The key of the one relation an event names, where such a relation can be read by itself.
    fn pair_key<'e>(&self, object_type: ObjectType, event: &'e Event) -> Option<&'e str> {
        let entry = object_type.entry();
        entry
            .get
            .filter(|_| matches!(entry.id, IdRule::UnderParent(_)))?;
        let end = entry
            .references
            .iter()
            .find(|reference| reference.path == "id")?;
        let ends: Vec<ObjectType> = end.to.iter().filter_map(|name| name.parse().ok()).collect();
        let is_end = |target: &str| {
            let mut names = ends.iter().flat_map(|end| end.entry().log_targets);
            names.any(|name| name.eq_ignore_ascii_case(target))
        };
        let mut keys = event
            .targets()
            .filter(|(target, _)| is_end(target))
            .map(|(_, id)| id);
        let key = keys.next()?;
        keys.next().is_none().then_some(key)
    }

    /// The known parent with this id under which objects of the type live.
    fn parent_of(&self, child: ObjectType, id: &str) -> Option<&Parent> {
        child
            .parents()
            .find_map(|parent| self.known.parents.get(&parent)?.get(id))
    }

    fn read_touched(&mut self, touched: Touched) -> Result<(), CollectError<S::Error>> {
        for (object_type, ids) in &touched.objects {
            for id in ids {
                self.reread(*object_type, id)?;
            }
        }
        for object_type in touched.lists {
            if object_type.has_parent() {
                self.relist_under_all(object_type)?;
            } else {
                self.relist(object_type)?;
            }
        }
        let mut under = touched.under;
        for ((object_type, parent), keys) in touched.pairs {
            if keys.len() > PAIRS_MAX {
                under.entry(object_type).or_default().insert(parent);
                continue;
            }
            for key in keys {
                self.reread_pair(object_type, &parent, &key)?;
            }
        }
        for (object_type, parents) in under {
            for parent in parents {
                self.relist_under(object_type, &parent)?;
            }
        }
        Ok(())
    }

    /// Reads an object by its id; what lives under it too, if it is new.
    fn reread(&mut self, object_type: ObjectType, id: &str) -> Result<(), CollectError<S::Error>> {
        let Some(template) = object_type.entry().get else {
            return Ok(());
        };
        match self
            .reader
            .get(object_type, None, &expand(template, id, None, None))
        {
            Ok(Some(items)) => {
                if let Some(reason) = &items.broken {
                    self.outcomes.incomplete(object_type, reason);
                }
                // Given again on purpose: not the sign of a list that moved.
                let moved = self.known.moved.contains(&object_type);
                self.take(Message::Objects(items.objects))?;
                if !moved {
                    self.known.moved.remove(&object_type);
                }
                for parent in items.parents {
                    self.welcome(parent)?;
                }
                Ok(())
            }
            Ok(None) => self.gone(object_type, id),
            Err(error) => self.failed(object_type, error),
        }
    }

    /// A parent that was read again: if it was not known, so is everything under it.
    fn welcome(&mut self, parent: Parent) -> Result<(), CollectError<S::Error>> {
        let known = self.known.parents.entry(parent.object_type).or_default();
        if known.insert(parent.id.clone(), parent.clone()).is_some() {
            return Ok(());
        }
        for child in parent.children.clone() {
            self.perform(
                Work::Under {
                    child,
                    parent: parent.clone(),
                },
                true,
            )?;
        }
        Ok(())
    }

    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), CollectError<S::Error>> {
        let parents = self.known.parents.get(&object_type);
        if let Some(parent) = parents.and_then(|parents| parents.get(id)).cloned() {
            return sweep::forget(self.reader, &parent, self.sink, &mut self.known);
        }
        if let Some(seen) = self.known.seen.get_mut(&object_type) {
            seen.remove(id);
        }
        if self.reader.is_wanted(object_type) {
            self.sink
                .gone(object_type, id)
                .map_err(CollectError::Sink)?;
        }
        Ok(())
    }

    fn reread_pair(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        key: &str,
    ) -> Result<(), CollectError<S::Error>> {
        let Some(template) = object_type.entry().get else {
            return Ok(());
        };
        let Some(parent) = self.parent_of(object_type, parent).cloned() else {
            return Ok(());
        };
        let path = expand(template, key, Some(&parent.id), parent.parent.as_deref());
        match self.reader.get(object_type, Some(&parent), &path) {
            Ok(Some(items)) => {
                if let Some(reason) = &items.broken {
                    self.outcomes.incomplete(object_type, reason);
                }
                self.take(Message::Objects(items.objects))
            }
            Ok(None) if self.reader.is_wanted(object_type) => {
                let id = format!("{}/{key}", parent.id);
                self.sink.gone(object_type, &id).map_err(CollectError::Sink)
            }
            Ok(None) => Ok(()),
            Err(error) => self.failed(object_type, error),
        }
    }

    fn relist_under(
        &mut self,
        object_type: ObjectType,
        parent: &str,
    ) -> Result<(), CollectError<S::Error>> {
        let Some(parent) = self.parent_of(object_type, parent).cloned() else {
            return Ok(());
        };
        let child = parent
            .children
            .iter()
            .find(|child| child.object_type == object_type)
            .cloned();
        match child {
            Some(child) => self.perform(Work::Under { child, parent }, false),
            None => Ok(()),
        }
    }

    fn relist_under_all(&mut self, object_type: ObjectType) -> Result<(), CollectError<S::Error>> {
        let parents: Vec<String> = object_type
            .parents()
            .filter_map(|parent| self.known.parents.get(&parent))
            .flat_map(|parents| parents.keys().cloned())
            .collect();
        for parent in parents {
            self.relist_under(object_type, &parent)?;
        }
        Ok(())
    }

    /// Lists a type once more: what came before and does not come now is looked up by its id.
    fn relist(&mut self, object_type: ObjectType) -> Result<(), CollectError<S::Error>> {
        if !self.reader.has_scope(object_type.entry().read_scope) {
            return Ok(());
        }
        let mut before = self.known.seen.remove(&object_type).unwrap_or_default();
        let paths = match object_type.entry().listing {
            Listing::Pages(paths) => paths.to_vec(),
            Listing::PagesThenGet(path) | Listing::Single(path) => vec![path],
            Listing::UnderParent(_) | Listing::OnePerParent { .. } => Vec::new(),
        };
        for attempt in 1..=LISTINGS_MAX {
            self.known.moved.remove(&object_type);
            for path in &paths {
                self.perform(Work::List { object_type, path }, true)?;
            }
            if !self.known.moved.contains(&object_type) {
                break;
            }
            if attempt == LISTINGS_MAX {
                self.outcomes.incomplete(object_type, MOVING);
                break;
            }
            let seen = self.known.seen.remove(&object_type);
            before.extend(&seen.unwrap_or_default());
        }
        let now = self
            .known
            .seen
            .get(&object_type)
            .cloned()
            .unwrap_or_default();
        if self.reader.is_wanted(object_type) && self.outcomes.is_whole(object_type) {
            for id in before.missing_in(&now) {
                self.reread(object_type, &id)?;
            }
        }
        self.known
            .seen
            .entry(object_type)
            .or_default()
            .extend(&before);
        Ok(())
    }

    /// Without the log: users and groups once more, and whatever else has several pages or has moved.
    fn list_again(&mut self) -> Result<(), CollectError<S::Error>> {
        let types: Vec<ObjectType> = self
            .reader
            .needed()
            .filter(|object_type| !object_type.has_parent())
            .filter(|object_type| {
                matches!(object_type.name(), "user" | "group")
                    || self.known.paged.contains(object_type)
                    || self.known.moved.contains(object_type)
            })
            .collect();
        for object_type in types {
            self.relist(object_type)?;
        }
        Ok(())
    }

    /// Carries out work on this thread, and what follows from it. `new_only`: of what lives under parents,
    /// only what lives under parents not known before.
    fn perform(&mut self, work: Work, new_only: bool) -> Result<(), CollectError<S::Error>> {
        let mut open = VecDeque::from([work]);
        while let Some(work) = open.pop_front() {
            let direct = Direct {
                reader: self.reader,
                new_only,
                state: RefCell::new(DirectState {
                    sink: &mut *self.sink,
                    outcomes: &mut *self.outcomes,
                    known: &mut self.known,
                    fresh: BTreeSet::new(),
                    work: VecDeque::new(),
                    error: None,
                }),
            };
            let result = sweep::perform(self.reader, work, &direct);
            let state = direct.state.into_inner();
            if let Some(error) = state.error {
                return Err(error);
            }
            result.map_err(stopped)?;
            open.extend(state.work);
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), CollectError<S::Error>> {
        self.reader.check_cancelled().map_err(stopped)?;
        sweep::take(
            self.reader,
            message,
            self.sink,
            self.outcomes,
            &mut self.known,
        )
    }

    fn failed(
        &mut self,
        object_type: ObjectType,
        error: OktaError,
    ) -> Result<(), CollectError<S::Error>> {
        self.outcomes
            .failed(self.reader, object_type, error)
            .map_err(stopped)
    }
}

/// Takes what is told at once, on the same thread.
struct Direct<'d, 'a, S: Sink> {
    reader: &'d Reader<'a>,
    new_only: bool,
    state: RefCell<DirectState<'d, S>>,
}

struct DirectState<'d, S: Sink> {
    sink: &'d mut S,
    outcomes: &'d mut Outcomes,
    known: &'d mut Known,
    /// Parents that were not known before.
    fresh: BTreeSet<(ObjectType, String)>,
    work: VecDeque<Work>,
    error: Option<CollectError<S::Error>>,
}

impl<S: Sink> Output for Direct<'_, '_, S> {
    fn tell(&self, _bytes: usize, message: Message) -> Result<(), OktaError> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let message = match message {
            // The fewest requests are those of one sweep.
            Message::Complete { object_type, .. } => Message::Complete {
                object_type,
                requests_minimum: 0,
            },
            message => message,
        };
        if let Message::Parents(parents) = &message {
            let is_new = |parent: &&Parent| {
                let parents = state.known.parents.get(&parent.object_type);
                !parents.is_some_and(|parents| parents.contains_key(&parent.id))
            };
            let fresh = parents
                .iter()
                .filter(is_new)
                .map(|parent| (parent.object_type, parent.id.clone()));
            state.fresh.extend(fresh.collect::<Vec<_>>());
        }
        let taken = self
            .reader
            .check_cancelled()
            .map_err(stopped)
            .and_then(|()| {
                sweep::take(
                    self.reader,
                    message,
                    state.sink,
                    state.outcomes,
                    state.known,
                )
            });
        taken.map_err(|error| {
            state.error = Some(error);
            OktaError::Cancelled
        })
    }

    fn add(&self, work: Work) {
        let mut state = self.state.borrow_mut();
        let wanted = match &work {
            Work::Under { parent, .. } => {
                !self.new_only
                    || state
                        .fresh
                        .contains(&(parent.object_type, parent.id.clone()))
            }
            Work::List { .. } | Work::Get { .. } => true,
        };
        if wanted {
            state.work.push_back(work);
        }
    }
}
