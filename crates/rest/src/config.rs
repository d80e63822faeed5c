//! The settings that shape answers.

/// What happens to a transaction at its end (`db-tx-end`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TxEnd {
    /// Commit; `Prefer: tx` is ignored.
    #[default]
    Commit,
    /// Commit, unless the client asks `Prefer: tx=rollback`.
    CommitAllowOverride,
    /// Roll back; `Prefer: tx` is ignored.
    Rollback,
    /// Roll back, unless the client asks `Prefer: tx=commit`.
    RollbackAllowOverride,
}

impl TxEnd {
    /// The setting's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::CommitAllowOverride => "commit-allow-override",
            Self::Rollback => "rollback",
            Self::RollbackAllowOverride => "rollback-allow-override",
        }
    }
}

/// What the OpenAPI document at the root shows (`openapi-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpenApiMode {
    /// Only what the caller's role may use.
    #[default]
    FollowPrivileges,
    /// Everything in the exposed schemas.
    IgnorePrivileges,
    /// The root answers 404.
    Disabled,
}

impl OpenApiMode {
    /// The setting's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FollowPrivileges => "follow-privileges",
            Self::IgnorePrivileges => "ignore-privileges",
            Self::Disabled => "disabled",
        }
    }
}

/// The settings of the data API that shape its answers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Exposed schemas; the first is the default one. Never empty.
    pub schemas: Vec<String>,
    /// Schemas added to the search path after the request's own.
    pub extra_search_path: Vec<String>,
    /// No read returns more rows than this.
    pub max_rows: Option<u64>,
    /// Whether `count()`, `sum()` and the like may be used in `select`.
    pub aggregates: bool,
    /// Whether `Accept: application/vnd.pgrst.plan` is answered.
    pub plan: bool,
    /// What happens at the end of a transaction.
    pub tx_end: TxEnd,
    /// What the OpenAPI document shows.
    pub openapi_mode: OpenApiMode,
    /// Whether a function runs before every request (`db-pre-request`), which may set
    /// `response.headers` and `response.status` even for a plain read.
    pub pre_request: bool,
    /// Function that answers at the root instead of the OpenAPI document (`db-root-spec`), as
    /// `name` or `schema.name`.
    pub root_spec: Option<String>,
    /// Whether the OpenAPI document tells how to authenticate (`openapi-security-active`).
    pub openapi_security: bool,
    /// Base URL in the OpenAPI document (`openapi-server-proxy-uri`); an absolute `http` or `https`
    /// URL.
    pub openapi_proxy_uri: Option<String>,
    /// Settings of functions that hold for the whole transaction (`db-hoisted-tx-settings`), in lower
    /// case.
    pub hoisted_settings: Vec<String>,
    /// Whether filters, orders and limits may name an embed by its relation although it has an alias
    /// (`url-use-legacy-target-names`; deprecated: the answer then has a `Warning`).
    pub legacy_target_names: bool,
}

/// The settings of functions that hold for the whole transaction unless configured otherwise.
const HOISTED: &[&str] =
    &["statement_timeout", "plan_filter.statement_cost_limit", "default_transaction_isolation"];

impl Default for Config {
    fn default() -> Self {
        Self {
            schemas: vec!["public".to_owned()],
            extra_search_path: vec!["public".to_owned()],
            max_rows: None,
            aggregates: false,
            plan: false,
            tx_end: TxEnd::default(),
            openapi_mode: OpenApiMode::default(),
            pre_request: false,
            root_spec: None,
            openapi_security: false,
            openapi_proxy_uri: None,
            hoisted_settings: HOISTED.iter().map(|&name| name.to_owned()).collect(),
            legacy_target_names: true,
        }
    }
}
