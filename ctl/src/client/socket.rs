//! Where the daemon's socket is expected when nobody says: by the same rules as the daemon's own.

use std::path::PathBuf;

use nix::unistd::geteuid;

/// The socket of the machine's own daemon.
const SYSTEM_SOCKET: &str = "/run/orgkeep/orgkeep.sock";

/// The default socket: in `$RUNTIME_DIRECTORY`; for an ordinary user whose own daemon left a
/// socket in `$XDG_RUNTIME_DIR/orgkeep`, that one; else the machine's.
#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of ctl's environment"
)]
pub(crate) fn default_socket() -> PathBuf {
    if let Some(directory) = std::env::var_os("RUNTIME_DIRECTORY").filter(|d| !d.is_empty()) {
        return PathBuf::from(directory).join("orgkeep.sock");
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|directory| !directory.is_empty() && !geteuid().is_root())
        .map(|directory| PathBuf::from(directory).join("orgkeep/orgkeep.sock"));
    match own {
        Some(own) if own.exists() => own,
        _ => PathBuf::from(SYSTEM_SOCKET),
    }
}
