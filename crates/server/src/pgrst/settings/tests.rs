use super::super::layers::Layer;
use super::*;

fn layer(pairs: &[(&str, &str)]) -> Layer {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(
    file: &[(&str, &str)],
    environment: &[(&str, &str)],
    database: &[(&str, &str)],
) -> Result<Settings, String> {
    let (file, environment, database) = (layer(file), layer(environment), layer(database));
    let flags = Layer::new();
    let layers =
        Layers { database: &database, flags: &flags, environment: &environment, file: &file };
    Settings::read(&layers).map_err(|error| error.to_string())
}

#[test]
fn without_any_settings_there_are_postgrests_defaults() {
    let settings = read(&[], &[], &[]).unwrap();
    assert_eq!(settings.listen, Place::Tcp("!4".to_owned(), 3000));
    assert_eq!(settings.admin, None);
    assert_eq!(settings.rest.schemas, ["public"]);
    assert_eq!(settings.channel.as_deref(), Some("pgrst"));
    assert_eq!(settings.jwt.role_path, RolePath::default());
    assert_eq!(settings.jwt.cache_entries, 1000);
    assert_eq!(settings.log_level, LogLevel::Error);
    assert!(settings.in_database && settings.time_zones && settings.warnings.is_empty());
    assert_eq!(settings.rest.hoisted_settings, plinth_rest::Config::default().hoisted_settings);
}

#[test]
fn the_database_wins_over_the_environment_and_that_over_the_file() {
    let settings = read(
        &[("db-schemas", "f"), ("db-max-rows", "1"), ("server-port", "1"), ("db-anon-role", "a")],
        &[("PGRST_DB_SCHEMAS", "e, e2"), ("PGRST_DB_MAX_ROWS", "2"), ("PGRST_DB_ANON_ROLE", "")],
        &[("db_schemas", "d,d2"), ("server_port", "7")],
    )
    .unwrap();
    assert_eq!(settings.rest.schemas, ["d", "d2"]);
    assert_eq!(settings.rest.max_rows, Some(2));
    assert_eq!(settings.listen, Place::Tcp("!4".to_owned(), 1), "not the database's to say");
    assert_eq!(settings.anonymous_role, None, "an empty variable hides the file's value");
}

#[test]
fn old_names_count_when_the_new_ones_are_silent() {
    let settings = read(
        &[("max-rows", "5"), ("db-schema", "old"), ("role-claim-key", ".r"), ("pre-request", "p")],
        &[("PGRST_SECRET_IS_BASE64", "TRUE")],
        &[],
    )
    .unwrap();
    assert_eq!((settings.rest.max_rows, settings.rest.schemas), (Some(5), vec!["old".to_owned()]));
    assert_eq!(settings.jwt.role_path.as_str(), ".r");
    assert_eq!(settings.pre_request.as_deref(), Some("p"));
    assert!(settings.jwt.base64);
}

#[test]
fn app_settings_keep_their_names_and_the_environment_wins() {
    let settings = read(
        &[("app.settings.a", "1"), ("app.settings.b", "2"), ("app.other", "3")],
        &[("PGRST_APP_SETTINGS_b", "4"), ("PGRST_APP_SETTINGS_C", "5")],
        &[],
    )
    .unwrap();
    let pair = |name: &str, value: &str| (format!("app.settings.{name}"), value.to_owned());
    assert_eq!(settings.app_settings, [pair("C", "5"), pair("a", "1"), pair("b", "4")]);
}

#[test]
fn numbers_and_switches_are_read_generously() {
    for (text, wanted) in
        [("TRUE", true), ("\"true\"", true), ("1", true), ("0", false), ("False", false)]
    {
        let settings = read(&[], &[("PGRST_DB_PLAN_ENABLED", text)], &[]).unwrap();
        assert_eq!(settings.rest.plan, wanted, "{text}");
    }
    let settings = read(
        &[("db-pool", "2e1")],
        &[("PGRST_DB_CONFIG", "perhaps"), ("PGRST_SERVER_PORT", "x")],
        &[],
    )
    .unwrap();
    assert_eq!(settings.pool_size, 20);
    assert!(settings.in_database);
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
}

#[test]
fn values_that_make_no_sense_are_refused_in_postgrests_words() {
    for (variable, value, message) in [
        ("LOG_LEVEL", "never", "Invalid logging level. Check your configuration."),
        ("DB_TX_END", "random", "Invalid transaction termination. Check your configuration."),
        ("OPENAPI_MODE", "follow-", "Invalid openapi-mode. Check your configuration."),
        (
            "CLIENT_ERROR_VERBOSITY",
            "x",
            "Invalid client-error-verbosity. Check your configuration.",
        ),
        (
            "OPENAPI_SERVER_PROXY_URI",
            "htp:/@@host.invalid",
            "Malformed proxy uri, a correct example: https://example.com:8443/basePath",
        ),
        ("JWT_AUD", "foo://%%$$^^.com", "jwt-aud should be a string or a valid URI"),
        ("JWT_ROLE_CLAIM_KEY", ".role##", "failed to parse role-claim-key value (.role##)"),
        ("DB_SCHEMAS", "public, pg_catalog", "db-schemas does not allow schema: 'pg_catalog'"),
        ("ADMIN_SERVER_PORT", "3000", "admin-server-port cannot be the same as server-port"),
        (
            "SERVER_TRACE_HEADER",
            "Content-Length",
            "server-trace-header is no name of a header that can be sent back",
        ),
    ] {
        let name = format!("PGRST_{variable}");
        assert_eq!(read(&[], &[(&name, value)], &[]).unwrap_err(), message, "{variable}");
    }
    for (mode, why) in
        [("800", "not an octal"), ("577", "between 600 and 777"), ("1000", "between 600")]
    {
        let socket = ("PGRST_SERVER_UNIX_SOCKET", "/tmp/x.sock");
        let error = read(&[], &[socket, ("PGRST_SERVER_UNIX_SOCKET_MODE", mode)], &[]).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_admin_server_is_for_this_machine_unless_told_otherwise() {
    let place = |told: &[(&str, &str)]| {
        let port = [("admin-server-port", "3001")];
        read(&[&port, told].concat(), &[], &[]).unwrap().admin
    };
    for (told, host) in [
        (&[][..], "127.0.0.1"),
        (&[("server-host", "")], "127.0.0.1"),
        (&[("server-host", "!4")], "!4"),
        (&[("server-host", "*"), ("admin-server-host", "::1")], "::1"),
        (&[("admin-server-host", "*6")], "*6"),
    ] {
        assert_eq!(place(told), Some(Place::Tcp(host.to_owned(), 3001)), "{told:?}");
    }
    let socket = place(&[("admin-server-unix-socket", "/tmp/a.sock")]);
    assert_eq!(socket, Some(Place::Unix("/tmp/a.sock".into(), 0o660)));
}
