//! From the claims of a verified ID token, or of a user endpoint that speaks OpenID Connect, to a profile.

use serde_json::{Map, Value};

use super::profile::Builder;
use super::{ExternalError, Profile};

/// Reads a profile from claims.
pub(super) type ClaimsReader = fn(&Claims<'_>) -> Result<Profile, ExternalError>;

/// Claims about a user, and what is known of their origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claims<'a> {
    pub(super) all: &'a Map<String, Value>,
    /// Whether the settings name the one organisation that users may come from.
    pub(super) one_organisation: bool,
}

impl Claims<'_> {
    fn get(&self, claim: &str) -> &Value {
        self.all.get(claim).unwrap_or(&Value::Null)
    }

    fn text(&self, claim: &str) -> &str {
        self.get(claim).as_str().unwrap_or_default()
    }

    fn begin(&self) -> Builder {
        Builder::new(self.text("iss"), self.get("sub"))
    }
}

/// Whether a claim says yes. Providers write truth as a boolean, a number or a text.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The standard claims (OpenID Connect Core 1.0 §5.1); an address is verified if the provider says so.
pub(super) fn generic(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    const PLAIN: [&str; 12] = [
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "user_name",
    ];
    let mut builder = claims.begin();
    for claim in PLAIN {
        builder = builder.set(claim, claims.get(claim).clone());
    }
    if is_true(claims.get("phone_number_verified")) {
        builder = builder.set("phone_verified", true);
    }
    let name = match claims.text("name") {
        "" => joined(claims.text("given_name"), claims.text("family_name")),
        name => name.to_owned(),
    };
    builder
        .name(name)
        .set("phone", claims.get("phone_number").clone())
        .picture(claims.get("picture").clone())
        .email(claims.get("email"), is_true(claims.get("email_verified")), true)
        .build()
}

pub(super) fn google(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    let verified = is_true(claims.get("email_verified")) || is_true(claims.get("verified_email"));
    claims
        .begin()
        .name(claims.get("name").clone())
        .picture(claims.get("picture").clone())
        .custom("hd", claims.get("hd").clone())
        .email(claims.get("email"), verified, true)
        .build()
}

/// Apple verifies every address, the user's own or the relay's.
pub(super) fn apple(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    let private = claims.all.get("is_private_email").map(is_true);
    claims
        .begin()
        .custom("is_private_email", private)
        .custom("auth_time", claims.get("auth_time").clone())
        .email(claims.get("email"), true, true)
        .build()
}

pub(super) fn linkedin(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    let (given, family) = (claims.text("given_name"), claims.text("family_name"));
    claims
        .begin()
        .set("name", joined(given, family))
        .set("given_name", given)
        .set("family_name", family)
        .set("locale", claims.get("locale").clone())
        .set("picture", claims.get("picture").clone())
        .email(claims.get("email"), is_true(claims.get("email_verified")), true)
        .build()
}

/// Limited Login. Facebook gives confirmed addresses only.
pub(super) fn facebook(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    claims
        .begin()
        .set("name", claims.get("name").clone())
        .set("picture", claims.get("picture").clone())
        .email(claims.get("email"), true, true)
        .build()
}

/// Kakao puts an address into an ID token only after it was verified.
pub(super) fn kakao(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    claims
        .begin()
        .set("name", claims.get("nickname").clone())
        .set("preferred_username", claims.get("nickname").clone())
        .set("picture", claims.get("picture").clone())
        .email(claims.get("email"), true, true)
        .build()
}

/// The issuer of Microsoft's personal accounts, whose addresses Microsoft itself confirms.
const MICROSOFT_PERSONAL: &str =
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";

/// Claims that say nothing about the user, or that have a place of their own.
const AZURE_ELSEWHERE: [&str; 18] = [
    "aud",
    "iss",
    "iat",
    "nbf",
    "exp",
    "c_hash",
    "at_hash",
    "aio",
    "nonce",
    "rh",
    "uti",
    "jti",
    "ver",
    "sub",
    "name",
    "preferred_username",
    "azp",
    "sid",
];

/// In Azure an administrator of any tenant may write any address into the `email` of a user. `xms_edov` says whether the tenant
/// owns the address's domain. Without that claim the address counts as verified only where the tenant is the one that the settings
/// name, or Microsoft's own for personal accounts: otherwise a stranger's tenant could claim the address of somebody who has an
/// account here.
pub(super) fn azure(claims: &Claims<'_>) -> Result<Profile, ExternalError> {
    let verified = match claims.all.get("xms_edov") {
        Some(owned) => is_true(owned),
        None => claims.one_organisation || claims.text("iss") == MICROSOFT_PERSONAL,
    };
    let mut builder = claims
        .begin()
        .set("full_name", claims.get("name").clone())
        .set("preferred_username", claims.get("preferred_username").clone())
        .email(claims.get("email"), verified, true);
    for (claim, value) in
        claims.all.iter().filter(|(claim, _)| !AZURE_ELSEWHERE.contains(&claim.as_str()))
    {
        builder = builder.custom(claim, value.clone());
    }
    builder.build()
}

/// Two parts of a name as one.
pub(super) fn joined(first: &str, last: &str) -> String {
    format!("{first} {last}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(reader: ClaimsReader, one_organisation: bool, claims: Value) -> Profile {
        let Value::Object(all) = claims else { panic!("claims are an object") };
        reader(&Claims { all: &all, one_organisation }).unwrap()
    }

    fn azure_verified(one_organisation: bool, issuer: &str, xms_edov: Option<Value>) -> bool {
        let mut claims = json!({"iss": issuer, "sub": "1", "email": "a@example.com"});
        if let Some(owned) = xms_edov {
            claims["xms_edov"] = owned;
        }
        read(azure, one_organisation, claims).emails[0].verified
    }

    #[test]
    fn an_azure_address_is_verified_by_its_domains_owner_only() {
        let tenant = "https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000000/v2.0";
        for owned in [json!(true), json!("1"), json!("true"), json!(1)] {
            assert!(azure_verified(false, tenant, Some(owned)));
        }
        for owned in [json!(false), json!("0"), json!(0), json!(null)] {
            assert!(!azure_verified(true, tenant, Some(owned)));
        }
        assert!(!azure_verified(false, tenant, None));
        assert!(azure_verified(true, tenant, None));
        assert!(azure_verified(false, MICROSOFT_PERSONAL, None));
    }

    #[test]
    fn azures_own_claims_are_kept_apart() {
        let profile = read(
            azure,
            false,
            json!({"iss": "i", "sub": "1", "name": "Ada", "tid": "t", "nonce": "n", "exp": 1, "ver": "2.0"}),
        );
        assert_eq!(profile.metadata["custom_claims"], json!({"tid": "t"}));
        assert_eq!(profile.metadata["full_name"], "Ada");
    }

    #[test]
    fn google_says_which_domain_hosts_the_account() {
        let profile = read(
            google,
            false,
            json!({
                "iss": "https://accounts.google.com", "sub": "10769150350006150715113082367", "name": "Ada Lovelace",
                "picture": "https://lh3.googleusercontent.com/a", "email": "ada@example.com", "email_verified": true,
                "hd": "example.com",
            }),
        );
        assert_eq!(
            Value::Object(profile.metadata),
            json!({
                "iss": "https://accounts.google.com", "sub": "10769150350006150715113082367",
                "provider_id": "10769150350006150715113082367", "name": "Ada Lovelace", "full_name": "Ada Lovelace",
                "picture": "https://lh3.googleusercontent.com/a", "avatar_url": "https://lh3.googleusercontent.com/a",
                "email": "ada@example.com", "email_verified": true, "phone_verified": false,
                "custom_claims": {"hd": "example.com"},
            })
        );
    }

    #[test]
    fn truth_written_as_a_text_is_understood() {
        let profile = read(
            apple,
            false,
            json!({"iss": "https://appleid.apple.com", "sub": "1.a.2", "email": "x@privaterelay.appleid.com",
                "is_private_email": "true", "auth_time": 1_700_000_000}),
        );
        assert!(profile.emails[0].verified);
        assert_eq!(
            profile.metadata["custom_claims"],
            json!({"is_private_email": true, "auth_time": 1_700_000_000})
        );
        let profile = read(
            linkedin,
            false,
            json!({"iss": "https://www.linkedin.com/oauth", "sub": "1", "given_name": "Ada", "family_name": "Lovelace",
                "email": "a@example.com", "email_verified": "true"}),
        );
        assert!(profile.emails[0].verified);
        assert_eq!(profile.metadata["name"], "Ada Lovelace");
    }

    #[test]
    fn an_address_that_nobody_vouches_for_is_not_verified() {
        let claims = json!({"iss": "i", "sub": "1", "email": "a@example.com"});
        assert!(!read(generic, false, claims.clone()).emails[0].verified);
        assert!(!read(google, false, claims).emails[0].verified);
    }

    #[test]
    fn a_generic_name_may_come_in_parts() {
        let claims =
            json!({"iss": "i", "sub": "1", "given_name": "Ada", "family_name": "Lovelace"});
        assert_eq!(read(generic, false, claims).metadata["full_name"], "Ada Lovelace");
    }
}
