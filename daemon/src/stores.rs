//! The store, opened when it is first needed, and each domain's part of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orgkeep_engine::blobs::{BlobError, Local};
use orgkeep_engine::id::DomainId;
use orgkeep_engine::store::{DomainStore, Store, StoreError};

use crate::app::App;
use crate::config::Config;
use crate::keyring::key_problem;
use crate::problem::{Problem, chain, sentence};

/// The store of the configured directory.
#[derive(Debug)]
pub(crate) struct Stores {
    blobs: PathBuf,
    index: PathBuf,
    opened: Mutex<Opened>,
    /// Held while a domain is opened.
    one_opens: Mutex<()>,
    /// Whether the domains are being opened, so that the index may not have all snapshots yet.
    opening: Mutex<bool>,
    all_opened: Condvar,
}

/// How long a request waits for the index to have all snapshots.
const OPENING_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Opened {
    store: Option<Arc<Store>>,
    domains: HashMap<DomainId, DomainStore>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} domains)", self.domains.len())
    }
}

impl Stores {
    /// Nothing is opened or made yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            blobs: config.store_path.clone(),
            index: config.data_dir.join("index.db"),
            opened: Mutex::new(Opened::default()),
            one_opens: Mutex::new(()),
            opening: Mutex::new(false),
            all_opened: Condvar::new(),
        }
    }

    /// Where the blobs are.
    pub(crate) fn location(&self) -> &Path {
        &self.blobs
    }

    fn lock(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, made if there is none yet.
    pub(crate) fn store(&self) -> Result<Arc<Store>, Problem> {
        let mut opened = self.lock();
        if let Some(store) = &opened.store {
            return Ok(Arc::clone(store));
        }
        let blobs = Local::open(&self.blobs).map_err(|error| store_problem(&error.into()))?;
        let store =
            Store::open(Arc::new(blobs), &self.index).map_err(|error| store_problem(&error))?;
        let store = Arc::new(store);
        opened.store = Some(Arc::clone(&store));
        Ok(store)
    }

    /// The store, if there is one already.
    pub(crate) fn existing(&self) -> Result<Option<Arc<Store>>, Problem> {
        if self.blobs.is_dir() {
            self.store().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The store, if there is one already, once its index has the snapshots of all domains that can be opened: after a crash, or where it was
    /// lost, it has only a part of them until they were.
    ///
    /// `store_unavailable` when that takes long.
    pub(crate) fn listed(&self) -> Result<Option<Arc<Store>>, Problem> {
        self.listed_within(OPENING_PATIENCE)
    }

    /// The same, without a wait.
    pub(crate) fn listed_now(&self) -> Result<Option<Arc<Store>>, Problem> {
        self.listed_within(Duration::ZERO)
    }

    fn listed_within(&self, patience: Duration) -> Result<Option<Arc<Store>>, Problem> {
        let (opening, _) = self
            .all_opened
            .wait_timeout_while(self.opening(), patience, |opening| *opening)
            .unwrap_or_else(PoisonError::into_inner);
        if *opening {
            return Err(Problem::new(
                "store_unavailable",
                "The index is still being brought up to date with the store after the daemon's start. Try again later.",
            ));
        }
        drop(opening);
        self.existing()
    }

    /// Until what is returned is dropped, [`listed`](Self::listed) waits.
    pub(crate) fn begin_opening(app: &Arc<App>) -> Opening {
        *app.stores.opening() = true;
        Opening(Arc::clone(app))
    }

    fn opening(&self) -> MutexGuard<'_, bool> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A domain's part of the store. Its keys are unwrapped at the first use; later uses still ask whether the
    /// provider is there.
    pub(crate) fn domain(&self, app: &App, id: DomainId) -> Result<DomainStore, Problem> {
        let store = self.store()?;
        if let Some(domain) = self.lock().domains.get(&id) {
            let status = app.keyring.status(app);
            if let Some(detail) = status.detail {
                return Err(Problem::new("key_provider_unavailable", detail));
            }
            return Ok(domain.clone());
        }
        // Two that open one domain would each know only the ids that they have seen.
        let _one = self
            .one_opens
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(domain) = self.lock().domains.get(&id) {
            return Ok(domain.clone());
        }
        let domain = store.open_domain(id, &*app.keyring.provider())?;
        self.lock().domains.insert(id, domain.clone());
        Ok(domain)
    }

    /// Lets go of a domain's keys.
    pub(crate) fn forget(&self, id: DomainId) {
        self.lock().domains.remove(&id);
    }

    /// Cuts the index's write-ahead log.
    pub(crate) fn checkpoint(&self) -> Result<(), Problem> {
        let store = self.lock().store.clone();
        match store {
            Some(store) => Ok(store.checkpoint_wal()?),
            None => Ok(()),
        }
    }
}

/// The domains are being opened.
#[must_use]
pub(crate) struct Opening(Arc<App>);

impl Drop for Opening {
    fn drop(&mut self) {
        *self.0.stores.opening() = false;
        self.0.stores.all_opened.notify_all();
    }
}

/// A store error as a problem.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    tracing::warn!(error = %chain(error), "The store failed");
    let code = match error {
        StoreError::NoSpace => "no_space",
        StoreError::Pack { .. }
        | StoreError::Record { .. }
        | StoreError::Mismatch { .. }
        | StoreError::KeysGone { .. } => "damaged",
        StoreError::Lost => "lost",
        StoreError::UnknownSnapshot { .. } => "not_found",
        StoreError::DifferentDomains => "invalid_value",
        StoreError::NoDomainKeys { .. } => "key_management_not_enabled",
        StoreError::Busy => "busy",
        StoreError::Key(source) => return key_problem(source),
        StoreError::Cancelled => "cancelled",
        _ => "store_unavailable",
    };
    Problem::new(code, sentence(error, error.hint()))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        store_problem(&error)
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        store_problem(&error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::app;

    #[test]
    fn listings_wait_for_the_domains_to_be_opened_but_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        assert!(app.stores.listed_now().is_ok());
        let opening = Stores::begin_opening(&app);
        let refused = app.stores.listed_within(Duration::from_millis(5));
        assert_eq!(refused.unwrap_err().code(), "store_unavailable");
        let (say, asked) = std::sync::mpsc::channel();
        let asking = Arc::clone(&app);
        let waiting = std::thread::spawn(move || {
            say.send(()).unwrap();
            asking.stores.listed().is_ok()
        });
        asked.recv().unwrap();
        drop(opening);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_thread_that_panics_while_it_opens_domains_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(directory.path());
        let opening = Stores::begin_opening(&app);
        let opened = std::thread::spawn(move || {
            let _opening = opening;
            assert!(std::hint::black_box(false), "on purpose");
        });
        assert!(opened.join().is_err());
        assert!(app.stores.listed_now().is_ok());
    }
}
