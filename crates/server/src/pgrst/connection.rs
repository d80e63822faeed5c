//! Where the database is, as libpq would find it.

use anyhow::Context;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use plinth_postgres::Endpoint;

/// Parameters of libpq that mean nothing here.
const IGNORED: &[&str] = &[
    "fallback_application_name",
    "client_encoding",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "passfile",
    "replication",
    "requirepeer",
    "sslcompression",
];

/// Where servers that were installed by a package put their sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The server and the database that `uri` names: a URL or a `key=value` string. What it leaves out
/// comes from libpq's variables (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`,
/// `PGSSLMODE`), which `variable` looks up, then from libpq's defaults.
///
/// # Errors
///
/// When it does not parse, or asks for what we cannot do.
pub fn endpoint(
    uri: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<(Endpoint, String)> {
    let uri = without_ignored(uri);
    let known: tokio_postgres::Config =
        uri.parse().ok().context("db-uri is no connection URL and no key=value string")?;
    let mut missing: Vec<(&str, String)> = Vec::new();
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let port = match known.get_ports().first() {
        Some(port) => port.to_string(),
        None => {
            let port = given("PGPORT").unwrap_or_else(|| "5432".to_owned());
            missing.push(("port", port.clone()));
            port
        }
    };
    if known.get_hosts().is_empty() && known.get_hostaddrs().is_empty() {
        let host = given("PGHOST").or_else(|| given("PGHOSTADDR"));
        missing.push(("host", host.unwrap_or_else(|| local_server(&port))));
    }
    let user = match known.get_user() {
        Some(user) => user.to_owned(),
        None => {
            let user = given("PGUSER").or_else(|| given("USER")).or_else(|| given("LOGNAME"));
            let user = user.context("db-uri names no user")?;
            missing.push(("user", user.clone()));
            user
        }
    };
    if known.get_password().is_none()
        && let Some(password) = given("PGPASSWORD")
    {
        missing.push(("password", password));
    }
    if known.get_dbname().is_none() {
        missing.push(("dbname", given("PGDATABASE").unwrap_or(user)));
    }
    if !uri.contains("sslmode")
        && let Some(mode) = given("PGSSLMODE").filter(|mode| mode != "allow")
    {
        missing.push(("sslmode", mode));
    }
    let (endpoint, database) = Endpoint::from_url(&with(&uri, &missing))?;
    let database = database.unwrap_or_else(|| endpoint.admin.role.clone());
    Ok((endpoint, database))
}

/// A socket that is there, else the loopback interface.
fn local_server(port: &str) -> String {
    let socket =
        |folder: &&str| std::path::Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_FOLDERS.into_iter().find(socket).unwrap_or("localhost").to_owned()
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn without_ignored(uri: &str) -> String {
    let uri = uri.trim();
    let Some((base, query)) = uri.split_once('?').filter(|_| is_url(uri)) else {
        return uri.to_owned();
    };
    // A password may hold a question mark that nobody encoded.
    if query.contains('@') {
        return uri.to_owned();
    }
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !IGNORED.contains(&pair.split('=').next().unwrap_or_default()))
        .filter(|pair| !pair.is_empty())
        .collect();
    if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
}

fn with(uri: &str, missing: &[(&str, String)]) -> String {
    let mut whole = uri.to_owned();
    for (name, value) in missing {
        if is_url(uri) {
            let sign = if whole.contains('?') { '&' } else { '?' };
            whole.push_str(&format!(
                "{sign}{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        } else {
            let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
            whole.push_str(&format!(" {name}='{escaped}'"));
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use plinth_wire::Host;

    fn find(uri: &str, variables: &[(&str, &str)]) -> anyhow::Result<(Endpoint, String)> {
        endpoint(uri, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_the_url_leaves_out_comes_from_the_environment() {
        let variables = [
            ("PGHOST", "/run/pg"),
            ("PGPORT", "6000"),
            ("PGUSER", "some one"),
            ("PGPASSWORD", "p'w\\&=?"),
            ("PGDATABASE", "app"),
        ];
        for uri in ["postgresql://", "", "postgres://?application_name=x"] {
            let (endpoint, database) = find(uri, &variables).unwrap();
            assert_eq!(endpoint.host, Host::Unix("/run/pg".into()), "{uri}");
            assert_eq!((endpoint.port, endpoint.admin.role.as_str()), (6000, "some one"));
            assert_eq!(endpoint.admin.password.unwrap().expose(), "p'w\\&=?");
            assert_eq!(database, "app");
        }
        let (endpoint, database) = find("postgres://me:pw@db:1/mine", &variables).unwrap();
        assert_eq!(endpoint.host, Host::Tcp("db".to_owned()));
        assert_eq!((endpoint.port, endpoint.admin.role.as_str()), (1, "me"));
        assert_eq!(database, "mine");
    }

    #[test]
    fn the_rest_is_as_libpq_would_have_it() {
        let (endpoint, database) = find("host=db user=me", &[]).unwrap();
        assert_eq!((endpoint.port, database.as_str()), (5432, "me"));
        let (endpoint, _) = find(
            "postgresql:///app?host=/sockets&user=me&fallback_application_name=x%201",
            &[("PGHOST", "no")],
        )
        .unwrap();
        assert_eq!(endpoint.host, Host::Unix("/sockets".into()));
        assert!(find("postgresql://", &[]).is_err(), "nobody");
        assert!(find("nonsense", &[("USER", "me")]).is_err());
    }
}
