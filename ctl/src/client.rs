//! The one way to the daemon: HTTP over its Unix socket, seen as plain blocking calls.
//!
//! Answers are kept as the bytes the daemon sent ([`Document`]), so that `--json` prints the API's
//! documents unchanged; tables read from them what they show.

pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod socket;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use hyperlocal::UnixConnector;
use orgkeep_api::system::Problem;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::client::document::Document;
use crate::client::endpoint::Endpoint;

/// The header with which an event stream is taken up where it broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why a call gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("the daemon is not reachable at {}", socket.display())]
    Unreachable {
        socket: PathBuf,
        source: legacy::Error,
    },
    #[error("the connection to the daemon broke")]
    Broken {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    #[error("the daemon answered with status {0} and no explanation")]
    Unexplained(StatusCode),
    #[error("the daemon's answer could not be understood")]
    Malformed { source: serde_json::Error },
    #[error("the daemon's answer is empty")]
    Empty,
    #[error("the request could not be written")]
    Unwritable { source: serde_json::Error },
    #[error("the request could not be addressed")]
    Unaddressable { source: http::Error },
    #[error("the client could not be started")]
    NotStarted { source: io::Error },
}

impl ClientError {
    /// What the operator can do about it, if anything.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "Start orgkeepd, or name its socket with --socket or ORGKEEP_SOCKET.".to_owned(),
            ),
            Self::Broken { .. } => Some(
                "See the daemon's log; jobs it was running go on when it is started again."
                    .to_owned(),
            ),
            Self::Refused(problem) => Some(problem.detail.clone()),
            Self::Malformed { .. } | Self::Empty | Self::Unexplained(_) => {
                Some("Check that orgkeepctl and orgkeepd are of the same version.".to_owned())
            }
            _ => None,
        }
    }

    /// Whether the daemon went away, so that asking again later may help.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. })
    }
}

/// A connection to one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    http: legacy::Client<UnixConnector, Full<Bytes>>,
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon behind `socket`; connects with the first call.
    pub(crate) fn new(socket: PathBuf) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ClientError::NotStarted { source })?;
        let http = legacy::Client::builder(TokioExecutor::new()).build(UnixConnector);
        Ok(Self {
            runtime,
            http,
            socket,
        })
    }

    /// Waits before something is tried again.
    pub(crate) fn pause(&self, duration: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(duration).await });
    }

    /// Reads one document.
    pub(crate) fn get(&self, endpoint: &Endpoint) -> Result<Document, ClientError> {
        self.call(Method::GET, endpoint, None)?
            .ok_or(ClientError::Empty)
    }

    /// Reads one answer that is not JSON, such as a report as text.
    pub(crate) fn get_text(&self, endpoint: &Endpoint) -> Result<String, ClientError> {
        let bytes = self
            .open(Method::GET, endpoint, "text/plain", None, None)?
            .bytes()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends `body` and reads the document that answers it.
    pub(crate) fn post(
        &self,
        endpoint: &Endpoint,
        body: &impl Serialize,
    ) -> Result<Document, ClientError> {
        self.send(Method::POST, endpoint, body)?
            .ok_or(ClientError::Empty)
    }

    /// As [`Client::post`], with PUT.
    pub(crate) fn put(
        &self,
        endpoint: &Endpoint,
        body: &impl Serialize,
    ) -> Result<Document, ClientError> {
        self.send(Method::PUT, endpoint, body)?
            .ok_or(ClientError::Empty)
    }

    /// As [`Client::post`], with PATCH.
    pub(crate) fn patch(
        &self,
        endpoint: &Endpoint,
        body: &impl Serialize,
    ) -> Result<Document, ClientError> {
        self.send(Method::PATCH, endpoint, body)?
            .ok_or(ClientError::Empty)
    }

    /// Removes something; gives it as it last was.
    pub(crate) fn delete(&self, endpoint: &Endpoint) -> Result<Document, ClientError> {
        self.call(Method::DELETE, endpoint, None)?
            .ok_or(ClientError::Empty)
    }

    /// Gives every item of a list to `each`, following all pages, until it answers `false`.
    pub(crate) fn list<E: From<ClientError>>(
        &self,
        endpoint: &Endpoint,
        each: &mut dyn FnMut(Document) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut page = self.get(endpoint)?.into_page()?;
        loop {
            for item in page.items {
                if !each(item)? {
                    return Ok(());
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            page = self
                .get(&endpoint.clone().with("after", &next))?
                .into_page()?;
        }
    }

    /// Opens a stream: of lines, of events or of a tar.
    pub(crate) fn stream(
        &self,
        endpoint: &Endpoint,
        accept: &'static str,
        last_event: Option<&str>,
    ) -> Result<Body<'_>, ClientError> {
        self.open(Method::GET, endpoint, accept, last_event, None)
    }

    fn send(
        &self,
        method: Method,
        endpoint: &Endpoint,
        body: &impl Serialize,
    ) -> Result<Option<Document>, ClientError> {
        let bytes =
            serde_json::to_vec(body).map_err(|source| ClientError::Unwritable { source })?;
        self.call(method, endpoint, Some(bytes.into()))
    }

    fn call(
        &self,
        method: Method,
        endpoint: &Endpoint,
        body: Option<Bytes>,
    ) -> Result<Option<Document>, ClientError> {
        let bytes = self
            .open(method, endpoint, "application/json", None, body)?
            .bytes()?;
        if bytes.is_empty() {
            Ok(None)
        } else {
            Document::parse(bytes).map(Some)
        }
    }

    fn open(
        &self,
        method: Method,
        endpoint: &Endpoint,
        accept: &'static str,
        last_event: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Body<'_>, ClientError> {
        let uri = hyperlocal::Uri::new(&self.socket, endpoint.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(hyper::Uri::from(uri))
            .header(HOST, "orgkeep")
            .header(ACCEPT, accept);
        if let Some(id) = last_event {
            request = request.header(LAST_EVENT_ID, id);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|source| ClientError::Unaddressable { source })?;
        let response = self
            .runtime
            .block_on(self.http.request(request))
            .map_err(|source| {
                if source.is_connect() {
                    ClientError::Unreachable {
                        socket: self.socket.clone(),
                        source,
                    }
                } else {
                    ClientError::Broken {
                        source: Box::new(source),
                    }
                }
            })?;
        let status = response.status();
        let body = Body {
            client: self,
            incoming: response.into_body(),
            rest: Bytes::new(),
        };
        if status.is_success() {
            Ok(body)
        } else {
            Err(refusal(status, body))
        }
    }
}

/// What the daemon says about a refusal, or that it says nothing.
fn refusal(status: StatusCode, body: Body<'_>) -> ClientError {
    match body.bytes() {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_or(ClientError::Unexplained(status), |problem| {
                ClientError::Refused(Box::new(problem))
            }),
        Err(error) => error,
    }
}

/// The body of an answer, read as it arrives.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    client: &'a Client,
    incoming: Incoming,
    rest: Bytes,
}

impl Body<'_> {
    /// The next piece; `None` at the end.
    pub(crate) fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(frame) = self.client.runtime.block_on(self.incoming.frame()) else {
                return Ok(None);
            };
            let frame = frame.map_err(|source| ClientError::Broken {
                source: Box::new(source),
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    fn bytes(mut self) -> Result<Bytes, ClientError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk()? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }
}

impl io::Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunk().map_err(io::Error::other)? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest
            .split_to(count)
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
