//! Asking the project's own code: see [`crate::hook`].

use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::account::NewUser;
use crate::db::{Db, Work};
use crate::error::{Error, Result, code};
use crate::hook::payload::{self, EmailData, Metadata, SmsData};
use crate::hook::{
    FUNCTION_TIMEOUT, FunctionHook, Hook, HookError, HookKind, MAX_ANSWER, Outcome, interpret,
};
use crate::service::Call;
use crate::token::Claims;
use crate::user::User;

/// Bounds the statements that follow in the transaction, in milliseconds.
const LIMIT_TIME: &str = "select set_config('statement_timeout', $1, true)";

const END_ALL: &str = "delete from auth.sessions where user_id = $1::uuid";

impl Call<'_> {
    /// Whether the project has a hook of `kind`.
    pub(crate) fn has_hook(&self, kind: HookKind) -> bool {
        self.auth.hooks().get(kind).is_some()
    }

    /// Asks the hook before a user is made, as the user would be.
    ///
    /// # Errors
    ///
    /// What the hook says to the client, or that it cannot be asked.
    pub(crate) async fn before_user_created(&self, new: &NewUser<'_>) -> Result<()> {
        let kind = HookKind::BeforeUserCreated;
        self.ask(kind, |metadata| payload::before_user_created(metadata, self.preview(new)))
            .await?;
        Ok(())
    }

    /// Tells the hook that a user was made.
    ///
    /// # Errors
    ///
    /// As for [`Call::before_user_created`]; the user is there all the same.
    pub(crate) async fn after_user_created(&self, user: &User) -> Result<()> {
        let kind = HookKind::AfterUserCreated;
        self.ask(kind, |metadata| payload::after_user_created(metadata, json!(user.view())))
            .await?;
        Ok(())
    }

    fn preview(&self, new: &NewUser<'_>) -> Value {
        json!({
            "id": new.id,
            "aud": new.aud,
            "role": new.role,
            "email": new.email.unwrap_or_default(),
            "phone": new.phone.unwrap_or_default(),
            "app_metadata": new.app_metadata,
            "user_metadata": new.user_metadata,
            "identities": [],
            "created_at": self.now,
            "updated_at": self.now,
            "is_anonymous": new.is_anonymous,
        })
    }

    /// Signs the claims, after the project's hook had its say.
    ///
    /// # Errors
    ///
    /// What the hook says to the client, or that it cannot be asked.
    pub(crate) async fn access_token(
        &self,
        user: &User,
        claims: Claims,
        method: &str,
    ) -> Result<String> {
        let asked = |metadata: &Metadata| {
            payload::custom_access_token(metadata, user.id, object(&claims), method)
        };
        let keys = self.auth.keys();
        let signed = match self.ask(HookKind::CustomAccessToken, asked).await? {
            Some(Outcome::Claims(own)) => keys.sign(&own),
            _ => keys.sign(&claims),
        };
        signed.map_err(|error| {
            tracing::error!(error = %error, "an access token cannot be signed");
            Error::internal("Error generating jwt token")
        })
    }

    /// Asks the hook after a password was compared, right or wrong.
    ///
    /// # Errors
    ///
    /// 400 `invalid_credentials` when the hook rejects the attempt; what the hook says to the client, or
    /// that it cannot be asked.
    pub(crate) async fn password_hook(&self, user: Uuid, valid: bool) -> Result<()> {
        let asked =
            |metadata: &Metadata| payload::password_verification_attempt(metadata, user, valid);
        let outcome = self.ask(HookKind::PasswordVerificationAttempt, asked).await?;
        let rejected = |message| Error::bad_request(code::INVALID_CREDENTIALS, message);
        self.judged(user, outcome, rejected).await
    }

    /// Asks the hook after the code of a factor was compared, right or wrong. `factor_type` is `totp`,
    /// `phone` or `webauthn`.
    ///
    /// # Errors
    ///
    /// 403 `mfa_verification_rejected` when the hook rejects the attempt, and then all sessions of the user
    /// have ended; what the hook says to the client, or that it cannot be asked.
    pub(crate) async fn mfa_hook(
        &self,
        user: Uuid,
        factor: Uuid,
        factor_type: &str,
        valid: bool,
    ) -> Result<()> {
        let asked = |metadata: &Metadata| {
            payload::mfa_verification_attempt(metadata, user, factor, factor_type, valid)
        };
        let outcome = self.ask(HookKind::MfaVerificationAttempt, asked).await?;
        let rejected = |message| Error::forbidden(code::MFA_VERIFICATION_REJECTED, message);
        self.judged(user, outcome, rejected).await
    }

    async fn judged(
        &self,
        user: Uuid,
        outcome: Option<Outcome>,
        rejected: impl FnOnce(String) -> Error,
    ) -> Result<()> {
        let Some(Outcome::Reject { message, log_out }) = outcome else { return Ok(()) };
        if log_out {
            self.auth.db().query(END_ALL, &[&user]).await?;
        }
        Err(rejected(message))
    }

    /// Has the hook send a mail. `false` when there is none.
    ///
    /// # Errors
    ///
    /// As for [`Call::before_user_created`].
    pub(crate) async fn send_email_hook(&self, user: &User, data: &EmailData<'_>) -> Result<bool> {
        let asked = |metadata: &Metadata| payload::send_email(metadata, json!(user.view()), data);
        self.ask_sender(HookKind::SendEmail, asked).await
    }

    /// Has the hook send a text message. `false` when there is none.
    ///
    /// # Errors
    ///
    /// As for [`Call::before_user_created`].
    pub(crate) async fn send_sms_hook(&self, user: &User, sms: &SmsData<'_>) -> Result<bool> {
        let asked = |metadata: &Metadata| payload::send_sms(metadata, json!(user.view()), sms);
        self.ask_sender(HookKind::SendSms, asked).await
    }

    /// Tells the hook that sends mails of something that has happened, and waits for nothing. `false` when
    /// there is none.
    pub(crate) fn notice_hook(&self, user: &User, data: &EmailData<'_>) -> bool {
        let asked = |metadata: &Metadata| payload::send_email(metadata, json!(user.view()), data);
        self.ask_in_background(HookKind::SendEmail, asked)
    }

    /// Whether strangers ask about users here, and get the same answer whatever is done.
    pub(crate) fn is_unheard(&self) -> bool {
        ["/recover", "/resend"].contains(&self.request.path.trim_end_matches('/'))
    }

    /// Asks a hook that sends something. Where strangers may ask about users, nobody waits for it: neither
    /// what it says nor how long it takes tells whether there is such a user.
    async fn ask_sender(
        &self,
        kind: HookKind,
        asked: impl FnOnce(&Metadata) -> Value,
    ) -> Result<bool> {
        if self.is_unheard() {
            return Ok(self.ask_in_background(kind, asked));
        }
        Ok(self.ask(kind, asked).await?.is_some())
    }

    fn ask_in_background(&self, kind: HookKind, asked: impl FnOnce(&Metadata) -> Value) -> bool {
        let hooks = self.auth.hooks();
        let Some(hook) = hooks.get(kind).cloned() else { return false };
        let Ok(place) = hooks.background.clone().try_acquire_owned() else {
            tracing::error!(hook = kind.key(), "too many calls are under way, one was not made");
            return true;
        };
        let (db, payload) = (self.auth.db().clone(), asked(&self.metadata()));
        tokio::spawn(async move {
            // What went wrong is in the log already.
            drop(consult(&db, &hook, kind, &payload).await);
            drop(place);
        });
        true
    }

    /// Asks the hook of `kind`; `None` when there is none.
    async fn ask(
        &self,
        kind: HookKind,
        asked: impl FnOnce(&Metadata) -> Value,
    ) -> Result<Option<Outcome>> {
        let Some(hook) = self.auth.hooks().get(kind) else { return Ok(None) };
        let payload = asked(&self.metadata());
        Box::pin(consult(self.auth.db(), hook, kind, &payload)).await.map(Some)
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(self.now, Some(self.request.client_ip))
    }
}

/// Asks a hook; what it fails with is logged here, and nothing of it but its own words reaches the client.
async fn consult(db: &Db, hook: &Hook, kind: HookKind, payload: &Value) -> Result<Outcome> {
    let answer = match hook {
        Hook::Function(function) => call_function(db, function, payload).await?,
        Hook::Http(http) => http.call(payload).await,
    };
    let outcome = answer.and_then(|answer| interpret(kind, answer.as_deref()));
    outcome.map_err(|error| {
        match &error {
            HookError::Refused { status, .. } => {
                tracing::info!(hook = kind.key(), status, "a hook refused");
            }
            HookError::Function { source, .. } => {
                tracing::warn!(hook = kind.key(), error = %error, cause = %source, "a hook failed");
            }
            error => tracing::warn!(hook = kind.key(), error = %error, "a hook failed"),
        }
        let status =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Error::new(status, error.code(), error.to_string())
    })
}

/// Calls a function in a transaction of its own, which ends with it.
async fn call_function(
    db: &Db,
    function: &FunctionHook,
    payload: &Value,
) -> Result<Result<Option<Vec<u8>>, HookError>> {
    let mut work = Work::of(LIMIT_TIME, &[&FUNCTION_TIMEOUT.as_millis().to_string()]);
    let place = work.add(&function.sql, &[payload]);
    let answers = match db.try_run(work).await {
        Ok(answers) => answers,
        Err(error) => return Ok(Err(function.failed(error)?)),
    };
    let text = answers.text(place).map(|text| text.as_bytes().to_vec());
    Ok(match text {
        Some(text) if text.len() > MAX_ANSWER => Err(HookError::TooLarge),
        text => Ok(text),
    })
}

fn object(claims: &Claims) -> Map<String, Value> {
    match json!(claims) {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
