//! Where the log goes: standard error, which systemd hands to the journal.

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Starts logging. The level was checked with the configuration.
pub(crate) fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = if config.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "Logging was started already");
    }
}
