//! Which resource a path belongs to, and what of it is meant.

use super::table::{Kind, Lifecycle, RESOURCES, Resource};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The collection.
    All,
    /// One object.
    One(&'a str),
    /// A step in one object's lifecycle.
    Step(&'a str, &'a str),
    /// The permissions of one role.
    Permissions(&'a str),
    /// One permission of one role.
    Permission(&'a str, &'a str),
}

/// A path, understood.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) resource: &'static Resource,
    /// The parents' ids as the path writes them, outermost first.
    pub(crate) parents: Vec<&'a str>,
    pub(crate) part: Part<'a>,
}

/// Understands a path; `None` if it belongs to no configuration resource.
pub(crate) fn route<'a>(path: &[&'a str]) -> Option<Route<'a>> {
    RESOURCES.iter().find_map(|resource| {
        let (head, rest) = path.split_at_checked(resource.path.len())?;
        let mut parents = Vec::new();
        for (pattern, segment) in resource.path.iter().zip(head) {
            match *pattern {
                "*" => parents.push(*segment),
                pattern if pattern == *segment => {}
                _ => return None,
            }
        }
        let part = part(resource, rest)?;
        Some(Route {
            resource,
            parents,
            part,
        })
    })
}

fn part<'a>(resource: &Resource, rest: &[&'a str]) -> Option<Part<'a>> {
    match *rest {
        [] => Some(Part::All),
        [id] => Some(Part::One(id)),
        [id, "lifecycle", step @ ("activate" | "deactivate")]
            if resource.lifecycle != Lifecycle::None =>
        {
            Some(Part::Step(id, step))
        }
        [id, "lifecycle", step @ "verify"] if resource.kind == Kind::EventHook => {
            Some(Part::Step(id, step))
        }
        [id, "permissions"] if resource.kind == Kind::Role => Some(Part::Permissions(id)),
        [id, "permissions", label] if resource.kind == Kind::Role => {
            Some(Part::Permission(id, label))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, route};
    use crate::config::table::Kind;

    fn routed(path: &str) -> Option<(Kind, Vec<String>, String)> {
        let path: Vec<&str> = path.split('/').collect();
        let found = route(&path)?;
        let parents = found.parents.iter().map(|&id| id.to_owned()).collect();
        Some((found.resource.kind, parents, format!("{:?}", found.part)))
    }

    #[test]
    fn paths_find_their_resource_and_part() {
        assert_eq!(
            routed("api/v1/zones"),
            Some((Kind::Zone, vec![], format!("{:?}", Part::All)))
        );
        assert_eq!(
            routed("api/v1/authorizationServers/aus1/policies/00p1/rules/0pr1/lifecycle/activate"),
            Some((
                Kind::ServerRule,
                vec!["aus1".to_owned(), "00p1".to_owned()],
                format!("{:?}", Part::Step("0pr1", "activate")),
            ))
        );
        assert_eq!(
            routed("api/v1/policies/00p1/rules"),
            Some((
                Kind::Rule,
                vec!["00p1".to_owned()],
                format!("{:?}", Part::All)
            ))
        );
        assert_eq!(
            routed("api/v1/iam/roles/cr01/permissions/okta.users.read").map(|found| found.2),
            Some(format!("{:?}", Part::Permission("cr01", "okta.users.read")))
        );
    }

    #[test]
    fn other_paths_are_not_ours() {
        for path in [
            "api/v1/users",
            "api/v1/policies/00p1/mappings",
            "api/v1/iam/roles/cr01/lifecycle/activate",
            "api/v1/authorizationServers/aus1/scopes/scp1/lifecycle/activate",
            "api/v1/zones/nzo1/lifecycle/verify",
        ] {
            assert_eq!(routed(path), None, "{path}");
        }
    }
}
