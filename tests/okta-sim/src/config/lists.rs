//! Lists: filters, order, pages, and the wrapped ones.

use serde_json::{Map, Value, json};

use super::calls::Target;
use super::filter::Filter;
use super::json::text;
use super::links::admin_url;
use super::shelf::Record;
use super::table::{Kind, Paging, Resource};
use super::{ConfigStore, page, policies};
use crate::wire::{Answer, Refusal, Reply, Request, World};

impl ConfigStore {
    pub(crate) fn list(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
    ) -> Answer {
        let resource = target.resource;
        let kind = resource.kind;
        self.check_list(request, kind)?;
        let filter = filter_of(request, kind)?;
        let mut records: Vec<&Record> = self
            .shelf
            .children(kind, target.parent())
            .filter(|record| {
                filter
                    .as_ref()
                    .is_none_or(|filter| filter.matches(&record.body))
            })
            .filter(|record| is_asked_for(request, resource, record))
            .collect();
        if matches!(kind, Kind::Rule | Kind::ServerRule | Kind::ServerPolicy) {
            records.sort_by_key(|record| (record.is_system(), record.priority()));
        }
        let cut = page::cut(resource, &mut self.cursors, request, records)?;
        let (records, mut links) = (cut.records, cut.links);
        if kind == Kind::IdentityProvider {
            for record in &records {
                self.note_secret_read(world, &record.id);
            }
        }
        let items = records
            .into_iter()
            .map(|record| {
                let mut shown = self.shown(kind, record, &request.base_url);
                if let Some(body) = shown.as_object_mut().filter(|_| kind == Kind::Policy) {
                    policies::embed(body);
                }
                shown
            })
            .collect();
        let body = match resource.paging {
            Paging::Wrapped { items: key, .. } => {
                let next = links.next.take();
                wrapped(key, items, next.as_deref(), &request.base_url)
            }
            _ => Value::Array(items),
        };
        Ok(Reply {
            page: Some(links),
            ..Reply::json(200, body)
        })
    }
}

fn filter_of(request: &Request, kind: Kind) -> Result<Option<Filter>, Refusal> {
    let properties: &[&str] = match kind {
        Kind::Zone => &["id", "usage", "system"],
        Kind::Origin => &["name", "origin", "status", "type"],
        Kind::Scope => &["name"],
        _ => return Ok(None),
    };
    request
        .param("filter")
        .map(|filter| Filter::parse(filter, properties))
        .transpose()
}

/// Whether a list's exact filters and its `q` let an object through.
fn is_asked_for(request: &Request, resource: &Resource, record: &Record) -> bool {
    let exact = resource.filters.iter().all(|key| {
        request
            .param(key)
            .is_none_or(|wanted| text(&record.body, key) == wanted)
    });
    let Some(q) = request.param("q") else {
        return exact;
    };
    let name = record.name();
    let found = match resource.kind {
        Kind::Origin => name.starts_with(q) || text(&record.body, "origin").starts_with(q),
        Kind::Policy => name.starts_with(q),
        Kind::Server => {
            let audiences = record.body.get("audiences").and_then(Value::as_array);
            name.contains(q)
                || audiences
                    .into_iter()
                    .flatten()
                    .any(|a| a.as_str().is_some_and(|a| a.contains(q)))
        }
        Kind::IdentityProvider | Kind::Scope => name.contains(q),
        _ => true,
    };
    exact && found
}

fn wrapped(key: &str, items: Vec<Value>, next: Option<&str>, base_url: &str) -> Value {
    let mut links = Map::new();
    if let Some(next) = next {
        links.insert(
            "next".to_owned(),
            json!({"href": format!("{}{next}", admin_url(base_url))}),
        );
    }
    let mut body = Map::new();
    body.insert(key.to_owned(), Value::Array(items));
    body.insert("_links".to_owned(), Value::Object(links));
    Value::Object(body)
}
