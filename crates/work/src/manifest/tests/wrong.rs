//! Manifests that are not sound, and what is said about them.

use super::*;

/// A binding with more lines; the first of them is line 6.
fn binding(more: &str) -> String {
    format!("[[binding]]\nname = 'a'\non = 't'\nwhen = 'true'\naction = 'noop'\n{more}\n")
}

fn flow(steps: &str) -> String {
    format!(
        "[[binding]]\nname = 'a'\non = 't'\nwhen = 'true'\naction = 'flow'\nsteps = [\n{steps}\n]\n"
    )
}

/// A hook with more lines; the first of them is line 3.
fn hook(more: &str) -> String {
    format!("[[hook]]\nname = 'h'\n{more}\n")
}

fn schedule(more: &str) -> String {
    format!("[[schedule]]\nname = 's'\n{more}\n")
}

/// That exactly this is wrong.
fn check(cases: &[(String, &[&str])]) {
    let is_other = |(text, wanted): &&(String, &[&str])| problems(text) != *wanted;
    let others: Vec<String> = cases
        .iter()
        .filter(is_other)
        .map(|(text, wanted)| format!("{text}\n  is {:?}\n not {wanted:?}", problems(text)))
        .collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn text_that_is_no_toml_is_all_that_is_said() {
    for text in
        ["name = ", "[[binding]\nname = 'a'", "a = 'x", "= 1", "[a]\n[a]", "name = 'a'\nname = 'b'"]
    {
        let problems = problems(text);
        assert!(problems.iter().all(|one| one.contains("no TOML: ")), "{problems:?}");
    }
    assert_eq!(problems(&" ".repeat(bounds::MAX_MANIFEST_BYTES + 1)).len(), 1);
}

#[test]
fn all_problems_are_said_at_once_in_their_order() {
    let text = "[[binding]]\non = 'a b'\nwhen = '$row = 1'\nactoin = 'noop'\nbatch = 0\n\n[[hook]]\nname = 'H'\n";
    assert_eq!(
        problems(text),
        [
            "1:1: [[binding]] has no `action`",
            "1:1: [[binding]] has no `name`",
            "2:6: `a b` must have from 1 to 63 bytes, without quotes, dots and space",
            "3:9: `when`: `$row` has no value here",
            "4:1: [[binding]] has no key `actoin`; did you mean `action`?",
            "5:9: `batch` must be from 1 to 500, and is 0",
            "7:1: [[hook]] does nothing: it has neither `done` nor `action` nor `binding`",
            "7:1: [[hook]] has no `verify`",
            "8:8: `name`: `H` must begin with a small letter and have only a–z, 0–9, `-` and `_`, at most 48 in all",
        ]
    );
}

#[test]
fn a_problem_is_shown_with_its_file_and_hint() {
    let problem = Manifest::parse(&binding("running = 'select $out'")).unwrap_err().remove(0);
    assert_eq!(
        problem.to_string(),
        "blueprint.toml:6:19: `running`: `$out` has no value here\n  here may stand `$row`, `$job`, `$attempt`"
    );
}

#[test]
fn unknown_keys_are_problems_everywhere() {
    check(&[
        (
            "bindings = 1".into(),
            &["1:1: blueprint.toml has no key `bindings`; did you mean `binding`?"],
        ),
        (
            binding("retry = { atempts = 3 }"),
            &["6:11: retry has no key `atempts`; did you mean `attempts`?"],
        ),
        (
            binding("limit = { per = '1s', max = 1, burst = 2 }"),
            &["6:32: limit has no key `burst`"],
        ),
        (binding("with = { url = 'x' }"), &["6:10: action `noop` has no key `url`"]),
        (
            flow("{ name = 'x', slep = '1s' }"),
            &[
                "7:1: steps needs one of `action`, `sleep`, `wait`, `call`, `parallel`",
                "7:15: steps has no key `slep`; did you mean `sleep`?",
            ],
        ),
        (
            hook("done = 'select 1'\nverify = { scheme = 'none', token = 'x' }"),
            &["4:29: verify has no key `token`"],
        ),
    ]);
}

#[test]
fn values_of_another_form_are_problems() {
    check(&[
        ("binding = 1".into(), &["1:11: `binding` must be a list of tables, and has a number"]),
        ("binding = ['a']".into(), &["1:12: `binding` must be a list of tables, and has a text"]),
        ("name = 1".into(), &["1:8: `name` must be a name, and has a number"]),
        (binding("batch = '5'"), &["6:9: `batch` must be a whole number, and has a text"]),
        (binding("batch = 1.5"), &["6:9: `batch` must be a whole number, and has a number"]),
        (
            binding("batch = 99999999999"),
            &["6:9: `batch` must be from 1 to 500, and is 99999999999"],
        ),
        (binding("batch = -1"), &["6:9: `batch` must be from 1 to 500, and is -1"]),
        (binding("backfill = 'yes'"), &["6:12: `backfill` must be true or false, and has a text"]),
        (
            binding("done = 1"),
            &[
                "6:8: `done` must be a text with SQL statements, or a list of such, and has a number",
            ],
        ),
        (
            binding("done = ['select 1', 2]"),
            &[
                "6:21: `done` must be a text with SQL statements, or a list of such, and has a number",
            ],
        ),
        (binding("done = []"), &["6:8: `done` must have from 1 to 16 entries"]),
        (binding("with = 1"), &["6:8: `with` must be a table, and has a number"]),
        (binding("retry = 3"), &["6:9: `retry` must be a table, and has a number"]),
        (
            binding("timeout = 30"),
            &[
                "6:11: `timeout` must be a length of time such as 250ms, 30s, 15m, 1h30m or 7d, and has a number",
            ],
        ),
        (
            binding("timeout = '30'"),
            &["6:11: `timeout` must be a length of time such as 250ms, 30s, 15m, 1h30m or 7d"],
        ),
        (binding("timeout = '2d'"), &["6:11: `timeout` must be from 1s to 1d, and is 2d"]),
        (binding("role = 'postgres'"), &["6:8: `role` cannot be `postgres`"]),
        (
            binding("role = 'service-role'"),
            &["6:8: `role` cannot be `service-role`; did you mean `service_role`?"],
        ),
        (binding("priority = 10"), &["6:12: `priority` must be from 0 to 9, and is 10"]),
        (binding("concurrency = 0"), &["6:15: `concurrency` must be from 1 to 10000, and is 0"]),
        (binding("retry = { factor = 0.5 }"), &["6:20: `factor` must be from 1 to 10, and is 0.5"]),
        (binding("retry = { jitter = nan }"), &["6:20: `jitter` must be from 0 to 1, and is nan"]),
        (
            binding("retry = { first = '2h' }"),
            &["6:19: `first` makes the first wait longer than the longest, which is `max`"],
        ),
        (
            binding("key = ''"),
            &["6:7: `key`: `` must have from 1 to 63 bytes, without quotes, dots and space"],
        ),
        (binding("limit = { max = 1 }"), &["6:9: limit has no `per`"]),
    ]);
}

#[test]
fn sql_is_refused_at_the_letter_that_is_wrong() {
    check(&[
        (
            binding("done = \"\"\"\nselect 1;\nselect $oops\"\"\""),
            &["8:8: `done`: `$oops` is no parameter"],
        ),
        (
            binding("done = 'select $1'"),
            &["6:16: `done`: `$1` is a positional parameter; parameters have names"],
        ),
        (
            binding("done = ['select 1', 'commit']"),
            &["6:22: `done`: a statement cannot begin with `commit`"],
        ),
        (binding("done = ' -- nothing'"), &["6:8: `done` has no SQL in it"]),
        (binding("input = 'select 1; select 2'"), &["6:20: `input`: is more than one statement"]),
        (binding("input = 'select ('"), &["6:17: `input`: a `(` that is not closed"]),
        (
            binding("cancel_when = 'true; drop table t'"),
            &["6:20: `cancel_when`: an expression has no `;`"],
        ),
        (
            binding("fair = 'a) or (b'"),
            &["6:10: `fair`: a `)` that closes nothing", "6:15: `fair`: a `(` that is not closed"],
        ),
        (
            binding("cancel_when = 'true'"),
            &["6:15: `cancel_when` is the same as `when`: every job would be cancelled"],
        ),
        (binding("failed = 'select $out'"), &["6:18: `failed`: `$out` has no value here"]),
        (binding("done = 'select $error'"), &["6:16: `done`: `$error` has no value here"]),
        (binding("done = 'select $body'"), &["6:16: `done`: `$body` has no value here"]),
        (
            hook("verify = { scheme = 'none' }\ndone = 'select $row'"),
            &["4:16: `done`: `$row` has no value here"],
        ),
        (
            schedule("cron = '* * * * *'\nrun = 'select $out'"),
            &["4:15: `run`: `$out` has no value here"],
        ),
        (
            binding(&format!("done = '{}'", "select 1;".repeat(17))),
            &["6:8: `done` has more than 16 statements"],
        ),
    ]);
}

#[test]
fn steps_that_do_not_fit_are_refused() {
    check(&[
        (
            binding("steps = [{ name = 'x', sleep = '1s' }]"),
            &["6:9: `steps` means nothing without the action `flow`"],
        ),
        (flow(""), &["6:9: `steps` has no step in it"]),
        (binding("").replace("noop", "flow"), &["5:10: `action` is `flow`, which needs `steps`"]),
        (
            flow("{ name = 'x', sleep = '1s', action = 'noop' }"),
            &["7:23: `sleep` and `action` exclude each other"],
        ),
        (
            flow(
                "{ name = 'x', sleep = '1s' },\n{ name = 'y', parallel = [{ name = 'x', sleep = '1s' }] }",
            ),
            &["8:36: `name` `x` is another step's too"],
        ),
        (flow("{ name = 'x', action = 'flow' }"), &["7:24: `action` of a step cannot be `flow`"]),
        (
            flow("{ name = 'x', parallel = [{ name = 'y', parallel = [] }] }"),
            &[
                "7:27: parallel needs one of `action`, `sleep`, `wait`, `call`",
                "7:41: parallel has no key `parallel`",
            ],
        ),
        (flow("{ name = 'x', parallel = [] }"), &["7:26: `parallel` has no step in it"]),
        (
            flow("{ name = 'x', sleep = '1s', input = 'select 1' }"),
            &["7:37: `input` means nothing without `action`"],
        ),
        (flow("{ name = 'x', wait = { timeout = '1s' } }"), &["7:22: wait has no `event`"]),
        (flow("{ name = 'x', call = 'b' }"), &["7:22: `steps[0].call`: there is no binding `b`"]),
        (
            flow("{ name = 'x', call = 'a' }"),
            &["7:22: `steps[0].call`: a binding cannot call itself for its own row"],
        ),
        (
            format!(
                "{}[[binding]]\nname = 'other'\non = 'u'\nwhen = 'true'\naction = 'noop'",
                flow("{ name = 'x', call = 'other' }")
            ),
            &["7:22: `steps[0].call`: `row` must say for which row of `u` it is"],
        ),
        (
            flow(&"{ name = 'x', sleep = '1s' },\n".repeat(101)),
            &[
                "6:9: `steps` are 101, and at most 100 are possible",
                "6:9: `steps` has no step in it",
            ],
        ),
    ]);
}

#[test]
fn settings_of_built_in_actions_are_checked() {
    let http = |with: &str| binding(&format!("with = {with}")).replace("noop", "http.request");
    let sql = |with: &str| binding(&format!("with = {with}")).replace("noop", "sql");
    check(&[
        (binding("").replace("noop", "http.request"), &["1:1: action `http.request` has no `url`"]),
        (
            http("{ url = 'worker' }"),
            &["6:16: `url` must begin with http:// or https://, or be `env:NAME`"],
        ),
        (
            http("{ url = 'file:///etc/passwd' }"),
            &["6:16: `url` must begin with http:// or https://, or be `env:NAME`"],
        ),
        (
            http("{ url = 'https://a', secret = 'abc' }"),
            &[
                "6:38: `secret` must be `env:` and the name of an environment variable: secrets are not written here",
            ],
        ),
        (http("{ url = 'https://a', method = 'post' }"), &["6:38: `method` cannot be `post`"]),
        (
            http("{ url = 'https://a', headers = { 'a b' = 'c' } }"),
            &["6:49: `a b` is no header that can be sent"],
        ),
        (
            http("{ url = 'https://a', headers = { a = \"b\\nc\" } }"),
            &["6:45: `a` is no header that can be sent"],
        ),
        (sql("{ run = 'drop table t' }"), &["6:17: `run`: a statement cannot begin with `drop`"]),
        (sql("{}"), &["6:8: action `sql` has no `run`"]),
        (
            binding("with = { a = 'env:' }").replace("noop", "x.post"),
            &["6:14: `env:` without the name of an environment variable"],
        ),
        (
            binding("with = { \"a\\u0000\" = [\"\\u0000\"] }").replace("noop", "x.post"),
            &[
                "6:10: a NUL character, which jsonb cannot hold",
                "6:23: a NUL character, which jsonb cannot hold",
            ],
        ),
        (
            binding("with = { a = inf }").replace("noop", "x.post"),
            &["6:14: a number that JSON cannot hold"],
        ),
        (
            binding("").replace("noop", "Http Request"),
            &["5:10: `action`: `Http Request` must be like `noop` or `http.request`"],
        ),
    ]);
}

#[test]
fn hooks_must_say_how_they_are_verified() {
    let verified = |verify: &str| hook(&format!("done = 'select 1'\nverify = {verify}"));
    check(&[
        (verified("{}"), &["4:10: verify has no `scheme`"]),
        (
            verified("{ scheme = 'hmac' }"),
            &["4:21: `scheme` cannot be `hmac`; did you mean `hmac-sha1`?"],
        ),
        (
            verified("{ scheme = 'hmac-sha256' }"),
            &[
                "4:21: `scheme` is `hmac-sha256`, which needs `header`",
                "4:21: `scheme` is `hmac-sha256`, which needs `secret`",
            ],
        ),
        (
            verified("{ scheme = 'none', secret = 'env:A' }"),
            &["4:38: `secret` means nothing with the scheme `none`"],
        ),
        (
            verified("{ scheme = 'github', secret = 'env:A', encoding = 'hex' }"),
            &["4:60: `encoding` means nothing with the scheme `github`"],
        ),
        (
            verified("{ scheme = 'stripe', secret = 'whsec_abc' }"),
            &[
                "4:40: `secret` must be `env:` and the name of an environment variable: secrets are not written here",
            ],
        ),
        (
            verified("{ scheme = 'stripe', secret = [] }"),
            &["4:40: `secret` must have from 1 to 4 entries"],
        ),
        (
            verified("{ scheme = 'shared-header', secret = 'env:A', header = 'a b' }"),
            &["4:65: `header` `a b` is no name of a header"],
        ),
        (
            verified("{ scheme = 'path-token', secret = 'env:A' }\nevent_id = '$.['"),
            &[
                "5:12: `event_id` is no JSON path: in dot member name, must start with lowercase alpha or '_'",
            ],
        ),
        (
            hook("verify = { scheme = 'none' }\nbinding = 'b'"),
            &[
                "4:11: `binding` means nothing without `row`",
                "4:11: `binding`: there is no binding `b`",
            ],
        ),
    ]);
}

#[test]
fn schedules_must_have_a_pattern_and_something_to_do() {
    check(&[
        (schedule("cron = '* * * * *'"), &["1:1: [[schedule]] needs one of `run`, `action`"]),
        (
            schedule("cron = '* * * * *'\nrun = 'select 1'\naction = 'noop'"),
            &["5:10: `action` and `run` exclude each other"],
        ),
        (
            schedule("cron = '* * * * *'\nrun = 'select 1'\ndone = 'select 2'"),
            &["5:8: `done` means nothing without `action`"],
        ),
        (
            schedule("cron = '* * * * *'\nrun = 'select 1'\ntimezone = 'Mars/Base'"),
            &["5:12: `timezone` `Mars/Base` is no time zone"],
        ),
        (
            schedule("cron = '* * * * *'\nrun = 'select 1'\ncatch_up_max = 3"),
            &["5:16: `catch_up_max` means nothing without `catch_up = \"all\"`"],
        ),
    ]);
    for cron in ["* * * *", "61 * * * *", "every day", "* * * * * * *", "", "* * * * * * 2027"] {
        let found = problems(&schedule(&format!("cron = '{cron}'\nrun = 'select 1'")));
        assert!(found[0].starts_with("3:8: `cron`"), "{cron}: {found:?}");
    }
}

#[test]
fn names_are_unique() {
    let text = format!(
        "{}{}",
        binding(""),
        schedule("cron = '* * * * *'\nrun = 'select 1'").replace("'s'", "'a'")
    );
    assert_eq!(problems(&text), ["8:8: the name `a` is there already"]);
    let meter = "[[meter]]\nname = 'a'\nactions = 'x.post'\nrecord = 'select 1'\n";
    assert_eq!(
        problems(&format!("{}{meter}{meter}", binding(""))),
        ["12:8: the name `a` is there already"]
    );
}

#[test]
fn sealed_values_are_opened_at_paths_and_for_others_only() {
    let head = "[[binding]]\nname = 'a'\non = 't'\nwhen = 'x'\n";
    let flow = "action = 'flow'\nsteps = [{ name = 's', action = 'sql', with = { run = 'select 1' }, open = 'a' }]\nopen = 'a'";
    check(&[
        (
            format!("{head}action = 'x.y'\nopen = ['a..b', ' a', 'a.b']"),
            &[
                "6:9: `a..b` is no path such as `account.access_token`",
                "6:17: ` a` is no path such as `account.access_token`",
            ],
        ),
        (
            format!("{head}action = 'noop'\nopen = 'a'"),
            &["6:8: `open` is for actions that leave the database"],
        ),
        (
            format!("{head}{flow}"),
            &[
                "6:76: `open` is for actions that leave the database",
                "7:8: `open` is for actions that leave the database",
            ],
        ),
        (
            format!("{head}action = 'flow'\nsteps = [{{ name = 's', sleep = '1s', open = 'a' }}]"),
            &["6:45: `open` means nothing without `action`"],
        ),
    ]);
}

#[test]
fn sealed_columns_and_meters_are_checked() {
    check(&[
        (
            "sealed = 1".into(),
            &["1:10: `sealed` must be lists of columns by table, and has a number"],
        ),
        (
            "[sealed]\nt = 'a'".into(),
            &["2:5: `sealed` must be lists of columns by table, and has a text"],
        ),
        ("[sealed]\nt = []".into(), &["2:1: `t` must have from 1 to 50 columns"]),
        ("[sealed]\nt = ['a', 'a']".into(), &["2:11: `a` is there already"]),
        (
            "[sealed]\n'a.b.c' = ['a']".into(),
            &["2:1: `a.b.c` must have from 1 to 63 bytes, without quotes, dots and space"],
        ),
        (
            "[[meter]]\nname = 'm'\nactions = ['x.*.y']\nrecord = 'select $out'".into(),
            &[
                "3:12: `x.*.y` is neither an action, nor `openai.*`, nor `*`",
                "4:18: `record`: `$out` has no value here",
            ],
        ),
    ]);
}

#[test]
fn there_are_bounds_to_everything() {
    let many =
        |count: usize, one: &dyn Fn(usize) -> String| -> String { (0..count).map(one).collect() };
    let bindings =
        many(bounds::MAX_BINDINGS + 1, &|n| binding("").replace("'a'", &format!("'a{n}'")));
    assert_eq!(problems(&bindings), ["1:1: `binding` are 201, and at most 200 are possible"]);
    let unknown = many(300, &|n| format!("key{n} = 1\n"));
    assert_eq!(problems(&unknown).len(), bounds::MAX_PROBLEMS);
    let sql = binding(&format!("done = 'select {}'", "$1, ".repeat(10_000)));
    assert_eq!(problems(&sql).len(), bounds::MAX_SQL_PROBLEMS);
    let large = binding(&format!("with = {{ a = '{}' }}", "x".repeat(bounds::MAX_SETTINGS_BYTES)));
    assert_eq!(
        problems(&large.replace("noop", "x.post")),
        ["6:8: `with` has more than 32768 bytes"]
    );
}
