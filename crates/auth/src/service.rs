//! The sign-in of one project.

use std::sync::{Arc, LazyLock};

use http::{HeaderName, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use crate::captcha::Captcha;
use crate::config::AuthConfig;
use crate::db::{Db, Shared};
use crate::endpoint::{self, Providers};
use crate::error::{Error, Result, code};
use crate::external::Directory;
use crate::hook::Hooks;
use crate::limits::{CodeGuard, Limits};
use crate::mail::Mailer;
use crate::one_time::TokenKey;
use crate::password::{Hasher, PasswordRules};
use crate::refresh::RefreshKey;
use crate::request::{ApiVersion, Request, Response};
use crate::routes::{Guard, ROUTES, Resolved, resolve};
use crate::seal::Sealer;
use crate::session::{SessionRow, session_json};
use crate::sms::SmsSender;
use crate::token::{AssuranceLevel, Claims, SigningKeys, TokenError};
use crate::user::{User, user_json};
use crate::webauthn::{RelyingParty, RelyingPartySettings};

const USER_ID: HeaderName = HeaderName::from_static("sb-auth-user-id");
const SESSION_ID: HeaderName = HeaderName::from_static("sb-auth-session-id");

/// Whole seconds, as PostgreSQL and clocks count them.
pub(crate) fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// What the sign-in of a project works with.
#[derive(Clone)]
pub struct Parts {
    /// The project's name, for the log.
    pub project: Arc<str>,
    /// Its database.
    pub db: Db,
    /// Its settings.
    pub config: Arc<AuthConfig>,
    /// What its tokens are signed with.
    pub keys: Arc<SigningKeys>,
    /// The secret that every project has; refresh tokens hang on it.
    pub secret: plinth_wire::Secret,
    /// URL of the auth part as clients and mails know it, without a slash at its end.
    pub external_url: String,
    /// Hashes passwords, for all projects of the instance.
    pub hasher: Arc<Hasher>,
    /// Sends mails; without one, whoever needs a mail is refused.
    pub mailer: Option<Mailer>,
    /// Sends text messages.
    pub sms: Option<Arc<dyn SmsSender>>,
    /// Limits of requests.
    pub limits: Arc<Limits>,
    /// Limits of guesses at codes.
    pub codes: Arc<CodeGuard>,
    /// What a password must be.
    pub passwords: Arc<PasswordRules>,
    /// Seals what the database must not know, such as the secrets of authenticator apps.
    pub sealer: Arc<Sealer>,
    /// Code of the project that takes part.
    pub hooks: Arc<Hooks>,
    /// Judges whether a person asks; without one, nobody does.
    pub captcha: Option<Captcha>,
    /// Discovery documents and keys of identity providers, for all projects of the instance.
    pub directory: Arc<Directory>,
}

/// The sign-in of one project.
pub struct Auth {
    parts: Parts,
    issuer: String,
    refresh: RefreshKey,
    tokens: TokenKey,
    /// What WebAuthn ceremonies are for; none when the settings do not make one.
    relying_party: Option<RelyingParty>,
    providers: Providers,
}

/// Who asks, once that is known.
#[derive(Debug)]
pub(crate) struct Caller {
    /// What the token says.
    pub(crate) claims: Claims,
    /// The user of the token; admins' tokens have none.
    pub(crate) user: Option<User>,
    /// The session of the token.
    pub(crate) session: Option<SessionRow>,
}

impl Caller {
    /// The client that acts for the user, if it is not the user who asks.
    pub(crate) fn is_app(&self) -> bool {
        let of_app = |session: &SessionRow| session.oauth_client_id.is_some();
        self.claims.client_id.is_some() || self.session.as_ref().is_some_and(of_app)
    }

    /// The caller, unless it is an app: the user let it in, and not to administer the account.
    pub(crate) fn own(self) -> Result<Self> {
        match self.is_app() {
            true => Err(Error::forbidden(
                code::NO_AUTHORIZATION,
                "This endpoint requires a session of the user's own, not that of an OAuth client",
            )),
            false => Ok(self),
        }
    }
}

/// One request under way.
pub(crate) struct Call<'a> {
    pub(crate) auth: &'a Auth,
    pub(crate) request: &'a Request<'a>,
    /// Parameters of the path.
    pub(crate) parameters: Vec<&'a str>,
    /// When it began.
    pub(crate) now: Timestamp,
    caller: Option<Caller>,
}

impl Auth {
    /// The sign-in of a project.
    pub fn new(parts: Parts) -> Self {
        let issuer =
            parts.config.token.issuer.clone().unwrap_or_else(|| parts.external_url.clone());
        let refresh = RefreshKey::new(parts.secret.expose().as_bytes());
        let tokens = TokenKey::new(parts.secret.expose().as_bytes());
        let relying_party = relying_party(&parts.config);
        let providers = Providers::of_config(&parts.config, &parts.external_url, &parts.directory);
        Self { parts, issuer, refresh, tokens, relying_party, providers }
    }

    /// The same with other keys. Whatever was counted stays counted: how often somebody asked, and which codes were wrong.
    #[must_use]
    pub fn with_keys(&self, keys: Arc<SigningKeys>) -> Self {
        Self::new(Parts { keys, ..self.parts.clone() })
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<'_>) -> Response {
        let version = ApiVersion::of(request.headers);
        let response = match Box::pin(self.dispatch(&request)).await {
            Ok(response) => response,
            Err(error) => Response::refusal(&error, version),
        };
        // Nearly every answer has tokens, or says who somebody is (RFC 6749 §5.1).
        response.unless_cached()
    }

    async fn dispatch(&self, request: &Request<'_>) -> Result<Response> {
        let (place, parameters) = match resolve(request.method, request.path) {
            Resolved::Route(place, parameters) => (place, parameters),
            Resolved::MethodNotAllowed => {
                let status = StatusCode::METHOD_NOT_ALLOWED;
                return Err(Error::new(status, code::VALIDATION_FAILED, "Method not allowed"));
            }
            Resolved::NotFound => {
                return Err(Error::not_found(code::VALIDATION_FAILED, "404 page not found"));
            }
        };
        let route = &ROUTES[place];
        let now = Timestamp::now();
        let mut call = Call { auth: self, request, parameters, now, caller: None };
        call.caller = match route.guard {
            Guard::Anyone => None,
            Guard::User => Some(call.signed_in().await?.own()?),
            Guard::UserOrApp => Some(call.signed_in().await?),
            Guard::Admin => Some(call.admin()?),
        };
        call.captcha(route).await?;
        let response = endpoint::answer(route.endpoint, &call).await?;
        Ok(match &call.caller {
            Some(Caller { claims, session: Some(_), .. }) => {
                response.with(USER_ID, &claims.sub).with(SESSION_ID, &claims.session_id)
            }
            _ => response,
        })
    }

    pub(crate) fn db(&self) -> &Db {
        &self.parts.db
    }

    pub(crate) fn config(&self) -> &AuthConfig {
        &self.parts.config
    }

    pub(crate) fn keys(&self) -> &SigningKeys {
        &self.parts.keys
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.parts.hasher
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    pub(crate) fn codes(&self) -> &CodeGuard {
        &self.parts.codes
    }

    pub(crate) fn mailer(&self) -> Option<&Mailer> {
        self.parts.mailer.as_ref()
    }

    pub(crate) fn sms(&self) -> Option<&dyn SmsSender> {
        self.parts.sms.as_deref()
    }

    /// What sends text messages, to be taken along.
    pub(crate) fn carrier(&self) -> Option<Arc<dyn SmsSender>> {
        self.parts.sms.clone()
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.parts.hooks
    }

    pub(crate) fn captcha(&self) -> Option<&Captcha> {
        self.parts.captcha.as_ref()
    }

    pub(crate) fn passwords(&self) -> &PasswordRules {
        &self.parts.passwords
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.parts.sealer
    }

    pub(crate) fn token_key(&self) -> &TokenKey {
        &self.tokens
    }

    /// What WebAuthn ceremonies are for.
    ///
    /// # Errors
    ///
    /// 422 when the project's settings do not say, or name an address, which browsers make no credentials for: no client can
    /// do anything about it, and nothing has failed.
    pub(crate) fn relying_party(&self) -> Result<&RelyingParty> {
        self.relying_party.as_ref().ok_or_else(|| {
            tracing::warn!(project.name = %self.parts.project, "{NO_RELYING_PARTY}");
            let message = "WebAuthn is not available: the site has no domain name";
            Error::unprocessable(code::VALIDATION_FAILED, message)
        })
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.parts.directory
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.providers
    }

    pub(crate) fn refresh_key(&self) -> &RefreshKey {
        &self.refresh
    }

    pub(crate) fn external_url(&self) -> &str {
        &self.parts.external_url
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl<'a> Call<'a> {
    /// Who asks. Only where the route asks for a user or an admin.
    pub(crate) fn caller(&self) -> Result<&Caller> {
        self.caller.as_ref().ok_or_else(no_authorization)
    }

    /// The user who asks.
    pub(crate) fn user(&self) -> Result<&User> {
        self.caller()?.user.as_ref().ok_or_else(no_authorization)
    }

    /// The session of who asks.
    pub(crate) fn session_row(&self) -> Result<&SessionRow> {
        self.caller()?.session.as_ref().ok_or_else(no_authorization)
    }

    /// Whether who asks has proved a second factor: by the session as it is now, which may be weaker than the token
    /// says.
    pub(crate) fn is_strong(&self) -> Result<bool> {
        let caller = self.caller()?;
        Ok(match &caller.session {
            Some(session) => session.is_strong(),
            None => caller.claims.aal == AssuranceLevel::Aal2.as_str(),
        })
    }

    /// Where the user is sent in the end: where the client wants it if that is allowed, else to the
    /// project's site.
    pub(crate) fn redirect_to(&self) -> String {
        let asked = self.request.parameter("redirect_to");
        let header = self.request.header("redirect_to").map(str::to_owned);
        let referer = self.request.header("referer");
        self.auth.config().redirects.choose(asked.or(header).as_deref(), referer).to_owned()
    }

    /// A parameter of the path that is a UUID.
    pub(crate) fn id(&self, place: usize) -> Option<Uuid> {
        self.parameters.get(place)?.parse().ok()
    }

    /// What the token of the request says.
    pub(crate) fn claims(&self) -> Result<Claims> {
        let token = self.request.bearer.ok_or_else(no_authorization)?;
        self.auth.keys().verify(token, self.now.as_second(), 0).map_err(bad_token)
    }

    /// The user and the session that the token names, as they are now.
    pub(crate) async fn signed_in(&self) -> Result<Caller> {
        let claims = self.claims()?;
        if claims.sub.is_empty() {
            let message = "invalid claim: missing sub claim";
            return Err(Error::forbidden(code::BAD_JWT, message));
        }
        // ID tokens have none; they say who somebody is, and open nothing.
        if claims.role.is_empty() {
            let message = "invalid claim: missing role claim";
            return Err(Error::forbidden(code::BAD_JWT, message));
        }
        let user: Uuid = claims.sub.parse().map_err(|_not_a_uuid| {
            Error::bad_request(code::BAD_JWT, "invalid claim: sub claim must be a UUID")
        })?;
        let session: Option<Uuid> = claims.session_id.parse().ok();
        let found = self.find(user, session).await?;
        if found.user.is_banned(self.now) {
            return Err(Error::forbidden(code::USER_BANNED, "User is banned"));
        }
        Ok(Caller { claims, user: Some(found.user), session: found.session })
    }

    async fn find(&self, user: Uuid, session: Option<Uuid>) -> Result<Located> {
        let answers = self.auth.db().read(&LOCATE, &[&user, &session]).await?;
        let located: Option<Located> = answers.json(0)?;
        let located = located.ok_or_else(|| {
            Error::forbidden(code::USER_NOT_FOUND, "User from sub claim in JWT does not exist")
        })?;
        if session.is_some() && located.session.is_none() {
            let message = "Session from session_id claim in JWT does not exist";
            return Err(Error::forbidden(code::SESSION_NOT_FOUND, message));
        }
        Ok(located)
    }

    /// Somebody whose token has a role that administers users.
    pub(crate) fn admin(&self) -> Result<Caller> {
        let claims = self.claims()?;
        let is_admin = self.auth.config().token.admin_roles.contains(&claims.role);
        if !is_admin || claims.client_id.is_some() {
            return Err(Error::forbidden(code::NOT_ADMIN, "User not allowed"));
        }
        Ok(Caller { claims, user: None, session: None })
    }
}

/// What is to be done about it that there is none.
const NO_RELYING_PARTY: &str = "passkeys and security keys cannot work: set `rp_id` in [auth.webauthn] to the domain of the site, \
                                for it cannot be an IP address, and `rp_origins` to the origins of its pages";

fn relying_party(config: &AuthConfig) -> Option<RelyingParty> {
    let passkey = &config.passkey;
    let settings = RelyingPartySettings {
        id: passkey.rp_id.clone(),
        display_name: passkey.rp_display_name.clone(),
        origins: passkey.rp_origins.clone(),
        timeout: passkey.challenge_expiry,
    };
    let made = RelyingParty::new(&settings);
    if let (Err(error), true) = (&made, passkey.enabled || config.mfa.web_authn.verify) {
        tracing::error!(error = %error, "{NO_RELYING_PARTY}");
    }
    made.ok()
}

/// Reads a user and one of its sessions as [`Located`].
pub(crate) static LOCATE: Shared = LazyLock::new(|| {
    concat!(
        "select json_build_object('user', ",
        user_json!(),
        ", 'session', (select ",
        session_json!(),
        " from auth.sessions s where s.id = $2::uuid and s.user_id = u.id)) \
         from auth.users u where u.id = $1::uuid and u.deleted_at is null"
    )
    .into()
});

/// A user with the session that a token names, if that is still there.
#[derive(serde::Deserialize)]
struct Located {
    user: User,
    session: Option<SessionRow>,
}

fn no_authorization() -> Error {
    let message = "This endpoint requires a valid Bearer token";
    Error::new(StatusCode::UNAUTHORIZED, code::NO_AUTHORIZATION, message)
}

fn bad_token(error: TokenError) -> Error {
    let message = format!("invalid JWT: unable to parse or verify signature, {error}");
    Error::forbidden(code::BAD_JWT, message)
}
