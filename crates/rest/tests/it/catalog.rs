//! The catalog of `fixture.sql`, by hand, for tests without a server. An integration test compares what
//! comes of it with what comes of the catalog that is read from the server.

use plinth_catalog::{
    Cardinality, Catalog, Column, ColumnPair, Function, Junction, MediaHandler, Parameter,
    QualifiedName, Relation, RelationKind, Relationship, ReturnType, Via, Volatility,
};

fn api(name: &str) -> QualifiedName {
    QualifiedName::new("api", name)
}

/// Adds a table from `name type` pairs; a `!` after the type means not null, a `=` what the default is.
fn table(catalog: &mut Catalog, name: &str, key: &[&str], columns: &[&str]) {
    let columns = columns.iter().map(|text| column(text));
    catalog.add_relation(Relation {
        name: api(name),
        kind: RelationKind::Table,
        comment: None,
        columns: columns.map(|column| (column.name.clone(), column)).collect(),
        primary_key: key.iter().map(|&name| name.to_owned()).collect(),
        insertable: true,
        updatable: true,
        deletable: true,
    });
}

fn column(text: &str) -> Column {
    let (text, default) = text.split_once('=').map_or((text, None), |(t, d)| (t, Some(d)));
    let (name, type_name) = text.split_once(' ').unwrap();
    let mut column = Column::plain(name, type_name.trim_end_matches('!'));
    column.nullable = !type_name.ends_with('!');
    column.generated = default == Some("generated");
    column.identity = default == Some("identity");
    column.default = default.filter(|it| *it != "generated").map(str::to_owned);
    column
}

fn pairs(columns: &[(&str, &str)]) -> Vec<ColumnPair> {
    let pair = |(from, to): &(&str, &str)| ColumnPair { from: (*from).into(), to: (*to).into() };
    columns.iter().map(pair).collect()
}

/// Adds a foreign key in both directions.
fn key(catalog: &mut Catalog, name: &str, from: (&str, &str), to: (&str, &str), unique: bool) {
    let (there, back) = if unique {
        (Cardinality::OneToOne, Cardinality::OneToOne)
    } else {
        (Cardinality::ManyToOne, Cardinality::OneToMany)
    };
    for (cardinality, from, to) in [(there, from, to), (back, to, from)] {
        catalog.add_relationship(Relationship {
            from: api(from.0),
            to: api(to.0),
            cardinality,
            via: Via::ForeignKey { constraint: name.into(), columns: pairs(&[(from.1, to.1)]) },
        });
    }
}

fn junction(catalog: &mut Catalog, relation: &str, sides: [(&str, &str, &str); 2]) {
    for [from, to] in [sides, [sides[1], sides[0]]] {
        catalog.add_relationship(Relationship {
            from: api(from.0),
            to: api(to.0),
            cardinality: Cardinality::ManyToMany,
            via: Via::Junction(Junction {
                relation: api(relation),
                from_constraint: from.2.into(),
                to_constraint: to.2.into(),
                from_columns: pairs(&[("id", from.1)]),
                to_columns: pairs(&[(to.1, "id")]),
            }),
        });
    }
}

fn computed(catalog: &mut Catalog, function: &str, from: &str, to: &str, to_one: bool) {
    let cardinality = if to_one { Cardinality::OneToOne } else { Cardinality::OneToMany };
    let via = Via::Function(api(function));
    catalog.add_relationship(Relationship { from: api(from), to: api(to), cardinality, via });
}

/// Adds a function from `name type` parameters; `?` after the type means that it has a default.
fn function(
    catalog: &mut Catalog,
    name: &str,
    parameters: &[&str],
    returns: ReturnType,
    set: bool,
    volatility: Volatility,
) {
    let parameters = parameters.iter().map(|text| {
        let (name, type_name) = text.split_once(' ').unwrap();
        let variadic = name.starts_with("...");
        Parameter {
            name: name.trim_start_matches('.').into(),
            type_name: type_name.trim_end_matches('?').into(),
            declared_type: type_name.trim_end_matches('?').into(),
            required: !type_name.ends_with('?'),
            variadic,
        }
    });
    catalog.add_function(Function {
        name: api(name),
        parameters: parameters.collect(),
        returns,
        returns_set: set,
        volatility,
        comment: None,
        settings: Vec::new(),
    });
}

fn scalar(name: &str) -> ReturnType {
    ReturnType::Scalar(name.into())
}

/// The whole of it.
pub(crate) fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let it = &mut catalog;
    tables(it);
    relationships(it);
    functions(it);
    media_handlers(it);
    catalog
}

/// The table whose domain has casts from and to what clients write.
fn paints(it: &mut Catalog) {
    let other = |name: &str| Some(QualifiedName::new("other", name));
    let mut columns = ["id integer!", "name text", "colour api.colour=255"].map(column);
    columns[2].representation = Some(std::sync::Arc::new(plinth_catalog::Representation {
        to_json: other("colour_as_json"),
        to_text: None,
        from_json: other("colour_of_json"),
        from_text: other("colour_of_text"),
    }));
    it.add_relation(Relation {
        name: api("paints"),
        kind: RelationKind::Table,
        comment: None,
        columns: columns.into_iter().map(|column| (column.name.clone(), column)).collect(),
        primary_key: vec!["id".to_owned()],
        insertable: true,
        updatable: true,
        deletable: true,
    });
}

fn tables(it: &mut Catalog) {
    table(it, "clients", &["id"], &["id integer!", "name text!"]);
    let columns = ["id integer!", "name text!", "client_id integer", "meta jsonb"];
    table(it, "projects", &["id"], &columns);
    table(it, "users", &["id"], &["id integer!", "name text!", "manager_id integer"]);
    let columns = [
        "id integer!=identity",
        "name character varying(20)!",
        "project_id integer",
        "done boolean!=false",
        "tags text[]!='{}'::text[]",
        "period int4range",
        "search tsvector",
        "weight numeric(10,2)",
        "mood api.mood='low'::api.mood",
        "name_length integer=generated",
    ];
    table(it, "tasks", &["id"], &columns);
    let columns = ["user_id integer!", "task_id integer!"];
    table(it, "users_tasks", &["user_id", "task_id"], &columns);
    table(it, "addresses", &["id"], &["id integer!", "street text"]);
    table(it, "orders", &["id"], &["id integer!", "billing_id integer", "shipping_id integer"]);
    table(it, "profiles", &["user_id"], &["user_id integer!", "bio text"]);
    table(it, "no_key", &[], &["a integer", "b text"]);
    paints(it);
    let columns = ["id integer!=2", "na,me text", "cölumn integer=7"];
    table(it, "odd \"table", &["id"], &columns);
    table(
        it,
        "open_tasks",
        &["id"],
        &["id integer", "name character varying(20)", "project_id integer"],
    );
    let mut view = it.relation(&api("open_tasks")).unwrap().clone();
    view.kind = RelationKind::View;
    it.add_relation(view);
}

fn relationships(it: &mut Catalog) {
    key(it, "projects_client_id_fkey", ("projects", "client_id"), ("clients", "id"), false);
    key(it, "users_manager_id_fkey", ("users", "manager_id"), ("users", "id"), false);
    key(it, "tasks_project_id_fkey", ("tasks", "project_id"), ("projects", "id"), false);
    key(it, "tasks_project_id_fkey", ("open_tasks", "project_id"), ("projects", "id"), false);
    key(it, "users_tasks_user_id_fkey", ("users_tasks", "user_id"), ("users", "id"), false);
    key(it, "users_tasks_task_id_fkey", ("users_tasks", "task_id"), ("tasks", "id"), false);
    key(it, "orders_billing", ("orders", "billing_id"), ("addresses", "id"), false);
    key(it, "orders_shipping", ("orders", "shipping_id"), ("addresses", "id"), false);
    key(it, "profiles_user_id_fkey", ("profiles", "user_id"), ("users", "id"), true);
    junction(
        it,
        "users_tasks",
        [
            ("users", "user_id", "users_tasks_user_id_fkey"),
            ("tasks", "task_id", "users_tasks_task_id_fkey"),
        ],
    );
    computed(it, "computed_client", "projects", "clients", true);
    computed(it, "computed_tasks", "projects", "tasks", false);
}

fn functions(it: &mut Catalog) {
    use Volatility::{Immutable, Stable, Volatile};
    let projects = || ReturnType::Composite(api("projects"));
    let columns = |texts: &[&str]| ReturnType::Table(texts.iter().map(|it| column(it)).collect());
    function(it, "add", &["a integer", "b integer?"], scalar("integer"), false, Immutable);
    function(it, "greet", &[], scalar("text"), false, Stable);
    function(it, "numbers", &["n integer"], scalar("integer"), true, Stable);
    function(it, "one_project", &["wanted integer"], projects(), false, Stable);
    function(it, "list_projects", &[], projects(), true, Stable);
    function(it, "stats", &[], columns(&["client_id integer", "projects bigint"]), true, Stable);
    let halves = columns(&["half integer", "rest integer"]);
    function(it, "split", &["value integer"], halves, false, Immutable);
    let clients = ReturnType::Composite(api("clients"));
    function(it, "rename_all", &["prefix text"], clients, true, Volatile);
    function(it, "touch", &["wanted integer"], ReturnType::Void, false, Volatile);
    function(it, "total", &["...nums integer[]"], scalar("integer"), false, Immutable);
    function(it, "echo", &[" json"], scalar("json"), false, Immutable);
    function(it, "shout", &[" text"], scalar("text"), false, Immutable);
    function(it, "size_of", &[" bytea"], scalar("integer"), false, Immutable);
    function(it, "pick", &["a integer"], scalar("text"), false, Immutable);
    function(it, "pick", &["b text"], scalar("text"), false, Immutable);
    function(it, "vague", &["a integer"], scalar("integer"), false, Immutable);
    function(it, "vague", &["a text"], scalar("integer"), false, Immutable);
    function(it, "with_headers", &[], scalar("integer"), false, Volatile);
    function(it, "fail", &["code text"], ReturnType::Void, false, Volatile);
    function(it, "custom_answer", &[], ReturnType::Void, false, Volatile);
    function(it, "page", &[], scalar("api.\"text/html\""), false, Stable);
    function(it, "picture", &["wanted integer"], scalar("other.\"image/png\""), false, Stable);
    function(it, "whatever", &[], scalar("other.\"*/*\""), false, Stable);
}

fn media_handlers(it: &mut Catalog) {
    let other = |name: &str| QualifiedName::new("other", name);
    for (name, target, media_type, bytes) in [
        (api("text/html"), Some("page"), "text/html", false),
        (other("image/png"), Some("picture"), "image/png", true),
        (other("*/*"), Some("whatever"), "*/*", true),
        (api("names"), Some("clients"), "text/x-names", false),
        (api("any_rows"), None, "text/x-rows", false),
    ] {
        let (target, media_type) = (target.map(api), media_type.to_owned());
        it.add_media_handler(MediaHandler { name, target, media_type, bytes });
    }
}
