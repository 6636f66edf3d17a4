//! The HTTP server: one listener, plain or TLS, on threads of its own.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::TlsAcceptor;

use crate::{
    control,
    exchange::{Arrival, Delivery, Departure, Exchange},
};

/// In how many pieces a slow body is sent.
const SLOW_PIECES: u32 = 4;

type Body = BoxBody<Bytes, io::Error>;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    exchange: Arc<Mutex<Exchange>>,
    scheme: &'static str,
    busy: Arc<AtomicUsize>,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound or the threads cannot be started.
    pub(crate) fn start(
        exchange: Arc<Mutex<Exchange>>,
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> io::Result<Self> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let shared = Shared {
            exchange,
            scheme: if tls.is_some() { "https" } else { "http" },
            busy: Arc::new(AtomicUsize::new(0)),
        };
        let thread = std::thread::Builder::new()
            .name("okta-sim".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .thread_name("okta-sim-worker")
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => {
                        runtime.block_on(run(shared, listen, tls, stopped, &ready));
                        runtime.shutdown_background();
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            })?;
        let address = started
            .recv()
            .map_err(|_| io::Error::other("the server thread ended"))??;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A thread that ended already needs no telling.
            let _told = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn run(
    shared: Shared,
    listen: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    mut stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<io::Result<SocketAddr>>,
) {
    let bound = match TcpListener::bind(listen).await {
        Ok(listener) => listener.local_addr().map(|address| (listener, address)),
        Err(error) => Err(error),
    };
    let listener = match bound {
        Ok((listener, address)) => {
            drop(ready.send(Ok(address)));
            listener
        }
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                drop(stream.set_nodelay(true));
                let shared = shared.clone();
                match acceptor.clone() {
                    None => drop(tokio::spawn(serve(shared, stream))),
                    Some(acceptor) => drop(tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(shared, stream).await;
                        }
                    })),
                }
            }
        }
    }
}

async fn serve<S>(shared: Shared, stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| respond(shared.clone(), request));
    // A connection that ends badly is the client's affair, or a planned fault.
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn respond(shared: Shared, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let busy = shared.busy.fetch_add(1, Ordering::SeqCst) + 1;
    let answer = answer(&shared, request, busy).await;
    shared.busy.fetch_sub(1, Ordering::SeqCst);
    answer
}

async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
    busy: usize,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let arrival = arrival(shared, &head, &body);
    let departure = {
        let mut exchange = shared
            .exchange
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = arrival.path.strip_prefix("/_sim/") {
            control::answer(&mut exchange, &arrival.method, rest, &arrival.body)
        } else if busy > exchange.limits.concurrent_max {
            exchange.concurrency_exceeded()
        } else {
            exchange.handle(&arrival)
        }
    };
    response(departure)
}

fn arrival(shared: &Shared, head: &http::request::Parts, body: &Bytes) -> Arrival {
    let host = text(&head.headers, header::HOST).unwrap_or_else(|| "localhost".to_owned());
    Arrival {
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        base_url: format!("{}://{host}", shared.scheme),
        authorization: text(&head.headers, header::AUTHORIZATION),
        content_type: text(&head.headers, header::CONTENT_TYPE),
        if_match: text(&head.headers, header::IF_MATCH),
        dpop: head.headers.contains_key("dpop"),
        sized: head.headers.contains_key(header::CONTENT_LENGTH)
            || head.headers.contains_key(header::TRANSFER_ENCODING),
        body: body.to_vec(),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn response(departure: Departure) -> Result<Response<Body>, io::Error> {
    if departure.delivery == Delivery::Reset {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            "a planned reset",
        ));
    }
    let mut builder = Response::builder().status(departure.status);
    for (name, value) in &departure.headers {
        builder = builder.header(name, value);
    }
    let bytes = Bytes::from(departure.body.unwrap_or_default());
    let body = match departure.delivery {
        Delivery::Truncated => {
            builder = builder.header(header::CONTENT_LENGTH, bytes.len());
            truncated(&bytes)
        }
        Delivery::Slow(ms) => slow(&bytes, Duration::from_millis(ms) / SLOW_PIECES),
        Delivery::Whole | Delivery::Reset => Full::new(bytes)
            .map_err(|never: Infallible| match never {})
            .boxed(),
    };
    builder.body(body).map_err(io::Error::other)
}

fn truncated(bytes: &Bytes) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    let end = Err(io::Error::new(
        io::ErrorKind::ConnectionReset,
        "a planned truncation",
    ));
    StreamBody::new(paced(vec![Ok(Frame::data(half)), end], Duration::ZERO)).boxed()
}

fn slow(bytes: &Bytes, pause: Duration) -> Body {
    let size = bytes.len().div_ceil(SLOW_PIECES as usize).max(1);
    let pieces = (0..bytes.len())
        .step_by(size)
        .map(|at| Ok(Frame::data(bytes.slice(at..(at + size).min(bytes.len())))))
        .collect();
    StreamBody::new(paced(pieces, pause)).boxed()
}

/// The frames, each after a pause.
fn paced(
    frames: Vec<Result<Frame<Bytes>, io::Error>>,
    pause: Duration,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + Sync {
    futures_util::stream::unfold(frames.into_iter(), move |mut rest| async move {
        let frame = rest.next()?;
        tokio::time::sleep(pause).await;
        Some((frame, rest))
    })
}
