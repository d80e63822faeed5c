//! Where the document says that the API is.

use http::Uri;
use http::uri::Scheme;

use crate::Config;

/// Scheme, host with port, and path of the API.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) scheme: String,
    pub(super) host: Option<String>,
    pub(super) base_path: String,
}

impl Place {
    /// The URI of the proxy in front, if one is configured; else where the client sees this server.
    pub(super) fn of(config: &Config, base_path: &str, host: Option<&str>) -> Self {
        let proxy = config.openapi_proxy_uri.as_deref().and_then(Self::of_proxy);
        proxy.unwrap_or_else(|| Self {
            scheme: "http".to_owned(),
            host: host.map(str::to_owned),
            base_path: if base_path.is_empty() { "/" } else { base_path }.to_owned(),
        })
    }

    fn of_proxy(uri: &str) -> Option<Self> {
        let uri: Uri = uri.parse().ok()?;
        let scheme = uri.scheme()?;
        let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        Some(Self {
            scheme: scheme.as_str().to_lowercase(),
            host: Some(format!("{}:{}", uri.host()?, uri.port_u16().unwrap_or(usual))),
            base_path: uri.path().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(proxy: Option<&str>, base_path: &str, host: Option<&str>) -> String {
        let openapi_proxy_uri = proxy.map(str::to_owned);
        let config = Config { openapi_proxy_uri, ..Config::default() };
        let place = Place::of(&config, base_path, host);
        format!("{} {} {}", place.scheme, place.host.unwrap_or_default(), place.base_path)
    }

    #[test]
    fn the_place_is_that_of_the_proxy_or_the_clients() {
        assert_eq!(place(None, "", Some("db:3000")), "http db:3000 /");
        assert_eq!(place(None, "/p/x", None), "http  /p/x");
        let proxied = |uri| place(Some(uri), "", Some("db:3000"));
        assert_eq!(proxied("https://example.com/api"), "https example.com:443 /api");
        assert_eq!(proxied("http://example.com"), "http example.com:80 /");
        assert_eq!(proxied("http://example.com:8080/x/y"), "http example.com:8080 /x/y");
        assert_eq!(proxied("not a uri"), "http db:3000 /", "as if there were none");
    }
}
