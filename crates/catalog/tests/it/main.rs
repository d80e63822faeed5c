//! Reading a catalog from a real PostgreSQL.

mod views;

use plinth_catalog::{
    Cardinality, Catalog, Column, LoadOptions, QualifiedName, RelationKind, Relationship,
    ReturnType, Via, Volatility,
};
use plinth_testkit::{Template, with_database};

/// Loads the catalog of the fixture, schema `api`, and hands it to the test.
fn with_catalog(test: impl Fn(&Catalog)) {
    with_database(&Template::Empty, async |database| {
        let mut connection = database.connect().await.unwrap();
        connection.batch_execute(include_str!("fixture.sql")).await.unwrap();
        let options = LoadOptions { schemas: vec!["api".to_owned()], ..LoadOptions::default() };
        let catalog = Catalog::load(&mut connection, &options).await.unwrap();
        test(&catalog);
        connection.close().await;
    });
}

fn api(name: &str) -> QualifiedName {
    QualifiedName::new("api", name)
}

fn column(catalog: &Catalog, relation: &str, name: &str) -> Column {
    catalog.relation(&api(relation)).unwrap().columns[name].clone()
}

/// The relationships from one relation to another, in short: cardinality and what it rests on.
fn between(catalog: &Catalog, from: &str, to: &str) -> Vec<(Cardinality, String)> {
    let what = |relationship: &Relationship| match &relationship.via {
        Via::ForeignKey { constraint, .. } => constraint.clone(),
        Via::Junction(junction) => junction.relation.name.clone(),
        Via::Function(name) => format!("{}()", name.name),
    };
    catalog
        .relationships_from(&api(from))
        .iter()
        .filter(|relationship| relationship.to == api(to))
        .map(|relationship| (relationship.cardinality, what(relationship)))
        .collect()
}

#[test]
fn relations_of_the_exposed_schemas_are_there_and_no_others() {
    with_catalog(|catalog| {
        let mut names: Vec<&str> = catalog.relations().map(|r| r.name.name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "log",
            "loose_link",
            "paint",
            "person",
            "person_count",
            "person_name",
            "person_skill",
            "profile",
            "skill",
            "team",
            "texts",
        ];
        assert_eq!(names, expected, "no partitions, nothing of schema hidden");
        assert_eq!(catalog.relation(&api("log")).unwrap().kind, RelationKind::PartitionedTable);
        assert_eq!(catalog.relation(&api("person_name")).unwrap().kind, RelationKind::View);
        let comment = catalog.relation(&api("team")).unwrap().comment.clone();
        assert_eq!(comment.as_deref(), Some("People who work together"));
        assert!(catalog.server_version() >= 150_000);
    });
}

#[test]
fn columns_tell_their_types_and_whether_they_may_be_written() {
    with_catalog(|catalog| {
        let id = column(catalog, "team", "id");
        assert!(id.generated && id.identity && !id.nullable && id.default.is_some());
        let name = column(catalog, "team", "name");
        assert_eq!(
            (name.type_name.as_str(), name.base_type.as_str()),
            ("api.short_text", "character varying")
        );
        assert_eq!((name.nullable, name.max_length), (false, Some(12)));
        let mood = column(catalog, "team", "mood");
        assert_eq!(mood.enum_type, Some(api("mood")));
        assert_eq!(mood.default.as_deref(), Some("'ok'::api.mood"));
        assert_eq!(mood.comment.as_deref(), Some("How it goes"));
        let moods = column(catalog, "team", "moods");
        assert_eq!((moods.type_name.as_str(), moods.is_array), ("api.mood[]", true));
        assert_eq!(moods.enum_type, Some(api("mood")));
        assert_eq!(column(catalog, "person", "spot").composite_type, Some(api("point2")));
        let initials = column(catalog, "person", "initials");
        assert!(initials.generated && !initials.identity);
    });
}

#[test]
fn types_of_the_database_that_are_texts_are_known_by_their_oids() {
    with_catalog(|catalog| {
        let text_type = |relation, name| column(catalog, relation, name).text_type;
        let mood = text_type("team", "mood").unwrap();
        let moods = text_type("team", "moods").unwrap();
        assert_eq!((mood.array, moods.array, mood.oid == moods.oid), (false, true, false));
        assert_eq!(text_type("texts", "mood"), Some(mood), "of a domain, its base type");
        assert_eq!(text_type("texts", "moods"), Some(moods));
        assert_eq!(text_type("texts", "mail").map(|it| it.array), Some(false));
        for others in ["text", "shown", "feelings", "spot"] {
            assert_eq!(text_type("texts", others), None, "{others}");
        }
    });
}

#[test]
fn keys_and_writability_are_those_of_the_relation() {
    with_catalog(|catalog| {
        let key = |name| catalog.relation(&api(name)).unwrap().primary_key.clone();
        assert_eq!(key("person_skill"), ["person_id", "skill_id"]);
        assert!(key("loose_link").is_empty());
        let writable = |name| {
            let relation = catalog.relation(&api(name)).unwrap();
            (relation.insertable, relation.updatable, relation.deletable)
        };
        assert_eq!(writable("team"), (true, true, true));
        assert_eq!(writable("person_name"), (true, true, true));
        assert_eq!(writable("person_count"), (false, false, false));
    });
}

#[test]
fn relationships_come_from_foreign_keys_in_both_directions() {
    use Cardinality::{ManyToOne, OneToMany, OneToOne};
    with_catalog(|catalog| {
        let key = |name: &str| name.to_owned();
        assert_eq!(between(catalog, "person", "team"), [(ManyToOne, key("person_team_id_fkey"))]);
        let members = between(catalog, "team", "person");
        assert!(members.contains(&(OneToMany, key("person_team_id_fkey"))), "{members:?}");
        assert!(members.contains(&(OneToMany, key("members()"))), "{members:?}");
        assert_eq!(
            between(catalog, "profile", "person"),
            [(OneToOne, key("profile_person_id_fkey"))]
        );
        let myself = between(catalog, "person", "person");
        assert!(myself.contains(&(ManyToOne, key("person_boss_id_fkey"))), "{myself:?}");
        assert!(myself.contains(&(OneToMany, key("person_boss_id_fkey"))), "{myself:?}");
        assert_eq!(between(catalog, "log", "person"), [(ManyToOne, key("log_person_id_fkey"))]);
    });
}

#[test]
fn a_junction_is_a_table_whose_primary_key_holds_both_keys() {
    with_catalog(|catalog| {
        let through: Vec<String> = between(catalog, "person", "skill")
            .into_iter()
            .filter(|(cardinality, _)| *cardinality == Cardinality::ManyToMany)
            .map(|(_, via)| via)
            .collect();
        assert_eq!(through, ["person_skill"], "loose_link has no primary key");
    });
}

#[test]
fn functions_tell_parameters_and_results() {
    with_catalog(|catalog| {
        let function = |name: &str| catalog.functions(&api(name))[0].clone();
        let add = function("add");
        assert_eq!(add.returns, ReturnType::Scalar("integer".to_owned()));
        assert_eq!((add.volatility, add.comment.as_deref()), (Volatility::Immutable, Some("Adds")));
        let required: Vec<(&str, bool)> =
            add.parameters.iter().map(|p| (p.name.as_str(), p.required)).collect();
        assert_eq!(required, [("a", true), ("b", false)]);
        assert_eq!(function("members").returns, ReturnType::Composite(api("person")));
        assert!(function("members").returns_set);
        let ReturnType::Table(columns) = function("stats").returns else { panic!("no table") };
        assert_eq!(columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["total", "teams"]);
        let numbers = function("numbers");
        assert!(numbers.parameters[0].variadic);
        let ReturnType::Table(columns) = numbers.returns else { panic!("no table") };
        assert_eq!(columns[1].enum_type, Some(api("mood")));
        assert_eq!(function("nothing").returns, ReturnType::Void);
        assert_eq!(
            function("nothing").settings,
            [("statement_timeout".to_owned(), "5s".to_owned())]
        );
        assert_eq!(function("anything").returns, ReturnType::Record);
        assert!(catalog.functions(&api("on_change")).is_empty(), "triggers cannot be called");
        assert!(catalog.functions(&api("proc")).is_empty(), "procedures cannot be selected from");
    });
}

#[test]
fn functions_whose_only_parameter_has_no_name_take_a_body() {
    with_catalog(|catalog| {
        assert!(catalog.functions(&api("twice")).is_empty(), "a number is no body");
        let mut uncallable = catalog.uncallable_functions().iter();
        assert!(uncallable.any(|function| function.name == api("twice")));
        assert_eq!(catalog.functions(&api("shout"))[0].parameters[0].name, "");
    });
}

#[test]
fn a_domain_over_a_row_is_a_row() {
    with_catalog(|catalog| {
        let function = &catalog.functions(&api("where_is"))[0];
        assert_eq!(function.returns, ReturnType::Composite(api("point2")));
    });
}

#[test]
fn domains_named_like_media_types_are_made_by_aggregates_and_functions() {
    with_catalog(|catalog| {
        let page = catalog.media_handlers(&api("page"));
        assert_eq!(page.len(), 1);
        assert_eq!(page[0].name, QualifiedName::new("hidden", "text/html"));
        assert!(page[0].makes("TEXT/html") && !page[0].bytes && !page[0].makes_anything());
        let team = catalog.media_handlers(&api("team"));
        assert_eq!((team.len(), &team[0].name), (1, &api("team_image")));
        assert!(team[0].makes("image/png") && team[0].bytes);
        assert_eq!(team[0].media_type, "Image/PNG");
        let any = catalog.any_media_handlers();
        assert_eq!((any.len(), &any[0].name), (1, &api("any_bytes")));
        assert!(any[0].makes_anything());
        for name in ["pages", "odd"] {
            assert!(catalog.media_handlers(&api(name)).is_empty(), "{name}");
        }
    });
}

#[test]
fn it_is_known_whether_sql_speaks_of_the_response() {
    with_database(&Template::Empty, async |database| {
        let mut connection = database.connect().await.unwrap();
        let options = LoadOptions { schemas: vec!["public".to_owned()], ..Default::default() };
        for (sql, expected) in [
            ("create table t (id int)", false),
            (
                "create policy p on t using (set_config('response.status', '418', true) is not null)",
                true,
            ),
            ("drop policy p on t", false),
            (
                "create function f() returns text begin atomic select set_config('response.headers', '[]', true); end",
                true,
            ),
        ] {
            connection.batch_execute(sql).await.unwrap();
            let catalog = Catalog::load(&mut connection, &options).await.unwrap();
            assert_eq!(catalog.sets_response(), expected, "{sql}");
        }
        connection.close().await;
    });
}

#[test]
fn casts_of_domains_are_representations() {
    with_catalog(|catalog| {
        let representation = column(catalog, "paint", "shade").representation.unwrap();
        assert_eq!(representation.to_json, Some(api("shade_json")));
        assert_eq!(representation.from_text, Some(api("shade_of_text")));
        assert_eq!((&representation.from_json, &representation.to_text), (&None, &None));
        assert_eq!(column(catalog, "paint", "id").representation, None);
    });
}

#[test]
fn defaults_lengths_and_types_are_those_of_the_column() {
    with_catalog(|catalog| {
        let shade = column(catalog, "paint", "shade");
        assert_eq!(shade.default.as_deref(), Some("7"), "of the domain");
        assert_eq!((shade.type_name.as_str(), shade.base_type.as_str()), ("api.shade", "integer"));
        assert_eq!(column(catalog, "paint", "flags").max_length, Some(5));
        assert_eq!(column(catalog, "paint", "code").max_length, Some(3));
        assert_eq!(column(catalog, "paint", "id").max_length, None);
        let parameter = &catalog.functions(&api("mark"))[0].parameters[0];
        assert_eq!(parameter.type_name, "bit varying");
        assert_eq!(parameter.declared_type, "bit");
    });
}

#[test]
fn a_computed_relationship_takes_the_place_of_the_one_it_is_named_like() {
    with_catalog(|catalog| {
        let computed = [(Cardinality::OneToOne, "profile()".to_owned())];
        assert_eq!(between(catalog, "person", "profile"), computed);
        let found = [(Cardinality::OneToOne, "profile_person_id_fkey".to_owned())];
        assert_eq!(between(catalog, "profile", "person"), found, "the other way is as it was");
    });
}

#[test]
fn types_and_role_settings_are_read() {
    with_database(&Template::Platform, async |database| {
        let mut connection = database.connect().await.unwrap();
        connection
            .batch_execute("create type public.size as enum ('small', 'large'); create type public.pair as (a int, b public.size)")
            .await
            .unwrap();
        let options = LoadOptions { schemas: vec!["public".to_owned()], ..Default::default() };
        let catalog = Catalog::load(&mut connection, &options).await.unwrap();
        let size = QualifiedName::new("public", "size");
        let labels = catalog.enum_labels(&size).unwrap();
        assert_eq!(labels, ["small", "large"]);
        let pair = catalog.composite(&QualifiedName::new("public", "pair")).unwrap();
        assert_eq!(
            (pair[0].type_name.as_str(), pair[1].enum_type.as_ref()),
            ("integer", Some(&size))
        );
        let settings = catalog.role_settings("anon");
        assert!(
            settings.contains(&("statement_timeout".to_owned(), "3s".to_owned())),
            "{settings:?}"
        );
        connection.close().await;
    });
}
