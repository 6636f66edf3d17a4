//! Answers that must never be taken for an empty list: each leaves its type incomplete, or not available, alone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::okta::testing::{Act, Ears, Seen, Server, TestClock, answer};
use crate::okta::{Credentials, Http, HttpOptions};

/// Remembers ids and coverage.
#[derive(Debug, Default)]
struct Kept {
    ids: BTreeSet<String>,
    /// The parents whose children were given as one list.
    whole: BTreeSet<String>,
    coverage: BTreeMap<&'static str, Coverage>,
}

impl Sink for Kept {
    type Error = Infallible;

    fn object(&mut self, object: Canonical) -> Result<(), Infallible> {
        self.ids.insert(object.id);
        Ok(())
    }

    fn children(
        &mut self,
        _object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), Infallible> {
        self.whole.insert(parent.to_owned());
        self.ids.extend(children.into_iter().map(|child| child.id));
        Ok(())
    }

    fn gone(&mut self, _object_type: ObjectType, id: &str) -> Result<(), Infallible> {
        self.ids.remove(id);
        Ok(())
    }

    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), Infallible> {
        self.coverage.insert(object_type.name(), coverage);
        Ok(())
    }
}

fn error(status: u16, code: &str) -> Act {
    answer(
        status,
        &format!(r#"{{"errorCode":"{code}","errorSummary":"x"}}"#),
    )
}

/// Collects some types from a server that answers by `script`, or with an empty list.
fn collected(
    types: &[&str],
    script: impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static,
) -> (Kept, Server) {
    let server = Server::start(move |seen, _| match seen.path.as_str() {
        "/.well-known/okta-organization" => answer(200, r#"{"id":"00o1"}"#),
        path if path.starts_with("/api/v1/logs") => error(403, "E0000006"),
        _ => script(seen).unwrap_or_else(|| answer(200, "[]")),
    });
    let clock = TestClock::at("2026-05-01T12:00:00Z");
    let ears = Arc::new(Ears::default());
    let shared: Arc<dyn Monitor> = Arc::<Ears>::clone(&ears);
    let token = Credentials::ApiToken("t".into());
    let time = Arc::<TestClock>::clone(&clock);
    let mut options = HttpOptions::new(server.url.parse().unwrap(), token, time, shared);
    options.attempts = 2;
    let http = Http::new(options).unwrap();
    let wanted = CollectOptions {
        types: types.iter().map(|name| name.parse().unwrap()).collect(),
        ..CollectOptions::default()
    };
    let mut kept = Kept::default();
    collect(&http, &wanted, &mut kept, clock.as_ref(), ears.as_ref()).unwrap();
    (kept, server)
}

fn is_incomplete(coverage: &Coverage) -> bool {
    matches!(coverage, Coverage::Incomplete { .. })
}

#[test]
fn a_list_that_is_not_answered_as_a_list_is_incomplete_and_the_others_go_on() {
    let page = |next: &str| {
        answer(200, r#"[{"id":"1","name":"a","type":"IP"}]"#)
            .with("link", &format!("<{next}>; rel=\"next\""))
    };
    let cases = [
        (
            "an edge's 404",
            answer(404, r#"{"status":404,"message":"Resource not found"}"#),
        ),
        ("a 404 with a code", error(404, "E0000007")),
        ("a refusal", error(403, "E0000006")),
        ("a redirect", answer(302, "").with("Location", "/login")),
        ("a page for people", answer(200, "<html></html>")),
        ("no list", answer(200, r#"{"errorCode":"E0000009"}"#)),
        ("no objects", answer(200, r#"["1","2"]"#)),
        ("nulls", answer(200, "[null]")),
        (
            "an object without an id",
            answer(200, r#"[{"name":"a","type":"IP"}]"#),
        ),
        (
            "an object with a null id",
            answer(200, r#"[{"id":null,"name":"a","type":"IP"}]"#),
        ),
        (
            "an object twice",
            answer(200, r#"[{"id":"1","name":"a"},{"id":"1","name":"a"}]"#),
        ),
        (
            "a property twice",
            answer(200, r#"[{"id":"1","name":"a","name":"b"}]"#),
        ),
        (
            "another list",
            page("http://127.0.0.1/api/v1/apps?limit=-1"),
        ),
        (
            "another host",
            page("https://evil.example.com/api/v1/zones?after=1"),
        ),
        ("a circle", page("http://127.0.0.1/api/v1/zones?after=1")),
        ("a failure", error(500, "E0000009")),
    ];
    for (what, act) in cases {
        let (kept, server) = collected(&["network_zone", "trusted_origin"], move |seen| {
            seen.path.starts_with("/api/v1/zones").then(|| act.clone())
        });
        assert!(
            is_incomplete(&kept.coverage["network_zone"]),
            "{what}: {:?}",
            kept.coverage
        );
        assert_eq!(
            kept.coverage["trusted_origin"],
            Coverage::Complete,
            "{what}"
        );
        assert_eq!(server.count("/api/v1/apps"), 0, "{what}");
    }
}

#[test]
fn one_object_that_cannot_be_kept_costs_the_completeness_and_not_the_others() {
    let (kept, _) = collected(&["network_zone"], |_| {
        Some(answer(
            200,
            r#"[{"id":"1","name":"a"},{"name":"b"},{"id":"3","name":"c"}]"#,
        ))
    });
    assert!(is_incomplete(&kept.coverage["network_zone"]));
    assert_eq!(kept.ids, BTreeSet::from(["1".to_owned(), "3".to_owned()]));
}

#[test]
fn a_feature_that_the_org_lacks_is_not_available() {
    for act in [
        error(401, "E0000015"),
        error(404, "E0000008"),
        error(405, "E0000022"),
        error(410, "E0000215"),
    ] {
        let (kept, _) = collected(&["network_zone", "trusted_origin"], move |seen| {
            seen.path.starts_with("/api/v1/zones").then(|| act.clone())
        });
        assert_eq!(kept.coverage["network_zone"], Coverage::NotAvailable);
        assert_eq!(kept.coverage["trusted_origin"], Coverage::Complete);
    }
}

#[test]
fn a_policy_type_that_is_refused_is_not_available_but_one_whose_cursor_dies_is_incomplete() {
    let (kept, _) = collected(&["policy_access", "policy_password"], |seen| {
        let policies = seen.path.starts_with("/api/v1/policies");
        let act = match (
            seen.path.contains("ACCESS_POLICY"),
            seen.path.contains("after="),
        ) {
            (true, _) => error(400, "E0000001"),
            (false, true) => error(400, "E0000031"),
            (false, false) => answer(200, r#"[{"id":"1","type":"PASSWORD","name":"p"}]"#)
                .with("link", "</api/v1/policies?type=PASSWORD&after=x>; rel=next"),
        };
        policies.then_some(act)
    });
    assert_eq!(kept.coverage["policy_access"], Coverage::NotAvailable);
    assert!(is_incomplete(&kept.coverage["policy_password"]));
}

#[test]
fn a_filter_that_the_next_page_drops_is_applied_here() {
    let (kept, _) = collected(&["policy_password"], |seen| {
        let act = if seen.path.contains("after=") {
            answer(
                200,
                r#"[{"id":"2","type":"OKTA_SIGN_ON","name":"s"},{"id":"3","type":"PASSWORD","name":"q"}]"#,
            )
        } else {
            answer(200, r#"[{"id":"1","type":"PASSWORD","name":"p"}]"#)
                .with("link", "</api/v1/policies?after=x>; rel=\"next\"")
        };
        seen.path.starts_with("/api/v1/policies").then_some(act)
    });
    assert_eq!(kept.coverage["policy_password"], Coverage::Complete);
    assert_eq!(kept.ids, BTreeSet::from(["1".to_owned(), "3".to_owned()]));
}

#[test]
fn the_members_of_a_group_are_gone_only_when_okta_says_that_the_group_is() {
    let run = |list: Act, group: Act| {
        let (kept, _) = collected(&["group", "group_member"], move |seen| {
            match seen.path.split('?').next().unwrap_or_default() {
                "/api/v1/groups" => Some(answer(
                    200,
                    r#"[{"id":"00g1","type":"OKTA_GROUP","profile":{"name":"a"}}]"#,
                )),
                "/api/v1/groups/00g1/users" => Some(list.clone()),
                "/api/v1/groups/00g1" => Some(group.clone()),
                _ => None,
            }
        });
        kept
    };
    let here = answer(
        200,
        r#"{"id":"00g1","type":"OKTA_GROUP","profile":{"name":"a"}}"#,
    );
    let edge = answer(404, r#"{"status":404}"#);
    let gone = error(404, "E0000007");
    let kept = run(gone.clone(), gone.clone());
    assert_eq!(kept.coverage["group_member"], Coverage::Complete);
    assert!(!kept.ids.contains("00g1"));
    for (list, group) in [
        (edge.clone(), gone.clone()),
        (gone.clone(), edge),
        (gone, here),
    ] {
        let kept = run(list, group);
        assert!(
            is_incomplete(&kept.coverage["group_member"]),
            "{:?}",
            kept.coverage
        );
        assert!(kept.ids.contains("00g1"));
    }
}

#[test]
fn the_members_of_a_group_are_a_whole_list_only_if_each_has_an_id_and_none_moved() {
    const A: &str = r#"{"id":"00ua","profile":{"a":"}],"}}"#;
    const B: &str = r#"{"\u0069d":"00ub"}"#;
    // Each case: the two pages of the first reading and of every later one, the members, whether the list is whole.
    let cases = [
        ("two", [A, B], [A, B], vec!["00ua", "00ub"], true),
        (
            "one twice at first",
            [A, A],
            [A, B],
            vec!["00ua", "00ub"],
            true,
        ),
        ("one twice always", [A, A], [A, A], vec!["00ua"], false),
        (
            "one without an id",
            [A, r#"{"id":1}"#],
            [A, B],
            vec!["00ua"],
            false,
        ),
        (
            "one with no id",
            [A, r#"{"id":""}"#],
            [A, B],
            vec!["00ua"],
            false,
        ),
    ];
    for (what, first, later, members, whole) in cases {
        let readings = AtomicUsize::new(0);
        let (kept, server) = collected(&["group_member"], move |seen| {
            if seen.path.starts_with("/api/v1/groups?") {
                let group = r#"[{"id":"00g1","type":"OKTA_GROUP","profile":{"name":"a"}}]"#;
                return Some(answer(200, group));
            }
            let is_second = seen.path.contains("after=");
            if !is_second {
                readings.fetch_add(1, Ordering::SeqCst);
            }
            let is_first = readings.load(Ordering::SeqCst) == 1;
            let page = if is_first { first } else { later };
            let act = answer(200, &format!("[{}]", page[usize::from(is_second)]));
            Some(if is_second {
                act
            } else {
                act.with("link", "</api/v1/groups/00g1/users?after=x>; rel=\"next\"")
            })
        });
        let wanted = members.iter().map(|member| format!("00g1/{member}"));
        assert_eq!(kept.ids, wanted.collect(), "{what}");
        assert_eq!(kept.whole.contains("00g1"), whole, "{what}");
        let coverage = &kept.coverage["group_member"];
        assert_eq!(
            *coverage == Coverage::Complete,
            whole,
            "{what}: {coverage:?}"
        );
        let readings = if first[0] == first[1] { 2 } else { 1 };
        assert!(
            server.count("/api/v1/groups/00g1/users") >= 2 * readings,
            "{what}"
        );
    }
}

#[test]
fn a_list_of_members_that_begins_again_is_whole() {
    let expired = AtomicBool::new(false);
    let (kept, _) = collected(&["group_member"], move |seen| {
        let act = match (
            seen.path.starts_with("/api/v1/groups?"),
            seen.path.contains("after="),
        ) {
            (true, _) => answer(200, r#"[{"id":"00g1","type":"OKTA_GROUP"}]"#),
            (false, true) if !expired.swap(true, Ordering::SeqCst) => error(400, "E0000031"),
            (false, true) => answer(200, r#"[{"id":"00ub"}]"#),
            (false, false) => answer(200, r#"[{"id":"00ua"}]"#)
                .with("link", "</api/v1/groups/00g1/users?after=x>; rel=\"next\""),
        };
        Some(act)
    });
    assert_eq!(kept.coverage["group_member"], Coverage::Complete);
    let wanted = ["00g1/00ua", "00g1/00ub"].map(str::to_owned);
    assert_eq!(kept.ids, BTreeSet::from(wanted));
    assert!(kept.whole.contains("00g1"));
}

#[test]
fn the_orgs_own_settings_are_never_taken_for_deleted() {
    for act in [error(404, "E0000007"), answer(404, "")] {
        let (kept, _) = collected(&["org_setting"], move |seen| {
            seen.path.starts_with("/api/v1/org").then(|| act.clone())
        });
        assert!(is_incomplete(&kept.coverage["org_setting"]));
    }
}
