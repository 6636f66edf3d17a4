//! Asks the daemon over its socket from this process, so that only the daemon's side and the way to it are measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::measured::start;

/// How long the daemon may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection to the daemon that is kept open.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: BufReader<UnixStream>,
}

impl Socket {
    /// Connects.
    pub(crate) fn connect(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path).context("could not reach the daemon")?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }

    /// The body of the answer to `GET path`, which has to be 200.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.read(path, &mut |piece| {
            body.extend_from_slice(piece);
            true
        })?;
        Ok(body)
    }

    /// How many lines the answer to `GET path` has, and whether that was all of it: it is not read beyond this moment, and then
    /// the connection is of no more use.
    pub(crate) fn count_lines(
        &mut self,
        path: &str,
        until: Instant,
    ) -> anyhow::Result<(u64, bool)> {
        let mut lines = 0;
        let whole = self.read(path, &mut |piece| {
            lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            start() < until
        })?;
        Ok((lines, whole))
    }

    /// Gives the body of the answer to `take`, piece by piece while that is `true`; tells whether that was all.
    fn read(&mut self, path: &str, take: &mut dyn FnMut(&[u8]) -> bool) -> anyhow::Result<bool> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: orgkeep\r\naccept: application/x-ndjson, application/json\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().context("an odd length")?;
            }
            chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
        }
        if !status.contains(" 200 ") {
            let why = if chunked {
                Vec::new()
            } else {
                self.exactly(length)?
            };
            bail!(
                "GET {path} was answered {status}: {}",
                String::from_utf8_lossy(&why)
            );
        }
        if !chunked {
            take(&self.exactly(length)?);
            return Ok(true);
        }
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).context("an odd chunk")?;
            let chunk = self.exactly(length)?;
            self.line()?;
            if length == 0 {
                return Ok(true);
            }
            if !take(&chunk) {
                return Ok(false);
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line)?;
        ensure!(read > 0, "the daemon hung up");
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}
