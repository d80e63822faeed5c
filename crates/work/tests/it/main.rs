//! Against a real PostgreSQL: the one in `PLINTH_PG_BIN`, else in `.postgres/bin`.

mod check;
