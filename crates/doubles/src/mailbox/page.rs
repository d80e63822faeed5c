//! The page for people. What it shows comes from the API and is put in place as text, never as markup; a mail's HTML is shown in
//! a frame of its own that may run nothing and knows no origin.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Answer;

const SCRIPT: &str = include_str!("inbox.js");
const STYLE: &str = include_str!("inbox.css");
const MARKUP: &str = include_str!("inbox.html");

/// For a mail's HTML by itself: it is shown, links can be followed, and nothing of it runs.
pub(super) const FRAME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     img-src data: http: https:; font-src data:; base-uri 'none'; form-action 'none'; \
     sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation";

static PAGE: LazyLock<String> =
    LazyLock::new(|| MARKUP.replace("/*style*/", STYLE).replace("/*script*/", SCRIPT));

/// Only this script runs, in the page and in the frames, which inherit the policy: a mail's own scripts, forms and plug-ins do not.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; \
         img-src data: http: https:; font-src data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'"
    )
});

pub(super) fn page() -> Answer {
    Answer {
        status: 200,
        content_type: "text/html; charset=utf-8",
        security_policy: &POLICY,
        body: PAGE.clone().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_script_that_the_page_holds() {
        let answer = page();
        let html = String::from_utf8(answer.body).unwrap();
        let script = html.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
        assert!(answer.security_policy.contains(&format!("script-src 'sha256-{hash}'")));
        assert!(!answer.security_policy.contains("unsafe-eval"));
    }

    #[test]
    fn the_script_makes_no_markup_of_what_it_reads() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        assert!(MARKUP.contains(r#"sandbox="allow-popups allow-popups-to-escape-sandbox""#));
    }
}
