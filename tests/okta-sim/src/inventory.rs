//! What the org holds, counted and dumped.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{exchange::Exchange, groups::EVERYONE};

impl Exchange {
    /// Every object of a type, by id.
    pub(crate) fn dump(&self, object_type: &str) -> BTreeMap<String, Value> {
        self.core
            .dump(object_type, &self.base_url)
            .unwrap_or_else(|| self.config.dump(object_type, &self.base_url))
    }

    /// How many requests list everything at the largest page sizes, by type.
    pub(crate) fn minimum_requests(&self) -> BTreeMap<String, usize> {
        let core = &self.core;
        let pages = |objects: usize, size: usize| objects.div_ceil(size).max(1);
        let all = core.users.all().count();
        let deprovisioned = core
            .users
            .all()
            .filter(|(_, user)| user.status() == crate::person::Status::Deprovisioned)
            .count();
        let apps = core.apps.all().count();
        let members = core
            .groups
            .all()
            .filter(|(n, _)| *n != EVERYONE)
            .map(|(_, group)| pages(group.members.len(), 1000))
            .sum();
        let app_users = core
            .apps
            .all()
            .map(|(_, app)| pages(core.count_app_users(app), 500))
            .sum();
        let app_groups = core
            .apps
            .all()
            .map(|(_, app)| pages(app.groups.len(), 200))
            .sum();
        let types = core.types.numbers().count();
        [
            (
                "user",
                pages(all - deprovisioned, 200) + pages(deprovisioned, 200),
            ),
            ("group", pages(core.groups.all().count(), 200)),
            ("group_member", members),
            ("group_rule", pages(core.rules.len(), 200)),
            ("app", pages(apps, 200)),
            ("app_user", app_users),
            ("app_group_assignment", app_groups),
            ("app_user_schema", apps),
            ("user_type", 1),
            ("user_schema", types),
            ("group_schema", 1),
            (
                "profile_mapping",
                pages(core.mappings.len(), 200) + core.mappings.len(),
            ),
            ("linked_object_definition", 1),
            ("org_setting", 1),
        ]
        .into_iter()
        .chain(self.config.minimum_requests())
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
    }
}
