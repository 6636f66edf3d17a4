//! The socket API, spoken byte by byte: what a program other than ours would see.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::wait::patience;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, of whatever transfer encoding.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {}", String::from_utf8_lossy(&self.body)),
        }
    }
}

/// Sends one request and reads the answer to its end.
///
/// # Panics
///
/// When the connection fails.
#[must_use]
pub fn request(socket: &Path, method: &str, target: &str, body: Option<&str>) -> Answer {
    let (head, mut reader) = open(socket, method, target, &[], body);
    let mut body = Vec::new();
    if head.header("transfer-encoding") == Some("chunked") {
        while let Some(chunk) = chunk(&mut reader) {
            body.extend(chunk);
        }
    } else {
        reader.read_to_end(&mut body).expect("the body can be read");
    }
    Answer { body, ..head }
}

/// Sends one request; gives back the head of the answer and the rest as it comes.
///
/// # Panics
///
/// When the connection fails.
#[must_use]
pub fn open(
    socket: &Path,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> (Answer, BufReader<UnixStream>) {
    let mut stream = UnixStream::connect(socket).expect("the socket accepts");
    stream
        .set_read_timeout(Some(patience()))
        .expect("a time limit can be set");
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: any\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        text.push_str("content-type: application/json\r\n");
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    stream
        .write_all(text.as_bytes())
        .expect("the request can be sent");
    let mut reader = BufReader::new(stream);
    let status = line(&mut reader);
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut headers = Vec::new();
    loop {
        let header = line(&mut reader);
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let status = status.expect("the answer begins with a status line");
    (
        Answer {
            status,
            headers,
            body: Vec::new(),
        },
        reader,
    )
}

/// The next chunk of a chunked body; `None` at its end.
///
/// # Panics
///
/// When the connection fails.
pub fn chunk(reader: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let length = line(reader);
    let length = usize::from_str_radix(length.trim(), 16)
        .ok()
        .filter(|length| *length > 0)?;
    let mut chunk = vec![0; length];
    reader.read_exact(&mut chunk).expect("a chunk is whole");
    line(reader);
    Some(chunk)
}

fn line(reader: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line can be read");
    line.trim_end().to_owned()
}
