//! Making a plan: reads of the org as little as the plan needs, and writes nothing.
//!
//! Small types are listed as a whole. Users are listed only where a plan needs more of them than a
//! list has pages; members and assignments only where relations between survivors are asked for: the
//! relations of what is created again need no look at the org. Everything else is looked up by id.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalogue::{self, ObjectType, RestoreClass};
use crate::clock::Clock;
use crate::collect::{CollectError, CollectOptions, collect};
use crate::compare::{LiveView, held, state_error};
use crate::monitor::{Monitor, Progress};
use crate::object::Coverage;
use crate::okta::{OktaApi, OktaError};
use crate::plan::path::text_at;
use crate::plan::{
    Held, IdMap, Knowledge, Live, Mode, ObjectName, PlanRequest, Presence, RestorePlan, Selection,
    State, StateError, plan, values,
};
use crate::store::{SnapshotReader, StoreError};

use super::request::{Address, Org};

/// The largest page of users: that many lookups cost as much as the page.
const USERS_PER_PAGE: u64 = 200;

/// Types that are listed only where the plan is about them: many objects, or a request for each.
const LARGE: &[&str] = &["user", "app_user_schema", "profile_mapping"];

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The org cannot be read.
    #[error("the org cannot be read")]
    Okta(#[source] OktaError),
    /// The store cannot be read.
    #[error("the snapshot cannot be read")]
    Store(#[source] StoreError),
    /// One of the two could not be read while planning.
    #[error("the plan could not be computed")]
    State(#[from] StateError),
    /// Something was selected that the snapshot does not have.
    #[error("the snapshot has no {0}")]
    NotInSnapshot(ObjectName),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl PlanError {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Okta(error) => error.code(),
            Self::Store(_) => "store_failed",
            Self::State(_) => "plan_failed",
            Self::NotInSnapshot(_) => "not_found",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Okta(error) => error.hint(),
            Self::NotInSnapshot(name) => Some(format!(
                "List what it has with `orgkeepctl objects --snapshot S --type {}`.",
                name.object_type
            )),
            Self::Store(_) => Some("Run `orgkeepctl store check`.".to_owned()),
            Self::State(_) | Self::Cancelled => None,
        }
    }
}

/// Plans the restore of a selection of a snapshot into the org it was taken of. Sends no write request.
///
/// # Errors
///
/// When the org or the snapshot cannot be read, something selected is not in the snapshot, or it was cancelled.
pub fn plan_restore(
    api: &dyn OktaApi,
    reader: &SnapshotReader,
    selection: &Selection,
    mode: Mode,
    id_map: &IdMap,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<RestorePlan, PlanError> {
    for name in &selection.objects {
        if !reader
            .contains(name.object_type, &name.id)
            .map_err(PlanError::Store)?
        {
            return Err(PlanError::NotInSnapshot(name.clone()));
        }
    }
    let mut view = LiveView::new(reader);
    let mut types = listed_types(selection, mode);
    list(api, &types, &mut view, clock, monitor)?;
    let user: Option<ObjectType> = "user".parse().ok();
    if let Some(user) = user.filter(|user| !types.contains(user))
        && users_needed(reader, &view, selection).map_err(PlanError::Store)?
            > reader.count(user) / USERS_PER_PAGE
    {
        types.insert(user);
        list(api, &BTreeSet::from([user]), &mut view, clock, monitor)?;
    }
    monitor.report(Progress::Phase {
        name: "planning",
        total: None,
    });
    let live = LiveOrg {
        org: Org::new(api, clock, monitor),
        reader,
        view,
        selection,
        looked: RefCell::default(),
        members: RefCell::default(),
    };
    let request = PlanRequest {
        snapshot: reader.info().id,
        target: reader,
        live: &live,
        id_map,
        selection,
        mode,
    };
    let mut made = plan(&request).map_err(|error| match error.0.downcast::<OktaError>() {
        Ok(okta) if matches!(*okta, OktaError::Cancelled) => PlanError::Cancelled,
        Ok(okta) => PlanError::Okta(*okta),
        Err(other) => match other.downcast::<StoreError>() {
            Ok(store) => PlanError::Store(*store),
            Err(other) => PlanError::State(StateError(other)),
        },
    })?;
    made.warnings.extend(incomplete(reader));
    made.warnings.sort();
    Ok(made)
}

/// What the snapshot lacks, so that nobody takes what is not in the plan for what is not missing.
fn incomplete(reader: &SnapshotReader) -> impl Iterator<Item = String> {
    let coverage = reader.info().coverage.iter();
    coverage.filter_map(|(object_type, coverage)| match coverage {
        Coverage::Incomplete { reason } => Some(format!(
            "The snapshot may not have every {object_type}: {reason}."
        )),
        _ => None,
    })
}

/// The types that are listed as wholes for a plan.
fn listed_types(selection: &Selection, mode: Mode) -> BTreeSet<ObjectType> {
    let whole = |object_type: &ObjectType| {
        let small = object_type.entry().class != RestoreClass::Relation
            && !LARGE.contains(&object_type.name());
        let named = selection.types.contains(object_type);
        let everything =
            selection.is_everything() && (mode == Mode::Additive || object_type.name() == "user");
        small || named || everything
    };
    catalogue::all().filter(whole).collect()
}

fn list(
    api: &dyn OktaApi,
    types: &BTreeSet<ObjectType>,
    view: &mut LiveView<'_>,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<(), PlanError> {
    let options = CollectOptions {
        types: types.iter().copied().collect(),
        // A plan checks again before it writes, so what moves meanwhile is found then.
        log_settle: std::time::Duration::ZERO,
        ..CollectOptions::default()
    };
    match collect(api, &options, view, clock, monitor) {
        Ok(_) => Ok(()),
        Err(CollectError::Cancelled | CollectError::Okta(OktaError::Cancelled)) => {
            Err(PlanError::Cancelled)
        }
        Err(CollectError::Okta(error)) => Err(PlanError::Okta(error)),
        Err(CollectError::Sink(error)) => Err(PlanError::Store(error)),
    }
}

/// About how many users a plan has to look at: the far ends of what comes back with a group or an app.
fn users_needed(
    reader: &SnapshotReader,
    view: &LiveView<'_>,
    selection: &Selection,
) -> Result<u64, StoreError> {
    let mut needed = 0;
    for relation in catalogue::all().filter(|t| matches!(t.name(), "group_member" | "app_user")) {
        for parent_type in relation.parents() {
            for id in view.removed(parent_type) {
                if selection.takes(parent_type, id) {
                    needed +=
                        u64::try_from(reader.child_ids(relation, id)?.len()).unwrap_or(u64::MAX);
                }
            }
        }
    }
    Ok(needed)
}

/// The org: what was listed, and what is looked up.
struct LiveOrg<'a> {
    org: Org<'a>,
    reader: &'a SnapshotReader,
    view: LiveView<'a>,
    selection: &'a Selection,
    looked: RefCell<HashMap<ObjectName, Presence>>,
    /// The members of a parent, where a relation had to be looked up that cannot be read alone.
    members: RefCell<BTreeMap<ObjectName, BTreeSet<String>>>,
}

impl LiveOrg<'_> {
    fn listed(&self, object_type: ObjectType) -> Option<&Coverage> {
        self.view.coverage().get(&object_type)
    }

    fn look_up(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        let name = ObjectName::new(object_type, id);
        if let Some(known) = self.looked.borrow().get(&name) {
            return Ok(known.clone());
        }
        let presence = self.ask(object_type, id)?;
        self.looked.borrow_mut().insert(name, presence.clone());
        Ok(presence)
    }

    fn ask(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        let mut address = Address {
            id: id.to_owned(),
            ..Address::default()
        };
        if object_type.has_parent() {
            let parent = match id.split_once('/') {
                Some((parent, _)) => Some(parent.to_owned()),
                None => State::get(self.reader, object_type, id)?.and_then(|held| held.parent),
            };
            let Some(parent) = parent else {
                return Ok(Presence::Unknown);
            };
            address.parent = Some(parent);
        }
        if object_type.entry().get.is_none() {
            return self.ask_for_member(object_type, &address);
        }
        match self.org.read(object_type, &address) {
            Ok(Some((held, _))) => Ok(Presence::Here(held)),
            Ok(None) => Ok(Presence::Gone),
            Err(error) => bearable(error),
        }
    }

    fn ask_for_member(
        &self,
        relation: ObjectType,
        address: &Address,
    ) -> Result<Presence, StateError> {
        let parent = address.parent.clone().unwrap_or_default();
        let place = ObjectName::new(relation, &parent);
        if !self.members.borrow().contains_key(&place) {
            let listed = match self.org.list(relation, address) {
                Ok(listed) => listed.into_iter().map(|(held, _)| held.id).collect(),
                Err(error) if error.is_gone() => BTreeSet::new(),
                Err(error) => return bearable(error),
            };
            self.members.borrow_mut().insert(place.clone(), listed);
        }
        let here = self
            .members
            .borrow()
            .get(&place)
            .is_some_and(|members| members.contains(&address.id));
        Ok(match here {
            true => Presence::Here(Held {
                id: address.id.clone(),
                parent: Some(parent),
                body: Vec::new(),
            }),
            false => Presence::Gone,
        })
    }

    /// A user with the login of one that is to be created: found by login, as the type was not listed.
    fn same_login(&self, id: &str) -> Result<Option<Held>, StateError> {
        let Ok(user) = "user".parse::<ObjectType>() else {
            return Ok(None);
        };
        let Some(stored) = State::get(self.reader, user, id)? else {
            return Ok(None);
        };
        let json = values::parse(&stored.body);
        let Some(login) = text_at(&json, "profile.login") else {
            return Ok(None);
        };
        match self.look_up(user, login)? {
            Presence::Here(other) if !State::contains(self.reader, user, &other.id)? => {
                Ok(Some(other))
            }
            _ => Ok(None),
        }
    }

    fn selected(&self, object_type: ObjectType) -> impl Iterator<Item = &ObjectName> {
        self.selection
            .objects
            .iter()
            .filter(move |name| name.object_type == object_type)
    }
}

/// What could not be found out about one object is unknown; what concerns the org as a whole stops the plan.
fn bearable(error: OktaError) -> Result<Presence, StateError> {
    match error {
        OktaError::Refused { .. }
        | OktaError::Failed { .. }
        | OktaError::NotFound { .. }
        | OktaError::NotAvailable { .. }
        | OktaError::MissingScopes { .. }
        | OktaError::Malformed { .. } => Ok(Presence::Unknown),
        error => Err(state_error(error)),
    }
}

impl Live for LiveOrg<'_> {
    fn knowledge(&self, object_type: ObjectType) -> Knowledge {
        match self.listed(object_type) {
            None => Knowledge::Looked,
            Some(Coverage::Complete) => Knowledge::Complete,
            Some(Coverage::NotAvailable) if self.reader.count(object_type) == 0 => {
                Knowledge::Complete
            }
            Some(Coverage::NotAvailable) => {
                Knowledge::Unreadable("the org does not have the feature".to_owned())
            }
            Some(Coverage::MissingScope { scope }) => {
                Knowledge::Unreadable(format!("{scope} is not granted"))
            }
            Some(Coverage::Incomplete { reason }) => Knowledge::Unreadable(reason.clone()),
        }
    }

    fn presence(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError> {
        match self.knowledge(object_type) {
            Knowledge::Unreadable(_) => Ok(Presence::Unknown),
            Knowledge::Looked => self.look_up(object_type, id),
            Knowledge::Complete => {
                let found = self.view.get(object_type, id).map_err(state_error)?;
                Ok(found.map_or(Presence::Gone, Presence::Here))
            }
        }
    }

    fn is_there(&self, object_type: ObjectType, id: &str) -> Result<Option<bool>, StateError> {
        if self.knowledge(object_type) == Knowledge::Complete {
            return self
                .view
                .contains(object_type, id)
                .map(Some)
                .map_err(state_error);
        }
        Ok(match self.presence(object_type, id)? {
            Presence::Here(_) => Some(true),
            Presence::Gone => Some(false),
            Presence::Unknown => None,
        })
    }

    fn gone(&self, object_type: ObjectType) -> Result<Vec<String>, StateError> {
        if self.listed(object_type).is_some() {
            return Ok(self.view.removed(object_type).to_vec());
        }
        let mut gone = Vec::new();
        for name in self.selected(object_type) {
            if self.look_up(object_type, &name.id)? == Presence::Gone {
                gone.push(name.id.clone());
            }
        }
        Ok(gone)
    }

    fn added(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError> {
        if self.listed(object_type).is_some() {
            return Ok(self.view.added(object_type).cloned().collect());
        }
        let mut added = Vec::new();
        if object_type.name() == "user" {
            for id in self.gone(object_type)? {
                added.extend(self.same_login(&id)?);
            }
        }
        Ok(added)
    }

    fn changed(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError> {
        if self.listed(object_type).is_some() {
            return Ok(self.view.changed(object_type).cloned().collect());
        }
        let mut changed = Vec::new();
        for name in self.selected(object_type) {
            let Presence::Here(live) = self.look_up(object_type, &name.id)? else {
                continue;
            };
            let before = self
                .reader
                .get(object_type, &name.id)
                .map_err(state_error)?
                .map(held);
            if before.is_some_and(|before| before.body != live.body) {
                changed.push(live);
            }
        }
        Ok(changed)
    }
}
