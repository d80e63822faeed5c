//! The kinds of request of sign-in, and the people who make them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use plinth_auth::password::{Hasher, HasherSettings};
use plinth_auth::statements;
use serde_json::{Value, json};

use crate::flood::Flood;
use crate::instance::{Instance, Target, connect};
use crate::load::{Client, Script};
use crate::workload::{ONE_ROW, Parameter, Replayed, Source, Workload, Yardstick, one_row};

/// How often a log-in is tried while passwords wait to be hashed, and the pause in between.
const BUSY_ATTEMPTS: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Everybody's.
const PASSWORD: &str = "the password of everybody";
/// How many people there are, all in `users.sql`.
const PEOPLE: u64 = 5000;
/// Connections that ask for the user and refresh; each has a session of its own.
const CONNECTIONS: usize = 32;
/// Log-ins per second of the flood.
const FLOOD: u32 = 200;
/// How long a new key pair may take to be in use.
const ROTATION_LIMIT: Duration = Duration::from_secs(30);

const USER: &str = "GET /auth/v1/user";
const REFRESH: &str = "POST /auth/v1/token, refresh";
const PASSWORDS: &str = "POST /auth/v1/token, password";
const FLOODED: &str = "one row by key under RLS, 200 log-ins/s beside";
const BY_SECRET: &str = "one row, token signed with HS256";
const BY_KEY_PAIR: &str = "one row, token signed with ES256";

/// Sessions in the database that pgbench has for itself begin anew.
const RESET: &str =
    "update auth.sessions set refresh_token_counter = 0 where user_agent = 'plinth-bench'";

/// What somebody has who signed in.
struct SignedIn {
    access_token: String,
    refresh_token: String,
}

/// Whether one of the kinds is among those whose name contains `only`.
pub(crate) fn is_asked(only: &str) -> bool {
    [USER, REFRESH, PASSWORDS, FLOODED].iter().any(|name| name.contains(only))
}

/// Whether tokens of a key pair are.
pub(crate) fn is_asked_for_key_pair(only: &str) -> bool {
    [BY_SECRET, BY_KEY_PAIR].iter().any(|name| name.contains(only))
}

/// Makes the people: rows as sign-up makes them, with one hash for all.
pub(crate) async fn fill(target: &Target) -> Result<()> {
    let hash = Hasher::start(HasherSettings::default())?.hash(PASSWORD).await?;
    let client = connect(&target.database_url).await?;
    client.batch_execute(&include_str!("users.sql").replace("HASH", &hash)).await?;
    Ok(())
}

/// The kinds of request, with sessions for them.
pub(crate) async fn all(target: &Target) -> Result<Vec<Workload>> {
    let mut sessions = Vec::with_capacity(CONNECTIONS);
    for person in 0..CONNECTIONS as u64 {
        sessions.push(sign_in(target, person).await?);
    }
    let users: Vec<_> = sessions.iter().map(|it| get_user(target, &it.access_token)).collect();
    let passwords: Arc<[_]> = (0..PEOPLE).map(|person| log_in(target, person)).collect();
    let tokens = sessions.into_iter().map(|it| Mutex::new(it.refresh_token)).collect();
    let head = head(target, "POST", "token?grant_type=refresh_token", &target.api_key);
    let kind = || Workload { connections: Some(CONNECTIONS), last: PEOPLE - 1, ..people() };
    Ok(vec![
        Workload {
            name: USER,
            source: Source::Ready(users.into()),
            bar: 0.6,
            rate: Some(5000.0),
            statements: vec![Replayed::of(
                statements::locate(),
                vec![Parameter::Person, Parameter::Person],
            )],
            ..kind()
        },
        Workload {
            name: REFRESH,
            source: Source::Refreshes(Arc::new(Refreshes { head, tokens })),
            bar: 0.5,
            rate: Some(2000.0),
            reset: Some(RESET),
            statements: vec![Replayed::of(
                statements::rotate(),
                vec![
                    Parameter::Client,
                    Parameter::Turn,
                    Parameter::Fixed("plinth-bench".to_owned()),
                    Parameter::Fixed("127.0.0.1".to_owned()),
                    Parameter::Null,
                    Parameter::Null,
                    Parameter::Fixed("true".to_owned()),
                    Parameter::Null,
                    Parameter::Null,
                ],
            )],
            ..kind()
        },
        Workload {
            name: PASSWORDS,
            source: Source::Ready(passwords.clone()),
            connections: Some(16),
            yardstick: Yardstick::Hashing,
            bar: 0.9,
            ..kind()
        },
        Workload {
            name: FLOODED,
            connections: Some(CONNECTIONS),
            yardstick: Yardstick::Workload(ONE_ROW),
            bar: 0.85,
            flood: Some(Flood { requests: passwords, per_second: FLOOD }),
            ..one_row()
        },
    ])
}

/// Reads of a row by the same user with a token that the secret signed, and with one that a new key pair of the project
/// signed.
pub(crate) async fn with_key_pair(instance: &Instance, target: &Target) -> Result<Vec<Workload>> {
    let by_secret = sign_in(target, 0).await?.access_token;
    ensure!(!is_es256(&by_secret), "the project has a key pair already");
    instance.command(&["keys", "add", "--project", "bench"])?;
    instance.command(&["keys", "rotate", "--project", "bench"])?;
    let start = Instant::now();
    let by_key_pair = loop {
        let token = sign_in(target, 0).await?.access_token;
        if is_es256(&token) {
            break token;
        }
        ensure!(start.elapsed() < ROTATION_LIMIT, "the new key pair signs nothing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let kind = |name, token, yardstick, bar| Workload {
        name,
        source: Source::Rest(Some(token)),
        connections: Some(CONNECTIONS),
        yardstick: Yardstick::Workload(yardstick),
        bar,
        ..one_row()
    };
    Ok(vec![
        kind(BY_SECRET, by_secret, ONE_ROW, 0.9),
        kind(BY_KEY_PAIR, by_key_pair, BY_SECRET, 0.95),
    ])
}

/// Whether the head of a token, which is JSON in base64url, names ES256: `{"alg":"ES256"` is encoded as this.
fn is_es256(token: &str) -> bool {
    token.starts_with("eyJhbGciOiJFUzI1NiI")
}

/// A kind of request that people make; the changing number is one of them.
fn people() -> Workload {
    Workload { step: 1, first: 0, ..one_row() }
}

async fn sign_in(target: &Target, person: u64) -> Result<SignedIn> {
    let mut client = Client::dial(&target.address).await?;
    let mut status = client.send(&log_in(target, person)).await?;
    // The passwords of what was measured before may still be in the queue.
    for _ in 0..BUSY_ATTEMPTS {
        if status != 429 {
            break;
        }
        tokio::time::sleep(BUSY_PAUSE).await;
        status = client.send(&log_in(target, person)).await?;
    }
    ensure!(
        status == 200,
        "a log-in had status {status}: {}",
        String::from_utf8_lossy(client.body())
    );
    let body: Value = serde_json::from_slice(client.body())?;
    let text = |name: &str| body[name].as_str().map(str::to_owned).context("no session");
    Ok(SignedIn { access_token: text("access_token")?, refresh_token: text("refresh_token")? })
}

fn get_user(target: &Target, token: &str) -> Vec<u8> {
    format!("{}\r\n", head(target, "GET", "user", token)).into_bytes()
}

fn log_in(target: &Target, person: u64) -> Vec<u8> {
    let body = json!({ "email": format!("user{person}@bench.test"), "password": PASSWORD });
    with_body(
        &head(target, "POST", "token?grant_type=password", &target.api_key),
        &body.to_string(),
    )
}

/// The head of a request as auth-js sends it, without the length of a body and the line that ends it.
fn head(target: &Target, method: &str, path: &str, token: &str) -> String {
    format!(
        "{method} /auth/v1/{path} HTTP/1.1\r\nhost: {}\r\napikey: {}\r\nauthorization: Bearer {token}\r\n\
         x-client-info: plinth-bench\r\nx-supabase-api-version: 2024-01-01\r\n\
         content-type: application/json;charset=UTF-8\r\n",
        target.address, target.api_key
    )
}

fn with_body(head: &str, body: &str) -> Vec<u8> {
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Sessions that are refreshed: each connection has its own and sends the newest token of it.
pub(crate) struct Refreshes {
    head: String,
    /// The newest token of each session.
    tokens: Vec<Mutex<String>>,
}

/// What one connection sends.
pub(crate) struct Refreshing {
    pub(crate) of: Arc<Refreshes>,
    pub(crate) session: usize,
    pub(crate) request: Vec<u8>,
}

impl Refreshing {
    fn token(&self) -> std::sync::MutexGuard<'_, String> {
        let tokens = &self.of.tokens;
        tokens[self.session % tokens.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script for Refreshing {
    fn next(&mut self) -> Result<&[u8]> {
        let body = format!(r#"{{"refresh_token":"{}"}}"#, self.token());
        self.request = with_body(&self.of.head, &body);
        Ok(&self.request)
    }

    fn answered(&mut self, body: &[u8]) -> Result<()> {
        let newest = refresh_token(body).context("an answer without a refresh token")?;
        newest.clone_into(&mut self.token());
        Ok(())
    }
}

/// The token in an answer, which has no character that JSON escapes.
fn refresh_token(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(r#""refresh_token":""#)?;
    rest.split_once('"').map(|(token, _)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_token_is_found_in_an_answer() {
        let body = br#"{"access_token":"a","refresh_token":"next","user":{}}"#;
        assert_eq!(refresh_token(body), Some("next"));
        assert_eq!(refresh_token(b"{}"), None);
    }

    #[test]
    fn the_algorithm_is_read_off_a_token() {
        assert!(is_es256("eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.c2ln"));
        assert!(!is_es256("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"));
    }
}
