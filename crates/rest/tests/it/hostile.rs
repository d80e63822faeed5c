//! Hostile text in every place of the language is only text.
//!
//! Each text would call `nextval` of a sequence if any of it were read as SQL. Sequences are not
//! undone with their transaction, so one call anywhere shows in the end.

use crate::harness::{Answer, Session, session};
use crate::sentences::encoded;

const HOSTILE: [&str; 20] = [
    "'; select nextval('api.canary'); --",
    "\"; select nextval('api.canary'); --",
    "\\'; select nextval('api.canary'); --",
    "1); select nextval('api.canary'); --",
    "(select nextval('api.canary'))",
    "' || nextval('api.canary') || '",
    "\" || nextval('api.canary') || \"",
    "1 union select nextval('api.canary')",
    "$$; select nextval('api.canary'); $$",
    "e'\\''; select nextval('api.canary')",
    "*/ nextval('api.canary') /*",
    "x::int, nextval('api.canary')",
    "api.canary",
    "$1",
    "\\",
    "{\"a\"}",
    "%",
    "\u{0}",
    "😀",
    "null",
];

/// As the grammar quotes a name or a value, with every byte encoded.
fn quoted(text: &str) -> String {
    encoded(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn check(answer: &Answer, place: &str, text: &str) {
    let Answer { status, body, .. } = answer;
    assert!(*status < 500, "{text} in {place}: {status} {body}");
    assert!(!body.contains("42601"), "{text} in {place}: {body}");
}

/// A session with the sequence that nobody may have called.
async fn guarded() -> Session {
    let session = session().await;
    session.client.batch_execute("create sequence api.canary").await.unwrap();
    session
}

async fn assert_unharmed(session: &Session) {
    let row = session.client.query_one("select is_called from api.canary", &[]).await.unwrap();
    assert!(!row.get::<_, bool>(0), "hostile text was read as SQL");
}

#[tokio::test]
async fn in_urls() {
    const PLACES: [&str; 40] = [
        "/BARE",
        "/rpc/BARE",
        "/clients?name=eq.BARE",
        "/clients?name=like(any).BARE",
        "/clients?name=in.(QUOTED,BARE)",
        "/clients?name=BARE.1",
        "/clients?id=is.BARE",
        "/clients?QUOTED=eq.1",
        "/clients?BARE=eq.1",
        "/clients?BARE",
        "/clients?QUOTED.name=eq.1",
        "/clients?select=QUOTED",
        "/clients?select=BARE",
        "/clients?select=QUOTED:id",
        "/clients?select=id::BARE",
        "/clients?select=QUOTED.sum()",
        "/clients?select=QUOTED:id.max()::BARE",
        "/clients?select=QUOTED(id)",
        "/clients?select=id,...QUOTED(id)",
        "/clients?select=a:projects!QUOTED(id)",
        "/clients?select=id,QUOTED:projects(id,QUOTED:name)",
        "/clients?select=id,projects(id)&projects.QUOTED=eq.1",
        "/clients?select=id,projects(id)&projects.order=QUOTED&projects.limit=BARE",
        "/projects?select=meta->QUOTED->>QUOTED",
        "/projects?select=meta->BARE",
        "/projects?meta->>QUOTED=eq.1",
        "/projects?order=meta->QUOTED.desc",
        "/projects?select=*,clients(*)&order=clients(QUOTED)",
        "/clients?order=QUOTED",
        "/clients?order=id.BARE",
        "/clients?or=(name.eq.QUOTED,QUOTED.eq.1)",
        "/clients?and=(name.eq.BARE)",
        "/tasks?search=fts(BARE).x",
        "/tasks?search=plfts(english).BARE",
        "/tasks?tags=cs.BARE",
        "/clients?limit=BARE&offset=BARE",
        "/clients?on_conflict=QUOTED&columns=QUOTED",
        "/rpc/add?BARE=1&a=BARE",
        "/rpc/shout?a=BARE&b=BARE",
        "/rpc/list_projects?select=QUOTED&QUOTED=eq.1&order=QUOTED",
    ];
    let session = guarded().await;
    for text in HOSTILE {
        for place in PLACES {
            let target = place.replace("BARE", &encoded(text)).replace("QUOTED", &quoted(text));
            check(&session.get(&target).await, place, text);
        }
    }
    assert_unharmed(&session).await;
    assert_eq!(session.get("/clients?select=id").await.body.matches("id").count(), 3);
}

#[tokio::test]
async fn in_bodies() {
    let session = guarded().await;
    for text in HOSTILE {
        let json = serde_json::json!({ text: text, "name": text }).to_string();
        let values = serde_json::json!({ "id": 7, "name": text }).to_string();
        let column = text.replace('"', "\"\"");
        let csv = format!("id,\"{column}\"\n7,\"{column}\"");
        let form = format!("a={0}&{0}={0}", encoded(text));
        let merge = "prefer: resolution=merge-duplicates, return=representation, missing=default";
        let as_csv = "content-type: text/csv\nprefer: return=headers-only";
        let as_form = "content-type: application/x-www-form-urlencoded";
        let named = quoted(text);
        let conflict = format!("/clients?on_conflict={named}");
        let columns = format!("/clients?columns={named}&select=QUOTED",).replace("QUOTED", &named);
        for (method, target, headers, body) in [
            ("POST", "/clients", merge, &json),
            ("POST", "/clients", merge, &values),
            ("POST", &conflict, merge, &values),
            ("POST", &columns, merge, &json),
            ("POST", "/clients", as_csv, &csv),
            ("PATCH", "/clients?id=eq.1", merge, &json),
            ("PATCH", "/clients?id=eq.1", merge, &values),
            ("PUT", "/clients?id=eq.7", merge, &values),
            ("PUT", "/clients?id=eq.7", merge, &json),
            ("POST", "/rpc/add", "", &json),
            ("POST", "/rpc/add", as_form, &form),
            ("POST", "/rpc/shout", "content-type: text/plain", &text.to_owned()),
        ] {
            check(&session.ask(method, target, headers, body).await, target, text);
        }
    }
    assert_unharmed(&session).await;
}

#[tokio::test]
async fn in_headers() {
    const NAMES: [&str; 6] =
        ["accept", "accept-profile", "content-profile", "content-type", "range", "x-anything"];
    const PREFERENCES: [&str; 6] =
        ["", "timezone=", "max-affected=", "count=", "return=", "handling=strict, "];
    let session = guarded().await;
    for text in HOSTILE.into_iter().filter(|text| !text.contains('\0')) {
        let names = NAMES.iter().map(|name| format!("{name}: {text}"));
        let preferences = PREFERENCES.iter().map(|start| format!("prefer: {start}{text}"));
        for header in names.chain(preferences) {
            check(&session.ask("GET", "/clients?id=eq.1", &header, "").await, &header, text);
            let written =
                session.ask("POST", "/clients", &header, "{\"id\":7,\"name\":\"x\"}").await;
            check(&written, &header, text);
        }
    }
    assert_unharmed(&session).await;
}

/// What is too deep or too long is refused in words, not by a stack that overflows.
#[tokio::test]
async fn of_any_length_and_depth() {
    let session = session().await;
    for depth in [10, 100, 10_000] {
        let logic = format!("/clients?or=({}id.eq.1{})", "and(".repeat(depth), ")".repeat(depth));
        let select =
            format!("/clients?select={}id{}", "projects(".repeat(depth), ")".repeat(depth));
        let path = format!("/projects?select=meta{}", "->a".repeat(depth));
        for target in [&logic, &select, &path] {
            let answer = session.get(target).await;
            assert!(answer.status < 500, "{depth}: {}", &answer.body[..answer.body.len().min(300)]);
        }
    }
    let list: Vec<String> = (0..100_000).map(|it| it.to_string()).collect();
    let answer =
        session.get(&format!("/clients?select=id&id=in.({})&order=id", list.join(","))).await;
    assert_eq!(answer.body.matches("id").count(), 3);
    let parameters = session.get(&format!("/clients?{}", "id=gt.0&".repeat(5000))).await;
    assert_eq!(parameters.status, 400, "{}", parameters.body);
    assert!(parameters.body.contains("more than 4096 parameters"));
    let values = format!("/clients?or=({}id.eq.1)", "id.eq.1,".repeat(70_000));
    let values = session.get(&values).await;
    assert_eq!(values.status, 400, "{}", values.body);
    assert!(values.body.contains("more than 65535 values"));
    let filters = session.get(&format!("/clients?{}", "id=gt.0&".repeat(2000))).await;
    assert_eq!(filters.status, 200);
}
