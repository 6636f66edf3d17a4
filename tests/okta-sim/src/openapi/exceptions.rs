//! Where the document is known to differ from the service.

/// The operation's name begins so; the place, without the numbers of items, contains these texts between `*` in this
/// order; why it is no breach.
type Exception = (&'static str, &'static str, &'static str);

const EXCEPTIONS: &[Exception] = &[
    (
        "GET /api/v1/behaviors",
        "request.query.after",
        "recorded: the list pages, with after and limit in its next link",
    ),
    (
        "GET /api/v1/behaviors",
        "request.query.limit",
        "recorded: the list pages, with after and limit in its next link",
    ),
    (
        "GET /api/v1/policies",
        "_embedded.resourceType",
        "recorded: a string in lists of access policies",
    ),
    (
        "",
        "actions.idp.providers[].type",
        "the property's own description has OKTA, which its values lack",
    ),
    (
        "",
        ".knowledge.types[]",
        "the document's own examples write password in lower case",
    ),
    (
        "POST /api/v1/mappings/",
        "request.body.expression",
        "the schema names the parts of one property for the whole",
    ),
    (
        "POST /api/v1/mappings/",
        "request.body.pushStatus",
        "the schema names the parts of one property for the whole",
    ),
    (
        "",
        "recovery_question.properties.complexity.minLength",
        "recorded: sent in password policies and taken",
    ),
    (
        "POST /api/v1/apps",
        "settings.signOn.requestCompressed",
        "recorded: SAML apps are created without it",
    ),
    (
        "PUT /api/v1/apps/",
        "settings.signOn.requestCompressed",
        "as at creation",
    ),
    (
        "GET /api/v1/apps",
        "response.body.name",
        "built-in apps have keys of their own, whatever their sign-on mode",
    ),
    (
        "GET /api/v1/apps",
        "response.body[].name",
        "built-in apps have keys of their own, whatever their sign-on mode",
    ),
    (
        "",
        "response.body.definitions*.unique",
        "the document's own text has UNIQUE_VALIDATED and other words",
    ),
];

/// Whether a difference at `place` is the document's fault.
pub(super) fn covers(operation: &str, place: &str) -> bool {
    let mut inside = false;
    let anywhere: String = place
        .chars()
        .filter(|&c| {
            inside = c == '[' || (inside && c.is_ascii_digit());
            !(inside && c.is_ascii_digit())
        })
        .collect();
    EXCEPTIONS
        .iter()
        .any(|(name, parts, _reason)| operation.starts_with(name) && contains(&anywhere, parts))
}

fn contains(place: &str, parts: &str) -> bool {
    let mut rest = Some(place);
    for part in parts.split('*') {
        rest = rest
            .and_then(|rest| rest.split_once(part))
            .map(|(_, after)| after);
    }
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn an_exception_holds_for_every_item_of_a_list() {
        assert!(covers(
            "GET /x",
            "response.body[12].actions.idp.providers[3].type"
        ));
        assert!(!covers(
            "GET /x",
            "response.body[12].actions.idp.providers[3].id"
        ));
        assert!(!covers("GET /api/v1/zones", "request.query.after"));
        assert!(covers(
            "GET /x",
            "response.body.definitions.custom.properties.a.unique"
        ));
        assert!(!covers(
            "GET /x",
            "request.body.definitions.custom.properties.a.unique"
        ));
    }
}
