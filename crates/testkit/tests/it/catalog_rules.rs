//! Each rule about objects finds what it is there to find, and nothing in what keeps it.

use crate::sample::{ACCESS, assert_rules_find};

/// The sample's access table with `more` in front.
fn access(more: &str) -> String {
    format!("{more}\n{ACCESS}")
}

/// The sample's access table with entries for tables that nobody may do anything with.
fn listed(tables: &[&str]) -> String {
    let entry = |name: &&str| {
        format!("\n[[table]]\nname = '{name}'\nrow = 'true'\ninsert = 'i'\nupdate = 'u'")
    };
    ACCESS.to_owned() + &tables.iter().map(entry).collect::<String>()
}

#[test]
fn the_sample_breaks_no_rule() {
    assert_rules_find(&[("", ACCESS, &[])]);
}

#[test]
fn a_table_or_view_that_the_access_table_does_not_name_is_found() {
    assert_rules_find(&[(
        "create table stray (id int); alter table stray enable row level security;
         create view open with (security_invoker) as select 1 as one;",
        ACCESS,
        &["access.toml has no [[view]] public.open", "access.toml has no [[table]] public.stray"],
    )]);
}

#[test]
fn a_policy_on_a_table_of_the_platform_needs_an_entry() {
    assert_rules_find(&[(
        "create policy mine on storage.objects for select to authenticated using (bucket_id = 'a');",
        ACCESS,
        &["access.toml has no [[table]] storage.objects"],
    )]);
}

#[test]
fn a_table_without_row_level_security_is_found_and_so_is_a_partition() {
    assert_rules_find(&[(
        "create table log (id int, at date) partition by range (at);
         alter table log enable row level security;
         create table log_2025 partition of log for values from ('2025-01-01') to ('2026-01-01');
         create table plain (id int);",
        &listed(&["log", "plain"]),
        &["public.log_2025 has no row level security", "public.plain has no row level security"],
    )]);
}

#[test]
fn a_foreign_key_without_an_index_is_found() {
    let table = |index: &str| {
        format!(
            "create table pair (a int, b int, primary key (a, b));
             alter table pair enable row level security;
             create table child (id int primary key, a int, b int, foreign key (a, b) references pair);
             alter table child enable row level security;
             {index}"
        )
    };
    let access = listed(&["pair", "child"]);
    let missing: &[&str] = &["public.child: foreign key child_a_b_fkey (a, b) has no index"];
    assert_rules_find(&[
        (&table(""), &access, missing),
        (&table("create index on child (a);"), &access, missing),
        (&table("create index on child (id, a, b);"), &access, missing),
        (&table("create index on child (a, b) where id > 5;"), &access, missing),
        (&table("create index on child (b, a, id);"), &access, &[]),
        (&table("create index on child (a, b) where a is not null;"), &access, &[]),
    ]);
}

#[test]
fn a_column_that_a_policy_looks_up_without_an_index_is_found() {
    let missing: &[&str] =
        &[r#"policy "more" on public.note uses public.note.body, which has no index"#];
    let with = |index: &str| {
        format!(
            "create policy more on note for select using (owner = (select auth.uid()) and body = 'x'); {index}"
        )
    };
    assert_rules_find(&[
        (&with(""), ACCESS, missing),
        (&with("create index on note (id, body);"), ACCESS, missing),
        (&with("create index on note (body);"), ACCESS, &[]),
        (&with("create index on note (owner, body);"), ACCESS, &[]),
        (&with("create index on note (id) where body = 'x';"), ACCESS, &[]),
        ("create policy more on note for insert with check (body = 'x');", ACCESS, &[]),
        (
            "create policy more on note for insert with check (exists (select from note n where n.body = note.body));",
            ACCESS,
            missing,
        ),
    ]);
}

#[test]
fn a_caller_that_is_asked_for_every_row_is_found() {
    assert_rules_find(&[
        (
            "create policy slow on note for select using (owner = auth.uid());
             create policy also on note for insert with check ((auth.jwt() ->> 'x') = 'y');",
            ACCESS,
            &[
                r#"policy "also" on public.note calls auth.jwt() for every row; write (select auth.jwt())"#,
                r#"policy "slow" on public.note calls auth.uid() for every row; write (select auth.uid())"#,
            ],
        ),
        (
            "create policy ok on note for select using ((select auth.jwt() ->> 'x') = 'y');",
            ACCESS,
            &[],
        ),
    ]);
}

#[test]
fn a_view_with_its_owners_rights_is_found() {
    let view = "create view v as select 1 as one;";
    let matview =
        "create materialized view v as select 1 as one; revoke all on v from anon, authenticated;";
    let access = format!("{ACCESS}\n[[view]]\nname = 'v'");
    assert_rules_find(&[
        (view, &access, &["view public.v is not security_invoker"]),
        (&format!("{view} alter view v set (security_invoker = on);"), &access, &[]),
        (matview, &access, &[]),
        (
            &format!("{matview} grant select on v to anon;"),
            &access,
            &["materialized view public.v is readable by anon"],
        ),
    ]);
}

#[test]
fn a_function_whose_names_the_caller_resolves_is_found() {
    assert_rules_find(&[(
        "create function f(a int) returns int language sql as 'select 1';
         create function g() returns int language sql return 1;
         create function h() returns int language sql set search_path = '' as 'select 1';",
        ACCESS,
        &["function public.f(a integer) does not set search_path"],
    )]);
}

#[test]
fn a_callable_function_with_its_owners_rights_is_found_unless_it_is_listed() {
    let definer = "create function d(a int) returns int language sql security definer
                   set search_path = '' as 'select 1';";
    let open = format!("{definer} grant execute on function d to anon, authenticated;");
    let revoked =
        format!("{definer} revoke execute on function d from public, anon, authenticated;");
    let listed = access("definer = ['d']");
    assert_rules_find(&[
        (
            &open,
            ACCESS,
            &[
                "SECURITY DEFINER function public.d(a integer) may be executed by anon, authenticated",
            ],
        ),
        (&open, &listed, &[]),
        (&revoked, ACCESS, &[]),
        (
            &revoked,
            &listed,
            &["access.toml: definer lists public.d, but no caller may execute such a function"],
        ),
    ]);
}
