//! Secrets: from a file, from stdin, or typed without echo; never from an argument's value.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// The longest secret that is read, in bytes; the largest RSA keys take some 13 KB as PEM.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("the secret could not be read from {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} holds no secret", path.display())]
    Empty { path: PathBuf },
    #[error("{} is too long for a secret", path.display())]
    TooLong { path: PathBuf },
}

/// Reads a secret from a file, or from stdin where the path is `-`. White space around it is not
/// part of it.
pub(crate) fn read_secret(path: &Path) -> Result<SecretString, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let length = if path == Path::new("-") {
        io::stdin()
            .take(SECRET_BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        File::open(path)
            .map_err(unreadable)?
            .take(SECRET_BYTES_MAX + 1)
            .read_to_string(&mut text)
    }
    .map_err(unreadable)?;
    let whole = SecretString::from(text);
    if u64::try_from(length).is_ok_and(|length| length > SECRET_BYTES_MAX) {
        return Err(SecretError::TooLong {
            path: path.to_owned(),
        });
    }
    let secret = secrecy::ExposeSecret::expose_secret(&whole).trim();
    if secret.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(SecretString::from(secret))
}
