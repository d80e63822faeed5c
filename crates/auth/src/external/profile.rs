use serde_json::{Map, Value};

use super::ExternalError;

/// Most characters of a text that a provider may put into a profile; longer ones are left out.
const TEXT_LIMIT: usize = 2048;

/// Most addresses of one profile; further ones are left out.
const EMAIL_LIMIT: usize = 32;

/// An address of a user, as the provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address, as given.
    pub email: String,
    /// Whether the provider has proved that the user receives mail there.
    pub verified: bool,
    /// Whether it is the user's main address there.
    pub primary: bool,
}

/// Who a user is in the eyes of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The user's stable id at the provider; unique per provider. Never empty.
    pub provider_id: String,
    /// The user's addresses.
    pub emails: Vec<Email>,
    /// What is stored as `identity_data` and merged into `user_metadata`: `iss`, `sub`, `provider_id`, `email`, `email_verified`,
    /// `phone_verified`, and of `name`, `full_name`, `avatar_url`, `picture`, `user_name`, `preferred_username`, `custom_claims`…
    /// what the provider gave.
    pub metadata: Map<String, Value>,
}

impl Profile {
    /// The address to use: the primary one, otherwise the first verified one, otherwise the first.
    pub fn email(&self) -> Option<&Email> {
        let find = |wanted: fn(&Email) -> bool| self.emails.iter().find(|email| wanted(email));
        find(|email| email.primary).or_else(|| find(|email| email.verified)).or(self.emails.first())
    }

    /// Adds what Apple posts to the callback, once only, in the form field `user`: `{"name": {"firstName", "lastName"}, …}`.
    /// The address in it is ignored because nothing vouches for it; the ID token has the one that Apple verified.
    pub fn add_apple_user(&mut self, user: &str) {
        let Ok(user) = serde_json::from_str::<Value>(user) else { return };
        let part = |key: &str| user["name"][key].as_str().unwrap_or_default().trim();
        let name = format!("{} {}", part("firstName"), part("lastName"));
        let name = name.trim();
        if !name.is_empty() && name.chars().count() <= TEXT_LIMIT {
            self.metadata.insert("name".to_owned(), name.into());
            self.metadata.insert("full_name".to_owned(), name.into());
        }
    }
}

/// Builds a [`Profile`] claim by claim; claims without a value are left out.
#[derive(Debug, Default)]
pub(super) struct Builder {
    emails: Vec<Email>,
    metadata: Map<String, Value>,
    custom: Map<String, Value>,
}

impl Builder {
    /// Begins with the issuer and the user's id, a text or a number.
    pub(super) fn new(issuer: &str, subject: &Value) -> Self {
        let subject = match subject {
            Value::Number(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        Self::default().set("iss", issuer).set("sub", subject.as_str()).set("provider_id", subject)
    }

    /// Sets one claim, unless `value` is null, empty or too long.
    pub(super) fn set(mut self, claim: &str, value: impl Into<Value>) -> Self {
        put(&mut self.metadata, claim, value.into());
        self
    }

    /// Sets `name` and the `full_name` that older clients read.
    pub(super) fn name(self, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.set("name", value.clone()).set("full_name", value)
    }

    /// Sets `picture` and the `avatar_url` that older clients read.
    pub(super) fn picture(self, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.set("picture", value.clone()).set("avatar_url", value)
    }

    /// Sets a claim that only this provider has.
    pub(super) fn custom(mut self, claim: &str, value: impl Into<Value>) -> Self {
        put(&mut self.custom, claim, value.into());
        self
    }

    /// Adds an address, unless it is not a text or empty.
    pub(super) fn email(mut self, email: &Value, verified: bool, primary: bool) -> Self {
        if let Some(email) = email.as_str().filter(|email| !email.is_empty() && email.len() <= 255)
            && self.emails.len() < EMAIL_LIMIT
        {
            self.emails.push(Email { email: email.to_owned(), verified, primary });
        }
        self
    }

    /// The profile.
    pub(super) fn build(mut self) -> Result<Profile, ExternalError> {
        let Some(provider_id) = self.metadata.get("sub").and_then(Value::as_str) else {
            return Err(ExternalError::Malformed("user without an id"));
        };
        let provider_id = provider_id.to_owned();
        if !self.custom.is_empty() {
            self.metadata.insert("custom_claims".to_owned(), Value::Object(self.custom));
        }
        let mut profile = Profile { provider_id, emails: self.emails, metadata: self.metadata };
        let email = profile.email().cloned();
        let verified = email.as_ref().is_some_and(|email| email.verified);
        if let Some(email) = email {
            profile.metadata.insert("email".to_owned(), email.email.into());
        }
        profile.metadata.insert("email_verified".to_owned(), verified.into());
        profile.metadata.entry("phone_verified").or_insert(Value::Bool(false));
        Ok(profile)
    }
}

fn put(claims: &mut Map<String, Value>, claim: &str, value: Value) {
    let keep = match &value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && text.len() <= TEXT_LIMIT,
        Value::Array(_) | Value::Object(_) => value.to_string().len() <= TEXT_LIMIT,
        Value::Bool(_) | Value::Number(_) => true,
    };
    if keep {
        claims.insert(claim.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_primary_address_is_the_profiles_address() {
        let profile = Builder::new("https://id", &json!(7))
            .email(&json!("old@example.com"), true, false)
            .email(&json!("new@example.com"), false, true)
            .email(&json!(""), true, true)
            .build()
            .unwrap();
        assert_eq!(profile.provider_id, "7");
        assert_eq!(
            Value::Object(profile.metadata),
            json!({
                "iss": "https://id", "sub": "7", "provider_id": "7", "email": "new@example.com",
                "email_verified": false, "phone_verified": false,
            })
        );
    }

    #[test]
    fn a_user_without_an_id_is_no_user() {
        for subject in [json!(null), json!(""), json!({})] {
            assert!(Builder::new("https://id", &subject).build().is_err());
        }
    }

    #[test]
    fn apple_names_a_user_in_the_first_post_only() {
        let mut profile = Builder::new("https://appleid.apple.com", &json!("1")).build().unwrap();
        profile.add_apple_user("not JSON");
        profile.add_apple_user(r#"{"email":"someone@else.example"}"#);
        assert!(!profile.metadata.contains_key("name"));
        profile.add_apple_user(r#"{"name":{"firstName":"Ada","lastName":"Lovelace"}}"#);
        assert_eq!(profile.metadata["full_name"], "Ada Lovelace");
        assert!(!profile.metadata.contains_key("email"));
    }
}
