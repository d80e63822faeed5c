//! What answers each route.

mod admin;
mod info;
mod mfa;
mod otp;
mod passkey;
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
    /// A new second factor.
    EnrolFactor,
    /// Takes a second factor away.
    RemoveFactor,
    /// Asks for a second factor.
    ChallengeFactor,
    /// The answer to that.
    VerifyFactor,
    /// What a browser needs to make a passkey.
    BeginPasskey,
    /// A passkey that was made.
    RegisterPasskey,
    /// What a browser needs to sign in with a passkey.
    AskForPasskey,
    /// Signs in with a passkey.
    PasskeySignIn,
    /// The user's passkeys.
    ListPasskeys,
    /// Names a passkey.
    RenamePasskey,
    /// Takes a passkey away.
    RemovePasskey,
    /// Mails somebody that an account is waiting.
    Invite,
    /// A link for a server that sends mails itself.
    GenerateLink,
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
    /// A user's second factors.
    ListFactorsOf,
    /// Changes a second factor of a user.
    ChangeFactorOf,
    /// Takes a second factor from a user.
    RemoveFactorOf,
    /// A user's passkeys.
    ListPasskeysOf,
    /// Takes a passkey from a user.
    RemovePasskeyOf,
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
        Endpoint::EnrolFactor => mfa::enrol(call).await,
        Endpoint::RemoveFactor => mfa::remove(call).await,
        Endpoint::ChallengeFactor => mfa::challenge(call).await,
        Endpoint::VerifyFactor => mfa::verify(call).await,
        Endpoint::BeginPasskey => passkey::begin_registration(call).await,
        Endpoint::RegisterPasskey => passkey::register(call).await,
        Endpoint::AskForPasskey => passkey::begin_sign_in(call).await,
        Endpoint::PasskeySignIn => passkey::sign_in(call).await,
        Endpoint::ListPasskeys => passkey::list(call).await,
        Endpoint::RenamePasskey => passkey::rename(call).await,
        Endpoint::RemovePasskey => passkey::remove(call).await,
        Endpoint::Invite => admin::invite(call).await,
        Endpoint::GenerateLink => admin::generate(call).await,
        Endpoint::ListUsers => admin::list(call).await,
        Endpoint::CreateUser => admin::create(call).await,
        Endpoint::ReadUser => admin::get(call).await,
        Endpoint::ChangeUser => admin::update(call).await,
        Endpoint::DeleteUser => admin::delete(call).await,
        Endpoint::ListFactorsOf => admin::factors(call).await,
        Endpoint::ChangeFactorOf => admin::change_factor(call).await,
        Endpoint::RemoveFactorOf => admin::remove_factor(call).await,
        Endpoint::ListPasskeysOf => admin::passkeys(call).await,
        Endpoint::RemovePasskeyOf => admin::remove_passkey(call).await,
        Endpoint::AuditLog => admin::audit_log(call).await,
    }
}
