//! The store, opened when it is first needed, and each domain's part of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

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

/// A store error as a problem.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    tracing::warn!(error = %chain(error), "The store failed");
    let code = match error {
        StoreError::NoSpace => "no_space",
        StoreError::Pack { .. } | StoreError::Record { .. } | StoreError::Mismatch { .. } => {
            "damaged"
        }
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
