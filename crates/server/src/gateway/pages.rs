//! The instance's own page at `/`: which projects there are, and where. No secrets.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::response::{Answer, with_body};

/// Shows the projects and their URLs; `origin` is what the client called us.
pub(super) fn index(origin: &str, names: &[String], default: Option<&str>) -> Answer {
    let mut html = String::from(HEAD);
    if names.is_empty() {
        html.push_str("<p>There is no project yet. Create one with <code>plinth project create NAME</code>.</p>");
    } else {
        html.push_str(
            "<table><thead><tr><th>Project</th><th>URL for createClient()</th></tr></thead><tbody>",
        );
        for name in names {
            row(&mut html, origin, name, default == Some(name));
        }
        html.push_str("</tbody></table>");
    }
    html.push_str("<p>Keys: <code>plinth status</code>. Probes: <a href=\"/health\">/health</a>, <a href=\"/ready\">/ready</a>.</p></main></body></html>\n");
    let mut answer = with_body(
        StatusCode::OK,
        HeaderValue::from_static("text/html; charset=utf-8"),
        Bytes::from(html),
    );
    answer.headers_mut().insert(
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    answer
}

fn row(html: &mut String, origin: &str, name: &str, default: bool) {
    let (origin, name) = (escape(origin), escape(name));
    html.push_str(&format!("<tr><td>{name}</td><td><code>{origin}/p/{name}</code>"));
    if default {
        html.push_str(&format!(" and <code>{origin}</code>"));
    }
    html.push_str("</td></tr>");
}

/// Makes a text safe inside HTML elements and quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Plinth</title><style>\
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c2430;background:#f7f7f4}\
main{max-width:46rem;margin:4rem auto;padding:0 1.5rem}h1{font-size:1.6rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.45rem .8rem .45rem 0;border-bottom:1px solid #ddd}\
code{font:14px ui-monospace,monospace;background:#ecece6;padding:.1rem .3rem;border-radius:3px}a{color:#1d5fa8}\
@media(prefers-color-scheme:dark){body{color:#e6e6e0;background:#15181c}th,td{border-color:#333}code{background:#262b31}a{color:#8ab8ee}}\
</style></head><body><main><h1>Plinth is running</h1>";

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn page(origin: &str, names: &[&str], default: Option<&str>) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let body = index(origin, &names, default).into_body().collect().await.unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn projects_are_named_with_their_urls() {
        let html = page("http://localhost:5400", &["domo", "echelon"], Some("domo")).await;
        assert!(html.contains(
            "<code>http://localhost:5400/p/domo</code> and <code>http://localhost:5400</code>"
        ));
        assert!(html.contains("<code>http://localhost:5400/p/echelon</code></td>"));
    }

    #[tokio::test]
    async fn text_from_the_request_is_escaped() {
        let html = page("http://\"><script>alert('x&y')</script>", &["a1"], None).await;
        assert!(html.contains(
            "http://&quot;&gt;&lt;script&gt;alert(&#39;x&amp;y&#39;)&lt;/script&gt;/p/a1"
        ));
        assert!(!html.contains("<script"));
    }
}
