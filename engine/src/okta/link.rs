//! `Link` headers (RFC 8288), as far as paging needs them.

/// The target of the first link with `rel="next"`, from header values that each may hold several links.
pub(super) fn next<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    values
        .into_iter()
        .flat_map(links)
        .find(|link| link.is_next)
        .map(|link| link.target)
}

/// Whether a header value speaks of a next page, be it well-formed or not.
pub(super) fn promises_next(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    ["rel=\"next\"", "rel=next"]
        .iter()
        .any(|mark| value.contains(mark))
}

struct Link {
    target: String,
    is_next: bool,
}

/// Splits a header value into its links: `<URL>; rel="next", <URL>; rel=self`.
fn links(value: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else {
            break;
        };
        let (parameters, after) = split_parameters(after);
        found.push(Link {
            target: target.to_owned(),
            is_next: is_next(parameters),
        });
        rest = after;
    }
    found
}

/// The parameters of one link and what follows the comma after them; commas in quotes do not count.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (place, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => return text.split_at(place),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        name.trim().eq_ignore_ascii_case("rel")
            && value
                .trim()
                .trim_matches('"')
                .split_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::{next, promises_next};

    const SELF: &str = "<https://a.example/x?limit=2>; rel=\"self\"";
    const NEXT: &str = "<https://a.example/x?after=1,2;3&limit=2>; rel=\"next\"";

    #[test]
    fn next_is_found_on_its_own_line_or_joined_by_commas() {
        let wanted = Some("https://a.example/x?after=1,2;3&limit=2".to_owned());
        assert_eq!(next([SELF, NEXT]), wanted);
        assert_eq!(next([format!("{SELF}, {NEXT}").as_str()]), wanted);
        assert_eq!(next([format!("{NEXT},{SELF}").as_str()]), wanted);
        assert_eq!(
            next([NEXT
                .replace("rel=\"next\"", "title=\"a, b\"; REL=Next")
                .as_str()]),
            wanted
        );
    }

    #[test]
    fn without_next_there_is_none() {
        assert_eq!(next([SELF]), None);
        assert_eq!(
            next(["", "nonsense", "<unclosed", "<u>; rel=\"nextish\""]),
            None
        );
        assert_eq!(next(Vec::<&str>::new()), None);
        assert!(promises_next("https://a.example/x; Rel=\"Next\""));
        assert!(!promises_next(SELF));
    }
}
