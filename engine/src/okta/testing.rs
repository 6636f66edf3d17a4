//! Test doubles: a clock that moves only when somebody waits, a counting monitor, a scripted server, a scripted org.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Call, OktaApi, OktaError, Reply};
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};

/// Stands still until somebody sleeps.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().unwrap())))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now
            .checked_add(SignedDuration::try_from(duration).unwrap())
            .unwrap();
    }
}

/// Remembers what it hears.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    pub(crate) heard: Mutex<Vec<Progress>>,
    pub(crate) cancelled: AtomicBool,
}

impl Ears {
    pub(crate) fn requests(&self) -> usize {
        self.heard
            .lock()
            .unwrap()
            .iter()
            .filter(|progress| **progress == Progress::Request)
            .count()
    }

    pub(crate) fn waited_millis(&self) -> u64 {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|progress| {
                if let Progress::RateLimited { millis } = progress {
                    *millis
                } else {
                    0
                }
            })
            .sum()
    }
}

impl Monitor for Ears {
    fn report(&self, progress: Progress) {
        self.heard.lock().unwrap().push(progress);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

/// One request as the scripted server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What the scripted server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// Announce the whole body, send half of it and hang up.
    Truncate(String),
    /// Hang up without an answer.
    Reset,
    /// Send these bytes and hang up.
    Raw(Vec<u8>),
}

pub(crate) fn answer(status: u16, body: &str) -> Act {
    Act::Answer {
        status,
        headers: Vec::new(),
        body: body.to_owned(),
    }
}

impl Act {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Script = dyn Fn(&Seen, usize) -> Act + Send + Sync;

/// A tiny HTTP server that answers by a function of the request and its number.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || drop(serve(stream, script.as_ref(), &log)));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.path.clone())
            .collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.paths()
            .iter()
            .filter(|seen| seen.starts_with(path))
            .count()
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut words = first.split_whitespace().map(str::to_owned);
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let seen = Seen {
            method,
            path,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let number = {
            let mut log = log.lock().unwrap();
            log.push(seen.clone());
            log.len()
        };
        match script(&seen, number) {
            Act::Answer {
                status,
                headers,
                body,
            } => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
            }
            Act::Truncate(body) => {
                let half = &body[..body.len() / 2];
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{half}",
                    body.len()
                );
                stream.write_all(head.as_bytes())?;
                return stream.shutdown(std::net::Shutdown::Both);
            }
            Act::Raw(bytes) => {
                stream.write_all(&bytes)?;
                return stream.shutdown(std::net::Shutdown::Both);
            }
            Act::Reset => return stream.shutdown(std::net::Shutdown::Both),
        }
    }
}

/// An org that answers calls by a function.
pub(crate) struct Scripted<F>(pub(crate) F);

impl<F: Fn(&Call) -> Result<Reply, OktaError> + Send + Sync> OktaApi for Scripted<F> {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        (self.0)(call)
    }

    fn base_url(&self) -> &'static str {
        "https://acme.okta.com"
    }
}

/// A page with a body and perhaps a next page.
pub(crate) fn page(body: impl Into<Vec<u8>>, next: Option<String>) -> Reply {
    Reply {
        status: 200,
        body: body.into(),
        next,
        date: Some("2026-05-01T12:00:00Z".parse().unwrap()),
        rate: None,
    }
}

pub(crate) fn refused(status: u16, code: &str) -> OktaError {
    match (status, code) {
        (404, code) => OktaError::NotFound {
            code: Some(code.to_owned()),
        },
        (500.., code) => OktaError::Failed {
            status,
            code: code.to_owned(),
        },
        (status, code) => OktaError::Refused {
            status,
            code: code.to_owned(),
            causes: super::Causes::default(),
        },
    }
}
