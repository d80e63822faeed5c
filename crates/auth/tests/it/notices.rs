//! Mails that tell of a change of an account.

use serde_json::json;

use crate::support::{PASSWORD, Setup, Site, with_setup, with_site};

const TOLD: &str = "\
[auth.sms]
enable_signup = true
[auth.email.notification.password_changed]
enabled = true
[auth.email.notification.email_changed]
enabled = true
[auth.email.notification.phone_changed]
enabled = true
";

#[test]
fn nothing_is_told_where_nobody_has_switched_it_on() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"password": "another horse"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, 200);
        assert!(site.mails().await.is_empty());
    });
}

#[test]
fn a_user_is_told_of_a_new_password() {
    with_setup(Setup { config: TOLD, ..Setup::default() }, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let same = json!({"password": PASSWORD});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), same).await.status, 422);
        assert!(site.mails().await.is_empty(), "nothing has changed");
        let body = json!({"password": "another horse"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, 200);
        let told = site.mail_to("ada@example.com").await;
        assert_eq!(told.message.subject, "Your password was changed");
    });
}

#[test]
fn the_old_address_is_told_of_the_new_one() {
    with_setup(Setup { config: TOLD, ..Setup::default() }, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.org"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, 200);
        for address in ["ada@example.org", "ada@example.com"] {
            let link = site.mail_to(address).await.link();
            assert_eq!(site.mails().await.len(), 2, "nothing has changed yet");
            site.follow(&link).await;
        }
        let told = site.mail_to("ada@example.com").await;
        assert_eq!(told.message.subject, "Your address was changed");
        assert!(told.message.text.contains("from ada@example.com to ada@example.org"));
        assert_eq!(site.mails().await.len(), 3);
    });
}

#[test]
fn a_user_is_told_of_a_new_phone_number() {
    with_setup(Setup { config: TOLD, ..Setup::default() }, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let body = json!({"phone": "+15550001111"});
        assert_eq!(site.send("PUT", "/user", Some(&ada.token), body).await.status, 200);
        let told = site.mail_to("ada@example.com").await;
        assert_eq!(told.message.subject, "Your phone number was changed");
        assert!(told.message.text.contains("to 15550001111"), "{}", told.message.text);
    });
}
