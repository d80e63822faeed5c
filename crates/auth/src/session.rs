//! Sessions: signing in makes one, refreshing keeps it, signing out ends it.

use std::sync::LazyLock;

use jiff::Timestamp;
use plinth_wire::WireError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{self, Action};
use crate::db::{Shared, Work};
use crate::error::{Error, Result, code};
use crate::hook::HookKind;
use crate::refresh::{self, RefreshToken};
use crate::service::{Call, seconds};
use crate::token::{AccessToken, AmrEntry, AssuranceLevel, Claims};
use crate::user::{User, UserView, user_json};

/// Reads the session `s` as JSON, with its ways of signing in, newest first.
macro_rules! session_json {
    () => {
        "(select row_to_json(session_row) from (select s.*, \
         (select coalesce(json_agg(json_build_object('method', a.authentication_method, \
         'timestamp', extract(epoch from a.updated_at)::bigint) order by a.updated_at desc), '[]') \
         from auth.mfa_amr_claims a where a.session_id = s.id) as amr) session_row)"
    };
}
pub(crate) use session_json;

/// A session and its user, as [`Found`].
static READ: Shared = LazyLock::new(|| {
    concat!(
        "select json_build_object('session', ",
        session_json!(),
        ", 'user', ",
        user_json!(),
        ") from auth.sessions s join auth.users u on u.id = s.user_id where s.id = $1::uuid"
    )
    .into()
});

const INSERT: &str = "\
insert into auth.sessions (id, user_id, created_at, updated_at, aal, refreshed_at, user_agent, ip, refresh_token_counter, \
oauth_client_id, scopes) \
values ($1::uuid, $2::uuid, now(), now(), 'aal1', null, $3, $4::inet, 0, $5::uuid, $6)";

const INSERT_AMR: &str = "\
insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method) \
values (gen_random_uuid(), $1::uuid, now(), now(), $2) \
on conflict (session_id, authentication_method) do update set updated_at = now()";

const SIGNED_IN: &str =
    "update auth.users set last_sign_in_at = now(), updated_at = now() where id = $1::uuid";

const END: &str = "delete from auth.sessions where id = $1::uuid";

const END_OTHERS: &str = "delete from auth.sessions where user_id = $1::uuid and id <> $2::uuid and oauth_client_id is null";

const STEP_UP: &str = "\
with stepped as (update auth.sessions set aal = 'aal2', factor_id = $2::uuid, \
  refresh_token_counter = coalesce(refresh_token_counter, 0) + $3::bigint, \
  refreshed_at = now() at time zone 'utc', updated_at = now() where id = $1::uuid returning 1) \
select 1 / count(*) from stepped";

const STEP_DOWN: &str = "\
with weakened as (update auth.sessions set aal = 'aal1', factor_id = null, updated_at = now() \
  where factor_id = $1::uuid returning id) \
delete from auth.mfa_amr_claims a using weakened w \
where a.session_id = w.id and a.authentication_method = any (string_to_array($2, ','))";

const END_WEAKER: &str = "\
delete from auth.sessions where user_id = $1::uuid and id <> $2::uuid and aal is distinct from 'aal2' \
and aal is distinct from 'aal3' and oauth_client_id is null";

/// A row of `auth.sessions` with the ways of signing in.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SessionRow {
    /// Primary key.
    pub id: Uuid,
    /// `aal1` or `aal2`.
    pub aal: Option<String>,
    /// When the user signed in.
    pub created_at: Option<Timestamp>,
    /// The number of the current refresh token.
    pub refresh_token_counter: Option<i64>,
    /// The client that acts for the user, when it is not the user's own.
    pub oauth_client_id: Option<Uuid>,
    /// What that client may do.
    pub scopes: Option<String>,
    /// How the user signed in, newest first.
    #[serde(default)]
    pub amr: Vec<AmrEntry>,
}

impl SessionRow {
    /// Whether a second factor was proved in it.
    pub(crate) fn is_strong(&self) -> bool {
        self.aal.as_deref() == Some(AssuranceLevel::Aal2.as_str())
    }
}

/// What a client gets that has signed in.
#[derive(Debug, Serialize)]
pub(crate) struct Session {
    /// A JWT.
    pub access_token: String,
    token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// When it expires, in Unix seconds.
    pub expires_at: i64,
    /// Gets the next access token.
    pub refresh_token: String,
    /// Who signed in.
    pub user: UserView,
    /// Token of the provider that vouched for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_token: Option<String>,
    /// Refresh token of that provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_refresh_token: Option<String>,
    /// What is weak about the password. Sign-in by password always says something, if only null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_password: Option<Value>,
}

/// How somebody signs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignIn<'a> {
    /// The method as access tokens name it, such as `password`.
    pub method: &'a str,
    /// For the log, such as `email`.
    pub provider: &'a str,
    /// A client that acts for the user.
    pub oauth_client: Option<Uuid>,
    /// What that client may do.
    pub scopes: Option<&'a str>,
    /// The id of the session to be, when something else has it already.
    pub session: Option<Uuid>,
}

impl<'a> SignIn<'a> {
    /// The user's own sign-in by `method`.
    pub(crate) fn by(method: &'a str, provider: &'a str) -> Self {
        Self { method, provider, oauth_client: None, scopes: None, session: None }
    }
}

impl Call<'_> {
    /// Signs `user` in, in one transaction with what is in `work` already.
    ///
    /// # Errors
    ///
    /// Those of the database and of the hook on access tokens.
    pub(crate) async fn sign_in(
        &self,
        work: Work,
        user: &User,
        how: SignIn<'_>,
    ) -> Result<Session> {
        self.sign_in_with(work, user, how, saving_user).await
    }

    /// As [`Call::sign_in`]; `failed` knows what the statements in `work` may raise.
    ///
    /// # Errors
    ///
    /// As [`Call::sign_in`].
    pub(crate) async fn sign_in_with(
        &self,
        mut work: Work,
        user: &User,
        how: SignIn<'_>,
        failed: impl FnOnce(WireError) -> Error,
    ) -> Result<Session> {
        let session = how.session.unwrap_or_else(Uuid::new_v4);
        let agent = self.request.user_agent();
        work.add(
            INSERT,
            &[&session, &user.id, &agent, &self.request.client_ip, &how.oauth_client, &how.scopes],
        );
        work.add(INSERT_AMR, &[&session, &how.method]);
        work.add(SIGNED_IN, &[&user.id]);
        let single = self.auth.config().sessions.single_per_user && how.oauth_client.is_none();
        // A sign-in that the hook may still refuse must not end the others.
        let undecided = self.has_hook(HookKind::CustomAccessToken);
        if single && !undecided {
            work.add(END_OTHERS, &[&user.id, &session]);
        }
        let provider = json!({"provider": how.provider});
        audit::add(&mut work, self.request, user, Action("login"), provider);
        let place = read(&mut work, session);
        let answers = self.auth.db().try_run(work).await.map_err(failed)?;
        let found: Found = answers.json(place)?.ok_or_else(no_session)?;
        let signed_in = match self.session(&found.session, &found.user).await {
            Ok(signed_in) => signed_in,
            Err(error) => {
                self.auth.db().query(END, &[&session]).await?;
                return Err(error);
            }
        };
        if single && undecided {
            self.auth.db().query(END_OTHERS, &[&user.id, &session]).await?;
        }
        Ok(signed_in)
    }

    /// The tokens of a session. When the hook on access tokens refuses, the session stays as it is.
    ///
    /// # Errors
    ///
    /// Those of the hook.
    pub(crate) async fn session(&self, session: &SessionRow, user: &User) -> Result<Session> {
        let method = session.amr.first().map(|amr| amr.method.as_str()).unwrap_or_default();
        self.session_by(session, user, method).await
    }

    /// As [`Call::session`]; `method` is what the hook is told about how the tokens came to be asked for.
    ///
    /// # Errors
    ///
    /// Those of the hook.
    pub(crate) async fn session_by(
        &self,
        session: &SessionRow,
        user: &User,
        method: &str,
    ) -> Result<Session> {
        let now = self.now.as_second();
        let config = self.auth.config();
        let lifetime = seconds(config.token.lifetime);
        let client = session.oauth_client_id.map(|id| id.to_string());
        let claims = Claims::access_token(AccessToken {
            issuer: self.auth.issuer(),
            user_id: user.id,
            session_id: session.id,
            audience: user.aud(),
            role: user.role(),
            email: user.email(),
            phone: user.phone(),
            app_metadata: user.app_metadata(),
            user_metadata: user.user_metadata(),
            amr: session.amr.clone(),
            is_anonymous: user.is_anonymous,
            issued_at: now,
            lifetime_s: lifetime,
            client_id: client.as_deref(),
            scope: session.scopes.as_deref(),
        });
        let access_token = self.access_token(user, claims, method).await?;
        let number = session.refresh_token_counter.unwrap_or_default();
        Ok(Session {
            access_token,
            token_type: "bearer",
            expires_in: lifetime,
            expires_at: now + lifetime,
            refresh_token: self
                .auth
                .refresh_key()
                .write(RefreshToken { session: session.id, number }),
            user: user.view(),
            provider_token: None,
            provider_refresh_token: None,
            weak_password: None,
        })
    }
}

/// A session with its user.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    /// The session.
    pub session: SessionRow,
    /// Whose it is.
    pub user: User,
}

/// Adds the reading of a session and its user to `work`; returns the place of its answer, a [`Found`].
pub(crate) fn read(work: &mut Work, session: Uuid) -> usize {
    work.add_shared(&READ, &[&session])
}

/// A second factor was proved in `session` by `method`: the session is `aal2`, its refresh token is a new one, and
/// those of before are dead. The transaction fails when the session is gone.
pub(crate) fn step_up(work: &mut Work, session: Uuid, factor: Uuid, method: &str) {
    work.add(STEP_UP, &[&session, &factor, &refresh::STEP_UP]);
    work.add(INSERT_AMR, &[&session, &method]);
}

/// Sessions that were `aal2` by `factor` are not any more.
pub(crate) fn step_down(work: &mut Work, factor: Uuid) {
    let methods = AssuranceLevel::SECOND_FACTORS.join(",");
    work.add(STEP_DOWN, &[&factor, &methods]);
}

/// Ends the user's other sessions without a second factor. Those of clients that act for the user stay: they were
/// allowed what they may do, and a factor is none of theirs.
pub(crate) fn end_weaker(work: &mut Work, user: Uuid, session: Uuid) {
    work.add(END_WEAKER, &[&user, &session]);
}

/// Ends the user's other sessions.
pub(crate) fn end_others(work: &mut Work, user: Uuid, session: Uuid) {
    work.add(END_OTHERS, &[&user, &session]);
}

fn no_session() -> Error {
    Error::forbidden(code::SESSION_NOT_FOUND, "Session from session_id claim in JWT does not exist")
}

/// What it means that a statement on `auth.users` failed: people hang triggers on that table, and when
/// one of them fails, so does the sign-up.
pub(crate) fn saving_user(error: WireError) -> Error {
    let WireError::Database(database) = &error else { return error.into() };
    match (database.code.as_str(), database.constraint.as_deref()) {
        ("23505", Some("users_phone_key")) => Error::unprocessable(
            code::PHONE_EXISTS,
            "A user with this phone number has already been registered",
        ),
        ("23505", Some("users_email_partial_key")) => Error::unprocessable(
            code::EMAIL_EXISTS,
            "A user with this email address has already been registered",
        ),
        ("23505", Some("users_pkey")) => {
            Error::unprocessable(code::USER_ALREADY_EXISTS, "A user with this id already exists")
        }
        ("23505", Some("identities_provider_id_provider_unique")) => Error::unprocessable(
            code::IDENTITY_ALREADY_EXISTS,
            "Identity is already linked to another user",
        ),
        // Deleted between our look and our step.
        ("23503", Some("mfa_amr_claims_session_id_fkey")) => no_session(),
        (
            "23503",
            Some(
                "sessions_user_id_fkey"
                | "identities_user_id_fkey"
                | "one_time_tokens_user_id_fkey"
                | "mfa_factors_user_id_fkey"
                | "webauthn_credentials_user_id_fkey",
            ),
        ) => Error::forbidden(code::USER_NOT_FOUND, "User not found"),
        ("55P03" | "40P01" | "40001" | "57014", _) => error.into(),
        _ => {
            tracing::warn!(
                sqlstate = %database.code,
                error = %database.message,
                hint = database.hint.as_deref(),
                "a user cannot be saved; look at the triggers on auth.users"
            );
            Error::internal("Database error saving new user")
        }
    }
}
