//! The table of providers that are known by name.

use serde_json::Value;

use super::claims::{self, ClaimsReader};
use super::readers;
use super::{ExternalError, Profile};

/// One provider of the table.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: &'static str,
    pub(super) endpoints: Endpoints,
    /// Scopes that are always asked for.
    pub(super) scopes: &'static [&'static str],
    pub(super) client_auth: ClientAuth,
    /// Whether it is known to check a code challenge. Some of the others refuse the parameter.
    pub(super) pkce: bool,
    /// Parameters that every authorization request needs.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    pub(super) id_tokens: Option<IdTokens>,
    pub(super) user: User,
}

/// Where a provider's endpoints are.
#[derive(Debug)]
pub(super) enum Endpoints {
    /// As its discovery document says.
    Discovered,
    /// At fixed places.
    Fixed { authorize: Place, token: Place },
}

/// A base and what follows it. The settings' `url` replaces the base, which then continues with `own`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    base: &'static str,
    path: &'static str,
    own: &'static str,
}

impl Place {
    const fn at(base: &'static str, path: &'static str) -> Self {
        Self { base, path, own: path }
    }

    const fn own(self, own: &'static str) -> Self {
        Self { own, ..self }
    }

    /// The place as a text without a slash at its end.
    pub(super) fn resolve(&self, url: Option<&str>) -> String {
        match url {
            Some(url) => format!("{}{}", url.trim_end_matches('/'), self.own),
            None => format!("{}{}", self.base, self.path),
        }
    }
}

/// How the client proves itself at the token endpoint (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// HTTP basic authentication.
    Basic,
    /// Fields of the body.
    Post,
}

/// A provider's ID tokens.
#[derive(Debug)]
pub(super) struct IdTokens {
    /// The issuer whose discovery document has the keys; the settings' `url` replaces it.
    pub(super) issuer: &'static str,
    /// Other names that the same issuer uses for itself.
    pub(super) aliases: &'static [&'static str],
    /// Whether a nonce that was sent with the authorization request comes back in the token.
    pub(super) nonce: bool,
    pub(super) read: ClaimsReader,
}

/// Where the user's profile comes from.
#[derive(Debug)]
pub(super) enum User {
    /// The ID token, which must be there.
    IdToken,
    /// The ID token if there is one, completed by the discovered user endpoint.
    IdTokenOrUserinfo,
    /// Documents below `api`, read together.
    Documents { api: Place, paths: &'static [&'static str], with: With, read: Reader },
    /// The token endpoint's own answer, field `profile`.
    TokenAnswer { api: Place, read: Reader },
}

/// What a request for the user's documents carries besides the access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    Nothing,
    /// `Client-Id`, as Twitch wants it.
    ClientId,
    /// `Notion-Version`.
    NotionVersion,
    /// `appsecret_proof`: an HMAC of the token, which keeps a stolen token from being used without the secret.
    FacebookProof,
}

/// Reads a profile from the documents, in the order of their paths. The first argument is the API's base.
pub(super) type Reader = fn(&str, &[Value]) -> Result<Profile, ExternalError>;

/// The row of `id`. `x` is the same provider as `twitter`.
pub(super) fn find(id: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.id == id)
}

const fn fixed(authorize: Place, token: Place) -> Endpoints {
    Endpoints::Fixed { authorize, token }
}

const fn same(base: &'static str, authorize: &'static str, token: &'static str) -> Endpoints {
    fixed(Place::at(base, authorize), Place::at(base, token))
}

const fn documents(api: Place, paths: &'static [&'static str], read: Reader) -> User {
    User::Documents { api, paths, with: With::Nothing, read }
}

const X: Known = Known {
    id: "x",
    endpoints: fixed(
        Place::at("https://x.com", "/i/oauth2/authorize"),
        Place::at("https://api.x.com", "/2/oauth2/token"),
    ),
    // `tweet.write` and `offline.access` are for posting on the user's behalf later.
    scopes: &["tweet.read", "tweet.write", "users.read", "users.email", "offline.access"],
    client_auth: ClientAuth::Basic,
    pkce: true,
    parameters: &[],
    id_tokens: None,
    user: documents(
        Place::at("https://api.x.com", ""),
        &[
            "/2/users/me?user.fields=id,name,username,confirmed_email,profile_image_url,url,created_at",
        ],
        readers::x,
    ),
};

/// Every provider that is known by name, in alphabetical order.
pub(super) static KNOWN: &[Known] = &[
    Known {
        id: "apple",
        endpoints: Endpoints::Discovered,
        scopes: &["email", "name"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[("response_mode", "form_post")],
        id_tokens: Some(IdTokens {
            issuer: "https://appleid.apple.com",
            aliases: &[],
            nonce: true,
            read: claims::apple,
        }),
        user: User::IdToken,
    },
    Known {
        id: "azure",
        endpoints: same(
            "https://login.microsoftonline.com/common",
            "/oauth2/v2.0/authorize",
            "/oauth2/v2.0/token",
        ),
        scopes: &["openid"],
        client_auth: ClientAuth::Post,
        pkce: true,
        parameters: &[],
        // Every tenant is an issuer of its own: `Provider` says which one a token may come from.
        id_tokens: Some(IdTokens { issuer: "", aliases: &[], nonce: true, read: claims::azure }),
        user: User::IdToken,
    },
    Known {
        id: "bitbucket",
        endpoints: same(
            "https://bitbucket.org",
            "/site/oauth2/authorize",
            "/site/oauth2/access_token",
        ),
        scopes: &["account", "email"],
        client_auth: ClientAuth::Basic,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://api.bitbucket.org", "/2.0"),
            &["/user", "/user/emails"],
            readers::bitbucket,
        ),
    },
    Known {
        id: "discord",
        endpoints: same("https://discord.com", "/api/oauth2/authorize", "/api/oauth2/token"),
        scopes: &["email", "identify"],
        client_auth: ClientAuth::Basic,
        pkce: true,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://discord.com", "/api"),
            &["/users/@me"],
            readers::discord,
        ),
    },
    Known {
        id: "facebook",
        endpoints: fixed(
            Place::at("https://www.facebook.com", "/dialog/oauth"),
            Place::at("https://graph.facebook.com", "/oauth/access_token"),
        ),
        scopes: &["email"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: Some(IdTokens {
            issuer: "https://www.facebook.com",
            aliases: &["https://facebook.com"],
            nonce: false,
            read: claims::facebook,
        }),
        user: User::Documents {
            api: Place::at("https://graph.facebook.com", ""),
            paths: &["/me?fields=email,first_name,last_name,name,picture"],
            with: With::FacebookProof,
            read: readers::facebook,
        },
    },
    Known {
        id: "figma",
        endpoints: fixed(
            Place::at("https://www.figma.com", "/oauth"),
            Place::at("https://api.figma.com", "/v1/oauth/token").own("/api/oauth/token"),
        ),
        scopes: &["current_user:read"],
        client_auth: ClientAuth::Basic,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(Place::at("https://api.figma.com", ""), &["/v1/me"], readers::figma),
    },
    Known {
        id: "fly",
        endpoints: same("https://api.fly.io", "/oauth/authorize", "/oauth/token"),
        scopes: &["read"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(Place::at("https://api.fly.io", ""), &["/oauth/token/info"], readers::fly),
    },
    Known {
        id: "github",
        endpoints: same(
            "https://github.com",
            "/login/oauth/authorize",
            "/login/oauth/access_token",
        ),
        scopes: &["user:email"],
        client_auth: ClientAuth::Post,
        pkce: true,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://api.github.com", "").own("/api/v3"),
            &["/user", "/user/emails"],
            readers::github,
        ),
    },
    Known {
        id: "gitlab",
        endpoints: same("https://gitlab.com", "/oauth/authorize", "/oauth/token"),
        scopes: &["read_user"],
        client_auth: ClientAuth::Post,
        pkce: true,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://gitlab.com", ""),
            &["/api/v4/user", "/api/v4/user/emails"],
            readers::gitlab,
        ),
    },
    Known {
        id: "google",
        endpoints: Endpoints::Discovered,
        scopes: &["openid", "email", "profile"],
        client_auth: ClientAuth::Post,
        pkce: true,
        parameters: &[],
        id_tokens: Some(IdTokens {
            issuer: "https://accounts.google.com",
            aliases: &["accounts.google.com"],
            nonce: true,
            read: claims::google,
        }),
        user: User::IdTokenOrUserinfo,
    },
    Known {
        id: "kakao",
        endpoints: same("https://kauth.kakao.com", "/oauth/authorize", "/oauth/token"),
        scopes: &["account_email", "profile_image", "profile_nickname"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: Some(IdTokens {
            issuer: "https://kauth.kakao.com",
            aliases: &[],
            nonce: false,
            read: claims::kakao,
        }),
        user: documents(Place::at("https://kapi.kakao.com", ""), &["/v2/user/me"], readers::kakao),
    },
    Known {
        // The realm's address is the settings' `url`, which is required.
        id: "keycloak",
        endpoints: same("", "/protocol/openid-connect/auth", "/protocol/openid-connect/token"),
        scopes: &["openid", "profile", "email"],
        client_auth: ClientAuth::Post,
        pkce: true,
        parameters: &[],
        id_tokens: Some(IdTokens { issuer: "", aliases: &[], nonce: false, read: claims::generic }),
        user: documents(
            Place::at("", ""),
            &["/protocol/openid-connect/userinfo"],
            readers::keycloak,
        ),
    },
    Known {
        id: "linkedin_oidc",
        endpoints: same(
            "https://www.linkedin.com",
            "/oauth/v2/authorization",
            "/oauth/v2/accessToken",
        ),
        scopes: &["openid", "email", "profile"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: Some(IdTokens {
            issuer: "https://www.linkedin.com/oauth",
            aliases: &["https://www.linkedin.com"],
            nonce: false,
            read: claims::linkedin,
        }),
        user: User::IdToken,
    },
    Known {
        id: "notion",
        endpoints: same("https://api.notion.com", "/v1/oauth/authorize", "/v1/oauth/token"),
        scopes: &[],
        client_auth: ClientAuth::Basic,
        pkce: false,
        parameters: &[("owner", "user")],
        id_tokens: None,
        user: User::Documents {
            api: Place::at("https://api.notion.com", ""),
            paths: &["/v1/users/me"],
            with: With::NotionVersion,
            read: readers::notion,
        },
    },
    Known {
        id: "slack_oidc",
        endpoints: same(
            "https://slack.com",
            "/openid/connect/authorize",
            "/api/openid.connect.token",
        ),
        scopes: &["profile", "email", "openid"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://slack.com", "/api"),
            &["/openid.connect.userInfo"],
            readers::slack,
        ),
    },
    Known {
        id: "snapchat",
        endpoints: same(
            "https://accounts.snapchat.com",
            "/accounts/oauth2/auth",
            "/accounts/oauth2/token",
        ),
        scopes: &[
            "https://auth.snapchat.com/oauth2/api/user.external_id",
            "https://auth.snapchat.com/oauth2/api/user.display_name",
            "https://auth.snapchat.com/oauth2/api/user.bitmoji.avatar",
        ],
        client_auth: ClientAuth::Basic,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://kit.snapchat.com", ""),
            &[
                "/v1/me?query=%7Bme%7BexternalId%20displayName%20bitmoji%7Bavatar%20id%7D%20email%7D%7D",
            ],
            readers::snapchat,
        ),
    },
    Known {
        id: "spotify",
        endpoints: same("https://accounts.spotify.com", "/authorize", "/api/token"),
        scopes: &["user-read-email"],
        client_auth: ClientAuth::Basic,
        pkce: true,
        parameters: &[],
        id_tokens: None,
        user: documents(
            Place::at("https://api.spotify.com", "/v1").own(""),
            &["/me"],
            readers::spotify,
        ),
    },
    Known {
        id: "twitch",
        endpoints: same("https://id.twitch.tv", "/oauth2/authorize", "/oauth2/token"),
        scopes: &["user:read:email"],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: User::Documents {
            api: Place::at("https://api.twitch.tv", ""),
            paths: &["/helix/users"],
            with: With::ClientId,
            read: readers::twitch,
        },
    },
    Known { id: "twitter", ..X },
    Known {
        id: "workos",
        endpoints: same("https://api.workos.com", "/sso/authorize", "/sso/token"),
        scopes: &[],
        client_auth: ClientAuth::Post,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: User::TokenAnswer {
            api: Place::at("https://api.workos.com", ""),
            read: readers::workos,
        },
    },
    X,
    Known {
        id: "zoom",
        endpoints: same("https://zoom.us", "/oauth/authorize", "/oauth/token"),
        scopes: &[],
        client_auth: ClientAuth::Basic,
        pkce: false,
        parameters: &[],
        id_tokens: None,
        user: documents(Place::at("https://api.zoom.us", "/v2"), &["/users/me"], readers::zoom),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_provider_once() {
        let ids: Vec<&str> = KNOWN.iter().map(|known| known.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn a_url_replaces_the_host_and_keeps_what_belongs_to_the_service() {
        let url = Some("https://git.example/");
        let place = |id: &str, url| match &find(id).unwrap().user {
            User::Documents { api, .. } => api.resolve(url),
            other => panic!("{other:?}"),
        };
        assert_eq!(place("github", None), "https://api.github.com");
        assert_eq!(place("github", url), "https://git.example/api/v3");
        assert_eq!(place("gitlab", url), "https://git.example");
        assert_eq!(place("discord", None), "https://discord.com/api");
        assert_eq!(place("discord", url), "https://git.example/api");
    }
}
