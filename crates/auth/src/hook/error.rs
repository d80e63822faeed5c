//! Why a hook's answer cannot be followed.

use super::function::FUNCTION_TIMEOUT;
use super::http::{MAX_ANSWER, TIMEOUT};

/// What clients are told when a hook refuses or fails. Messages and codes are GoTrue's.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The hook answered with an error object: its status and message, to be passed on.
    #[error("{message}")]
    Refused {
        /// 400 to 599.
        status: u16,
        /// The hook's words.
        message: String,
    },
    /// No answer within five seconds.
    #[error("Failed to reach hook within maximum time of {:.6} seconds", TIMEOUT.as_secs_f64())]
    Timeout,
    /// A function ran for longer than [`FUNCTION_TIMEOUT`].
    #[error("Failed to reach hook within maximum time of {:.6} seconds", FUNCTION_TIMEOUT.as_secs_f64())]
    FunctionTimeout,
    /// A function is not there, may not be called, or raised an error. What it said is for the log.
    #[error("Error running hook URI: pg-functions://postgres/{schema}/{function}")]
    Function {
        /// Its schema.
        schema: String,
        /// Its name.
        function: String,
        /// What the database said.
        #[source]
        source: plinth_wire::WireError,
    },
    /// No connection, three times.
    #[error("Failed to reach hook after maximum retries")]
    Unreachable(#[source] reqwest::Error),
    /// The answer is longer than [`MAX_ANSWER`].
    #[error("Payload size exceeded size limit of {MAX_ANSWER} bytes")]
    TooLarge,
    /// The answer has no media type.
    #[error("Invalid Content-Type: Missing Content-Type header")]
    NoContentType,
    /// The answer is not `application/json`.
    #[error("Invalid JSON response. Received content-type: {0}")]
    ContentType(String),
    /// 429 or 503, without `Retry-After` or three times.
    #[error("Service currently unavailable due to hook")]
    Unavailable,
    /// 400.
    #[error("Invalid payload sent to hook")]
    InvalidPayload,
    /// 401.
    #[error("Hook requires authorization token")]
    Unauthorized,
    /// Any other status.
    #[error("Unexpected status code returned from hook: {0}")]
    Status(u16),
    /// The answer is not a JSON object.
    #[error("Error unmarshaling JSON output.")]
    NotJson,
    /// A `decision` other than `continue` and `reject`.
    #[error("Unexpected decision returned from hook: {0}")]
    Decision(String),
    /// No `claims` in the answer of a custom-access-token hook.
    #[error("output claims field is missing")]
    ClaimsMissing,
    /// The claims lack something, or have something of another type; one line for each.
    #[error("output claims do not conform to the expected schema: \n{}", lines(.0))]
    Claims(Vec<String>),
}

impl HookError {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Timeout | Self::FunctionTimeout | Self::Unreachable(_) | Self::TooLarge => 422,
            Self::NoContentType | Self::ContentType(_) => 400,
            Self::Function { .. }
            | Self::Unavailable
            | Self::InvalidPayload
            | Self::Unauthorized
            | Self::Status(_)
            | Self::NotJson
            | Self::Decision(_)
            | Self::ClaimsMissing
            | Self::Claims(_) => 500,
        }
    }

    /// The error code to answer with.
    pub fn code(&self) -> &'static str {
        match self {
            // GoTrue has no code for what hooks say, and fills in by the status.
            Self::Refused { status: 500, .. } => "unexpected_failure",
            Self::Refused { .. } => "unknown",
            Self::Timeout | Self::FunctionTimeout => "hook_timeout",
            Self::Unreachable(_) => "hook_timeout_after_retry",
            Self::TooLarge => "hook_payload_over_size_limit",
            Self::NoContentType | Self::ContentType(_) => "hook_payload_invalid_content_type",
            Self::Function { .. }
            | Self::Unavailable
            | Self::InvalidPayload
            | Self::Unauthorized
            | Self::Status(_)
            | Self::NotJson
            | Self::Decision(_)
            | Self::ClaimsMissing
            | Self::Claims(_) => "unexpected_failure",
        }
    }
}

fn lines(complaints: &[String]) -> String {
    complaints.iter().map(|complaint| format!("- {complaint}\n")).collect()
}
