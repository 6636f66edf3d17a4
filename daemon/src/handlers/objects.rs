//! Objects of a snapshot, their history, and differences.

use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;
use orgkeep_api::snapshot::{AttributeChange, ChangeKind, DiffLine, ObjectLine, Version};
use orgkeep_engine::catalogue::{self, ObjectType};
use orgkeep_engine::clock;
use orgkeep_engine::diff::{self, DiffKind, Stop};
use orgkeep_engine::export;
use orgkeep_engine::monitor::Silent;
use orgkeep_engine::plan::{self, JsonText};
use orgkeep_engine::store::{SnapshotReader, StoreError, Stored};
use serde_json::value::RawValue;

use crate::app::App;
use crate::call::{Answer, Call, LIMIT_MAX, Rows};
use crate::handlers::{domain, snapshot};
use crate::org;
use crate::problem::Problem;

/// Objects of a snapshot, by type. As a list in pages; one object a line, all at once, where that was asked for.
pub(crate) fn list(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let reader = reader(app, call)?;
    let types: Vec<ObjectType> = match call.query_as::<ObjectType>("type")? {
        Some(one) => vec![one],
        None => catalogue::all().collect(),
    };
    let wanted = Wanted {
        text: call.query("match").map(str::to_lowercase),
        names: call.sees_names(),
    };
    if call.ndjson {
        return Rows::stream(call, move |rows| {
            for object_type in types {
                let mut gone = None;
                let mut row = |line: Option<ObjectLine>| match line {
                    Some(line) => rows.row(&line).map_err(|error| {
                        gone = Some(error);
                        StoreError::Cancelled
                    }),
                    None => Ok(()),
                };
                let row = RefCell::new(&mut row);
                let read = reader.for_each_or_lost(
                    object_type,
                    &mut |stored| row.borrow_mut()(wanted.line(&stored)),
                    &mut |id, at| row.borrow_mut()(wanted.lost_line(object_type, id, at)),
                );
                if let Some(gone) = gone {
                    return Err(gone.into());
                }
                read?;
            }
            Ok(())
        });
    }
    page(&reader, &types, &wanted, call)
}

/// What of the objects is asked for and may be shown.
struct Wanted {
    text: Option<String>,
    names: bool,
}

impl Wanted {
    /// The object's line, if it is asked for.
    fn line(&self, stored: &Stored) -> Option<ObjectLine> {
        let name = self
            .names
            .then(|| plan::name_of(stored.object_type, &stored.body))
            .flatten();
        if let Some(text) = &self.text {
            let fits = |value: &str| value.to_lowercase().contains(text);
            if !fits(&stored.id) && !name.as_deref().is_some_and(fits) {
                return None;
            }
        }
        Some(ObjectLine {
            object_type: stored.object_type.name().to_owned(),
            id: stored.id.clone(),
            name,
            content_id: (!stored.body.is_empty()).then(|| stored.content_id.to_string()),
            changed_at: clock::to_text(stored.changed_at),
        })
    }
}

impl Wanted {
    /// The line of an object whose content is lost, if it is asked for: its name is lost with it.
    fn lost_line(
        &self,
        object_type: ObjectType,
        id: &str,
        changed_at: Timestamp,
    ) -> Option<ObjectLine> {
        let fits = |text: &String| id.to_lowercase().contains(text);
        self.text.as_ref().is_none_or(fits).then(|| ObjectLine {
            object_type: object_type.name().to_owned(),
            id: id.to_owned(),
            name: None,
            content_id: None,
            changed_at: clock::to_text(changed_at),
        })
    }
}

/// One page; the cursor is `TYPE:N`, the place within the type's objects.
fn page(
    reader: &SnapshotReader,
    types: &[ObjectType],
    wanted: &Wanted,
    call: &Call,
) -> Result<Answer, Problem> {
    // Each page walks the type from its beginning, so the fewer pages the better.
    let limit = call.limit_or(LIMIT_MAX)?;
    let after = call.after(|text| {
        let (name, n) = text.split_once(':')?;
        Some((name.parse::<ObjectType>().ok()?, n.parse::<u64>().ok()?))
    })?;
    let (from_type, from) = after.map_or((None, 0), |(name, n)| (Some(name), n));
    let mut lines = Vec::new();
    let mut next = None;
    let skipped = |object_type: &&ObjectType| from_type.is_some_and(|from| **object_type != from);
    for &object_type in types.iter().skip_while(skipped) {
        let start = if from_type == Some(object_type) {
            from
        } else {
            0
        };
        let mut n = 0;
        let mut take = |line: Option<ObjectLine>| {
            n += 1;
            if n <= start {
                return Ok(());
            }
            let Some(line) = line else {
                return Ok(());
            };
            if lines.len() == limit {
                next = Some(format!("{}:{}", object_type.name(), n - 1));
                // Enough: leaves the walk early.
                return Err(StoreError::Cancelled);
            }
            lines.push(line);
            Ok(())
        };
        let take = RefCell::new(&mut take);
        let read = reader.for_each_or_lost(
            object_type,
            &mut |stored| take.borrow_mut()(wanted.line(&stored)),
            &mut |id, at| take.borrow_mut()(wanted.lost_line(object_type, id, at)),
        );
        if next.is_some() {
            break;
        }
        read?;
    }
    Answer::page(lines, next)
}

fn reader(app: &App, call: &Call) -> Result<SnapshotReader, Problem> {
    let of = call
        .query("domain")
        .map(|name| domain(app, name))
        .transpose()?;
    let info = snapshot(app, call.param("s"), of.as_ref())?;
    call.set_target(info.id.to_string());
    Ok(app.stores.domain(app, info.domain)?.reader(info.id)?)
}

/// The object as it was backed up, with what moves by itself under `observed`.
pub(crate) fn show(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let reader = reader(app, call)?;
    let object_type = call.object_type()?;
    let id = call.param("id");
    let stored = reader.get(object_type, id)?;
    let stored = stored
        .ok_or_else(|| Problem::not_found(format_args!("{object_type} `{id}` in this snapshot")))?;
    let observed: &[u8] = if stored.observed.is_empty() {
        b"{}"
    } else {
        &stored.observed
    };
    let mut body = export::shown(object_type, &stored.id, &stored.body);
    // Both are canonical objects: the new member goes in front of the closing brace.
    if body.pop() != Some(b'}') {
        return Err(Problem::new(
            "damaged",
            "The object is no JSON object. Run `store check --read-data`.",
        ));
    }
    if body.len() > 1 {
        body.push(b',');
    }
    body.extend_from_slice(b"\"observed\":");
    body.extend_from_slice(observed);
    body.push(b'}');
    Ok(Answer::Json(http::StatusCode::OK, body))
}

/// One line a version, newest first.
pub(crate) fn history(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let domain = domain(app, call.param("d"))?;
    let object_type = call.object_type()?;
    let id = call.param("id");
    let newest = match app.stores.listed()? {
        Some(store) => store.snapshots(domain.id)?.first().map(|info| info.id),
        None => None,
    };
    let mut versions = app
        .stores
        .domain(app, domain.id)?
        .history(object_type, id)?;
    if versions.is_empty() {
        return Err(Problem::not_found(format_args!(
            "{object_type} `{id}` in any snapshot"
        )));
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.changed_at));
    let bare = object_type.entry().bare_relation;
    let lines = versions.iter().map(|version| Version {
        first_snapshot: version.first_snapshot.to_string(),
        last_snapshot: version.last_snapshot.or(newest).map(|id| id.to_string()),
        content_id: version
            .content_id
            .filter(|_| !bare)
            .map(|content| content.to_string()),
        changed_at: clock::to_text(version.changed_at),
        actor: None,
        event: None,
    });
    Answer::page(lines.collect(), None)
}

/// What changed between two snapshots of one domain, or between a snapshot and the org as it is now.
pub(crate) fn diff(app: &Arc<App>, call: &Call) -> Result<Answer, Problem> {
    let of = call
        .query("domain")
        .map(|name| domain(app, name))
        .transpose()?;
    let missing = |name: &str| Problem::invalid(format!("{name}: name a snapshot."));
    let from = snapshot(
        app,
        call.query("from").ok_or_else(|| missing("from"))?,
        of.as_ref(),
    )?;
    let to = call.query("to").ok_or_else(|| missing("to"))?.to_owned();
    let names = call.query_as::<bool>("names")?.unwrap_or(true) && call.sees_names();
    let attributes = call.query_as::<bool>("attributes")?.unwrap_or(false) && names;
    let store = app.stores.domain(app, from.domain)?;
    let mut to_info = None;
    if to != "live" {
        let owner = app.state()?.domain_by_id(from.domain)?;
        let info = snapshot(app, &to, owner.as_ref())?;
        if info.domain != from.domain {
            return Err(Problem::invalid("Both snapshots must be of one domain."));
        }
        to_info = Some(info);
    }
    let app = Arc::clone(app);
    Rows::stream(call, move |rows| {
        let mut write = |line: diff::DiffLine| rows.row(&document(line, names)).map_err(|_| Stop);
        if let Some(info) = to_info {
            return Ok(diff::between(
                &store,
                from.id,
                info.id,
                diff::Shown { names, attributes },
                &Silent,
                &mut write,
            )?);
        }
        let domain = app.state()?.domain_by_id(from.domain)?;
        let domain =
            domain.ok_or_else(|| Problem::not_found("registered domain of this snapshot"))?;
        let api = org::connect(&app, &domain, org::backup_scopes(&domain), Arc::new(Silent))?;
        Ok(diff::with_live(
            &api,
            &store.reader(from.id)?,
            attributes,
            &*app.clock,
            &Silent,
            &mut write,
        )?)
    })
}

fn document(line: diff::DiffLine, names: bool) -> DiffLine {
    DiffLine {
        change: match line.change {
            DiffKind::Added => ChangeKind::Added,
            DiffKind::Removed => ChangeKind::Removed,
            DiffKind::Changed => ChangeKind::Changed,
        },
        object_type: line.object_type.name().to_owned(),
        id: line.id,
        name: line.name.filter(|_| names),
        attributes: line
            .attributes
            .filter(|_| names)
            .map(|changes| changes.into_iter().map(attribute).collect()),
        actor: line.actor.filter(|_| names),
        at: line.at.map(clock::to_text),
    }
}

/// An attribute's change as a document.
pub(crate) fn attribute(change: plan::AttributeChange) -> AttributeChange {
    let raw = |text: JsonText| RawValue::from_string(text.as_str().to_owned()).ok();
    AttributeChange {
        path: change.path,
        from: change.from.and_then(raw),
        to: change.to.and_then(raw),
    }
}
