//! From the items of pages to canonical objects.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::paths::{expand, last_segment};
use crate::canonical::{Divider, Json, top_level_str};
use crate::catalogue::{Attachment, IdRule, Listing, ObjectType, SystemMark};
use crate::monitor::Monitor;
use crate::object::{Batch, Canonical};
use crate::okta::pager::Pager;
use crate::okta::{Call, OktaApi, OktaError};

/// Reads objects of one org.
pub(super) struct Reader<'a> {
    pub(super) api: &'a dyn OktaApi,
    /// `None`: there are no scopes to go by.
    granted: Option<BTreeSet<String>>,
    /// The types that the sink is given.
    pub(super) wanted: BTreeSet<ObjectType>,
    /// Those and the types of their parents.
    needed: BTreeSet<ObjectType>,
    /// The needed types under each type that has such.
    children: BTreeMap<ObjectType, Vec<ObjectType>>,
    pub(super) monitor: &'a dyn Monitor,
    /// Held by whoever gathers a long list.
    long_list: Mutex<()>,
}

/// An object that other objects live under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) object_type: ObjectType,
    pub(super) id: String,
    /// Its own parent's id.
    pub(super) parent: Option<String>,
    /// The types to read under it.
    pub(super) children: Vec<Child>,
}

/// One type to read under a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) object_type: ObjectType,
    /// The id in the parent's link, for a type that is found by one.
    pub(super) via: Option<String>,
}

/// What a page's items came to.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) objects: Batch,
    pub(super) parents: Vec<Parent>,
    /// How many items there were.
    pub(super) count: u64,
    /// Why an item could not be kept, if one could not.
    pub(super) broken: Option<String>,
}

impl Items {
    /// None yet.
    pub(super) fn new(object_type: ObjectType, parent: Option<&Parent>) -> Self {
        Self {
            objects: Batch::new(object_type, parent.map(|parent| parent.id.as_str())),
            parents: Vec::new(),
            count: 0,
            broken: None,
        }
    }
}

/// Why an item cannot be kept that nothing can be called by.
pub(super) const NO_ID: &str = "an object has no id";

/// The key of a relation that says nothing beyond its two ends; `None` for an item without one, and for other types.
pub(super) fn bare_key(object_type: ObjectType, raw: &[u8]) -> Option<Cow<'_, str>> {
    let IdRule::UnderParent(name) = object_type.entry().id else {
        return None;
    };
    top_level_str(raw, name).filter(|text| !text.is_empty())
}

/// What is the same for all items of a page.
struct Taking<'a> {
    object_type: ObjectType,
    parent: Option<&'a str>,
    is_wanted: bool,
    /// The needed types that live under these objects.
    children: Option<&'a [ObjectType]>,
}

/// An item that cannot be kept, or a request that its reading needed and that failed.
enum ItemError {
    Broken(String),
    Okta(OktaError),
}

impl From<OktaError> for ItemError {
    fn from(error: OktaError) -> Self {
        Self::Okta(error)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        api: &'a dyn OktaApi,
        granted: Option<Vec<String>>,
        wanted: BTreeSet<ObjectType>,
        monitor: &'a dyn Monitor,
    ) -> Self {
        let mut needed = BTreeSet::new();
        let mut open: Vec<ObjectType> = wanted.iter().copied().collect();
        while let Some(object_type) = open.pop() {
            if needed.insert(object_type) {
                open.extend(object_type.parents());
            }
        }
        let mut children: BTreeMap<ObjectType, Vec<ObjectType>> = BTreeMap::new();
        for child in &needed {
            for parent in child.parents() {
                children.entry(parent).or_default().push(*child);
            }
        }
        Self {
            api,
            granted: granted.map(|scopes| scopes.into_iter().collect()),
            wanted,
            needed,
            children,
            monitor,
            long_list: Mutex::default(),
        }
    }

    /// Whether the credentials hold a scope, as far as is known; a `.manage` scope includes its `.read`.
    pub(super) fn has_scope(&self, scope: &str) -> bool {
        let manage = scope
            .strip_suffix(".read")
            .map(|stem| format!("{stem}.manage"));
        self.granted.as_ref().is_none_or(|granted| {
            granted.contains(scope) || manage.is_some_and(|manage| granted.contains(&manage))
        })
    }

    pub(super) fn needed(&self) -> impl Iterator<Item = ObjectType> {
        self.needed.iter().copied()
    }

    pub(super) fn is_wanted(&self, object_type: ObjectType) -> bool {
        self.wanted.contains(&object_type)
    }

    pub(super) fn check_cancelled(&self) -> Result<(), OktaError> {
        if self.monitor.is_cancelled() {
            Err(OktaError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Waits until nobody else gathers a long list.
    pub(super) fn begin_long_list(&self) -> MutexGuard<'_, ()> {
        self.long_list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the items of one page into canonical form.
    ///
    /// `filter`: the value that each item's `type` must have, because a server may drop a filter from the next
    /// page's link.
    ///
    /// # Errors
    ///
    /// When an item needs a further request and that fails. An item that cannot be kept is no error but
    /// [`Items::broken`].
    pub(super) fn items<'p>(
        &self,
        object_type: ObjectType,
        parent: Option<&Parent>,
        raw: impl ExactSizeIterator<Item = &'p [u8]>,
        filter: Option<&str>,
    ) -> Result<Items, OktaError> {
        let count = raw.len();
        let mut items = Items::new(object_type, parent);
        items.count = u64::try_from(count).unwrap_or(u64::MAX);
        let taking = Taking {
            object_type,
            parent: parent.map(|parent| parent.id.as_str()),
            is_wanted: self.is_wanted(object_type),
            children: self.children.get(&object_type).map(Vec::as_slice),
        };
        let (mut divider, mut id) = (Divider::default(), String::new());
        for item in raw {
            id.clear();
            if filter.is_some_and(|wanted| {
                top_level_str(item, "type").is_some_and(|theirs| theirs != wanted)
            }) {
                continue;
            }
            match self.item(&taking, item, &mut id, &mut divider, &mut items) {
                Ok(()) => items.objects.reserve_like_first(count),
                Err(ItemError::Broken(reason)) => {
                    items.broken.get_or_insert(reason);
                }
                Err(ItemError::Okta(error)) => return Err(error),
            }
        }
        Ok(items)
    }

    fn item(
        &self,
        taking: &Taking<'_>,
        raw: &[u8],
        id: &mut String,
        divider: &mut Divider,
        items: &mut Items,
    ) -> Result<(), ItemError> {
        let object_type = taking.object_type;
        identify(object_type, raw, taking.parent, id)
            .ok_or_else(|| ItemError::Broken(NO_ID.to_owned()))?;
        if let Some(children) = taking.children {
            let as_parent = as_parent(object_type, id, taking.parent, children, raw);
            items.parents.push(as_parent);
        }
        if !taking.is_wanted {
            return Ok(());
        }
        let raw = match object_type.entry().attachment {
            Some(attachment) => Cow::Owned(attached(self.api, &attachment, id, raw)?),
            None => Cow::Borrowed(raw),
        };
        let divided = items
            .objects
            .push(id, |out| divider.divide_into(object_type, &raw, out));
        divided.map_err(|error| {
            ItemError::Broken(format!(
                "the object {} cannot be kept: {error}",
                shown(object_type, id)
            ))
        })
    }

    /// Whether Okta says that a parent does not exist any more.
    pub(super) fn is_gone(&self, parent: &Parent) -> Result<bool, OktaError> {
        let Some(template) = parent.object_type.entry().get else {
            return Ok(false);
        };
        let path = expand(template, &parent.id, parent.parent.as_deref(), None);
        match self.api.send(&Call::get(path)) {
            Ok(_) => Ok(false),
            Err(error) if error.is_gone() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads one object by its path; `None` if it does not exist.
    pub(super) fn get(
        &self,
        object_type: ObjectType,
        parent: Option<&Parent>,
        path: &str,
    ) -> Result<Option<Items>, OktaError> {
        match self.api.send(&Call::get(path)) {
            Ok(reply) => self
                .items(
                    object_type,
                    parent,
                    [reply.body.as_slice()].into_iter(),
                    None,
                )
                .map(Some),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What an object is to the types that live under it.
fn as_parent(
    object_type: ObjectType,
    id: &str,
    parent: Option<&str>,
    children: &[ObjectType],
    raw: &[u8],
) -> Parent {
    let read = children.iter().filter(|child| !skips(**child, raw));
    Parent {
        object_type,
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        children: read
            .map(|child| Child {
                object_type: *child,
                via: link_of(*child, raw),
            })
            .collect(),
    }
}

/// An id for messages: not where the id is a name that people gave.
fn shown(object_type: ObjectType, id: &str) -> &str {
    if matches!(object_type.entry().id, IdRule::Nested(_)) {
        object_type.name()
    } else {
        id
    }
}

/// Whether a parent's children of this type are not read.
fn skips(child: ObjectType, parent: &[u8]) -> bool {
    let marks = child.entry().skip_parents;
    // The first mark stands at the top: most parents do not bear it, and need no parsing.
    let bears = |mark: &SystemMark, value: &str| {
        mark.values
            .iter()
            .any(|text| text.trim_matches('"') == value)
    };
    let first = marks.first().is_some_and(|mark| {
        top_level_str(parent, mark.path).is_some_and(|value| bears(mark, &value))
    });
    first
        && Json::parse(parent).is_ok_and(|parent| {
            let at = |mark: &SystemMark| parent.at(mark.path).and_then(Json::as_str);
            marks
                .iter()
                .all(|mark| at(mark).is_some_and(|value| bears(mark, value)))
        })
}

/// The id at the end of the parent's link that leads to the child.
fn link_of(child: ObjectType, parent: &[u8]) -> Option<String> {
    let Listing::OnePerParent {
        via_link: Some(path),
        ..
    } = child.entry().listing
    else {
        return None;
    };
    let parent = Json::parse(parent).ok()?;
    last_segment(parent.at(path)?.as_str()?).map(str::to_owned)
}

/// Appends the id of an object as the interface writes it; `None` if it has none.
fn identify(
    object_type: ObjectType,
    raw: &[u8],
    parent: Option<&str>,
    id: &mut String,
) -> Option<()> {
    let field = |name| top_level_str(raw, name).filter(|text| !text.is_empty());
    let rule = object_type.entry().id;
    if matches!(rule, IdRule::UnderParent(_) | IdRule::UrlTailUnderParent(_)) {
        id.push_str(parent?);
        id.push('/');
    }
    match rule {
        IdRule::Field(name) | IdRule::UnderParent(name) => id.push_str(&field(name)?),
        IdRule::UrlTail(name) | IdRule::UrlTailUnderParent(name) => {
            id.push_str(last_segment(&field(name)?)?);
        }
        IdRule::Org => id.push_str(&field("id")?),
        IdRule::Nested(path) => id.push_str(Json::parse(raw).ok()?.at(path)?.as_str()?),
    }
    Some(())
}

/// The object with what its second list tells.
fn attached(
    api: &dyn OktaApi,
    attachment: &Attachment,
    id: &str,
    raw: &[u8],
) -> Result<Vec<u8>, ItemError> {
    let broken = |_| {
        ItemError::Broken(format!(
            "the object {id} or its {} cannot be read",
            attachment.property
        ))
    };
    let mut object = Json::parse(raw).map_err(broken)?;
    let mut labels = BTreeSet::new();
    let mut conditions = BTreeMap::new();
    let path = expand(attachment.path, id, None, None);
    let pages = Pager::new(api, path, Some(attachment.items_property));
    pages.for_each::<ItemError>(|item| {
        let item = Json::parse(item).map_err(broken)?;
        let Some(label) = item.at(attachment.label).and_then(Json::as_str) else {
            return Ok(());
        };
        labels.insert(label.to_owned());
        if let Some(condition) = item
            .at(attachment.conditions)
            .filter(|condition| **condition != Json::Null)
        {
            conditions.insert(label.to_owned(), condition.clone());
        }
        Ok(())
    })?;
    if let Json::Object(members) = &mut object {
        let labels = labels.into_iter().map(Json::String).collect();
        members.insert(attachment.property.to_owned(), Json::Array(labels));
        if !conditions.is_empty() {
            members.insert(
                attachment.conditions_property.to_owned(),
                Json::Object(conditions),
            );
        }
    }
    Ok(object.to_bytes())
}

/// Reads one object by id, outside of a collection.
pub(super) fn one(
    api: &dyn OktaApi,
    object_type: ObjectType,
    id: &str,
    parent: Option<&str>,
    grandparent: Option<&str>,
) -> Result<Option<Canonical>, OktaError> {
    let entry = object_type.entry();
    let reader = Reader::new(
        api,
        None,
        BTreeSet::from([object_type]),
        &crate::monitor::Silent,
    );
    let in_id = matches!(
        entry.id,
        IdRule::UnderParent(_) | IdRule::UrlTailUnderParent(_)
    );
    let (parent, key) = match id.split_once('/') {
        Some((parent, key)) if in_id => (Some(parent), key),
        _ => (parent, id),
    };
    let as_parent = parent
        .zip(object_type.parents().next())
        .map(|(id, object_type)| Parent {
            object_type,
            id: id.to_owned(),
            parent: grandparent.map(str::to_owned),
            children: Vec::new(),
        });
    let found = match (entry.get, entry.listing) {
        (Some(template), _) => {
            let path = expand(template, key, parent, grandparent);
            reader.get(object_type, as_parent.as_ref(), &path)?
        }
        // A relation without a document of its own is looked for in its parent's list.
        (None, Listing::UnderParent(template)) => find_in_list(
            &reader,
            object_type,
            as_parent.as_ref(),
            &expand(template, key, parent, grandparent),
            key,
        )?,
        (None, _) => None,
    };
    let Some(items) = found else {
        return Ok(None);
    };
    match (items.objects.iter().next_back(), items.broken) {
        (Some(object), None) => Ok(Some(object.to_canonical())),
        _ => Err(OktaError::Malformed {
            what: "the object cannot be kept",
        }),
    }
}

fn find_in_list(
    reader: &Reader<'_>,
    object_type: ObjectType,
    parent: Option<&Parent>,
    path: &str,
    key: &str,
) -> Result<Option<Items>, OktaError> {
    let mut pages = Pager::new(reader.api, path, object_type.entry().items_property);
    loop {
        let page = match pages.next_page() {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(None),
            Err(error) if error.is_gone() => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = page
            .items()
            .find(|item| top_level_str(item, "id").is_some_and(|id| id == key));
        if let Some(item) = found {
            let item = [item].into_iter();
            return reader.items(object_type, parent, item, None).map(Some);
        }
    }
}
