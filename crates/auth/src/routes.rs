//! Every route of the auth part, and who is let through to it.

use http::Method;

use crate::endpoint::Endpoint;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Whoever has an API key of the project, or nobody in particular where the gateway asks for none.
    Anyone,
    /// A signed-in user, with a session of their own: no client of the OAuth server that acts for them.
    User,
    /// A signed-in user, or a client of the OAuth server that acts for them.
    UserOrApp,
    /// A server: a token with a role that administers users.
    Admin,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method.
    pub method: &'static str,
    /// Path below the prefix; a segment in braces is a parameter.
    pub path: &'static str,
    /// Who may ask.
    pub guard: Guard,
    /// What answers.
    pub endpoint: Endpoint,
}

const fn route(
    method: &'static str,
    path: &'static str,
    guard: Guard,
    endpoint: Endpoint,
) -> Route {
    Route { method, path, guard, endpoint }
}

/// Every route. Nothing is reachable that is not listed here.
pub const ROUTES: &[Route] = &[
    route("GET", "/health", Guard::Anyone, Endpoint::Health),
    route("GET", "/settings", Guard::Anyone, Endpoint::Settings),
    route("GET", "/.well-known/jwks.json", Guard::Anyone, Endpoint::Jwks),
    route("POST", "/signup", Guard::Anyone, Endpoint::SignUp),
    route("POST", "/token", Guard::Anyone, Endpoint::Token),
    route("POST", "/logout", Guard::UserOrApp, Endpoint::SignOut),
    route("GET", "/user", Guard::UserOrApp, Endpoint::GetUser),
    route("PUT", "/user", Guard::User, Endpoint::UpdateUser),
    route("POST", "/otp", Guard::Anyone, Endpoint::Otp),
    route("POST", "/magiclink", Guard::Anyone, Endpoint::MagicLink),
    route("POST", "/recover", Guard::Anyone, Endpoint::Recover),
    route("POST", "/resend", Guard::Anyone, Endpoint::Resend),
    route("GET", "/verify", Guard::Anyone, Endpoint::VerifyLink),
    route("POST", "/verify", Guard::Anyone, Endpoint::Verify),
    route("GET", "/reauthenticate", Guard::User, Endpoint::Reauthenticate),
    route("POST", "/factors", Guard::User, Endpoint::EnrolFactor),
    route("DELETE", "/factors/{id}", Guard::User, Endpoint::RemoveFactor),
    route("POST", "/factors/{id}/challenge", Guard::User, Endpoint::ChallengeFactor),
    route("POST", "/factors/{id}/verify", Guard::User, Endpoint::VerifyFactor),
    route("POST", "/passkeys/registration/options", Guard::User, Endpoint::BeginPasskey),
    route("POST", "/passkeys/registration/verify", Guard::User, Endpoint::RegisterPasskey),
    route("POST", "/passkeys/authentication/options", Guard::Anyone, Endpoint::AskForPasskey),
    route("POST", "/passkeys/authentication/verify", Guard::Anyone, Endpoint::PasskeySignIn),
    route("GET", "/passkeys", Guard::User, Endpoint::ListPasskeys),
    route("PATCH", "/passkeys/{id}", Guard::User, Endpoint::RenamePasskey),
    route("DELETE", "/passkeys/{id}", Guard::User, Endpoint::RemovePasskey),
    route("POST", "/invite", Guard::Admin, Endpoint::Invite),
    route("POST", "/admin/generate_link", Guard::Admin, Endpoint::GenerateLink),
    route("GET", "/admin/users", Guard::Admin, Endpoint::ListUsers),
    route("POST", "/admin/users", Guard::Admin, Endpoint::CreateUser),
    route("GET", "/admin/users/{id}", Guard::Admin, Endpoint::ReadUser),
    route("PUT", "/admin/users/{id}", Guard::Admin, Endpoint::ChangeUser),
    route("DELETE", "/admin/users/{id}", Guard::Admin, Endpoint::DeleteUser),
    route("GET", "/admin/users/{id}/factors", Guard::Admin, Endpoint::ListFactorsOf),
    route("PUT", "/admin/users/{id}/factors/{factor}", Guard::Admin, Endpoint::ChangeFactorOf),
    route("DELETE", "/admin/users/{id}/factors/{factor}", Guard::Admin, Endpoint::RemoveFactorOf),
    route("GET", "/admin/users/{id}/passkeys", Guard::Admin, Endpoint::ListPasskeysOf),
    route(
        "DELETE",
        "/admin/users/{id}/passkeys/{passkey}",
        Guard::Admin,
        Endpoint::RemovePasskeyOf,
    ),
    route("GET", "/admin/audit", Guard::Admin, Endpoint::AuditLog),
    route("GET", "/admin/oauth/clients", Guard::Admin, Endpoint::ListClients),
    route("POST", "/admin/oauth/clients", Guard::Admin, Endpoint::CreateClient),
    route("GET", "/admin/oauth/clients/{id}", Guard::Admin, Endpoint::GetClient),
    route("PUT", "/admin/oauth/clients/{id}", Guard::Admin, Endpoint::UpdateClient),
    route("DELETE", "/admin/oauth/clients/{id}", Guard::Admin, Endpoint::DeleteClient),
    route(
        "POST",
        "/admin/oauth/clients/{id}/regenerate_secret",
        Guard::Admin,
        Endpoint::RegenerateClientSecret,
    ),
    route("POST", "/oauth/clients/register", Guard::Anyone, Endpoint::RegisterClient),
    route("GET", "/oauth/authorize", Guard::Anyone, Endpoint::OAuthAuthorize),
    route("GET", "/oauth/authorizations/{id}", Guard::User, Endpoint::OAuthDetails),
    route("POST", "/oauth/authorizations/{id}/consent", Guard::User, Endpoint::OAuthConsent),
    route("POST", "/oauth/token", Guard::Anyone, Endpoint::OAuthToken),
    route("GET", "/oauth/userinfo", Guard::UserOrApp, Endpoint::UserInfo),
    route("GET", "/user/oauth/grants", Guard::User, Endpoint::ListGrants),
    route("DELETE", "/user/oauth/grants", Guard::User, Endpoint::RevokeGrant),
    route(
        "GET",
        "/.well-known/oauth-authorization-server",
        Guard::Anyone,
        Endpoint::AuthorizationServer,
    ),
    route("GET", "/.well-known/openid-configuration", Guard::Anyone, Endpoint::OpenIdConfiguration),
    route("GET", "/authorize", Guard::Anyone, Endpoint::Authorize),
    route("GET", "/callback", Guard::Anyone, Endpoint::Callback),
    route("POST", "/callback", Guard::Anyone, Endpoint::Callback),
    route("GET", "/user/identities/authorize", Guard::User, Endpoint::LinkIdentity),
    route("DELETE", "/user/identities/{id}", Guard::User, Endpoint::UnlinkIdentity),
    route("POST", "/sso", Guard::Anyone, Endpoint::Saml),
    route("GET", "/sso/saml/metadata", Guard::Anyone, Endpoint::Saml),
    route("POST", "/sso/saml/acs", Guard::Anyone, Endpoint::Saml),
    route("GET", "/admin/sso/providers", Guard::Admin, Endpoint::Saml),
    route("POST", "/admin/sso/providers", Guard::Admin, Endpoint::Saml),
    route("GET", "/admin/sso/providers/{id}", Guard::Admin, Endpoint::Saml),
    route("PUT", "/admin/sso/providers/{id}", Guard::Admin, Endpoint::Saml),
    route("DELETE", "/admin/sso/providers/{id}", Guard::Admin, Endpoint::Saml),
    route("GET", "/admin/custom-providers", Guard::Admin, Endpoint::ListProviders),
    route("POST", "/admin/custom-providers", Guard::Admin, Endpoint::CreateProvider),
    route("GET", "/admin/custom-providers/{identifier}", Guard::Admin, Endpoint::ReadProvider),
    route("PUT", "/admin/custom-providers/{identifier}", Guard::Admin, Endpoint::UpdateProvider),
    route("DELETE", "/admin/custom-providers/{identifier}", Guard::Admin, Endpoint::DeleteProvider),
];

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolved<'a> {
    /// A route, by its place in [`ROUTES`], with the parameters of its path.
    Route(usize, Vec<&'a str>),
    /// A path that has other methods.
    MethodNotAllowed,
    /// Nothing.
    NotFound,
}

/// Finds the route of a request. A path that is written out wins over one with parameters.
pub(crate) fn resolve<'a>(method: &Method, path: &'a str) -> Resolved<'a> {
    let mut best: Option<(usize, Vec<&'a str>)> = None;
    let mut path_exists = false;
    for (place, route) in ROUTES.iter().enumerate() {
        let Some(parameters) = matching(route.path, path) else { continue };
        path_exists = true;
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let better = best.as_ref().is_none_or(|(_, known)| parameters.len() < known.len());
        if route.method == method && better {
            best = Some((place, parameters));
        }
    }
    match best {
        Some((place, parameters)) => Resolved::Route(place, parameters),
        None if path_exists => Resolved::MethodNotAllowed,
        None => Resolved::NotFound,
    }
}

/// The parameters of `path` if it has the shape of `pattern`. A slash at the end does not matter.
fn matching<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut wanted = pattern.split('/');
    let mut parameters = Vec::new();
    for segment in path.split('/') {
        let wanted = wanted.next()?;
        if wanted.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            parameters.push(segment);
        } else if wanted != segment {
            return None;
        }
    }
    wanted.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_segment_by_segment() {
        assert_eq!(matching("/admin/users/{id}", "/admin/users/7"), Some(vec!["7"]));
        assert_eq!(matching("/admin/users/{id}", "/admin/users/7/"), Some(vec!["7"]));
        assert_eq!(matching("/admin/users/{id}", "/admin/users"), None);
        assert_eq!(matching("/admin/users/{id}", "/admin/users/7/factors"), None);
        assert_eq!(matching("/admin/users/{id}", "/admin/users//"), None);
        assert_eq!(matching("/user", "/user"), Some(vec![]));
        assert_eq!(matching("/user", "/users"), None);
    }

    #[test]
    fn a_known_path_with_another_method_is_told_apart() {
        assert_eq!(resolve(&Method::PATCH, "/user"), Resolved::MethodNotAllowed);
        assert_eq!(resolve(&Method::GET, "/nothing"), Resolved::NotFound);
        assert!(matches!(resolve(&Method::HEAD, "/health"), Resolved::Route(..)));
    }

    #[test]
    fn no_route_is_listed_twice() {
        let mut seen = std::collections::HashSet::new();
        for route in ROUTES {
            assert!(seen.insert((route.method, route.path)), "{} {}", route.method, route.path);
        }
    }
}
