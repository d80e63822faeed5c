//! Whom sign-in asks about strangers: judges of captchas, the list of leaked passwords, carriers that make the codes. And
//! what is written down.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::{StatusCode, Uri};
use plinth_auth::captcha::{Captcha, CaptchaProvider};
use plinth_auth::outgoing;
use plinth_auth::password::{LeakedPasswords, LeakedSettings, PasswordRules};
use plinth_auth::sms::{Channel, MessageId, Pending, Sms, SmsError, SmsSender};
use plinth_wire::Secret;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Setup, Site, with_configured_site, with_setup};

const CAPTCHA: &str = "[auth]\nenable_anonymous_sign_ins = true\n\
    [auth.captcha]\nenabled = true\nprovider = \"turnstile\"\nsecret = \"hush\"\n";

type Asked = Arc<Mutex<Vec<String>>>;

/// A server that gives the same answer to everything, on a thread of its own; its address and what it was asked.
fn server(answer: fn(&Uri, &str) -> String) -> (String, Asked) {
    type Shared = (Asked, fn(&Uri, &str) -> String);
    async fn handle(State((asked, answer)): State<Shared>, uri: Uri, body: String) -> String {
        let answer = answer(&uri, &body);
        asked.lock().unwrap().push(format!("{uri} {body}"));
        answer
    }
    let asked = Asked::default();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let base = format!("http://{}", socket.local_addr().unwrap());
    let app = Router::new().fallback(handle).with_state((asked.clone(), answer));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpListener::from_std(socket).unwrap();
            axum::serve(socket, app).await.unwrap();
        });
    });
    (base, asked)
}

fn with_captcha(test: impl AsyncFnOnce(&Site<'_>, &Asked)) {
    let (base, asked) = server(|_, form| {
        let solved = form.contains("response=solved") && form.contains("secret=hush");
        json!({"success": solved, "error-codes": ["invalid-input-response"]}).to_string()
    });
    let adjust = |parts: &mut plinth_auth::Parts| {
        assert!(parts.captcha.is_some(), "the settings ask for one");
        let client = outgoing::client().unwrap();
        let captcha = Captcha::new(client, CaptchaProvider::Turnstile, Secret::new("hush"));
        parts.captcha = Some(captcha.with_url(&base));
    };
    let setup = Setup { config: CAPTCHA, adjust: &adjust, ..Setup::default() };
    with_setup(setup, async |site: &Site| test(site, &asked).await);
}

fn solved(mut body: Value, token: &str) -> Value {
    body["gotrue_meta_security"] = json!({"captcha_token": token});
    body
}

#[test]
fn strangers_solve_a_captcha_first() {
    with_captcha(async |site: &Site, asked: &Asked| {
        let person = json!({"email": "ada@example.com", "password": PASSWORD});
        for (path, body) in [
            ("/signup", person.clone()),
            ("/signup", json!({})),
            ("/otp", json!({"email": "ada@example.com"})),
            ("/magiclink", json!({"email": "ada@example.com"})),
            ("/recover", json!({"email": "ada@example.com"})),
            ("/recover/", json!({"email": "ada@example.com"})),
            ("/resend", json!({"type": "signup", "email": "ada@example.com"})),
            ("/token?grant_type=password", person.clone()),
            ("/token", person.clone()),
        ] {
            let none = site.post(path, body.clone()).await;
            assert_eq!(none.refusal(), (400, "captcha_failed".to_owned()), "{path}");
            let message = "captcha protection: request disallowed (no captcha_token found)";
            assert_eq!(none.message(), message);
            let empty = solved(body.clone(), " ");
            assert_eq!(site.post(path, empty).await.error(), "captcha_failed", "{path}");
        }
        assert!(asked.lock().unwrap().is_empty(), "nobody is asked about nothing");
        let wrong = site.post("/signup", solved(person.clone(), "guessed")).await;
        assert_eq!(wrong.refusal(), (400, "captcha_failed".to_owned()));
        let message = "captcha protection: request disallowed (invalid-input-response)";
        assert_eq!(wrong.message(), message);
        assert_eq!(site.count("auth.users").await, 0);
        assert!(site.mails().await.is_empty());

        assert_eq!(site.post("/signup", solved(json!({}), "solved")).await.status, StatusCode::OK);
        let answer = site.post("/signup", solved(person.clone(), "solved")).await;
        let ada = answer.signed_in();
        let again = site.post("/token?grant_type=password", solved(person, "solved")).await;
        assert_eq!(again.status, StatusCode::OK, "{}", again.body);
        let refreshed = site.refresh(&ada.refresh).await;
        assert_eq!(refreshed.status, StatusCode::OK, "a session is proof enough");
    });
}

#[test]
fn administrators_solve_none() {
    with_captcha(async |site: &Site, asked: &Asked| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let by_server = site.send("POST", "/signup", Some(&site.service_key()), body.clone()).await;
        assert_eq!(by_server.status, StatusCode::OK, "{}", by_server.body);
        let token = by_server.signed_in().token;
        for token in [site.anon_key(), token, "a.b.c".to_owned()] {
            let by_user = site.send("POST", "/signup", Some(&token), body.clone()).await;
            assert_eq!(by_user.error(), "captcha_failed");
        }
        assert!(asked.lock().unwrap().is_empty());
    });
}

#[test]
fn a_judge_who_is_away_lets_nobody_through() {
    let (base, _) = server(|_, _| "<html>".to_owned());
    let adjust = |parts: &mut plinth_auth::Parts| {
        parts.captcha = parts.captcha.take().map(|captcha| captcha.with_url(&base));
    };
    let setup = Setup { config: CAPTCHA, adjust: &adjust, ..Setup::default() };
    with_setup(setup, async |site: &Site| {
        let answer = site.post("/signup", solved(json!({}), "solved")).await;
        assert_eq!(answer.refusal(), (500, "unexpected_failure".to_owned()));
        assert_eq!(answer.message(), "captcha verification process failed");
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn a_leaked_password_is_refused_and_told_to_who_has_it() {
    // SHA-1 of "password" is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
    let (base, asked) = server(|_, _| "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r\n".to_owned());
    let adjust = |parts: &mut plinth_auth::Parts| {
        assert!(parts.passwords.leaked.is_some(), "the settings ask for it");
        let settings = LeakedSettings {
            base: base.parse().unwrap(),
            timeout: std::time::Duration::from_secs(5),
            fail_closed: true,
            user_agent: "plinth".to_owned(),
        };
        let leaked = Some(LeakedPasswords::new(outgoing::client().unwrap(), settings));
        parts.passwords =
            Arc::new(PasswordRules { min_length: 6, leaked, ..PasswordRules::default() });
    };
    let config = "[auth.password_hibp]\nenabled = true\n";
    with_setup(Setup { config, adjust: &adjust, ..Setup::default() }, async |site: &Site| {
        let leaked = json!({"email": "ada@example.com", "password": "password"});
        let answer = site.post("/signup", leaked.clone()).await;
        assert_eq!(answer.refusal(), (422, "weak_password".to_owned()));
        assert_eq!(answer.body["weak_password"], json!({"reasons": ["pwned"]}));
        assert_eq!(asked.lock().unwrap()[0], "/range/5BAA6 ");
        assert_eq!(site.count("auth.users").await, 0);

        let ada = site.sign_up("ada@example.com").await;
        let change =
            site.send("PUT", "/user", Some(&ada.token), json!({"password": "password"})).await;
        assert_eq!(change.error(), "weak_password");
        site.sql("update auth.users set encrypted_password = extensions.crypt('password', extensions.gen_salt('bf'))")
            .await;
        let answer = site.post("/token?grant_type=password", leaked).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["weak_password"]["reasons"], json!(["pwned"]));
    });
}

#[test]
fn what_happens_is_written_down_only_where_that_is_wanted() {
    for (config, kept) in [("", true), ("[auth]\naudit_log_disable_postgres = true\n", false)] {
        with_configured_site(config, async |site: &Site| {
            let ada = site.sign_up("ada@example.com").await;
            let ada = site.refresh(&ada.refresh).await.signed_in();
            let body = json!({"data": {"name": "Ada"}});
            assert_eq!(
                site.send("PUT", "/user", Some(&ada.token), body).await.status,
                StatusCode::OK
            );
            let twice = json!({"email": "ada@example.com", "password": PASSWORD});
            site.post("/signup", twice).await;
            let gone = format!("/admin/users/{}", ada.id);
            let gone = site.send("DELETE", &gone, Some(&site.service_key()), json!({})).await;
            assert_eq!(gone.status, StatusCode::OK);
            let actions = "select coalesce(string_agg(distinct payload ->> 'action', ' '), '') from auth.audit_log_entries";
            let expected = "login token_refreshed user_deleted user_modified user_repeated_signup user_signedup";
            assert_eq!(site.text(actions).await, if kept { expected } else { "" });
        });
    }
}

/// A carrier that makes the codes itself; its only one is 424242.
#[derive(Debug)]
struct Judge;

impl SmsSender for Judge {
    fn name(&self) -> &'static str {
        "judge"
    }

    fn supports(&self, _channel: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, _sms: Sms<'a>) -> Pending<'a, Result<MessageId, SmsError>> {
        Box::pin(std::future::ready(Ok(MessageId("VE1".to_owned()))))
    }

    fn makes_codes(&self) -> bool {
        true
    }

    fn check<'a>(
        &'a self,
        phone: &'a str,
        code: &'a Secret,
    ) -> Pending<'a, Result<bool, SmsError>> {
        let right = phone == "4915112345678" && code.expose() == "424242";
        Box::pin(std::future::ready(Ok(right)))
    }
}

/// A carrier that never comes to an end.
#[derive(Debug)]
struct Slow;

impl SmsSender for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn supports(&self, _channel: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, _sms: Sms<'a>) -> Pending<'a, Result<MessageId, SmsError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn nobody_waits_for_a_carrier_where_that_would_tell_who_is_there() {
    let config =
        "[auth.sms]\nenable_signup = true\nenable_confirmations = true\nmax_frequency = \"0s\"\n";
    let adjust = |parts: &mut plinth_auth::Parts| parts.sms = Some(Arc::new(Slow));
    with_setup(Setup { config, adjust: &adjust, ..Setup::default() }, async |site: &Site| {
        let body = json!({"phone": "4915112345678", "password": PASSWORD});
        let made = site.send("POST", "/admin/users", Some(&site.service_key()), body).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        for phone in ["4915112345678", "4915100000000"] {
            let asked = site.post("/resend", json!({"type": "sms", "phone": phone}));
            let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
            let answer = answer.expect("it waits for the carrier");
            assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({})), "{phone}");
        }
        let codes = site.count("auth.one_time_tokens").await;
        assert_eq!(codes, 1, "one was sent");
    });
}

#[test]
fn a_carrier_that_makes_the_codes_judges_them() {
    let config = "[auth.sms]\nenable_signup = true\nenable_confirmations = true\n\
        [auth.sms.test_otp]\n4915100000000 = \"123456\"\n";
    let adjust = |parts: &mut plinth_auth::Parts| parts.sms = Some(Arc::new(Judge));
    with_setup(Setup { config, adjust: &adjust, ..Setup::default() }, async |site: &Site| {
        let typed = |phone: &str, code: &str| json!({"type": "sms", "phone": phone, "token": code});
        let early = site.post("/verify", typed("4915112345678", "424242")).await;
        assert_eq!(early.error(), "otp_expired", "nobody asked for a code");
        for phone in ["4915112345678", "4915100000000"] {
            let answer = site.post("/otp", json!({"phone": phone})).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        }
        let wrong = site.post("/verify", typed("4915112345678", "000000")).await;
        assert_eq!(wrong.refusal(), (403, "otp_expired".to_owned()));
        let right = site.post("/verify", typed("4915112345678", "424242")).await;
        assert_eq!(right.status, StatusCode::OK, "{}", right.body);
        let again = site.post("/verify", typed("4915112345678", "424242")).await;
        assert_eq!(again.error(), "otp_expired", "it is used up");
        let set = site.post("/verify", typed("4915100000000", "123456")).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.body);
    });
}
