//! How values of a domain look to clients.

use crate::QualifiedName;

/// How values of a domain are turned into what clients see and back: the functions of its implicit casts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Representation {
    /// Of the cast from the domain to `json`: how a value is shown.
    pub to_json: Option<QualifiedName>,
    /// Of the cast from the domain to `text`.
    pub to_text: Option<QualifiedName>,
    /// Of the cast from `json` to the domain: how a value in a body is read.
    pub from_json: Option<QualifiedName>,
    /// Of the cast from `text` to the domain: how a value in a filter is read.
    pub from_text: Option<QualifiedName>,
}
