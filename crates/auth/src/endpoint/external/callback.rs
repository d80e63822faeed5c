//! `GET|POST /callback`: the way back from a provider.

use http::{Method, StatusCode, header};
use url::form_urlencoded;

use super::arrival::{Arrival, Departure};
use super::providers::Configured;
use super::state::{self, Back};
use crate::endpoint::verify::{session_fragment, with_fragment, with_query};
use crate::error::{Error, Result, code};
use crate::external::{ExternalError, Profile, ProviderTokens};
use crate::request::Response;
use crate::service::Call;

/// Most characters of a provider's words that are passed on.
const WORDS: usize = 256;

/// What the browser brings along.
#[derive(Default)]
struct Given {
    state: String,
    code: String,
    error: String,
    error_description: String,
    user: String,
}

/// Why somebody does not get in.
enum Refusal {
    /// In our words.
    Ours(Error),
    /// In those of the provider (RFC 6749 §4.1.2.1).
    Theirs { error: String, description: String },
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// Sends the browser on to where the flow began: with a session, a code or what went wrong.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    let given = given(call);
    let config = call.auth.config();
    let target = match begun(call, &given).await {
        Err(error) => refused(config.site_url(), &error.into()),
        Ok(back) => {
            let redirect = config.redirects.choose(back.flow.referrer.as_deref(), None);
            match arrived(call, &given, &back).await {
                Ok(departure) => target(redirect, departure),
                Err(refusal) => refused(redirect, &refusal),
            }
        }
    };
    let response = Response::redirect(StatusCode::FOUND, &target);
    Ok(response
        .with(header::CACHE_CONTROL, "no-store")
        .with(header::REFERRER_POLICY, "no-referrer"))
}

fn given(call: &Call<'_>) -> Given {
    let form = *call.request.method == Method::POST;
    let text = if form { &call.request.body[..] } else { call.request.query.as_bytes() };
    let mut given = Given::default();
    for (name, value) in form_urlencoded::parse(text) {
        let field = match name.as_ref() {
            "state" => &mut given.state,
            "code" => &mut given.code,
            "error" => &mut given.error,
            "error_description" => &mut given.error_description,
            "user" => &mut given.user,
            _ => continue,
        };
        if field.is_empty() {
            *field = value.into_owned();
        }
    }
    given
}

async fn begun(call: &Call<'_>, given: &Given) -> Result<Back> {
    if given.state.is_empty() {
        let message = "OAuth state parameter missing";
        return Err(Error::bad_request(code::BAD_OAUTH_CALLBACK, message));
    }
    state::take(call, &given.state).await
}

async fn arrived(call: &Call<'_>, given: &Given, back: &Back) -> Result<Departure, Refusal> {
    if !given.error.is_empty() {
        return Err(Refusal::Theirs {
            error: words(&given.error),
            description: words(&given.error_description),
        });
    }
    if given.code.is_empty() {
        let message = "OAuth callback with missing authorization code missing";
        return Err(Error::bad_request(code::BAD_OAUTH_CALLBACK, message).into());
    }
    let configured = call
        .provider(&back.flow.provider_type)
        .await
        .map_err(|error| Error { code: code::OAUTH_PROVIDER_NOT_SUPPORTED, ..error })?;
    let (tokens, mut profile) = vouched(&configured, given, back).await?;
    if configured.provider.id() == "apple" && !given.user.is_empty() {
        profile.add_apple_user(&given.user);
    }
    let arrival = Arrival {
        configured: &configured,
        profile: &profile,
        tokens: Some(&tokens),
        target: back.flow.linking_target_id,
        invite: back.invite.as_deref(),
        flow: Some(&back.flow),
    };
    let mut departure = Box::pin(arrival.settle(call)).await?;
    if let Departure::Session(session) = &mut departure {
        session.provider_token = Some(tokens.access_token.expose().to_owned());
        session.provider_refresh_token =
            tokens.refresh_token.as_ref().map(|token| token.expose().to_owned());
    }
    Ok(departure)
}

/// Exchanges the code and asks who it is.
async fn vouched(
    configured: &Configured,
    given: &Given,
    back: &Back,
) -> Result<(ProviderTokens, Profile)> {
    let log = |error: &ExternalError| {
        tracing::warn!(provider = %configured.name, error = %error, "a sign-in elsewhere failed");
    };
    let provider = &configured.provider;
    let tokens = provider.exchange(&given.code, Some(&back.verifier), None).await;
    let tokens = tokens.map_err(|error| {
        log(&error);
        Error::internal("Unable to exchange external code")
    })?;
    let profile = provider.profile(&tokens, Some(&back.nonce)).await.map_err(|error| {
        log(&error);
        match error {
            ExternalError::NoEmail => {
                Error::internal("Error getting user email from external provider")
            }
            _ => Error::internal("Error getting user profile from external provider"),
        }
    })?;
    Ok((tokens, profile))
}

fn target(redirect: &str, departure: Departure) -> String {
    match departure {
        Departure::Code(code) => with_query(redirect, &[("code", &code)]),
        Departure::Session(session) => session_fragment(redirect, &session, ""),
    }
}

/// The address of the page that learns why nobody was signed in: in the query and in the fragment.
fn refused(redirect: &str, refusal: &Refusal) -> String {
    let pairs = match refusal {
        Refusal::Ours(error) => [
            ("error", name(error)),
            ("error_code", error.code),
            ("error_description", error.message.as_ref()),
        ],
        Refusal::Theirs { error, description } => [
            ("error", error.as_str()),
            ("error_code", code::BAD_OAUTH_CALLBACK),
            ("error_description", description.as_str()),
        ],
    };
    let mut fragment = pairs.to_vec();
    fragment.push(("sb", ""));
    with_fragment(&with_query(redirect, &pairs), &fragment)
}

/// RFC 6749 §4.1.2.1, as far as our refusals have such a name.
fn name(error: &Error) -> &'static str {
    let denied =
        [code::SIGNUP_DISABLED, code::USER_BANNED, code::PROVIDER_EMAIL_NEEDS_VERIFICATION];
    match error.status {
        _ if denied.contains(&error.code) => "access_denied",
        StatusCode::BAD_REQUEST => "invalid_request",
        StatusCode::UNAUTHORIZED => "unauthorized_client",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        _ => "server_error",
    }
}

/// A provider's words without what does not belong into an address.
fn words(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_twice_and_replaces_what_was_in_the_fragment() {
        let error = Error::unprocessable(code::SIGNUP_DISABLED, "no one");
        let told = "error=access_denied&error_code=signup_disabled&error_description=no+one";
        assert_eq!(
            refused("http://a/b?c=d#e", &error.into()),
            format!("http://a/b?c=d&{told}#{told}&sb=")
        );
    }

    #[test]
    fn refusals_have_the_names_of_the_standard() {
        let not_found = Error::not_found(code::INVITE_NOT_FOUND, "");
        assert_eq!(name(&not_found), "server_error");
        assert_eq!(name(&Error::validation("")), "invalid_request");
        assert_eq!(name(&Error::forbidden(code::USER_BANNED, "")), "access_denied");
        assert_eq!(name(&Error::internal("")), "server_error");
    }

    #[test]
    fn a_providers_words_are_bounded() {
        assert_eq!(words("a\r\nb"), "ab");
        assert_eq!(words(&"é".repeat(300)).chars().count(), 256);
    }
}
