//! Every kind of change that PostgreSQL tells of.

use std::time::{Duration, SystemTime};

use plinth_replication::{
    ChangeHub, ChangeKind, Event, Filter, HubOptions, Overflow, Publication, QueueBounds,
    ReplicaIdentity, Value,
};

use crate::support::{change, changes, event, hub, listen, live, on_database};

#[test]
fn rows_that_are_inserted_updated_and_deleted_come_in_order() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        place.run("insert into item values (1, 'a', null), (2, '', 'ü\"')").await;
        place.run("update item set name = 'b' where id = 1").await;
        place.run("update item set id = 3 where id = 2").await;
        place.run("delete from item where id = 1").await;
        let expected = [
            "item + 1|a|null",
            "item + 2||ü\"",
            "item ~ 1|b|null",
            "item key 2|null|null ~ 3||ü\"",
            "item - 1|null|null",
        ];
        assert_eq!(changes(&mut all, 5).await, expected);
        hub.close().await;
    });
}

#[test]
fn a_change_knows_its_table_and_its_transaction() {
    on_database(async |place| {
        place.run("create type mood as enum ('ok'); alter table item add m mood").await;
        let hub = place.hub();
        let mut all = listen(&hub).await;
        let before = SystemTime::now() - Duration::from_secs(60);
        place.run("begin; insert into item values (1), (2); commit").await;
        place.run("insert into item (id, m) values (3, 'ok')").await;
        let (first, second) = (change(&mut all).await, change(&mut all).await);
        let third = change(&mut all).await;
        assert_eq!(first.transaction, second.transaction);
        assert!(first.lsn < second.lsn && second.lsn < first.transaction.commit_lsn);
        assert!(first.transaction.commit_lsn < third.transaction.commit_lsn);
        assert!(SystemTime::from(first.transaction.commit_time) > before);
        assert_ne!(first.transaction.xid, third.transaction.xid);

        let relation = &third.relation;
        assert_eq!((&*relation.schema, &*relation.name), ("public", "item"));
        assert_eq!(relation.identity, ReplicaIdentity::Default);
        let columns: Vec<_> = relation.columns.iter().map(|it| (&*it.name, it.key)).collect();
        assert_eq!(columns, [("id", true), ("name", false), ("body", false), ("m", false)]);
        assert_eq!(relation.key().collect::<Vec<_>>(), [0]);
        assert_eq!(relation.columns[0].type_oid, 23);
        let mood = relation.columns[3].type_name.as_ref().unwrap();
        assert_eq!((&*mood.schema, &*mood.name), ("public", "mood"));
        assert_eq!(relation.columns[1].type_name, None);
        assert_eq!(third.value(relation.column("m").unwrap()).unwrap().text(), Some("ok"));
        hub.close().await;
    });
}

#[test]
fn a_large_value_that_was_left_alone_is_unchanged_unless_the_old_row_has_it() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        // Not compressible, so that it is stored apart.
        let large = "(select string_agg(md5(n::text), '') from generate_series(1, 1000) n)";
        place.run(&format!("insert into item values (1, 'a', {large})")).await;
        place.run("update item set name = 'b'").await;
        place.run("alter table item replica identity full").await;
        place.run("update item set name = 'c'").await;
        let inserted = change(&mut all).await;
        let body = inserted.value(2).unwrap();
        assert_eq!(body.text().unwrap().len(), 32_000);
        let updated = change(&mut all).await;
        assert_eq!(updated.value(2), Some(Value::Unchanged));
        assert_eq!(updated.value(1).unwrap().text(), Some("b"));
        let updated = change(&mut all).await;
        assert_eq!(updated.relation.identity, ReplicaIdentity::Full);
        assert_eq!(updated.new_row().unwrap().get(2), Some(Value::Unchanged));
        assert_eq!(updated.value(2), Some(body), "the old row has it");
        hub.close().await;
    });
}

#[test]
fn old_rows_have_what_the_replica_identity_says() {
    on_database(async |place| {
        place
            .run(
                "create unique index by_name on item (name); alter table item alter name set not null;
                 create table log (line text); alter table log replica identity nothing",
            )
            .await;
        let hub = hub(place.options_of(&["item", "log"]));
        let mut all = listen(&hub).await;
        place.run("insert into item values (1, 'a', 'x'); insert into log values ('l')").await;
        place.run("alter table item replica identity full; update item set body = 'y'").await;
        place.run("alter table item replica identity using index by_name").await;
        place.run("update item set name = 'b'; delete from item").await;
        let expected =
            ["item + 1|a|x", "log + l", "item row 1|a|x ~ 1|a|y", "item key null|a|null ~ 1|b|y"];
        assert_eq!(changes(&mut all, 4).await, expected);
        let deleted = change(&mut all).await;
        assert_eq!(deleted.relation.identity, ReplicaIdentity::Index);
        assert_eq!(deleted.relation.key().collect::<Vec<_>>(), [1]);
        assert!(matches!(deleted.kind, ChangeKind::Delete { .. }));
        hub.close().await;
    });
}

#[test]
fn truncating_is_told_of_each_table() {
    on_database(async |place| {
        place.run("create table part (id serial primary key, item int references item)").await;
        let hub = hub(place.options_of(&["item", "part"]));
        let mut all = listen(&hub).await;
        place.run("truncate item restart identity cascade; truncate part").await;
        let mut told = changes(&mut all, 3).await;
        told[..2].sort();
        let expected = [
            "item truncated cascade=true restart=true",
            "part truncated cascade=true restart=true",
            "part truncated cascade=false restart=false",
        ];
        assert_eq!(told, expected);
        hub.close().await;
    });
}

#[test]
fn rows_of_partitions_come_under_the_name_that_was_published() {
    on_database(async |place| {
        place
            .run(
                "create table event (id int, day int, primary key (id, day)) partition by range (day);
                 create table event_1 partition of event for values from (1) to (2);
                 create table event_2 partition of event for values from (2) to (3);
                 create publication theirs for table event",
            )
            .await;
        let ours = hub(place.options_of(&["event"]));
        let theirs = vec![Publication::existing("theirs"), Publication::existing("missing")];
        let theirs = hub(HubOptions::new(place.connect.clone(), theirs));
        let (mut roots, mut leaves) = (listen(&ours).await, listen(&theirs).await);
        place.run("insert into event values (7, 1); update event set day = 2").await;
        let moved = ["event + 7|1", "event - 7|1", "event + 7|2"];
        assert_eq!(changes(&mut roots, 3).await, moved);
        let moved = ["event_1 + 7|1", "event_1 - 7|1", "event_2 + 7|2"];
        assert_eq!(changes(&mut leaves, 3).await, moved);
        ours.close().await;
        theirs.close().await;
    });
}

#[test]
fn what_was_rolled_back_never_happened() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        place.run("begin; insert into item values (1); rollback").await;
        place
            .run(
                "begin; insert into item values (2); savepoint s; insert into item values (3);
                 rollback to s; insert into item values (4); commit",
            )
            .await;
        let expected = ["item + 2|null|null", "item + 4|null|null"];
        assert_eq!(changes(&mut all, 2).await, expected);
        hub.close().await;
    });
}

#[test]
fn tables_change_their_shape_under_the_stream() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        place.run("insert into item values (1, 'a', 'b')").await;
        place.run("alter table item add more int default 7; insert into item values (2)").await;
        place.run("alter table item drop name; insert into item values (3)").await;
        place.run("alter table item rename to thing; insert into thing values (4)").await;
        let expected =
            ["item + 1|a|b", "item + 2|null|null|7", "item + 3|null|7", "thing + 4|null|7"];
        assert_eq!(changes(&mut all, 4).await, expected);
        hub.close().await;
    });
}

#[test]
fn a_transaction_from_elsewhere_names_its_origin() {
    on_database(async |place| {
        let hub = place.hub();
        let mut all = listen(&hub).await;
        // Origins belong to the cluster.
        place
            .run(
                "select pg_replication_origin_create('far ' || current_database());
                 select pg_replication_origin_session_setup('far ' || current_database())",
            )
            .await;
        place.run("insert into item values (1)").await;
        place.run("select pg_replication_origin_session_reset()").await;
        place.run("insert into item values (2)").await;
        let (far, near) = (change(&mut all).await, change(&mut all).await);
        assert!(far.transaction.origin.as_deref().unwrap().starts_with("far "));
        assert_eq!(near.transaction.origin, None);
        place.run("select pg_replication_origin_drop('far ' || current_database())").await;
        hub.close().await;
    });
}

#[test]
fn messages_in_the_log_reach_those_who_named_their_prefix() {
    on_database(async |place| {
        let none: [(&str, &str); 0] = [];
        let publication = Publication::of_tables("messages", none);
        let hub = hub(HubOptions::new(place.connect.clone(), vec![publication]));
        let mut wakes = subscribe_to(&hub, Filter::messages("wake"));
        live(&mut wakes).await;
        place
            .run(
                "begin; select pg_logical_emit_message(true, 'wake', 'with the transaction');
                 select pg_logical_emit_message(false, 'wake', 'at once');
                 select pg_logical_emit_message(true, 'other', 'for others'); commit;
                 begin; select pg_logical_emit_message(true, 'wake', 'never'); rollback;
                 select pg_logical_emit_message(true, 'wake', '')",
            )
            .await;
        let mut texts = Vec::new();
        for _ in 0..3 {
            let Event::Message(message) = event(&mut wakes).await else { panic!("no message") };
            let text = String::from_utf8(message.content.to_vec()).unwrap();
            texts.push((text, message.transaction.is_some()));
        }
        let text = |text: &str, transactional| (text.to_owned(), transactional);
        let expected = [text("at once", false), text("with the transaction", true), text("", true)];
        assert_eq!(texts, expected);
        hub.close().await;
    });
}

fn subscribe_to(hub: &ChangeHub, filter: Filter) -> plinth_replication::Subscription {
    hub.subscribe("test", filter, QueueBounds::default(), Overflow::CutOff)
}

#[test]
fn a_publication_of_ours_is_made_and_mended() {
    on_database(async |place| {
        place.run("create table other (id int primary key)").await;
        place.run("create publication items for table item").await;
        let hub = hub(place.options_of(&["other", "item"]));
        let mut all = listen(&hub).await;
        place.run("insert into other values (1); insert into item values (2)").await;
        assert_eq!(changes(&mut all, 2).await, ["other + 1", "item + 2|null|null"]);
        hub.close().await;
    });
}
