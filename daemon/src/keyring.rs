//! The keys the daemon itself uses: the provider's, and the state key that it wraps.
//!
//! The state key seals what the daemon keeps of its own. It is made at the first need, wrapped by the provider, and
//! kept in the store first and in the state database second, so that losing the database does not lose it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use orgkeep_api::system::KeyProviderStatus;
use orgkeep_engine::keys::{CredentialProvider, FileProvider, KeyError, KeyProvider, StateKey};
use zeroize::Zeroizing;

use crate::app::App;
use crate::config::{Config, KeysConfig};
use crate::problem::{Problem, chain, sentence};

/// The name of the wrapped state key, in the state database and in the store.
pub(crate) const STATE_KEY: &str = "state-key";

/// The provider and the state key.
#[derive(Debug)]
pub(crate) struct Keyring {
    config: KeysConfig,
    beside_data: bool,
    state_key: Mutex<Option<Arc<StateKey>>>,
}

impl Keyring {
    /// Nothing is read or made yet.
    pub(crate) fn new(config: &Config) -> Self {
        let beside_data = match &config.keys {
            KeysConfig::File { path } => path.starts_with(&config.data_dir),
            KeysConfig::SystemdCredential { .. } => false,
        };
        Self {
            config: config.keys.clone(),
            beside_data,
            state_key: Mutex::new(None),
        }
    }

    /// The configured provider; reaching it is tried at each use.
    pub(crate) fn provider(&self) -> Box<dyn KeyProvider> {
        match &self.config {
            KeysConfig::File { path } => {
                Box::new(FileProvider::open_or_create(path, self.beside_data))
            }
            KeysConfig::SystemdCredential { directory, name } => {
                Box::new(CredentialProvider::new(directory, name))
            }
        }
    }

    /// The provider, for wrapping something new. A provider that makes its key at first use must not make another one
    /// when the first is lost, so what was wrapped before has to open.
    pub(crate) fn provider_to_wrap(&self, app: &App) -> Result<Box<dyn KeyProvider>, Problem> {
        let provider = self.provider();
        if let Some(wrapped) = self.wrapped(app)? {
            StateKey::unwrap(&*provider, &wrapped).map_err(|error| key_problem(&error))?;
        }
        Ok(provider)
    }

    /// Whether the provider answers now; with the reason if not.
    pub(crate) fn status(&self, app: &App) -> KeyProviderStatus {
        let provider = self.provider();
        let info = provider.describe();
        let path: Option<&PathBuf> = match &self.config {
            KeysConfig::File { path } => Some(path),
            KeysConfig::SystemdCredential { .. } => None,
        };
        let wrapped = self.wrapped(app).unwrap_or_default();
        let (state, detail) = match (wrapped, path) {
            (Some(wrapped), _) => verdict(StateKey::unwrap(&*provider, &wrapped).map(|_| ())),
            (None, Some(path)) if !path.exists() => ("not_created", None),
            (None, _) => verdict(provider.wrap(b"probe", b"probe").map(|_| ())),
        };
        KeyProviderStatus {
            name: info.name.to_owned(),
            state: state.to_owned(),
            detail,
            warning: info.warning,
        }
    }

    /// The state key, if it was ever made; `None` if not.
    fn existing(&self, app: &App) -> Result<Option<Arc<StateKey>>, Problem> {
        let mut slot = self
            .state_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*slot {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(wrapped) = self.wrapped(app)? else {
            return Ok(None);
        };
        let key =
            StateKey::unwrap(&*self.provider(), &wrapped).map_err(|error| key_problem(&error))?;
        let key = Arc::new(key);
        *slot = Some(Arc::clone(&key));
        Ok(Some(key))
    }

    /// The state key, made now if there is none yet.
    pub(crate) fn state_key(&self, app: &App) -> Result<Arc<StateKey>, Problem> {
        if let Some(key) = self.existing(app)? {
            return Ok(key);
        }
        let mut slot = self
            .state_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*slot {
            return Ok(Arc::clone(key));
        }
        let key = StateKey::generate().map_err(|error| key_problem(&error))?;
        let wrapped = key
            .wrap(&*self.provider())
            .map_err(|error| key_problem(&error))?;
        app.stores.store()?.put_meta(STATE_KEY, wrapped.clone())?;
        app.state()?.set_fact(STATE_KEY, &wrapped)?;
        let key = Arc::new(key);
        *slot = Some(Arc::clone(&key));
        Ok(key)
    }

    /// Wraps the state key anew by the provider's key, if it was ever made.
    pub(crate) fn rewrap(&self, app: &App) -> Result<(), Problem> {
        let Some(key) = self.existing(app)? else {
            return Ok(());
        };
        let wrapped = key
            .wrap(&*self.provider_to_wrap(app)?)
            .map_err(|error| key_problem(&error))?;
        app.stores.store()?.put_meta(STATE_KEY, wrapped.clone())?;
        Ok(app.state()?.set_fact(STATE_KEY, &wrapped)?)
    }

    /// Whether the store keeps the state key, where there is one that can be had.
    pub(crate) fn is_kept(&self, app: &App) -> Result<bool, Problem> {
        let Some(store) = app.stores.existing()? else {
            return Ok(true);
        };
        if !matches!(self.existing(app), Ok(Some(_))) {
            return Ok(true);
        }
        let kept = store.meta(STATE_KEY)?;
        Ok(kept.is_some_and(|kept| StateKey::unwrap(&*self.provider(), &kept).is_ok()))
    }

    /// Keeps the state key in the store as the state database has it.
    pub(crate) fn keep(&self, app: &App) -> Result<(), Problem> {
        match app.state()?.fact(STATE_KEY)? {
            Some(wrapped) => Ok(app.stores.store()?.put_meta(STATE_KEY, wrapped)?),
            None => Ok(()),
        }
    }

    /// The wrapped state key, from the database, or else from the store.
    fn wrapped(&self, app: &App) -> Result<Option<Vec<u8>>, Problem> {
        let state = app.state()?;
        if let Some(wrapped) = state.fact(STATE_KEY)? {
            return Ok(Some(wrapped));
        }
        let Some(store) = app.stores.existing()? else {
            return Ok(None);
        };
        let Some(wrapped) = store.meta(STATE_KEY)? else {
            return Ok(None);
        };
        state.set_fact(STATE_KEY, &wrapped)?;
        Ok(Some(wrapped))
    }
}

fn verdict(result: Result<(), KeyError>) -> (&'static str, Option<String>) {
    match result {
        Ok(()) => ("ok", None),
        Err(error) => ("unavailable", Some(sentence(&error, error.hint()))),
    }
}

/// A key error as a problem.
pub(crate) fn key_problem(error: &KeyError) -> Problem {
    tracing::warn!(error = %chain(error), "A key could not be had");
    Problem::new("key_provider_unavailable", sentence(error, error.hint()))
}

impl App {
    /// Seals what the state database keeps; `purpose` says what it is.
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, Problem> {
        let key = self.keyring.state_key(self)?;
        key.seal(purpose.as_bytes(), plain)
            .map_err(|error| key_problem(&error))
    }

    /// Opens what [`App::seal`] sealed for the same purpose.
    pub(crate) fn unseal(
        &self,
        purpose: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let key = self.keyring.state_key(self)?;
        key.open(purpose.as_bytes(), sealed)
            .map_err(|error| key_problem(&error))
    }
}
