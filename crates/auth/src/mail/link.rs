//! The link in a mail.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a link does when it is opened: its parameter `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// Confirms a new account.
    Signup,
    /// Accepts an invitation.
    Invite,
    /// Signs in.
    MagicLink,
    /// Signs in to choose a new password.
    Recovery,
    /// Confirms a change of address.
    EmailChange,
}

impl LinkType {
    /// Its name in the link.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Invite => "invite",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
        }
    }
}

/// Unreserved characters (RFC 3986 §2.3) stay.
pub(super) const ALL_RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What would end or change the parameter, and what is no part of a URL.
const PLAIN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// `{auth_base}{path}?token=…&type=…&redirect_to=…`, in this order, which people's scripts rely on.
///
/// `auth_base` is the public address of the auth API (`https://host/auth/v1`). A `path` that is a whole URL replaces it. A redirect
/// without parameters or fragment is left readable, as the known server leaves it; any other is encoded as a whole.
pub fn confirmation_url(
    auth_base: &str,
    path: &str,
    token_hash: &str,
    link: LinkType,
    redirect_to: &str,
) -> String {
    let target = if path.starts_with("http://") || path.starts_with("https://") {
        path.to_owned()
    } else {
        format!("{}/{}", auth_base.trim_end_matches('/'), path.trim_start_matches('/'))
    };
    let token = utf8_percent_encode(token_hash, ALL_RESERVED);
    let set = if redirect_to.contains(['&', '=', '#']) { ALL_RESERVED } else { PLAIN };
    let redirect = utf8_percent_encode(redirect_to, set);
    format!("{target}?token={token}&type={}&redirect_to={redirect}", link.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(redirect: &str) -> String {
        confirmation_url(
            "https://a.test/auth/v1/",
            "/verify",
            "pkce_ab",
            LinkType::Signup,
            redirect,
        )
    }

    #[test]
    fn parameters_come_in_the_known_order() {
        assert_eq!(
            link("http://localhost:3000/welcome"),
            "https://a.test/auth/v1/verify?token=pkce_ab&type=signup&redirect_to=http://localhost:3000/welcome"
        );
    }

    #[test]
    fn a_redirect_cannot_add_parameters() {
        for redirect in
            ["https://x.test/?a=1&type=recovery#f", "https://x.test/ü %26 +", "app://cb?x"]
        {
            let url = url::Url::parse(&link(redirect)).unwrap();
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            let expected = [("token", "pkce_ab"), ("type", "signup"), ("redirect_to", redirect)];
            let expected: Vec<_> =
                expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(pairs, expected);
            assert_eq!(url.fragment(), None);
        }
    }

    #[test]
    fn a_path_that_is_a_url_replaces_the_base() {
        let url = confirmation_url("https://a.test", "https://b.test/v", "t", LinkType::Invite, "");
        assert_eq!(url, "https://b.test/v?token=t&type=invite&redirect_to=");
    }
}
