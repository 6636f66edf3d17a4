//! Where the daemon's socket is expected when nobody says: by the same rules as the daemon's own.

use std::path::PathBuf;

use nix::unistd::geteuid;
use orgkeep_api::paths::{SYSTEM_SOCKET, client_sockets};

/// The socket that `ORGKEEP_SOCKET` names, else the first default one that is there: of this user's own daemon, then
/// the machine's.
pub(crate) fn default_socket() -> PathBuf {
    if let Some(named) = environment("ORGKEEP_SOCKET") {
        return named.into();
    }
    let candidates = client_sockets(&environment, geteuid().is_root());
    let present = candidates.iter().find(|socket| socket.exists());
    present
        .or(candidates.first())
        .cloned()
        .unwrap_or_else(|| PathBuf::from(SYSTEM_SOCKET))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of ctl's environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
