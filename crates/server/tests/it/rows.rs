//! Rows that come in binary and rows that PostgreSQL makes JSON of are the same to a client.

use plinth_postgres::Project;
use plinth_testkit::TestDatabase;
use plinth_testkit::api::Api;

use crate::support::{Instance, as_owner, until, with_project};

const TABLE: &str = r#"
    create domain public.score as numeric(10, 3);
    create type public.mood as enum ('low', 'high');
    create table everything (
        id bigint primary key, small int2, usual int, number numeric, amount score, single real, double float8,
        yes boolean, body text, short varchar(40), fixed char(4), key uuid, day date, at timestamptz, local timestamp,
        clock time, zoned timetz, document json, binary_document jsonb, bytes bytea, words text[], moments timestamptz[],
        grid int[], "odd ""name""" text
    );
    insert into everything values
        (1, -5, 70000, 1.500, 2, 0.1, 1e15, true, E'a "b" \\ \n \u0001 ä 𝄞', 'x', 'y', gen_random_uuid(), '2026-11-21',
         '2026-11-21 10:20:30.5+01', '0044-03-15 12:00 BC', '24:00', '10:00+05:30', ' { "a" : 1 } ', '{"b": [1, null]}',
         '\x00ff', array['a', null, 'b"c'], array[timestamptz '2000-01-01Z', 'infinity'], '{{1,2},{3,null}}', ''),
        (2, 32767, -1, 'NaN', 0, 'Infinity', -0.0, false, '', '', '', null, 'infinity', '-infinity', 'infinity', '00:00',
         '00:00-15:59', 'null', 'null', '', '{}', '{}', '[2:3]={7,8}', 'z');
    insert into everything (id) select n from generate_series(3, 300) n;
    create table unusual (id int primary key, feeling mood, span interval, place point, search tsvector, tags mood[]);
    insert into unusual values (1, 'low', '1 day 2 hours', '(1,2)', 'a b', '{high,low}');
    insert into unusual (id) values (2);
    create view everything_view with (security_invoker) as select * from everything;
    create view unusual_view with (security_invoker) as select * from unusual;
    create table moment (id int primary key, at timestamptz, what text);
    insert into moment values (1, '2026-01-01 00:00Z', '5'), (2, '2026-07-01 00:00Z', '7');
"#;

/// The body of an answer whose rows may come in binary, which is that of the same read of a view, where
/// PostgreSQL makes the JSON. With a total they are the same, too.
async fn same(api: &Api, path: &str) -> String {
    let (table, query) = path.split_once('?').unwrap();
    let view = format!("{table}_view?{query}");
    let counting = api.clone().with("prefer", "count=exact");
    for api in [&counting, api] {
        let rows = api.get(path).await.unwrap();
        let json = api.get(&view).await.unwrap();
        assert!(rows.status.is_success(), "{path}: {}", rows.text());
        assert_eq!(rows.text(), json.text(), "{path}");
        assert_eq!(rows.status, json.status);
        for name in ["content-type", "content-range"] {
            assert_eq!(rows.header(name), json.header(name), "{path}: {name}");
        }
    }
    api.get(path).await.unwrap().text()
}

#[test]
fn every_type_looks_the_same_in_either_form() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            let body = same(&api, "/everything?order=id").await;
            assert!(body.contains("\"at\":\"2026-11-21T09:20:30.5+00:00\""), "{body}");
            for path in [
                "/everything?order=id.desc&limit=7&offset=3",
                "/everything?id=eq.1",
                "/everything?id=lt.0",
                "/everything?select=id,a:usual,document-%3Ea,binary_document-%3Eb-%3E%3E0,at::date&order=id&limit=9",
                "/unusual?order=id",
                "/unusual?select=id,feeling,span,place,search,tags,f:feeling&order=id",
                "/unusual?select=*,span&order=id",
                "/unusual?select=id,feeling,tags&order=id&limit=1",
                "/unusual?select=id,feeling&id=lt.0",
            ] {
                same(&api, path).await;
            }
            let beyond = api.clone().with("prefer", "count=exact").get("/unusual?offset=5").await;
            let beyond = beyond.unwrap();
            assert_eq!(
                (beyond.status.as_u16(), beyond.header("content-range")),
                (416, Some("*/2"))
            );
            let object = api.clone().with("accept", "application/vnd.pgrst.object+json");
            same(&object, "/everything?id=eq.2").await;
            let several = object.get("/everything?limit=2").await.unwrap();
            assert_eq!((several.status.as_u16(), several.text().contains("2 rows")), (406, true));
        },
    );
}

#[test]
fn times_are_in_the_zone_that_the_session_or_the_client_chose() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let first = async |api: Api| {
                let body = api.get("/moment?select=at&order=id").await.unwrap();
                body.text()
            };
            let utc = "[{\"at\":\"2026-01-01T00:00:00+00:00\"}, \n {\"at\":\"2026-07-01T00:00:00+00:00\"}]";
            assert_eq!(first(instance.service(project)).await, utc);
            let berlin = instance.service(project).with("prefer", "timezone=Europe/Berlin");
            assert_eq!(
                first(berlin).await,
                "[{\"at\":\"2026-01-01T01:00:00+01:00\"}, \n {\"at\":\"2026-07-01T02:00:00+02:00\"}]"
            );
            change_time_zone(instance, database, project, "Asia/Tokyo").await;
            let explicit = instance.service(project).with("prefer", "timezone=UTC");
            assert_eq!(first(explicit).await, utc);
        },
    );
}

/// Gives the database another time zone, and waits until sessions have it.
async fn change_time_zone(
    instance: &Instance,
    database: &TestDatabase,
    project: &Project,
    zone: &str,
) {
    let alter = format!("alter database \"{}\" set timezone = '{zone}'", project.database);
    let endpoint = database.cluster().cluster().endpoint();
    let api = instance.service(project);
    let end = "select pg_terminate_backend(pid) from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    let admin = endpoint.connect_as(&endpoint.admin, &project.database).await.unwrap();
    admin.batch_execute(&alter).await.unwrap();
    admin.batch_execute(end).await.unwrap();
    until("the sessions are new", async || {
        let answer = api.get("/moment?select=at&id=eq.1").await.unwrap();
        (answer.text() == "[{\"at\":\"2026-01-01T09:00:00+09:00\"}]").then_some(())
    })
    .await;
}

#[test]
fn a_type_that_changes_is_printed_as_what_it_is() {
    with_project(
        TABLE,
        |_| {},
        async |instance, database| {
            let project = database.project();
            let endpoint = database.cluster().cluster().endpoint();
            let api = instance.service(project);
            for (using, expected) in [
                ("text using what", "[{\"what\":\"5\"}, \n {\"what\":\"7\"}]"),
                ("int using what::int", "[{\"what\":5}, \n {\"what\":7}]"),
                (
                    "interval using make_interval(days => what)",
                    "[{\"what\":\"5 days\"}, \n {\"what\":\"7 days\"}]",
                ),
                (
                    "point using point(extract(day from what), 0)",
                    "[{\"what\":\"(5,0)\"}, \n {\"what\":\"(7,0)\"}]",
                ),
                ("jsonb using to_jsonb(what[0])", "[{\"what\":5}, \n {\"what\":7}]"),
            ] {
                as_owner(project, endpoint, &format!("alter table moment alter what type {using}"))
                    .await;
                let answer = api.get("/moment?select=what&order=id").await.unwrap();
                assert_eq!(answer.text(), expected, "{using}");
            }
        },
    );
}

#[test]
fn rows_of_many_bytes_are_the_same_too() {
    with_project(
        "create table page (id int primary key, body text);
         create view page_view with (security_invoker) as select * from page;
         insert into page select n, repeat(chr(1 + n % 100), 60000) from generate_series(1, 100) n;",
        |_| {},
        async |instance, database| {
            let api = instance.service(database.project());
            assert!(same(&api, "/page?order=id").await.len() > 6_000_000);
            same(&api, "/page?order=id&limit=20").await;
        },
    );
}
