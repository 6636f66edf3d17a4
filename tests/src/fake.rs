//! A daemon that answers as it is told: for what the client makes of answers, good and bad.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::binaries::binaries;
use crate::command::{Ran, clean, run};

/// What the client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Method and target: `GET /v1/status`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What it is told.
#[derive(Debug, Clone)]
pub struct Told {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    breaks_off: bool,
}

impl Told {
    /// A document.
    #[must_use]
    pub fn json(body: impl Into<String>) -> Self {
        Self::of("application/json", body.into())
    }

    /// Something else than a document.
    #[must_use]
    pub fn of(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type,
            body: body.into(),
            breaks_off: false,
        }
    }

    /// A problem document.
    #[must_use]
    pub fn problem(status: u16, code: &str) -> Self {
        let body = serde_json::json!({
            "type": format!("urn:orgkeep:problem:{code}"),
            "title": "it did not work",
            "status": status,
            "detail": "do something about it",
            "code": code,
        });
        Self {
            status,
            ..Self::of("application/problem+json", body.to_string())
        }
    }

    /// The same answer, but the connection breaks before its end.
    #[must_use]
    pub fn breaking_off(self) -> Self {
        Self {
            breaks_off: true,
            ..self
        }
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

type Answers = dyn Fn(&Asked) -> Told + Send + Sync;

/// The daemon that answers as it is told.
pub struct FakeDaemon {
    directory: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl fmt::Debug for FakeDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDaemon")
            .field("asked", &self.asked())
            .finish()
    }
}

impl FakeDaemon {
    /// Answers every request by `answers`.
    ///
    /// # Panics
    ///
    /// When the socket cannot be made.
    #[must_use]
    pub fn new(answers: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let directory = TempDir::with_prefix("orgkeep-").expect("a directory can be made");
        let socket = directory.path().join("orgkeep.sock");
        let listener = UnixListener::bind(socket).expect("the socket can be made");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&asked));
        // Ends with the test's process; a connection that breaks is the client's to notice.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                thread::spawn(move || answer(stream, &*answers, &seen));
            }
        });
        Self { directory, asked }
    }

    /// Everything that was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A directory for a test's own files.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The client's command line, ready to be run.
    #[must_use]
    pub fn ctl_command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = clean(&binaries().ctl);
        command
            .env("ORGKEEP_SOCKET", self.path("orgkeep.sock"))
            .args(arguments);
        command
    }

    /// Runs the client.
    #[must_use]
    pub fn ctl(&self, arguments: &[&str]) -> Ran {
        run(&mut self.ctl_command(arguments), "")
    }
}

fn answer(stream: UnixStream, answers: &Answers, seen: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    let asked = read(&mut reader)?;
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked.clone());
    let told = answers(&asked);
    let length = told.body.len() + usize::from(told.breaks_off);
    let head = format!(
        "HTTP/1.1 {} Told\r\ncontent-type: {}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
        told.status, told.content_type
    );
    writer.write_all(head.as_bytes()).ok()?;
    writer.write_all(&told.body).ok()
}

fn read(reader: &mut BufReader<UnixStream>) -> Option<Asked> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let asked = Asked {
        method,
        target,
        headers,
        body: String::new(),
    };
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        body: String::from_utf8(body).ok()?,
        ..asked
    })
}
