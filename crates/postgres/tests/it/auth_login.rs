//! The login of sign-in: what it can do, what it cannot, and how projects come by it.

use plinth_postgres::{Cluster, Connection, CreateProject, ManagedOptions, Project, Registry};

use crate::support::{
    as_owner, binaries, code, full, make_plain, master_key, open, project, registry, value,
};

async fn as_auth(registry: &Registry, project: &Project) -> Connection {
    open(registry, &project.auth_login, &project.database).await.expect("the login of sign-in")
}

#[tokio::test]
async fn it_is_the_owner_of_the_users_and_nobody_elsewhere() {
    let registry = registry().await;
    let (project, other) = (project(&registry).await, project(&registry).await);
    as_owner(&registry, &project).await.batch_execute("create table t (id int)").await.unwrap();
    let auth = as_auth(&registry, &project).await;
    for (setting, expected) in [
        ("role", "supabase_auth_admin"),
        ("search_path", "auth, public, extensions"),
        ("timezone", "UTC"),
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ] {
        assert_eq!(value(&auth, &format!("show {setting}")).await, expected, "{setting}");
    }
    assert_eq!(
        value(&auth, "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls from pg_roles where rolname = session_user").await,
        "f"
    );
    let insert = "insert into auth.users (id, email) values (gen_random_uuid(), 'ada@example.com')";
    assert_eq!(code(&auth, insert).await, "");
    assert_eq!(value(&auth, "select count(*) from auth.users").await, "1");
    // Rights on what is the project's own are the project's to give.
    for refused in ["table t", "create table public.mine (id int)", "select from storage.objects"] {
        assert_eq!(code(&auth, refused).await, "42501", "{refused}");
    }
    for role in ["postgres", "authenticator", "service_role", "supabase_storage_admin"] {
        assert_eq!(code(&auth, &format!("set role {role}")).await, "42501", "{role}");
    }
    assert_eq!(code(&auth, "reset role; set role none; select from auth.users").await, "42501");
    for database in [other.database.as_str(), "plinth", "postgres", "template1"] {
        let error = open(&registry, &project.auth_login, database).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("42501"), "{database}: {}", full(&error));
    }
    drop(auth);
    for project in [project, other] {
        registry.drop_project(&project.name).await.unwrap();
    }
}

#[tokio::test]
async fn a_sign_up_makes_the_profile_and_a_hook_runs_as_granted() {
    let registry = registry().await;
    let project = project(&registry).await;
    let owner = as_owner(&registry, &project).await;
    owner
        .batch_execute(
            "create table public.profiles (id uuid primary key references auth.users on delete cascade, name text);
             alter table public.profiles enable row level security;
             create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = ''
             as $$ begin
               insert into public.profiles values (new.id, new.raw_user_meta_data ->> 'name'); return new;
             end $$;
             create trigger on_auth_user_created after insert on auth.users
               for each row execute function public.handle_new_user();
             create function public.hook(event jsonb) returns jsonb language sql as $$ select event || '{\"seen\": true}' $$;
             revoke execute on function public.hook from public, anon, authenticated;",
        )
        .await
        .unwrap();
    let auth = as_auth(&registry, &project).await;
    let insert = "insert into auth.users (id, raw_user_meta_data) values (gen_random_uuid(), '{\"name\": \"Ada\"}')";
    assert_eq!(code(&auth, insert).await, "");
    assert_eq!(value(&owner, "select name from public.profiles").await, "Ada");
    let hook = "select public.hook('{}')";
    assert_eq!(code(&auth, hook).await, "42501");
    owner
        .batch_execute("grant execute on function public.hook to supabase_auth_admin")
        .await
        .unwrap();
    assert_eq!(value(&auth, hook).await, "{\"seen\": true}");
    assert_eq!(code(&auth, "delete from auth.users").await, "");
    assert_eq!(value(&owner, "select count(*) from public.profiles").await, "0");
    drop((owner, auth));
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn what_people_hang_on_it_does_not_change_the_platforms_tables() {
    let registry = registry().await;
    let project = project(&registry).await;
    let owner = as_owner(&registry, &project).await;
    for change in [
        "alter table auth.users add column mine text",
        "drop index auth.users_instance_id_idx",
        "drop table auth.sessions cascade",
    ] {
        owner
            .batch_execute(&format!(
                "create or replace function public.change() returns trigger language plpgsql
                 as $$ begin execute '{change}'; return new; end $$;
                 create or replace trigger change after insert on auth.audit_log_entries
                   for each row execute function public.change()"
            ))
            .await
            .unwrap();
        let auth = as_auth(&registry, &project).await;
        let entry = "insert into auth.audit_log_entries (id) values (gen_random_uuid())";
        let error = auth.batch_execute(entry).await.unwrap_err();
        assert!(full(&error).contains("belongs to the platform"), "{change}: {}", full(&error));
    }
    drop(owner);
    registry.drop_project(&project.name).await.unwrap();
}

#[tokio::test]
async fn a_reset_keeps_the_login_and_a_drop_takes_it() {
    let registry = registry().await;
    let project = project(&registry).await;
    let reset = registry.reset(&project.name, None, false).await.unwrap();
    assert_eq!(reset.auth_login, project.auth_login);
    let auth = as_auth(&registry, &reset).await;
    assert_eq!(value(&auth, "select current_user").await, "supabase_auth_admin");
    drop(auth);
    registry.drop_project(&project.name).await.unwrap();
    let control = registry.cluster().connect("plinth").await.unwrap();
    let left =
        format!("select count(*) from pg_roles where rolname = '{}'", project.auth_login.role);
    assert_eq!(value(&control, &left).await, "0");
}

/// Undoes what `0002_auth_login` and the making of a project did.
async fn make_older(cluster: &Cluster, project: &str) {
    let control = cluster.connect("plinth").await.unwrap();
    control
        .batch_execute(&format!(
            "alter table plinth.project drop column auth_password cascade;
             delete from plinth.migration where name in ('auth_login', 'signing_key');
             drop table plinth.signing_key;
             update plinth.project set platform = null;
             revoke connect on database \"{project}\" from \"auth.{project}\";
             drop role \"auth.{project}\""
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_older_project_comes_by_the_login_at_the_next_start() {
    let cluster = Cluster::managed(ManagedOptions::throwaway(binaries()).unwrap()).await.unwrap();
    let registry = Registry::open(&cluster, &master_key()).await.unwrap();
    let made = registry.create(CreateProject::named("older")).await.unwrap();
    make_plain(&cluster, &[&made]).await;
    make_older(&cluster, "older").await;
    // Somebody has taken the name meanwhile, and knows the password.
    let squatter = "create role \"auth.older\" login password 'x' in role anon";
    cluster.connect("plinth").await.unwrap().batch_execute(squatter).await.unwrap();

    let key = master_key();
    let (one, two) = tokio::join!(Registry::open(&cluster, &key), Registry::open(&cluster, &key));
    let registry = one.unwrap();
    two.unwrap();
    assert!(registry.apply_platform().await.unwrap().is_empty());
    let project = registry.by_name("older").await.unwrap().unwrap();
    assert_ne!(project.auth_login.password, made.auth_login.password);
    let auth = as_auth(&registry, &project).await;
    assert_eq!(value(&auth, "select current_user").await, "supabase_auth_admin");
    assert_eq!(value(&auth, "show lock_timeout").await, "5s");
    assert_eq!(
        value(&auth, "select count(*) from pg_roles where rolname like 'auth.older taken %'").await,
        "1"
    );
    assert_eq!(
        value(&auth, "select pg_has_role('auth.older', 'anon', 'member')").await,
        "f",
        "what the other role held is not its"
    );
    // Another start changes nothing.
    let again = Registry::open(&cluster, &master_key()).await.unwrap();
    let same = again.by_name("older").await.unwrap().unwrap();
    assert_eq!(same.auth_login, project.auth_login);
}
