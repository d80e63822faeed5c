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
    /// Whether something named it by its relation although it has an alias.
    pub(crate) misnamed: bool,
    pub(crate) children: Vec<Node<'p>>,
}

/// Builds the tree. For writes, filters of the root belong to the write and windows count nowhere.
///
/// # Errors
///
/// `PGRST108` when something applies to an embed that `select` does not have, or has under an alias
/// unless `legacy` names are allowed.
pub(crate) fn build<'p>(request: &'p Request<'p>, legacy: bool) -> Result<Node<'p>, Error> {
    let mut root = Node::of(None, &request.query.select);
    let write = request.action.is_write();
    let query = &request.query;
    // From last to first, because each one moves its embed to the front of its siblings: that is the
    // order in which clients have always seen the keys of embeds that have filters.
    for At { path, what } in query.filters.iter().rev().filter(|it| !write || !it.path.is_empty()) {
        root.at(path, legacy)?.filters.insert(0, what);
    }
    for At { path, what } in query.order.iter().rev() {
        root.at(path, legacy)?.order = what;
    }
    if !write {
        for At { path, what } in query.ranges.iter().rev() {
            root.at(path, legacy)?.range = Some(*what);
        }
        root.range = Some(request.range);
    }
    for At { path, what } in query.logic.iter().rev().filter(|it| !write || !it.path.is_empty()) {
        root.at(path, legacy)?.logic.insert(0, what);
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
    fn at(&mut self, path: &[Text<'p>], legacy: bool) -> Result<&mut Self, Error> {
        let Some((name, rest)) = path.split_first() else { return Ok(self) };
        let position = |legacy| self.children.iter().position(|it| it.is_called(name, legacy));
        let Some(index) = position(legacy) else {
            let alias = position(true).and_then(|index| self.children[index].alias());
            return Err(match alias {
                Some(alias) => Error::embedded_as(name, alias),
                None => Error::not_embedded(name),
            });
        };
        self.children[..=index].rotate_right(1);
        let child = &mut self.children[0];
        child.misnamed |= child.alias().is_some_and(|alias| alias != name);
        child.at(rest, legacy)
    }

    fn alias(&self) -> Option<&'p str> {
        self.embed?.alias.as_deref()
    }

    /// An embed is called by its alias, or by its name when it has none; `legacy` allows both.
    fn is_called(&self, name: &str, legacy: bool) -> bool {
        let by_name = legacy || self.alias().is_none();
        self.alias() == Some(name) || by_name && self.embed.is_some_and(|embed| embed.name == name)
    }

    /// What tells the client to use aliases, when it did not: the value of `Warning` (RFC 7234 §5.5).
    pub(crate) fn warning(&self) -> Option<String> {
        let mut names = Vec::new();
        self.misnamed(&mut names);
        (!names.is_empty()).then(|| {
            format!(
                "299 PostgRESTv16 \"Embedded resource was referenced by relation name even though it has an alias. \
                 This is deprecated and will stop working in a future release. Update {} in query string filters, \
                 orders or limits.\"",
                names.join(", ")
            )
        })
    }

    fn misnamed(&self, names: &mut Vec<String>) {
        if let (true, Some(embed), Some(alias)) = (self.misnamed, self.embed, self.alias()) {
            names.push(format!("`{}` to `{alias}`", embed.name));
        }
        self.children.iter().for_each(|child| child.misnamed(names));
    }
}
