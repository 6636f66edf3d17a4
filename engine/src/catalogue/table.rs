//! The entries.

use super::{Entry, IdRule, Listing, NaturalKey, RestoreClass, UpdateStyle};

/// Every type, in restore order.
pub(super) const TABLE: &[Entry] = &[Entry {
    name: "org_setting",
    code: 1,
    class: RestoreClass::UpdateOnly,
    restore_order: 5,
    parents: &[],
    read_scope: "okta.orgs.read",
    manage_scope: "okta.orgs.manage",
    listing: Listing::Single("/api/v1/org"),
    items_property: None,
    get: Some("/api/v1/org"),
    create: None,
    relate: None,
    update: UpdateStyle::Merge("/api/v1/org"),
    delete: None,
    lifecycle: None,
    id: IdRule::Org,
    bare_relation: false,
    name_paths: &["companyName"],
    natural_key: NaturalKey::Only,
    observed: &[],
    read_only: &[],
    secrets: &[],
    references: &[],
    system: &[],
    log_targets: &[],
}];
