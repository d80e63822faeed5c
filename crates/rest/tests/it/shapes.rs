//! The requests of `tests/shapes`, each of which makes SQL of another shape.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use plinth_catalog::Catalog;
use plinth_rest::{Config, Error, Outcome, Prepared, RawRequest, prepare, prepare_rows};

/// The files, by name.
pub(crate) const FILES: [(&str, &str); 4] = [
    ("reads", include_str!("../shapes/reads.http")),
    ("embeds", include_str!("../shapes/embeds.http")),
    ("writes", include_str!("../shapes/writes.http")),
    ("calls", include_str!("../shapes/calls.http")),
];

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) max_rows: Option<u64>,
}

/// Reads a file: `= name`, settings (`@`), a request line, headers, an empty line and a body.
pub(crate) fn parse(text: &str) -> Vec<Shape> {
    text.split("= ").skip(1).filter(|it| it.contains('\n')).map(parse_one).collect()
}

fn parse_one(text: &str) -> Shape {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let name = lines.next().unwrap().to_owned();
    let mut max_rows = None;
    let mut line = lines.next().unwrap();
    if let Some(rows) = line.strip_prefix("@max_rows ") {
        max_rows = Some(rows.parse().unwrap());
        line = lines.next().unwrap();
    }
    let (method, target) = line.split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let mut shape = request(method, target);
    shape.body = Bytes::copy_from_slice(body.trim_end().as_bytes());
    Shape { name, headers, max_rows, ..shape }
}

/// A request without headers and body. Blanks in the query are encoded.
pub(crate) fn request(method: &str, target: &str) -> Shape {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Shape {
        name: target.to_owned(),
        method: method.parse().unwrap(),
        path: path.to_owned(),
        query: query.replace(' ', "%20"),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        max_rows: None,
    }
}

/// The configuration of every test.
pub(crate) fn config(max_rows: Option<u64>) -> Config {
    Config {
        schemas: vec!["api".to_owned()],
        max_rows,
        aggregates: true,
        plan: true,
        ..Config::default()
    }
}

/// The same with a bound on rows, if it has none.
pub(crate) fn bounded(config: &Config) -> Config {
    Config { max_rows: config.max_rows.or(Some(1_000)), ..config.clone() }
}

impl Shape {
    /// Prepares it against a catalog.
    pub(crate) fn prepare(&self, catalog: &Catalog) -> Result<Outcome, Error> {
        self.prepare_with(catalog, &config(self.max_rows))
    }

    /// As [`Shape::prepare`], with a configuration of its own.
    pub(crate) fn prepare_with(
        &self,
        catalog: &Catalog,
        config: &Config,
    ) -> Result<Outcome, Error> {
        prepare(&self.raw(), catalog, config)
    }

    /// As [`Shape::prepare_with`], with rows in binary where that is possible; reads are bounded.
    pub(crate) fn prepare_rows_with(
        &self,
        catalog: &Catalog,
        config: &Config,
    ) -> Result<Outcome, Error> {
        prepare_rows(&self.raw(), catalog, &bounded(config), || {})
    }

    pub(crate) fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body: self.body.clone(),
            base_path: "",
        }
    }

    /// Its statements and their parameters as text.
    pub(crate) fn sql(&self, catalog: &Catalog) -> String {
        match self.prepare(catalog) {
            Ok(Outcome::Query(prepared)) => text_of(&prepared),
            Ok(Outcome::Answer(response)) => format!("answered {}", response.status),
            Err(error) => format!("error {error}\n  {}\n  {:?}", error.details, error.hint),
        }
    }
}

/// The statements of a prepared request and their parameters as text.
pub(crate) fn text_of(prepared: &Prepared) -> String {
    let mut text = String::new();
    for statement in &prepared.statements {
        text.push_str(&statement.sql);
        text.push('\n');
        for (index, value) in statement.params.iter().enumerate() {
            let value = value.as_deref().map(String::from_utf8_lossy);
            text.push_str(&format!("  ${} {value:?}\n", index + 1));
        }
    }
    text
}
