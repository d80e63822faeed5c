//! The statements that sign-in asks most, for whoever measures what they cost.

use crate::endpoint::ROTATE;
use crate::service::LOCATE;

/// Reads the user `$1` and the session `$2` of an access token, of which every request of a user begins.
pub fn locate() -> &'static str {
    &LOCATE
}

/// Refreshes a session: its id, the number of its token, user agent, address, seconds that it may live and be idle, and
/// whether it is noted in the log.
pub fn rotate() -> &'static str {
    &ROTATE
}
