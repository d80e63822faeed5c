//! Which TypeScript type a PostgreSQL type becomes, by what its values are in JSON.

use plinth_catalog::{Catalog, Column, QualifiedName, RelationKind};

use super::syntax::{Ts, literal};

/// Looks types up in a catalog.
pub(super) struct Mapping<'a> {
    pub(super) catalog: &'a Catalog,
    /// The schemas that the generated type speaks of; others cannot be referred to.
    pub(super) schemas: &'a [String],
}

impl Mapping<'_> {
    /// The type of a column's values, null left out.
    pub(super) fn column(&self, column: &Column) -> Ts {
        self.named(&column.base_type)
    }

    /// The type of a column, with null where it allows it.
    pub(super) fn nullable_column(&self, column: &Column) -> Ts {
        let ts = self.column(column);
        if column.nullable { ts.or_null() } else { ts }
    }

    /// The type that `type_name`, SQL text as `format_type` prints it, becomes.
    pub(super) fn named(&self, type_name: &str) -> Ts {
        let name = without_modifiers(type_name);
        if let Some(element) = name.strip_suffix("[]") {
            return self.named(element).array_of();
        }
        if let Some(built_in) = built_in(&name) {
            return Ts::name(built_in);
        }
        match parse_name(&name) {
            // Extensions may be installed in any schema.
            Some(name) if matches!(name.name.as_str(), "citext" | "vector") => Ts::name("string"),
            Some(name) => self.user_defined(&name).unwrap_or_else(|| Ts::name("unknown")),
            None => Ts::name("unknown"),
        }
    }

    /// The relation whose row type `type_name` is.
    pub(super) fn row_type(&self, type_name: &str) -> Option<QualifiedName> {
        parse_name(type_name).filter(|name| self.catalog.relation(name).is_some())
    }

    /// The table, view or composite type that `type_name` is, if the generated type speaks of it.
    pub(super) fn composite(&self, type_name: &str) -> Option<QualifiedName> {
        parse_name(type_name).filter(|name| {
            self.covers(name)
                && (self.catalog.relation(name).is_some() || self.catalog.composite(name).is_some())
        })
    }

    /// `Database["schema"]["kind"]["name"]`, or what stands for it when its schema is left out.
    pub(super) fn user_defined(&self, name: &QualifiedName) -> Option<Ts> {
        let (kind, tail) = match self.catalog.enum_labels(name) {
            Some(labels) if !self.covers(name) => {
                return Some(Ts::Union(labels.iter().cloned().map(Ts::Literal).collect()));
            }
            Some(_) => ("Enums", ""),
            None if !self.covers(name) => return None,
            None if self.catalog.composite(name).is_some() => ("CompositeTypes", ""),
            None if is_view(self.catalog.relation(name)?.kind) => ("Views", r#"["Row"]"#),
            None => ("Tables", r#"["Row"]"#),
        };
        let (schema, name) = (literal(&name.schema), literal(&name.name));
        Some(Ts::name(format!("Database[{schema}][{}][{name}]{tail}", literal(kind))))
    }

    pub(super) fn covers(&self, name: &QualifiedName) -> bool {
        self.schemas.contains(&name.schema)
    }
}

pub(super) fn is_view(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::View | RelationKind::MaterializedView)
}

/// Numbers that do not fit a double are numbers all the same: that is how they stand in the JSON.
fn built_in(name: &str) -> Option<&'static str> {
    Some(match name {
        "boolean" => "boolean",
        "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" => "number",
        "bytea" | "character" | "bpchar" | "character varying" | "date" | "text" | "uuid" => {
            "string"
        }
        "time without time zone" | "time with time zone" => "string",
        "timestamp without time zone" | "timestamp with time zone" => "string",
        "json" | "jsonb" => "Json",
        "void" => "undefined",
        "record" => "Record<string, unknown>",
        _ => return None,
    })
}

/// The name under which `pg_type` has a built-in type, as messages about overloads show it.
pub(super) fn internal_name(type_name: &str) -> String {
    if let Some(element) = type_name.strip_suffix("[]") {
        return format!("_{}", internal_name(element));
    }
    let name = match type_name {
        "boolean" => "bool",
        "smallint" => "int2",
        "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" => "float8",
        "character" => "bpchar",
        "character varying" => "varchar",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => return parse_name(other).map_or_else(|| other.to_owned(), |name| name.name),
    };
    name.to_owned()
}

/// `character varying(20)[]` without its `(20)`.
fn without_modifiers(type_name: &str) -> String {
    let mut out = String::with_capacity(type_name.len());
    let (mut quoted, mut depth) = (false, 0_u32);
    for character in type_name.chars() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(character);
        }
    }
    out
}

/// Reads `schema."Name"`; a name without a schema is none of the user's.
fn parse_name(text: &str) -> Option<QualifiedName> {
    let (schema, rest) = parse_identifier(text)?;
    let (name, rest) = parse_identifier(rest.strip_prefix('.')?)?;
    rest.is_empty().then(|| QualifiedName::new(schema, name))
}

/// The identifier at the start of `text`, unquoted, and what follows it.
fn parse_identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(['.', '"', '(', '[', ' ']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_format_type_writes_them() {
        let parsed = |text: &str| parse_name(text).map(|name| (name.schema, name.name));
        let name = |schema: &str, name: &str| Some((schema.to_owned(), name.to_owned()));
        assert_eq!(parsed("public.mood"), name("public", "mood"));
        assert_eq!(parsed(r#""My ""x""".a"#), name(r#"My "x""#, "a"));
        assert_eq!(parsed(r#"public."a.b""#), name("public", "a.b"));
        for text in ["", ".", "integer", "a.b.c", "\"open", "a.", "public.mood[]"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn modifiers_do_not_matter() {
        for (text, expected) in [
            ("character varying(20)[]", "character varying[]"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("numeric(10,2)", "numeric"),
            ("extensions.vector(1536)", "extensions.vector"),
            (r#"public."odd(1)""#, r#"public."odd(1)""#),
        ] {
            assert_eq!(without_modifiers(text), expected);
        }
    }

    #[test]
    fn values_have_the_type_of_their_json() {
        let catalog = Catalog::default();
        let mapping = Mapping { catalog: &catalog, schemas: &[] };
        for (sql, expected) in [
            ("bigint", "number"),
            ("numeric(10,2)", "number"),
            ("timestamp with time zone", "string"),
            ("jsonb", "Json"),
            ("void", "undefined"),
            ("extensions.vector", "string"),
            ("inet", "unknown"),
            ("public.somewhere", "unknown"),
        ] {
            assert_eq!(mapping.named(sql), Ts::name(expected), "{sql}");
        }
        assert_eq!(mapping.named("text[]"), Ts::name("string").array_of());
    }
}
