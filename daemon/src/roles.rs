//! Who may do what: the peer's user and groups, mapped to one of three roles.
//!
//! The socket itself is open; the kernel says who is on the other side. What each route asks for
//! stands in one place, the table of [`crate::routes`].

use std::collections::BTreeSet;

use nix::unistd::{Gid, Group, Uid, User};

use crate::config::RolesConfig;

/// What a caller may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Cards, jobs and counts; no names, no contents.
    Viewer,
    /// Day-to-day work: backup now, browse, plan.
    ProductAdmin,
    /// Everything: register, keys, settings, export, apply, remove.
    CloudAdmin,
}

impl Role {
    /// The name of the role in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::ProductAdmin => "product_admin",
            Self::CloudAdmin => "cloud_admin",
        }
    }
}

/// One entry of a role's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// `uid:0`
    Uid(u32),
    /// `user:alice`
    User(String),
    /// `gid:27`
    Gid(u32),
    /// `group:ops`
    Group(String),
}

impl Who {
    /// Reads an entry; `None` if it has none of the four forms.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (form, value) = text.split_once(':')?;
        if value.is_empty() {
            return None;
        }
        match form {
            "uid" => value.parse().ok().map(Self::Uid),
            "gid" => value.parse().ok().map(Self::Gid),
            "user" => Some(Self::User(value.to_owned())),
            "group" => Some(Self::Group(value.to_owned())),
            _ => None,
        }
    }
}

/// Who is on the other side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) uid: u32,
    /// The primary and all supplementary groups.
    pub(crate) groups: BTreeSet<u32>,
}

/// Looks up names of users and groups.
pub(crate) trait Names {
    /// The user's number; `None` where there is no such user.
    fn user(&self, name: &str) -> Option<u32>;
    /// The group's number; `None` where there is no such group.
    fn group(&self, name: &str) -> Option<u32>;
}

/// The machine's own users and groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemNames;

impl Names for SystemNames {
    fn user(&self, name: &str) -> Option<u32> {
        User::from_name(name)
            .ok()
            .flatten()
            .map(|user| user.uid.as_raw())
    }

    fn group(&self, name: &str) -> Option<u32> {
        Group::from_name(name)
            .ok()
            .flatten()
            .map(|group| group.gid.as_raw())
    }
}

/// The configured mapping.
#[derive(Debug, Clone)]
pub(crate) struct RoleMap {
    entries: Vec<(Who, Role)>,
    own_uid: u32,
}

impl RoleMap {
    /// The mapping of a configuration whose entries were checked. root and `own_uid` are cloud admins.
    pub(crate) fn new(config: &RolesConfig, own_uid: u32) -> Self {
        let lists = [
            (&config.cloud_admin, Role::CloudAdmin),
            (&config.product_admin, Role::ProductAdmin),
            (&config.viewer, Role::Viewer),
        ];
        let entries = lists
            .into_iter()
            .flat_map(|(list, role)| {
                list.iter()
                    .filter_map(move |text| Some((Who::parse(text)?, role)))
            })
            .collect();
        Self { entries, own_uid }
    }

    /// The role of root and of the daemon's own user, for which no group has to be known.
    pub(crate) fn role_of_owner(&self, uid: u32) -> Option<Role> {
        (uid == 0 || uid == self.own_uid).then_some(Role::CloudAdmin)
    }

    /// The highest role that the caller has, or `None`.
    pub(crate) fn role_of(&self, identity: &Identity, names: &dyn Names) -> Option<Role> {
        if let Some(role) = self.role_of_owner(identity.uid) {
            return Some(role);
        }
        let is_in = |group: u32| identity.groups.contains(&group);
        self.entries
            .iter()
            .filter(|(who, _)| match who {
                Who::Uid(uid) => identity.uid == *uid,
                Who::User(name) => names.user(name) == Some(identity.uid),
                Who::Gid(gid) => is_in(*gid),
                Who::Group(name) => names.group(name).is_some_and(is_in),
            })
            .map(|(_, role)| *role)
            .max()
    }
}

/// All groups of the peer: its own, those of its user in the system's database, and those that the process itself
/// was given (as long as the process still belongs to that user).
pub(crate) fn identify(uid: u32, gid: u32, pid: Option<i32>) -> Identity {
    let mut groups = BTreeSet::from([gid]);
    groups.extend(groups_of_user(uid));
    if let Some(status) =
        pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok())
    {
        groups.extend(groups_of_process(&status, uid));
    }
    Identity { uid, groups }
}

fn groups_of_user(uid: u32) -> Vec<u32> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
        return Vec::new();
    };
    let Ok(name) = std::ffi::CString::new(user.name) else {
        return Vec::new();
    };
    nix::unistd::getgrouplist(&name, user.gid)
        .unwrap_or_default()
        .into_iter()
        .map(Gid::as_raw)
        .collect()
}

/// The `Groups:` line of `/proc/PID/status`, if the `Uid:` line is all `uid`: a process that changed its user, or
/// another one that took its number, does not count.
fn groups_of_process(status: &str, uid: u32) -> Vec<u32> {
    let line = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_ascii_whitespace()
            .map(|word| word.parse().ok())
            .collect::<Option<Vec<u32>>>()
    };
    match line("Uid:") {
        Some(uids) if !uids.is_empty() && uids.iter().all(|found| *found == uid) => {
            line("Groups:").unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Names for Fixed {
        fn user(&self, name: &str) -> Option<u32> {
            (name == "alice").then_some(7)
        }

        fn group(&self, name: &str) -> Option<u32> {
            (name == "ops").then_some(70)
        }
    }

    fn map() -> RoleMap {
        let config = RolesConfig {
            cloud_admin: vec!["group:ops".to_owned(), "group:gone".to_owned()],
            product_admin: vec!["user:alice".to_owned(), "gid:80".to_owned()],
            viewer: vec!["uid:9".to_owned()],
        };
        RoleMap::new(&config, 500)
    }

    fn role(uid: u32, groups: &[u32]) -> Option<Role> {
        let identity = Identity {
            uid,
            groups: groups.iter().copied().collect(),
        };
        map().role_of(&identity, &Fixed)
    }

    #[test]
    fn root_and_the_daemons_own_user_may_do_everything() {
        assert_eq!(role(0, &[]), Some(Role::CloudAdmin));
        assert_eq!(role(500, &[]), Some(Role::CloudAdmin));
    }

    #[test]
    fn the_highest_role_of_user_and_groups_counts() {
        assert_eq!(role(7, &[1]), Some(Role::ProductAdmin));
        assert_eq!(role(7, &[1, 70]), Some(Role::CloudAdmin));
        assert_eq!(role(9, &[80]), Some(Role::ProductAdmin));
        assert_eq!(role(9, &[]), Some(Role::Viewer));
    }

    #[test]
    fn anyone_else_has_no_role() {
        assert_eq!(role(8, &[1, 2, 3]), None);
        let nobody = RoleMap::new(&RolesConfig::default(), 500);
        let identity = Identity {
            uid: 8,
            groups: BTreeSet::new(),
        };
        assert_eq!(nobody.role_of(&identity, &Fixed), None);
    }

    #[test]
    fn groups_of_a_process_of_another_user_do_not_count() {
        let status = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t7 70 \n";
        assert_eq!(groups_of_process(status, 7), [7, 70]);
        assert!(groups_of_process(status, 8).is_empty());
        let changed = status.replace("7\t7\t7\t7\nGid", "7\t0\t0\t0\nGid");
        assert!(groups_of_process(&changed, 7).is_empty());
    }

    #[test]
    fn entries_of_other_forms_are_refused() {
        for bad in ["", "alice", "uid:", "uid:x", "gid:-1", "role:ops", "group:"] {
            assert_eq!(Who::parse(bad), None, "{bad}");
        }
    }
}
