//! What happened, in `auth.audit_log_entries`, in the transaction in which it happened. Projects that keep no such log
//! switch it off at their [`crate::db::Db`].

use serde_json::{Value, json};

use crate::db::Work;
use crate::request::Request;
use crate::user::User;

/// Adds entries to the log.
const ENTRY: &str = "\
insert into auth.audit_log_entries (id, instance_id, payload, created_at, ip_address) \
values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', $1::json, now(), $2)";

/// Something that happened, by the name under which people look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action(pub &'static str);

impl Action {
    /// Which part of the log it belongs to.
    fn log_type(self) -> &'static str {
        match self.0 {
            "login" | "logout" | "invite_accepted" => "account",
            "user_signedup" | "user_invited" | "user_deleted" | "user_modified" => "team",
            "token_revoked" | "token_refreshed" => "token",
            name if name.contains("factor") || name.contains("challenge") => "factor",
            "verification_attempted" | "mfa_code_login" => "factor",
            _ => "user",
        }
    }
}

/// Adds to `work` that `actor` did `action`; `traits` are more facts, an object or null.
pub(crate) fn add(
    work: &mut Work,
    request: &Request<'_>,
    actor: &User,
    action: Action,
    traits: Value,
) {
    let name = if actor.email().is_empty() { actor.phone() } else { actor.email() };
    let actor_name = (actor.id.to_string(), name, actor.is_sso_user);
    entry(work, request, actor_name, action, traits);
}

/// As [`add`], for somebody with the admin's token.
pub(crate) fn add_by_admin(work: &mut Work, request: &Request<'_>, action: Action, traits: Value) {
    let nobody = ("00000000-0000-0000-0000-000000000000".to_owned(), "service_role", false);
    entry(work, request, nobody, action, traits);
}

fn entry(
    work: &mut Work,
    request: &Request<'_>,
    (id, name, sso): (String, &str, bool),
    action: Action,
    traits: Value,
) {
    let mut payload = json!({
        "action": action.0,
        "actor_id": id,
        "actor_username": name,
        "actor_via_sso": sso,
        "log_type": action.log_type(),
    });
    if !traits.is_null() {
        payload["traits"] = traits;
    }
    work.note(ENTRY, &[&payload, &request.client_ip.to_string()]);
}
