//! Where apps get their users back: what may be registered, and what a request may ask for.

use url::{Host, Url};

use crate::redirect::RedirectRules;

/// Longest, in bytes.
const LONGEST: usize = 2048;

/// Schemes that lead to servers, and not to an app of this machine.
const NETWORK_SCHEMES: [&str; 14] = [
    "ftp", "ftps", "git", "gopher", "imap", "ldap", "ldaps", "mailto", "sftp", "smb", "ssh",
    "telnet", "ws", "wss",
];

/// Why an address cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("must be an absolute URL without spaces, commas, backslashes or user names")]
    Malformed,
    #[error("must not have a fragment")]
    Fragment,
    #[error("must be HTTPS, HTTP on the loopback interface, or an app's own scheme")]
    Scheme,
}

/// Whether an app may register `text` (RFC 6749 §3.1.2, RFC 8252 §7).
///
/// # Errors
///
/// [`Problem`].
pub(super) fn check(text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST || text.contains(',') || text.chars().any(is_treacherous) {
        return Err(Problem::Malformed);
    }
    let url = Url::parse(text).map_err(|_| Problem::Malformed)?;
    if text.contains('#') {
        return Err(Problem::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::Malformed);
    }
    match url.scheme() {
        "https" | "http" if !RedirectRules::is_site_url(text) => Err(Problem::Malformed),
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err(Problem::Scheme),
        scheme => {
            // RFC 8252 §7.1 wants a reversed domain name; some editors have a bare name and a host.
            let own = (scheme.contains('.') || url.has_host()) && RedirectRules::is_site_url(text);
            (own && !NETWORK_SCHEMES.contains(&scheme)).then_some(()).ok_or(Problem::Scheme)
        }
    }
}

/// Whether `asked` is what was `registered`: the same text. On the loopback interface the port does not count, for apps
/// take one that is free (RFC 8252 §7.3).
pub(super) fn matches(registered: &str, asked: &str) -> bool {
    registered == asked
        || (check(asked).is_ok()
            && without_port(registered) == without_port(asked)
            && without_port(asked).is_some())
}

fn without_port(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    if url.scheme() != "http" || !is_loopback(&url) {
        return None;
    }
    url.set_port(None).ok()?;
    Some(url.into())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_treacherous(character: char) -> bool {
    character.is_control() || character.is_whitespace() || character == '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_app_can_be_registered() {
        for fine in [
            "https://app.example/callback",
            "https://app.example:8443/callback?tenant=1",
            "http://localhost:3000/callback",
            "http://127.0.0.1/callback",
            "http://[::1]:8080/",
            "com.example.app:/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "vscode://vendor.extension/callback",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn what_leads_elsewhere_cannot() {
        for (bad, problem) in [
            ("", Problem::Malformed),
            ("/callback", Problem::Malformed),
            ("not a url", Problem::Malformed),
            ("https://", Problem::Malformed),
            ("https://a.example/x,https://b.example/", Problem::Malformed),
            ("https://me:secret@a.example/", Problem::Malformed),
            ("https:\\\\a.example/", Problem::Malformed),
            ("https:/a.example/", Problem::Malformed),
            ("https://a.example/#x", Problem::Fragment),
            ("https://a.example/#", Problem::Fragment),
            ("http://a.example/", Problem::Scheme),
            ("http://localhost.a.example/", Problem::Scheme),
            ("http://10.0.0.1/", Problem::Scheme),
            ("javascript:alert(1)", Problem::Scheme),
            ("javascript://a.example/%0aalert(1)", Problem::Scheme),
            ("data:text/html,x", Problem::Malformed),
            ("file:///etc/passwd", Problem::Scheme),
            ("ftp://a.example/", Problem::Scheme),
            ("wss://a.example/", Problem::Scheme),
            ("mailto:me@a.example", Problem::Scheme),
            ("urn:ietf:wg:oauth:2.0:oob", Problem::Scheme),
        ] {
            assert_eq!(check(bad), Err(problem), "{bad}");
        }
    }

    #[test]
    fn only_the_registered_text_matches() {
        let registered = "https://app.example/callback";
        assert!(matches(registered, registered));
        for other in [
            "https://app.example/callback/",
            "https://app.example/callback?x=1",
            "https://app.example:443/callback",
            "https://APP.example/callback",
            "https://app.example/callback#x",
            "https://app.example.evil.example/callback",
            "https://app.example@evil.example/callback",
            "http://app.example/callback",
        ] {
            assert!(!matches(registered, other), "{other}");
        }
    }

    #[test]
    fn on_the_loopback_interface_the_port_is_free() {
        for (registered, asked, fine) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", true),
            ("http://localhost:3000/cb", "http://localhost:3001/cb", true),
            ("http://[::1]/cb", "http://[::1]:9/cb", true),
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb2", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb?x=1", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb#x", false),
            ("http://127.0.0.1/cb", "http://me@127.0.0.1:49152/cb", false),
            ("https://127.0.0.1/cb", "https://127.0.0.1:49152/cb", false),
            ("com.example:/cb", "com.other:/cb", false),
        ] {
            assert_eq!(matches(registered, asked), fine, "{asked}");
        }
    }
}
