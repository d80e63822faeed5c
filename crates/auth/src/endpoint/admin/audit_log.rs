//! `GET /admin/audit`: what happened, the newest first.

use serde_json::Value;

use super::list::{Page, count_all};
use crate::error::Result;
use crate::request::Response;
use crate::service::Call;

/// A page of the log.
pub(crate) async fn read(call: &Call<'_>) -> Result<Response> {
    let page = Page::of(call)?;
    let mut work = crate::db::Work::new();
    let found = work.add(
        "select to_json(e) from (select id, payload, created_at, ip_address from auth.audit_log_entries \
         order by created_at desc nulls last, id limit $1::bigint offset $2::bigint) e",
        &[&(page.size + 1), &page.offset()],
    );
    let order = "u.created_at desc nulls last, u.id";
    let counted = work.add(&count_all("auth.audit_log_entries", order), &[]);
    let answers = call.auth.db().run(work).await?;
    let mut entries: Vec<Value> = answers.json_rows(found)?;
    let total = page.total(entries.len(), answers.json(counted)?.unwrap_or_default());
    entries.truncate(usize::try_from(page.size).unwrap_or(usize::MAX));
    let url = format!("{}/admin/audit", call.auth.external_url());
    Ok(page.linked(Response::ok(&entries), &url, "", total))
}
