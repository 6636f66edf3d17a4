//! Everything the daemon's parts share, made once at the start.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use orgkeep_engine::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::events::Events;
use crate::jobs::Jobs;
use crate::keyring::Keyring;
use crate::problem::{Problem, chain, sentence};
use crate::refusals::Refusals;
use crate::roles::RoleMap;
use crate::scheduler::Scheduler;
use crate::state::audit::Entry;
use crate::state::{State, StateError};
use crate::stores::Stores;

/// The parts of the daemon.
#[derive(Debug)]
pub(crate) struct App {
    /// The settings.
    pub(crate) config: Config,
    /// Who may do what.
    pub(crate) roles: RoleMap,
    /// Who was refused within the last minute.
    pub(crate) refusals: Refusals,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// When the daemon started.
    pub(crate) started_at: Timestamp,
    /// The database, or why there is none: the daemon answers `status` all the same.
    state: Result<State, String>,
    /// The key provider and the state key.
    pub(crate) keyring: Keyring,
    /// The store.
    pub(crate) stores: Stores,
    /// The jobs.
    pub(crate) jobs: Jobs,
    /// What happens to jobs.
    pub(crate) events: Events,
    /// Held while a domain is registered, so that no name and no org is taken twice.
    registering: Mutex<()>,
    /// Whether the store's registrations have been compared with the state.
    pub(crate) recovered: AtomicBool,
    /// Starts what is due.
    pub(crate) scheduler: Scheduler,
    /// The counters of `/metrics`.
    pub(crate) metrics: PrometheusHandle,
    /// Ends everything that waits.
    pub(crate) shutdown: CancellationToken,
}

impl App {
    /// Opens the state and puts the parts together.
    ///
    /// # Errors
    ///
    /// Only where going on would do harm: a state of a newer program, an SQLite that loses commits. A full disk or an
    /// unreadable state is reported by `status` instead.
    pub(crate) fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: PrometheusHandle,
    ) -> Result<Arc<Self>, StateError> {
        let state = match State::open(&state_path(&config)) {
            Ok(state) => Ok(state),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                tracing::error!(error = %chain(&error), "The state cannot be opened");
                Err(sentence(&error, None))
            }
        };
        let run = state
            .as_ref()
            .ok()
            .and_then(|state| state.count_start().ok())
            .unwrap_or(1);
        Ok(Arc::new(Self {
            roles: RoleMap::new(&config.roles, nix::unistd::geteuid().as_raw()),
            refusals: Refusals::default(),
            started_at: clock.now(),
            clock,
            state,
            keyring: Keyring::new(&config),
            stores: Stores::new(&config),
            jobs: Jobs::default(),
            events: Events::new(run),
            registering: Mutex::new(()),
            recovered: AtomicBool::new(false),
            scheduler: Scheduler::default(),
            metrics,
            shutdown: CancellationToken::new(),
            config,
        }))
    }

    /// The database.
    ///
    /// # Errors
    ///
    /// `state_unavailable` when it could not be opened at the start.
    pub(crate) fn state(&self) -> Result<&State, Problem> {
        self.state.as_ref().map_err(|why| {
            Problem::new(
                "state_unavailable",
                format!("{why} Repair it, then start the daemon again."),
            )
        })
    }

    /// One registration at a time.
    pub(crate) fn registering(&self) -> MutexGuard<'_, ()> {
        self.registering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an action in the audit log.
    pub(crate) fn audit(&self, entry: &Entry) -> Result<(), Problem> {
        Ok(self.state()?.audit(self.clock.now(), entry)?)
    }

    /// Notes in the audit log that something was read.
    pub(crate) fn audit_read(&self, entry: &Entry) -> Result<(), Problem> {
        Ok(self.state()?.audit_soon(self.clock.now(), entry)?)
    }
}

fn state_path(config: &Config) -> PathBuf {
    config.data_dir.join("state.db")
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        if error.is_no_space() {
            return Self::new(
                "no_space",
                "The disk of the data directory is full. Make room, then try again.",
            );
        }
        Self::internal("The daemon's state could not be read or written", &error)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Args;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use orgkeep_engine::clock::SystemClock;
    use std::path::Path;

    /// The daemon's parts over a data directory, without a socket or threads.
    pub(crate) fn app(data_dir: &Path) -> Arc<App> {
        let args = Args {
            data_dir: Some(data_dir.to_owned()),
            ..Args::default()
        };
        let mut config = Config::load(&args, &|_| None, true).unwrap();
        config.roles.viewer = vec!["uid:4242".to_owned()];
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        App::start(config, Arc::new(SystemClock), metrics).unwrap()
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test damages a file of its own"
    )]
    fn a_damaged_state_is_reported_and_does_not_keep_the_daemon_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("state.db"), [7; 5000]).unwrap();
        let app = app(directory.path());
        assert_eq!(app.state().unwrap_err().code(), "state_unavailable");
    }
}
