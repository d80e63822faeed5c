//! What answers each route.

mod admin;
mod external;
mod info;
mod mfa;
mod oauth_server;
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

pub(crate) use external::Providers;
pub(crate) use otp::{too_many_mails, too_many_messages};
pub(crate) use password_grant::busy;
pub(crate) use refresh_grant::ROTATE;

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
    /// Apps that may sign users in, page by page.
    ListClients,
    /// An app by an administrator's word.
    CreateClient,
    /// One app.
    GetClient,
    /// Changes an app.
    UpdateClient,
    /// Deletes an app.
    DeleteClient,
    /// A new secret of an app.
    RegenerateClientSecret,
    /// An app by its own word.
    RegisterClient,
    /// An app sends its user.
    OAuthAuthorize,
    /// What the user is asked.
    OAuthDetails,
    /// What the user says.
    OAuthConsent,
    /// Tokens of an app.
    OAuthToken,
    /// Who the user is, for an app.
    UserInfo,
    /// Apps that the user lets in.
    ListGrants,
    /// One that is out again.
    RevokeGrant,
    /// What apps find out by themselves.
    AuthorizationServer,
    /// The same for OpenID Connect.
    OpenIdConfiguration,
    /// The way to a provider.
    Authorize,
    /// The way back from a provider.
    Callback,
    /// The way to a provider whose identity is added to the user who asks.
    LinkIdentity,
    /// Takes an identity away from the user who asks.
    UnlinkIdentity,
    /// Single sign-on by SAML, which there is not.
    Saml,
    /// Providers that were added.
    ListProviders,
    /// Adds a provider.
    CreateProvider,
    /// One provider that was added.
    ReadProvider,
    /// Changes a provider that was added.
    UpdateProvider,
    /// Removes a provider that was added.
    DeleteProvider,
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
        Endpoint::ListClients => oauth_server::list_clients(call).await,
        Endpoint::CreateClient => oauth_server::create_client(call).await,
        Endpoint::GetClient => oauth_server::get_client(call).await,
        Endpoint::UpdateClient => oauth_server::update_client(call).await,
        Endpoint::DeleteClient => oauth_server::delete_client(call).await,
        Endpoint::RegenerateClientSecret => oauth_server::regenerate_secret(call).await,
        Endpoint::RegisterClient => oauth_server::register(call).await,
        Endpoint::OAuthAuthorize => oauth_server::authorize(call).await,
        Endpoint::OAuthDetails => oauth_server::details(call).await,
        Endpoint::OAuthConsent => oauth_server::decide(call).await,
        Endpoint::OAuthToken => oauth_server::token(call).await,
        Endpoint::UserInfo => oauth_server::userinfo(call),
        Endpoint::ListGrants => oauth_server::list_grants(call).await,
        Endpoint::RevokeGrant => oauth_server::revoke_grant(call).await,
        Endpoint::AuthorizationServer => oauth_server::authorization_server(call),
        Endpoint::OpenIdConfiguration => oauth_server::openid_configuration(call),
        Endpoint::Authorize => external::authorize(call).await,
        Endpoint::Callback => external::callback(call).await,
        Endpoint::LinkIdentity => external::link(call).await,
        Endpoint::UnlinkIdentity => external::unlink(call).await,
        Endpoint::Saml => external::saml(),
        Endpoint::ListProviders => external::list_providers(call).await,
        Endpoint::CreateProvider => external::create_provider(call).await,
        Endpoint::ReadProvider => external::read_provider(call).await,
        Endpoint::UpdateProvider => external::update_provider(call).await,
        Endpoint::DeleteProvider => external::delete_provider(call).await,
    }
}
