//! `GET /admin/users`: users page by page.

use std::fmt::Write as _;

use http::{HeaderName, header};
use serde_json::json;

use crate::error::Result;
use crate::request::Response;
use crate::service::Call;
use crate::user::{USER, User, UserView};

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
/// Users of a page, unless somebody asks for another number, and at most.
const PER_PAGE: u64 = 50;
const MAX_PER_PAGE: u64 = 1000;
/// Characters of a filter.
const MAX_FILTER: usize = 255;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    pub(crate) number: u64,
    /// Entries of a page.
    pub(crate) size: u64,
}

impl Page {
    /// `page` and `per_page` of the query.
    pub(crate) fn of(call: &Call<'_>) -> Self {
        let number = |name| call.request.parameter(name).and_then(|text| text.parse::<u64>().ok());
        Self {
            number: number("page").filter(|page| *page > 0).unwrap_or(1),
            size: number("per_page").filter(|size| *size > 0).unwrap_or(PER_PAGE).min(MAX_PER_PAGE),
        }
    }

    /// Entries before it.
    pub(crate) fn offset(self) -> u64 {
        (self.number - 1).saturating_mul(self.size).min(i64::MAX as u64)
    }

    /// The answer with the headers that lead to the other pages (RFC 8288).
    pub(crate) fn linked(self, response: Response, url: &str, total: u64) -> Response {
        let last = total.div_ceil(self.size).max(1);
        let mut links = String::new();
        if self.number < last {
            let next = self.number + 1;
            let _ = write!(links, "<{url}?page={next}&per_page={}>; rel=\"next\", ", self.size);
        }
        let _ = write!(links, "<{url}?page={last}&per_page={}>; rel=\"last\"", self.size);
        response.with(TOTAL, &total.to_string()).with(header::LINK, &links)
    }
}

/// The newest first; `filter` is a part of an address or of a name.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    let page = Page::of(call);
    let filter = call.request.parameter("filter");
    let pattern = filter.as_deref().map(pattern);
    let (condition, order) = match &pattern {
        // Both sides of the comparison are in an index, so a page costs what it holds.
        None => ("true", "u.created_at desc nulls last, u.id"),
        Some(_) => (
            "u.id in (select m.id from auth.users m where m.email like $3 or m.phone like $3 \
             union select m.id from auth.users m where m.raw_user_meta_data ->> 'full_name' ilike $3)",
            "u.created_at desc nulls last, u.id",
        ),
    };
    let of_page = format!(
        "select {USER} from (select * from auth.users u where ({condition}) and $3::text is not distinct from $3 \
         order by {order} limit $1::bigint offset $2::bigint) u order by {order}"
    );
    let mut work = crate::db::Work::new();
    work.add(&of_page, &[&page.size, &page.offset(), &pattern]);
    let total = match &pattern {
        None => work.add("select to_json(count(*)) from auth.users", &[]),
        Some(pattern) => {
            let count = format!(
                "select to_json(count(*)) from auth.users u where {}",
                condition.replace("$3", "$1")
            );
            work.add(&count, &[pattern])
        }
    };
    let answers = call.auth.db().run(work).await?;
    let users: Vec<User> = answers.json_rows(0)?;
    let total: u64 = answers.json(total)?.unwrap_or_default();
    let views: Vec<UserView> = users.iter().map(User::view).collect();
    let response = Response::ok(&json!({"users": views, "aud": "authenticated"}));
    let url = format!("{}/admin/users", call.auth.external_url());
    Ok(page.linked(response, &url, total))
}

/// A pattern for LIKE that finds `text` anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars().take(MAX_FILTER) {
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
        let link = |number, total| {
            let page = Page { number, size: 10 };
            let response = page.linked(Response::done(), "http://a/admin/users", total);
            response.headers[header::LINK].to_str().unwrap().to_owned()
        };
        let last = "<http://a/admin/users?page=3&per_page=10>; rel=\"last\"";
        assert_eq!(link(3, 30), last);
        assert_eq!(
            link(1, 30),
            format!("<http://a/admin/users?page=2&per_page=10>; rel=\"next\", {last}")
        );
        assert_eq!(link(1, 0), "<http://a/admin/users?page=1&per_page=10>; rel=\"last\"");
    }
}
