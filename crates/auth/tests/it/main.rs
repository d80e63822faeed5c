//! Tests on a real PostgreSQL, a real mail server and a real identity provider.

mod admin;
mod change;
mod external;
mod hooks;
mod links;
mod mail;
mod metadata;
mod mfa;
mod notices;
mod oauth;
mod oauth_server;
mod otp;
mod passkey;
mod phone;
mod pkce;
mod recover;
mod refresh;
mod review;
mod routes;
mod scale;
mod security;
mod sign_in;
mod sign_up;
mod strangers;
mod support;
mod verify;
