//! Rows in binary are written as PostgreSQL's `to_json` writes them: every type, odd values first,
//! then thousands of random ones.

use bytes::Bytes;
use plinth_rest::{BinaryRows, Column, Outcome, Printing};

use crate::harness::{Session, body_of_rows, message, session};
use crate::shapes;

/// Values of every type whose text needs care, as SQL literals of that type.
const ODD: [(&str, &[&str]); 21] = [
    ("boolean", &["t", "f"]),
    ("int2", &["0", "-1", "32767", "-32768"]),
    ("int4", &["0", "-1", "2147483647", "-2147483648", "10", "100"]),
    ("int8", &["0", "-1", "9223372036854775807", "-9223372036854775808", "1000000000000000000"]),
    ("oid", &["0", "4294967295"]),
    (
        "float4",
        &[
            "0",
            "-0",
            "1",
            "0.1",
            "1e-45",
            "1.17549435e-38",
            "3.4028235e38",
            "999999",
            "1e6",
            "1e5",
            "123456.7",
            "16777216",
            "16777217",
            "8388608",
            "33554432",
            "67108864",
            "0.0001",
            "0.00001",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e15",
            "1e16",
            "9007199254740992",
            "4.7223665e21",
        ],
    ),
    (
        "float8",
        &[
            "0",
            "-0",
            "1",
            "0.1",
            "0.30000000000000004",
            "5e-324",
            "2.2250738585072014e-308",
            "1.7976931348623157e308",
            "1e14",
            "1e15",
            "1e16",
            "999999999999999",
            "999999999999999.9",
            "123456789012345678",
            "9007199254740992",
            "9007199254740993",
            "1e22",
            "1e23",
            "0.0001",
            "0.00001",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e100",
            "-1e-100",
            "9.5367431640625e-07",
            "1.152921504606847e18",
            "4503599627370495.5",
            "4503599627370496",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "0.00",
            "-0.0001",
            "1",
            "10000",
            "9999",
            "100000000",
            "1e30",
            "1.10",
            "1.1000",
            "0.00010000",
            "0.000010",
            "12345678.9012",
            "-99999999999999999999999999.99999999999999999999",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-30",
            "10000.0001",
            "1000000000000000000000000000000000000000000.5",
        ],
    ),
    (
        "text",
        &[
            "",
            " ",
            "\"",
            "\\",
            "/",
            "\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}",
            "äöü€𝄞\u{10ffff}\u{fffe}\u{2028}",
            "\\u0041",
            "''",
        ],
    ),
    ("varchar(3)", &["", "abc"]),
    ("char(3)", &["", "a", "ab\""]),
    ("name", &["", "x\"y"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "0123456789abcdefFEDCBA9876543210",
        ],
    ),
    (
        "date",
        &[
            "2000-01-01",
            "1999-12-31",
            "2000-02-29",
            "1900-02-28",
            "1900-03-01",
            "0001-01-01",
            "0001-12-31 BC",
            "0001-02-28 BC",
            "0005-02-29 BC",
            "4714-11-24 BC",
            "5874897-12-31",
            "9999-12-31",
            "10000-01-01",
            "infinity",
            "-infinity",
            "1970-01-01",
        ],
    ),
    (
        "time",
        &["00:00", "24:00", "23:59:59.999999", "12:34:56.5", "12:34:56.000001", "01:02:03.10"],
    ),
    (
        "timetz",
        &[
            "00:00+00",
            "24:00-15:59:59",
            "23:59:59.999999+15:59",
            "12:34:56.5-05:30",
            "12:34+05:30:15",
            "12:34+02",
            "12:34-00:00:01",
        ],
    ),
    (
        "timestamp",
        &[
            "2000-01-01",
            "1999-12-31 23:59:59.999999",
            "2026-11-21 10:20:30.123456",
            "2026-11-21 10:20:30.120000",
            "0001-01-01 00:00",
            "0001-12-31 23:59:59.9 BC",
            "4714-11-24 00:00 BC",
            "294276-12-31 23:59:59.999999",
            "9999-12-31 23:59:59",
            "10000-01-01",
            "infinity",
            "-infinity",
            "1969-12-31 23:59:59.000001",
        ],
    ),
    (
        "timestamptz",
        &[
            "2000-01-01 00:00Z",
            "2026-11-21 10:20:30.1+02",
            "0044-03-15 12:00Z BC",
            "4714-11-24 00:00Z BC",
            "294276-12-31 23:59:59.999999Z",
            "10000-01-01Z",
            "infinity",
            "-infinity",
        ],
    ),
    ("json", &["null", " { \"a\" : 1 ,\n\"a\":2 } ", "\"x\"", "1e400", "[]"]),
    ("jsonb", &["null", "{\"b\":[1,2,{}],\"a\":1.10}", "\"\\u00e4\\u0001\\\"\"", "-0.0", "[]"]),
    ("bytea", &["", "\\x", "\\x00ff", "abc\\\\"]),
];

/// Random values of a type, as SQL over `i`; the types are those whose text is not trivial.
const RANDOM: [(&str, &str); 15] = [
    (
        "int8",
        "(random() * 18446744073709551615 - 9223372036854775808)::numeric(20)::int8 >> (i % 64)",
    ),
    ("int4", "(random() * 4294967295 - 2147483648)::int8::int4 >> (i % 32)"),
    ("float8", "((random() * 2 - 1) * ('1e' || (i % 600 - 300))::float8)"),
    ("float8", "round((random() * 1e9)::numeric, i % 9)::float8"),
    (
        "float8",
        "(2 ^ (i % 1020)) * (case i % 3 when 0 then 1 when 1 then -1 else 1 + random() end)",
    ),
    ("float8", "(floor(random() * 9007199254740992) * 2 ^ (i % 60))"),
    ("float8", "1 / (2 ^ (i % 1020))"),
    ("float4", "((random() * 2 - 1) * ('1e' || (i % 70 - 35))::float8)::float4"),
    (
        "float4",
        "((2::float8 ^ (i % 120)) * (case i % 3 when 0 then 1 when 1 then -1 else 1 + random() end))::float4",
    ),
    ("float4", "(floor(random() * 16777216) * 2 ^ (i % 40))::float4"),
    ("numeric", "round(((random() * 2 - 1) * 10 ^ (i % 40 - 20))::numeric, i % 30)"),
    ("date", "date '2000-01-01' + ((random() - 0.5) * 4000000)::int % 2000000"),
    ("timestamp", "timestamp '2000-01-01' + (random() - 0.6) * (i * i || ' hours')::interval"),
    (
        "timestamptz",
        "timestamptz '2000-01-01Z' + (random() - 0.5) * (i * 100 || ' days')::interval",
    ),
    (
        "timetz",
        "(time '00:00' + random() * interval '24 hours')::timetz at time zone ((i % 31 - 15) || ' hours')::interval",
    ),
];

/// How the sessions of these tests print.
const PRINTING: Printing = Printing { utc: true, exact_floats: true, hex_bytea: true };

async fn utc_session() -> Session {
    let session = session().await;
    session.client.batch_execute("set local timezone = 'UTC'").await.unwrap();
    session
}

/// The rows of a query as this crate writes them, and as `json_agg` does.
async fn both(session: &Session, query: &str) -> (String, String) {
    let statement = session.client.prepare(query).await.unwrap();
    let columns = statement.columns().iter();
    let columns: Vec<_> =
        columns.map(|it| Column { name: it.name(), type_oid: it.type_().oid() }).collect();
    let rows = session.client.query(&statement, &[]).await.unwrap();
    let messages: Vec<Bytes> = rows.iter().map(message).collect();
    let rows = BinaryRows { columns, messages: &messages };
    let ours = body_of_rows(session, &rows, PRINTING).expect("types that are known");
    let sql = format!("select coalesce(json_agg(t), '[]')::text from ({query}) t");
    (ours, session.client.query_one(&sql, &[]).await.unwrap().get(0))
}

/// Both texts are equal; says which row differs first.
async fn assert_equal(session: &Session, query: &str) {
    let (ours, theirs) = both(session, query).await;
    for (ours, theirs) in ours.split("\n ").zip(theirs.split("\n ")) {
        assert_eq!(ours, theirs, "{query}");
    }
    assert_eq!(ours, theirs, "{query}");
}

fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A table of odd values of a type, alone and in arrays of every form.
fn odd_values(type_name: &str, values: &[&str]) -> String {
    let list: Vec<String> =
        values.iter().map(|value| format!("({}::{type_name})", literal(value))).collect();
    format!(
        "with v (v) as (values {}, (null)), a (a) as (select array_agg(v) from v) \
         select v, a, array[v] as one, array[[v, null], [v, v]] as two, array[[[v], [v]]] as three, \
         '{{}}'::{type_name}[] as none, ('[3:4]={{null,null}}')::{type_name}[] as bounded from v, a",
        list.join(", ")
    )
}

#[tokio::test]
async fn odd_values_of_every_type_are_written_as_postgresql_does() {
    let session = utc_session().await;
    for (type_name, values) in ODD {
        assert_equal(&session, &odd_values(type_name, values)).await;
    }
}

#[tokio::test]
async fn random_values_are_written_as_postgresql_does() {
    let session = utc_session().await;
    session.client.batch_execute("select setseed(0.5)").await.unwrap();
    for (index, (type_name, random)) in RANDOM.iter().enumerate() {
        let table = format!("random_{index}");
        let make = format!(
            "create temporary table {table} as \
             select ({random})::{type_name} as v from generate_series(1, 3000) i"
        );
        session.client.batch_execute(&make).await.unwrap();
        assert_equal(&session, &format!("select v from {table}")).await;
    }
}

#[tokio::test]
async fn random_texts_are_written_as_postgresql_does() {
    let session = session().await;
    let random = "select string_agg(chr(case when random() < 0.5 then 1 + (random() * 126)::int \
        when random() < 0.8 then 128 + (random() * 2000)::int else 65536 + (random() * 100000)::int end), '') as v, \
        decode(md5(i::text), 'hex') as b, md5(i::text)::uuid as u \
        from generate_series(1, 400) i, generate_series(1, 40) j where j < i % 40 group by i";
    let make = format!("create temporary table texts as {random}");
    session.client.batch_execute(&make).await.unwrap();
    assert_equal(
        &session,
        "select v, array[v, v] as a, to_json(v) as j, to_jsonb(v) as b, b as raw, u from texts",
    )
    .await;
}

#[tokio::test]
async fn names_and_numbers_of_columns_are_those_of_the_query() {
    let session = session().await;
    for query in [
        "select 1 as \"a \"\" \\ b\", 2 as \"ä\", 3, 3, null::text as \"\n\"",
        "select from generate_series(1, 3)",
        "select 1 as v where false",
        "select 1 as v",
    ] {
        assert_equal(&session, query).await;
    }
}

/// The body of an answer that is the same in both forms; says if there is none in binary.
async fn same_in_both(session: &Session, target: &str, headers: &str) -> Option<String> {
    let mut shape = shapes::request("GET", target);
    if let Some((name, value)) = headers.split_once(": ") {
        let name: http::HeaderName = name.parse().unwrap();
        shape.headers.append(name, value.parse().unwrap());
    }
    let json = session.send(&shape).await;
    let rows = session.send_rows(&shape).await?;
    assert_eq!(rows, json, "{target}");
    Some(format!("{} {} {}", rows.status, rows.header("content-range"), rows.body))
}

#[tokio::test]
async fn types_of_the_database_that_are_texts_come_in_binary() {
    let session = session().await;
    for target in [
        "/words?order=id",
        "/words?select=*&id=eq.1",
        "/words?select=id,grade,grades,feeling,deep,feelings,mail,mails,level&order=id.desc",
        "/words?select=g:grade,grade,t:grade::text&grade=eq.plain",
    ] {
        let rows = same_in_both(&session, target, "").await.expect("rows in binary");
        assert!(rows.contains("plain") || rows.contains("a \\\"b\\\" \\\\ c"), "{rows}");
    }
}

#[tokio::test]
async fn what_is_no_text_to_json_is_left_to_postgresql() {
    let session = session().await;
    assert_eq!(same_in_both(&session, "/disguised", "").await, None);
    let shown = same_in_both(&session, "/disguised?select=shown,list,feelings&id=eq.1", "").await;
    let expected = "200 0-0/* [{\"shown\":{\"shown\" : \"x\"},\"list\":[{\"shown\" : \"y\"},\
        {\"shown\" : \"x\"}],\"feelings\":[\"low\"]}]";
    assert_eq!(shown.as_deref(), Some(expected));
}

#[tokio::test]
async fn a_type_that_was_made_anew_is_not_taken_for_the_old_one() {
    let session = session().await;
    for (described, known) in [("api.level", true), ("api.shown", false), ("api.level[]", false)] {
        let shape = shapes::request("GET", "/words?select=level");
        let outcome = shape.prepare_rows_with(session.catalog, &session.config).unwrap();
        let Outcome::Query(prepared) = outcome else { panic!("a read needs the database") };
        let sql = format!("select '{described}'::regtype::oid");
        let type_oid = session.client.query_one(&sql, &[]).await.unwrap().get(0);
        let rows = BinaryRows { columns: vec![Column { name: "level", type_oid }], messages: &[] };
        assert_eq!(prepared.respond_rows(&rows, &[], PRINTING).is_some(), known, "{described}");
    }
}

#[tokio::test]
async fn a_total_comes_with_the_rows() {
    let session = session().await;
    let exact = "prefer: count=exact";
    for (target, expected) in [
        ("/words?select=id&limit=2&order=id", "206 0-1/12 [{\"id\":1}, \n {\"id\":2}]"),
        ("/words?select=id&limit=2&offset=11&order=id", "206 11-11/12 [{\"id\":12}]"),
        ("/words?select=id&id=gt.10&limit=5&order=id", "200 0-1/2 [{\"id\":11}, \n {\"id\":12}]"),
        ("/words?select=id&id=gt.100&limit=5", "200 */0 []"),
        ("/clients?select=id,projects!inner(id)&limit=1&projects.id=lt.0", "200 */0 []"),
    ] {
        assert_eq!(same_in_both(&session, target, exact).await.as_deref(), Some(expected));
    }
    for target in [
        "/clients?select=*,projects(id)&limit=1",
        "/clients?select=id,projects!inner(id)&limit=1&offset=1&order=id",
        "/projects?select=name,clients()&limit=1&order=id.desc",
        "/words?limit=3&order=deep,id.desc",
    ] {
        let page = same_in_both(&session, target, exact).await.expect("rows in binary");
        assert!(page.starts_with("206 "), "{page}");
    }
}

#[tokio::test]
async fn a_total_without_rows_to_come_with_is_counted_again() {
    let session = session().await;
    for target in [
        "/words?limit=2&offset=12",
        "/words?limit=2&offset=100",
        "/words?limit=0",
        "/clients?select=projects()&limit=1",
    ] {
        assert_eq!(same_in_both(&session, target, "prefer: count=exact").await, None, "{target}");
    }
}
