//! `GET /admin/users`: users page by page.

use std::fmt::Write as _;

use http::{HeaderName, header};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use crate::error::{Error, Result};
use crate::request::Response;
use crate::service::Call;
use crate::user::{USER, User, UserView};

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
/// Users of a page, unless somebody asks for another number, and at most.
const PER_PAGE: u64 = 50;
const MAX_PER_PAGE: u64 = 1000;
/// Characters of a filter.
const MAX_FILTER: usize = 255;
/// As many entries are counted exactly; beyond that the planner's estimate is told.
pub(crate) const COUNTED: u64 = 20_000;
/// A filter too short for an index is looked for among so many of the newest users.
const SHORT_FILTER: u64 = 20_000;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    pub(crate) number: u64,
    /// Entries of a page.
    pub(crate) size: u64,
}

impl Page {
    /// `page` and `per_page` of the query. What is absent, empty or 0 is the first page, of the usual size.
    ///
    /// # Errors
    ///
    /// 400 when one is no number.
    pub(crate) fn of(call: &Call<'_>) -> Result<Self> {
        let number = |name: &str| -> Result<Option<u64>> {
            let Some(text) = call.request.parameter(name) else { return Ok(None) };
            let number = text.parse::<u64>().map_err(|_not_a_number| {
                let text: String = text.chars().take(64).collect();
                Error::validation(format!("Bad Pagination Parameters: {name} is {text:?}"))
            })?;
            Ok(Some(number).filter(|number| *number > 0))
        };
        Ok(Self {
            number: number("page")?.unwrap_or(1),
            size: number("per_page")?.unwrap_or(PER_PAGE).min(MAX_PER_PAGE),
        })
    }

    /// Entries before it.
    pub(crate) fn offset(self) -> u64 {
        (self.number - 1).saturating_mul(self.size).min(i64::MAX as u64)
    }

    /// The answer with the headers that lead to the other pages (RFC 8288). `more` is what else belongs
    /// into their query, beginning with `&`.
    ///
    /// Clients read one number after the first `=`, so the page comes first.
    pub(crate) fn linked(
        self,
        response: Response,
        url: &str,
        more: &str,
        total: Total,
    ) -> Response {
        let size = self.size;
        let last = total.entries.div_ceil(size).max(1);
        let mut links = String::new();
        if total.next {
            let next = self.number.saturating_add(1);
            let _ = write!(links, "<{url}?page={next}&per_page={size}{more}>; rel=\"next\", ");
        }
        let _ = write!(links, "<{url}?page={last}&per_page={size}{more}>; rel=\"last\"");
        response.with(TOTAL, &total.entries.to_string()).with(header::LINK, &links)
    }

    /// How many entries there are, when `found` were read of one page and one entry more.
    pub(crate) fn total(self, found: usize, counted: Counted) -> Total {
        let found = found as u64;
        let next = found > self.size;
        let seen = self.offset().saturating_add(found);
        let entries = match counted.counted <= COUNTED {
            true => counted.counted,
            false if found == 0 => counted.counted.max(counted.estimated),
            false if !next => seen,
            false => counted.counted.max(counted.estimated).max(seen),
        };
        Total { entries, next }
    }
}

/// How many entries a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Total {
    /// All of them, more or less when there are many.
    pub(crate) entries: u64,
    /// Whether there are any after this page, which is known for certain.
    pub(crate) next: bool,
}

/// What the database says about the number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counted {
    /// At most one more than [`COUNTED`].
    counted: u64,
    /// What the planner thinks.
    #[serde(default)]
    estimated: u64,
}

/// Reads a [`Counted`] of a whole table along an index, of which `order` is the order.
pub(crate) fn count_all(table: &str, order: &str) -> String {
    format!(
        "select jsonb_build_object( \
         'counted', (select count(*) from (select 1 from {table} u order by {order} limit {COUNTED} + 1) c), \
         'estimated', (select greatest(0, c.reltuples / greatest(c.relpages, 1) \
            * (pg_relation_size(c.oid) / current_setting('block_size')::integer))::bigint \
            from pg_catalog.pg_class c where c.oid = '{table}'::regclass))"
    )
}

/// Finds parts of addresses, numbers and names; an index on their trigrams has all three.
const MATCHES: &str = "\
(u.email like $3 or u.phone like $3 or u.raw_user_meta_data ->> 'full_name' ilike $3)";

/// The order of `users_newest_idx`.
const NEWEST: &str = "u.created_at desc nulls last, u.id";

/// What is read of `auth.users`, of which `$3` is the pattern if there is one.
fn candidates(filter: Option<&str>) -> String {
    match filter {
        None => "auth.users u".to_owned(),
        Some(filter) if has_trigram(filter) => format!("auth.users u where {MATCHES}"),
        Some(_) => format!(
            "(select * from auth.users u order by {NEWEST} limit {SHORT_FILTER}) u where {MATCHES}"
        ),
    }
}

/// The newest first; `filter` is a part of an address, of a number or of a name.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    let page = Page::of(call)?;
    let filter = call.request.parameter("filter");
    let filter = filter.map(|text| text.chars().take(MAX_FILTER).collect::<String>());
    let pattern = filter.as_deref().map(pattern);
    let from = candidates(filter.as_deref());
    let mut work = crate::db::Work::new();
    // The plan depends on how many rows the pattern is expected to find.
    work.add("select set_config('plan_cache_mode', 'force_custom_plan', true)", &[]);
    let of_page = format!(
        "with page as (select u.id, u.created_at from {from} order by {NEWEST} limit $1::bigint offset $2::bigint) \
         select {USER} from page p join auth.users u on u.id = p.id order by p.created_at desc nulls last, p.id"
    );
    let (limit, offset) = (page.size + 1, page.offset());
    let (found, counted) = match &pattern {
        None => {
            let found = work.add(&of_page, &[&limit, &offset]);
            (found, work.add(&count_all("auth.users", NEWEST), &[]))
        }
        Some(pattern) => {
            let found = work.add(&of_page, &[&limit, &offset, pattern]);
            let from = from.replace("$3", "$1");
            let count = format!(
                "select jsonb_build_object('counted', count(*)) from (select 1 from {from} order by {NEWEST} limit {COUNTED} + 1) c"
            );
            (found, work.add(&count, &[pattern]))
        }
    };
    let answers = call.auth.db().run(work).await?;
    let users: Vec<User> = answers.json_rows(found)?;
    let total = page.total(users.len(), answers.json(counted)?.unwrap_or_default());
    let of_page = usize::try_from(page.size).unwrap_or(usize::MAX);
    let views: Vec<UserView> = users.iter().take(of_page).map(User::view).collect();
    let response = Response::ok(&json!({"users": views, "aud": "authenticated"}));
    let url = format!("{}/admin/users", call.auth.external_url());
    let more = filter.map_or_else(String::new, |text| {
        let pair =
            form_urlencoded::Serializer::new(String::new()).append_pair("filter", &text).finish();
        format!("&{pair}")
    });
    Ok(page.linked(response, &url, &more, total))
}

/// Whether an index on trigrams helps to find `filter`, by the rules of `pg_trgm`: words are padded with
/// blanks, two before and one behind, and both ends of the filter may lie within a word.
fn has_trigram(filter: &str) -> bool {
    let mut word = 0;
    let mut begins = false;
    for character in filter.chars() {
        if character.is_alphanumeric() {
            word += 1;
            if word + if begins { 2 } else { 0 } >= 3 {
                return true;
            }
        } else {
            if word > 0 && word + 1 + if begins { 2 } else { 0 } >= 3 {
                return true;
            }
            (word, begins) = (0, true);
        }
    }
    false
}

/// A pattern for LIKE that finds `text` anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.extend(character.to_lowercase());
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_text_and_no_pattern() {
        assert_eq!(pattern("A%b_c\\"), "%a\\%b\\_c\\\\%");
    }

    #[test]
    fn links_lead_to_the_next_and_the_last_page() {
        let link = |number, found, counted| {
            let page = Page { number, size: 10 };
            let total = page.total(found, Counted { counted, estimated: 0 });
            let response = page.linked(Response::done(), "http://a/admin/users", "&x=y", total);
            response.headers[header::LINK].to_str().unwrap().to_owned()
        };
        let last = "<http://a/admin/users?page=3&per_page=10&x=y>; rel=\"last\"";
        assert_eq!(link(3, 10, 30), last);
        assert_eq!(
            link(1, 11, 30),
            format!("<http://a/admin/users?page=2&per_page=10&x=y>; rel=\"next\", {last}")
        );
        let only = "<http://a/admin/users?page=1&per_page=10&x=y>; rel=\"last\"";
        assert_eq!(link(1, 0, 0), only);
    }

    #[test]
    fn an_estimate_neither_hides_a_page_nor_promises_one() {
        let page = Page { number: 3_000, size: 10 };
        let counted = |estimated| Counted { counted: COUNTED + 1, estimated };
        let total = |found, estimated| page.total(found, counted(estimated));
        assert_eq!(total(11, 90_000), Total { entries: 90_000, next: true });
        // The planner lags behind: there is more.
        assert_eq!(total(11, 25_000), Total { entries: 30_001, next: true });
        // The end is here, whatever the planner thinks.
        assert_eq!(total(4, 90_000), Total { entries: 29_994, next: false });
        assert_eq!(total(0, 25_000), Total { entries: 25_000, next: false });
    }

    #[test]
    fn short_filters_have_no_trigram() {
        for (filter, expected) in [
            ("abc", true),
            ("ab", false),
            ("a", false),
            ("@a.", true),
            ("@ab", true),
            ("@a", true),
            ("ab@", true),
            ("a@", false),
            ("a@b", true),
            ("@.-%_", false),
            ("äöü", true),
        ] {
            assert_eq!(has_trigram(filter), expected, "{filter}");
        }
    }
}
