//! What must not be sealed: the same value is sealed to another text each time, so that whatever compares what a column
//! holds would be void, and nobody would hear of it.

use tokio_postgres::Client;

use super::CheckError;
use crate::manifest::{Manifest, Problem, Relation};

pub(super) const WHY: &str = "a value is sealed to another text each time, so that sealed columns cannot be compared, searched or unique";

/// What compares values of a column: unique indexes, also over expressions, exclusion constraints and foreign keys.
const COMPARED: &str = "
    with this as (
      select c.oid, a.attnum
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = $3
      where n.nspname = $1 and c.relname = $2
    )
    select case when i.indisprimary then 'is in the primary key' else 'is in the unique index `' || x.relname || '`' end
    from this
    join pg_catalog.pg_index i on i.indrelid = this.oid and (i.indisunique or i.indisexclusion)
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    where this.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
      or (i.indexprs is not null or i.indpred is not null) and exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
          and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = this.oid and d.refobjsubid = this.attnum)
    union all
    select 'is in the foreign key `' || c.conname || '`'
    from this
    join pg_catalog.pg_constraint c on c.contype = 'f'
      and (c.conrelid = this.oid and this.attnum = any (c.conkey) or c.confrelid = this.oid and this.attnum = any (c.confkey))
    limit 1";

/// How values of the column are compared, as the end of a sentence about it.
pub(super) async fn compared(
    client: &Client,
    on: &Relation,
    column: &str,
) -> Result<Option<String>, CheckError> {
    let row = client.query_opt(COMPARED, &[&on.schema, &on.name, &column]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The columns of the table that the manifest seals.
pub(super) fn columns<'a>(manifest: &'a Manifest, on: &Relation) -> &'a [String] {
    let sealed = manifest.sealed.iter().find(|sealed| sealed.on == *on);
    sealed.map_or(&[], |sealed| &sealed.columns)
}

/// Bindings whose `$row` would be sealed.
pub(super) fn check_keys(manifest: &Manifest, problems: &mut Vec<Problem>) {
    for one in &manifest.bindings {
        let Some(key) = &one.spec.key else { continue };
        if columns(manifest, &one.spec.on).contains(key) {
            let message = format!("`{key}` is sealed and cannot be the key");
            problems.push(manifest.problem(one, "key", message, Some(WHY.to_owned())));
        }
    }
}
