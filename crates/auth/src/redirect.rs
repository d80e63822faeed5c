//! Where people may be sent after signing in.
//!
//! An address is taken when it is the site's (same scheme, host and port; any port on the loopback
//! interface, RFC 8252 §7.3), a loopback address, or one that a glob of the allow list matches. What
//! browsers read differently from what is written is refused outright: user names, backslashes,
//! control characters, missing slashes, numbers for addresses, letters beyond ASCII in a host.

mod glob;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(site: &str, list: &[&str]) -> RedirectRules {
        let mut rules = RedirectRules::of_site(site);
        list.iter().for_each(|pattern| rules.allow(pattern).unwrap());
        rules
    }

    fn usual() -> RedirectRules {
        rules(
            "https://site.example",
            &[
                "https://*.preview.example/**",
                "https://**--team.netlify.example/**",
                "https://exact.example/callback",
                "https://paths.example/app/**",
                "http://localhost:5173/**",
                "myapp://callback",
                "com.my_app.example://sign-in/*",
            ],
        )
    }

    #[test]
    fn the_site_the_loopback_and_the_list_are_allowed() {
        let rules = usual();
        for url in [
            "https://site.example",
            "https://site.example/",
            "https://site.example/a/b?c=d#e",
            "https://SITE.example/a",
            "HTTPS://site.example/a",
            "https://site.example:443/a",
            "http://127.0.0.1:8080/x",
            "https://127.9.9.9/x",
            "http://[::1]:3000/",
            "https://a.preview.example/x/y",
            "https://42--team.netlify.example/x",
            "https://a.b--team.netlify.example/x",
            "https://exact.example/callback",
            "https://exact.example/callback#part",
            "https://paths.example/app/x",
            "http://localhost:5173/x",
            "myapp://callback",
            "com.my_app.example://sign-in/x",
        ] {
            assert!(rules.allows(url), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let rules = usual();
        let long = format!("https://site.example/{}", "a".repeat(LONGEST_URL));
        for url in [
            "",
            "/",
            "/path",
            "//site.example",
            "//evil.example",
            "site.example",
            "https:",
            "https://",
            "https:///site.example",
            "https:/site.example",
            "https:site.example",
            "https:\\\\site.example",
            "https://site.example\\@evil.example",
            "https://evil.example\\.site.example",
            "https://site.example@evil.example/",
            "https://evil.example@site.example/",
            "https://user:pass@site.example/",
            "https://@site.example/",
            "http://site.example/",
            "https://site.example:8443/",
            "https://site.example./",
            "https://site.example.evil.example/",
            "https://evilsite.example/",
            "https://evil.example/site.example",
            "https://evil.example?https://site.example",
            "https://evil.example#https://site.example",
            "https://evil.example/x.preview.example/y",
            "https://evil.example/--team.netlify.example/x",
            "https://evil.example?--team.netlify.example/x",
            "https://evil.example#--team.netlify.example/x",
            "https://a.b.preview.example/",
            "https://a:b.preview.example/",
            "https://ä.preview.example/x",
            "https://a。preview.example/x",
            "https://%65.preview.example/x",
            "https://_a.preview.example/x",
            "https://exact.example/callback/",
            "https://exact.example/callback?x=1",
            "https://paths.example/app/../admin",
            "https://paths.example/app/%2e%2E/admin",
            "https://paths.example/app/./x",
            "http://localhost:9999/x",
            "http://localhost/x",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://127.1/",
            "http://0177.0.0.1/",
            "http://10.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "javascript:alert(1)",
            "JavaScript://site.example/%0aalert(1)",
            "javascript://127.0.0.1/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://site.example/x",
            "ftp://site.example/",
            "otherapp://callback",
            "myapp://callback/further",
            "myapp://evil",
            "\thttps://site.example",
            " https://site.example",
            "https://site.example/\u{0}",
            "https://site.example/a b",
            "https://si\nte.example/",
            "https://site.example/\u{85}",
            "https://site.example/\u{2028}",
            &long,
        ] {
            assert!(!rules.allows(url), "{url}");
        }
    }

    #[test]
    fn a_list_of_everything_still_refuses_what_runs() {
        let rules = rules("https://site.example", &["**"]);
        for url in ["https://any.example/x", "myapp://x", "http://127.0.0.1/x"] {
            assert!(rules.allows(url), "{url}");
        }
        for url in
            ["javascript:alert(1)", "data:text/html,x", "https://a@b.example", "http://10.0.0.1/"]
        {
            assert!(!rules.allows(url), "{url}");
        }
    }

    #[test]
    fn ports_are_ignored_on_the_loopback_interface_alone() {
        let local = rules("http://localhost:3000", &[]);
        assert!(local.allows("http://localhost:4321/x"));
        assert!(!local.allows("https://localhost:4321/x"), "another scheme");
        let remote = rules("http://site.example:3000", &[]);
        assert!(!remote.allows("http://site.example:4321/"));
    }

    #[test]
    fn a_host_of_other_letters_is_the_site_when_browsers_say_so() {
        let rules = rules("https://münchen.example", &[]);
        assert!(rules.allows("https://xn--mnchen-3ya.example/x"));
        assert!(rules.allows("https://münchen.example/x"));
        assert!(!rules.allows("https://munchen.example/x"));
    }

    #[test]
    fn an_apps_scheme_may_be_the_sites() {
        let rules = rules("myapp://home", &[]);
        assert!(rules.allows("myapp://home/x"));
        assert!(!rules.allows("myapp://other"));
        assert_eq!(rules.choose(Some("otherapp://home"), None), "myapp://home");
    }

    #[test]
    fn braces_stand_for_each_of_their_hosts() {
        let rules = rules("https://site.example", &["https://{a,b}.example/**"]);
        assert!(rules.allows("https://a.example/x") && rules.allows("https://b.example/x"));
        assert!(!rules.allows("https://c.example/x"));
    }

    #[test]
    fn the_first_that_is_allowed_is_chosen() {
        let rules = usual();
        let (good, other) = ("https://exact.example/callback", "http://localhost:5173/from");
        let evil = "https://evil.example/";
        for (asked, from, chosen) in [
            (Some(good), Some(other), good),
            (Some(evil), Some(other), other),
            (None, Some(other), other),
            (Some(evil), Some(evil), "https://site.example"),
            (None, None, "https://site.example"),
            (Some(""), None, "https://site.example"),
        ] {
            assert_eq!(rules.choose(asked, from), chosen);
        }
    }

    #[test]
    fn a_site_is_somewhere_that_people_can_be_sent_to() {
        for text in
            ["https://a.example", "http://127.0.0.1:3000/app", "myapp://home", "exp://x/--/"]
        {
            assert!(RedirectRules::is_site_url(text), "{text}");
        }
        for text in
            ["", "a.example", "/x", "https:/x", "https://u@a.example", "javascript:x", "file:///"]
        {
            assert!(!RedirectRules::is_site_url(text), "{text}");
        }
    }

    /// Pieces of which people make addresses that look like others.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "https://",
            "http://",
            "https:",
            "//",
            "/",
            "\\",
            "@",
            ":",
            "?",
            "#",
            ".",
            "%2e",
            "%40",
            "site.example",
            "evil.example",
            "preview.example",
            "--team.netlify.example",
            "a",
            "443",
            "127.0.0.1",
            "2130706433",
            "[::1]",
            "localhost:5173",
            "myapp://",
            "javascript:",
            "\t",
            "。",
            "ａ",
            "callback",
            "exact.example/callback",
            "paths.example/app/",
        ]);
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    fn is_ours(url: &Url) -> bool {
        match url.host() {
            Some(Host::Domain(host)) => {
                ["site.example", "exact.example", "paths.example", "localhost"].contains(&host)
                    || host.ends_with(".preview.example")
                    || host.ends_with("--team.netlify.example")
            }
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_address_leads_to_a_host_outside_the_list(text in pieces()) {
            if usual().allows(&text) && !text.starts_with("myapp://callback") {
                let url = Url::parse(&text).unwrap();
                prop_assert!(is_ours(&url), "{} leads to {:?}", text, url.host());
                prop_assert!(matches!(url.scheme(), "http" | "https"));
            }
        }

        #[test]
        fn no_text_breaks_the_rules(text in "\\PC{0,80}") {
            usual().allows(&text);
        }
    }
}
