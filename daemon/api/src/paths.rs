//! Where the daemon and its clients meet when nothing is configured.
//!
//! Pure: the caller looks up the environment and the file system.

use std::path::PathBuf;

/// The system-wide socket.
pub const SYSTEM_SOCKET: &str = "/run/orgkeep/orgkeep.sock";
/// The system-wide data directory.
pub const SYSTEM_DATA_DIR: &str = "/var/lib/orgkeep";

/// The socket that a daemon of this user listens on by default: `$RUNTIME_DIRECTORY/orgkeep.sock`; for root
/// [`SYSTEM_SOCKET`]; for others in the XDG runtime directory, or the XDG state directory where there is none.
#[must_use]
pub fn default_socket(env: &dyn Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    if let Some(directory) = first_of(env("RUNTIME_DIRECTORY")) {
        return directory.join("orgkeep.sock");
    }
    if is_root {
        return PathBuf::from(SYSTEM_SOCKET);
    }
    match absolute(env("XDG_RUNTIME_DIR")) {
        Some(directory) => directory.join("orgkeep").join("orgkeep.sock"),
        None => user_state(env).map_or_else(
            || PathBuf::from(SYSTEM_SOCKET),
            |directory| directory.join("orgkeep.sock"),
        ),
    }
}

/// Where a client looks for the socket by default, in this order: its own user's daemon, then the system's.
#[must_use]
pub fn client_sockets(env: &dyn Fn(&str) -> Option<String>, is_root: bool) -> Vec<PathBuf> {
    let own = default_socket(env, is_root);
    let system = PathBuf::from(SYSTEM_SOCKET);
    if own == system {
        vec![own]
    } else {
        vec![own, system]
    }
}

/// The data directory by default: `$STATE_DIRECTORY`; for root [`SYSTEM_DATA_DIR`]; for others in the XDG state directory.
#[must_use]
pub fn default_data_dir(env: &dyn Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    if let Some(directory) = first_of(env("STATE_DIRECTORY")) {
        return directory;
    }
    if is_root {
        return PathBuf::from(SYSTEM_DATA_DIR);
    }
    user_state(env).unwrap_or_else(|| PathBuf::from(SYSTEM_DATA_DIR))
}

fn user_state(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    absolute(env("XDG_STATE_HOME"))
        .or_else(|| absolute(env("HOME")).map(|home| home.join(".local").join("state")))
        .map(|directory| directory.join("orgkeep"))
}

/// systemd separates several directories by colons; the first one is ours.
fn first_of(value: Option<String>) -> Option<PathBuf> {
    let value = value?;
    absolute(value.split(':').next().map(str::to_owned))
}

/// The XDG rules: a path that is not absolute counts as unset.
fn absolute(value: Option<String>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn systemd_directories_come_first() {
        let env = env(&[
            ("RUNTIME_DIRECTORY", "/run/a:/run/b"),
            ("STATE_DIRECTORY", "/var/lib/a"),
        ]);
        assert_eq!(
            default_socket(&env, false),
            PathBuf::from("/run/a/orgkeep.sock")
        );
        assert_eq!(default_data_dir(&env, true), PathBuf::from("/var/lib/a"));
    }

    #[test]
    fn root_uses_the_system_directories_and_others_the_xdg_ones() {
        let env = env(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/u")]);
        assert_eq!(default_socket(&env, true), PathBuf::from(SYSTEM_SOCKET));
        assert_eq!(default_data_dir(&env, true), PathBuf::from(SYSTEM_DATA_DIR));
        assert_eq!(
            default_socket(&env, false),
            PathBuf::from("/run/user/7/orgkeep/orgkeep.sock")
        );
        assert_eq!(
            default_data_dir(&env, false),
            PathBuf::from("/home/u/.local/state/orgkeep")
        );
        assert_eq!(
            client_sockets(&env, false),
            [
                PathBuf::from("/run/user/7/orgkeep/orgkeep.sock"),
                PathBuf::from(SYSTEM_SOCKET)
            ]
        );
    }
}
