//! Listing users: the plain list, `filter`, `search` and `q`.

use serde_json::Value;

use crate::{
    clock::time_text,
    cursor::{PageSizes, Window},
    filter::{Filter, Operator},
    json::ArrayWriter,
    log::attribute,
    org::Core,
    person::Status,
    response::{Outcome, Response, refusal},
    users::{Links, UserRef},
    wire::{Refusal, Request},
};

/// Page sizes of the user list.
const SIZES: PageSizes = PageSizes::new(200, 200);
/// Page sizes with `q`.
const KEYWORD_SIZES: PageSizes = PageSizes::new(10, 200);
/// A rendered user's size, for reserving room.
const USER_BYTES: usize = 1700;
/// What `filter` may name.
const FILTERABLE: &[&str] = &[
    "status",
    "lastUpdated",
    "id",
    "profile.login",
    "profile.email",
    "profile.firstName",
    "profile.lastName",
];

/// `GET /api/v1/users`.
pub(crate) fn list(core: &Core, request: &Request) -> Outcome {
    match (
        request.param("filter"),
        request.param("search"),
        request.param("q"),
    ) {
        (Some(_), Some(_), _) => Err(refusal(
            400,
            "E0000033",
            "Invalid search request: 'filter' and 'search' cannot be used together",
        )),
        (_, Some(search), _) => search_list(core, request, search),
        (Some(filter), None, _) => {
            let filter = parse_filter(filter)?;
            by_position(core, request, SIZES, |user| {
                filter.holds(&|name: &str| user_attribute(core, user, name))
            })
        }
        (None, None, Some(q)) => {
            let q = q.to_lowercase();
            by_position(core, request, KEYWORD_SIZES, |user| {
                let profile = user.profile(&core.ids);
                user.status() != Status::Deprovisioned
                    && ["firstName", "lastName", "email"].iter().any(|key| {
                        profile
                            .get(*key)
                            .and_then(Value::as_str)
                            .is_some_and(|text| text.to_lowercase().starts_with(&q))
                    })
            })
        }
        (None, None, None) => by_position(core, request, SIZES, |user| {
            user.status() != Status::Deprovisioned
        }),
    }
}

/// Pages through the list order; a page's cursor is a place in it.
fn by_position(
    core: &Core,
    request: &Request,
    sizes: PageSizes,
    wanted: impl Fn(UserRef<'_>) -> bool,
) -> Outcome {
    let window = Window::read(core, request, sizes)?;
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let mut array = ArrayWriter::with_room(window.limit * USER_BYTES);
    let mut count = 0;
    let mut next = None;
    for (place, n) in core.users.order.iter().enumerate().skip(start) {
        let Some(user) = core.users.get(*n).filter(|user| wanted(*user)) else {
            continue;
        };
        if count == window.limit {
            next = Some(place as u64);
            break;
        }
        core.push_user(array.item(), user, &request.base_url, Links::List);
        count += 1;
    }
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn search_list(core: &Core, request: &Request, search: &str) -> Outcome {
    let filter = Filter::parse(search)
        .ok_or_else(|| refusal(400, "E0000031", "Invalid search criteria."))?;
    let window = Window::read(core, request, SIZES)?;
    let now = core.clock.now();
    let mut found: Vec<UserRef<'_>> = core
        .users
        .order
        .iter()
        .filter_map(|n| core.users.indexed(*n, now))
        .filter(|user| filter.holds(&|name: &str| user_attribute(core, *user, name)))
        .collect();
    if let Some(key) = request.param("sortBy") {
        found.sort_by_cached_key(|user| user_attribute(core, *user, key));
        if request
            .param("sortOrder")
            .is_some_and(|order| order.eq_ignore_ascii_case("desc"))
        {
            found.reverse();
        }
    }
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let mut array = ArrayWriter::with_room(window.limit * USER_BYTES);
    for user in found.iter().skip(start).take(window.limit) {
        core.push_user(array.item(), *user, &request.base_url, Links::List);
    }
    let end = start.saturating_add(window.limit);
    let next = (end < found.len()).then_some(end as u64);
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn parse_filter(text: &str) -> Result<Filter, Refusal> {
    let bad = || refusal(400, "E0000053", "Invalid filter");
    let filter = Filter::parse(text).ok_or_else(bad)?;
    let legal = filter.comparisons().iter().all(|(name, operator)| {
        FILTERABLE.contains(name)
            && (*operator == Some(Operator::Equal)
                || (*name == "lastUpdated"
                    && matches!(
                        operator,
                        Some(
                            Operator::Greater
                                | Operator::GreaterOrEqual
                                | Operator::Less
                                | Operator::LessOrEqual
                        )
                    )))
    });
    if legal { Ok(filter) } else { Err(bad()) }
}

fn user_attribute(core: &Core, user: UserRef<'_>, name: &str) -> Vec<String> {
    let times = user.times();
    let time = |ms: Option<i64>| ms.map(time_text).into_iter().collect();
    match name {
        "id" => vec![core.user_id(user.number())],
        "status" => vec![user.status().text().to_owned()],
        "created" => time(Some(times.created)),
        "activated" => time(times.activated),
        "statusChanged" => time(times.status_changed),
        "lastUpdated" => time(Some(times.last_updated)),
        "type.id" => vec![core.ids.text("oty", u64::from(user.user_type()))],
        "profile.login" => vec![user.login()],
        other => match other.strip_prefix("profile.") {
            Some(key) => user
                .attribute(&core.ids, key)
                .map(|value| attribute(&serde_json::json!({ "v": value }), "v"))
                .unwrap_or_default(),
            None => Vec::new(),
        },
    }
}
