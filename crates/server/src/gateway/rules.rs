//! How requests are let in and answers dressed: the part of the settings that the gateway heeds.

use std::sync::Arc;

use http::HeaderName;

use super::caller::Access;
use super::cors::Origins;

/// The rules of one project at one moment.
#[derive(Clone)]
pub struct Rules {
    /// Which credentials are accepted.
    pub access: Arc<Access>,
    /// Whose scripts may read answers.
    pub origins: Origins,
    /// The request's header that the answer repeats (`server-trace-header`).
    pub trace_header: Option<HeaderName>,
    /// Whether answers carry `Server-Timing`.
    pub timing: bool,
    /// Whether errors lack details and hint (`client-error-verbosity`).
    pub terse_errors: bool,
    /// Whether the SQL text of every request is logged.
    pub log_query: bool,
    /// Which requests are logged, by the status of their answers: those of at least this.
    pub log_from_status: u16,
}

impl Rules {
    /// The rules of a project behind the gateway.
    pub fn project(access: Arc<Access>) -> Self {
        Self {
            access,
            origins: Origins::Gateway,
            trace_header: None,
            timing: false,
            terse_errors: false,
            log_query: false,
            log_from_status: 500,
        }
    }
}
