//! Cuts lists into pages and writes the links to the next.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::cursor::Cursors;
use super::shelf::Record;
use super::table::{Paging, Resource};
use crate::wire::{PageLinks, Refusal, Request};

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) records: Vec<&'a Record>,
    pub(crate) links: PageLinks,
}

/// Takes the page that `request` asks for out of the whole list.
pub(crate) fn cut<'a>(
    resource: &Resource,
    cursors: &mut Cursors,
    request: &Request,
    mut records: Vec<&'a Record>,
) -> Result<Page<'a>, Refusal> {
    let path = format!("/{}", request.segments.join("/"));
    let after = request.param("after");
    let this = Some(target(&path, &request.query, &[]));
    let (size, eager) = match resource.paging {
        Paging::Whole => {
            let links = PageLinks {
                this,
                ..PageLinks::default()
            };
            return Ok(Page { records, links });
        }
        Paging::Cursor {
            default,
            max,
            eager_next,
        } => (limit(request, default, Some(max))?, eager_next),
        Paging::Name { default, max } => (limit(request, default, None)?.min(max), false),
        Paging::Wrapped { size, .. } => (size, false),
    };
    let by_name = matches!(resource.paging, Paging::Name { .. });
    if by_name {
        records.sort_by(|a, b| a.name().cmp(b.name()));
    }
    if let Some(after) = after {
        let position = cursors.position(&path, after)?;
        records.retain(|record| {
            if by_name {
                record.name() > after
            } else {
                record.sequence > position
            }
        });
    }
    let more = records.len() > size;
    records.truncate(size);
    let next = records.last().filter(|_| more || eager).map(|last| {
        let cursor = if by_name {
            cursors.remember(&path, last.name());
            last.name().to_owned()
        } else {
            cursors.issue(&path, last.sequence)
        };
        let kept: Vec<(String, String)> = request
            .query
            .iter()
            .filter(|(key, _)| key != "after" && key != "limit")
            .cloned()
            .collect();
        target(
            &path,
            &kept,
            &[("after", &cursor), ("limit", &size.to_string())],
        )
    });
    let admin_host = matches!(resource.paging, Paging::Wrapped { .. });
    Ok(Page {
        records,
        links: PageLinks {
            this,
            next,
            admin_host,
        },
    })
}

/// The `limit` of a request, or the default.
fn limit(request: &Request, default: usize, max: Option<usize>) -> Result<usize, Refusal> {
    let Some(given) = request.param("limit") else {
        return Ok(default);
    };
    // The document's default for lists without a maximum is -1.
    if given == "-1" && max.is_none() {
        return Ok(default);
    }
    match given.parse::<usize>() {
        Ok(limit) if limit >= 1 && max.is_none_or(|max| limit <= max) => Ok(limit),
        _ => Err(Refusal::validation("limit", "The limit is not valid")),
    }
}

fn target(path: &str, query: &[(String, String)], more: &[(&str, &str)]) -> String {
    let given = query
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let pairs: Vec<String> = more
        .iter()
        .copied()
        .chain(given)
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}
