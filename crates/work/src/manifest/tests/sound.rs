//! Manifests that are sound, and what becomes of them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

/// The smallest binding.
const SMALL: &str = "[[binding]]\nname = 'a'\non = 't'\nwhen = 'true'\naction = 'noop'\n";

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(spec: &T) {
    let stored = serde_json::to_string(spec).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&stored).unwrap(), spec, "{stored}");
}

#[test]
fn a_manifest_without_work_is_empty() {
    for text in ["", "name = 'a'\ntitle = 'A'", "#:schema x.json\n"] {
        let manifest = parse(text);
        assert!(manifest.bindings.is_empty() && manifest.hooks.is_empty());
        assert!(manifest.schedules.is_empty() && manifest.sealed.is_empty());
    }
}

#[test]
fn every_declaration_is_read_and_survives_being_stored() {
    let manifest = parse(EVERYTHING);
    let names = |names: Vec<&str>| names.join(" ");
    let bindings = manifest.bindings.iter().map(|one| one.spec.name.as_str()).collect();
    assert_eq!(names(bindings), "post-tweet research");
    assert_eq!((manifest.hooks.len(), manifest.schedules.len(), manifest.meters.len()), (3, 2, 1));
    manifest.bindings.iter().for_each(|one| again(&one.spec));
    manifest.hooks.iter().for_each(|one| again(&one.spec));
    manifest.schedules.iter().for_each(|one| again(&one.spec));
    manifest.meters.iter().for_each(|one| again(&one.spec));
    manifest.sealed.iter().for_each(again);
}

/// What the database keeps is read by later versions: these names and forms stay.
#[test]
fn the_stored_form_of_a_binding_stays_as_it_is() {
    let manifest = parse(EVERYTHING);
    let stored = serde_json::to_value(&manifest.bindings[0].spec).unwrap();
    let wanted = json!({
        "name": "post-tweet",
        "on": { "schema": "public", "name": "tweets" },
        "when": "status = 'pending'",
        "key": "id",
        "action": "x.post",
        "with": { "account": "env:X_ACCOUNT", "tries": 3, "nested": { "list": [1.5, true, "a"] } },
        "input": "  select jsonb_build_object('text', t.content)\n  from tweets t where t.id = $row",
        "open": ["account.access_secret", "account.access_token"],
        "role": "service_role",
        "running": ["update tweets set status = 'posting' where id = $row"],
        "done": [
            "update tweets set status = 'posted', tweet_id = $out->>'id' where id = $row",
            "insert into posts (tweet, job, attempt) values ($row, $job, $attempt)",
        ],
        "failed": [
            "update tweets set status = 'failed', reason = $error where id = $row",
            "select 1",
        ],
        "each_step": ["insert into thoughts (tweet, step) values ($row, $step)"],
        "retry": { "attempts": 6, "first_ms": 2000, "factor": 3.0, "max_ms": 5_400_000, "jitter": 0.25 },
        "timeout_ms": 30_000,
        "cancel_when": "status = 'cancelled'",
        "limit": { "key": "account_id", "per_ms": 900_000, "max": 50 },
        "concurrency": { "key": "account_id", "max": 1 },
        "fair": "user_id",
        "priority": "case level when 'critical' then 9 else 1 end",
        "backfill": true,
        "batch": 50,
    });
    assert_eq!(stored, wanted);
    let flow = serde_json::to_value(&manifest.bindings[1].spec.work.steps).unwrap();
    let wanted = json!([
        {
            "name": "plan",
            "when": "$attempt < 3",
            "do": { "act": {
                "action": "http.request",
                "with": {
                    "url": "https://example.com/plan",
                    "method": "PUT",
                    "headers": { "x-key": "env:KEY" },
                    "secret": "env:SECRET",
                },
                "input": "select to_jsonb(t) from app.\"Tasks\" t where id = $row",
                "open": ["key"],
            } },
        },
        { "name": "pause", "do": { "sleep": { "ms": 7_200_000 } } },
        { "name": "approval", "do": { "wait": {
            "event": "approved", "key": "select $row::text", "timeout_ms": 259_200_000,
        } } },
        { "name": "both", "do": { "parallel": [
            { "name": "one", "do": { "act": {
                "action": "sql", "with": { "run": "select $steps->'plan'", "role": "anon" },
            } } },
            { "name": "two", "do": { "call": {
                "binding": "post-tweet", "row": "select ($input->>'tweet')::uuid",
            } } },
            { "name": "three", "when": "$input is not null", "do": { "sleep": { "ms": 1000 } } },
            { "name": "four", "do": { "wait": { "event": "later", "timeout_ms": 604_800_000 } } },
        ] } },
        { "name": "tweet", "do": { "call": {
            "binding": "post-tweet", "row": "select ($steps->'plan'->>'tweet')::uuid",
        } } },
    ]);
    assert_eq!(flow, wanted);
}

#[test]
fn the_stored_form_of_hooks_schedules_and_the_rest_stays_as_it_is() {
    let manifest = parse(EVERYTHING);
    let usual = json!({
        "attempts": 5, "first_ms": 5000, "factor": 2.0, "max_ms": 3_600_000, "jitter": 0.1,
    });
    let hooks: Vec<_> =
        manifest.hooks.iter().map(|one| serde_json::to_value(&one.spec).unwrap()).collect();
    assert_eq!(
        hooks[0],
        json!({
            "name": "stripe",
            "verify": {
                "scheme": "stripe",
                "secrets": ["STRIPE_NEW", "STRIPE_OLD"],
                "header": "stripe-signature",
                "encoding": "hex",
                "tolerance_ms": 600_000,
            },
            "event_id": { "body": "$.id" },
            "action": "noop",
            "role": "owner",
            "done": ["insert into stripe_events (id, body, headers) values ($event, $body, $headers)"],
            "retry": {
                "attempts": 2, "first_ms": 5000, "factor": 2.0, "max_ms": 3_600_000, "jitter": 0.1,
            },
            "timeout_ms": 60_000,
        })
    );
    assert_eq!(
        hooks[1],
        json!({
            "name": "anything",
            "verify": {
                "scheme": "hmac-sha1",
                "secrets": ["ANY"],
                "header": "x-signature",
                "prefix": "sha1=",
                "encoding": "base64",
            },
            "event_id": { "header": "x-event" },
            "call": { "binding": "post-tweet", "row": "select ($body->>'tweet')::uuid" },
            "action": "noop",
            "role": "owner",
            "retry": usual,
            "timeout_ms": 60_000,
        })
    );
    assert_eq!(
        serde_json::to_value(&manifest.schedules[0].spec).unwrap(),
        json!({
            "name": "nightly",
            "cron": "0 3 * * *",
            "timezone": "Europe/Berlin",
            "jitter_ms": 300_000,
            "catch_up": { "all": 7 },
            "action": "noop",
            "role": "owner",
            "done": ["delete from logs where at < $tick - interval '30 days'"],
            "retry": usual,
            "timeout_ms": 60_000,
        })
    );
    assert_eq!(
        serde_json::to_value(&manifest.sealed).unwrap(),
        json!([
            { "on": { "schema": "app", "name": "keys" }, "columns": ["secret"] },
            {
                "on": { "schema": "public", "name": "twitter_accounts" },
                "columns": ["access_secret", "access_token"],
            },
        ])
    );
    assert_eq!(
        serde_json::to_value(&manifest.meters[0].spec).unwrap(),
        json!({
            "name": "api-usage",
            "actions": ["openai.*", "x.post"],
            "record": ["insert into api_usage (action, job, usage) values ($action, $job, $usage)"],
            "role": "service_role",
        })
    );
}

#[test]
fn every_scheme_knows_its_header() {
    let verify = |verify: &str| {
        let text = format!("[[hook]]\nname = 'a'\ndone = 'select 1'\nverify = {verify}");
        parse(&text).hooks.remove(0).spec.verify
    };
    let github = verify("{ scheme = 'github', secret = 'env:A' }");
    assert_eq!(github.header.as_deref(), Some("x-hub-signature-256"));
    assert_eq!((github.prefix.as_str(), github.tolerance_ms), ("sha256=", None));
    let standard = verify("{ scheme = 'standard-webhooks', secret = 'env:A' }");
    assert_eq!((standard.encoding, standard.tolerance_ms), (Encoding::Base64, Some(300_000)));
    let jwt =
        verify("{ scheme = 'jwt-hs256', secret = 'env:A', header = 'X-Token', prefix = 'JWT ' }");
    assert_eq!((jwt.header.as_deref(), jwt.prefix.as_str()), (Some("x-token"), "JWT "));
    assert_eq!(verify("{ scheme = 'path-token', secret = 'env:A' }").header, None);
    assert_eq!(verify("{ scheme = 'none' }").scheme, Scheme::None);
    let shared = verify("{ scheme = 'shared-header', secret = 'env:A', header = 'X-Goog-Token' }");
    assert_eq!(shared.header.as_deref(), Some("x-goog-token"));
}

#[test]
fn equal_meaning_is_an_equal_spec() {
    let spec = |rest: &str| parse(&format!("{SMALL}{rest}")).bindings.remove(0).spec;
    assert_eq!(spec("timeout = '90s'"), spec("timeout = '1m30s'"));
    assert_eq!(spec("done = 'select 1; select 2'"), spec("done = ['select 1', 'select 2;']"));
    assert_eq!(spec("batch = 10\npriority = 0"), spec(""));
    assert_eq!(spec("concurrency = 3"), spec("concurrency = { max = 3 }"));
    assert_eq!(spec("[binding.retry]\nattempts = 5"), spec("retry = {}"));
    assert_ne!(spec("done = 'select 1'"), spec("done = 'select 2'"));
}

/// What an earlier version stored, with what has been added since left out.
#[test]
fn a_spec_without_its_optional_parts_still_reads() {
    let stored = json!({
        "name": "a", "on": { "schema": "public", "name": "t" }, "when": "true", "action": "noop",
        "role": "owner", "timeout_ms": 60_000, "priority": 0, "backfill": false, "batch": 10,
        "retry": { "attempts": 5, "first_ms": 5000, "factor": 2.0, "max_ms": 3_600_000, "jitter": 0.1 },
    });
    let spec: BindingSpec = serde_json::from_value(stored).unwrap();
    assert_eq!(spec, parse(SMALL).bindings[0].spec);
}

#[test]
fn a_spec_tells_all_its_sql_with_what_it_must_give() {
    let manifest = parse(EVERYTHING);
    let shown = |texts: Vec<SqlText>| {
        let lines =
            texts.iter().map(|text| format!("{} {:?} {:?}", text.path, text.wants, text.role));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        shown(manifest.bindings[0].spec.sql_texts()),
        "when Condition Owner
cancel_when Condition Owner
limit.key Column Owner
concurrency.key Column Owner
fair Column Owner
priority Number Owner
input Json ServiceRole
running[0] Nothing ServiceRole
done[0] Nothing ServiceRole
done[1] Nothing ServiceRole
failed[0] Nothing ServiceRole
failed[1] Nothing ServiceRole
each_step[0] Nothing ServiceRole"
    );
    assert_eq!(
        shown(manifest.bindings[1].spec.sql_texts()),
        "when Condition Owner
steps[0].when Test Owner
steps[0].input Json Owner
steps[2].wait.key Text Owner
steps[3].parallel[0].with.run JsonOrNothing Anon
steps[3].parallel[1].row Key Owner
steps[3].parallel[2].when Test Owner
steps[4].row Key Owner"
    );
    assert_eq!(
        shown(manifest.hooks[1].spec.sql_texts()) + &shown(manifest.hooks[2].spec.sql_texts()),
        "row Key Ownerwith.run JsonOrNothing Owner\nfailed[0] Nothing Owner"
    );
}

/// Problems that the database finds are shown at the letter of the file.
#[test]
fn every_sql_text_knows_its_place_in_the_file() {
    let manifest = parse(EVERYTHING);
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    let check = |texts: Vec<SqlText>, problem: &dyn Fn(&str, usize) -> Problem| {
        for text in texts {
            let sql = text.sql.as_str();
            let word = sql.trim_start().split(' ').next().unwrap();
            let found = problem(&text.path, sql.find(word).unwrap());
            let line: String = lines[found.line - 1].chars().skip(found.column - 1).collect();
            assert!(line.starts_with(word), "{}: {found} is not {word}", text.path);
        }
    };
    for one in &manifest.bindings {
        let problem = |path: &str, offset| manifest.sql_problem(one, path, offset, "", None);
        check(one.spec.sql_texts(), &problem);
    }
    for one in &manifest.hooks {
        let problem = |path: &str, offset| manifest.sql_problem(one, path, offset, "", None);
        check(one.spec.sql_texts(), &problem);
    }
    for one in &manifest.schedules {
        let problem = |path: &str, offset| manifest.sql_problem(one, path, offset, "", None);
        check(one.spec.sql_texts(), &problem);
    }
    for one in &manifest.meters {
        let problem = |path: &str, offset| manifest.sql_problem(one, path, offset, "", None);
        check(one.spec.sql_texts(), &problem);
    }
    let at_key = manifest.problem(&manifest.bindings[0], "action", "is not known", None);
    assert_eq!(at_key.to_string(), "blueprint.toml:11:15: is not known");
    let line_of = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap() + 1;
    assert_eq!(manifest.problem(&manifest.hooks[0], "action", "", None).line, line_of("[[hook]]"));
    let [_, sealed] = &manifest.sealed[..] else { panic!() };
    let at = |column| manifest.sealed_problem(sealed, column, "", None).line;
    assert_eq!([at(None), at(Some("access_secret"))], [line_of("twitter_accounts"); 2]);
}

#[test]
fn the_environment_variables_of_actions_and_hooks_are_found() {
    let found: Vec<&str> =
        "ANY KEY PING_URL SECRET STRIPE_NEW STRIPE_OLD X_ACCOUNT".split(' ').collect();
    assert_eq!(parse(EVERYTHING).variables().into_iter().collect::<Vec<_>>(), found);
}

#[test]
fn the_manifests_of_the_products_blueprints_are_sound() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../blueprints");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("blueprint.toml");
        drop(parse(&std::fs::read_to_string(file).unwrap()));
        seen += 1;
    }
    assert!(seen >= 5);
}

#[test]
fn a_meter_covers_its_actions() {
    let meter = &parse(EVERYTHING).meters.remove(0).spec;
    for (action, covered) in [
        ("openai.chat", true),
        ("x.post", true),
        ("x.posts", false),
        ("openai", false),
        ("sql", false),
    ] {
        assert_eq!(meter.covers(action), covered, "{action}");
    }
}
