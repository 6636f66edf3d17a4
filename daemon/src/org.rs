//! The way to a domain's org: its credentials, its client, and how its errors become problems.

use std::sync::Arc;

use orgkeep_api::domain::{AppStatus, Credentials as Given};
use orgkeep_engine::authorize::{self, Authorization};
use orgkeep_engine::catalogue::ObjectType;
use orgkeep_engine::id::{DomainId, hex};
use orgkeep_engine::keys::{open_envelope, seal_envelope};
use orgkeep_engine::monitor::{Monitor, Silent};
use orgkeep_engine::okta::{Credentials, Http, HttpOptions, OktaApi, OktaDomain, OktaError};

use crate::app::App;
use crate::keyring::key_problem;
use crate::problem::{Problem, chain, sentence};
use crate::settings;
use crate::state::domains::DomainRecord;

/// What sealed credentials are bound to.
fn purpose(domain: DomainId) -> Vec<u8> {
    let mut purpose = b"orgkeep credentials 1".to_vec();
    purpose.extend_from_slice(domain.as_bytes());
    purpose
}

/// Credentials as the engine takes them.
pub(crate) fn credentials(given: Given) -> Credentials {
    match given {
        Given::ClientSecret {
            client_id,
            client_secret,
        } => Credentials::ClientSecret {
            client_id,
            secret: client_secret.into(),
        },
        Given::PrivateKey {
            client_id,
            private_key,
            key_id,
        } => Credentials::PrivateKey {
            client_id,
            key: private_key.into(),
            key_id,
        },
        Given::ApiToken { api_token } => Credentials::ApiToken(api_token.into()),
    }
}

/// Seals credentials for one domain, as hex digits.
pub(crate) fn seal(
    app: &App,
    domain: DomainId,
    credentials: &Credentials,
) -> Result<String, Problem> {
    let provider = app.keyring.provider_to_wrap(app)?;
    let sealed = seal_envelope(&*provider, &purpose(domain), &credentials.to_bytes())
        .map_err(|error| key_problem(&error))?;
    Ok(hex(&sealed))
}

fn unseal(app: &App, domain: &DomainRecord) -> Result<Credentials, Problem> {
    let sealed = unhex(&domain.credentials).ok_or_else(damaged)?;
    let opened = open_envelope(&*app.keyring.provider(), &purpose(domain.id), &sealed)
        .map_err(|error| key_problem(&error))?;
    Credentials::from_bytes(&opened).ok_or_else(damaged)
}

/// A domain's credentials, sealed anew by the provider's key.
pub(crate) fn reseal(app: &App, domain: &DomainRecord) -> Result<String, Problem> {
    seal(app, domain.id, &unseal(app, domain)?)
}

fn damaged() -> Problem {
    Problem::new(
        "damaged",
        "The domain's credentials cannot be read. Re-authorize the domain.",
    )
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Asks the org who it is and what the credentials may do, on a plain thread: the HTTP client does not live on
/// the threads of the socket's runtime.
pub(crate) fn authorize(
    app: &App,
    okta_domain: OktaDomain,
    credentials: Credentials,
    types: &[ObjectType],
) -> Result<Authorization, Problem> {
    let clock = Arc::clone(&app.clock);
    let ask = move || {
        let monitor: Arc<dyn Monitor> = Arc::new(Silent);
        let options = HttpOptions::new(okta_domain, credentials, clock, monitor);
        authorize::authorize(&options, types)
    };
    let answer = std::thread::scope(|scope| scope.spawn(ask).join());
    match answer {
        Ok(answer) => answer.map_err(|error| okta_problem(&error)),
        Err(_) => Err(Problem::new(
            "internal",
            "Authorizing failed; the daemon's log says where.",
        )),
    }
}

/// A client for a domain's org with these scopes. Only on plain threads.
pub(crate) fn connect(
    app: &App,
    domain: &DomainRecord,
    scopes: Vec<String>,
    monitor: Arc<dyn Monitor>,
) -> Result<Http, Problem> {
    let okta_domain: OktaDomain = domain
        .okta_domain
        .parse()
        .map_err(|error| okta_problem(&error))?;
    let credentials = unseal(app, domain)?;
    let mut options = HttpOptions::new(okta_domain, credentials, Arc::clone(&app.clock), monitor);
    options.scopes = scopes;
    options.share_pct = domain.settings.rate_limit_share;
    options.org_id = Some(domain.org_id.clone());
    Http::new(options).map_err(|error| okta_problem(&error))
}

/// The scopes that backups of the domain ask for: those to read what is to be backed up.
pub(crate) fn backup_scopes(domain: &DomainRecord) -> Vec<String> {
    authorize::scopes_for(&settings::wanted_types(&domain.settings)).read
}

/// An error of the org as a problem.
pub(crate) fn okta_problem(error: &OktaError) -> Problem {
    tracing::warn!(error = %chain(error), "Okta did not do what was asked");
    let code = match error.code() {
        code @ ("unauthorized" | "unreachable" | "admin_host" | "not_okta" | "other_org"
        | "dpop_required" | "rate_limited" | "cancelled" | "missing_scopes") => code,
        "invalid_okta_domain" | "invalid_private_key" => "invalid_value",
        _ => "okta_error",
    };
    let problem = Problem::new(code, sentence(error, error.hint()));
    match error {
        OktaError::MissingScopes { scopes } => problem.with_scopes(scopes.clone()),
        _ => problem,
    }
}

/// Refuses to go on where scopes are not granted that carrying out a plan needs.
pub(crate) fn require_scopes(
    app: &App,
    domain: &DomainRecord,
    scopes: &[String],
) -> Result<(), Problem> {
    if scopes.is_empty() {
        return Ok(());
    }
    let ask = || {
        let api = connect(app, domain, scopes.to_vec(), Arc::new(Silent))?;
        api.granted_scopes().map_err(|error| okta_problem(&error))
    };
    let answer = std::thread::scope(|scope| scope.spawn(ask).join());
    let granted = match answer {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(granted))) => granted,
        Ok(Err(problem)) if problem.code() == "missing_scopes" => Vec::new(),
        Ok(Err(problem)) => return Err(problem),
        Err(_) => {
            return Err(Problem::new(
                "internal",
                "Asking for scopes failed; the daemon's log says where.",
            ));
        }
    };
    let missing: Vec<String> = scopes
        .iter()
        .filter(|scope| !granted.contains(scope))
        .cloned()
        .collect();
    match missing_detail(&missing) {
        None => Ok(()),
        Some(detail) => Err(Problem::new("missing_scopes", detail).with_scopes(missing)),
    }
}

/// What a problem says about how the org answers; `None` if nothing.
pub(crate) fn status_after(code: &str) -> Option<AppStatus> {
    match code {
        "unauthorized" => Some(AppStatus::Unauthorized),
        "unreachable" => Some(AppStatus::Unreachable),
        "missing_scopes" => Some(AppStatus::MissingScopes),
        _ => None,
    }
}

/// The card's words for missing scopes.
pub(crate) fn missing_detail(missing: &[String]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "Grant {} to the app in the Okta Admin Console, then re-authorize the domain.",
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_back_and_anything_else_refused() {
        assert_eq!(unhex(&hex(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        for bad in ["0", "0g", "é0"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_of_the_org_keep_their_words() {
        let unauthorized = OktaError::Unauthorized {
            error: "invalid_client".to_owned(),
        };
        assert_eq!(okta_problem(&unauthorized).code(), "unauthorized");
        assert_eq!(okta_problem(&unauthorized).status(), 502);
        let wrong = OktaError::InvalidDomain {
            text: "x".to_owned(),
            why: "no host",
        };
        assert_eq!(okta_problem(&wrong).status(), 422);
        let scopes = OktaError::MissingScopes {
            scopes: vec!["okta.users.read".to_owned()],
        };
        assert_eq!(okta_problem(&scopes).document().scopes, ["okta.users.read"]);
    }
}
