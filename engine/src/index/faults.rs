//! Commits that fail where a test plans it.
//!
//! A plan holds for the thread that made it, and for every index.

use std::cell::Cell;

use rusqlite::Connection;

/// The step to fail at, whether all later ones fail too, and how many there were.
#[derive(Clone, Copy)]
struct Plan {
    at: u64,
    for_good: bool,
    commits: u64,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// Plans for the `at`-th commit from now on (the first is 1), and all later ones if it is `for_good`.
pub(crate) fn plan(at: u64, for_good: bool) {
    PLAN.set(Some(Plan {
        at,
        for_good,
        commits: 0,
    }));
}

/// Ends the plan. Gives whether the planned commit was reached.
pub(crate) fn end() -> bool {
    PLAN.take().is_some_and(|plan| plan.commits >= plan.at)
}

/// Makes the commits of a connection fail as planned.
pub(super) fn watched(mut connection: Connection) -> Connection {
    let hook = || {
        let Some(mut plan) = PLAN.get() else {
            return false;
        };
        plan.commits += 1;
        PLAN.set(Some(plan));
        plan.commits == plan.at || (plan.for_good && plan.commits > plan.at)
    };
    connection.commit_hook(Some(hook)).unwrap();
    connection
}
