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

    /// What differs in the tree of a view between versions of PostgreSQL: the version, relations that stand before
    /// the one selected from, fields before the target list, fields of a column's node, fields after the list.
    const VERSIONS: [(u32, &str, &str, &str, &str); 5] = [
        (14, OLD_AND_NEW, "", "", ""),
        (15, OLD_AND_NEW, "", "", " :mergeActionList <> :mergeUseOuterJoin false"),
        (16, "", " :mergeActionList <> :mergeUseOuterJoin false", " :varnullingrels (b)", ""),
        (17, "", " :mergeActionList <> :mergeTargetRelation 0", " :varnullingrels (b)", ""),
        (
            18,
            "",
            " :hasGroupRTE false :mergeActionList <> :mergeTargetRelation 0",
            " :varnullingrels (b) :varreturningtype 0",
            " :returningOldAlias <> :returningNewAlias <>",
        ),
    ];

    /// Until 15 the view itself is in the list of relations, twice.
    const OLD_AND_NEW: &str = "{RANGETBLENTRY :eref {ALIAS :aliasname old :colnames (\"next\" \"id\")} :relid 16395 \
         :selectedCols (b)} {RANGETBLENTRY :eref {ALIAS :aliasname new :colnames (\"next\" \"id\")} :relid 16395} ";

    /// The rule of `select n + 1 as next, id from things`, of a table 16390 with the columns `id` and `n`.
    fn rule(
        (version, relations, before, variable, after): (u32, &str, &str, &str, &str),
    ) -> String {
        let place = if relations.is_empty() { 1 } else { 3 };
        let rights =
            if version < 16 { "" } else { ":rteperminfos ({RTEPERMISSIONINFO :relid 16390}) " };
        let column = |number: u32| {
            format!("{{VAR :varno {place} :varattno {number} :vartype 23{variable} :location 7}}")
        };
        let one =
            "{CONST :consttype 23 :constlen 4 :location 11 :constvalue 4 [ 1 0 0 0 0 0 0 0 ]}";
        let sum = format!("{{OPEXPR :opno 551 :args ({} {one}) :location 9}}", column(2));
        let id = column(1);
        format!(
            "({{QUERY :commandType 1 :utilityStmt <> :rtable ({relations}{{RANGETBLENTRY :eref {{ALIAS :aliasname \
             things :colnames (\"id\" \"n\")}} :relid 16390 :relkind r}}) {rights}:jointree {{FROMEXPR :fromlist \
             ({{RANGETBLREF :rtindex {place}}}) :quals <>}}{before} :targetList ({{TARGETENTRY :expr {sum} :resno 1 \
             :resname next :ressortgroupref 0 :resorigtbl 0 :resorigcol 0 :resjunk false}} {{TARGETENTRY :expr {id} \
             :resno 2 :resname id :ressortgroupref 0 :resorigtbl 16390 :resorigcol 1 :resjunk false}}) :override \
             0{after} :returningList <> :stmt_location 0 :stmt_len 60}})"
        )
    }

    #[test]
    fn trees_of_every_version_are_read() {
        for version in VERSIONS {
            let expected = [Origin { column: 2, relation: 16390, origin: 1 }];
            assert_eq!(origins(&rule(version)), expected, "PostgreSQL {}", version.0);
        }
    }

    #[test]
    fn the_order_of_fields_means_nothing() {
        let entry = "{TARGETENTRY :resorigcol 3 :resname a :resorigtbl 16390 :resno 5 :expr {VAR :resno 9}}";
        let tree = format!(
            "({{QUERY :targetList ({entry}) :rtable ({{RANGETBLENTRY :relid 9}}) :commandType 1}})"
        );
        assert_eq!(origins(&tree), [Origin { column: 5, relation: 16390, origin: 3 }]);
    }
}
