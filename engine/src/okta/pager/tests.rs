//! The pager against lists that are cut, repeated, restarted and shrunk at random.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::canonical::top_level_str;
use crate::okta::testing::{Scripted, page, refused};

fn ids_of(api: &dyn OktaApi, path: &str) -> Result<Vec<String>, OktaError> {
    let mut ids = Vec::new();
    Pager::new(api, path, None).for_each::<OktaError>(|item| {
        ids.push(top_level_str(item, "id").unwrap().into_owned());
        Ok(())
    })?;
    Ok(ids)
}

fn body(ids: &[u32]) -> String {
    let items: Vec<String> = ids
        .iter()
        .map(|id| format!("{{\"id\":\"{id}\"}}"))
        .collect();
    format!("[{}]", items.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_object_comes_however_the_list_is_cut(
        pages in prop::collection::vec(prop::collection::vec(0u32..500, 0..6), 1..12),
        expired in prop::collection::vec(1usize..12, 0..3),
        overlap in any::<bool>(),
    ) {
        let pages: Vec<Vec<u32>> = pages;
        let expired = Mutex::new(expired);
        let api = Scripted(|call: &Call| {
            let at: usize = call.path.split_once("after=").map_or(0, |(_, after)| after.parse().unwrap());
            let mut due = expired.lock().unwrap();
            if at > 0 && let Some(hit) = due.iter().position(|page| *page == at) {
                due.remove(hit);
                return Err(refused(400, "E0000031"));
            }
            let mut ids = pages[at].clone();
            // An item of the page before may come again.
            if overlap && at > 0 {
                ids.extend(pages[at - 1].first());
            }
            let next = (at + 1 < pages.len()).then(|| format!("/api/v1/users?limit=6&after={}", at + 1));
            Ok(page(body(&ids), next))
        });
        let got: BTreeSet<String> = ids_of(&api, "/api/v1/users?limit=6").unwrap().into_iter().collect();
        let wanted: BTreeSet<String> = pages.iter().flatten().map(u32::to_string).collect();
        prop_assert_eq!(got, wanted);
    }
}

#[test]
fn an_empty_page_in_the_middle_is_not_the_end() {
    let api = Scripted(|call: &Call| match call.path.as_str() {
        "/a" => Ok(page("[{\"id\":\"1\"}]", Some("/a?after=1".to_owned()))),
        "/a?after=1" => Ok(page("[]", Some("/a?after=2".to_owned()))),
        _ => Ok(page("[{\"id\":\"2\"}]", None)),
    });
    assert_eq!(ids_of(&api, "/a").unwrap(), ["1", "2"]);
}

#[test]
fn a_page_that_times_out_is_asked_for_at_half_its_size() {
    let asked = Mutex::new(Vec::new());
    let api = Scripted(|call: &Call| {
        asked.lock().unwrap().push(call.path.clone());
        if call.path.contains("limit=200") || call.path.contains("limit=100") {
            return Err(refused(500, "E0000009"));
        }
        let next = (!call.path.contains("after")).then(|| "/a?after=1&limit=200".to_owned());
        Ok(page("[{\"id\":\"1\"}]", next))
    });
    assert_eq!(ids_of(&api, "/a?limit=200").unwrap().len(), 2);
    let wanted = [
        "/a?limit=200",
        "/a?limit=100",
        "/a?limit=50",
        "/a?after=1&limit=50",
    ];
    assert_eq!(*asked.lock().unwrap(), wanted);
}

#[test]
fn circles_other_lists_and_pages_that_are_no_lists_are_errors() {
    let circle = Scripted(|_: &Call| Ok(page("[]", Some("/a?after=1".to_owned()))));
    let elsewhere = Scripted(|_: &Call| Ok(page("[]", Some("/b?after=1".to_owned()))));
    let no_list = Scripted(|_: &Call| Ok(page("{}", None)));
    let cut = Scripted(|_: &Call| Ok(page("[{\"id\":\"1\"},", None)));
    let apis: [&dyn OktaApi; 4] = [&circle, &elsewhere, &no_list, &cut];
    for api in apis {
        assert_eq!(ids_of(api, "/a").unwrap_err().code(), "malformed_answer");
    }
}

#[test]
fn a_cursor_that_always_expires_is_given_up() {
    let api = Scripted(|call: &Call| {
        if call.path.contains("after") {
            Err(refused(400, "E0000029"))
        } else {
            Ok(page("[]", Some("/a?after=1".to_owned())))
        }
    });
    assert_eq!(ids_of(&api, "/a").unwrap_err().code(), "okta_refused");
}
