//! Whom a provider vouches for, and which user that is.
//!
//! An identity that is known decides. Otherwise an address does, but only one that the provider has verified: whoever
//! merely claims an address gets nobody's account by it. A user of the address who never proved it may be anybody, so that
//! whoever does prove it gets the account without what was laid there before: password, identities, factors, sessions.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::{self, NewUser};
use crate::audit::{self, Action};
use crate::db::Work;
use crate::email;
use crate::error::{Error, Result, code};
use crate::external::Profile;
use crate::service::Call;
use crate::user::{Object, USER, User, merged, provider_metadata};

const FIND: &str = "\
select jsonb_build_object(\
'known', (select {USER} from auth.users u where u.id = \
(select o.user_id from auth.identities o where o.provider = $1 and o.provider_id = $2)), \
'same', (select coalesce(jsonb_agg({USER}), '[]') from auth.users u \
where u.email in (select jsonb_array_elements_text($3::jsonb)) and u.is_sso_user = false and u.deleted_at is null))";

/// The transaction comes to nothing unless the user is as it was when it was decided about.
const HOLD: &str = "\
with held as (select 1 from auth.users u where u.id = $1::uuid and u.email is not distinct from $2 \
and (u.email_confirmed_at is not null) = $3::boolean and u.deleted_at is null for update) select 1 / count(*) from held";

const REFRESH: &str = "\
with known as (update auth.identities set identity_data = $4::jsonb, last_sign_in_at = now(), updated_at = now() \
where user_id = $1::uuid and provider = $2 and provider_id = $3 returning 1) select 1 / count(*) from known";

const MERGE: &str = "\
update auth.users set raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || $2::jsonb, updated_at = now() where id = $1::uuid";

/// What somebody has laid into an account whose address they never proved. What administrators wrote stays.
const STRIP: [&str; 6] = [
    "delete from auth.identities where user_id = $1::uuid",
    "delete from auth.sessions where user_id = $1::uuid",
    "delete from auth.mfa_factors where user_id = $1::uuid",
    "delete from auth.webauthn_credentials where user_id = $1::uuid",
    "delete from auth.one_time_tokens where user_id = $1::uuid",
    "delete from auth.flow_state where user_id = $1::uuid",
];

const STRIP_USER: &str = "\
update auth.users set encrypted_password = null, raw_user_meta_data = $2::jsonb, phone = null, phone_change = '', \
phone_change_token = '', email_change = '', email_change_token_new = '', email_change_token_current = '', \
email_change_confirm_status = 0, confirmation_token = '', recovery_token = '', reauthentication_token = '', \
updated_at = now() where id = $1::uuid";

/// Somebody for whom a provider vouches.
#[derive(Clone, Copy)]
pub(super) struct Visitor<'a> {
    /// The provider, as identities name it.
    pub(super) provider: &'a str,
    /// Whether somebody may come without an address.
    pub(super) email_optional: bool,
    /// What the provider says.
    pub(super) profile: &'a Profile,
}

/// A user and what must be written so that the visitor is that user.
pub(super) struct Arranged {
    /// Who it is; before the writing.
    pub(super) user: User,
    /// What is to be written.
    pub(super) work: Work,
    /// What comes of it.
    pub(super) outcome: Outcome,
}

/// What comes of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The user signs in.
    SignsIn,
    /// The user signs in, and has one identity more.
    Linked,
    /// The address has to be proved first; a mail is to be sent.
    Unproved,
}

#[derive(Deserialize)]
struct Found {
    known: Option<User>,
    same: Vec<User>,
}

impl Visitor<'_> {
    /// What is stored with the identity.
    pub(super) fn data(&self) -> Value {
        Value::Object(self.profile.metadata.clone())
    }

    /// The address to be known by, if it is one, and whether the provider has verified it.
    pub(super) fn email(&self) -> Option<(String, bool)> {
        let email = self.profile.email()?;
        Some((email::normalize(&email.email).ok()?, email.verified))
    }

    /// The addresses that the provider has verified.
    fn verified(&self) -> Vec<String> {
        let verified = self.profile.emails.iter().filter(|email| email.verified);
        verified.filter_map(|email| email::normalize(&email.email).ok()).collect()
    }

    async fn find(&self, call: &Call<'_>) -> Result<Found> {
        let mut emails = self.verified();
        emails.extend(self.email().map(|(email, _)| email));
        let sql = FIND.replace("{USER}", USER);
        let parameters: &[&dyn crate::db::Param] =
            &[&self.provider, &self.profile.provider_id, &json!(emails)];
        let found: Option<Found> = call.auth.db().query(&sql, parameters).await?.json(0)?;
        found.ok_or_else(|| Error::internal("Database error finding identity"))
    }

    /// Decides who the visitor is.
    ///
    /// # Errors
    ///
    /// 403 for banned users, 422 where nobody may sign up or an address is needed; those of the database.
    pub(super) async fn arrange(&self, call: &Call<'_>) -> Result<Arranged> {
        account::check_metadata(&Object::new(), &self.profile.metadata)?;
        let found = self.find(call).await?;
        if let Some(user) = found.known {
            return self.known(call, user);
        }
        let verified = self.verified();
        let proved = |user: &&User| verified.iter().any(|email| email == user.email());
        let mut owners = found.same.iter().filter(proved).filter(|user| user.email_is_confirmed());
        match (owners.next(), owners.next()) {
            (Some(user), None) => return self.linked(call, user.clone()),
            (Some(_), Some(_)) => {
                let message = "Multiple accounts with the same email address in the same linking domain detected";
                return Err(Error::internal(message));
            }
            (None, _) => {}
        }
        let email = self.email();
        let holder = email.as_ref().and_then(|(email, _)| {
            found.same.into_iter().find(|user| user.email() == email.as_str())
        });
        match (email, holder) {
            (Some((_, true)), Some(user)) => self.taken_over(call, user),
            (email, holder) => self.made(call, email.filter(|_| holder.is_none())).await,
        }
    }

    /// The user becomes what the provider says; nobody is locked out because that is too much.
    fn remember(&self, work: &mut Work, user: &User) {
        let metadata = merged(user.user_metadata(), self.profile.metadata.clone());
        match account::check_metadata(&user.app_metadata(), &metadata) {
            Ok(()) => {
                work.add(MERGE, &[&user.id, &self.data()]);
            }
            Err(error) => {
                tracing::warn!(error = %error.message, "a provider's profile is not kept")
            }
        }
    }

    /// The identity is known.
    fn known(&self, call: &Call<'_>, user: User) -> Result<Arranged> {
        not_banned(call, &user)?;
        let mut work = Work::new();
        hold(&mut work, &user);
        let (provider, account) = (&self.provider, &self.profile.provider_id);
        work.add(REFRESH, &[&user.id, provider, account, &self.data()]);
        let decided_by_phone = user.phone_confirmed_at.is_some();
        if user.email_is_confirmed() || user.email().is_empty() || decided_by_phone {
            self.remember(&mut work, &user);
            account::follow_providers(&mut work, user.id);
            return Ok(Arranged { user, work, outcome: Outcome::SignsIn });
        }
        let proves = self.verified().iter().any(|email| email == user.email());
        if proves || !call.auth.config().email.confirmations {
            self.strip(&mut work, user.id);
            self.confirm(call, &mut work, &user);
            return Ok(Arranged { user, work, outcome: Outcome::SignsIn });
        }
        Ok(Arranged { user, work, outcome: Outcome::Unproved })
    }

    /// The address belongs to a user who has proved it too.
    fn linked(&self, call: &Call<'_>, user: User) -> Result<Arranged> {
        not_banned(call, &user)?;
        let mut work = Work::new();
        hold(&mut work, &user);
        self.insert(&mut work, user.id);
        self.remember(&mut work, &user);
        account::follow_providers(&mut work, user.id);
        Ok(Arranged { user, work, outcome: Outcome::Linked })
    }

    /// The address is a user's who has never proved it.
    fn taken_over(&self, call: &Call<'_>, user: User) -> Result<Arranged> {
        not_banned(call, &user)?;
        if user.phone_confirmed_at.is_some() {
            // Somebody has proved to be this user by phone, and it may be somebody else.
            let message = "A user with this email address has already been registered";
            return Err(Error::unprocessable(code::EMAIL_EXISTS, message));
        }
        let mut work = Work::new();
        hold(&mut work, &user);
        self.strip(&mut work, user.id);
        self.confirm(call, &mut work, &user);
        Ok(Arranged { user, work, outcome: Outcome::SignsIn })
    }

    /// Nobody is there yet.
    async fn made(&self, call: &Call<'_>, email: Option<(String, bool)>) -> Result<Arranged> {
        let config = call.auth.config();
        if !config.signup {
            let message = "Signups not allowed for this instance";
            return Err(Error::unprocessable(code::SIGNUP_DISABLED, message));
        }
        if email.is_none() && !self.email_optional {
            return Err(needs_verification(self.provider, false));
        }
        let (email, verified) = email.unzip();
        let proved = verified.unwrap_or(true) || !config.email.confirmations;
        let new = NewUser {
            email: email.as_deref(),
            app_metadata: provider_metadata([self.provider]),
            user_metadata: self.profile.metadata.clone(),
            ..NewUser::default()
        };
        let made = call.new_user(&new, |work| {
            self.insert(work, new.id);
            if email.is_some() && proved {
                account::confirm_email(work, new.id);
            }
        });
        let user = made.await?;
        let mut work = Work::new();
        self.signed_up(call, &mut work, &user);
        let outcome = if proved { Outcome::SignsIn } else { Outcome::Unproved };
        Ok(Arranged { user, work, outcome })
    }

    /// Accepts an invitation: whoever has its token reads the mails of the address, and the provider knows the address too.
    ///
    /// # Errors
    ///
    /// 400 when the provider does not know the address, 403 for banned users.
    pub(super) fn invited(&self, call: &Call<'_>, user: User, mut work: Work) -> Result<Arranged> {
        not_banned(call, &user)?;
        let emails = self.profile.emails.iter();
        let mut emails = emails.filter_map(|email| email::normalize(&email.email).ok());
        if !emails.any(|email| email == user.email()) {
            let message = "Invited email does not match emails from external provider";
            return Err(Error::validation(message));
        }
        self.strip(&mut work, user.id);
        account::confirm_email(&mut work, user.id);
        let log = json!({"provider": self.provider});
        audit::add(&mut work, call.request, &user, Action("invite_accepted"), log);
        Ok(Arranged { user, work, outcome: Outcome::SignsIn })
    }

    /// Adds the identity.
    pub(super) fn insert(&self, work: &mut Work, user: Uuid) {
        let data = self.profile.metadata.clone();
        account::insert_identity(work, user, self.provider, &self.profile.provider_id, data);
    }

    /// Leaves the account with this identity and nothing else of what was laid there.
    fn strip(&self, work: &mut Work, user: Uuid) {
        for statement in STRIP {
            work.add(statement, &[&user]);
        }
        work.add(STRIP_USER, &[&user, &self.data()]);
        self.insert(work, user);
        account::follow_providers(work, user);
    }

    fn confirm(&self, call: &Call<'_>, work: &mut Work, user: &User) {
        account::confirm_email(work, user.id);
        self.signed_up(call, work, user);
    }

    fn signed_up(&self, call: &Call<'_>, work: &mut Work, user: &User) {
        let log = json!({"provider": self.provider});
        audit::add(work, call.request, user, Action("user_signedup"), log);
    }
}

/// 422: the provider has not verified the address, and neither has anybody else.
pub(super) fn needs_verification(provider: &str, mailed: bool) -> Error {
    let then = match mailed {
        true => format!("A confirmation email has been sent to your {provider} email"),
        false => format!("Verify the email with {provider} in order to sign in"),
    };
    let message = format!("Unverified email with {provider}. {then}");
    Error::unprocessable(code::PROVIDER_EMAIL_NEEDS_VERIFICATION, message)
}

pub(super) fn not_banned(call: &Call<'_>, user: &User) -> Result<()> {
    match user.is_banned(call.now) {
        true => Err(Error::forbidden(code::USER_BANNED, "User is banned")),
        false => Ok(()),
    }
}

fn hold(work: &mut Work, user: &User) {
    work.add(HOLD, &[&user.id, &user.email, &user.email_is_confirmed()]);
}
