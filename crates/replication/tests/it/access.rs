//! Who may read the log.

use plinth_replication::{GapReason, HubOptions, Publication};
use plinth_testkit::{Template, with_database};

use crate::support::{connect, gap, hub, live, subscribe};

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
