//! Which part of the product answers a path, for which project. Pure.

use super::cors::Origins;

/// A part of the product with a path of its own below every project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The data API.
    Rest,
    /// Sign-in.
    Auth,
    /// Webhooks.
    Hooks,
    /// Messages and workflow runs.
    Messages,
    /// A part that clients know and that is not served yet, by its name.
    NotYet(&'static str),
}

impl Service {
    /// Whose scripts may use it, where a project says nothing else.
    pub(super) fn origins(self) -> Origins {
        match self {
            Self::Auth => Origins::Auth,
            Self::Rest | Self::Hooks | Self::Messages | Self::NotYet(_) => Origins::Gateway,
        }
    }
}

/// Whether a caller must show an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An API key of the project, and whatever the part itself asks.
    ApiKey,
    /// An API key except on the paths that browsers and other servers open; tokens are the part's own business.
    SignIn,
    /// No key: the proof that the manifest asks of a hook's deliveries.
    Proof,
    /// A token of the project's own for its messages, or one of its keys for servers; the part itself asks for it.
    Token,
}

/// A path prefix below a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The prefix, without a slash at its end.
    pub prefix: &'static str,
    /// What answers there.
    pub service: Service,
    /// Who is let through to it.
    pub guard: Guard,
}

const fn route(prefix: &'static str, service: Service) -> Route {
    Route { prefix, service, guard: Guard::ApiKey }
}

/// Every route of a project. Nothing is reachable that is not listed here.
pub const ROUTES: &[Route] = &[
    route("/rest/v1", Service::Rest),
    Route { prefix: "/auth/v1", service: Service::Auth, guard: Guard::SignIn },
    Route { prefix: "/hooks/v1", service: Service::Hooks, guard: Guard::Proof },
    Route { prefix: "/work", service: Service::Messages, guard: Guard::Token },
    route("/storage/v1", Service::NotYet("storage")),
    route("/realtime/v1", Service::NotYet("realtime")),
    route("/functions/v1", Service::NotYet("functions")),
    route("/graphql/v1", Service::NotYet("graphql")),
];

/// Paths of the instance itself: open to everybody, and telling nothing that is secret; `/metrics` is there for this
/// machine only.
pub const INSTANCE_PATHS: &[&str] = &["/", "/health", "/ready", "/metrics"];

/// What clients of sign-in's OAuth server look for at the root of the host, before the path of the issuer (RFC 8414 §3.1)
/// or without it.
const DISCOVERY: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

/// How a request names its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector<'a> {
    /// `/p/{name}/…`
    Path(&'a str),
    /// `{name}.localhost`
    Host(&'a str),
    /// Not at all: the default project.
    Default,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The instance's own page or probe, by its path.
    Instance(&'static str),
    /// A part of a project.
    Project {
        /// Which project.
        selector: Selector<'a>,
        /// Which part.
        route: &'static Route,
        /// Everything up to and including the part's prefix, as the client wrote it.
        base_path: &'a str,
        /// What follows: begins with `/`.
        path: &'a str,
    },
    /// A project, but no part of it.
    Unrouted(Selector<'a>),
}

/// Finds what `path` is for; `host` is the `Host` header.
pub(super) fn resolve<'a>(host: Option<&'a str>, path: &'a str) -> Target<'a> {
    if let Some(found) = discovery(host, path) {
        return found;
    }
    let (selector, inner) = select(host, path);
    if !matches!(selector, Selector::Path(_))
        && let Some(own) = INSTANCE_PATHS.iter().find(|own| **own == path)
    {
        return Target::Instance(own);
    }
    let found = ROUTES.iter().find_map(|route| {
        let rest = inner.strip_prefix(route.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((route, rest))
    });
    match found {
        None => Target::Unrouted(selector),
        Some((route, rest)) => Target::Project {
            selector,
            route,
            base_path: &path[..path.len() - rest.len()],
            path: if rest.is_empty() { "/" } else { rest },
        },
    }
}

/// The project that a request names, and the path below it.
fn select<'a>(host: Option<&'a str>, path: &'a str) -> (Selector<'a>, &'a str) {
    match path.strip_prefix("/p/") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Selector::Path(&rest[..end]), &rest[end..])
        }
        None => (host.and_then(project_of_host).map_or(Selector::Default, Selector::Host), path),
    }
}

/// Sign-in's own document, where `path` is one of [`DISCOVERY`] with the path of its issuer behind it.
fn discovery<'a>(host: Option<&'a str>, path: &'a str) -> Option<Target<'a>> {
    let (name, issuer) =
        DISCOVERY.into_iter().find_map(|name| Some((name, path.strip_prefix(name)?)))?;
    let (selector, inner) = select(host, issuer);
    let route = ROUTES.iter().find(|route| route.service == Service::Auth)?;
    let bare = inner.is_empty() && !matches!(selector, Selector::Path(_));
    (bare || inner == route.prefix).then_some(Target::Project {
        selector,
        route,
        base_path: name,
        path: name,
    })
}

/// `echelon` of `echelon.localhost:5400`. Names of hosts are the same in any case and with a dot at
/// their end; one that was not recognised would mean the default project instead.
fn project_of_host(host: &str) -> Option<&str> {
    const DOMAIN: &str = ".localhost";
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let (label, domain) = name.split_at_checked(name.len().checked_sub(DOMAIN.len())?)?;
    let known = domain.eq_ignore_ascii_case(DOMAIN) && !label.is_empty() && !label.contains('.');
    known.then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project<'a>(
        host: Option<&'a str>,
        path: &'a str,
    ) -> (Selector<'a>, &'a str, &'a str, &'a str) {
        match resolve(host, path) {
            Target::Project { selector, route, base_path, path } => {
                (selector, route.prefix, base_path, path)
            }
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn the_path_names_the_project_before_the_host_does() {
        let found = project(Some("domo.localhost"), "/p/echelon/rest/v1/tasks");
        assert_eq!(found, (Selector::Path("echelon"), "/rest/v1", "/p/echelon/rest/v1", "/tasks"));
        let found = project(Some("domo.localhost:5400"), "/rest/v1/tasks");
        assert_eq!(found, (Selector::Host("domo"), "/rest/v1", "/rest/v1", "/tasks"));
        for host in ["domo.LOCALHOST", "domo.localhost.", "domo.Localhost.:80"] {
            assert_eq!(project(Some(host), "/rest/v1/tasks").0, Selector::Host("domo"), "{host}");
        }
        for host in [
            None,
            Some(""),
            Some(".localhost"),
            Some("localhost:5400"),
            Some("127.0.0.1"),
            Some("example.org"),
            Some("a.b.localhost"),
        ] {
            assert_eq!(project(host, "/rest/v1/tasks").0, Selector::Default, "{host:?}");
        }
    }

    #[test]
    fn the_root_of_a_part_is_a_slash() {
        assert_eq!(project(None, "/rest/v1").3, "/");
        assert_eq!(project(None, "/rest/v1/").3, "/");
        assert_eq!(project(None, "/rest/v1//").3, "//");
    }

    #[test]
    fn documents_of_sign_in_are_found_at_the_root_too() {
        for name in DISCOVERY {
            for (host, issuer, selector) in [
                (None, "", Selector::Default),
                (None, "/auth/v1", Selector::Default),
                (None, "/p/echelon/auth/v1", Selector::Path("echelon")),
                (Some("domo.localhost"), "/auth/v1", Selector::Host("domo")),
                (Some("domo.localhost"), "", Selector::Host("domo")),
            ] {
                let path = format!("{name}{issuer}");
                assert_eq!(project(host, &path), (selector, "/auth/v1", name, name), "{path}");
            }
            for issuer in ["/", "x", "/p/echelon", "/p/echelon/rest/v1", "/auth/v1/x", "/rest/v1"] {
                let path = format!("{name}{issuer}");
                assert!(matches!(resolve(None, &path), Target::Unrouted(_)), "{path}");
            }
        }
    }

    #[test]
    fn prefixes_match_whole_segments_only() {
        for path in [
            "/rest/v10/x",
            "/rest/v1x",
            "/rest",
            "/p/echelon",
            "/p/echelon/",
            "/p/echelon/health",
            "//",
            "",
        ] {
            assert!(matches!(resolve(None, path), Target::Unrouted(_)), "{path}");
        }
        assert_eq!(resolve(None, "/p/"), Target::Unrouted(Selector::Path("")));
        assert_eq!(resolve(None, "/p//rest/v1/x"), {
            let route = &ROUTES[0];
            let (base_path, path) = ("/p//rest/v1", "/x");
            Target::Project { selector: Selector::Path(""), route, base_path, path }
        });
    }

    #[test]
    fn the_instance_answers_its_own_paths_under_every_host() {
        for path in INSTANCE_PATHS {
            assert_eq!(resolve(None, path), Target::Instance(path));
            assert_eq!(resolve(Some("echelon.localhost"), path), Target::Instance(path));
        }
    }
}
