create schema api;
create schema hidden;
create type api.mood as enum ('sad', 'ok', 'happy');
create type api.point2 as (x int, y int);
create domain api.short_text as varchar(12) not null;
create table api.team (id int generated always as identity primary key, name api.short_text, mood api.mood default 'ok', moods api.mood[]);
comment on table api.team is 'People who work together';
comment on column api.team.mood is 'How it goes';
create table api.person (
    id uuid primary key default gen_random_uuid(), team_id int references api.team, boss_id uuid references api.person,
    full_name text not null, spot api.point2, initials text generated always as (left(full_name, 1)) stored);
create table api.profile (person_id uuid primary key references api.person, bio text);
create table api.skill (id int primary key, name text);
create table api.person_skill (person_id uuid references api.person, skill_id int references api.skill, primary key (person_id, skill_id));
create table api.loose_link (person_id uuid references api.person, skill_id int references api.skill);
create table hidden.secret (id int primary key, person_id uuid references api.person);
create table api.log (at timestamptz not null, person_id uuid references api.person, line text) partition by range (at);
create table api.log_2025 partition of api.log for values from ('2025-01-01') to ('2026-01-01');
create view api.person_name with (security_invoker) as select id, full_name from api.person;
create view api.person_count as select count(*) from api.person;
create function api.add(a int, b int default 2) returns int language sql immutable as 'select a + b';
comment on function api.add(int, int) is 'Adds';
create function api.members(team api.team) returns setof api.person language sql stable as 'select * from api.person where team_id = team.id';
create function api.stats(out total bigint, out teams bigint) language sql as 'select count(*), 1 from api.person';
create function api.numbers(variadic n int[]) returns table (n2 int, label api.mood) language sql as 'select 1, ''ok''::api.mood';
create function api.nothing() returns void language sql set statement_timeout = '5s' as '';
create function api.anything() returns record language sql as 'select 1, 2';
create function api.on_change() returns trigger language plpgsql as 'begin return new; end';
create procedure api.proc() language sql as '';
