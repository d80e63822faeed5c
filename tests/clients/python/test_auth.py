"""Sign-in through supabase-py: the main paths of auth-*.test.mjs."""

import urllib.parse
import uuid

import httpx
import pytest
from conftest import FIVE, backend, key, mail_to, url
from supabase import ClientOptions, create_client
from supabase_auth.errors import AuthApiError, AuthError, AuthWeakPasswordError

PASSWORD = "correct horse battery staple"


def browser(project: str, flow: str = "pkce"):
    """A client with the publishable key, which keeps its session in memory."""
    return create_client(url(project), key(project, "PUBLISHABLE_KEY"), ClientOptions(auto_refresh_token=False, flow_type=flow))


def address(name: str = "nina") -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}@example.com"


def signed_up(project: str = "auth-on", **credentials):
    client = browser(project)
    answer = client.auth.sign_up({"email": address(), "password": PASSWORD, **credentials})
    assert answer.session
    return client, answer.user


def refusal(call, *args) -> tuple[int, str]:
    with pytest.raises(AuthApiError) as refused:
        call(*args)
    return refused.value.status, refused.value.code


def follow(link: str) -> tuple[dict, dict]:
    """Opens a link of a mail: the parameters of the query and of the fragment that it leads to."""
    answer = httpx.get(link)
    assert answer.status_code == 303
    to = urllib.parse.urlsplit(answer.headers["location"])
    return dict(urllib.parse.parse_qsl(to.query)), dict(urllib.parse.parse_qsl(to.fragment))


def test_sign_up_session_rows_and_sign_out():
    client, user = signed_up(options={"data": {"name": "Nina"}})
    assert user.user_metadata["name"] == "Nina"
    assert (user.aud, user.role, user.is_anonymous) == ("authenticated", "authenticated", False)
    claims = client.auth.get_claims()["claims"]
    assert (claims["sub"], claims["aal"], claims["iss"]) == (user.id, "aal1", f"{url('auth-on')}/auth/v1")
    assert client.table("notes").insert({"content": "mine"}).execute().data[0]["user_id"] == user.id
    assert signed_up()[0].table("notes").select("content").execute().data == []
    identity = client.auth.get_user_identities().identities[0]
    assert (identity.provider, identity.identity_data["email"]) == ("email", user.email)
    token = client.auth.get_session().access_token
    client.auth.sign_out()
    assert client.auth.get_session() is None
    with pytest.raises(AuthError):
        client.auth.get_user(token)


def test_wrong_passwords_weak_ones_and_taken_addresses():
    _, user = signed_up()
    sign_in = browser("auth-on").auth.sign_in_with_password
    assert sign_in({"email": user.email, "password": PASSWORD}).user.id == user.id
    assert refusal(sign_in, {"email": user.email, "password": "wrong"}) == (400, "invalid_credentials")
    assert refusal(sign_in, {"email": address(), "password": "wrong"}) == (400, "invalid_credentials")
    sign_up = browser("auth-on").auth.sign_up
    assert refusal(sign_up, {"email": user.email, "password": PASSWORD}) == (422, "user_already_exists")
    with pytest.raises(AuthWeakPasswordError) as weak:
        sign_up({"email": address(), "password": "123"})
    assert weak.value.reasons == ["length"]
    assert refusal(browser("auth-closed").auth.sign_up, {"email": address(), "password": PASSWORD}) == (422, "signup_disabled")


def test_refresh_set_session_and_update():
    client, user = signed_up()
    before = client.auth.get_session()
    after = client.auth.refresh_session().session
    assert after.refresh_token != before.refresh_token
    other = browser("auth-on")
    assert other.auth.set_session(after.access_token, after.refresh_token).user.id == user.id
    assert other.auth.update_user({"data": {"hello": "world"}}).user.user_metadata["hello"] == "world"
    other.auth.update_user({"password": "123e5a"})
    browser("auth-on").auth.sign_in_with_password({"email": user.email, "password": "123e5a"})
    status, code = refusal(browser("auth-on").auth.refresh_session, "invalid-refresh-token")
    assert (status, code) == (400, "refresh_token_not_found")


def test_events():
    client = browser("auth-on")
    events = []
    client.auth.on_auth_state_change(lambda event, _: events.append(event))
    client.auth.sign_up({"email": address(), "password": PASSWORD})
    client.auth.refresh_session()
    client.auth.update_user({"data": {"a": 1}})
    client.auth.sign_out()
    assert events[-4:] == ["SIGNED_IN", "TOKEN_REFRESHED", "USER_UPDATED", "SIGNED_OUT"]


def test_confirmation_by_code_and_by_link_under_pkce():
    email = address()
    client = browser("auth-off")
    waiting = client.auth.sign_up({"email": email, "password": PASSWORD})
    assert waiting.session is None and waiting.user.email_confirmed_at is None
    assert refusal(client.auth.sign_in_with_password, {"email": email, "password": PASSWORD}) == (400, "email_not_confirmed")
    query, _ = follow(mail_to(email).link)
    assert client.auth.exchange_code_for_session({"auth_code": query["code"]}).user.email == email
    assert client.table("notes").insert({"content": "in"}).execute().data

    email = address()
    browser("auth-off").auth.sign_up({"email": email, "password": PASSWORD})
    verify = browser("auth-off").auth.verify_otp
    code = mail_to(email).code
    assert refusal(verify, {"email": email, "token": "000000" if code != "000000" else "1", "type": "signup"}) == (403, "otp_expired")
    assert verify({"email": email, "token": code, "type": "signup"}).user.email == email


def test_one_time_passwords_and_magic_links():
    email = address()
    client = browser("auth-on", "implicit")
    asked = client.auth.sign_in_with_otp({"email": email})
    assert asked.user is None and asked.session is None
    user = client.auth.verify_otp({"email": email, "token": mail_to(email).code, "type": "email"}).user
    client.auth.sign_in_with_otp({"email": email, "options": {"should_create_user": False}})
    _, fragment = follow(mail_to(email).link)
    assert browser("auth-on").auth.set_session(fragment["access_token"], fragment["refresh_token"]).user.id == user.id
    client.auth.sign_in_with_otp({"email": email})
    assert browser("auth-on").auth.verify_otp({"token_hash": mail_to(email).hash, "type": "email"}).user.id == user.id
    unknown = {"email": address(), "options": {"should_create_user": False}}
    assert refusal(client.auth.sign_in_with_otp, unknown) == (422, "otp_disabled")


def test_recovery():
    _, user = signed_up()
    client = browser("auth-on")
    events = []
    client.auth.on_auth_state_change(lambda event, _: events.append(event))
    client.auth.reset_password_for_email(user.email)
    query, _ = follow(mail_to(user.email).link)
    client.auth.exchange_code_for_session({"auth_code": query["code"]})
    assert "PASSWORD_RECOVERY" in events
    client.auth.update_user({"password": "something new"})
    browser("auth-on").auth.sign_in_with_password({"email": user.email, "password": "something new"})


def test_anonymous_people_become_users():
    client = browser("auth-on")
    user = client.auth.sign_in_anonymously({"options": {"data": {"seen": "tour"}}}).user
    assert user.is_anonymous and user.user_metadata == {"seen": "tour"}
    email = address()
    named = client.auth.update_user({"email": email}).user
    assert (named.id, named.email, named.is_anonymous) == (user.id, email, False)


def test_administration():
    admin = backend("auth-on").auth.admin
    email = address()
    user = admin.create_user({"email": email, "password": PASSWORD, "user_metadata": {}, "app_metadata": {"roles": ["editor"]}}).user
    assert (user.email, user.user_metadata, user.app_metadata["provider"]) == (email, {}, "email")
    assert admin.get_user_by_id(user.id).user.id == user.id
    assert user.id in [found.id for found in admin.list_users()]
    assert len(admin.list_users(page=1, per_page=2)) == 2
    changed = admin.update_user_by_id(user.id, {"email_confirm": True, "user_metadata": {"a": 1}}).user
    assert changed.email_confirmed_at and changed.user_metadata["a"] == 1
    session = browser("auth-on").auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    admin.sign_out(session.access_token)
    with pytest.raises(AuthError):
        browser("auth-on").auth.get_user(session.access_token)
    admin.delete_user(user.id)
    assert refusal(admin.get_user_by_id, user.id) == (404, "user_not_found")
    assert refusal(browser("auth-on").auth.admin.list_users) == (403, "not_admin")


def test_claims_are_verified_by_the_published_key():
    client, user = signed_up("auth-keys")
    found = client.auth.get_claims()
    assert found["headers"]["alg"] == "RS256"
    assert found["claims"]["email"] == user.email
    assert client.table("notes").insert({"content": "mine"}).execute().data
    head, body, signature = client.auth.get_session().access_token.split(".")
    with pytest.raises(AuthError):
        client.auth.get_claims(f"{head}.{body}.{signature[:-8]}AAAAAAAA")


@pytest.mark.parametrize("project", FIVE)
def test_a_sign_up_to_each_system_makes_a_profile(project):
    client, user = signed_up(project)
    table = {"paradyze": "profiles", "domo": "profiles"}.get(project, "users")
    assert client.table(table).select("id, email").execute().data == [{"id": user.id, "email": user.email}]
