//! Making, finding and confirming users: the statements that several endpoints share.

use serde_json::Value;
use uuid::Uuid;

use crate::db::{Db, Work};
use crate::error::{Error, Result};
use crate::service::Call;
use crate::session::saving_user;
use crate::user::{Object, USER, User, provider_metadata};

const INSERT_USER: &str = "\
insert into auth.users (instance_id, id, aud, role, email, phone, encrypted_password, raw_app_meta_data, raw_user_meta_data, \
is_anonymous, created_at, updated_at, confirmation_token, recovery_token, email_change_token_new, email_change) \
values ('00000000-0000-0000-0000-000000000000', $1::uuid, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9::boolean, now(), now(), \
'', '', '', '')";

const INSERT_IDENTITY: &str = "\
insert into auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at) \
values (gen_random_uuid(), $1::uuid, $2, $3, $4::jsonb, now(), now(), now())";

const CONFIRM_EMAIL: &str = "\
update auth.users set email_confirmed_at = coalesce(email_confirmed_at, now()), confirmation_token = '', is_anonymous = false, \
raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{\"email_verified\": true}', updated_at = now() where id = $1::uuid";

const CONFIRM_PHONE: &str = "\
update auth.users set phone_confirmed_at = coalesce(phone_confirmed_at, now()), confirmation_token = '', is_anonymous = false, \
updated_at = now() where id = $1::uuid";

const VERIFY_IDENTITY: &str = "\
update auth.identities set identity_data = identity_data || jsonb_build_object($2::text, true), updated_at = now() \
where user_id = $1::uuid and provider = $3";

const FOLLOW_PROVIDERS: &str = "\
update auth.users u set raw_app_meta_data = coalesce(u.raw_app_meta_data, '{}') || p.named, updated_at = now() \
from (select jsonb_build_object('provider', (array_agg(i.provider order by i.first, i.provider))[1], \
'providers', jsonb_agg(i.provider order by i.first, i.provider)) as named \
from (select provider, min(created_at) as first from auth.identities where user_id = $1::uuid group by provider) i \
having count(*) > 0) p where u.id = $1::uuid";

const DROP_CONFIRMATION: &str = "delete from auth.one_time_tokens where user_id = $1::uuid and token_type = 'confirmation_token'";

/// Bytes of JSON that what is stored about a user may have, in both kinds of metadata together. Access tokens carry all of
/// it, in base64; with the other claims they have to fit into the 64 KiB that requests' headers may have, and tokens too.
const MAX_METADATA: usize = 40 * 1024;

/// Whether access tokens can carry the metadata.
///
/// # Errors
///
/// 400 when it is too large.
pub(crate) fn check_metadata(app: &Object, user: &Object) -> Result<()> {
    let length = |metadata| serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
    match length(app).saturating_add(length(user)) > MAX_METADATA {
        true => Err(Error::validation(format!(
            "User metadata is too large: access tokens carry it, so it may have at most {MAX_METADATA} bytes of JSON"
        ))),
        false => Ok(()),
    }
}

/// A user to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewUser<'a> {
    /// Primary key.
    pub id: Uuid,
    /// In lower case.
    pub email: Option<&'a str>,
    /// Digits without `+`.
    pub phone: Option<&'a str>,
    /// See [`crate::password`].
    pub password_hash: Option<String>,
    /// What only administrators may change.
    pub app_metadata: Object,
    /// What the user may change.
    pub user_metadata: Object,
    /// Nobody knows who it is.
    pub is_anonymous: bool,
    /// Audience of the user's tokens.
    pub aud: &'a str,
    /// Database role of the user's tokens.
    pub role: &'a str,
}

impl Default for NewUser<'_> {
    /// Somebody without a name.
    fn default() -> Self {
        Self {
            id: Uuid::new_v4(),
            email: None,
            phone: None,
            password_hash: None,
            app_metadata: Object::new(),
            user_metadata: Object::new(),
            is_anonymous: false,
            aud: "authenticated",
            role: "authenticated",
        }
    }
}

/// Makes a user. Triggers of the project run now.
pub(crate) fn insert(work: &mut Work, user: &NewUser<'_>) {
    let app_metadata = Value::Object(user.app_metadata.clone());
    let user_metadata = Value::Object(user.user_metadata.clone());
    work.add(
        INSERT_USER,
        &[
            &user.id,
            &user.aud,
            &user.role,
            &user.email,
            &user.phone,
            &user.password_hash,
            &app_metadata,
            &user_metadata,
            &user.is_anonymous,
        ],
    );
}

impl Call<'_> {
    /// Makes a user, after the project's hook had its say, and reads it as the project's triggers left it.
    /// `more` is done in the same transaction. Every user but an administrator's is made here.
    ///
    /// # Errors
    ///
    /// 400 for metadata that is too large; what the hooks say to the client; see [`saving_user`] for what the database says.
    pub(crate) async fn new_user(
        &self,
        new: &NewUser<'_>,
        more: impl FnOnce(&mut Work),
    ) -> Result<User> {
        check_metadata(&new.app_metadata, &new.user_metadata)?;
        self.before_user_created(new).await?;
        let mut work = Work::new();
        insert(&mut work, new);
        more(&mut work);
        let place = read(&mut work, new.id);
        let answers = self.auth.db().try_run(work).await.map_err(saving_user)?;
        let user = answers.json(place)?;
        let user = user.ok_or_else(|| Error::internal("Database error saving new user"))?;
        self.after_user_created(&user).await?;
        Ok(user)
    }
}

/// Adds an identity to a user.
pub(crate) fn insert_identity(
    work: &mut Work,
    user: Uuid,
    provider: &str,
    provider_id: &str,
    data: Object,
) {
    work.add(INSERT_IDENTITY, &[&user, &provider, &provider_id, &Value::Object(data)]);
}

/// `provider` and `providers` in what only administrators may change become those of the user's identities.
pub(crate) fn follow_providers(work: &mut Work, user: Uuid) {
    work.add(FOLLOW_PROVIDERS, &[&user]);
}

/// What the identity of a user who signs in by address or number says.
pub(crate) fn identity_data(user: Uuid, name: &str, value: &str, data: &Object) -> Object {
    let mut identity = data.clone();
    identity.insert("sub".to_owned(), user.to_string().into());
    identity.insert(name.to_owned(), value.into());
    identity.insert("email_verified".to_owned(), false.into());
    identity.insert("phone_verified".to_owned(), false.into());
    identity
}

/// The user's address is proved.
pub(crate) fn confirm_email(work: &mut Work, user: Uuid) {
    work.add(CONFIRM_EMAIL, &[&user]);
    work.add(VERIFY_IDENTITY, &[&user, &"email_verified", &"email"]);
    work.add(DROP_CONFIRMATION, &[&user]);
}

/// Whatever was sent before to confirm an address or number does so no more.
pub(crate) fn drop_confirmation(work: &mut Work, user: Uuid) {
    work.add(DROP_CONFIRMATION, &[&user]);
}

/// Nobody signs in with a password until there is a new one; unless the user has been there in the meantime, or has another
/// than `stored`.
pub(crate) fn forget_password(work: &mut Work, user: Uuid, stored: &str) {
    work.add(
        "update auth.users set encrypted_password = null, updated_at = now() \
         where id = $1::uuid and encrypted_password = $2 and confirmed_at is null",
        &[&user, &stored],
    );
}

/// Nothing but the user's own address or number (`provider`) signs in: no password and no account elsewhere.
pub(crate) fn forget_strangers(work: &mut Work, user: Uuid, provider: &str) {
    let providers = Value::Object(provider_metadata([provider]));
    work.add(
        "update auth.users set encrypted_password = null, \
         raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || $2::jsonb where id = $1::uuid",
        &[&user, &providers],
    );
    work.add(
        "delete from auth.identities where user_id = $1::uuid and provider not in ('email', 'phone')",
        &[&user],
    );
}

/// The user's number is proved.
pub(crate) fn confirm_phone(work: &mut Work, user: Uuid) {
    work.add(CONFIRM_PHONE, &[&user]);
    work.add(VERIFY_IDENTITY, &[&user, &"phone_verified", &"phone"]);
    work.add(DROP_CONFIRMATION, &[&user]);
}

/// The address that the user wanted to change to is the user's, and an identity of it is there.
pub(crate) fn change_email(work: &mut Work, user: &User) {
    let new = user.email_change.clone().unwrap_or_default();
    work.add(
        "update auth.users set email = $2, email_change = '', email_change_token_new = '', email_change_token_current = '', \
         email_change_confirm_status = 0, email_confirmed_at = now(), is_anonymous = false, \
         raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{\"email_verified\": true}', \
         updated_at = now() where id = $1::uuid",
        &[&user.id, &new],
    );
    work.add(
        "delete from auth.one_time_tokens where user_id = $1::uuid \
         and token_type in ('email_change_token_new', 'email_change_token_current', 'recovery_token')",
        &[&user.id],
    );
    own_identity(work, user, "email", &new, true);
}

/// The number that the user wanted to change to is the user's, and an identity of it is there.
pub(crate) fn change_phone(work: &mut Work, user: &User) {
    let new = user.phone_change.clone().unwrap_or_default();
    work.add(
        "update auth.users set phone = $2, phone_change = '', phone_change_token = '', phone_confirmed_at = now(), \
         is_anonymous = false, updated_at = now() where id = $1::uuid",
        &[&user.id, &new],
    );
    work.add(
        "delete from auth.one_time_tokens where user_id = $1::uuid and token_type = 'phone_change_token'",
        &[&user.id],
    );
    own_identity(work, user, "phone", &new, true);
}

/// The user's address (`email`) or number (`phone`) is `value`, by an administrator's word.
pub(crate) fn set_own(work: &mut Work, user: &User, provider: &str, value: &str) {
    let set =
        format!("update auth.users set {provider} = $2, updated_at = now() where id = $1::uuid");
    work.add(&set, &[&user.id, &value]);
    own_identity(work, user, provider, value, false);
}

/// The identity of the user's own address or number says `value`.
fn own_identity(work: &mut Work, user: &User, provider: &str, value: &str, proved: bool) {
    let verified = format!("{provider}_verified");
    match user.identity(provider) {
        Some(_) => {
            work.add(
                "update auth.identities set identity_data = identity_data || jsonb_build_object($3::text, $4::text, $5::text, $6::boolean), \
                 updated_at = now() where user_id = $1::uuid and provider = $2",
                &[&user.id, &provider, &provider, &value, &verified.as_str(), &proved],
            );
        }
        None => {
            let mut data = identity_data(user.id, provider, value, &Object::new());
            data.insert(verified, proved.into());
            insert_identity(work, user.id, provider, &user.id.to_string(), data);
            let providers = user.identities.iter().map(|identity| identity.provider.as_str());
            let providers = provider_metadata(providers.chain([provider]));
            work.add(
                "update auth.users set raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || $2::jsonb where id = $1::uuid",
                &[&user.id, &Value::Object(providers)],
            );
        }
    }
}

/// Adds the reading of a user to `work`; returns the place of its answer.
pub(crate) fn read(work: &mut Work, user: Uuid) -> usize {
    work.add(&format!("select {USER} from auth.users u where u.id = $1::uuid"), &[&user])
}

/// The user of an address. Users of single sign-on are not found by it.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_email(db: &Db, email: &str) -> Result<Option<User>> {
    let sql = format!(
        "select {USER} from auth.users u where u.email = $1 and u.is_sso_user = false and u.deleted_at is null"
    );
    db.query(&sql, &[&email]).await?.json(0)
}

/// The user of a phone number.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find_by_phone(db: &Db, phone: &str) -> Result<Option<User>> {
    let sql =
        format!("select {USER} from auth.users u where u.phone = $1 and u.deleted_at is null");
    db.query(&sql, &[&phone]).await?.json(0)
}

/// The user of an id.
///
/// # Errors
///
/// Those of the database.
pub(crate) async fn find(db: &Db, user: Uuid) -> Result<Option<User>> {
    let mut work = Work::new();
    read(&mut work, user);
    db.run(work).await?.json(0)
}
