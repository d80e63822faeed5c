create schema api;
create schema beside;
create schema hidden;
create table hidden.author (id int primary key, name text);
create table hidden.book (
    id int primary key, author_id int constraint book_author references hidden.author, title text,
    editor_id int constraint book_editor references hidden.author);
create table hidden.cover (book_id int primary key constraint cover_book references hidden.book, file text);
create table hidden.tag (a int, b int, primary key (b, a));
create table hidden.book_tag (
    book_id int constraint tagged_book references hidden.book, tag_a int, tag_b int,
    constraint tagged_tag foreign key (tag_b, tag_a) references hidden.tag (b, a), primary key (book_id, tag_a, tag_b));
create table api.shelf (id int primary key, book_id int constraint shelf_book references hidden.book);
create view api.author as select id as "author ({id})", name from hidden.author;
create view api.book as select title, author_id, editor_id, id as book_id from hidden.book;
create view api.book_twice as select author_id as one, author_id as two, id, id as id2 from hidden.book;
create materialized view api.cover as select * from hidden.cover;
create view beside.book as select b.*, upper(title) as loud from (select * from hidden.book) b;
create view api.book_of_book as with x as (select id, author_id from beside.book) select * from x;
create view api.book_union as select id, author_id from hidden.book union all select id, author_id from hidden.book;
create view api.tag as select a as tag_a, b as tag_b from hidden.tag;
create view api.tag_part as select a from hidden.tag;
create view api.book_tag as select * from hidden.book_tag;
create view api.both as select b.id as book_id, a.id as author_id from hidden.book b join hidden.author a on a.id = b.author_id;
create view api.circle as select * from hidden.author;
create or replace view api.circle as select * from api.circle;
create view api.by_trigger as select count(*) as n from hidden.author;
create function api.never() returns trigger language plpgsql as 'begin return null; end';
create trigger t instead of insert on api.by_trigger for each row execute function api.never();
create table api.person (id int primary key);
create table api.city (id int primary key);
create table hidden.visit (person_id int references api.person, city_id int references api.city, primary key (person_id, city_id));
