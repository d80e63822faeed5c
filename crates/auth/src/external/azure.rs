//! Microsoft's tenants: each is an issuer of its own.

use url::Url;

const MICROSOFT: &str = "https://login.microsoftonline.com/";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Whose accounts may sign in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tenant {
    /// Everybody's (`common`), or nobody's but organisations' (`organizations`).
    Many { personal: bool },
    /// Microsoft's personal accounts (`consumers`).
    Personal,
    /// One organisation, by its id or by a domain. Holds the base address.
    One(String),
    /// A service that speaks like Microsoft's at another address.
    Elsewhere(String),
}

impl Tenant {
    /// The tenant that the settings' `url` names.
    pub(super) fn of(url: Option<&str>) -> Self {
        let Some(url) = url.map(|url| url.trim_end_matches('/')) else {
            return Self::Many { personal: true };
        };
        match url.strip_prefix(MICROSOFT) {
            Some("common") => Self::Many { personal: true },
            Some("organizations") => Self::Many { personal: false },
            Some("consumers") => Self::Personal,
            Some(_) => Self::One(url.to_owned()),
            None => Self::Elsewhere(url.to_owned()),
        }
    }

    /// Where the discovery document of the only issuer is; `None` if the token has to say which of many issued it.
    pub(super) fn address(&self) -> Option<String> {
        match self {
            Self::One(base) | Self::Elsewhere(base) => Some(format!("{base}/v2.0")),
            Self::Many { .. } | Self::Personal => None,
        }
    }

    /// Whether `issuer` is a tenant that may be meant. A tenant that is named by a domain has an issuer that is named by its id, which
    /// its own discovery document says.
    pub(super) fn accepts(&self, issuer: &str) -> bool {
        let Some(tenant) = tenant_id(issuer) else { return false };
        match self {
            Self::Many { personal } => *personal || tenant != PERSONAL,
            Self::Personal => tenant == PERSONAL,
            Self::One(base) => {
                let named = base.strip_prefix(MICROSOFT).unwrap_or_default();
                uuid::Uuid::parse_str(named).is_err()
            }
            Self::Elsewhere(_) => false,
        }
    }
}

/// The id within `https://login.microsoftonline.com/{id}/v2.0`.
fn tenant_id(issuer: &str) -> Option<&str> {
    let id = issuer.strip_prefix(MICROSOFT)?.strip_suffix("/v2.0")?;
    let plain = uuid::Uuid::parse_str(id).is_ok() && id.len() == 36;
    (plain && Url::parse(issuer).is_ok()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn issuer(tenant: &str) -> String {
        format!("https://login.microsoftonline.com/{tenant}/v2.0")
    }

    #[test]
    fn the_common_endpoint_accepts_every_tenant_and_nothing_else() {
        let common = Tenant::of(None);
        assert_eq!(common, Tenant::of(Some("https://login.microsoftonline.com/common/")));
        assert_eq!(common.address(), None);
        assert!(common.accepts(&issuer(ID)) && common.accepts(&issuer(PERSONAL)));
        for wrong in [
            issuer("common"),
            issuer("a/../b"),
            format!("https://login.microsoftonline.com.evil.example/{ID}/v2.0"),
            format!("http://login.microsoftonline.com/{ID}/v2.0"),
            format!("https://login.microsoftonline.com/{ID}/v2.0/x"),
        ] {
            assert!(!common.accepts(&wrong), "{wrong} must be refused");
        }
    }

    #[test]
    fn organisations_and_personal_accounts_are_kept_apart() {
        let organizations = Tenant::of(Some("https://login.microsoftonline.com/organizations"));
        assert!(organizations.accepts(&issuer(ID)) && !organizations.accepts(&issuer(PERSONAL)));
        let consumers = Tenant::of(Some("https://login.microsoftonline.com/consumers"));
        assert!(!consumers.accepts(&issuer(ID)) && consumers.accepts(&issuer(PERSONAL)));
    }

    #[test]
    fn a_tenant_has_one_issuer() {
        let by_id = Tenant::of(Some(&format!("https://login.microsoftonline.com/{ID}")));
        assert_eq!(by_id.address(), Some(issuer(ID)));
        assert!(!by_id.accepts(&issuer(PERSONAL)));
        let by_domain = Tenant::of(Some("https://login.microsoftonline.com/contoso.example"));
        assert!(by_domain.accepts(&issuer(ID)));
        assert!(!Tenant::of(Some("https://id.example")).accepts(&issuer(ID)));
    }
}
