#![doc = include_str!("../README.md")]

mod function;
mod load;
mod media;
mod printing;
mod relation;
mod relationship;
mod representation;

pub use function::{Function, Parameter, ReturnType, Volatility};
pub use load::{LoadError, LoadOptions};
pub use media::{ANY_MEDIA_TYPE, MediaHandler};
pub use printing::Printing;
pub use relation::{Column, Relation, RelationKind, TextType};
pub use relationship::{Cardinality, ColumnPair, Junction, Relationship, Via};
pub use representation::Representation;

use std::collections::{HashMap, HashSet};
use std::fmt;

/// A schema and a name inside it, both as stored in `pg_catalog` (unquoted, case preserved).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema (`pg_namespace.nspname`).
    pub schema: String,
    /// The object's name inside the schema.
    pub name: String,
}

impl QualifiedName {
    /// Builds a name from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What one database looks like to the people who may query it, at one moment.
///
/// A catalog is a value: it is never changed after it was built. A reload builds another one and
/// swaps the `Arc` that points to it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    relations: HashMap<QualifiedName, Relation>,
    relationships: HashMap<QualifiedName, Vec<Relationship>>,
    functions: HashMap<QualifiedName, Vec<Function>>,
    /// Functions that only SQL can call, such as computed columns.
    uncallable: Vec<Function>,
    /// Composite types of the exposed schemas that are not tables, by name.
    composites: HashMap<QualifiedName, Vec<Column>>,
    /// Enum types with their labels in sort order.
    enums: HashMap<QualifiedName, Vec<String>>,
    /// Foreign keys by the relation that has the referring columns.
    foreign_keys: HashMap<QualifiedName, Vec<String>>,
    /// By relation: schemas of targets of which some relationship is not in the snapshot.
    left_out: HashMap<QualifiedName, HashSet<String>>,
    /// Per request role: settings of `alter role … [in database …] set`, as `(name, value)`.
    role_settings: HashMap<String, Vec<(String, String)>>,
    /// Comments of schemas.
    schema_comments: HashMap<String, String>,
    /// Makers of bodies by the relation or function whose rows or result they take.
    media_handlers: HashMap<QualifiedName, Vec<MediaHandler>>,
    /// Makers of bodies that take any row.
    any_media_handlers: Vec<MediaHandler>,
    /// Whether some function or policy speaks of `response.headers` or `response.status`.
    sets_response: bool,
    /// PostgreSQL's `server_version_num`, such as 160014.
    server_version: u32,
    /// How sessions print values, whichever role's settings they have.
    printing: Printing,
}

impl Catalog {
    /// The relation of that exact name, if it is in the snapshot.
    pub fn relation(&self, name: &QualifiedName) -> Option<&Relation> {
        self.relations.get(name)
    }

    /// Every relation, in no particular order.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// Every relationship that starts at `name`; those that were read are sorted.
    pub fn relationships_from(&self, name: &QualifiedName) -> &[Relationship] {
        self.relationships.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether some relationship leads from `relation` to a relation of `schema`, those through junctions that are
    /// not exposed included.
    pub fn has_relationships(&self, relation: &QualifiedName, schema: &str) -> bool {
        self.relationships_from(relation).iter().any(|it| it.to.schema == schema)
            || self.left_out.get(relation).is_some_and(|schemas| schemas.contains(schema))
    }

    /// Whether `relation` is the referring side of the foreign key `constraint`. The two directions of a one-to-one
    /// relationship look alike otherwise.
    pub fn owns_foreign_key(&self, relation: &QualifiedName, constraint: &str) -> bool {
        self.foreign_keys.get(relation).is_some_and(|keys| keys.iter().any(|key| key == constraint))
    }

    /// Every overload of the function `name`, in a stable order.
    pub fn functions(&self, name: &QualifiedName) -> &[Function] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every function with its overloads, in no particular order.
    pub fn all_functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.values().flatten()
    }

    /// Every function of the exposed schemas that only SQL can call, because parameters without names cannot be given:
    /// computed columns above all.
    pub fn uncallable_functions(&self) -> &[Function] {
        &self.uncallable
    }

    /// The attributes of a free-standing composite type.
    pub fn composite(&self, name: &QualifiedName) -> Option<&[Column]> {
        self.composites.get(name).map(Vec::as_slice)
    }

    /// Every free-standing composite type with its attributes.
    pub fn composites(&self) -> impl Iterator<Item = (&QualifiedName, &[Column])> {
        self.composites.iter().map(|(name, columns)| (name, columns.as_slice()))
    }

    /// The labels of an enum type in sort order.
    pub fn enum_labels(&self, name: &QualifiedName) -> Option<&[String]> {
        self.enums.get(name).map(Vec::as_slice)
    }

    /// Every enum type with its labels in sort order.
    pub fn enums(&self) -> impl Iterator<Item = (&QualifiedName, &[String])> {
        self.enums.iter().map(|(name, labels)| (name, labels.as_slice()))
    }

    /// Settings attached to a role for this database (`statement_timeout` and the like).
    pub fn role_settings(&self, role: &str) -> &[(String, String)] {
        self.role_settings.get(role).map_or(&[], Vec::as_slice)
    }

    /// Every role that carries settings for this database, with them.
    pub fn all_role_settings(&self) -> impl Iterator<Item = (&str, &[(String, String)])> {
        self.role_settings.iter().map(|(role, settings)| (role.as_str(), settings.as_slice()))
    }

    /// The comment of a schema.
    pub fn schema_comment(&self, schema: &str) -> Option<&str> {
        self.schema_comments.get(schema).map(String::as_str)
    }

    /// How sessions probably print values: it was so when the catalog was read, and no role's
    /// settings say anything else. A session that was opened at another time may differ.
    pub fn printing(&self) -> Printing {
        self.printing
    }

    /// PostgreSQL's `server_version_num`, such as 160014; 0 in a catalog made by hand.
    pub fn server_version(&self) -> u32 {
        self.server_version
    }

    /// What makes bodies from the rows of the relation, or from the result of the function, `target`.
    pub fn media_handlers(&self, target: &QualifiedName) -> &[MediaHandler] {
        self.media_handlers.get(target).map_or(&[], Vec::as_slice)
    }

    /// What makes bodies from any rows.
    pub fn any_media_handlers(&self) -> &[MediaHandler] {
        &self.any_media_handlers
    }

    /// Whether a function or policy of the database speaks of `response.headers` or `response.status`, so that
    /// even a read of a table may set them.
    pub fn sets_response(&self) -> bool {
        self.sets_response
    }

    /// Says whether a function or policy speaks of `response.headers` or `response.status`; for building catalogs
    /// by hand in tests and while reading one.
    pub fn set_sets_response(&mut self, sets_response: bool) {
        self.sets_response = sets_response;
    }

    /// Adds a maker of bodies; for building catalogs by hand in tests and while reading one.
    pub fn add_media_handler(&mut self, handler: MediaHandler) {
        match &handler.target {
            Some(target) => {
                self.media_handlers.entry(target.clone()).or_default().push(handler);
            }
            None => self.any_media_handlers.push(handler),
        }
    }

    /// Adds a relation; for building catalogs by hand in tests and while reading one.
    pub fn add_relation(&mut self, relation: Relation) {
        self.relations.insert(relation.name.clone(), relation);
    }

    /// Adds a relationship; for building catalogs by hand in tests and while reading one.
    pub fn add_relationship(&mut self, relationship: Relationship) {
        self.relationships.entry(relationship.from.clone()).or_default().push(relationship);
    }

    /// Notes that `relation` has the foreign key `constraint`; for building catalogs by hand in tests and while
    /// reading one. The relationships that follow from it are added by [`Catalog::add_relationship`].
    pub fn add_foreign_key(&mut self, relation: QualifiedName, constraint: &str) {
        self.foreign_keys.entry(relation).or_default().push(constraint.to_owned());
    }

    /// Adds an enum type with its labels in sort order; for building catalogs by hand in tests and while reading one.
    pub fn add_enum(&mut self, name: QualifiedName, labels: Vec<String>) {
        self.enums.insert(name, labels);
    }

    /// Adds a free-standing composite type; for building catalogs by hand in tests and while reading one.
    pub fn add_composite(&mut self, name: QualifiedName, attributes: Vec<Column>) {
        self.composites.insert(name, attributes);
    }

    /// Adds an overload of a function; for building catalogs by hand in tests and while reading one.
    pub fn add_function(&mut self, function: Function) {
        self.functions.entry(function.name.clone()).or_default().push(function);
    }
}
