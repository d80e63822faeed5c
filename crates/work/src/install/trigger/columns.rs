//! SQL of what a job gets from its row: its priority, its turn, the keys that limits count by.

/// SQL of a key that is not there.
pub(super) const NULL: &str = "null::text";

/// SQL of the turn of jobs that take none.
pub(super) const EMPTY: &str = "''::text";

/// Bytes of a key of limits or turns beyond which a digest takes its place: longer ones fit into no index.
const LONGEST_KEY: usize = 500;

/// A key, or its digest when it is too long. The text is evaluated once, for it may be expensive.
pub(super) fn bounded(sql: &str) -> String {
    format!(
        "(select case when octet_length(whole) > {LONGEST_KEY} then md5(whole) else whole end from (values (({sql})::text)) as given (whole))"
    )
}

/// The priority that is nearest to a number of that type, and the lowest for what is none. It is cast when it is small: a row
/// must not be refused for the value of its priority.
pub(super) fn clamped(sql: &str, kind: &str) -> String {
    if sql.parse::<u8>().is_ok_and(|priority| priority <= 9) {
        return sql.to_owned();
    }
    // A truth value is a number only as an integer.
    let number = if kind == "boolean" { format!("({sql})::integer") } else { sql.to_owned() };
    format!("least(9, greatest(0, nullif(({number})::numeric, 'NaN')))::smallint")
}
