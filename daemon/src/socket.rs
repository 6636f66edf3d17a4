//! The Unix socket: made with the right mode, never taken from a daemon that lives, and who connects to it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::UnixListener;

use crate::state::audit::Peer;

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("a daemon (pid {pid}) already listens on {}", path.display())]
    Live { path: PathBuf, pid: i32 },
    #[error("{} is there and is no socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("could not listen on {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The socket while it is listened on; its file is removed when this is dropped, if it still is the same one.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Where connections come in.
    pub(crate) listener: StdListener,
    file: Option<(PathBuf, u64)>,
}

impl Bound {
    /// The socket that systemd passed.
    pub(crate) fn passed(listener: StdListener) -> Self {
        Self {
            listener,
            file: None,
        }
    }

    /// Listens on `path`. A socket file that nobody listens on is replaced.
    ///
    /// The file appears complete, with its mode, by a rename: as soon as it exists it can be connected to.
    ///
    /// # Errors
    ///
    /// When another daemon listens there, or the file cannot be made.
    pub(crate) fn listen(path: &Path, mode: u32) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
            make_directory(directory).map_err(failed)?;
        }
        refuse_live(path)?;
        let passing = passing_name(path);
        match std::fs::remove_file(&passing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = StdListener::bind(&passing).map_err(failed)?;
        let place = || -> io::Result<u64> {
            std::fs::set_permissions(&passing, std::fs::Permissions::from_mode(mode))?;
            std::fs::rename(&passing, path)?;
            Ok(std::fs::symlink_metadata(path)?.ino())
        };
        let inode = place().map_err(failed)?;
        Ok(Self {
            listener,
            file: Some((path.to_owned(), inode)),
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let Some((path, inode)) = &self.file else {
            return;
        };
        let ours = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == *inode);
        if ours && let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, "The socket file could not be removed");
        }
    }
}

/// Makes the directory of the socket, which everybody may pass through, unless it is there.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
}

fn passing_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Whether somebody listens on `path` already.
fn refuse_live(path: &Path) -> Result<(), SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SocketError::Io {
                path: path.to_owned(),
                source,
            });
        }
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(stream) => {
            let pid = getsockopt(&stream, sockopt::PeerCredentials).map_or(0, |peer| peer.pid());
            Err(SocketError::Live {
                path: path.to_owned(),
                pid,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(SocketError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Who is on the other side of a connection, as the kernel says.
#[derive(Debug, Clone)]
pub(crate) struct PeerInfo(Peer);

impl PeerInfo {
    /// A peer as a test wants it.
    #[cfg(test)]
    pub(crate) fn of(peer: Peer) -> Self {
        Self(peer)
    }

    /// The peer.
    pub(crate) fn peer(&self) -> Peer {
        self.0
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for PeerInfo {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred().map_or(
            // Nobody: a peer that the kernel does not name has no role.
            Peer {
                uid: u32::MAX,
                gid: u32::MAX,
                pid: None,
            },
            |cred| Peer {
                uid: cred.uid(),
                gid: cred.gid(),
                pid: cred.pid(),
            },
        );
        Self(peer)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write files of their own")]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run").join("o.sock");
        let bound = Bound::listen(&path, 0o660).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let error = Bound::listen(&path, 0o660).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");

        let stale = directory.path().join("stale.sock");
        drop(StdListener::bind(&stale).unwrap());
        let again = Bound::listen(&stale, 0o600).unwrap();
        StdStream::connect(&stale).unwrap();
        drop((again, bound));
        assert!(
            !stale.exists() && !path.exists(),
            "the files go with their sockets"
        );
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"mine").unwrap();
        assert!(matches!(
            Bound::listen(&path, 0o600),
            Err(SocketError::NotASocket { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
