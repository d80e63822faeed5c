//! Code of the project that takes part: functions of its database, and servers.

mod functions;
mod listener;
mod servers;

use crate::support::Site;

/// Makes a hook of `public.hook` with a body in PL/pgSQL.
async fn function(site: &Site<'_>, body: &str) {
    site.sql(&format!(
        "create or replace function public.hook(event jsonb) returns jsonb language plpgsql as $hook$ begin {body} end $hook$; \
         grant execute on function public.hook to supabase_auth_admin; \
         revoke execute on function public.hook from authenticated, anon, public;"
    ))
    .await;
}

/// Settings in which `public.hook` is the hook of that name.
fn calls_function(name: &str) -> String {
    format!("[auth.hook.{name}]\nenabled = true\nuri = \"pg-functions://postgres/public/hook\"\n")
}
