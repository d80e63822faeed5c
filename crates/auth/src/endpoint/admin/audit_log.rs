//! `GET /admin/audit`: what happened, the newest first.

use serde_json::Value;

use super::list::Page;
use crate::error::Result;
use crate::request::Response;
use crate::service::Call;

/// A page of the log.
pub(crate) async fn read(call: &Call<'_>) -> Result<Response> {
    let page = Page::of(call);
    let mut work = crate::db::Work::new();
    work.add(
        "select to_json(e) from (select id, payload, created_at, ip_address from auth.audit_log_entries \
         order by created_at desc, id limit $1::bigint offset $2::bigint) e",
        &[&page.size, &page.offset()],
    );
    work.add("select to_json(count(*)) from auth.audit_log_entries", &[]);
    let answers = call.auth.db().run(work).await?;
    let entries: Vec<Value> = answers.json_rows(0)?;
    let total: u64 = answers.json(1)?.unwrap_or_default();
    let url = format!("{}/admin/audit", call.auth.external_url());
    Ok(page.linked(Response::ok(&entries), &url, total))
}
