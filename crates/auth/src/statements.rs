//! The statements that sign-in asks most, for whoever measures what they cost.

use crate::endpoint::ROTATE;
use crate::service::LOCATE;

/// Reads the user `$1` and the session `$2` of an access token, of which every request of a user begins.
pub fn locate() -> &'static str {
    &LOCATE
}

/// Refreshes a session: its id, the number of its token, user agent, address, seconds that it may live and be idle, whether
/// it is noted in the log, seconds without a second factor that the user has, and the client that acts for the user.
pub fn rotate() -> &'static str {
    &ROTATE
}
