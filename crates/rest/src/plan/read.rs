//! Plans of reads, with everything that is embedded in them.

use plinth_catalog::{Junction, QualifiedName, Relation, RelationKind, Relationship, Via};

use super::tree::Node;
use super::{
    Column, Condition, Context, Embedded, JoinOn, Order, Qualifier, ReadNode, Selected, Source,
    Spread, embed, spread,
};
use crate::Error;
use crate::request::field::{Field, Text};
use crate::request::filter::{Filter, IsValue, Operation};
use crate::request::logic::Logic;
use crate::request::order::OrderTerm;
use crate::request::range::Range;
use crate::request::select::{Join, SelectField};

/// What the root of a read is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root<'p> {
    pub(crate) name: &'p QualifiedName,
    /// The relation, when the catalog has one of that name.
    pub(crate) relation: Option<&'p Relation>,
    /// Whether its rows are what a write or a call returned, rather than the relation's own.
    pub(crate) returned: bool,
    /// Whether the server's bound on rows applies.
    pub(crate) capped: bool,
}

/// Plans a read of `root` as `tree` asks for it.
///
/// # Errors
///
/// Unknown or ambiguous embeds, orders by what is no to-one embed, aggregates that are not allowed.
pub(crate) fn plan<'p>(
    context: Context<'p>,
    root: Root<'p>,
    tree: &Node<'p>,
) -> Result<ReadNode<'p>, Error> {
    let source = if root.returned { Source::Returned } else { Source::Relation(root.name) };
    // An alias can also be that of a page; the name is the relation's own, because errors tell it.
    let qualifier = if root.returned || !tree.children.is_empty() {
        Qualifier::Alias(root.name.name.clone())
    } else {
        Qualifier::Relation(root.name)
    };
    let place = Place { source, name: root.name, relation: root.relation, qualifier };
    let planner = Planner { context, cap: context.config.max_rows.filter(|_| root.capped) };
    let mut node = planner.node(tree, place, 0)?;
    spread::finish(&mut node, context.config.aggregates)?;
    Ok(node)
}

/// Where the rows of a node come from and what they are called.
struct Place<'p> {
    source: Source<'p>,
    name: &'p QualifiedName,
    relation: Option<&'p Relation>,
    qualifier: Qualifier<'p>,
}

#[derive(Clone, Copy)]
struct Planner<'p> {
    context: Context<'p>,
    cap: Option<u64>,
}

impl<'p> Planner<'p> {
    fn node(self, tree: &Node<'p>, place: Place<'p>, depth: usize) -> Result<ReadNode<'p>, Error> {
        let relation = place.relation;
        let mut node = ReadNode {
            source: place.source,
            name: place.name,
            relation,
            qualifier: place.qualifier,
            select: tree.fields.iter().map(|field| selected(relation, field)).collect(),
            conditions: Vec::new(),
            order: Vec::new(),
            range: tree.range.unwrap_or(Range::ALL),
            cap: self.cap,
            relationship: None,
            join_on: Vec::new(),
            inner: false,
            spread: Spread::No,
            alias: String::new(),
            label: Text::Borrowed(""),
            children: Vec::with_capacity(tree.children.len()),
            embedded: Vec::new(),
        };
        for child in &tree.children {
            node.children.push(self.child(child, &node, depth + 1)?);
        }
        let logic = tree.logic.iter().map(|logic| condition(&node, logic));
        let filters = tree.filters.iter().map(|filter| filter_condition(&node, filter));
        node.conditions = filters.chain(logic).collect();
        node.order = tree.order.iter().map(|term| order(&node, term)).collect::<Result<_, _>>()?;
        Ok(node)
    }

    fn child(
        self,
        tree: &Node<'p>,
        parent: &ReadNode<'p>,
        depth: usize,
    ) -> Result<ReadNode<'p>, Error> {
        // Only the root has no item of its own, and the root is nobody's child.
        let Some(item) = tree.embed else { return Err(Error::unexpected_result()) };
        let relationship = embed::find(self.context, parent.name, item)?;
        let label = item.alias.as_ref().unwrap_or(&item.name);
        let place = self.place(relationship, parent, depth);
        let mut node = self.node(tree, place, depth)?;
        node.join_on = join_conditions(relationship, &node.qualifier, &parent.qualifier);
        node.relationship = Some(relationship);
        if is_one_by_key(relationship, node.relation) {
            node.cap = None;
        }
        node.inner = item.join == Some(Join::Inner);
        node.alias = format!("{}_{label}_{depth}", relationship.from.name);
        node.label = label.clone();
        node.spread = match (item.spread, relationship.cardinality.is_to_one()) {
            (false, _) => Spread::No,
            (true, true) => Spread::ToOne,
            (true, false) => Spread::ToMany { extra: Vec::new(), order: Vec::new() },
        };
        Ok(node)
    }

    fn place(
        self,
        relationship: &'p Relationship,
        parent: &ReadNode<'p>,
        depth: usize,
    ) -> Place<'p> {
        let name = &relationship.to;
        let alias = || Qualifier::Alias(format!("{}_{depth}", name.name));
        let (source, qualifier) = match &relationship.via {
            Via::ForeignKey { .. } => (Source::Relation(name), alias()),
            // The junction is joined in FROM beside it, under its own name too.
            Via::Junction(_) => (Source::Relation(name), Qualifier::Alias(name.name.clone())),
            Via::Function(function) => {
                let row = parent.qualifier.row().to_owned();
                (Source::Function { function, row, row_type: &relationship.from }, alias())
            }
        };
        Place { source, name, relation: self.context.catalog.relation(name), qualifier }
    }
}

/// Whether a key of the target promises one row at most, so that bounding them only hides that from
/// PostgreSQL. A view promises nothing.
fn is_one_by_key(relationship: &Relationship, target: Option<&Relation>) -> bool {
    let is_table =
        |it: &Relation| matches!(it.kind, RelationKind::Table | RelationKind::PartitionedTable);
    relationship.cardinality.is_to_one()
        && matches!(relationship.via, Via::ForeignKey { .. })
        && target.is_some_and(is_table)
}

fn join_conditions<'p>(
    relationship: &'p Relationship,
    own: &Qualifier<'p>,
    parent: &Qualifier<'p>,
) -> Vec<JoinOn<'p>> {
    match &relationship.via {
        Via::Function(_) => Vec::new(),
        Via::ForeignKey { columns, .. } => columns
            .iter()
            .map(|pair| JoinOn {
                left: (own.clone(), &pair.to),
                right: (parent.clone(), &pair.from),
            })
            .collect(),
        Via::Junction(junction) => junction_conditions(junction, own, parent),
    }
}

fn junction_conditions<'p>(
    junction: &'p Junction,
    own: &Qualifier<'p>,
    parent: &Qualifier<'p>,
) -> Vec<JoinOn<'p>> {
    let between = || Qualifier::Relation(&junction.relation);
    let to_target = junction
        .to_columns
        .iter()
        .map(|pair| JoinOn { left: (between(), &pair.from), right: (own.clone(), &pair.to) });
    let to_parent = junction
        .from_columns
        .iter()
        .map(|pair| JoinOn { left: (between(), &pair.to), right: (parent.clone(), &pair.from) });
    to_target.chain(to_parent).collect()
}

/// A field of the request as a column of `relation`; unknown ones are left to PostgreSQL, which may
/// know a function that computes them, or says that they do not exist.
fn column<'p>(relation: Option<&Relation>, field: &'p Field<'p>) -> Column<'p> {
    let known = relation.and_then(|relation| relation.columns.get(field.name.as_ref()));
    let is_json = known.is_some_and(|column| matches!(column.type_name.as_str(), "json" | "jsonb"));
    Column {
        name: Text::Borrowed(&field.name),
        path: &field.path,
        to_json: !is_json,
        whole_row: false,
        shown_by: None,
    }
}

fn selected<'p>(relation: Option<&'p Relation>, field: &'p SelectField<'p>) -> Selected<'p> {
    let known = relation.and_then(|relation| relation.columns.get(field.field.name.as_ref()));
    Selected {
        column: Column { shown_by: known.and_then(shown_by), ..column(relation, &field.field) },
        cast: field.cast,
        aggregate: field.aggregate,
        aggregate_cast: field.aggregate_cast,
        alias: field.alias.as_deref().map(Text::Borrowed),
        to_json: false,
    }
}

/// The function of the implicit cast to JSON that the type of `column` has, if it is a domain with one.
pub(crate) fn shown_by(column: &plinth_catalog::Column) -> Option<&QualifiedName> {
    column.representation.as_ref()?.to_json.as_ref()
}

/// A condition on the rows of `relation`, where no embed is meant; what a write uses.
pub(crate) fn plain_condition<'p>(
    relation: Option<&'p Relation>,
    filter: &'p Filter<'p>,
) -> Condition<'p> {
    let known = relation.and_then(|relation| relation.columns.get(filter.field.name.as_ref()));
    Condition::Filter {
        column: column(relation, &filter.field),
        to_tsvector: known.is_some_and(|column| column.base_type != "tsvector"),
        read_by: known.and_then(|it| it.representation.as_ref()?.from_text.as_ref()),
        negated: filter.negated,
        operation: &filter.operation,
    }
}

/// As [`plain_condition`], for a tree of conditions.
pub(crate) fn plain_logic<'p>(
    relation: Option<&'p Relation>,
    logic: &'p Logic<'p>,
) -> Condition<'p> {
    grouped(logic, &|filter| plain_condition(relation, filter))
}

fn grouped<'p>(
    logic: &'p Logic<'p>,
    leaf: &impl Fn(&'p Filter<'p>) -> Condition<'p>,
) -> Condition<'p> {
    match logic {
        Logic::Filter(filter) => leaf(filter),
        Logic::Group { negated, connective, items } => Condition::Group {
            negated: *negated,
            connective: *connective,
            items: items.iter().map(|item| grouped(item, leaf)).collect(),
        },
    }
}

fn condition<'p>(node: &ReadNode<'p>, logic: &'p Logic<'p>) -> Condition<'p> {
    grouped(logic, &|filter| filter_condition(node, filter))
}

fn filter_condition<'p>(node: &ReadNode<'p>, filter: &'p Filter<'p>) -> Condition<'p> {
    if let Operation::Is(value @ (IsValue::Null | IsValue::NotNull)) = filter.operation
        && filter.field.path.is_empty()
        && let Some(child) = node.children.iter().find(|it| it.label == filter.field.name)
    {
        let negated = filter.negated != (value == IsValue::NotNull);
        return Condition::NullEmbed { negated, alias: child.alias.clone() };
    }
    plain_condition(node.relation, filter)
}

fn order<'p>(node: &ReadNode<'p>, term: &'p OrderTerm<'p>) -> Result<Order<'p>, Error> {
    let (embed, column) = match &term.relation {
        None => (None, column(node.relation, &term.field)),
        Some(name) => {
            let child = node.children.iter().find(|child| child.label == *name);
            let child = child.ok_or_else(|| Error::not_embedded(name))?;
            if !child.relationship.is_some_and(|it| it.cardinality.is_to_one()) {
                return Err(Error::related_order(&node.name.name, &child.label));
            }
            (Some(child.alias.clone()), column(child.relation, &term.field))
        }
    };
    Ok(Order { embed, column, direction: term.direction, nulls: term.nulls })
}

/// What a node selects of a child.
pub(crate) fn embedded<'p>(child: &ReadNode<'p>) -> Embedded<'p> {
    match child.spread {
        Spread::No if selects_nothing(child) => Embedded::Nothing,
        Spread::No => {
            let to_one = child.relationship.is_some_and(|it| it.cardinality.is_to_one());
            let label = child.label.clone();
            if to_one { Embedded::Object(label) } else { Embedded::Array(label) }
        }
        Spread::ToOne | Spread::ToMany { .. } => Embedded::Fields(spread::fields(child)),
    }
}

/// `rel()` and embeds that hold nothing but such.
fn selects_nothing(node: &ReadNode<'_>) -> bool {
    node.select.is_empty() && node.children.iter().all(selects_nothing)
}
