//! Serves a simulated Okta org until it is stopped.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use okta_sim::{OktaSim, RateLimits};
use serde_json::json;

/// Serves a simulated Okta org until it is stopped.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Number of users, 2 to 1,000,000.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    users: u32,
    /// The same users and seed give the same org.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Certificate chain (PEM) to serve TLS with.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key (PEM) of the certificate.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Rate limits: off, published, xN (published times N) or N/min in every bucket.
    #[arg(long, default_value = "off")]
    rate_limits: RateLimits,
    /// Time until an event can be read from the System Log, as 500ms or 2s.
    #[arg(long, default_value = "0s", value_parser = duration)]
    log_delay: Duration,
    /// Time until `search` sees a change.
    #[arg(long, default_value = "0s", value_parser = duration)]
    search_delay: Duration,
    /// Time until `lastMembershipUpdated` shows a change.
    #[arg(long, default_value = "0s", value_parser = duration)]
    membership_delay: Duration,
    /// Directory to write the credentials to: `client_secret`, `private_key.pem`, `api_token`.
    #[arg(long)]
    credentials_dir: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut builder = OktaSim::builder()
        .users(args.users)
        .seed(args.seed)
        .listen(args.listen)
        .rate_limits(args.rate_limits)
        .log_delay(args.log_delay)
        .search_delay(args.search_delay)
        .membership_delay(args.membership_delay);
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let cert = fs::read_to_string(cert).context("could not read the certificate")?;
        let key = fs::read_to_string(key).context("could not read the key")?;
        builder = builder.tls(&cert, &key);
    }
    let sim = builder
        .start()
        .context("could not start the simulated org")?;
    if let Some(dir) = &args.credentials_dir {
        write_credentials(dir, &sim).context("could not write the credentials")?;
    }
    let ready = json!({
        "url": sim.url(),
        "org_id": sim.org_id(),
        "client_id": sim.client_id(),
        "service_client_id": sim.service_client_id(),
        "service_key_id": sim.service_key_id(),
        "credentials_dir": args.credentials_dir,
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    loop {
        std::thread::park();
    }
}

fn write_credentials(dir: &Path, sim: &OktaSim) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, secret) in [
        ("client_secret", sim.client_secret()),
        ("private_key.pem", sim.service_private_key_pem()),
        ("api_token", sim.api_token()),
    ] {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(dir.join(name))?;
        file.write_all(secret.as_bytes())?;
    }
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is no duration like 500ms or 2s");
    let (digits, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, Duration::from_millis(1)),
        (None, Some(digits)) => (digits, Duration::from_secs(1)),
        (None, None) => return Err(bad()),
    };
    let number: u32 = digits.parse().map_err(|_| bad())?;
    Ok(unit * number)
}
