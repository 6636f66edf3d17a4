//! The paths of requests, from the catalogue's templates.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded in a path segment: everything but unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Fills in a template of the catalogue: `{id}`, `{parent}`, `{grandparent}`, percent-encoded.
#[must_use]
pub fn expand(template: &str, id: &str, parent: Option<&str>, grandparent: Option<&str>) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    // One pass, so that a value that looks like a placeholder stays as it is.
    let mut path = String::with_capacity(template.len() + 40);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        path.push_str(&encoded(match name {
            "parent" => parent.unwrap_or_default(),
            "grandparent" => grandparent.unwrap_or_default(),
            _ => id,
        }));
        rest = after;
    }
    path.push_str(rest);
    path
}

/// The last segment of a URL or path, without its query.
pub(super) fn last_segment(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|segment| !segment.is_empty())
}

/// The page size that a path asks for.
pub(super) fn limit(path: &str) -> Option<u64> {
    query_value(path, "limit")?.parse().ok()
}

/// A value of the query, as it stands.
pub(super) fn query_value<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    query
        .split('&')
        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in_once_and_encoded() {
        let path = expand(
            "/a/{grandparent}/b/{parent}/c/{id}?x=1",
            "a b/{parent}",
            Some("p"),
            Some("g"),
        );
        assert_eq!(path, "/a/g/b/p/c/a%20b%2F%7Bparent%7D?x=1");
    }

    #[test]
    fn parts_of_paths_are_found() {
        assert_eq!(
            last_segment("https://h/meta/schemas/user/osc1?x=/y"),
            Some("osc1")
        );
        assert_eq!(last_segment(""), None);
        assert_eq!(limit("/a?b=1&limit=200"), Some(200));
        assert_eq!(limit("/a?xlimit=200"), None);
        assert_eq!(query_value("/a?type=PASSWORD", "type"), Some("PASSWORD"));
    }
}
