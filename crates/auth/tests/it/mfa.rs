//! Second factors: enrolment, proof, and what that does to sessions.

mod admin;
mod phone;
mod session;
mod totp;
mod webauthn;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, SignedIn, Site};

/// A factor of an authenticator app, with the app.
pub(crate) struct App {
    pub(crate) factor: String,
    secret: String,
}

impl App {
    /// Enrols one for who has `token`.
    pub(crate) async fn enrol(site: &Site<'_>, token: &str, name: &str) -> Self {
        let body = json!({"factor_type": "totp", "friendly_name": name});
        let answer = site.send("POST", "/factors", Some(token), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { factor: text(&answer.body["id"]), secret: text(&answer.body["totp"]["secret"]) }
    }

    /// The code of the present step, or of so many steps later.
    pub(crate) fn code(&self, steps: i64) -> String {
        let now = jiff::Timestamp::now().as_second() + 30 * steps;
        let secret = totp_rs::Secret::try_from_base32(&self.secret).unwrap();
        let app = totp_rs::Builder::new().with_secret(secret).build().unwrap();
        app.generate(u64::try_from(now).unwrap()).to_string()
    }

    /// Asks for the factor and answers with `code`.
    pub(crate) async fn prove(&self, site: &Site<'_>, token: &str, code: &str) -> Answer {
        let challenge = challenge(site, token, &self.factor).await;
        verify(site, token, &self.factor, &challenge, code).await
    }
}

/// The id of a new challenge.
pub(crate) async fn challenge(site: &Site<'_>, token: &str, factor: &str) -> String {
    let path = format!("/factors/{factor}/challenge");
    let answer = site.send("POST", &path, Some(token), json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn verify(
    site: &Site<'_>,
    token: &str,
    factor: &str,
    challenge: &str,
    code: &str,
) -> Answer {
    let body = json!({"challenge_id": challenge, "code": code});
    site.send("POST", &format!("/factors/{factor}/verify"), Some(token), body).await
}

/// Somebody new with a verified authenticator app, signed in as `aal2`.
pub(crate) async fn with_app(site: &Site<'_>, email: &str) -> (SignedIn, App) {
    let user = site.sign_up(email).await;
    let app = App::enrol(site, &user.token, "phone").await;
    let answer = app.prove(site, &user.token, &app.code(-1)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    (answer.signed_in(), app)
}

/// A refusal.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    let got = (answer.status.as_u16(), answer.error());
    assert_eq!(got, (status, code.to_owned()), "{}", answer.body);
}
