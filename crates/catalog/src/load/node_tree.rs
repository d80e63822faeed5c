//! The part of PostgreSQL's stored query trees that says where the columns of a view come from.
//!
//! A tree is text: nodes `{NAME :field value …}`, lists `(…)`, and tokens in which a backslash keeps the next
//! character from meaning anything. The rule of a view is a list of one `QUERY`, whose target list has a `TARGETENTRY`
//! for each column, with the table and the column number that its value comes from, or 0 for an expression.

use super::Oid;

/// Where one column of a view comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// Number of the view's column, from 1.
    pub(super) column: i16,
    /// The table or view that its value is taken from.
    pub(super) relation: Oid,
    /// The number of the column there.
    pub(super) origin: i16,
}

/// How deep the fields of the query and of a target entry lie: `({QUERY … ({TARGETENTRY …})})`.
const QUERY_DEPTH: usize = 2;
const ENTRY_DEPTH: usize = QUERY_DEPTH + 2;

/// The columns of the query in `tree` that are columns of a relation, in order.
pub(super) fn origins(tree: &str) -> Vec<Origin> {
    let mut found = Vec::new();
    let mut entry = Origin::default();
    let mut in_targets = false;
    let mut depth = 0_usize;
    let bytes = tree.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'{' | b'(' => depth += 1,
            b'}' | b')' => {
                if in_targets && depth == ENTRY_DEPTH {
                    if entry.relation != 0 && entry.origin > 0 {
                        found.push(entry);
                    }
                    entry = Origin::default();
                }
                depth = depth.saturating_sub(1);
                if in_targets && depth == QUERY_DEPTH {
                    return found;
                }
            }
            b':' if depth == QUERY_DEPTH && bytes[at..].starts_with(b":targetList ") => {
                in_targets = true;
            }
            b':' if in_targets && depth == ENTRY_DEPTH => read_field(&bytes[at..], &mut entry),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Takes the number after one of the fields of interest. An oid that does not fit is none of a user's relation.
fn read_field(text: &[u8], entry: &mut Origin) {
    if let Some(number) = number_after(text, b":resno ") {
        entry.column = i16::try_from(number).unwrap_or(0);
    } else if let Some(number) = number_after(text, b":resorigtbl ") {
        entry.relation = Oid::try_from(number).unwrap_or(0);
    } else if let Some(number) = number_after(text, b":resorigcol ") {
        entry.origin = i16::try_from(number).unwrap_or(0);
    }
}

fn number_after(text: &[u8], field: &[u8]) -> Option<i64> {
    let rest = text.strip_prefix(field)?;
    let end = rest.iter().position(|it| !it.is_ascii_digit() && *it != b'-').unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: i16, name: &str, relation: Oid, origin: i16) -> String {
        format!(
            "{{TARGETENTRY :expr {{VAR :varno 1 :resorigtbl 77 :args (o 1 2)}} :resno {number} :resname {name} \
             :ressortgroupref 0 :resorigtbl {relation} :resorigcol {origin} :resjunk false}}"
        )
    }

    fn query(entries: &[String], inner: &str) -> String {
        format!(
            "({{QUERY :commandType 1 :rtable ({{RANGETBLENTRY :subquery {inner} :colnames (\"a\" \"b\")}}) \
             :targetList ({}) :override 0 :onConflict <> :limitCount {{CONST :constvalue 8 [ 1 0 0 ]}}}})",
            entries.join(" ")
        )
    }

    #[test]
    fn columns_of_relations_are_found_and_expressions_are_not() {
        let entries = [entry(1, "id", 16385, 1), entry(2, "sum", 0, 0), entry(3, "n", 16399, 4)];
        let found = origins(&query(&entries, "<>"));
        let origin = |column, relation, origin| Origin { column, relation, origin };
        assert_eq!(found, [origin(1, 16385, 1), origin(3, 16399, 4)]);
    }

    #[test]
    fn queries_inside_the_query_do_not_count() {
        let inner = query(&[entry(1, "deep", 5, 5)], "<>");
        let inner = inner.trim_start_matches('(').trim_end_matches(')');
        let found = origins(&query(&[entry(1, "id", 9, 2)], inner));
        assert_eq!(found, [Origin { column: 1, relation: 9, origin: 2 }]);
    }

    #[test]
    fn names_may_hold_every_sign() {
        let name = "a\\{\\ \\(b\\)\\\\\\}\\ :resno\\ 9";
        let found = origins(&query(&[entry(1, name, 9, 2), entry(2, "\\}\\}", 9, 3)], "<>"));
        assert_eq!(found.iter().map(|it| it.origin).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn whole_rows_system_columns_and_broken_trees_have_no_origin() {
        assert_eq!(origins(&query(&[entry(1, "r", 9, 0), entry(2, "ctid", 9, -1)], "<>")), []);
        for broken in ["", "(", ")))", "({QUERY :targetList ", "({QUERY :targetList ({T :resno "] {
            assert_eq!(origins(broken), [], "{broken}");
        }
    }
}
