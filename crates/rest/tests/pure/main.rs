//! The language without a server: the SQL of every shape, and input of every kind.

#[path = "../it/catalog.rs"]
mod catalog;
#[path = "../it/properties.rs"]
mod properties;
mod robust;
#[path = "../it/shapes.rs"]
mod shapes;
mod snapshots;
mod templates;
#[path = "../it/words.rs"]
mod words;
