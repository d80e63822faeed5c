//! A user with identities and factors: as the database has it, and as clients see it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The text of [`USER`], for statements that are put together when this is compiled.
macro_rules! user_json {
    () => {
        "(select row_to_json(user_row) from (select u.*, \
         (select coalesce(json_agg(i order by i.created_at, i.id), '[]') from auth.identities i where i.user_id = u.id) as identities, \
         (select coalesce(json_agg(f order by f.created_at, f.id), '[]') from auth.mfa_factors f where f.user_id = u.id) as factors\
         ) user_row)"
    };
}
pub(crate) use user_json;

/// Reads users as JSON, one per row, in one place: `select {USER} from auth.users u where …`. It is text from the start
/// (`json`, not `jsonb`), for nothing is looked up in it before it is sent.
pub(crate) const USER: &str = user_json!();

/// A row of `auth.users` with its identities and factors.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    /// Primary key.
    pub id: Uuid,
    /// Audience, `authenticated` unless somebody wanted another.
    pub aud: Option<String>,
    /// Database role of the user's tokens.
    pub role: Option<String>,
    /// In lower case.
    pub email: Option<String>,
    /// Digits without `+`.
    pub phone: Option<String>,
    /// See [`crate::password`].
    pub encrypted_password: Option<StoredPassword>,
    /// When the address was proved.
    pub email_confirmed_at: Option<Timestamp>,
    /// When the number was proved.
    pub phone_confirmed_at: Option<Timestamp>,
    /// The earlier of the two.
    pub confirmed_at: Option<Timestamp>,
    /// When the user was invited.
    pub invited_at: Option<Timestamp>,
    /// When the last confirmation was sent.
    pub confirmation_sent_at: Option<Timestamp>,
    /// When the last recovery or magic link was sent.
    pub recovery_sent_at: Option<Timestamp>,
    /// The address that the user wants to change to.
    pub email_change: Option<String>,
    /// When that was sent.
    pub email_change_sent_at: Option<Timestamp>,
    /// How many of the two addresses have confirmed the change.
    pub email_change_confirm_status: Option<i16>,
    /// The number that the user wants to change to.
    pub phone_change: Option<String>,
    /// When that was sent.
    pub phone_change_sent_at: Option<Timestamp>,
    /// When the last nonce for a sensitive change was sent.
    pub reauthentication_sent_at: Option<Timestamp>,
    /// When the user signed in last.
    pub last_sign_in_at: Option<Timestamp>,
    /// What only administrators may change.
    pub raw_app_meta_data: Option<Object>,
    /// What the user may change.
    pub raw_user_meta_data: Option<Object>,
    /// When the row was made.
    pub created_at: Option<Timestamp>,
    /// When it was changed.
    pub updated_at: Option<Timestamp>,
    /// Until when the user may not sign in.
    #[serde(default, deserialize_with = "moment_or_never")]
    pub banned_until: Option<Timestamp>,
    /// When the user was deleted and kept as a shell.
    pub deleted_at: Option<Timestamp>,
    /// Nobody knows who it is.
    #[serde(default)]
    pub is_anonymous: bool,
    /// Managed by a company's provider.
    #[serde(default)]
    pub is_sso_user: bool,
    /// Where the user can sign in from.
    #[serde(default)]
    pub identities: Vec<Identity>,
    /// Second factors.
    #[serde(default)]
    pub factors: Vec<Factor>,
}

/// A moment, or `infinity`, which people write for bans without an end: the last moment there is.
fn moment_or_never<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| match text.as_str() {
        "infinity" => Ok(Timestamp::MAX),
        "-infinity" => Ok(Timestamp::MIN),
        text => text.parse().map_err(serde::de::Error::custom),
    })
    .transpose()
}

/// The hash of a password; never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoredPassword(pub String);

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredPassword")
    }
}

/// A row of `auth.identities`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Identity {
    /// Primary key.
    pub id: Uuid,
    /// The user's name at the provider; for `email` and `phone` the user's id.
    pub provider_id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// What the provider says.
    pub identity_data: Object,
    /// Which provider.
    pub provider: String,
    /// When it was used last.
    pub last_sign_in_at: Option<Timestamp>,
    /// When the row was made.
    pub created_at: Option<Timestamp>,
    /// When it was changed.
    pub updated_at: Option<Timestamp>,
    /// The address in `identity_data`.
    pub email: Option<String>,
}

/// A row of `auth.mfa_factors`, without what must stay secret.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Factor {
    /// Primary key.
    pub id: Uuid,
    /// The user's name for it.
    pub friendly_name: Option<String>,
    /// `totp`, `phone` or `webauthn`.
    pub factor_type: String,
    /// `verified` or `unverified`.
    pub status: String,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// Of a phone.
    pub phone: Option<String>,
    /// When it was asked for last.
    pub last_challenged_at: Option<Timestamp>,
}

/// A user as clients see it. What is absent is left out, not null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UserView {
    /// The user's id.
    pub id: Uuid,
    aud: String,
    role: String,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_at: Option<Timestamp>,
    phone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_change_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_change_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reauthentication_sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<Timestamp>,
    app_metadata: Object,
    user_metadata: Object,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    factors: Vec<FactorView>,
    identities: Vec<IdentityView>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    banned_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    is_anonymous: bool,
}

/// An identity as clients see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdentityView {
    identity_id: Uuid,
    id: String,
    user_id: Uuid,
    identity_data: Object,
    provider: String,
    last_sign_in_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// A factor as clients see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FactorView {
    id: Uuid,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    friendly_name: Option<String>,
    factor_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    last_challenged_at: Option<Timestamp>,
}

impl User {
    /// The address, empty when there is none.
    pub(crate) fn email(&self) -> &str {
        self.email.as_deref().unwrap_or_default()
    }

    /// The number, empty when there is none.
    pub(crate) fn phone(&self) -> &str {
        self.phone.as_deref().unwrap_or_default()
    }

    /// Whether the address was proved.
    pub(crate) fn email_is_confirmed(&self) -> bool {
        self.email_confirmed_at.is_some()
    }

    /// Whether the user may not sign in at `now`.
    pub(crate) fn is_banned(&self, now: Timestamp) -> bool {
        self.banned_until.is_some_and(|until| until > now)
    }

    /// Database role of the user's tokens.
    pub(crate) fn role(&self) -> &str {
        self.role.as_deref().filter(|role| !role.is_empty()).unwrap_or("authenticated")
    }

    /// Audience of the user's tokens.
    pub(crate) fn aud(&self) -> &str {
        self.aud.as_deref().filter(|aud| !aud.is_empty()).unwrap_or("authenticated")
    }

    /// What only administrators may change.
    pub(crate) fn app_metadata(&self) -> Object {
        self.raw_app_meta_data.clone().unwrap_or_default()
    }

    /// What the user may change.
    pub(crate) fn user_metadata(&self) -> Object {
        self.raw_user_meta_data.clone().unwrap_or_default()
    }

    /// The hash of the password, when there is one.
    pub(crate) fn password_hash(&self) -> Option<&str> {
        self.encrypted_password.as_ref().map(|stored| &*stored.0).filter(|hash| !hash.is_empty())
    }

    /// Factors that were verified.
    pub(crate) fn verified_factors(&self) -> impl Iterator<Item = &Factor> {
        self.factors.iter().filter(|factor| factor.is_verified())
    }

    /// The identity at a provider.
    pub(crate) fn identity(&self, provider: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.provider == provider)
    }

    /// As clients see it.
    pub(crate) fn view(&self) -> UserView {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        UserView {
            id: self.id,
            aud: self.aud().to_owned(),
            role: self.role().to_owned(),
            email: self.email().to_owned(),
            email_confirmed_at: self.email_confirmed_at,
            invited_at: self.invited_at,
            phone: self.phone().to_owned(),
            phone_confirmed_at: self.phone_confirmed_at,
            confirmation_sent_at: self.confirmation_sent_at,
            confirmed_at: self.confirmed_at,
            recovery_sent_at: self.recovery_sent_at,
            new_email: given(&self.email_change),
            email_change_sent_at: self.email_change_sent_at,
            new_phone: given(&self.phone_change),
            phone_change_sent_at: self.phone_change_sent_at,
            reauthentication_sent_at: self.reauthentication_sent_at,
            last_sign_in_at: self.last_sign_in_at,
            app_metadata: self.app_metadata(),
            user_metadata: self.user_metadata(),
            factors: self.factors.iter().map(Factor::view).collect(),
            identities: self.identities.iter().map(Identity::view).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            banned_until: self.banned_until,
            deleted_at: self.deleted_at,
            is_anonymous: self.is_anonymous,
        }
    }

    /// What somebody learns who signs up with an address that is taken: as if it were a new user.
    pub(crate) fn disguised(
        &self,
        email: &str,
        phone: &str,
        data: Object,
        now: Timestamp,
    ) -> UserView {
        let mut app_metadata = Object::new();
        let provider = if email.is_empty() { "phone" } else { "email" };
        app_metadata.insert("provider".to_owned(), provider.into());
        app_metadata.insert("providers".to_owned(), vec![provider].into());
        let nobody = Self { factors: Vec::new(), identities: Vec::new(), ..self.clone() };
        UserView {
            id: Uuid::new_v4(),
            role: String::new(),
            email: email.to_owned(),
            phone: phone.to_owned(),
            email_confirmed_at: None,
            phone_confirmed_at: None,
            confirmed_at: None,
            invited_at: None,
            confirmation_sent_at: Some(now),
            recovery_sent_at: None,
            new_email: None,
            email_change_sent_at: None,
            new_phone: None,
            phone_change_sent_at: None,
            reauthentication_sent_at: None,
            last_sign_in_at: None,
            app_metadata,
            user_metadata: data,
            created_at: Some(now),
            updated_at: Some(now),
            banned_until: None,
            deleted_at: None,
            is_anonymous: false,
            ..nobody.view()
        }
    }
}

impl Identity {
    /// As clients see it.
    pub(crate) fn view(&self) -> IdentityView {
        IdentityView {
            identity_id: self.id,
            id: self.provider_id.clone(),
            user_id: self.user_id,
            identity_data: self.identity_data.clone(),
            provider: self.provider.clone(),
            last_sign_in_at: self.last_sign_in_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            email: self.email.clone(),
        }
    }
}

impl Factor {
    /// Whether it counts.
    pub(crate) fn is_verified(&self) -> bool {
        self.status == "verified"
    }

    /// As clients see it.
    pub(crate) fn view(&self) -> FactorView {
        FactorView {
            id: self.id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            status: self.status.clone(),
            friendly_name: self.friendly_name.clone(),
            factor_type: self.factor_type.clone(),
            phone: self.phone.clone(),
            last_challenged_at: self.last_challenged_at,
        }
    }
}

/// Metadata with `changes` merged in key by key, where null takes a key away.
pub(crate) fn merged(mut metadata: Object, changes: Object) -> Object {
    for (key, value) in changes {
        if value.is_null() {
            metadata.remove(&key);
        } else {
            metadata.insert(key, value);
        }
    }
    metadata
}

/// `provider` and `providers` of a user with these identities, the oldest first.
pub(crate) fn provider_metadata<'a>(providers: impl IntoIterator<Item = &'a str>) -> Object {
    let mut distinct: Vec<&str> = Vec::new();
    for provider in providers {
        if !distinct.contains(&provider) {
            distinct.push(provider);
        }
    }
    let named = BTreeMap::from([
        ("provider".to_owned(), Value::from(distinct.first().copied().unwrap_or("email"))),
        ("providers".to_owned(), Value::from(distinct)),
    ]);
    named.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(more: Value) -> User {
        let mut row = json!({
            "id": "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f",
            "email": "ada@example.com",
            "created_at": "2026-01-02T03:04:05.123456+00:00",
            "updated_at": "2026-01-02T03:04:05.123456+00:00",
            "email_change": "",
            "encrypted_password": "$2a$10$secret",
        });
        let object = row.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn what_is_absent_is_left_out_and_texts_are_empty() {
        let view = serde_json::to_value(user(json!({})).view()).unwrap();
        assert_eq!(view["phone"], "");
        assert_eq!(view["role"], "authenticated");
        assert_eq!(view["created_at"], "2026-01-02T03:04:05.123456Z");
        assert_eq!(view["identities"], json!([]));
        for absent in ["confirmed_at", "new_email", "factors", "encrypted_password", "banned_until"]
        {
            assert_eq!(view.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn a_stored_password_is_not_printed() {
        assert!(!format!("{:?}", user(json!({}))).contains("secret"));
    }

    #[test]
    fn a_taken_address_looks_like_a_new_user() {
        let taken = user(
            json!({"raw_user_meta_data": {"name": "Ada"}, "last_sign_in_at": "2026-01-02T03:04:05Z"}),
        );
        let shown = taken.disguised("ada@example.com", "", Object::new(), Timestamp::UNIX_EPOCH);
        let shown = serde_json::to_value(shown).unwrap();
        assert_ne!(shown["id"], json!(taken.id));
        assert_eq!(shown["user_metadata"], json!({}));
        assert_eq!(shown["identities"], json!([]));
        assert_eq!(shown.get("last_sign_in_at"), None);
    }

    #[test]
    fn null_takes_a_key_of_the_metadata_away() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let result = merged(object(json!({"a": 1, "b": 2})), object(json!({"a": null, "c": 3})));
        assert_eq!(Value::Object(result), json!({"b": 2, "c": 3}));
    }

    #[test]
    fn the_first_provider_is_the_main_one() {
        let metadata = provider_metadata(["email", "github", "email"]);
        assert_eq!(
            Value::Object(metadata),
            json!({"provider": "email", "providers": ["email", "github"]})
        );
    }
}
