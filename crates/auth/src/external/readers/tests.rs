//! Each reader against the shape that its provider documents, as far as no stand-in has it.

use serde_json::json;

use super::*;

fn read(reader: fn(&str, &[Value]) -> Read, documents: &[Value]) -> Profile {
    reader("https://api", documents).unwrap()
}

/// Id, name, picture, address, and whether the address is verified.
fn summary(profile: &Profile) -> (&str, &str, &str, &str, bool) {
    let claim = |name: &str| profile.metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let email = profile.email().unwrap();
    (&profile.provider_id, claim("full_name"), claim("avatar_url"), &email.email, email.verified)
}

#[test]
fn gitlab_vouches_for_the_main_address_of_a_confirmed_account() {
    let mut user = json!({
        "id": 1, "username": "ada", "name": "Ada Lovelace", "state": "active", "avatar_url": "https://p/1",
        "email": "ada@example.com", "confirmed_at": "2012-05-23T09:05:22.000Z",
    });
    let emails =
        json!([{"id": 1, "email": "ada@example.com"}, {"id": 3, "email": "other@example.com"}]);
    let profile = read(gitlab, &[user.clone(), emails.clone()]);
    assert_eq!(summary(&profile), ("1", "Ada Lovelace", "https://p/1", "ada@example.com", true));
    assert_eq!(profile.emails.len(), 2);
    assert!(!profile.emails[1].verified);
    user["confirmed_at"] = Value::Null;
    assert!(!read(gitlab, &[user, emails]).email().unwrap().verified);
}

#[test]
fn bitbucket_lists_addresses_apart() {
    let user = json!({
        "type": "user", "uuid": "{a54f16da}", "display_name": "Ada", "links": {"avatar": {"href": "https://p/1"}},
    });
    let emails = json!({"values": [
        {"email": "old@example.com", "is_primary": false, "is_confirmed": true, "type": "email"},
        {"email": "ada@example.com", "is_primary": true, "is_confirmed": true, "type": "email"},
    ]});
    let profile = read(bitbucket, &[user, emails]);
    assert_eq!(summary(&profile), ("{a54f16da}", "Ada", "https://p/1", "ada@example.com", true));
}

#[test]
fn spotify_vouches_for_no_address() {
    let user = json!({
        "id": "wizzler", "display_name": "Ada", "email": "ada@example.com", "product": "premium",
        "images": [{"url": "https://p/1", "height": null, "width": null}],
    });
    assert_eq!(
        summary(&read(spotify, &[user])),
        ("wizzler", "Ada", "https://p/1", "ada@example.com", false)
    );
}

#[test]
fn twitch_answers_with_a_list_of_one() {
    let user = json!({"data": [{
        "id": "141981764", "login": "ada", "display_name": "Ada", "type": "", "broadcaster_type": "partner",
        "description": "Engines", "profile_image_url": "https://p/1", "offline_image_url": "https://p/2",
        "view_count": 5980557, "email": "ada@example.com", "created_at": "2016-12-14T20:32:28Z",
    }]});
    let profile = read(twitch, &[user]);
    assert_eq!(summary(&profile), ("141981764", "ada", "https://p/1", "ada@example.com", true));
    assert_eq!(profile.metadata["nickname"], "Ada");
    assert_eq!(profile.metadata["custom_claims"]["broadcaster_type"], "partner");
    assert!(twitch("https://api", &[json!({"data": []})]).is_err());
}

#[test]
fn notion_names_the_owner_of_the_bot() {
    let bot = json!({"object": "user", "id": "bot", "type": "bot", "bot": {"owner": {"type": "user", "user": {
        "object": "user", "id": "6794760a", "name": "Ada", "avatar_url": "https://p/1", "type": "person",
        "person": {"email": "ada@example.com"},
    }}}});
    assert_eq!(
        summary(&read(notion, &[bot])),
        ("6794760a", "Ada", "https://p/1", "ada@example.com", true)
    );
}

#[test]
fn kakaos_address_must_be_valid_and_verified() {
    let user = |valid: bool, verified: bool| {
        json!({"id": 123456789, "kakao_account": {
            "profile": {"nickname": "Ada", "profile_image_url": "https://p/1"},
            "email": "ada@example.com", "is_email_valid": valid, "is_email_verified": verified,
        }})
    };
    let profile = read(kakao, &[user(true, true)]);
    assert_eq!(summary(&profile), ("123456789", "Ada", "https://p/1", "ada@example.com", true));
    assert!(!read(kakao, &[user(false, true)]).email().unwrap().verified);
    assert!(!read(kakao, &[user(true, false)]).email().unwrap().verified);
}

#[test]
fn keycloak_speaks_openid_connect() {
    let user = json!({
        "sub": "b01a39fa", "name": "Ada", "preferred_username": "ada", "email": "ada@example.com", "email_verified": false,
    });
    let profile = read(keycloak, &[user]);
    assert_eq!(summary(&profile), ("b01a39fa", "Ada", "", "ada@example.com", false));
}

#[test]
fn slacks_claims_are_named_by_urls() {
    let user = json!({
        "ok": true, "sub": "U0R7JM", "https://slack.com/user_id": "U0R7JM", "https://slack.com/team_id": "T0R7GR",
        "email": "ada@example.com", "email_verified": true, "name": "Ada", "picture": "https://p/1",
    });
    let profile = read(slack, std::slice::from_ref(&user));
    assert_eq!(summary(&profile), ("U0R7JM", "Ada", "https://p/1", "ada@example.com", true));
    assert_eq!(profile.metadata["custom_claims"]["https://slack.com/team_id"], "T0R7GR");
    let unverified = Value::Object(
        user.as_object()
            .unwrap()
            .clone()
            .into_iter()
            .chain([("email_verified".to_owned(), json!(false))])
            .collect(),
    );
    assert!(!read(slack, &[unverified]).email().unwrap().verified);
}

#[test]
fn zoom_confirms_registrations_by_address() {
    let user = |login_type: u64, verified: u64| {
        json!({
            "id": "zJKyaiAyTNC", "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
            "login_type": login_type, "verified": verified, "pic_url": "https://p/1",
        })
    };
    let profile = read(zoom, &[user(100, 1)]);
    let expected = ("zJKyaiAyTNC", "Ada Lovelace", "https://p/1", "ada@example.com", true);
    assert_eq!(summary(&profile), expected);
    assert!(!read(zoom, &[user(100, 0)]).email().unwrap().verified);
    assert!(read(zoom, &[user(1, 0)]).email().unwrap().verified);
}

#[test]
fn figma_fly_snapchat_and_workos_have_shapes_of_their_own() {
    let user =
        json!({"id": "F1", "email": "ada@example.com", "handle": "Ada", "img_url": "https://p/1"});
    assert_eq!(
        summary(&read(figma, &[user])),
        ("F1", "Ada", "https://p/1", "ada@example.com", true)
    );
    let user = json!({
        "resource_owner_id": "r1", "user_id": "Y1", "user_name": "Ada", "email": "ada@example.com",
        "organizations": [{"id": "o", "role": "admin"}], "scope": ["read"], "application": {"uid": "u"},
    });
    let profile = read(fly, &[user]);
    assert_eq!(summary(&profile), ("Y1", "Ada", "", "ada@example.com", true));
    assert_eq!(profile.metadata["custom_claims"]["organizations"][0]["role"], "admin");
    let user = json!({"data": {"me": {
        "externalId": "S1", "displayName": "Ada", "bitmoji": {"avatar": "https://p/1"}, "email": "ada@example.com",
    }}});
    assert_eq!(
        summary(&read(snapchat, &[user])),
        ("S1", "Ada", "https://p/1", "ada@example.com", true)
    );
    let user = json!({
        "object": "profile", "id": "prof_1", "connection_id": "conn_1", "organization_id": "org_1",
        "connection_type": "OktaSAML", "email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace",
    });
    let profile = read(workos, &[user]);
    assert_eq!(summary(&profile), ("prof_1", "Ada Lovelace", "", "ada@example.com", true));
    assert_eq!(profile.metadata["custom_claims"]["connection_id"], "conn_1");
}

#[test]
fn discord_users_without_a_picture_get_their_default_one() {
    let avatar = |discriminator: &str, hash: Value| {
        let user = json!({"id": "80351110224678912", "username": "ada", "discriminator": discriminator, "avatar": hash});
        read(discord, &[user]).metadata["avatar_url"].as_str().unwrap().to_owned()
    };
    assert_eq!(avatar("1337", Value::Null), "https://cdn.discordapp.com/embed/avatars/2.png");
    // (id >> 22) % 6 for names without a discriminator.
    assert_eq!(avatar("0", Value::Null), "https://cdn.discordapp.com/embed/avatars/5.png");
    assert!(avatar("0", json!("a_0c1")).ends_with("/80351110224678912/a_0c1.gif"));
}

#[test]
fn documents_of_another_shape_have_no_user() {
    for reader in [
        github, gitlab, bitbucket, x, discord, facebook, spotify, twitch, notion, kakao, keycloak,
        slack, zoom, figma, fly, snapchat, workos,
    ] {
        for documents in [&[][..], &[json!([])], &[json!({"id": [1], "data": 3})], &[json!("text")]]
        {
            assert!(reader("https://api", documents).is_err());
        }
    }
}
