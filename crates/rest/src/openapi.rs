//! The OpenAPI 2.0 document at the root.

mod schema;
mod server;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use plinth_catalog::{Function, Relation, Volatility};
use serde_json::{Map, Value, json};

use crate::plan::Context;
use crate::respond::set;
use crate::{Error, OpenApiMode, Response, Row, Statement};

/// What the caller's role may touch, as pairs of kind and name.
const ACCESSIBLE: &str = "\
select 'table', c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and (\
pg_has_role(c.relowner, 'USAGE') \
or has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') \
or has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')) \
union all \
select 'function', p.proname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
where n.nspname = $1 and has_function_privilege(p.oid, 'EXECUTE')";

/// The statement whose rows [`Document::respond`] takes.
pub(crate) fn accessible(schema: &str) -> Statement {
    let schema = Bytes::copy_from_slice(schema.as_bytes());
    Statement { sql: Arc::from(ACCESSIBLE), params: vec![Some(schema)] }
}

/// One relation or function of the document.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: String,
    path: String,
    item: Value,
    /// The schema of its rows, for relations.
    definition: Option<Value>,
    parameters: Vec<(String, Value)>,
}

/// The document before it is known what its reader may see.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    head: Map<String, Value>,
    tables: Vec<Entry>,
    functions: Vec<Entry>,
    head_only: bool,
}

/// Describes the schema of `context`. `host` is where the client sees this server.
pub(crate) fn document(
    context: Context<'_>,
    base_path: &str,
    host: Option<&str>,
    head_only: bool,
) -> Document {
    let mut relations: Vec<&Relation> =
        context.catalog.relations().filter(|it| it.name.schema == context.schema).collect();
    relations.sort_by(|a, b| a.name.cmp(&b.name));
    let mut functions: Vec<&Function> =
        context.catalog.all_functions().filter(|it| it.name.schema == context.schema).collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    Document {
        head: head(context, server::Place::of(context.config, base_path, host)),
        tables: relations.into_iter().map(|it| table_entry(context, it)).collect(),
        functions: functions.into_iter().map(|it| function_entry(context, it)).collect(),
        head_only,
    }
}

impl Document {
    /// Shows what the rows of [`accessible`] name.
    pub(crate) fn respond(
        &self,
        results: &[Vec<Row>],
        profile: Option<&str>,
    ) -> Result<Response, Error> {
        let rows = results.first().ok_or_else(Error::unexpected_result)?;
        let text = |row: &Row, index: usize| {
            let bytes = row.get(index)?.as_deref()?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let seen: HashSet<(String, String)> =
            rows.iter().filter_map(|row| Some((text(row, 0)?, text(row, 1)?))).collect();
        let shown = |kind: &str, entries: &[Entry]| {
            let seen = |entry: &&Entry| seen.contains(&(kind.to_owned(), entry.name.clone()));
            entries.iter().filter(seen).cloned().collect()
        };
        let shown = Self {
            head: self.head.clone(),
            tables: shown("table", &self.tables),
            functions: shown("function", &self.functions),
            head_only: self.head_only,
        };
        Ok(shown.into_response(profile))
    }

    /// Shows everything.
    pub(crate) fn into_response(self, profile: Option<&str>) -> Response {
        let mut response = Response::empty(StatusCode::OK);
        let content_type = "application/openapi+json; charset=utf-8";
        set(&mut response.headers, "content-type", content_type);
        if let Some(profile) = profile {
            set(&mut response.headers, "content-profile", profile);
        }
        if !self.head_only {
            response.body = Bytes::from(self.into_json().to_string());
        }
        response
    }

    fn into_json(self) -> Value {
        let mut json = self.head;
        let (mut paths, mut definitions) = (Map::new(), Map::new());
        let mut parameters = schema::shared_parameters();
        let root = json!({ "get": {
            "tags": ["Introspection"],
            "summary": "OpenAPI description (this document)",
            "produces": ["application/openapi+json", "application/json"],
            "responses": { "200": { "description": "OK" } },
        } });
        paths.insert("/".to_owned(), root);
        for entry in self.tables.into_iter().chain(self.functions) {
            paths.insert(entry.path, entry.item);
            parameters.extend(entry.parameters);
            if let Some(definition) = entry.definition {
                definitions.insert(entry.name, definition);
            }
        }
        json.insert("paths".to_owned(), paths.into());
        json.insert("definitions".to_owned(), definitions.into());
        json.insert("parameters".to_owned(), parameters.into());
        json.into()
    }
}

fn head(context: Context<'_>, place: server::Place) -> Map<String, Value> {
    let comment = context.catalog.schema_comment(context.schema);
    let (title, description) = summary(comment);
    let mut head = Map::new();
    let mut put = |key: &str, value: Value| head.insert(key.to_owned(), value);
    put("swagger", "2.0".into());
    put(
        "info",
        json!({
            "title": title.unwrap_or("PostgREST API"),
            "description": description.unwrap_or("This is a dynamic API generated by PostgREST"),
            "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    put("basePath", place.base_path.into());
    put("schemes", json!([place.scheme]));
    if let Some(host) = place.host {
        put("host", host.into());
    }
    put(
        "externalDocs",
        json!({
            "description": "PostgREST Documentation",
            "url": "https://postgrest.org/en/latest/references/api.html",
        }),
    );
    if context.config.openapi_security {
        put("security", json!([{ "JWT": [] }]));
        put("securityDefinitions", security_definitions());
    }
    let types = json!([
        "application/json",
        "application/vnd.pgrst.object+json;nulls=stripped",
        "application/vnd.pgrst.object+json",
        "text/csv"
    ]);
    put("consumes", types.clone());
    put("produces", types);
    head
}

fn security_definitions() -> Value {
    json!({ "JWT": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "Add the token prepending \"Bearer \" (without quotes) to it",
    } })
}

/// The first line of a comment, and the rest of it.
fn summary(comment: Option<&str>) -> (Option<&str>, Option<&str>) {
    let Some(comment) = comment else { return (None, None) };
    let (first, rest) = comment.split_once('\n').unwrap_or((comment, ""));
    let rest = rest.trim_start_matches('\n');
    (Some(first), (!rest.is_empty()).then_some(rest))
}

fn reference(parameter: &str) -> Value {
    json!({ "$ref": format!("#/parameters/{parameter}") })
}

fn table_entry(context: Context<'_>, relation: &Relation) -> Entry {
    let name = &relation.name.name;
    let filters: Vec<String> =
        relation.columns.keys().map(|column| format!("rowFilter.{name}.{column}")).collect();
    let body = format!("body.{name}");
    let with = |filters: &[String], more: &[&str]| -> Value {
        let filters = filters.iter().map(|it| reference(it));
        filters.chain(more.iter().map(|it| reference(it))).collect()
    };
    let operation = |parameters: Value, responses: Value| {
        let mut operation = Map::new();
        let (first, rest) = summary(relation.comment.as_deref());
        operation.insert("tags".to_owned(), json!([name]));
        operation.extend(first.map(|text| ("summary".to_owned(), text.into())));
        operation.extend(rest.map(|text| ("description".to_owned(), text.into())));
        operation.insert("parameters".to_owned(), parameters);
        operation.insert("responses".to_owned(), responses);
        Value::from(operation)
    };
    let shape = ["select", "order", "range", "rangeUnit", "offset", "limit", "preferCount"];
    let rows = json!({ "type": "array", "items": { "$ref": format!("#/definitions/{name}") } });
    let mut item = json!({
        "get": operation(with(&filters, &shape), json!({
            "200": { "description": "OK", "schema": rows },
            "206": { "description": "Partial Content" },
        })),
    });
    if relation.insertable || relation.updatable || relation.deletable {
        let done = json!({ "204": { "description": "No Content" } });
        let created = json!({ "201": { "description": "Created" } });
        item["post"] = operation(with(&[], &[&body, "select", "preferPost"]), created);
        item["patch"] = operation(with(&filters, &[&body, "preferReturn"]), done.clone());
        item["delete"] = operation(with(&filters, &["preferReturn"]), done);
    }
    Entry {
        name: name.clone(),
        path: format!("/{name}"),
        item,
        definition: Some(schema::definition(context.catalog, relation)),
        parameters: schema::table_parameters(relation),
    }
}

/// The type of a parameter as the reader of the document sees it. Who sees what his role may use sees types of the
/// search path by their names alone, as PostgreSQL prints them to the role.
fn visible_type<'t>(context: Context<'_>, type_name: &'t str) -> &'t str {
    if context.config.openapi_mode == OpenApiMode::IgnorePrivileges {
        return type_name;
    }
    let extra = context.config.extra_search_path.iter().map(String::as_str);
    let mut path = std::iter::once(context.schema).chain(extra);
    let bare = |schema: &str| {
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        [schema, quoted.as_str()]
            .iter()
            .find_map(|it| type_name.strip_prefix(it)?.strip_prefix('.'))
    };
    path.find_map(bare).unwrap_or(type_name)
}

fn function_entry(context: Context<'_>, function: &Function) -> Entry {
    let visible = |type_name| visible_type(context, type_name);
    let name = &function.name.name;
    let operation = |parameters: Vec<Value>| {
        let mut operation = Map::new();
        let (first, rest) = summary(function.comment.as_deref());
        operation.insert("tags".to_owned(), json!([format!("(rpc) {name}")]));
        operation.extend(first.map(|text| ("summary".to_owned(), text.into())));
        operation.extend(rest.map(|text| ("description".to_owned(), text.into())));
        operation.insert("parameters".to_owned(), parameters.into());
        let types = json!([
            "application/json",
            "application/vnd.pgrst.object+json;nulls=stripped",
            "application/vnd.pgrst.object+json"
        ]);
        operation.insert("produces".to_owned(), types);
        operation.insert("responses".to_owned(), json!({ "200": { "description": "OK" } }));
        Value::from(operation)
    };
    let body = json!({ "name": "args", "in": "body", "required": true, "schema": schema::arguments(function, &visible) });
    let mut item = json!({ "post": operation(vec![body, reference("preferParams")]) });
    if function.volatility != Volatility::Volatile {
        let parameters = function.parameters.iter();
        item["get"] =
            operation(parameters.map(|it| schema::query_parameter(it, &visible)).collect());
    }
    let path = format!("/rpc/{name}");
    Entry { name: name.clone(), path, item, definition: None, parameters: Vec::new() }
}
