//! The request's embeds as a tree, with filters, orders and windows hung where they belong.

use crate::Error;
use crate::request::Request;
use crate::request::field::Text;
use crate::request::filter::Filter;
use crate::request::logic::Logic;
use crate::request::order::OrderTerm;
use crate::request::query::At;
use crate::request::range::Range;
use crate::request::select::{SelectEmbed, SelectField, SelectItem};

/// A node before anything was looked up.
#[derive(Debug, Default)]
pub(crate) struct Node<'p> {
    /// The item of `select` that asked for it; nothing at the root.
    pub(crate) embed: Option<&'p SelectEmbed<'p>>,
    pub(crate) fields: Vec<&'p SelectField<'p>>,
    pub(crate) filters: Vec<&'p Filter<'p>>,
    pub(crate) logic: Vec<&'p Logic<'p>>,
    pub(crate) order: &'p [OrderTerm<'p>],
    pub(crate) range: Option<Range>,
    pub(crate) children: Vec<Node<'p>>,
}

/// Builds the tree. For writes, filters of the root belong to the write and windows count nowhere.
///
/// # Errors
///
/// `PGRST108` when something applies to an embed that `select` does not have.
pub(crate) fn build<'p>(request: &'p Request<'p>) -> Result<Node<'p>, Error> {
    let mut root = Node::of(None, &request.query.select);
    let write = request.action.is_write();
    let query = &request.query;
    // From last to first, because each one moves its embed to the front of its siblings: that is the
    // order in which clients have always seen the keys of embeds that have filters.
    for At { path, what } in query.filters.iter().rev().filter(|it| !write || !it.path.is_empty()) {
        root.at(path)?.filters.insert(0, what);
    }
    for At { path, what } in query.order.iter().rev() {
        root.at(path)?.order = what;
    }
    if !write {
        for At { path, what } in query.ranges.iter().rev() {
            root.at(path)?.range = Some(*what);
        }
        root.range = Some(request.range);
    }
    for At { path, what } in query.logic.iter().rev().filter(|it| !write || !it.path.is_empty()) {
        root.at(path)?.logic.insert(0, what);
    }
    Ok(root)
}

impl<'p> Node<'p> {
    fn of(embed: Option<&'p SelectEmbed<'p>>, items: &'p [SelectItem<'p>]) -> Self {
        let mut node = Self { embed, ..Self::default() };
        for item in items {
            match item {
                SelectItem::Field(field) => node.fields.push(field),
                SelectItem::Embed(embed) => node.children.push(Self::of(Some(embed), &embed.items)),
            }
        }
        node
    }

    /// The node at `path`, moved to the front of its siblings on the way.
    fn at(&mut self, path: &[Text<'p>]) -> Result<&mut Self, Error> {
        let Some((name, rest)) = path.split_first() else { return Ok(self) };
        let found = self.children.iter().position(|child| child.is_called(name));
        let index = found.ok_or_else(|| Error::not_embedded(name))?;
        self.children[..=index].rotate_right(1);
        self.children[0].at(rest)
    }

    /// Filters may use the alias of an embed or its name.
    fn is_called(&self, name: &str) -> bool {
        self.embed.is_some_and(|embed| embed.name == name || embed.alias.as_deref() == Some(name))
    }
}
