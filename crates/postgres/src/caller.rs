//! Who a request runs as, and the statement that makes a transaction theirs.
//!
//! [`enter`] is the first statement of every batch. All values travel as parameters, and the text depends only on which
//! optional settings are present, so that a connection prepares a handful of texts and no more.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;

/// The role and the claims that a request acts with.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// Database role, such as `authenticated`.
    pub role: Arc<str>,
    /// The verified claims as a JSON object; what `request.jwt.claims` will hold.
    pub claims_json: Bytes,
}

/// Facts of the request that SQL may read with `current_setting('request.…')`, and the limits of its transaction.
#[derive(Clone, Default)]
pub struct RequestContext {
    /// HTTP method, upper case.
    pub method: Bytes,
    /// Path below the API's root, such as `/rpc/search`.
    pub path: Bytes,
    /// Request headers as a JSON object with lower-case names.
    pub headers_json: Bytes,
    /// Cookies as a JSON object.
    pub cookies_json: Bytes,
    /// Longest run of one statement. `None` leaves the connection's own setting, zero means no limit.
    pub statement_timeout: Option<Duration>,
    /// Value of `search_path`, already quoted. `None` leaves the database's own.
    pub search_path: Option<Bytes>,
    /// Refuses writes.
    pub read_only: bool,
    /// Value of `timezone`. `None` leaves the database's own.
    pub time_zone: Option<Bytes>,
    /// More settings (name, value), applied first: those that the role carries in the catalog. The login may have been
    /// given the right to some that the role itself has not.
    pub settings: Arc<[(Bytes, Bytes)]>,
    /// Whether to tell how the session prints values: those of [`PRINTING`] are the last columns of the statement's
    /// row, as they are once everything was set.
    pub reports_printing: bool,
}

// Claims are about people, and headers hold tokens: neither is printed.

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("role", &self.role).finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The settings that every batch sets, in parameter order.
const ALWAYS: [&str; 6] = [
    "role",
    "request.jwt.claims",
    "request.method",
    "request.path",
    "request.headers",
    "request.cookies",
];
/// The settings that a batch may set, in parameter order.
const OPTIONAL: [&str; 4] =
    ["statement_timeout", "search_path", "transaction_read_only", "timezone"];
/// Batches with up to this many extra settings share prepared texts; more than that render their own.
const SHARED_EXTRAS: usize = 8;

/// Most arguments of one function call; PostgreSQL's own limit is 100.
const MAX_ARGUMENTS: usize = 64;

/// The settings that decide how values print whose text is not always the same.
pub const PRINTING: [&str; 3] = ["TimeZone", "extra_float_digits", "bytea_output"];

static TEXTS: LazyLock<[Vec<Arc<str>>; 2]> = LazyLock::new(|| [texts(false), texts(true)]);

fn texts(reports: bool) -> Vec<Arc<str>> {
    (0..=SHARED_EXTRAS)
        .flat_map(|extras| (0..1 << OPTIONAL.len()).map(move |mask| render(mask, extras, reports)))
        .collect()
}

/// The statement that sets role, claims and context for the rest of its transaction, with its parameters in text format.
///
/// There are 32 texts for requests without extra settings; three or four of them occur in practice.
pub fn enter(caller: &Caller, context: &RequestContext) -> (Arc<str>, Vec<Option<Bytes>>) {
    let optional = [
        context.statement_timeout.map(|limit| Bytes::from(limit.as_millis().to_string())),
        context.search_path.clone(),
        context.read_only.then(|| Bytes::from_static(b"on")),
        context.time_zone.clone(),
    ];
    let mask = optional
        .iter()
        .enumerate()
        .fold(0, |mask, (bit, value)| mask | usize::from(value.is_some()) << bit);
    let always = [
        Bytes::copy_from_slice(caller.role.as_bytes()),
        caller.claims_json.clone(),
        context.method.clone(),
        context.path.clone(),
        context.headers_json.clone(),
        context.cookies_json.clone(),
    ];
    let settings = context.settings.iter().flat_map(|(name, value)| [name.clone(), value.clone()]);
    let params = settings.chain(always).chain(optional.into_iter().flatten()).map(Some).collect();
    (text(mask, context.settings.len(), context.reports_printing), params)
}

fn text(mask: usize, extras: usize, reports: bool) -> Arc<str> {
    match TEXTS[usize::from(reports)].get((extras << OPTIONAL.len()) + mask) {
        Some(text) => Arc::clone(text),
        None => render(mask, extras, reports),
    }
}

fn render(mask: usize, extras: usize, reports: bool) -> Arc<str> {
    let chosen = OPTIONAL
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| *name);
    let mut next = 0;
    let mut parameter = || {
        next += 1;
        format!("${next}")
    };
    let mut calls: Vec<String> = (0..extras)
        .map(|_| format!("set_config({}, {}, true)", parameter(), parameter()))
        .collect();
    calls.extend(
        ALWAYS
            .into_iter()
            .chain(chosen)
            .map(|name| format!("set_config('{name}', {}, true)", parameter())),
    );
    // One small value instead of an echo of everything that was set: PostgreSQL looks up how to print
    // each column that it sends.
    let mut columns: Vec<String> = calls
        .chunks(MAX_ARGUMENTS)
        .map(|group| format!("pg_catalog.num_nulls({})", group.join(", ")))
        .collect();
    let reported = PRINTING.iter().filter(|_| reports);
    columns.extend(reported.map(|name| format!("current_setting('{name}')")));
    format!("select {}", columns.join(", ")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller { role: "anon".into(), claims_json: Bytes::from_static(b"{\"role\":\"anon\"}") }
    }

    #[test]
    fn claims_and_headers_are_not_printed() {
        let headers_json = Bytes::from_static(b"{\"authorization\":\"Bearer secret\"}");
        let context = RequestContext { headers_json, ..RequestContext::default() };
        let printed = format!("{:?} {context:?}", caller());
        assert!(!printed.contains("secret") && !printed.contains("\\\"role"), "{printed}");
        assert!(printed.starts_with("Caller { role: \"anon\""), "{printed}");
    }

    #[test]
    fn a_plain_request_sets_role_claims_and_request() {
        let (sql, params) = enter(&caller(), &RequestContext::default());
        assert_eq!(
            &*sql,
            "select pg_catalog.num_nulls(set_config('role', $1, true), set_config('request.jwt.claims', $2, true), \
             set_config('request.method', $3, true), set_config('request.path', $4, true), \
             set_config('request.headers', $5, true), set_config('request.cookies', $6, true))"
        );
        assert_eq!(params.len(), 6);
        assert_eq!(params[0].as_deref(), Some(&b"anon"[..]));
    }

    #[test]
    fn optional_settings_follow_in_their_order() {
        let context = RequestContext {
            statement_timeout: Some(Duration::from_secs(8)),
            read_only: true,
            settings: Arc::new([(Bytes::from_static(b"work_mem"), Bytes::from_static(b"8MB"))]),
            ..RequestContext::default()
        };
        let (sql, params) = enter(&caller(), &context);
        assert!(sql.starts_with(
            "select pg_catalog.num_nulls(set_config($1, $2, true), set_config('role', $3, true), "
        ));
        assert!(sql.ends_with(
            "set_config('statement_timeout', $9, true), set_config('transaction_read_only', $10, true))"
        ));
        let values: Vec<&[u8]> = params.iter().map(|value| value.as_deref().unwrap()).collect();
        assert_eq!((values[0], values[1]), (&b"work_mem"[..], &b"8MB"[..]));
        assert_eq!(values[8..], [&b"8000"[..], b"on"]);
    }

    #[test]
    fn equal_shapes_share_one_text() {
        let (first, _) = enter(&caller(), &RequestContext::default());
        let (second, _) =
            enter(&caller(), &RequestContext { method: "GET".into(), ..RequestContext::default() });
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn every_parameter_has_its_place_whatever_the_shape() {
        for extras in 0..12 {
            for mask in 0..16_usize {
                let sql = text(mask, extras, false);
                let reporting = text(mask, extras, true);
                assert!(reporting.starts_with(&*sql), "{reporting}");
                assert_eq!(reporting.matches("current_setting(").count(), PRINTING.len());
                let expected = 6 + mask.count_ones() as usize + 2 * extras;
                assert_eq!(sql.matches('$').count(), expected, "{sql}");
                assert!(sql.contains(&format!("${expected},")), "{sql}");
            }
        }
    }

    #[test]
    fn a_role_may_carry_more_settings_than_a_function_takes_arguments() {
        let sql = text(0, 200, false);
        let calls = sql.split("num_nulls(").skip(1).map(|part| part.matches("set_config(").count());
        let calls: Vec<usize> = calls.collect();
        assert_eq!(calls.iter().sum::<usize>(), 206);
        assert!(calls.iter().all(|count| *count <= 100), "{calls:?}");
    }
}
