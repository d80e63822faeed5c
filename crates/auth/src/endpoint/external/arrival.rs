//! Somebody whom a provider vouches for signs in: in one transaction with the user and the identity.

use http::StatusCode;
use plinth_wire::WireError;
use uuid::Uuid;

use super::kept;
use super::providers::Configured;
use super::visitor::{Arranged, Outcome, Visitor, needs_verification, not_banned};
use crate::account;
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::external::{Profile, ProviderTokens};
use crate::flow::{self, Flow};
use crate::limits;
use crate::one_time::{self, Kind};
use crate::post::{Letter, Notice};
use crate::service::{Call, seconds};
use crate::session::{Session, SignIn, saving_user};
use crate::user::User;

/// How often it is decided anew who a visitor is, when others change the same user meanwhile.
const TRIES: usize = 3;

/// Who comes, with what, and what for.
pub(super) struct Arrival<'a> {
    /// The provider that vouches.
    pub(super) configured: &'a Configured,
    /// For whom.
    pub(super) profile: &'a Profile,
    /// The account's tokens, when they are known.
    pub(super) tokens: Option<&'a ProviderTokens>,
    /// The user who gets the identity, instead of whoever it makes sign in.
    pub(super) target: Option<Uuid>,
    /// The token of an invitation.
    pub(super) invite: Option<&'a str>,
    /// How it began.
    pub(super) flow: Option<&'a Flow>,
}

/// What the visitor leaves with.
pub(super) enum Departure {
    /// A session.
    Session(Box<Session>),
    /// A code, for the client that began the flow.
    Code(String),
}

impl Arrival<'_> {
    fn visitor(&self) -> Visitor<'_> {
        Visitor {
            provider: &self.configured.name,
            email_optional: self.configured.provider.email_optional(),
            profile: self.profile,
        }
    }

    /// Signs the visitor in, or gives the code by which the client does.
    ///
    /// # Errors
    ///
    /// Those of [`Visitor::arrange`], 422 when the identity is somebody's already or the address has to be proved first.
    pub(super) async fn settle(&self, call: &Call<'_>) -> Result<Departure> {
        let mut tries = 1;
        loop {
            match self.attempt(call).await {
                Err(error) if tries < TRIES && self.may_differ(&error) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Whether somebody else was quicker, so that it has to be decided anew.
    fn may_differ(&self, error: &Error) -> bool {
        let raced = [code::CONFLICT, code::IDENTITY_ALREADY_EXISTS, code::EMAIL_EXISTS];
        self.target.is_none() && self.invite.is_none() && raced.contains(&error.code)
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Departure> {
        let Arranged { user, mut work, outcome } = self.arrange(call).await?;
        let provider = self.configured.name.as_str();
        if outcome == Outcome::Unproved {
            call.auth.db().try_run(work).await.map_err(failed)?;
            return Err(self.prove(call, user.id).await?);
        }
        if let Some(tokens) = self.tokens {
            kept::keep(call, &mut work, self.configured, user.id, self.profile, tokens)?;
        }
        let departure = match self.flow {
            Some(flow) if flow.code_challenge.is_some() => {
                let code = flow::grant(&mut work, flow.id, user.id);
                if let Some(tokens) = self.tokens {
                    kept::into_flow(call, &mut work, flow, tokens)?;
                }
                call.auth.db().try_run(work).await.map_err(failed)?;
                Departure::Code(code)
            }
            flow => {
                if let Some(flow) = flow {
                    flow.consume(&mut work);
                }
                let how = SignIn::by("oauth", provider);
                let session = call.sign_in_with(work, &user, how, failed).await?;
                Departure::Session(Box::new(session))
            }
        };
        if outcome == Outcome::Linked {
            let user = account::find(call.auth.db(), user.id).await?;
            if let Some(user) = user {
                call.notify(&user, Notice::IdentityLinked { provider });
            }
        }
        Ok(departure)
    }

    async fn arrange(&self, call: &Call<'_>) -> Result<Arranged> {
        if let Some(target) = self.target {
            return self.link(call, target).await;
        }
        let Some(invite) = self.invite else { return self.visitor().arrange(call).await };
        let token = one_time::find_by_link(call.auth.db(), invite).await?;
        let expiry = seconds(call.auth.config().email.otp_expiry);
        let token = token.filter(|token| {
            token.kind == Kind::Confirmation && !token.is_expired(call.now, expiry)
        });
        let token =
            token.ok_or_else(|| Error::not_found(code::INVITE_NOT_FOUND, "Invite not found"))?;
        let mut work = Work::new();
        token.consume(&mut work);
        self.visitor().invited(call, token.user, work)
    }

    /// The identity becomes one of `target`'s.
    async fn link(&self, call: &Call<'_>, target: Uuid) -> Result<Arranged> {
        let found = account::find(call.auth.db(), target).await?;
        let user = found.filter(|user| user.deleted_at.is_none()).ok_or_else(|| {
            Error::unprocessable(code::USER_NOT_FOUND, "Linking target user not found")
        })?;
        not_banned(call, &user)?;
        let visitor = self.visitor();
        let already =
            "select to_json(user_id) from auth.identities where provider = $1 and provider_id = $2";
        let db = call.auth.db();
        let answers = db.query(already, &[&visitor.provider, &self.profile.provider_id]).await?;
        if let Some(owner) = answers.json::<Uuid>(0)? {
            let message = match owner == user.id {
                true => "Identity is already linked",
                false => "Identity is already linked to another user",
            };
            return Err(Error::unprocessable(code::IDENTITY_ALREADY_EXISTS, message));
        }
        let mut work = Work::new();
        visitor.insert(&mut work, user.id);
        if let (true, Some((email, true))) = (user.email().is_empty(), visitor.email()) {
            let set = "update auth.users set email = $2, updated_at = now() where id = $1::uuid and coalesce(email, '') = ''";
            work.add(set, &[&user.id, &email]);
            account::confirm_email(&mut work, user.id);
        }
        account::follow_providers(&mut work, user.id);
        let somebody =
            "update auth.users set is_anonymous = false where id = $1::uuid and is_anonymous";
        work.add(somebody, &[&user.id]);
        let log = serde_json::json!({"provider": visitor.provider, "provider_id": self.profile.provider_id});
        audit::add(&mut work, call.request, &user, Action("identity_linked"), log);
        Ok(Arranged { user, work, outcome: Outcome::Linked })
    }

    /// Mails the link by which the address is proved; gives the refusal until that has happened.
    async fn prove(&self, call: &Call<'_>, user: Uuid) -> Result<Error> {
        let found: Option<User> = account::find(call.auth.db(), user).await?;
        let user = found.ok_or_else(|| Error::internal("Database error finding user"))?;
        call.limit_message(limits::Kind::SignUp, user.email())?;
        call.send_link(&user, Kind::Confirmation, Letter::Confirmation, None).await?;
        Ok(needs_verification(&self.configured.name, true))
    }
}

/// What it means that the transaction failed.
fn failed(error: WireError) -> Error {
    if !condition_failed(&error) {
        return saving_user(error);
    }
    let message = "The user was changed by somebody else at the same time";
    Error::new(StatusCode::CONFLICT, code::CONFLICT, message)
}
