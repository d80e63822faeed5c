//! What answers each route.

mod admin;
mod info;
mod otp;
mod password_grant;
mod pkce_grant;
mod refresh_grant;
mod sign_out;
mod sign_up;
mod token;
mod user;
mod verify;

pub(crate) use otp::{too_many_mails, too_many_messages};
pub(crate) use password_grant::busy;

use crate::error::Result;
use crate::request::Response;
use crate::service::Call;

/// What answers a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Who is there.
    Health,
    /// What is switched on.
    Settings,
    /// Public keys.
    Jwks,
    /// New users, and anonymous ones.
    SignUp,
    /// Tokens, by the kind of grant.
    Token,
    /// Ends sessions.
    SignOut,
    /// The user who asks.
    GetUser,
    /// Changes what the user may change.
    UpdateUser,
    /// A link or a code to sign in with.
    Otp,
    /// A link to sign in with.
    MagicLink,
    /// A link by which to set a new password.
    Recover,
    /// Once more what was sent already.
    Resend,
    /// The link of a mail.
    VerifyLink,
    /// A code that was typed, or the digest of a link.
    Verify,
    /// A nonce that a sensitive change asks for.
    Reauthenticate,
    /// Users page by page.
    ListUsers,
    /// A user by an administrator's word.
    CreateUser,
    /// One user.
    ReadUser,
    /// Changes a user.
    ChangeUser,
    /// Deletes a user.
    DeleteUser,
    /// What happened.
    AuditLog,
}

/// Answers a request whose guard has let it through.
pub(crate) async fn answer(endpoint: Endpoint, call: &Call<'_>) -> Result<Response> {
    match endpoint {
        Endpoint::Health => info::health(),
        Endpoint::Settings => info::settings(call),
        Endpoint::Jwks => info::jwks(call),
        Endpoint::SignUp => sign_up::answer(call).await,
        Endpoint::Token => token::answer(call).await,
        Endpoint::SignOut => sign_out::answer(call).await,
        Endpoint::GetUser => user::get(call),
        Endpoint::UpdateUser => user::put(call).await,
        Endpoint::Otp => otp::otp(call).await,
        Endpoint::MagicLink => otp::magic_link(call).await,
        Endpoint::Recover => otp::recover(call).await,
        Endpoint::Resend => otp::resend(call).await,
        Endpoint::VerifyLink => verify::get(call).await,
        Endpoint::Verify => verify::post(call).await,
        Endpoint::Reauthenticate => otp::reauthenticate(call).await,
        Endpoint::ListUsers => admin::list(call).await,
        Endpoint::CreateUser => admin::create(call).await,
        Endpoint::ReadUser => admin::get(call).await,
        Endpoint::ChangeUser => admin::update(call).await,
        Endpoint::DeleteUser => admin::delete(call).await,
        Endpoint::AuditLog => admin::audit_log(call).await,
    }
}
