//! The daemon's life: take the data directory, open, listen, serve, and end without losing anything.

use std::future::IntoFuture;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use listenfd::ListenFd;
use metrics_exporter_prometheus::PrometheusBuilder;
use nix::sys::stat::{Mode, umask};
use orgkeep_engine::clock::SystemClock;
use sd_notify::NotifyState;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::config::Config;
use crate::dispatch;
use crate::lock;
use crate::problem::Problem;
use crate::recovery;
use crate::scheduler;
use crate::socket::{Bound, PeerInfo};
use crate::stores::Stores;

/// How long jobs have to reach a safe point when the daemon ends.
const JOBS_PATIENCE: Duration = Duration::from_secs(20);
/// How long requests have to end.
const REQUESTS_PATIENCE: Duration = Duration::from_secs(5);

/// Runs until a signal asks for the end.
///
/// # Errors
///
/// When the data directory or the socket cannot be had, or the state must not be touched.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    umask(Mode::from_bits_truncate(0o077));
    let _lock = lock::lock(&config.data_dir)?;
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .context("could not start the counters")?;
    let app =
        App::start(config, Arc::new(SystemClock), metrics).context("could not open the state")?;
    take_up(&app);
    // Before the first request can come.
    let domains_opening = Stores::begin_opening(&app);
    let bound = listen(&app.config)?;
    let listener = bound.listener.try_clone().context("could not listen")?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let for_scheduler = Arc::clone(&app);
    let scheduler = std::thread::Builder::new()
        .name("scheduler".to_owned())
        .spawn(move || scheduler::run(&for_scheduler))
        .context("could not start the scheduler")?;

    let for_opening = Arc::clone(&app);
    let opening = std::thread::Builder::new()
        .name("open-domains".to_owned())
        .spawn(move || {
            let _opening = domains_opening;
            open_domains(&for_opening);
        })
        .context("could not start opening the domains")?;

    let served = runtime.block_on(serve(&app, listener));
    tracing::info!("The daemon ends");
    notify(&[NotifyState::Stopping]);
    app.scheduler.stop();
    app.jobs.stop(JOBS_PATIENCE);
    drop(bound);
    if scheduler.join().is_err() {
        tracing::error!("The scheduler had panicked");
    }
    if opening.join().is_err() {
        tracing::error!("Opening the domains had panicked");
    }
    runtime.shutdown_timeout(REQUESTS_PATIENCE);
    if let Err(problem) = settle(&app) {
        tracing::warn!(
            code = problem.code(),
            "Not everything could be written at the end"
        );
    }
    served
}

/// Takes up what is left of an earlier run. None of it keeps the daemon from answering.
fn take_up(app: &Arc<App>) {
    recovery::recover(app);
    if let Err(problem) = app.jobs.resume(app) {
        tracing::error!(
            code = problem.code(),
            "Unfinished jobs could not be taken up"
        );
    }
}

/// Opens every domain that has its keys, so that the index catches up with records it has not seen: after a crash, or
/// where `index.db` was lost.
fn open_domains(app: &Arc<App>) {
    let domains = app.state().and_then(|state| Ok(state.domains()?));
    for domain in domains.unwrap_or_default() {
        if !domain.keys_enabled {
            continue;
        }
        if let Err(problem) = app.stores.domain(app, domain.id) {
            tracing::warn!(domain = %domain.name, code = problem.code(), "The domain's snapshots could not be opened");
        }
    }
}

fn settle(app: &App) -> Result<(), Problem> {
    app.note_counted_refusals(None);
    recovery::keep_audit_head(app)?;
    app.stores.checkpoint()?;
    Ok(app.state()?.checkpoint()?)
}

/// The socket that systemd passes, or our own.
fn listen(config: &Config) -> anyhow::Result<Bound> {
    let passed: Option<StdListener> = ListenFd::from_env()
        .take_unix_listener(0)
        .context("could not take the passed socket")?;
    match passed {
        Some(listener) => Ok(Bound::passed(listener)),
        None => Ok(Bound::listen(&config.socket, config.socket_mode)?),
    }
}

/// Answers until a signal comes, then lets open requests end.
async fn serve(app: &Arc<App>, listener: StdListener) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for signals")?;
    listener.set_nonblocking(true).context("could not listen")?;
    let listener = UnixListener::from_std(listener).context("could not listen")?;
    let service =
        dispatch::router(Arc::clone(app)).into_make_service_with_connect_info::<PeerInfo>();
    let ended = app.shutdown.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(ended.cancelled_owned());
    let mut server = std::pin::pin!(server.into_future());

    tracing::info!(socket = %app.config.socket.display(), "The daemon answers");
    notify(&[NotifyState::Ready]);
    let mut watchdog = watchdog();
    loop {
        tokio::select! {
            ended = &mut server => return ended.context("the socket failed"),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = watchdog.tick() => notify(&[NotifyState::Watchdog]),
        }
    }
    app.shutdown.cancel();
    match tokio::time::timeout(REQUESTS_PATIENCE, server).await {
        Ok(ended) => ended.context("the socket failed"),
        Err(_) => {
            tracing::warn!("Some requests did not end in time");
            Ok(())
        }
    }
}

/// Ticks twice within the time that systemd's watchdog allows; seldom where there is none.
fn watchdog() -> tokio::time::Interval {
    let allowed = sd_notify::watchdog_enabled().unwrap_or(Duration::from_secs(3600));
    tokio::time::interval(allowed / 2)
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
