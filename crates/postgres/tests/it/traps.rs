//! Names that a project plants for a superuser to resolve.

use std::fs;

use plinth_postgres::migrate::MigrationFolder;
use plinth_postgres::{CreateProject, Project, Registry};

use crate::support::{Scratch, as_owner, master_key, project, registry, unique, value};

/// Better matches than PostgreSQL's own for arguments of these very types, wherever `public` is in the search path.
/// Each writes down who called it.
const TRAPS: &str = "
    create table public.caught (who text, what text);
    grant all on public.caught to public;
    create function public.hashtextextended(text, integer) returns bigint language plpgsql as $$
      begin insert into public.caught values (current_user, 'hashtextextended'); return 1; end $$;
    create function public.pg_advisory_lock(integer) returns void language plpgsql as $$
      begin insert into public.caught values (current_user, 'pg_advisory_lock'); end $$;
    create function public.lower(varchar) returns text language plpgsql as $$
      begin insert into public.caught values (current_user, 'lower'); return $1::text; end $$;
    create function public.same(varchar, text) returns boolean language plpgsql as $$
      begin insert into public.caught values (current_user, '='); return true; end $$;
    create operator public.= (leftarg = varchar, rightarg = text, function = public.same);
    create function extensions.count(integer) returns bigint language plpgsql as $$
      begin insert into public.caught values (current_user, 'count'); return 1; end $$;";

async fn caught(registry: &Registry, project: &Project) -> String {
    let owner = as_owner(registry, project).await;
    value(
        &owner,
        "select coalesce(string_agg(who || ' ran ' || what, ', '), '') from public.caught",
    )
    .await
}

/// As if the last two files of the platform came with a new version of Plinth.
async fn outdate(registry: &Registry, project: &Project) {
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    // What the newest files made goes with them, and what they found is as it was.
    let newest = "alter table plinth.message_event drop column caller_ip; \
        drop index plinth.run_parent_idx; \
        alter table plinth.message drop column step; \
        alter table plinth.run_step drop column step; \
        drop function plinth.step_number(jsonb), plinth.step_number(bytea), plinth.step_message, plinth.is_outdated, plinth.resume_run, \
          plinth.shown_headers; \
        insert into plinth.run (id, url, settings, labels, body, message) values ('r', 'u', '{}', '{}', '', 'm'); \
        insert into plinth.run_step (run, message, body) values ('r', 'm', ''), ('r', 's', '{\"stepId\": 7}'), ('r', 'x', 'x'); \
        delete from plinth.migration where version in (select version from plinth.migration order by version desc limit 4)";
    admin.batch_execute(newest).await.unwrap();
    let control = registry.cluster().connect("plinth").await.unwrap();
    let forget = "update plinth.project set platform = null where name = $1";
    control.execute(forget, &[&project.name]).await.unwrap();
}

#[tokio::test]
async fn the_traps_work_where_the_search_path_lets_them() {
    let registry = registry().await;
    let project = project(&registry).await;
    let owner = as_owner(&registry, &project).await;
    owner.batch_execute(TRAPS).await.unwrap();
    owner
        .batch_execute("select hashtextextended('x', 0), lower('X'::varchar), 'x'::varchar = 'x'::text, count(1)")
        .await
        .unwrap();
    assert_eq!(
        caught(&registry, &project).await,
        "postgres ran hashtextextended, postgres ran lower, postgres ran =, postgres ran count"
    );
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_superuser_never_runs_what_a_project_planted() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path().join("migrations")).unwrap();
    scratch.write("migrations/20250101000000_traps.sql", TRAPS);
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    let registry = registry().await;
    let name = unique("traps");
    let request = CreateProject { folder: Some(&folder), ..CreateProject::named(&name) };
    let project = registry.create(request).await.unwrap();
    assert_eq!(caught(&registry, &project).await, "", "creating");

    outdate(&registry, &project).await;
    let again = Registry::open(registry.cluster(), &master_key()).await.unwrap();
    let failures = again.apply_platform().await.unwrap();
    assert!(failures.iter().all(|(failed, _)| *failed != name), "{failures:?}");
    assert_eq!(caught(&registry, &project).await, "", "upgrading");
    let admin = again.cluster().connect(&project.database).await.unwrap();
    let steps =
        "select string_agg(message || coalesce(step, 0), ' ' order by place) from plinth.run_step";
    assert_eq!(value(&admin, steps).await, "m0 s7 x0");
    drop(admin);

    // The first database has the traps while the second is built, which then has them too.
    let project = registry.reset(&name, Some(&folder), false).await.unwrap();
    assert_eq!(caught(&registry, &project).await, "", "resetting");
    registry.drop_project(&name).await.unwrap();
}

#[tokio::test]
async fn what_an_owner_sets_for_the_database_is_not_for_superusers() {
    let registry = registry().await;
    let project = project(&registry).await;
    let owner = as_owner(&registry, &project).await;
    owner
        .batch_execute("select plinth.set_setting('statement_timeout', '1ms'), plinth.set_setting('lock_timeout', '1ms')")
        .await
        .unwrap();
    let admin = registry.cluster().connect(&project.database).await.unwrap();
    for (setting, expected) in
        [("search_path", "pg_catalog"), ("statement_timeout", "0"), ("lock_timeout", "0")]
    {
        assert_eq!(value(&admin, &format!("show {setting}")).await, expected, "{setting}");
    }
    drop(admin);
    outdate(&registry, &project).await;
    let failures = registry.apply_platform().await.unwrap();
    assert!(failures.iter().all(|(failed, _)| *failed != project.name), "{failures:?}");
    registry.drop_project(&project.name).await.unwrap();
}
