//! Where people may be sent after signing in.
//!
//! An address is taken when it is the site's (same scheme, host and port; any port on the loopback
//! interface, RFC 8252 §7.3), a loopback address or `localhost`, or one that a glob of the allow list matches. What
//! browsers read differently from what is written is refused outright: user names, backslashes,
//! control characters, missing slashes, numbers for addresses, letters beyond ASCII in a host.

mod glob;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use url::{Host, Url};

use glob::Glob;
pub use glob::GlobError;

/// Longer addresses are refused, in bytes.
const LONGEST_URL: usize = 2048;

/// Schemes that run or read something instead of leading somewhere. No list allows them.
const REFUSED_SCHEMES: [&str; 9] =
    ["about", "blob", "data", "file", "filesystem", "javascript", "jar", "vbscript", "view-source"];

/// Which addresses people may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRules {
    site_url: String,
    site: Option<Url>,
    allowed: Vec<Allowed>,
}

/// A pattern of the allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    whole: Glob,
    /// Its part for host and port: without it `https://**.site/x` would match `https://evil/.site/x`.
    authority: Glob,
}

impl RedirectRules {
    /// Rules that allow the site and the loopback interface.
    pub fn of_site(site_url: &str) -> Self {
        Self { site_url: site_url.to_owned(), site: Url::parse(site_url).ok(), allowed: Vec::new() }
    }

    /// Allows what the glob matches, too.
    ///
    /// # Errors
    ///
    /// [`GlobError`] when it is no glob.
    pub fn allow(&mut self, pattern: &str) -> Result<(), GlobError> {
        let globs = Glob::all(pattern.trim())?.into_iter();
        self.allowed.extend(globs.map(|whole| Allowed { authority: whole.authority(), whole }));
        Ok(())
    }

    /// Whether people can be sent to it: a web address with a host, or an app's.
    pub fn is_site_url(text: &str) -> bool {
        let Some(scheme) = scheme(text) else { return false };
        let rules = Self::of_site(text);
        match (rules.site, scheme.as_str()) {
            (None, _) => false,
            (Some(url), "http" | "https") => written_authority(text).is_some() && is_bare(&url),
            (Some(_), scheme) => !is_refused(scheme) && !text.chars().any(is_treacherous),
        }
    }

    /// The site's address, as it was written.
    pub fn site_url(&self) -> &str {
        &self.site_url
    }

    /// Where to send people: to the address that was asked for, else to the one that they come from,
    /// else to the site; the first that is allowed.
    pub fn choose<'a>(&'a self, redirect_to: Option<&'a str>, referer: Option<&'a str>) -> &'a str {
        let asked = [redirect_to, referer].into_iter().flatten();
        asked.into_iter().find(|url| self.allows(url)).unwrap_or(&self.site_url)
    }

    /// Whether people may be sent there.
    pub fn allows(&self, text: &str) -> bool {
        let Some(scheme) = scheme(text) else { return false };
        if text.len() > LONGEST_URL || text.chars().any(is_treacherous) || is_refused(&scheme) {
            return false;
        }
        let before_fragment = text.split('#').next().unwrap_or_default();
        if matches!(scheme.as_str(), "http" | "https") {
            self.allows_web(before_fragment)
        } else {
            self.allows_app(before_fragment)
        }
    }

    fn allows_web(&self, text: &str) -> bool {
        let Some(authority) = written_authority(text) else { return false };
        let Ok(url) = Url::parse(text) else { return false };
        if authority.is_empty() || authority.contains('@') || has_dot_segment(text) {
            return false;
        }
        if self.is_site(&url) {
            return true;
        }
        match url.host() {
            // Browsers ask no name server for it (RFC 6761 §6.3).
            Some(Host::Domain("localhost")) => {
                written_host(authority).eq_ignore_ascii_case("localhost")
            }
            Some(Host::Domain(_)) => {
                is_plain_host(written_host(authority)) && self.is_listed(text, Some(authority))
            }
            // `2130706433` and `0x7f.1` are the same address to a browser, and to nobody else.
            Some(Host::Ipv4(address)) => {
                address.is_loopback() && written_host(authority) == address.to_string()
            }
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// An app's own scheme, such as `myapp://callback`: the site's, or on the list.
    fn allows_app(&self, text: &str) -> bool {
        let site = self.site.as_ref().filter(|site| !matches!(site.scheme(), "http" | "https"));
        let same = |site: &Url| Url::parse(text).is_ok_and(|url| is_same_place(site, &url));
        site.is_some_and(same) || self.is_listed(text, None)
    }

    fn is_site(&self, url: &Url) -> bool {
        self.site.as_ref().is_some_and(|site| is_same_place(site, url))
    }

    fn is_listed(&self, text: &str, authority: Option<&str>) -> bool {
        self.allowed.iter().any(|allowed| {
            authority.is_none_or(|authority| allowed.authority.matches(authority))
                && allowed.whole.matches(text)
        })
    }
}

fn is_bare(url: &Url) -> bool {
    url.has_host() && url.username().is_empty() && url.password().is_none()
}

fn is_same_place(site: &Url, url: &Url) -> bool {
    site.scheme() == url.scheme()
        && site.host() == url.host()
        && is_bare(url)
        && (site.port_or_known_default() == url.port_or_known_default() || is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The scheme in lower case. Apps have some with an underscore, which RFC 3986 §3.1 does not know.
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':')?;
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
    let begins = scheme.bytes().next()?.is_ascii_alphabetic();
    (begins && scheme.bytes().all(letters)).then(|| scheme.to_ascii_lowercase())
}

fn is_refused(scheme: &str) -> bool {
    REFUSED_SCHEMES.contains(&scheme)
}

/// Characters that browsers drop or read as others.
fn is_treacherous(character: char) -> bool {
    character.is_control() || character.is_whitespace() || character == '\\'
}

/// Host and port as they are written; `None` without exactly two slashes before them.
fn written_authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    (scheme(text)?.len() + 3 == text.len() - rest.len()).then_some(authority)
}

fn written_host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Letters, digits, dots and hyphens, the first and the last one a letter or a digit.
fn is_plain_host(host: &str) -> bool {
    let ends = [host.bytes().next(), host.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

/// Whether the path climbs: `/app/../admin` is matched by a pattern for `/app/**`, and leads elsewhere.
fn has_dot_segment(text: &str) -> bool {
    let path = text.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    })
}
