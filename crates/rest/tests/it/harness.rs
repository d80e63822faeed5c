//! A session that answers requests, each in a transaction that is undone afterwards.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use plinth_catalog::{Catalog, LoadOptions};
use plinth_rest::{
    BinaryRows, Column, Config, DatabaseFacts, Error, Outcome, Prepared, Printing, Response, Row,
    Statement,
};
use tokio::sync::OnceCell;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use crate::shapes::{self, Shape};

/// A parameter as the server sends it: text, whatever its type.
#[derive(Debug)]
struct TextValue(Option<Bytes>);

impl ToSql for TextValue {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(value) => {
                out.put_slice(value);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A result as text. This driver asks for binary results, of which our statements have three kinds.
struct AnyText(Bytes);

impl<'a> FromSql<'a> for AnyText {
    fn from_sql(
        of: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *of {
            Type::INT8 => i64::from_be_bytes(raw.try_into()?).to_string().into(),
            Type::INT4 => i32::from_be_bytes(raw.try_into()?).to_string().into(),
            _ => Bytes::copy_from_slice(raw),
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A connection with the fixture's schema and its catalog.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) catalog: &'static Catalog,
    pub(crate) config: Config,
}

struct Database {
    url: String,
    catalog: Catalog,
}

static DATABASE: OnceCell<Database> = OnceCell::const_new();

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Makes the fixture once for all tests, which only ever look at it or undo what they did.
async fn database() -> &'static Database {
    let make = || async {
        let url = match std::env::var("PLINTH_TEST_DATABASE_URL") {
            Ok(url) => url,
            Err(_) => kit::url().await,
        };
        let mut client = connect(&url).await;
        let drop = "drop schema if exists api, other cascade";
        client.batch_execute(drop).await.unwrap();
        client.batch_execute(include_str!("fixture.sql")).await.unwrap();
        let options = LoadOptions { schemas: vec!["api".to_owned()], ..LoadOptions::default() };
        let mut catalog = Catalog::load(&mut client, &options).await.unwrap();
        // The fixture's functions speak of the response. What that costs a read has a test of its own.
        catalog.set_sets_response(false);
        Database { url, catalog }
    };
    DATABASE.get_or_init(make).await
}

mod kit {
    use plinth_testkit::{Template, TestDatabase};
    use tokio::sync::OnceCell;

    static KEPT: OnceCell<TestDatabase> = OnceCell::const_new();

    /// The URL of a database of this process's own, which lives as long as its cluster.
    pub(super) async fn url() -> String {
        let make = || async { TestDatabase::create(&Template::Empty).await.unwrap() };
        KEPT.get_or_init(make).await.url().expose().to_owned()
    }
}

/// Opens a session with a transaction around everything it does.
pub(crate) async fn session() -> Session {
    let database = database().await;
    let client = connect(&database.url).await;
    // As the server does: computed columns are functions of the request's schema.
    client.batch_execute("begin; set local search_path = api, public").await.unwrap();
    Session { client, catalog: &database.catalog, config: shapes::config(None) }
}

/// What came back, in a form that assertions read.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    fn of(response: Response) -> Self {
        let body = String::from_utf8(response.body.to_vec()).unwrap();
        Self { status: response.status.as_u16(), headers: response.headers, body }
    }

    /// A header's value, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Session {
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(&shapes::request("GET", target)).await
    }

    /// The bytes of an answer that is no text.
    pub(crate) async fn bytes(&self, target: &str, accept: &str) -> Bytes {
        let mut shape = shapes::request("GET", target);
        shape.headers.append("accept", accept.parse().unwrap());
        let Ok(Outcome::Query(prepared)) = shape.prepare_with(self.catalog, &self.config) else {
            panic!("{target} is no query");
        };
        let results = self.run(&prepared).await.unwrap();
        prepared.respond(results).unwrap().body
    }

    /// `headers` as `name: value` lines.
    pub(crate) async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut shape = shapes::request(method, target);
        for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
            let name: http::HeaderName = name.trim().parse().unwrap();
            shape.headers.append(name, value.parse().unwrap());
        }
        shape.body = Bytes::copy_from_slice(body.as_bytes());
        self.send(&shape).await
    }

    /// Answers in a subtransaction that is undone.
    pub(crate) async fn send(&self, shape: &Shape) -> Answer {
        self.client.batch_execute("savepoint request").await.unwrap();
        let answer = self.keep(shape).await;
        self.client.batch_execute("rollback to savepoint request").await.unwrap();
        if let Some(rows) = self.send_rows(shape).await {
            assert_eq!(rows, answer, "in binary and as JSON");
        }
        answer
    }

    /// The answer with rows in binary, when the request can have such. A page without rows may lack the
    /// total; then there is no answer either.
    pub(crate) async fn send_rows(&self, shape: &Shape) -> Option<Answer> {
        let outcome = shape.prepare_rows_with(self.catalog, &self.config);
        let Ok(Outcome::Query(prepared)) = outcome else { return None };
        if !prepared.binary {
            let plain = shape.prepare_with(self.catalog, &shapes::bounded(&self.config));
            let Ok(Outcome::Query(plain)) = plain else { panic!("a query in one way only") };
            assert_eq!(prepared.statements, plain.statements, "{}", shape.name);
            return None;
        }
        self.client.batch_execute("savepoint rows").await.unwrap();
        let result = match self.run_rows(&prepared).await {
            Ok((rows, others)) => {
                let columns = rows.columns.iter();
                let columns = columns.map(|(name, type_oid)| Column { name, type_oid: *type_oid });
                let rows = BinaryRows { columns: columns.collect(), messages: &rows.messages };
                let answer = prepared.respond_rows(&rows, &others, self.catalog.printing());
                assert!(answer.is_some() || rows.messages.is_empty(), "rows are as planned");
                answer
            }
            Err(error) => Some(Err(error)),
        };
        self.client.batch_execute("rollback to savepoint rows").await.unwrap();
        Some(Answer::of(result?.unwrap_or_else(|error| error.to_response())))
    }

    async fn run_rows(&self, prepared: &Prepared) -> Result<(OwnedRows, Vec<Vec<Row>>), Error> {
        let rows = self.query(&prepared.statements[0]).await?;
        let mut others = Vec::new();
        for statement in &prepared.statements[1..] {
            others.push(self.query(statement).await?.1.iter().map(as_text).collect());
        }
        let (columns, rows) = rows;
        let messages = rows.iter().map(message).collect();
        Ok((OwnedRows { columns, messages }, others))
    }

    /// The columns and the rows of a statement.
    async fn query(
        &self,
        statement: &Statement,
    ) -> Result<(Vec<(String, u32)>, Vec<tokio_postgres::Row>), Error> {
        let values: Vec<TextValue> =
            statement.params.iter().map(|value| TextValue(value.clone())).collect();
        let params: Vec<&(dyn ToSql + Sync)> = values.iter().map(|it| it as _).collect();
        let prepared = self.client.prepare(&statement.sql).await.map_err(of_database)?;
        let columns = prepared.columns().iter();
        let columns = columns.map(|column| (column.name().to_owned(), column.type_().oid()));
        let rows = self.client.query(&prepared, &params).await.map_err(of_database)?;
        Ok((columns.collect(), rows))
    }

    /// Answers and leaves what it did for the session's next requests, unless it failed.
    pub(crate) async fn keep(&self, shape: &Shape) -> Answer {
        let prepared = match shape.prepare_with(self.catalog, &self.config) {
            Err(error) => return Answer::of(error.to_response()),
            Ok(Outcome::Answer(response)) => return Answer::of(response),
            Ok(Outcome::Query(prepared)) => prepared,
        };
        self.client.batch_execute("savepoint batch").await.unwrap();
        let result = match self.run(&prepared).await {
            Ok(results) => prepared.respond(results),
            Err(error) => {
                self.client.batch_execute("rollback to savepoint batch").await.unwrap();
                Err(error)
            }
        };
        Answer::of(result.unwrap_or_else(|error| error.to_response()))
    }

    async fn run(&self, prepared: &Prepared) -> Result<Vec<Vec<Row>>, Error> {
        if prepared.read_only {
            let sql = "set local transaction_read_only = on";
            self.client.batch_execute(sql).await.map_err(of_database)?;
        }
        let mut results = Vec::new();
        for statement in &prepared.statements {
            let (_, rows) = self.query(statement).await?;
            results.push(rows.iter().map(as_text).collect());
        }
        Ok(results)
    }
}

/// Rows in binary with what describes them.
struct OwnedRows {
    columns: Vec<(String, u32)>,
    messages: Vec<Bytes>,
}

/// A value as it came, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The `DataRow` message that a row came in.
pub(crate) fn message(row: &tokio_postgres::Row) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(row.len().try_into().unwrap());
    for index in 0..row.len() {
        match row.get::<_, Option<Raw<'_>>>(index) {
            Some(Raw(value)) => {
                body.put_u32(value.len().try_into().unwrap());
                body.put_slice(value);
            }
            None => body.put_i32(-1),
        }
    }
    let mut message = BytesMut::from(&b"D"[..]);
    message.put_u32(u32::try_from(body.len()).unwrap() + 4);
    message.put_slice(&body);
    message.freeze()
}

/// What the body of an answer with these rows is.
pub(crate) fn body_of_rows(
    session: &Session,
    rows: &BinaryRows<'_>,
    printing: Printing,
) -> Option<String> {
    let shape = shapes::request("GET", "/users?select=id");
    let outcome = shape.prepare_rows_with(session.catalog, &session.config).unwrap();
    let Outcome::Query(prepared) = outcome else { panic!("a read needs the database") };
    assert!(prepared.binary);
    let response = prepared.respond_rows(rows, &[], printing)?;
    Some(Answer::of(response.unwrap()).body)
}

fn of_database(error: tokio_postgres::Error) -> Error {
    let Some(facts) = error.as_db_error() else { panic!("{error:?}") };
    let facts = DatabaseFacts {
        code: facts.code().code(),
        message: facts.message(),
        detail: facts.detail(),
        hint: facts.hint(),
    };
    Error::from_database(&facts, false)
}

fn as_text(row: &tokio_postgres::Row) -> Row {
    (0..row.len()).map(|index| row.get::<_, Option<AnyText>>(index).map(|it| it.0)).collect()
}
