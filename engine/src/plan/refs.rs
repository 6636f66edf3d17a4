//! What an object refers to: finding references, writing them anew, and comparing the places that hold them.

use std::collections::{BTreeMap, BTreeSet};

use crate::canonical::Json;
use crate::catalogue::{Entry, Reference, ReferenceForm};

use super::path::{Step, is_nothing, same, steps, visit, visit_mut};

/// The length of Okta's own ids: letters and digits, three of them telling the kind.
const OKTA_ID_LEN: usize = 20;

/// One reference as it stands in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) reference: &'static Reference,
    pub(crate) value: String,
}

/// Every reference by id in an object; links and keys are not among them.
pub(crate) fn find(entry: &'static Entry, json: &Json) -> Vec<Found> {
    let mut found = Vec::new();
    for reference in entry.references {
        visit(json, &steps(reference.path), &mut |value| {
            let Json::String(text) = value else { return };
            match reference.form {
                ReferenceForm::Id => found.push(Found {
                    reference,
                    value: text.clone(),
                }),
                ReferenceForm::Expression => {
                    found.extend(words(text).map(|word| Found {
                        reference,
                        value: word.to_owned(),
                    }));
                }
                ReferenceForm::Link { .. } | ReferenceForm::Key => {}
            }
        });
    }
    found
}

/// Every link of an object that has a call of its own: the reference, and the id at the end of the URL.
pub(crate) fn links(
    entry: &'static Entry,
    json: &Json,
) -> Vec<(&'static Reference, &'static str, String)> {
    let mut found = Vec::new();
    for reference in entry.references {
        if let ReferenceForm::Link { put } = reference.form {
            visit(json, &steps(reference.path), &mut |value| {
                if let Some(id) = value.as_str().and_then(|url| url.rsplit('/').next()) {
                    found.push((reference, put, id.to_owned()));
                }
            });
        }
    }
    found
}

/// Whether a text has the form of an id that Okta gives out.
pub(crate) fn looks_like_id(text: &str) -> bool {
    text.len() == OKTA_ID_LEN
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// The words of an expression that have the form of an id.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| looks_like_id(word))
}

/// Writes ids anew wherever the type's references stand.
pub(crate) fn rewrite(entry: &Entry, json: &mut Json, now: &BTreeMap<String, String>) {
    if now.is_empty() {
        return;
    }
    for reference in entry.references {
        visit_mut(json, &steps(reference.path), &mut |value| {
            rewrite_value(reference.form, value, now)
        });
    }
}

fn rewrite_value(form: ReferenceForm, value: &mut Json, now: &BTreeMap<String, String>) {
    let Json::String(text) = value else { return };
    match form {
        ReferenceForm::Id => {
            if let Some(new) = now.get(text) {
                text.clone_from(new);
            }
        }
        ReferenceForm::Expression => *text = rewrite_words(text, now),
        ReferenceForm::Link { .. } => {
            if let Some((head, tail)) = text.rsplit_once('/')
                && let Some(new) = now.get(tail)
            {
                *text = format!("{head}/{new}");
            }
        }
        ReferenceForm::Key => {}
    }
}

fn rewrite_words(text: &str, now: &BTreeMap<String, String>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_len = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (word, after) = rest.split_at(word_len);
        written.push_str(now.get(word).map_or(word, String::as_str));
        let gap_len = after
            .find(|letter: char| letter.is_ascii_alphanumeric())
            .unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_len);
        written.push_str(gap);
        rest = next;
    }
    written
}

/// What became of the ids that a place may hold.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// Old id of an object that lives on under another id already.
    pub(crate) renewed: BTreeMap<String, String>,
    /// Old ids of objects that this plan creates.
    pub(crate) made: BTreeSet<String>,
}

impl Fates {
    pub(crate) fn is_empty(&self) -> bool {
        self.renewed.is_empty() && self.made.is_empty()
    }

    /// Whether the id is an old one that must be written anew.
    pub(crate) fn is_old(&self, id: &str) -> bool {
        self.made.contains(id) || self.renewed.contains_key(id)
    }

    fn concerns(&self, id: &str) -> bool {
        self.is_old(id) || self.renewed.values().any(|new| new == id)
    }
}

/// What to do with one place of a surviving object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repoint {
    /// Nothing: it names no object that is created again.
    Nothing,
    /// Write this value, in which old ids stand for their new ones.
    Set(Option<Json>),
    /// It lost the id, but was changed otherwise too.
    Conflict,
}

/// The place that a reference stands in: its path up to the first array or map.
pub(crate) fn place(path: &'static str) -> (Vec<&'static str>, Vec<Step<'static>>) {
    let steps = steps(path);
    let split = steps
        .iter()
        .position(|step| !matches!(step, Step::Key(_)))
        .unwrap_or(steps.len());
    let (head, rest) = steps.split_at(split);
    let keys = head
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Each | Step::Any => None,
        })
        .collect();
    (keys, rest.to_vec())
}

/// Decides what a surviving object's place needs, given the snapshot's value and the live one.
///
/// Where the live value names an old id, it is written anew. Where the snapshot's value named one and
/// the live value no longer does, and both are equal otherwise, it was lost with the deletion and comes back.
pub(crate) fn repoint(
    form: ReferenceForm,
    rest: &[Step<'_>],
    snapshot: Option<&Json>,
    live: Option<&Json>,
    fates: &Fates,
) -> Repoint {
    let snapshot = snapshot.map(|value| forward(form, rest, value, &fates.renewed));
    let names = |value: Option<&Json>, old: &dyn Fn(&str) -> bool| {
        let mut named = false;
        if let Some(value) = value {
            visit(value, rest, &mut |value| {
                named |= mentions(form, value, old)
            });
        }
        named
    };
    let snapshot_names = names(snapshot.as_ref(), &|id| fates.concerns(id));
    let live_names = names(live, &|id| fates.is_old(id));
    if !snapshot_names && !live_names {
        return Repoint::Nothing;
    }
    if same(snapshot.as_ref(), live) && !live_names {
        return Repoint::Nothing;
    }
    let concerns = |id: &str| fates.concerns(id);
    let snapshot_rest = snapshot
        .as_ref()
        .and_then(|value| without(form, rest, value, &concerns));
    let live_rest = live.and_then(|value| without(form, rest, value, &concerns));
    if snapshot_names && same(snapshot_rest.as_ref(), live_rest.as_ref()) {
        return Repoint::Set(snapshot);
    }
    if live_names {
        return Repoint::Set(live.map(|value| forward(form, rest, value, &fates.renewed)));
    }
    Repoint::Conflict
}

fn forward(
    form: ReferenceForm,
    rest: &[Step<'_>],
    value: &Json,
    now: &BTreeMap<String, String>,
) -> Json {
    let mut value = value.clone();
    visit_mut(&mut value, rest, &mut |value| {
        rewrite_value(form, value, now)
    });
    value
}

fn mentions(form: ReferenceForm, value: &Json, old: &dyn Fn(&str) -> bool) -> bool {
    let Json::String(text) = value else {
        return false;
    };
    match form {
        ReferenceForm::Id => old(text),
        ReferenceForm::Expression => words(text).any(old),
        ReferenceForm::Link { .. } | ReferenceForm::Key => false,
    }
}

/// The value without the elements that name such an id; `None` where nothing is left.
///
/// An expression is not taken away: its ids are blanked, so that the rest of it is compared.
fn without(
    form: ReferenceForm,
    rest: &[Step<'_>],
    value: &Json,
    gone: &dyn Fn(&str) -> bool,
) -> Option<Json> {
    if form == ReferenceForm::Expression {
        let mut value = value.clone();
        visit_mut(&mut value, rest, &mut |value| {
            if let Json::String(text) = value {
                let blank: BTreeMap<String, String> = words(text)
                    .filter(|word| gone(word))
                    .map(|word| (word.to_owned(), String::new()))
                    .collect();
                *text = rewrite_words(text, &blank);
            }
        });
        return Some(value);
    }
    let holds = |value: &Json, rest: &[Step<'_>]| {
        let mut held = false;
        visit(value, rest, &mut |value| {
            held |= mentions(form, value, gone)
        });
        held
    };
    match (rest.split_first(), value) {
        (None, value) => (!mentions(form, value, gone)).then(|| value.clone()),
        (Some((Step::Each, deeper)), Json::Array(items)) => {
            let direct = deeper.iter().all(|step| matches!(step, Step::Key(_)));
            let left: Vec<Json> = items
                .iter()
                .filter_map(|item| {
                    if direct {
                        (!holds(item, deeper)).then(|| item.clone())
                    } else {
                        without(form, deeper, item, gone)
                    }
                })
                .collect();
            (!left.is_empty()).then_some(Json::Array(left))
        }
        (Some((Step::Any, deeper)), Json::Object(fields)) => {
            let left: BTreeMap<String, Json> = fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), without(form, deeper, value, gone)?)))
                .collect();
            (!left.is_empty()).then_some(Json::Object(left))
        }
        (Some((Step::Key(key), deeper)), Json::Object(fields)) => {
            let mut fields = fields.clone();
            if let Some(inner) = fields.remove(*key)
                && let Some(left) = without(form, deeper, &inner, gone)
            {
                fields.insert((*key).to_owned(), left);
            }
            (!fields.values().all(is_nothing)).then_some(Json::Object(fields))
        }
        (Some(_), value) => Some(value.clone()),
    }
}
