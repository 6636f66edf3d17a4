//! Asks the daemon over its socket from this process, so that only the daemon's side and the way to it are measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, ensure};

/// A connection to the daemon that is kept open.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: BufReader<UnixStream>,
}

impl Socket {
    /// Connects.
    pub(crate) fn connect(path: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(path).context("could not reach the daemon")?;
        Ok(Self {
            stream: BufReader::with_capacity(1 << 16, stream),
        })
    }

    /// The body of the answer to `GET path`, which has to be 200.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
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
        let body = if chunked {
            self.chunks()?
        } else {
            self.exactly(length)?
        };
        ensure!(
            status.contains(" 200 "),
            "GET {path} was answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
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

    fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).context("an odd chunk")?;
            let chunk = self.exactly(length)?;
            body.extend_from_slice(&chunk);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}
