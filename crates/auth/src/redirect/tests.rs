//! Addresses that are allowed, and ways to make others look like them.

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
        "http://localhost/x",
        "https://LOCALHOST:9999/x?y",
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
        "http://localhost.:9999/x",
        "http://localhost.evil.example/x",
        "http://evil.localhost/x",
        "http://user@localhost/x",
        "http://\u{ff4c}ocalhost/x",
        "ftp://localhost/x",
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
    for text in ["https://a.example", "http://127.0.0.1:3000/app", "myapp://home", "exp://x/--/"] {
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

static RULES: std::sync::LazyLock<RedirectRules> = std::sync::LazyLock::new(usual);

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_leads_to_a_host_outside_the_list(text in pieces()) {
        if RULES.allows(&text) && !text.starts_with("myapp://callback") {
            let url = Url::parse(&text).unwrap();
            prop_assert!(is_ours(&url), "{} leads to {:?}", text, url.host());
            prop_assert!(matches!(url.scheme(), "http" | "https"));
        }
    }

    #[test]
    fn no_text_breaks_the_rules(text in "\\PC{0,80}") {
        RULES.allows(&text);
    }
}
