//! Keys and relationships of views, which come from the tables below them.

use plinth_catalog::{Cardinality, Catalog, LoadOptions, RelationKind, Relationship, Via};
use plinth_testkit::{Template, with_database};

use crate::api;

fn with_catalog(extra_search_path: &[&str], test: impl Fn(&Catalog)) {
    with_database(&Template::Empty, async |database| {
        let mut connection = database.connect().await.unwrap();
        connection.batch_execute(include_str!("views.sql")).await.unwrap();
        let options = LoadOptions {
            schemas: vec!["api".to_owned()],
            extra_search_path: extra_search_path.iter().map(|&it| it.to_owned()).collect(),
        };
        test(&Catalog::load(&mut connection, &options).await.unwrap());
        connection.close().await;
    });
}

/// What starts at a relation, in short: `target cardinality constraint column=column`.
fn from(catalog: &Catalog, relation: &str) -> Vec<String> {
    let one = |it: &Relationship| {
        let arrow = match it.cardinality {
            Cardinality::ManyToOne => ">-",
            Cardinality::OneToOne => "--",
            Cardinality::OneToMany => "-<",
            Cardinality::ManyToMany => "><",
        };
        let columns = |pairs: &[plinth_catalog::ColumnPair]| {
            let pair = |pair: &plinth_catalog::ColumnPair| format!("{}={}", pair.from, pair.to);
            pairs.iter().map(pair).collect::<Vec<_>>().join(",")
        };
        let via = match &it.via {
            Via::ForeignKey { constraint, columns: pairs } => {
                format!("{constraint} {}", columns(pairs))
            }
            Via::Junction(it) => {
                format!(
                    "{} {} {}",
                    it.relation.name,
                    columns(&it.from_columns),
                    columns(&it.to_columns)
                )
            }
            Via::Function(function) => function.name.clone(),
        };
        format!("{arrow} {} {via}", it.to.name)
    };
    catalog.relationships_from(&api(relation)).iter().map(one).collect()
}

/// Those of [`from`] that go to one relation.
fn between(catalog: &Catalog, relation: &str, to: &str) -> Vec<String> {
    let is_to = |it: &String| it.split(' ').nth(1) == Some(to);
    from(catalog, relation).into_iter().filter(is_to).collect()
}

fn key(catalog: &Catalog, relation: &str) -> Vec<String> {
    catalog.relation(&api(relation)).unwrap().primary_key.clone()
}

#[test]
fn a_view_has_the_relationships_of_its_tables_under_its_own_names() {
    with_catalog(&[], |catalog| {
        let authors = [
            ">- author book_author author_id=author ({id})",
            ">- author book_editor editor_id=author ({id})",
        ];
        assert_eq!(between(catalog, "book", "author"), authors);
        let books = [
            "-< book book_author author ({id})=author_id",
            "-< book book_editor author ({id})=editor_id",
        ];
        assert_eq!(between(catalog, "author", "book"), books);
        assert!(catalog.owns_foreign_key(&api("book"), "book_author"));
        assert!(!catalog.owns_foreign_key(&api("author"), "book_author"));
        assert_eq!(between(catalog, "shelf", "book"), [">- book shelf_book book_id=book_id"]);
        assert_eq!(between(catalog, "book", "shelf"), ["-< shelf shelf_book book_id=book_id"]);
    });
}

#[test]
fn a_materialized_view_may_be_one_to_one() {
    with_catalog(&[], |catalog| {
        assert_eq!(catalog.relation(&api("cover")).unwrap().kind, RelationKind::MaterializedView);
        assert_eq!(between(catalog, "cover", "book"), ["-- book cover_book book_id=book_id"]);
        assert_eq!(between(catalog, "book", "cover"), ["-- cover cover_book book_id=book_id"]);
    });
}

#[test]
fn a_column_that_is_shown_twice_can_be_followed_twice() {
    with_catalog(&[], |catalog| {
        let authors =
            [">- author book_author one=author ({id})", ">- author book_author two=author ({id})"];
        assert_eq!(between(catalog, "book_twice", "author"), authors);
        assert_eq!(key(catalog, "book_twice"), ["id"], "the first of them is the key");
    });
}

#[test]
fn keys_of_several_columns_count_when_all_of_them_are_shown() {
    with_catalog(&[], |catalog| {
        assert_eq!(key(catalog, "tag"), ["tag_b", "tag_a"]);
        assert!(key(catalog, "tag_part").is_empty());
        let tags = [">- tag tagged_tag tag_b=tag_b,tag_a=tag_a"];
        assert_eq!(between(catalog, "book_tag", "tag"), tags);
        assert!(from(catalog, "tag_part").is_empty());
    });
}

#[test]
fn a_view_of_a_junction_is_a_junction() {
    with_catalog(&[], |catalog| {
        let tags = [">< tag book_tag book_id=book_id tag_b=tag_b,tag_a=tag_a"];
        assert_eq!(between(catalog, "book", "tag"), tags);
        let through = from(catalog, "tag").into_iter().filter(|it| it.starts_with("><"));
        assert!(through.clone().all(|it| it.contains(" book_tag ")), "no hidden junction");
        assert!(through.count() > 0);
    });
}

#[test]
fn a_junction_that_is_not_exposed_is_known_of() {
    with_catalog(&[], |catalog| {
        assert!(from(catalog, "person").is_empty() && from(catalog, "city").is_empty());
        for name in ["person", "city"] {
            assert!(catalog.has_relationships(&api(name), "api"), "{name}");
        }
        assert!(!catalog.has_relationships(&api("person"), "hidden"));
        assert!(!catalog.has_relationships(&api("tag_part"), "api"));
        assert!(catalog.has_relationships(&api("book"), "api"));
    });
}

#[test]
fn a_view_that_joins_tables_has_the_keys_of_both() {
    with_catalog(&[], |catalog| {
        let mut both = key(catalog, "both");
        both.sort();
        assert_eq!(both, ["author_id", "book_id"]);
        // The author's column of this view is that of the author, and no reference to one.
        assert!(between(catalog, "both", "author").is_empty());
        assert_eq!(between(catalog, "book", "both").len(), 2);
    });
}

#[test]
fn unions_and_expressions_have_no_keys() {
    with_catalog(&[], |catalog| {
        assert!(key(catalog, "book_union").is_empty() && from(catalog, "book_union").is_empty());
        assert!(key(catalog, "by_trigger").is_empty() && from(catalog, "by_trigger").is_empty());
    });
}

#[test]
fn views_on_views_are_looked_through_where_the_search_path_shows_them() {
    with_catalog(&["beside"], |catalog| {
        assert_eq!(key(catalog, "book_of_book"), ["id"]);
        let authors = [">- author book_author author_id=author ({id})"];
        assert_eq!(between(catalog, "book_of_book", "author"), authors);
    });
    with_catalog(&[], |catalog| assert!(key(catalog, "book_of_book").is_empty()));
}

#[test]
fn a_view_of_itself_ends() {
    with_catalog(&[], |catalog| {
        assert!(key(catalog, "circle").is_empty() && from(catalog, "circle").is_empty());
    });
}

#[test]
fn a_view_with_a_trigger_may_be_written_as_far_as_the_trigger_goes() {
    with_catalog(&[], |catalog| {
        let view = catalog.relation(&api("by_trigger")).unwrap();
        assert_eq!((view.insertable, view.updatable, view.deletable), (true, false, false));
    });
}
