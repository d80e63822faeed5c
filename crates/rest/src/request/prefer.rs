//! The `Prefer` header (RFC 7240) and what of it was applied.

use http::HeaderMap;

use crate::TxEnd;

/// `return=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Representation,
    Minimal,
    HeadersOnly,
}

/// `resolution=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    Merge,
    Ignore,
}

/// `count=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Exact,
    Planned,
    Estimated,
}

/// `missing=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Default,
    Null,
}

/// `tx=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tx {
    Commit,
    Rollback,
}

/// `handling=…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    Strict,
    Lenient,
}

/// The preferences of a request. The first of each kind counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    pub(crate) resolution: Option<Resolution>,
    pub(crate) missing: Option<Missing>,
    pub(crate) representation: Option<Return>,
    pub(crate) count: Option<Count>,
    pub(crate) tx: Option<Tx>,
    pub(crate) handling: Option<Handling>,
    pub(crate) time_zone: Option<String>,
    pub(crate) max_affected: Option<i64>,
    /// What nobody knows, as it was written.
    pub(crate) unknown: Vec<String>,
}

impl Preferences {
    /// Reads every `Prefer` header.
    pub(crate) fn parse(headers: &HeaderMap, tx_end: TxEnd) -> Self {
        let mut preferences = Self::default();
        for value in headers.get_all("prefer") {
            let Ok(value) = value.to_str() else { continue };
            for preference in value.split(',') {
                preferences.add(preference.trim(), tx_end);
            }
        }
        preferences
    }

    fn add(&mut self, text: &str, tx_end: TxEnd) {
        let may_choose =
            matches!(tx_end, TxEnd::CommitAllowOverride | TxEnd::RollbackAllowOverride);
        match text {
            "resolution=merge-duplicates" => first(&mut self.resolution, Resolution::Merge),
            "resolution=ignore-duplicates" => first(&mut self.resolution, Resolution::Ignore),
            "return=representation" => first(&mut self.representation, Return::Representation),
            "return=minimal" => first(&mut self.representation, Return::Minimal),
            "return=headers-only" => first(&mut self.representation, Return::HeadersOnly),
            "count=exact" => first(&mut self.count, Count::Exact),
            "count=planned" => first(&mut self.count, Count::Planned),
            "count=estimated" => first(&mut self.count, Count::Estimated),
            "missing=default" => first(&mut self.missing, Missing::Default),
            "missing=null" => first(&mut self.missing, Missing::Null),
            "handling=strict" => first(&mut self.handling, Handling::Strict),
            "handling=lenient" => first(&mut self.handling, Handling::Lenient),
            "tx=commit" if may_choose => first(&mut self.tx, Tx::Commit),
            "tx=rollback" if may_choose => first(&mut self.tx, Tx::Rollback),
            "tx=commit" | "tx=rollback" => {}
            other => self.add_valued(other),
        }
    }

    fn add_valued(&mut self, text: &str) {
        match text.split_once('=') {
            // Names and offsets are PostgreSQL's to know: it refuses what is none.
            Some(("timezone", zone)) => first(&mut self.time_zone, zone.to_owned()),
            // What is no number sets no bound, and is no mistake either.
            Some(("max-affected", number)) => {
                if let Some(number) = super::range::integer(number) {
                    first(&mut self.max_affected, number);
                }
            }
            _ => self.unknown.push(text.to_owned()),
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.handling == Some(Handling::Strict)
    }

    /// The bound on changed rows, which counts under strict handling only.
    pub(crate) fn affected_bound(&self) -> Option<i64> {
        self.max_affected.filter(|_| self.is_strict())
    }

    /// The value of `Preference-Applied`; nothing when nothing was.
    pub(crate) fn applied(&self) -> Option<String> {
        let mut parts: Vec<&str> = Vec::new();
        parts.extend(self.resolution.map(|it| match it {
            Resolution::Merge => "resolution=merge-duplicates",
            Resolution::Ignore => "resolution=ignore-duplicates",
        }));
        parts.extend(self.missing.map(|it| match it {
            Missing::Default => "missing=default",
            Missing::Null => "missing=null",
        }));
        parts.extend(self.representation.map(|it| match it {
            Return::Representation => "return=representation",
            Return::Minimal => "return=minimal",
            Return::HeadersOnly => "return=headers-only",
        }));
        parts.extend(self.count.map(|it| match it {
            Count::Exact => "count=exact",
            Count::Planned => "count=planned",
            Count::Estimated => "count=estimated",
        }));
        parts.extend(self.tx.map(|it| match it {
            Tx::Commit => "tx=commit",
            Tx::Rollback => "tx=rollback",
        }));
        parts.extend(self.handling.map(|it| match it {
            Handling::Strict => "handling=strict",
            Handling::Lenient => "handling=lenient",
        }));
        let mut text = parts.join(", ");
        let mut append = |part: String| {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&part);
        };
        if let Some(zone) = &self.time_zone {
            append(format!("timezone={zone}"));
        }
        if let Some(rows) = self.affected_bound() {
            append(format!("max-affected={rows}"));
        }
        (!text.is_empty()).then_some(text)
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(values: &[&str]) -> Preferences {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", HeaderValue::from_str(value).unwrap());
        }
        Preferences::parse(&headers, TxEnd::CommitAllowOverride)
    }

    #[test]
    fn preferences_come_in_one_header_or_several() {
        let parsed =
            parse(&["count=exact,    tx=commit   ,return=representation", "missing=default"]);
        assert_eq!(parsed.count, Some(Count::Exact));
        assert_eq!(parsed.tx, Some(Tx::Commit));
        assert_eq!(parsed.representation, Some(Return::Representation));
        assert_eq!(parsed.missing, Some(Missing::Default));
        assert!(parsed.unknown.is_empty());
    }

    #[test]
    fn the_first_of_a_kind_counts() {
        let parsed = parse(&["resolution=ignore-duplicates", "resolution=merge-duplicates"]);
        assert_eq!(parsed.resolution, Some(Resolution::Ignore));
    }

    #[test]
    fn unknown_ones_are_kept_as_written() {
        let parsed = parse(&["anything, timezone=Mars/Base, params=single-object, return=maximal"]);
        assert_eq!(parsed.unknown, ["anything", "params=single-object", "return=maximal"]);
    }

    #[test]
    fn whether_there_is_such_a_time_zone_is_not_asked_here() {
        for zone in ["Asia/Tokyo", "+05:30", "-4", "Mars/Base", ""] {
            let parsed = parse(&[&format!("timezone={zone}")]);
            assert_eq!(parsed.time_zone.as_deref(), Some(zone));
            assert_eq!(parsed.applied(), Some(format!("timezone={zone}")));
        }
    }

    #[test]
    fn a_bound_that_is_no_number_is_none() {
        for (text, bound) in
            [("5", Some(5)), ("-1", Some(-1)), ("x", None), ("", None), ("1.5", None)]
        {
            let parsed = parse(&[&format!("handling=strict, max-affected={text}")]);
            assert_eq!((parsed.affected_bound(), parsed.unknown.len()), (bound, 0), "{text}");
        }
    }

    #[test]
    fn applied_preferences_have_a_fixed_order() {
        let parsed =
            parse(&["max-affected=5, timezone=Asia/Tokyo, handling=strict, count=planned"]);
        let applied = "count=planned, handling=strict, timezone=Asia/Tokyo, max-affected=5";
        assert_eq!(parsed.applied().as_deref(), Some(applied));
        assert_eq!(parse(&["max-affected=5"]).applied(), None);
    }

    #[test]
    fn tx_counts_only_where_clients_may_choose() {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", HeaderValue::from_static("tx=rollback"));
        let parsed = Preferences::parse(&headers, TxEnd::Commit);
        assert_eq!(parsed, Preferences::default());
    }
}
