//! Which types there are, by the object ids that PostgreSQL's source fixes (`pg_type.dat`), and by
//! the names that `format_type` gives them.

use plinth_catalog::Printing;

use super::plan::{Plan, allowed};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One(Scalar),
    Array(Scalar),
}

/// How a value that is no array is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Everything whose binary format is its text.
    Text,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    /// A `timestamptz` in a session whose time zone is UTC.
    TimestampUtc,
    Json,
    Jsonb,
    Bytea,
}

/// Type, its array type, name, kind.
const TYPES: [(u32, u32, &str, Scalar); 21] = [
    (16, 1000, "boolean", Scalar::Bool),
    (21, 1005, "smallint", Scalar::Int2),
    (23, 1007, "integer", Scalar::Int4),
    (20, 1016, "bigint", Scalar::Int8),
    (26, 1028, "oid", Scalar::Oid),
    (700, 1021, "real", Scalar::Float4),
    (701, 1022, "double precision", Scalar::Float8),
    (1700, 1231, "numeric", Scalar::Numeric),
    (25, 1009, "text", Scalar::Text),
    (1043, 1015, "character varying", Scalar::Text),
    (1042, 1014, "character", Scalar::Text),
    (19, 1003, "name", Scalar::Text),
    (2950, 2951, "uuid", Scalar::Uuid),
    (1082, 1182, "date", Scalar::Date),
    (1083, 1183, "time without time zone", Scalar::Time),
    (1266, 1270, "time with time zone", Scalar::TimeTz),
    (1114, 1115, "timestamp without time zone", Scalar::Timestamp),
    (1184, 1185, "timestamp with time zone", Scalar::TimestampUtc),
    (114, 199, "json", Scalar::Json),
    (3802, 3807, "jsonb", Scalar::Jsonb),
    (17, 1001, "bytea", Scalar::Bytea),
];

/// How values of a type are written in a session that prints as `printing` says; `None` for types
/// that only PostgreSQL can print. Of the types that other databases have not, those of the plan are known.
pub(super) fn kind(oid: u32, plan: &Plan, printing: Printing) -> Option<Kind> {
    let found = TYPES.iter().find_map(|&(own, array, _, scalar)| {
        if own == oid {
            Some((scalar, Kind::One(scalar)))
        } else {
            (array == oid).then_some((scalar, Kind::Array(scalar)))
        }
    });
    match found {
        Some((scalar, kind)) => allowed(scalar, printing).then_some(kind),
        None => {
            let text = plan.texts.iter().find(|text| text.oid == oid)?;
            Some(if text.array { Kind::Array(Scalar::Text) } else { Kind::One(Scalar::Text) })
        }
    }
}

/// As [`kind`], by the name of the type (`integer`, `text[]`).
pub(super) fn scalar_named(name: &str) -> Option<Scalar> {
    let element = name.strip_suffix("[]").unwrap_or(name);
    TYPES.iter().find(|(_, _, name, _)| *name == element).map(|&(_, _, _, scalar)| scalar)
}
