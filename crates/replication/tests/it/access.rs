//! Who may read the log.

use plinth_postgres::CreateProject;
use plinth_replication::{GapReason, HubOptions, Publication};
use plinth_testkit::{Template, with_database};

use crate::support::{changes, connect, gap, hub, live, subscribe};

#[test]
fn no_login_of_a_project_may_read_the_log() {
    with_database(&Template::Platform, async |database| {
        let project = database.project();
        let endpoint = database.cluster().cluster().endpoint();
        for login in [&project.owner_login, &project.authenticator_login, &project.auth_login] {
            let connect = endpoint.wire(login, database.name(), "plinth");
            // It is a login that works, for everything else.
            drop(plinth_wire::Connection::open(&connect, 0).await.unwrap());
            let publications = vec![Publication::existing("supabase_realtime")];
            let hub = hub(HubOptions::new(connect, publications));
            let mut all = subscribe(&hub);
            assert_eq!(gap(&mut all).await, GapReason::Unavailable, "{}", login.role);
            hub.close().await;
        }
    });
}

#[test]
fn the_administrator_reads_what_a_project_publishes() {
    with_database(&Template::Platform, async |database| {
        let publications = vec![Publication::existing("supabase_realtime")];
        let hub = hub(HubOptions::new(connect(database), publications));
        let mut all = subscribe(&hub);
        live(&mut all).await;
        hub.close().await;
    });
}

#[test]
fn a_listener_keeps_no_project_from_being_reset_or_dropped() {
    with_database(&Template::Platform, async |database| {
        let registry = database.cluster().registry();
        let name = format!("{}-followed", database.name());
        registry.create(CreateProject { name: &name, ..CreateProject::default() }).await.unwrap();
        let endpoint = database.cluster().cluster().endpoint();
        let publications = vec![Publication::existing("supabase_realtime")];
        let connect = endpoint.wire(&endpoint.admin, &name, "plinth");
        let hub = hub(HubOptions::new(connect, publications));
        let mut all = subscribe(&hub);
        live(&mut all).await;
        registry.reset(&name, None, false).await.unwrap();
        // Whichever way the old database went, its changes are not all told of; those of the new one are.
        gap(&mut all).await;
        live(&mut all).await;
        let sql = endpoint.connect(&name).await.unwrap();
        let publish = "create table public.item (id int primary key);
                       alter publication supabase_realtime add table public.item";
        sql.batch_execute(publish).await.unwrap();
        sql.batch_execute("insert into public.item values (1)").await.unwrap();
        assert_eq!(changes(&mut all, 1).await, ["item + 1"]);
        sql.close().await;
        registry.drop_project(&name).await.unwrap();
        gap(&mut all).await;
        hub.close().await;
    });
}
