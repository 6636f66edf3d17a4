//! The table of routes: method, path, least role, handler, documents. Everything else is derived from it: the
//! router, who may do what, what is audited, and the OpenAPI document.

use std::sync::Arc;

use orgkeep_api::domain::{AddDomain, DomainCard, Enabled, Reauthorize, Settings, SettingsPatch};
use orgkeep_api::job::{Job, JobEvent, JobReport, StartBackup};
use orgkeep_api::restore::{Action, ApplyPlan, RestorePlan, StartPlan};
use orgkeep_api::snapshot::{DiffLine, ObjectLine, Snapshot, SnapshotPatch, StartExport, Version};
use orgkeep_api::store::{StartCheck, StoreStatus};
use orgkeep_api::system::{
    AuditRow, KeysRewrapped, KeysRotated, KeysStatus, ScopesToGrant, Status,
};

use crate::app::App;
use crate::call::{Answer, Call};
use crate::handlers::{
    domains, events, exports, jobs, keys, objects, plans, snapshots, store, system,
};
use crate::openapi::Doc;
use crate::problem::Problem;
use crate::roles::Role;
use crate::roles::Role::{CloudAdmin, ProductAdmin, Viewer};

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What carries out a route, on a thread that may block.
pub(crate) type Handler = fn(&Arc<App>, &Call) -> Result<Answer, Problem>;

/// What a route answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gives {
    /// A document.
    One(Doc),
    /// A document about something new: 201.
    Created(Doc),
    /// A job: 202.
    Accepted,
    /// `{"items", "next"}`, or on request one row a line.
    List(Doc),
    /// Server-sent events.
    Events(Doc),
    /// Something else, of this content type.
    Raw(&'static str),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// The least role that may call it.
    pub(crate) role: Role,
    /// What the audit log calls it; reads that give no contents are not noted, refusals always.
    pub(crate) action: &'static str,
    pub(crate) audited: bool,
    /// The query parameters it knows.
    pub(crate) query: &'static [&'static str],
    pub(crate) takes: Option<Doc>,
    pub(crate) gives: Gives,
    pub(crate) handler: Handler,
}

/// A route that reads.
const fn read(
    path: &'static str,
    role: Role,
    action: &'static str,
    gives: Gives,
    handler: Handler,
) -> Route {
    Route {
        method: Method::Get,
        path,
        role,
        action,
        audited: false,
        query: &[],
        takes: None,
        gives,
        handler,
    }
}

/// A route that changes something.
const fn change(
    method: Method,
    path: &'static str,
    role: Role,
    action: &'static str,
    gives: Gives,
    handler: Handler,
) -> Route {
    Route {
        method,
        path,
        role,
        action,
        audited: true,
        query: &[],
        takes: None,
        gives,
        handler,
    }
}

impl Route {
    const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    const fn takes(mut self, doc: Doc) -> Self {
        self.takes = Some(doc);
        self
    }

    /// A read that gives contents is noted too.
    const fn audited(mut self) -> Self {
        self.audited = true;
        self
    }
}

/// Query parameters of every list.
const PAGE: &[&str] = &["limit", "after"];

/// Every route of the socket API.
pub(crate) const ROUTES: &[Route] = &[
    read(
        "/v1/status",
        Viewer,
        "status",
        Gives::One(Doc::of::<Status>()),
        system::status,
    ),
    read(
        "/metrics",
        Viewer,
        "metrics",
        Gives::Raw("text/plain; version=0.0.4"),
        system::metrics,
    ),
    read(
        "/v1/openapi.json",
        Viewer,
        "openapi",
        Gives::Raw("application/json"),
        system::openapi,
    ),
    read(
        "/v1/scopes",
        Viewer,
        "scopes",
        Gives::One(Doc::of::<ScopesToGrant>()),
        system::scopes,
    )
    .query(&["types"]),
    read(
        "/v1/keys",
        Viewer,
        "keys.status",
        Gives::One(Doc::of::<KeysStatus>()),
        system::keys,
    ),
    change(
        Method::Post,
        "/v1/keys/rewrap",
        CloudAdmin,
        "keys.rewrap",
        Gives::One(Doc::of::<KeysRewrapped>()),
        keys::rewrap,
    ),
    read(
        "/v1/audit",
        CloudAdmin,
        "audit.read",
        Gives::List(Doc::of::<AuditRow>()),
        system::audit,
    )
    .query(&["limit", "after", "verify"]),
    read(
        "/v1/domains",
        Viewer,
        "domain.list",
        Gives::List(Doc::of::<DomainCard>()),
        domains::list,
    )
    .query(PAGE),
    change(
        Method::Post,
        "/v1/domains",
        CloudAdmin,
        "domain.add",
        Gives::Created(Doc::of::<DomainCard>()),
        domains::add,
    )
    .takes(Doc::of::<AddDomain>()),
    read(
        "/v1/domains/{d}",
        Viewer,
        "domain.show",
        Gives::One(Doc::of::<DomainCard>()),
        domains::show,
    ),
    change(
        Method::Delete,
        "/v1/domains/{d}",
        CloudAdmin,
        "domain.remove",
        Gives::One(Doc::of::<DomainCard>()),
        domains::remove,
    )
    .query(&["erase"]),
    change(
        Method::Post,
        "/v1/domains/{d}/reauthorize",
        CloudAdmin,
        "domain.reauthorize",
        Gives::One(Doc::of::<DomainCard>()),
        domains::reauthorize,
    )
    .takes(Doc::of::<Reauthorize>()),
    change(
        Method::Put,
        "/v1/domains/{d}/backup",
        CloudAdmin,
        "domain.backup",
        Gives::One(Doc::of::<DomainCard>()),
        domains::set_backup,
    )
    .takes(Doc::of::<Enabled>()),
    read(
        "/v1/domains/{d}/settings",
        ProductAdmin,
        "settings.show",
        Gives::One(Doc::of::<Settings>()),
        domains::settings,
    ),
    change(
        Method::Patch,
        "/v1/domains/{d}/settings",
        CloudAdmin,
        "settings.change",
        Gives::One(Doc::of::<Settings>()),
        domains::change_settings,
    )
    .takes(Doc::of::<SettingsPatch>()),
    change(
        Method::Put,
        "/v1/domains/{d}/key-management",
        CloudAdmin,
        "keys.enable",
        Gives::One(Doc::of::<DomainCard>()),
        domains::set_key_management,
    )
    .takes(Doc::of::<Enabled>()),
    change(
        Method::Post,
        "/v1/domains/{d}/key-management/rotate",
        CloudAdmin,
        "keys.rotate",
        Gives::One(Doc::of::<KeysRotated>()),
        keys::rotate,
    ),
    change(
        Method::Post,
        "/v1/domains/{d}/backups",
        ProductAdmin,
        "backup.start",
        Gives::Accepted,
        domains::backup_now,
    )
    .takes(Doc::of::<StartBackup>()),
    read(
        "/v1/domains/{d}/snapshots",
        Viewer,
        "snapshot.list",
        Gives::List(Doc::of::<Snapshot>()),
        snapshots::list,
    )
    .query(PAGE),
    read(
        "/v1/domains/{d}/snapshots/{s}",
        Viewer,
        "snapshot.show",
        Gives::One(Doc::of::<Snapshot>()),
        snapshots::show,
    ),
    read(
        "/v1/snapshots",
        Viewer,
        "snapshot.list",
        Gives::List(Doc::of::<Snapshot>()),
        snapshots::list,
    )
    .query(&["domain", "limit", "after"]),
    read(
        "/v1/snapshots/{s}",
        Viewer,
        "snapshot.show",
        Gives::One(Doc::of::<Snapshot>()),
        snapshots::show,
    )
    .query(&["domain"]),
    change(
        Method::Patch,
        "/v1/snapshots/{s}",
        CloudAdmin,
        "snapshot.pin",
        Gives::One(Doc::of::<Snapshot>()),
        snapshots::pin,
    )
    .query(&["domain"])
    .takes(Doc::of::<SnapshotPatch>()),
    change(
        Method::Delete,
        "/v1/snapshots/{s}",
        CloudAdmin,
        "snapshot.remove",
        Gives::One(Doc::of::<Snapshot>()),
        snapshots::remove,
    )
    .query(&["domain"]),
    read(
        "/v1/snapshots/{s}/objects",
        Viewer,
        "object.list",
        Gives::List(Doc::of::<ObjectLine>()),
        objects::list,
    )
    .query(&["domain", "type", "match", "limit", "after"]),
    read(
        "/v1/snapshots/{s}/objects/{type}/{*id}",
        ProductAdmin,
        "object.show",
        Gives::Raw("application/json"),
        objects::show,
    )
    .query(&["domain"])
    .audited(),
    read(
        "/v1/domains/{d}/objects/{type}/{id}/history",
        Viewer,
        "object.history",
        Gives::List(Doc::of::<Version>()),
        objects::history,
    )
    .query(PAGE),
    read(
        "/v1/diff",
        Viewer,
        "diff",
        Gives::List(Doc::of::<DiffLine>()),
        objects::diff,
    )
    .query(&["from", "to", "domain", "attributes", "names"]),
    change(
        Method::Post,
        "/v1/domains/{d}/restore-plans",
        ProductAdmin,
        "plan.start",
        Gives::Accepted,
        plans::start,
    )
    .takes(Doc::of::<StartPlan>()),
    read(
        "/v1/restore-plans/{p}",
        ProductAdmin,
        "plan.show",
        Gives::One(Doc::of::<RestorePlan>()),
        plans::show,
    )
    .audited(),
    read(
        "/v1/restore-plans/{p}/actions",
        ProductAdmin,
        "plan.actions",
        Gives::List(Doc::of::<Action>()),
        plans::actions,
    )
    .query(PAGE)
    .audited(),
    change(
        Method::Post,
        "/v1/restore-plans/{p}/apply",
        CloudAdmin,
        "plan.apply",
        Gives::Accepted,
        plans::apply,
    )
    .takes(Doc::of::<ApplyPlan>()),
    change(
        Method::Post,
        "/v1/domains/{d}/exports",
        CloudAdmin,
        "export.start",
        Gives::Accepted,
        exports::start,
    )
    .takes(Doc::of::<StartExport>()),
    read(
        "/v1/exports/{j}",
        CloudAdmin,
        "export.fetch",
        Gives::Raw("application/x-tar"),
        exports::fetch,
    )
    .audited(),
    read(
        "/v1/jobs",
        Viewer,
        "job.list",
        Gives::List(Doc::of::<Job>()),
        jobs::list,
    )
    .query(&["domain", "kind", "state", "limit", "after"]),
    read(
        "/v1/jobs/{j}",
        Viewer,
        "job.show",
        Gives::One(Doc::of::<Job>()),
        jobs::show,
    ),
    change(
        Method::Post,
        "/v1/jobs/{j}/cancel",
        ProductAdmin,
        "job.cancel",
        Gives::Accepted,
        jobs::cancel,
    ),
    read(
        "/v1/jobs/{j}/report",
        ProductAdmin,
        "job.report",
        Gives::One(Doc::of::<JobReport>()),
        jobs::report,
    )
    .query(&["format"])
    .audited(),
    read(
        "/v1/jobs/{j}/events",
        Viewer,
        "job.events",
        Gives::Events(Doc::of::<JobEvent>()),
        events::of_job,
    ),
    read(
        "/v1/events",
        Viewer,
        "events",
        Gives::Events(Doc::of::<JobEvent>()),
        events::all,
    ),
    read(
        "/v1/store",
        Viewer,
        "store.status",
        Gives::One(Doc::of::<StoreStatus>()),
        store::status,
    ),
    change(
        Method::Post,
        "/v1/store/check",
        ProductAdmin,
        "store.check",
        Gives::Accepted,
        store::check,
    )
    .takes(Doc::of::<StartCheck>()),
    change(
        Method::Post,
        "/v1/store/prune",
        CloudAdmin,
        "store.prune",
        Gives::Accepted,
        store::prune,
    ),
    change(
        Method::Post,
        "/v1/store/reindex",
        CloudAdmin,
        "store.reindex",
        Gives::Accepted,
        store::reindex,
    ),
    change(
        Method::Post,
        "/v1/store/repair",
        CloudAdmin,
        "store.repair",
        Gives::Accepted,
        store::repair,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn least(method: Method, path: &str) -> Role {
        let found = ROUTES
            .iter()
            .find(|route| route.method == method && route.path == path);
        found.unwrap_or_else(|| panic!("{method:?} {path}")).role
    }

    #[test]
    fn each_role_may_do_what_the_interface_says() {
        let cloud_admin = [
            (Method::Post, "/v1/domains"),
            (Method::Delete, "/v1/domains/{d}"),
            (Method::Post, "/v1/domains/{d}/reauthorize"),
            (Method::Patch, "/v1/domains/{d}/settings"),
            (Method::Put, "/v1/domains/{d}/key-management"),
            (Method::Post, "/v1/domains/{d}/exports"),
            (Method::Get, "/v1/exports/{j}"),
            (Method::Post, "/v1/restore-plans/{p}/apply"),
            (Method::Post, "/v1/store/prune"),
            (Method::Post, "/v1/store/repair"),
            (Method::Post, "/v1/domains/{d}/key-management/rotate"),
            (Method::Post, "/v1/keys/rewrap"),
            (Method::Delete, "/v1/snapshots/{s}"),
        ];
        let product_admin = [
            (Method::Post, "/v1/domains/{d}/backups"),
            (Method::Get, "/v1/domains/{d}/settings"),
            (Method::Get, "/v1/snapshots/{s}/objects/{type}/{*id}"),
            (Method::Post, "/v1/domains/{d}/restore-plans"),
            (Method::Get, "/v1/restore-plans/{p}"),
            (Method::Get, "/v1/jobs/{j}/report"),
            (Method::Post, "/v1/store/check"),
        ];
        let viewer = [
            (Method::Get, "/v1/status"),
            (Method::Get, "/v1/domains"),
            (Method::Get, "/v1/jobs"),
            (Method::Get, "/v1/domains/{d}/snapshots"),
            (Method::Get, "/v1/snapshots/{s}/objects"),
            (Method::Get, "/v1/diff"),
            (Method::Get, "/v1/domains/{d}/objects/{type}/{id}/history"),
        ];
        for (method, path) in cloud_admin {
            assert_eq!(least(method, path), CloudAdmin, "{path}");
        }
        for (method, path) in product_admin {
            assert_eq!(least(method, path), ProductAdmin, "{path}");
        }
        for (method, path) in viewer {
            assert_eq!(least(method, path), Viewer, "{path}");
        }
    }

    #[test]
    fn every_change_is_audited_and_every_route_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{}", route.path);
            assert!(
                route.audited || route.method == Method::Get,
                "{}",
                route.path
            );
        }
    }
}
