//! Where a hook is: `pg-functions://postgres/schema/function`, or a URL.

use plinth_wire::Secret;
use reqwest::Client;
use url::{Host, Url};

use super::Hook;
use super::function::FunctionHook;
use super::http::HttpHook;
use super::signature::{SecretError, Secrets};

/// Why a configured hook cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It is not a URI.
    #[error("a hook's URI cannot be read")]
    Unreadable(#[source] url::ParseError),
    /// It is neither `pg-functions:`, `https:` nor `http:`.
    #[error("a hook cannot be reached by `{0}:`, only by `pg-functions:`, `https:` and `http:`")]
    Scheme(String),
    /// Plain HTTP goes to this machine only.
    #[error(
        "a hook at `{0}` needs https; http is for localhost, 127.0.0.1, ::1 and host.docker.internal"
    )]
    PlainHttp(String),
    /// The path of a function is not `/schema/function`.
    #[error("a hook's function is written pg-functions://postgres/schema/function")]
    Path,
    /// A schema or function has no plain name.
    #[error("`{0}` is not a name of letters, digits and underscores")]
    Name(String),
    /// The secrets of an HTTP hook.
    #[error("a hook's secrets cannot be used")]
    Secrets(#[source] SecretError),
}

/// Reads a hook's configuration. `secrets` (several separated by `|`) are for URLs only; `client` is
/// what an HTTP hook will call with.
///
/// # Errors
///
/// [`UriError`], without any part of the secrets.
pub fn parse(uri: &str, secrets: &Secret, client: &Client) -> Result<Hook, UriError> {
    let url = Url::parse(uri.trim()).map_err(UriError::Unreadable)?;
    match url.scheme() {
        "pg-functions" => function(&url).map(Hook::Function),
        "https" => http(url, secrets, client),
        "http" if is_local(&url) => http(url, secrets, client),
        "http" => Err(UriError::PlainHttp(url.host_str().unwrap_or_default().to_owned())),
        other => Err(UriError::Scheme(other.to_owned())),
    }
}

fn function(url: &Url) -> Result<FunctionHook, UriError> {
    let parts: Vec<&str> = url.path().split('/').collect();
    match parts[..] {
        ["", schema, function] => FunctionHook::new(schema, function),
        _ => Err(UriError::Path),
    }
}

fn http(url: Url, secrets: &Secret, client: &Client) -> Result<Hook, UriError> {
    let secrets = Secrets::parse(secrets.expose()).map_err(UriError::Secrets)?;
    Ok(Hook::Http(HttpHook::new(client.clone(), url, secrets)))
}

/// As GoTrue has it: a payload holds codes and claims, and must not travel in the clear.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => matches!(name, "localhost" | "host.docker.internal"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn read(uri: &str) -> Result<Hook, UriError> {
        parse(uri, &Secret::new(SECRET), &crate::outgoing::client().unwrap())
    }

    #[test]
    fn a_function_has_a_schema_and_a_name() {
        let hook = read("pg-functions://postgres/auth_hooks/claims").unwrap();
        assert!(matches!(hook, Hook::Function(function) if function.name() == "auth_hooks.claims"));
    }

    #[test]
    fn other_paths_are_no_functions() {
        for path in ["", "/", "/a", "/a/b/c", "/a/b/"] {
            let error = read(&format!("pg-functions://postgres{path}")).unwrap_err();
            assert_eq!(error, UriError::Path, "{path}");
        }
        let injected = read("pg-functions://postgres/public/f\"();drop").unwrap_err();
        assert!(matches!(injected, UriError::Name(_)));
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for host in ["localhost", "127.0.0.1", "[::1]", "host.docker.internal"] {
            assert!(matches!(read(&format!("http://{host}:54321/hook")), Ok(Hook::Http(_))));
        }
        for host in ["example.com", "192.0.2.1", "localhost.example.com", "[2001:db8::1]"] {
            assert!(matches!(read(&format!("http://{host}/hook")), Err(UriError::PlainHttp(_))));
            assert!(matches!(read(&format!("https://{host}/hook")), Ok(Hook::Http(_))));
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for uri in ["ftp://localhost/hook", "file:///etc/passwd", "postgres://a/b/c"] {
            assert!(matches!(read(uri), Err(UriError::Scheme(_))), "{uri}");
        }
        assert!(matches!(read("/hook"), Err(UriError::Unreadable(_))));
    }

    #[test]
    fn a_url_needs_a_secret_and_a_function_none() {
        let client = crate::outgoing::client().unwrap();
        let none = Secret::new("");
        let error = parse("https://example.com/hook", &none, &client).unwrap_err();
        assert_eq!(error, UriError::Secrets(SecretError::Missing));
        assert!(parse("pg-functions://postgres/public/hook", &none, &client).is_ok());
    }

    #[test]
    fn neither_secrets_nor_userinfo_are_printed() {
        let hook = read("https://user:open-sesame@example.com/hook?key=open-sesame").unwrap();
        let printed = format!("{hook:?}");
        assert!(!printed.contains("open-sesame") && !printed.contains("whsec"), "{printed}");
        assert!(printed.contains("example.com"));
    }
}
