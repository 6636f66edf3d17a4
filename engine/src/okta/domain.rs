//! The address of an org.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::OktaError;

/// An org's address: `https://HOST`, or `http://HOST:PORT` for a loopback address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OktaDomain {
    /// Scheme, host and port, without a slash at the end.
    base: String,
    host: String,
    loopback: bool,
}

impl OktaDomain {
    /// The address, `https://HOST`, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// The host name alone.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is an address of this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether requests go over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// The name a domain gets by itself: the first label of its host (of an IP address, all of it).
    #[must_use]
    pub fn first_label(&self) -> &str {
        if self.host.parse::<IpAddr>().is_ok() {
            return &self.host;
        }
        self.host.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for OktaDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for OktaDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OktaDomain({})", self.base)
    }
}

impl FromStr for OktaDomain {
    type Err = OktaError;

    fn from_str(text: &str) -> Result<Self, OktaError> {
        let refused = |why| OktaError::InvalidDomain {
            text: text.to_owned(),
            why,
        };
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&with_scheme).map_err(|_| refused("it is no URL"))?;
        let loopback = match url.host() {
            None => return Err(refused("it names no host")),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it holds a user name or a password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it has a path; give the host alone"));
        }
        match (url.scheme(), loopback) {
            ("https", _) | ("http", true) => {}
            ("http", false) => {
                return Err(refused(
                    "plain http is for loopback addresses alone; use https",
                ));
            }
            _ => return Err(refused("the scheme must be https")),
        }
        if url.port().is_some() && !loopback {
            return Err(refused("a port is for loopback addresses alone"));
        }
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        if host.split('.').any(str::is_empty) {
            return Err(refused("a part of the host's name is empty"));
        }
        if let Some(right) = without_admin(&host) {
            return Err(OktaError::AdminHost { host, right });
        }
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            host,
            loopback,
        })
    }
}

/// The org's host for the host of its Admin Console (`acme-admin.okta.com`); `None` if it is none.
pub(super) fn without_admin(host: &str) -> Option<String> {
    let (label, rest) = host.split_once('.')?;
    let okta = ["okta", "oktapreview", "okta-emea", "okta-gov", "trexcloud"];
    let ours = okta
        .iter()
        .any(|name| rest.starts_with(&format!("{name}.")));
    let org = label
        .strip_suffix("-admin")
        .filter(|org| !org.is_empty() && ours)?;
    Some(format!("{org}.{rest}"))
}

/// Whether a link's host belongs to the org whose host is `ours`: itself, or its Admin Console.
pub(super) fn same_org(ours: &str, theirs: &str) -> bool {
    let theirs = theirs.to_ascii_lowercase();
    let plain = theirs
        .split_once('.')
        .and_then(|(label, rest)| Some(format!("{}.{rest}", label.strip_suffix("-admin")?)))
        .or_else(|| theirs.strip_suffix("-admin").map(str::to_owned));
    theirs == ours || plain.is_some_and(|plain| plain == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (given, base, label) in [
            ("acme.okta.com", "https://acme.okta.com", "acme"),
            ("https://Acme.okta.com/", "https://acme.okta.com", "acme"),
            (
                "https://login.acme.example",
                "https://login.acme.example",
                "login",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080",
                "127.0.0.1",
            ),
            ("http://localhost:9", "http://localhost:9", "localhost"),
            (
                "https://127.0.0.1:8443",
                "https://127.0.0.1:8443",
                "127.0.0.1",
            ),
            ("http://[::1]:80", "http://[::1]", "::1"),
        ] {
            let domain: OktaDomain = given.parse().unwrap();
            assert_eq!(
                (domain.as_str(), domain.first_label()),
                (base, label),
                "{given}"
            );
        }
    }

    #[test]
    fn what_is_no_org_address_is_refused() {
        for bad in [
            "",
            "http://acme.okta.com",
            "https://acme.okta.com:8443",
            "ftp://acme.okta.com",
            "https://a:b@acme.okta.com",
            "https://acme.okta.com/admin",
            "https://acme.okta.com?x=1",
            ".acme.okta.com",
            "acme..okta.com",
            "a b",
        ] {
            let error = bad.parse::<OktaDomain>().unwrap_err();
            assert_eq!(error.code(), "invalid_okta_domain", "{bad}");
        }
    }

    #[test]
    fn the_admin_console_is_pointed_out_with_the_right_host() {
        let error = "https://acme-admin.okta.com"
            .parse::<OktaDomain>()
            .unwrap_err();
        assert_eq!(error.code(), "admin_host");
        assert!(error.hint().unwrap().contains("https://acme.okta.com"));
        assert!("https://my-admin.example.com".parse::<OktaDomain>().is_ok());
    }

    #[test]
    fn links_belong_to_the_org_or_its_admin_console() {
        assert!(same_org("acme.okta.com", "ACME.okta.com"));
        assert!(same_org("acme.okta.com", "acme-admin.okta.com"));
        assert!(!same_org("acme.okta.com", "evil.okta.com"));
        assert!(!same_org("acme.okta.com", "acme.okta.com.evil.example"));
    }
}
