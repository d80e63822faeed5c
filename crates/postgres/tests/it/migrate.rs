//! People's own SQL: what is applied, in which order, and what is said when it cannot be.

use std::time::Duration;

use plinth_postgres::migrate::{
    MigrateError, MigrationFolder, MigrationState, Report, UpOptions, new_file,
};
use plinth_postgres::{CreateProject, Project, Registry};

use crate::support::{Scratch, as_owner, full, project, registry, unique, value};

/// A project and the folder of its SQL.
struct Case {
    registry: Registry,
    project: Project,
    scratch: Scratch,
}

impl Case {
    async fn new(files: &[(&str, &str)]) -> Self {
        let registry = registry().await;
        let case = Self { project: project(&registry).await, registry, scratch: Scratch::new() };
        case.scratch.write("supabase/config.toml", "project_id = \"x\"\n[db]\nport = 54322\n");
        for (name, sql) in files {
            case.write(name, sql);
        }
        case
    }

    fn write(&self, name: &str, sql: &str) {
        self.scratch.write(&format!("supabase/{name}"), sql);
    }

    fn folder(&self) -> MigrationFolder {
        MigrationFolder::open(self.scratch.path()).unwrap()
    }

    async fn up(&self) -> Result<Report, MigrateError> {
        self.up_with(&UpOptions::default()).await
    }

    async fn up_with(&self, options: &UpOptions) -> Result<Report, MigrateError> {
        self.registry.migrator(&self.project).up(&self.folder(), options).await
    }

    async fn value(&self, sql: &str) -> String {
        value(&as_owner(&self.registry, &self.project).await, sql).await
    }

    async fn end(self) {
        self.registry.drop_project(&self.project.name).await.unwrap();
    }
}

#[tokio::test]
async fn files_are_applied_once_in_order_and_recorded_as_supabase_does() {
    let case = Case::new(&[
        (
            "migrations/20240101000000_first.sql",
            "-- why\ncreate table a (id int);\ncreate table b (id int);",
        ),
        ("migrations/20240102000000_second.sql", "alter table a add column note text;"),
        ("migrations/notes.sql", "this is no migration"),
        ("roles.sql", "create role x;"),
    ])
    .await;
    let report = case.up().await.unwrap();
    assert_eq!(report.migrations, ["20240101000000_first.sql", "20240102000000_second.sql"]);
    assert_eq!(report.notices.len(), 2, "{:?}", report.notices);
    let history = "select string_agg(version || ' ' || name || ' ' || array_length(statements, 1), ', ' order by version)
                   from supabase_migrations.schema_migrations";
    assert_eq!(case.value(history).await, "20240101000000 first 2, 20240102000000 second 1");
    let first =
        "select statements[1] from supabase_migrations.schema_migrations order by version limit 1";
    assert_eq!(case.value(first).await, "-- why\ncreate table a (id int)");
    assert_eq!(
        case.value("select tableowner from pg_tables where tablename = 'a'").await,
        "postgres"
    );
    assert_eq!(case.up().await.unwrap().migrations, Vec::<String>::new());
    case.end().await;
}

#[tokio::test]
async fn a_failing_statement_is_told_with_place_sql_and_the_servers_words() {
    let case = Case::new(&[
        ("migrations/1_good.sql", "create table good (id int);"),
        ("migrations/2_bad.sql", "create table half (id int);\n\n-- a view\ncreate view v as\n  select missing from half;\n"),
    ])
    .await;
    let error = case.up().await.unwrap_err();
    let MigrateError::Statement(statement) = &error else { panic!("{error}") };
    assert!(statement.path.ends_with("supabase/migrations/2_bad.sql"));
    assert_eq!((statement.line, statement.column), (5, 10));
    assert_eq!(statement.code, "42703");
    assert!(statement.sql.starts_with("create view v as"));
    let text = error.to_string();
    assert!(text.contains("2_bad.sql:5:10: column \"missing\" does not exist"), "{text}");
    // What came before is applied, of the file itself nothing.
    assert_eq!(
        case.value("select to_regclass('good') is not null and to_regclass('half') is null").await,
        "t"
    );
    assert_eq!(case.value("select count(*) from supabase_migrations.schema_migrations").await, "1");
    case.write("migrations/2_bad.sql", "create table half (id int);");
    assert_eq!(case.up().await.unwrap().migrations, ["2_bad.sql"]);
    case.end().await;
}

#[tokio::test]
async fn hints_details_and_places_inside_functions_are_passed_on() {
    let case = Case::new(&[("migrations/1_x.sql", "select 1;\nselect coalesc(1);")]).await;
    let MigrateError::Statement(error) = case.up().await.unwrap_err() else { panic!() };
    assert_eq!((error.line, error.column), (2, 8));
    assert!(error.hint.as_ref().unwrap().contains("explicit type casts"), "{error}");

    case.write("migrations/1_x.sql", "select 1;\n\ndo $$\nbegin\n  raise exception 'no' using detail = 'D', hint = 'H';\nend $$;");
    let MigrateError::Statement(error) = case.up().await.unwrap_err() else { panic!() };
    assert_eq!(error.line, 3);
    assert_eq!((error.detail.as_deref(), error.hint.as_deref()), (Some("D"), Some("H")));
    assert!(error.context.as_ref().unwrap().contains("line 3"), "{error}");

    case.write("migrations/1_x.sql", "\\restrict abc\nselect 1;");
    let MigrateError::Statement(error) = case.up().await.unwrap_err() else { panic!() };
    assert!(error.hint.as_ref().unwrap().contains("psql"), "{error}");
    case.end().await;
}

#[tokio::test]
async fn history_that_changed_is_noticed() {
    let case = Case::new(&[("migrations/1_a.sql", "create table a (id int);")]).await;
    case.up().await.unwrap();
    case.write("migrations/1_a.sql", "-- only a remark\ncreate table a (\n  id int\n);");
    case.up().await.unwrap();
    case.write("migrations/1_a.sql", "create table a (id bigint);");
    case.write("migrations/2_b.sql", "create table b (id int);");
    let error = case.up().await.unwrap_err();
    assert!(matches!(&error, MigrateError::Changed(path) if path.ends_with("1_a.sql")), "{error}");
    assert_eq!(case.value("select to_regclass('b') is null").await, "t");

    std::fs::remove_file(case.scratch.path().join("supabase/migrations/1_a.sql")).unwrap();
    let error = case.up().await.unwrap_err();
    assert!(matches!(&error, MigrateError::Missing { version, .. } if version == "1"), "{error}");

    case.write("migrations/1_a.sql", "create table a (id int);");
    case.up().await.unwrap();
    case.write("migrations/0_late.sql", "create table late (id int);");
    let error = case.up().await.unwrap_err();
    assert!(matches!(&error, MigrateError::OutOfOrder { .. }), "{error}");
    let states: Vec<MigrationState> = {
        let status = case.registry.migrator(&case.project).status(&case.folder()).await.unwrap();
        status.iter().map(|status| status.state).collect()
    };
    assert_eq!(
        states,
        [MigrationState::OutOfOrder, MigrationState::Applied, MigrationState::Applied]
    );
    let all = UpOptions { include_all: true, ..UpOptions::default() };
    assert_eq!(case.up_with(&all).await.unwrap().migrations, ["0_late.sql"]);
    case.end().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let case = Case::new(&[
        ("migrations/1_a.sql", "create table a (id int);"),
        ("seed.sql", "insert into a values (1);"),
    ])
    .await;
    let options = UpOptions { dry_run: true, seed: true, ..UpOptions::default() };
    let report = case.up_with(&options).await.unwrap();
    assert_eq!(
        (report.migrations.as_slice(), report.seeds.as_slice()),
        (&["1_a.sql".to_owned()][..], &["supabase/seed.sql".to_owned()][..])
    );
    assert_eq!(case.value("select to_regclass('a') is null").await, "t");
    assert_eq!(case.value("select count(*) from supabase_migrations.schema_migrations").await, "0");
    case.end().await;
}

#[tokio::test]
async fn concurrent_runs_exclude_each_other() {
    let case =
        Case::new(&[("migrations/1_a.sql", "select pg_sleep(0.4); create table a (id int);")])
            .await;
    let (one, two) = tokio::join!(case.up(), case.up());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.migrations.len() + two.migrations.len(), 1);

    case.write("migrations/2_b.sql", "select pg_sleep(1.5);");
    let impatient = UpOptions { lock_wait: Duration::from_millis(50), ..UpOptions::default() };
    let (first, second) = tokio::join!(case.up(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        case.up_with(&impatient).await
    });
    first.unwrap();
    assert!(matches!(second, Err(MigrateError::Busy(_))), "{second:?}");
    case.end().await;
}

#[tokio::test]
async fn seeds_are_applied_once_and_remembered_by_their_hash() {
    let case = Case::new(&[
        ("migrations/1_a.sql", "create table a (note text);"),
        ("config.toml", "[db.seed]\nenabled = true\nsql_paths = [\"./seed.sql\", \"./seeds/*.sql\", \"./none.sql\"]\n"),
        ("seed.sql", "insert into a values ('seed; one');"),
        ("seeds/2.sql", "insert into a values ('three');"),
        ("seeds/1.sql", "insert into a values ('two');"),
    ])
    .await;
    assert!(case.up().await.unwrap().seeds.is_empty());
    let options = UpOptions { seed: true, ..UpOptions::default() };
    let report = case.up_with(&options).await.unwrap();
    assert_eq!(report.seeds, ["supabase/seed.sql", "supabase/seeds/1.sql", "supabase/seeds/2.sql"]);
    assert!(
        report.notices.iter().any(|notice| notice.contains("none.sql")),
        "{:?}",
        report.notices
    );
    assert_eq!(
        case.value("select string_agg(note, ',' order by ctid) from a").await,
        "seed; one,two,three"
    );
    let hashes =
        "select count(*) from supabase_migrations.seed_files where hash ~ '^[0-9a-f]{64}$'";
    assert_eq!(case.value(hashes).await, "3");

    assert!(case.up_with(&options).await.unwrap().seeds.is_empty());
    case.write("seeds/2.sql", "insert into a values ('other');");
    let report = case.up_with(&options).await.unwrap();
    assert!(report.seeds.is_empty());
    assert!(
        report.notices.iter().any(|notice| notice.contains("seeds/2.sql")),
        "{:?}",
        report.notices
    );
    assert_eq!(case.value("select count(*) from a").await, "3");

    case.write("config.toml", "[db.seed]\nenabled = false\n");
    assert!(case.folder().seeds().is_empty());
    case.end().await;
}

#[tokio::test]
async fn what_a_file_does_to_its_session_stays_with_it() {
    let case = Case::new(&[
        (
            "migrations/1_dump.sql",
            "select pg_catalog.set_config('search_path', '', false);\nset role anon;\nselect 1;",
        ),
        (
            "migrations/2_next.sql",
            "create table here (id int);\nselect pg_advisory_unlock_all();\ndiscard temp;",
        ),
        (
            "migrations/3_last.sql",
            "begin;\ncreate table there (id int);\ncommit;\ncreate table after (id int);",
        ),
    ])
    .await;
    let report = case.up().await.unwrap();
    assert!(
        report.notices.iter().any(|notice| notice.contains("begin and commit")),
        "{:?}",
        report.notices
    );
    let owners = "select string_agg(schemaname || '.' || tablename || ' ' || tableowner, ', ' order by tablename)
                  from pg_tables where schemaname = 'public'";
    assert_eq!(
        case.value(owners).await,
        "public.after postgres, public.here postgres, public.there postgres"
    );

    case.write("migrations/4_bad.sql", "begin;\ncreate table gone (id int);\ncommit;\nselect 1/0;");
    case.up().await.unwrap_err();
    assert_eq!(case.value("select to_regclass('gone') is null").await, "t");
    case.end().await;
}

#[tokio::test]
async fn an_index_can_be_built_concurrently_in_a_file_of_its_own() {
    let case = Case::new(&[
        ("migrations/1_a.sql", "create table a (id int);"),
        ("migrations/2_index.sql", "-- without a lock\ncreate index concurrently a_id on a (id);"),
    ])
    .await;
    case.up().await.unwrap();
    assert_eq!(
        case.value("select indisvalid from pg_index where indexrelid = 'a_id'::regclass").await,
        "t"
    );
    case.write("migrations/3_both.sql", "select 1;\ncreate index concurrently a_id2 on a (id);");
    let error = case.up().await.unwrap_err();
    assert!(error.to_string().contains("3_both.sql:2"), "{error}");
    case.end().await;
}

#[tokio::test]
async fn people_may_do_what_supabases_users_do() {
    let case = Case::new(&[(
        "migrations/1_app.sql",
        "create extension if not exists vector;
         create extension if not exists citext with schema extensions;
         create extension if not exists moddatetime schema extensions;
         create table public.profile (id uuid primary key references auth.users on delete cascade, email text, e vector(3));
         create table public.todo (id int, updated_at timestamptz);
         create trigger handle_updated_at before update on todo for each row execute procedure moddatetime (updated_at);
         insert into todo values (1);
         update todo set id = 2;
         alter table public.profile enable row level security;
         create policy own on public.profile for all to authenticated using ((select auth.uid()) = id);
         create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
         begin
           insert into public.profile (id, email) values (new.id, new.email);
           return new;
         end $$;
         create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();
         insert into storage.buckets (id, name) values ('avatars', 'avatars');
         create policy read on storage.objects for select to anon using (bucket_id = 'avatars');
         alter publication supabase_realtime add table public.profile;
         grant usage on schema public to anon, authenticated, service_role;
         create schema private;
         create function private.plain() returns int language sql begin atomic select 1; select 2; end;
         create type mood as enum ('ok');
         create materialized view private.m as select 1 as one;",
    )])
    .await;
    let outcome = case.up().await;
    assert!(outcome.is_ok(), "{}", full(&outcome.unwrap_err()));
    assert_eq!(case.value("select private.plain()").await, "2");
    assert_eq!(case.value("select updated_at is not null from todo").await, "t");
    case.end().await;
}

#[tokio::test]
async fn blueprints_and_bare_folders_work_as_they_are() {
    let registry = registry().await;
    let scratch = Scratch::new();
    scratch.write("blueprint.toml", "name = \"x\"\n");
    scratch.write("migrations/20240101000000_a.sql", "create table a (id int);");
    scratch.write("seed.sql", "insert into a values (7);");
    let name = unique("blue");
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    let request =
        CreateProject { folder: Some(&folder), seed: true, ..CreateProject::named(&name) };
    let project = registry.create(request).await.unwrap();
    let owner = as_owner(&registry, &project).await;
    assert_eq!(value(&owner, "select id from a").await, "7");
    assert_eq!(value(&owner, "select path from supabase_migrations.seed_files").await, "seed.sql");
    drop(owner);
    registry.drop_project(&name).await.unwrap();
    assert_eq!(
        MigrationFolder::open(&scratch.path().join("migrations")).unwrap().migrations().len(),
        1
    );
}

#[test]
fn folders_that_cannot_be_read_are_refused() {
    let scratch = Scratch::new();
    let open =
        || MigrationFolder::open(scratch.path()).map(drop).map_err(|error| error.to_string());
    assert!(open().unwrap_err().contains("no folder of migrations"));
    scratch.write("migrations/1_a.sql", "");
    scratch.write("migrations/1_b.sql", "");
    assert!(open().unwrap_err().contains("version 1 is there twice"));
    scratch.write("config.toml", "[db\n");
    assert!(open().unwrap_err().contains("config.toml"));
}

#[test]
fn new_migrations_have_distinct_versions() {
    let scratch = Scratch::new();
    scratch.write("supabase/config.toml", "");
    let one = new_file(scratch.path(), "Add users").unwrap();
    let two = new_file(scratch.path(), "Add users").unwrap();
    assert_ne!(one, two);
    assert!(
        one.to_string_lossy().ends_with("_add_users.sql")
            && one.parent().unwrap().ends_with("supabase/migrations")
    );
    let folder = MigrationFolder::open(scratch.path()).unwrap();
    assert_eq!(folder.migrations().len(), 2);
    assert_eq!(folder.migrations()[0].version.len(), 14);
    assert!(matches!(new_file(scratch.path(), " / "), Err(MigrateError::Name(_))));
}

#[tokio::test]
async fn settings_of_shared_roles_are_given_for_this_project_alone() {
    let case = Case::new(&[(
        "migrations/1_settings.sql",
        "alter role authenticated set statement_timeout = '15s';
         alter database postgres set app.greeting to 'hello';
         alter role authenticator set pgrst.db_max_rows = '7';",
    )])
    .await;
    case.up().await.unwrap();
    let settings = "select string_agg(coalesce(rolname, '') || ' ' || setting, ', ' order by rolname nulls first)
                    from pg_db_role_setting left join pg_roles r on r.oid = setrole, unnest(setconfig) setting
                    where setdatabase = (select oid from pg_database where datname = current_database())
                      and (setting in ('statement_timeout=15s', 'app.greeting=hello')
                        or rolname = 'authenticator' and setting = 'pgrst.db_max_rows=7')";
    assert_eq!(
        case.value(settings).await,
        " app.greeting=hello, authenticated statement_timeout=15s, authenticator pgrst.db_max_rows=7"
    );
    let elsewhere = "select count(*) from pg_db_role_setting join pg_roles r on r.oid = setrole
                     where setdatabase = 0 and rolname in ('authenticated', 'authenticator')";
    assert_eq!(case.value(elsewhere).await, "0");
    let recorded = "select statements[1] from supabase_migrations.schema_migrations";
    assert_eq!(
        case.value(recorded).await,
        "alter role authenticated set statement_timeout = '15s'"
    );

    case.write("migrations/2_more.sql", "select 1;\nalter role anon set work_mem = '1GB';");
    let MigrateError::Statement(error) = case.up().await.unwrap_err() else { panic!() };
    assert_eq!((error.line, error.code.as_str()), (2, "42501"));
    assert!(error.hint.as_ref().unwrap().contains("timeouts"), "{error}");
    case.end().await;
}

#[tokio::test]
async fn what_config_toml_says_of_the_api_is_kept_in_the_database() {
    let case = Case::new(&[("migrations/1_a.sql", "create schema api;")]).await;
    let api = "[api]\nschemas = [\"public\", \"api\"]\nextra_search_path = [\"extensions\"]\nmax_rows = 50\n";
    case.scratch.write("supabase/config.toml", api);
    case.up().await.unwrap();
    let settings = "select string_agg(setting, '; ' order by setting)
                    from pg_db_role_setting, unnest(setconfig) setting
                    where setrole = 0 and setting like 'pgrst.%'
                      and setdatabase = (select oid from pg_database where datname = current_database())";
    assert_eq!(
        case.value(settings).await,
        "pgrst.db_extra_search_path=extensions; pgrst.db_max_rows=50; pgrst.db_schemas=public, api"
    );
    case.end().await;
}
