//! The way of a request through parse, plan and render.

mod applied;

use std::sync::Arc;

use http::header;
use plinth_catalog::{Catalog, Function, Printing, Relation, Volatility};

use crate::plan::call::{self, Shape};
use crate::plan::negotiate::{self, Handler, Negotiated, Subject};
use crate::plan::read::{self, Root};
use crate::plan::write::{self, Change};
use crate::plan::{self, Context, ReadNode, tree};
use crate::render::{self, Checks, Columns, Options, Total};
use crate::request::media::MediaType;
use crate::request::prefer::{Count, Preferences, Resolution, Return, Tx};
use crate::request::query::Parameters;
use crate::request::range::Range;
use crate::request::{self, Action, Request, Resource};
use crate::respond::{self, Kind};
use crate::rows;
use crate::{Config, Error, OpenApiMode, Outcome, Prepared, RawRequest, Statement, TxEnd, openapi};

/// Values that the protocol of PostgreSQL can bind to one statement.
const MAX_VALUES: usize = 65_535;

/// Turns a request into statements, or answers it from the catalog alone. PostgreSQL makes the JSON.
///
/// # Errors
///
/// [`Error`] is the client's answer: malformed request, unknown relation, unsupported media type, …
pub fn prepare(
    request: &RawRequest<'_>,
    catalog: &Catalog,
    config: &Config,
) -> Result<Outcome, Error> {
    prepare_as(request, catalog, config, false, || {})
}

/// As [`prepare`], but a read of plain rows is one whose rows come in binary ([`Prepared::binary`]).
/// Calls `parsed_now` when the request is understood and planning begins.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_rows(
    request: &RawRequest<'_>,
    catalog: &Catalog,
    config: &Config,
    parsed_now: impl FnOnce(),
) -> Result<Outcome, Error> {
    prepare_as(request, catalog, config, true, parsed_now)
}

fn prepare_as(
    request: &RawRequest<'_>,
    catalog: &Catalog,
    config: &Config,
    rows: bool,
    parsed_now: impl FnOnce(),
) -> Result<Outcome, Error> {
    let resource = Resource::parse(request.path)?;
    let resource = if resource == Resource::Root { root(config)? } else { resource };
    let parameters = Parameters::decode(request.query)?;
    let parsed = request::parse(request, &resource, &parameters, config)?;
    parsed_now();
    let context = Context { catalog, config, schema: parsed.schema };
    let job = Job { raw: request, context, request: &parsed, parameters: &parameters, rows };
    match &resource {
        Resource::Root => job.root(),
        Resource::Relation(name) if parsed.action == Action::Info => {
            Ok(Outcome::Answer(relation_info(plan::relation(context, name)?)))
        }
        Resource::Relation(name) => {
            let relation = plan::relation(context, name)?;
            let write = parsed.action.is_write();
            if write { job.write(relation) } else { job.read(relation) }
        }
        Resource::Function(name) => {
            let function = call::find(context, &parsed, name)?;
            if parsed.action == Action::Info {
                return Ok(Outcome::Answer(function_info(function)));
            }
            job.call(function)
        }
    }
}

/// What the root is: the function of the configuration, or the OpenAPI document.
fn root(config: &Config) -> Result<Resource<'_>, Error> {
    match &config.root_spec {
        Some(name) => {
            let (_, name) = name.rsplit_once('.').unwrap_or(("", name));
            Ok(Resource::Function(name.into()))
        }
        None if config.openapi_mode == OpenApiMode::Disabled => Err(Error::openapi_disabled()),
        None => Ok(Resource::Root),
    }
}

fn relation_info(relation: &Relation) -> crate::Response {
    let mut methods = "OPTIONS,GET,HEAD".to_owned();
    let keyed = !relation.primary_key.is_empty();
    for (method, possible) in [
        (",POST", relation.insertable),
        (",PUT", relation.insertable && relation.updatable && keyed),
        (",PATCH", relation.updatable),
        (",DELETE", relation.deletable),
    ] {
        methods.push_str(if possible { method } else { "" });
    }
    respond::allow(&methods)
}

fn function_info(function: &Function) -> crate::Response {
    respond::allow(match function.volatility {
        Volatility::Volatile => "OPTIONS,POST",
        _ => "OPTIONS,GET,HEAD,POST",
    })
}

/// A parsed request with everything that planning it needs.
#[derive(Clone, Copy)]
struct Job<'p> {
    raw: &'p RawRequest<'p>,
    context: Context<'p>,
    request: &'p Request<'p>,
    parameters: &'p Parameters<'p>,
    /// Whether rows may come in binary.
    rows: bool,
}

impl<'p> Job<'p> {
    fn root(self) -> Result<Outcome, Error> {
        if self.request.action == Action::Info {
            return Ok(Outcome::Answer(respond::allow("OPTIONS,GET,HEAD")));
        }
        let accepted = &self.request.accept;
        let produced = [MediaType::OpenApi, MediaType::Json, MediaType::Any];
        if !accepted.iter().any(|media| produced.contains(media)) {
            return Err(Error::media_type(
                &accepted.iter().map(MediaType::name).collect::<Vec<_>>(),
            ));
        }
        let host = self.raw.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let head = self.request.action.is_head();
        let document = openapi::document(self.context, self.raw.base_path, host, head);
        if self.context.config.openapi_mode == OpenApiMode::IgnorePrivileges {
            return Ok(Outcome::Answer(document.into_response(self.profile().as_deref())));
        }
        let statement = openapi::accessible(self.context.schema);
        let negotiated = Negotiated { handler: Handler::Nothing, media: MediaType::OpenApi };
        let kind = Kind::OpenApi(Box::new(document));
        let plan = self.answer(kind, &negotiated, Columns::default());
        self.outcome(vec![statement], true, plan)
    }

    fn read(self, relation: &'p Relation) -> Result<Outcome, Error> {
        let name = &relation.name;
        let root = Root { name, relation: Some(relation), returned: false, capped: true };
        let tree = self.tree()?;
        let mut node = read::plan(self.context, root, &tree)?;
        let head = self.request.action.is_head();
        let negotiated = self.negotiate(&node, head)?;
        self.check_preferences()?;
        let options = Options {
            negotiated: &negotiated,
            total: self.total(&node),
            settings: self.context.config.pre_request
                || self.context.catalog.sets_response()
                || render::runs_functions(&node),
            checks: Checks::default(),
            location: &[],
            inserted: false,
        };
        let wanted = self.rows.then(|| rows::plan(&mut node, options, self.printing()));
        let rows = wanted.flatten();
        let (statement, columns) = match rows {
            Some(_) => (render::rows(&node, options.total), Columns::default()),
            None => render::read(&node, options),
        };
        let mut statements = vec![statement];
        if negotiated.explain().is_none() && self.plans_count() {
            statements.push(render::planned_count(&node));
        }
        let mut plan = self.answer(Kind::Read { head }, &negotiated, columns);
        plan.warning = tree.warning();
        let verbatim = columns.body_is_last() && !plan.hex_body && statements.len() == 1;
        let verbatim = verbatim && negotiated.explain().is_none();
        let binary = rows.is_some();
        plan.rows = rows.unwrap_or_default();
        let mut outcome = self.outcome(statements, true, plan)?;
        if let Outcome::Query(prepared) = &mut outcome {
            prepared.verbatim = verbatim;
            prepared.binary = binary;
            prepared.location = Some(self.content_location(relation).into());
        }
        Ok(outcome)
    }

    fn write(self, relation: &'p Relation) -> Result<Outcome, Error> {
        let name = &relation.name;
        let root = Root { name, relation: Some(relation), returned: true, capped: false };
        let tree = self.tree()?;
        let node = read::plan(self.context, root, &tree)?;
        let change = write::plan(self.request, relation, &node)?;
        self.check_preferences()?;
        let full = self.preferences().representation == Some(Return::Representation);
        let negotiated = self.negotiate(&node, !full)?;
        let headers_only = self.preferences().representation == Some(Return::HeadersOnly);
        let creates = self.request.action == Action::Create;
        let options = Options {
            negotiated: &negotiated,
            total: Total::None,
            settings: true,
            checks: self.write_checks(&negotiated),
            location: if creates && headers_only { &relation.primary_key } else { &[] },
            inserted: merges(&change.change),
        };
        let (statement, columns) = render::write(&change, &node, options);
        let mut plan = self.answer(self.write_kind(), &negotiated, columns);
        plan.representation = full;
        plan.applied = self.applied_to_write(relation);
        plan.location = self.address(relation);
        plan.warning = tree.warning();
        self.outcome(vec![statement], false, plan)
    }

    fn tree(self) -> Result<tree::Node<'p>, Error> {
        tree::build(self.request, self.context.config.legacy_target_names)
    }

    fn write_kind(self) -> Kind {
        match self.request.action {
            Action::Create => Kind::Create { resolution: self.preferences().resolution },
            Action::Upsert => Kind::Upsert,
            Action::Update => Kind::Update,
            _ => Kind::Delete,
        }
    }

    fn write_checks(self, negotiated: &Negotiated<'_>) -> Checks {
        let action = self.request.action;
        let put = action == Action::Upsert;
        let bounded = matches!(action, Action::Update | Action::Delete);
        Checks {
            singular: negotiated.media.is_singular() && !put,
            put,
            max_affected: self.preferences().affected_bound().filter(|_| bounded),
        }
    }

    fn call(self, function: &'p Function) -> Result<Outcome, Error> {
        let name = call::result_name(function);
        let relation = self.context.catalog.relation(name);
        let root = Root { name, relation, returned: true, capped: true };
        let tree = self.tree()?;
        let node = read::plan(self.context, root, &tree)?;
        let head = self.request.action.is_head();
        let call = call::plan(self.request, function, &node);
        let negotiated = self.negotiate(&node, head)?;
        self.check_preferences()?;
        let shape = Shape::of(function);
        let bound = self.preferences().affected_bound();
        if bound.is_some() && shape.is_single() {
            return Err(Error::max_affected_of_single());
        }
        let options = Options {
            negotiated: &negotiated,
            total: self.total_of_call(),
            settings: true,
            checks: Checks {
                singular: negotiated.media.is_singular(),
                put: false,
                max_affected: bound,
            },
            location: &[],
            inserted: false,
        };
        let (statement, columns) = render::call(&call, &node, options);
        let mut plan = self.answer(Kind::Call { shape, head }, &negotiated, columns);
        // The planner knows next to nothing of a function's rows, so it is not asked.
        plan.count = plan.count.filter(|count| *count != Count::Planned);
        plan.applied = self.applied_to_call();
        plan.warning = tree.warning();
        let read_only = call::reads_only(function, self.request.action);
        let mut outcome = self.outcome(vec![statement], read_only, plan)?;
        if let Outcome::Query(prepared) = &mut outcome {
            let hoisted = &self.context.config.hoisted_settings;
            prepared.calls = true;
            prepared.settings = call::hoisted(function, hoisted);
            prepared.isolation = call::isolation(function, hoisted);
        }
        Ok(outcome)
    }

    fn negotiate(self, node: &ReadNode<'p>, bodiless: bool) -> Result<Negotiated<'p>, Error> {
        let subject = Subject::rows(node);
        negotiate::negotiate(self.context, &self.request.accept, subject, bodiless)
    }

    /// How the request's session prints values, as far as that is known.
    fn printing(self) -> Printing {
        let known = self.context.catalog.printing();
        let asked = self.preferences().time_zone.as_deref();
        Printing { utc: asked.map_or(known.utc, Printing::is_utc), ..known }
    }

    fn preferences(self) -> &'p Preferences {
        &self.request.preferences
    }

    fn check_preferences(self) -> Result<(), Error> {
        let preferences = self.preferences();
        if preferences.is_strict() && !preferences.unknown.is_empty() {
            return Err(Error::invalid_preferences(&preferences.unknown));
        }
        Ok(())
    }

    /// How the main statement finds out the total. Without a window the page is everything.
    fn total(self, node: &ReadNode<'_>) -> Total {
        let windowed = node.cap.is_some() || self.request.range != Range::ALL;
        match self.preferences().count {
            Some(Count::Exact) if windowed => Total::Count,
            Some(Count::Estimated) if windowed => {
                node.cap.map_or(Total::Count, |cap| Total::CountTo(cap.saturating_add(1)))
            }
            _ => Total::None,
        }
    }

    /// As [`Job::total`], of a call, whose rows are always counted to the end.
    fn total_of_call(self) -> Total {
        let windowed = self.context.config.max_rows.is_some() || self.request.range != Range::ALL;
        match self.preferences().count {
            Some(Count::Exact | Count::Estimated) if windowed => Total::Count,
            _ => Total::None,
        }
    }

    /// Whether the planner is asked too.
    fn plans_count(self) -> bool {
        matches!(self.preferences().count, Some(Count::Planned | Count::Estimated))
    }

    fn profile(self) -> Option<String> {
        self.request.profiled.then(|| self.request.schema.to_owned())
    }

    fn address(self, relation: &Relation) -> String {
        format!("{}/{}", self.raw.base_path.trim_end_matches('/'), relation.name.name)
    }

    fn content_location(self, relation: &Relation) -> String {
        let mut location = self.address(relation);
        let query = self.parameters.canonical();
        if !query.is_empty() {
            location.push('?');
            location.push_str(&query);
        }
        location
    }

    fn answer(self, kind: Kind, negotiated: &Negotiated<'_>, columns: Columns) -> respond::Plan {
        let explains = negotiated.explain().is_some();
        let preferences = self.preferences();
        respond::Plan {
            kind: if explains { Kind::Explain } else { kind },
            columns,
            hex_body: matches!(negotiated.handler, Handler::Custom(it) if it.bytes),
            representation: false,
            singular: negotiated.media.is_singular(),
            content_type: negotiated.media.content_type(),
            profile: self.profile(),
            applied: self.applied().applied(),
            count: preferences.count,
            max_rows: self.context.config.max_rows,
            range: self.request.range,
            location: String::new(),
            warning: None,
            rows: rows::Plan::default(),
        }
    }

    fn outcome(
        self,
        mut statements: Vec<Statement>,
        read_only: bool,
        plan: respond::Plan,
    ) -> Result<Outcome, Error> {
        if statements.iter().any(|statement| statement.params.len() > MAX_VALUES) {
            return Err(Error::too_many_values(MAX_VALUES));
        }
        let rollback = rolls_back(self.context.config.tx_end, self.preferences().tx);
        if rollback && !read_only {
            // What a commit would have found must be found now.
            let sql = "set constraints all immediate".into();
            statements.push(Statement { sql, params: Vec::new() });
        }
        Ok(Outcome::Query(Prepared {
            statements,
            read_only,
            calls: false,
            settings: Vec::new(),
            isolation: None,
            rollback,
            schema: self.context.schema.into(),
            time_zone: self.preferences().time_zone.clone(),
            binary: false,
            verbatim: false,
            location: None,
            plan: Arc::new(plan),
        }))
    }
}

fn merges(change: &Change<'_>) -> bool {
    let conflict = match change {
        Change::Insert { conflict, .. } => conflict.as_ref(),
        _ => None,
    };
    conflict.is_some_and(|conflict| conflict.resolution == Resolution::Merge)
}

fn rolls_back(tx_end: TxEnd, asked: Option<Tx>) -> bool {
    match tx_end {
        TxEnd::Commit => false,
        TxEnd::Rollback => true,
        TxEnd::CommitAllowOverride => asked == Some(Tx::Rollback),
        TxEnd::RollbackAllowOverride => asked != Some(Tx::Commit),
    }
}
