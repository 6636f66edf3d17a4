//! The daemon's settings: one struct, read once.
//!
//! Each setting is taken from the first of: command-line flag, `ORGKEEP_*` environment variable, TOML file,
//! default. An unknown key in the file is an error that names it.

use std::path::{Path, PathBuf};

use orgkeep_api::domain::Settings;
use orgkeep_api::paths;
use serde::Deserialize;

use crate::settings;

/// The file that is read when no other is named; it need not exist.
const DEFAULT_CONFIG: &str = "/etc/orgkeep/config.toml";
/// Everybody may connect; the peer's identity decides what they may do.
const DEFAULT_SOCKET_MODE: u32 = 0o666;

/// The migrations of the database speak of themselves at each start.
const LEVEL_DEFAULT: &str = "info,refinery_core=warn";

/// The command line of `orgkeepd`.
#[derive(Debug, Default, clap::Parser)]
#[command(name = "orgkeepd", version, about = "Backs up and restores Okta orgs")]
pub(crate) struct Args {
    /// The configuration file [env: ORGKEEP_CONFIG] [default: /etc/orgkeep/config.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory [env: ORGKEEP_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The socket to listen on [env: ORGKEEP_SOCKET]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Checks the configuration and exits
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("could not read the configuration file {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the configuration file {} is not valid: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{key}: {message}")]
    Value { key: String, message: String },
}

/// Everything the daemon can be told from outside.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// The socket.
    pub(crate) socket: PathBuf,
    /// The socket's permission bits.
    pub(crate) socket_mode: u32,
    /// Who may do what.
    pub(crate) roles: RolesConfig,
    /// Where the key-encryption key is.
    pub(crate) keys: KeysConfig,
    /// The directory of the blobs.
    pub(crate) store_path: PathBuf,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
    /// Settings of newly added domains.
    pub(crate) defaults: Settings,
}

/// `[roles]`: lists of `uid:N`, `user:NAME`, `gid:N` and `group:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolesConfig {
    /// May do everything. root and the daemon's own user always may.
    pub(crate) cloud_admin: Vec<String>,
    /// Day-to-day work: backups, browsing, plans.
    pub(crate) product_admin: Vec<String>,
    /// Cards, jobs and counts, without names or contents.
    pub(crate) viewer: Vec<String>,
}

/// `[keys]`: where the key-encryption key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeysConfig {
    /// `provider = "file"`: a file of the daemon's own user, made at first use.
    File {
        /// `path`, by default `DATA/keys/kek`.
        path: PathBuf,
    },
    /// `provider = "systemd-credential"`: what `LoadCredential=` gives.
    SystemdCredential {
        /// `$CREDENTIALS_DIRECTORY`.
        directory: PathBuf,
        /// `name`, by default `orgkeep-kek`.
        name: String,
    },
}

/// `[log]`: what is logged to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// A level, or directives such as `info,orgkeepd=debug`. Default `info`.
    pub(crate) level: String,
    /// `text` (default) or `json`.
    pub(crate) json: bool,
}

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    roles: RolesConfig,
    keys: KeysSection,
    store: StoreSection,
    socket: SocketSection,
    log: LogSection,
    defaults: DefaultsSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysSection {
    provider: Option<String>,
    path: Option<PathBuf>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    path: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SocketSection {
    path: Option<PathBuf>,
    mode: Option<ModeValue>,
}

/// `mode = "0660"`, or the TOML octal number `0o660`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ModeValue {
    Number(u32),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogSection {
    level: Option<String>,
    format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DefaultsSection {
    schedule: Option<String>,
    timezone: Option<String>,
    retention: Option<String>,
    rate_limit_share: Option<u8>,
    full_every: Option<String>,
    types: Option<Vec<String>>,
}

impl Config {
    /// Reads the settings. `env` looks up an environment variable.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds an unknown key or a value that makes no sense.
    pub(crate) fn load(
        args: &Args,
        env: &dyn Fn(&str) -> Option<String>,
        is_root: bool,
    ) -> Result<Self, ConfigError> {
        let file = read_file(args, env)?;
        let data_dir = args
            .data_dir
            .clone()
            .or_else(|| env("ORGKEEP_DATA_DIR").map(PathBuf::from))
            .or(file.data_dir)
            .unwrap_or_else(|| paths::default_data_dir(env, is_root));
        let socket = args
            .socket
            .clone()
            .or_else(|| env("ORGKEEP_SOCKET").map(PathBuf::from))
            .or(file.socket.path)
            .unwrap_or_else(|| paths::default_socket(env, is_root));
        Ok(Self {
            socket_mode: socket_mode(env("ORGKEEP_SOCKET_MODE"), file.socket.mode)?,
            keys: keys(env, file.keys, &data_dir)?,
            store_path: env("ORGKEEP_STORE_PATH")
                .map(PathBuf::from)
                .or(file.store.path)
                .unwrap_or_else(|| data_dir.join("store")),
            log: log(env, file.log)?,
            defaults: defaults(env, file.defaults)?,
            roles: checked_roles(file.roles)?,
            data_dir,
            socket,
        })
    }
}

fn read_file(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> Result<File, ConfigError> {
    let named = args
        .config
        .clone()
        .or_else(|| env("ORGKEEP_CONFIG").map(PathBuf::from));
    let path = named
        .clone()
        .unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_file(&path, &text),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(File::default())
        }
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}

fn parse_file(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

fn socket_mode(env: Option<String>, file: Option<ModeValue>) -> Result<u32, ConfigError> {
    let mode = match env.map(ModeValue::Text).or(file) {
        None => Some(DEFAULT_SOCKET_MODE),
        Some(ModeValue::Number(mode)) => Some(mode),
        Some(ModeValue::Text(text)) => {
            u32::from_str_radix(text.strip_prefix("0o").unwrap_or(&text), 8).ok()
        }
    };
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| ConfigError::Value {
            key: "socket.mode".to_owned(),
            message: "write permission bits in octal, such as \"0660\"".to_owned(),
        })
}

fn keys(
    env: &dyn Fn(&str) -> Option<String>,
    file: KeysSection,
    data_dir: &Path,
) -> Result<KeysConfig, ConfigError> {
    let provider = env("ORGKEEP_KEYS_PROVIDER").or(file.provider);
    match provider.as_deref() {
        None | Some("file") => Ok(KeysConfig::File {
            path: env("ORGKEEP_KEYS_PATH")
                .map(PathBuf::from)
                .or(file.path)
                .unwrap_or_else(|| data_dir.join("keys").join("kek")),
        }),
        Some("systemd-credential") => Ok(KeysConfig::SystemdCredential {
            directory: env("CREDENTIALS_DIRECTORY")
                .map(PathBuf::from)
                .unwrap_or_default(),
            name: env("ORGKEEP_KEYS_NAME")
                .or(file.name)
                .unwrap_or_else(|| "orgkeep-kek".to_owned()),
        }),
        Some(other) => Err(ConfigError::Value {
            key: "keys.provider".to_owned(),
            message: format!("`{other}` is neither `file` nor `systemd-credential`"),
        }),
    }
}

fn log(env: &dyn Fn(&str) -> Option<String>, file: LogSection) -> Result<LogConfig, ConfigError> {
    let format = env("ORGKEEP_LOG_FORMAT").or(file.format);
    let json = match format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(ConfigError::Value {
                key: "log.format".to_owned(),
                message: format!("`{other}` is neither `text` nor `json`"),
            });
        }
    };
    let level = env("ORGKEEP_LOG")
        .or(file.level)
        .unwrap_or_else(|| LEVEL_DEFAULT.to_owned());
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
        return Err(ConfigError::Value {
            key: "log.level".to_owned(),
            message: error.to_string(),
        });
    }
    Ok(LogConfig { level, json })
}

fn defaults(
    env: &dyn Fn(&str) -> Option<String>,
    file: DefaultsSection,
) -> Result<Settings, ConfigError> {
    let builtin = settings::builtin();
    let share = match env("ORGKEEP_DEFAULTS_RATE_LIMIT_SHARE") {
        Some(text) => Some(text.parse().map_err(|_| ConfigError::Value {
            key: "ORGKEEP_DEFAULTS_RATE_LIMIT_SHARE".to_owned(),
            message: "write a whole number from 1 to 100".to_owned(),
        })?),
        None => file.rate_limit_share,
    };
    let text = |name: &str, file: Option<String>, builtin: String| {
        env(&format!("ORGKEEP_DEFAULTS_{name}"))
            .or(file)
            .unwrap_or(builtin)
    };
    let chosen = Settings {
        schedule: text("SCHEDULE", file.schedule, builtin.schedule),
        timezone: text("TIMEZONE", file.timezone, builtin.timezone),
        retention: text("RETENTION", file.retention, builtin.retention),
        rate_limit_share: share.unwrap_or(builtin.rate_limit_share),
        full_every: text("FULL_EVERY", file.full_every, builtin.full_every),
        types: file.types,
    };
    settings::check(&chosen).map_err(|problem| ConfigError::Value {
        key: format!("defaults.{}", problem.field),
        message: problem.message,
    })?;
    Ok(chosen)
}

fn checked_roles(roles: RolesConfig) -> Result<RolesConfig, ConfigError> {
    let lists = [
        ("cloud_admin", &roles.cloud_admin),
        ("product_admin", &roles.product_admin),
        ("viewer", &roles.viewer),
    ];
    for (key, list) in lists {
        if let Some(bad) = list
            .iter()
            .find(|entry| crate::roles::Who::parse(entry).is_none())
        {
            return Err(ConfigError::Value {
                key: format!("roles.{key}"),
                message: format!("`{bad}` is none of uid:N, user:NAME, gid:N, group:NAME"),
            });
        }
    }
    Ok(roles)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write files of their own")]
mod tests {
    use super::*;

    fn load(file: &str, env: &[(&str, &str)], args: Args) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let args = Args {
            config: Some(path),
            ..args
        };
        let lookup = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::load(&args, &lookup, true)
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let file = "data_dir = \"/file\"\n";
        let env = [("ORGKEEP_DATA_DIR", "/env")];
        let flag = Args {
            data_dir: Some(PathBuf::from("/flag")),
            ..Args::default()
        };
        assert_eq!(load(file, &env, flag).unwrap().data_dir, Path::new("/flag"));
        assert_eq!(
            load(file, &env, Args::default()).unwrap().data_dir,
            Path::new("/env")
        );
        assert_eq!(
            load(file, &[], Args::default()).unwrap().data_dir,
            Path::new("/file")
        );
        let default = load("", &[], Args::default()).unwrap();
        assert_eq!(default.data_dir, Path::new(paths::SYSTEM_DATA_DIR));
        assert_eq!(default.socket, Path::new(paths::SYSTEM_SOCKET));
        assert_eq!(default.socket_mode, 0o666);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for file in [
            "colour = 1\n",
            "[keys]\ncolour = 1\n",
            "[defaults]\ncolour = 1\n",
        ] {
            let error = load(file, &[], Args::default()).unwrap_err().to_string();
            assert!(error.contains("colour"), "{error}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_key() {
        let cases = [
            ("[socket]\nmode = \"999\"\n", "socket.mode"),
            ("[keys]\nprovider = \"cloud\"\n", "keys.provider"),
            ("[roles]\nviewer = [\"bob\"]\n", "roles.viewer"),
            ("[log]\nformat = \"xml\"\n", "log.format"),
            (
                "[defaults]\nrate_limit_share = 0\n",
                "defaults.rate_limit_share",
            ),
            (
                "[defaults]\nschedule = \"sometimes\"\n",
                "defaults.schedule",
            ),
            ("[defaults]\ntypes = [\"robot\"]\n", "defaults.types"),
        ];
        for (file, key) in cases {
            let error = load(file, &[], Args::default()).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error_only_when_it_was_named() {
        let args = Args {
            config: Some(PathBuf::from("/nonexistent/x.toml")),
            ..Args::default()
        };
        assert!(Config::load(&args, &|_| None, true).is_err());
    }
}
