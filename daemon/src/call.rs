//! One request, parsed, and its answer: what handlers see instead of HTTP.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use orgkeep_api::system::Items;
use orgkeep_engine::catalogue::ObjectType;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::roles::Role;

/// How many rows a page has where the caller does not say.
const LIMIT_DEFAULT: usize = 100;
/// How many rows a page has at most.
pub(crate) const LIMIT_MAX: usize = 10_000;
/// How many pieces of a stream wait for a slow reader.
const STREAM_PIECES_MAX: usize = 16;

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// The path's parameters, decoded.
    pub(crate) params: Vec<(String, String)>,
    /// The query's pairs, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// The body; it may hold secrets.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// What is wrong with the request itself: told to callers who have the role.
    pub(crate) flaw: Option<Problem>,
    /// What they may do.
    pub(crate) role: Role,
    /// Whether `application/x-ndjson` was asked for.
    pub(crate) ndjson: bool,
    /// The `Last-Event-ID`.
    pub(crate) last_event_id: Option<u64>,
    /// What the audit log names as the target, where it is not the path's first parameter.
    target: Mutex<Option<String>>,
}

impl Call {
    /// A call with these parts.
    pub(crate) fn new(role: Role) -> Self {
        Self {
            params: Vec::new(),
            query: Vec::new(),
            body: Zeroizing::default(),
            flaw: None,
            role,
            ndjson: false,
            last_event_id: None,
            target: Mutex::new(None),
        }
    }

    /// A parameter of the path; the route has it.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A parameter of the path, read.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        what: &str,
    ) -> Result<T, Problem> {
        let text = self.param(name);
        text.parse()
            .map_err(|_| Problem::not_found(format_args!("{what} `{text}`")))
    }

    /// The object type that the path names.
    pub(crate) fn object_type(&self) -> Result<ObjectType, Problem> {
        let read = self.param("type").parse();
        read.map_err(|error| Problem::invalid(format!("type: {error}.")))
    }

    /// The last value of a query parameter that is not empty.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A query parameter, read.
    pub(crate) fn query_as<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let read = |text: &str| {
            text.parse()
                .map_err(|error| Problem::invalid(format!("{name}: {error}.")))
        };
        self.query(name).map(read).transpose()
    }

    /// All values of a query parameter, also those separated by commas.
    pub(crate) fn query_list(&self, name: &str) -> Vec<String> {
        let values = self.query.iter().filter(|(key, _)| key == name);
        let words = values.flat_map(|(_, value)| value.split(','));
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// How many rows a page is to have.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        self.limit_or(LIMIT_DEFAULT)
    }

    /// How many rows a page is to have, with another number where the caller does not say.
    pub(crate) fn limit_or(&self, default: usize) -> Result<usize, Problem> {
        match self.query("limit").map(str::parse::<usize>) {
            None => Ok(default),
            Some(Ok(limit)) if limit > 0 => Ok(limit.min(LIMIT_MAX)),
            Some(_) => Err(Problem::new(
                "bad_request",
                "limit: write a number from 1 on.",
            )),
        }
    }

    /// Where the page begins, read by `read`; `None` for the first page.
    pub(crate) fn after<T>(
        &self,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let wrong = || Problem::new("bad_request", "after: give back what `next` said.");
        self.query("after")
            .map(|text| read(text).ok_or_else(wrong))
            .transpose()
    }

    /// The body, read: an object. An empty one counts as `{}`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        // Without this a list of the members' values would be taken for the object.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::invalid(
                "The body is not accepted: send an object.",
            ));
        }
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                Problem::invalid(format!("The body is not accepted: {error}."))
            }
            _ => Problem::new("bad_request", format!("The body is not JSON: {error}.")),
        })
    }

    /// Refuses callers below `role`.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        Err(forbidden(Some(self.role), role))
    }

    /// Whether names and contents may be shown.
    pub(crate) fn sees_names(&self) -> bool {
        self.role >= Role::ProductAdmin
    }

    /// Names the target for the audit log.
    pub(crate) fn set_target(&self, target: impl Into<String>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target.into());
    }

    /// The target for the audit log.
    pub(crate) fn target(&self) -> Option<String> {
        let named = self
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        named.or_else(|| {
            let first = self
                .params
                .iter()
                .find(|(key, _)| matches!(key.as_str(), "d" | "s" | "p" | "j"));
            first.map(|(_, value)| value.chars().take(64).collect())
        })
    }
}

/// The refusal of a caller who may not do something.
pub(crate) fn forbidden(has: Option<Role>, needs: Role) -> Problem {
    let has = has.map_or("You have no role here".to_owned(), |role| {
        format!("Your role is {}", role.as_str())
    });
    Problem::new(
        "forbidden",
        format!(
            "{has}; this needs {}. Roles are mapped to users and groups in the daemon's configuration.",
            needs.as_str()
        ),
    )
}

/// What a handler answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A document.
    Json(StatusCode, Vec<u8>),
    /// Plain text of this content type.
    Text(&'static str, String),
    /// Bytes as they come.
    Stream(&'static str, mpsc::Receiver<Result<Bytes, std::io::Error>>),
    /// Events of one job, or of all.
    Events(Option<String>),
}

impl Answer {
    /// `200` with a document.
    pub(crate) fn ok<T: Serialize>(document: &T) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, document)
    }

    /// `202` with a job.
    pub(crate) fn accepted<T: Serialize>(document: &T) -> Result<Self, Problem> {
        Self::json(StatusCode::ACCEPTED, document)
    }

    /// A document with this status.
    pub(crate) fn json<T: Serialize>(status: StatusCode, document: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(document)
            .map_err(|error| Problem::internal("The answer could not be written", &error))?;
        Ok(Self::Json(status, body))
    }

    /// A page of a list.
    pub(crate) fn page<T: Serialize>(items: Vec<T>, next: Option<String>) -> Result<Self, Problem> {
        Self::ok(&Items { items, next })
    }

    /// The answer in HTTP; streams of events are made where the events are.
    pub(crate) fn into_http(self) -> Response {
        let typed = |content_type: &'static str, body: Body| {
            let mut response = Response::new(body);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        };
        match self {
            Self::Json(status, body) => {
                let mut response = typed("application/json", Body::from(body));
                *response.status_mut() = status;
                response
            }
            Self::Text(content_type, text) => typed(content_type, Body::from(text)),
            Self::Events(_) => StatusCode::NO_CONTENT.into_response(),
            Self::Stream(content_type, pieces) => {
                let stream = tokio_stream::wrappers::ReceiverStream::new(pieces);
                typed(content_type, Body::from_stream(stream))
            }
        }
    }
}

/// Writes rows as they are found: one JSON text a line, or a list document.
#[derive(Debug)]
pub(crate) struct Rows {
    ndjson: bool,
    first: bool,
    buffer: Vec<u8>,
    /// Tells that the answer has begun, or that nothing came of it; gone once that was told.
    begun: Option<SyncSender<Result<(), Problem>>>,
    pieces: mpsc::Sender<Result<Bytes, std::io::Error>>,
}

/// The reader went away.
#[derive(Debug, thiserror::Error)]
#[error("the reader went away")]
pub(crate) struct ReaderGone;

/// Bytes are passed on in pieces of about this size.
const PIECE_BYTES: usize = 32 * 1024;

impl Rows {
    /// Starts `produce` on a thread of its own; the answer streams what it writes. A failure before the first piece
    /// is the answer; one in the middle breaks the stream off, so that it cannot be taken for a whole one.
    pub(crate) fn stream(
        call: &Call,
        produce: impl FnOnce(&mut Self) -> Result<(), Problem> + Send + 'static,
    ) -> Result<Answer, Problem> {
        let (pieces, answer) = mpsc::channel(STREAM_PIECES_MAX);
        let (begun, begins) = sync_channel(1);
        let mut rows = Self {
            ndjson: call.ndjson,
            first: true,
            buffer: Vec::new(),
            begun: Some(begun),
            pieces,
        };
        let content_type = if call.ndjson {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let run = move || {
            if !rows.ndjson {
                rows.buffer.extend_from_slice(b"{\"items\":[");
            }
            let ended = produce(&mut rows).and_then(|()| {
                if !rows.ndjson {
                    rows.buffer.extend_from_slice(b"],\"next\":null}");
                }
                rows.flush()
                    .map_err(|gone| Problem::new("interrupted", gone.to_string()))
            });
            if let Err(problem) = ended {
                if let Some(begun) = rows.begun.take() {
                    drop(begun.send(Err(problem)));
                    return;
                }
                tracing::warn!(code = problem.code(), "A stream broke off");
                let broken = std::io::Error::other(problem.detail().to_owned());
                if rows.pieces.blocking_send(Err(broken)).is_err() {
                    tracing::debug!("The reader of the stream was gone already");
                }
            }
        };
        std::thread::Builder::new()
            .name("stream".to_owned())
            .spawn(run)
            .map_err(|error| Problem::internal("No thread could be started", &error))?;
        match begins.recv() {
            Ok(Ok(())) => Ok(Answer::Stream(content_type, answer)),
            Ok(Err(problem)) => Err(problem),
            Err(_) => Err(Problem::new(
                "internal",
                "The request failed; the daemon's log says why.",
            )),
        }
    }

    /// Writes one row.
    pub(crate) fn row<T: Serialize>(&mut self, row: &T) -> Result<(), ReaderGone> {
        if !self.first && !self.ndjson {
            self.buffer.push(b',');
        }
        self.first = false;
        serde_json::to_writer(&mut self.buffer, row).map_err(|_| ReaderGone)?;
        if self.ndjson {
            self.buffer.push(b'\n');
        }
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), ReaderGone> {
        if let Some(begun) = self.begun.take() {
            begun.send(Ok(())).map_err(|_| ReaderGone)?;
        }
        let piece = Bytes::from(std::mem::take(&mut self.buffer));
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.blocking_send(Ok(piece)).map_err(|_| ReaderGone)
    }
}

impl From<ReaderGone> for Problem {
    fn from(gone: ReaderGone) -> Self {
        Self::new("interrupted", gone.to_string())
    }
}
