//! A request becomes a plan: does it make sense against the catalog?

pub(crate) mod call;
pub(crate) mod embed;
pub(crate) mod negotiate;
pub(crate) mod read;
pub(crate) mod spread;
pub(crate) mod tree;
pub(crate) mod write;

use plinth_catalog::{Catalog, QualifiedName, Relation, Relationship};

use crate::ident::CastType;
use crate::request::field::{JsonStep, Text};
use crate::request::filter::Operation;
use crate::request::logic::Connective;
use crate::request::order::{Direction, Nulls};
use crate::request::range::Range;
use crate::request::select::Aggregate;
use crate::{Config, Error};

/// What every planner needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'p> {
    pub(crate) catalog: &'p Catalog,
    pub(crate) config: &'p Config,
    pub(crate) schema: &'p str,
}

/// Where the rows of a node come from.
#[derive(Debug, Clone)]
pub(crate) enum Source<'p> {
    Relation(&'p QualifiedName),
    /// The rows that a write returned or a function gave: the statement's common table expression.
    Returned,
    /// A computed relationship: the function, the name of the row it takes and that row's type.
    Function {
        function: &'p QualifiedName,
        row: String,
        row_type: &'p QualifiedName,
    },
}

/// How the columns of a node are qualified.
#[derive(Debug, Clone)]
pub(crate) enum Qualifier<'p> {
    Relation(&'p QualifiedName),
    Alias(String),
}

impl Qualifier<'_> {
    /// The last part: what the row itself is called.
    pub(crate) fn row(&self) -> &str {
        match self {
            Self::Relation(name) => &name.name,
            Self::Alias(alias) => alias,
        }
    }
}

/// A column or a computed value of a node's row.
#[derive(Debug, Clone)]
pub(crate) struct Column<'p> {
    pub(crate) name: Text<'p>,
    pub(crate) path: &'p [JsonStep<'p>],
    /// Whether the value must become `jsonb` before the path is followed.
    pub(crate) to_json: bool,
    /// The row itself, for `count()` of a spread.
    pub(crate) whole_row: bool,
    /// The function that makes of it what clients see.
    pub(crate) shown_by: Option<&'p QualifiedName>,
}

impl<'p> Column<'p> {
    /// A name with nothing known about it.
    pub(crate) fn unknown(name: Text<'p>) -> Self {
        Self { name, path: &[], to_json: true, whole_row: false, shown_by: None }
    }

    pub(crate) fn is_star(&self) -> bool {
        self.name == "*" && self.path.is_empty() && !self.whole_row
    }
}

/// One column of a node's result.
#[derive(Debug, Clone)]
pub(crate) struct Selected<'p> {
    pub(crate) column: Column<'p>,
    pub(crate) cast: Option<CastType<'p>>,
    pub(crate) aggregate: Option<Aggregate>,
    pub(crate) aggregate_cast: Option<CastType<'p>>,
    pub(crate) alias: Option<Text<'p>>,
    /// Whether PostgreSQL must make JSON of the value, because rows come in binary.
    pub(crate) to_json: bool,
}

/// One condition of a node.
#[derive(Debug, Clone)]
pub(crate) enum Condition<'p> {
    Filter {
        column: Column<'p>,
        /// Whether a full-text operator must make a `tsvector` of the column first.
        to_tsvector: bool,
        /// The function that reads what clients write.
        read_by: Option<&'p QualifiedName>,
        negated: bool,
        operation: &'p Operation<'p>,
    },
    /// `embed=is.null`: whether the embed, by its internal name, has no rows.
    NullEmbed {
        negated: bool,
        alias: String,
    },
    Group {
        negated: bool,
        connective: Connective,
        items: Vec<Condition<'p>>,
    },
}

/// One term of a node's order.
#[derive(Debug, Clone)]
pub(crate) struct Order<'p> {
    /// The internal name of the embed whose column it is.
    pub(crate) embed: Option<String>,
    pub(crate) column: Column<'p>,
    pub(crate) direction: Option<Direction>,
    pub(crate) nulls: Option<Nulls>,
}

/// Whether and how the columns of an embed belong to its parent.
#[derive(Debug, Clone)]
pub(crate) enum Spread<'p> {
    No,
    ToOne,
    /// Each column becomes an array, whose order needs these further columns.
    ToMany {
        extra: Vec<(Option<String>, Selected<'p>)>,
        order: Vec<Order<'p>>,
    },
}

impl Spread<'_> {
    pub(crate) fn is_to_many(&self) -> bool {
        matches!(self, Self::ToMany { .. })
    }
}

/// One column that a spread embed gives its parent.
#[derive(Debug, Clone)]
pub(crate) struct SpreadField<'p> {
    pub(crate) name: Text<'p>,
    pub(crate) aggregate: Option<Aggregate>,
    pub(crate) cast: Option<CastType<'p>>,
    pub(crate) alias: Option<Text<'p>>,
}

/// What a node selects of one of its children.
#[derive(Debug, Clone)]
pub(crate) enum Embedded<'p> {
    /// Nothing: the embed only joins.
    Nothing,
    Object(Text<'p>),
    Array(Text<'p>),
    Fields(Vec<SpreadField<'p>>),
}

/// Two columns that must be equal, each with its qualifier.
#[derive(Debug, Clone)]
pub(crate) struct JoinOn<'p> {
    pub(crate) left: (Qualifier<'p>, &'p str),
    pub(crate) right: (Qualifier<'p>, &'p str),
}

/// A read of one relation with everything embedded in it.
#[derive(Debug, Clone)]
pub(crate) struct ReadNode<'p> {
    pub(crate) source: Source<'p>,
    /// The relation whose rows these are, which need not be in the catalog for a function's rows.
    pub(crate) name: &'p QualifiedName,
    pub(crate) relation: Option<&'p Relation>,
    pub(crate) qualifier: Qualifier<'p>,
    pub(crate) select: Vec<Selected<'p>>,
    pub(crate) conditions: Vec<Condition<'p>>,
    pub(crate) order: Vec<Order<'p>>,
    pub(crate) range: Range,
    /// The server's own bound on rows.
    pub(crate) cap: Option<u64>,
    pub(crate) relationship: Option<&'p Relationship>,
    pub(crate) join_on: Vec<JoinOn<'p>>,
    pub(crate) inner: bool,
    pub(crate) spread: Spread<'p>,
    /// The name of this embed in the parent's FROM; empty at the root.
    pub(crate) alias: String,
    /// What the client calls this embed.
    pub(crate) label: Text<'p>,
    pub(crate) children: Vec<ReadNode<'p>>,
    /// What is selected of each child, in the same order.
    pub(crate) embedded: Vec<Embedded<'p>>,
}

/// The relation a request names.
///
/// # Errors
///
/// `PGRST205`
pub(crate) fn relation<'p>(context: Context<'p>, name: &str) -> Result<&'p Relation, Error> {
    let name = QualifiedName::new(context.schema, name);
    context.catalog.relation(&name).ok_or_else(|| Error::unknown_table(&name, context.catalog))
}
