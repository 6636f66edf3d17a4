//! Indexes whose commits are counted and fail as planned, and that can be full.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::durable::faults;

thread_local! {
    static MORE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// From now on, each index that this thread opens for writing can grow by so many pages and no more; `None`: as it likes.
pub(crate) fn let_grow(pages: Option<u32>) {
    MORE.set(pages);
}

/// Makes the commits of a connection fail as planned, and limits its size.
pub(super) fn watched(mut connection: Connection, path: &Path) -> Connection {
    let path: PathBuf = path.to_owned();
    connection
        .commit_hook(Some(move || faults::commit(&path)))
        .unwrap();
    if let Some(more) = MORE.get() {
        let pages: u32 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let limit = pages.max(1) + more;
        connection
            .pragma_update_and_check(None, "max_page_count", limit, |_| Ok(()))
            .unwrap();
    }
    connection
}
