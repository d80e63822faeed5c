//! How long our own statements may take. A network that swallows all that is on its way tells nobody.

use std::time::Duration;

use plinth_wire::WireError;
use tokio::time::timeout;

/// Most that one of our own statements takes before its connection counts as lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The same for those that keep a lease.
pub(crate) fn within(lease: Duration) -> Duration {
    (lease / 2).min(PATIENCE)
}

/// The answer, unless it takes too long.
pub(crate) async fn soon<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    timeout(limit, answer).await.unwrap_or(Err(WireError::AnswerTimeout(limit)))
}
