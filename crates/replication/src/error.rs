//! Why there is no stream.

use std::io;
use std::time::Duration;

use plinth_wire::{DatabaseError, WireError};

use crate::decode::DecodeError;
use crate::event::GapReason;

/// Why a stream could not begin, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No session could be opened.
    #[error("cannot open a replication connection")]
    Open(#[source] WireError),
    /// PostgreSQL refused a command, or ended the stream.
    #[error("{doing}: {} ({})", .error.message, .error.code)]
    Database {
        /// What we were doing.
        doing: &'static str,
        /// What it said.
        error: Box<DatabaseError>,
    },
    /// The connection broke.
    #[error("the replication connection was lost")]
    Lost(#[source] io::Error),
    /// Nothing was heard for so long.
    #[error("nothing came from PostgreSQL for {} ms", .0.as_millis())]
    Silent(Duration),
    /// PostgreSQL does not speak the protocol as expected.
    #[error("unexpected answer from PostgreSQL: {0}")]
    Protocol(String),
    /// A message is larger than one may be, in bytes.
    #[error("a message of {0} bytes is larger than may be held")]
    TooLarge(usize),
    /// The contents of the stream make no sense.
    #[error("cannot decode the stream")]
    Decode(#[from] DecodeError),
    /// None of the publications that the stream is to read exists.
    #[error("none of the publications exists")]
    NoPublication,
}

/// SQLSTATEs that matter here (PostgreSQL "Error Codes").
mod code {
    /// `object_not_in_prerequisite_state`: `wal_level`, or a slot that was invalidated.
    pub(super) const NOT_IN_STATE: &str = "55000";
    /// `undefined_object`: the slot, or the publication.
    pub(super) const UNDEFINED_OBJECT: &str = "42704";
    pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    /// `configuration_limit_exceeded`: no slot is left.
    pub(super) const LIMIT_EXCEEDED: &str = "53400";
    /// `too_many_connections`: no sender is left.
    pub(super) const TOO_MANY: &str = "53300";
    /// `invalid_catalog_name`: no such database.
    pub(super) const NO_DATABASE: &str = "3D000";
    /// `undefined_table`: one that is to be published.
    pub(super) const UNDEFINED_TABLE: &str = "42P01";
    /// Class of `invalid_authorization_specification`.
    pub(super) const AUTHORIZATION: &str = "28";
}

impl StreamError {
    pub(crate) fn database(doing: &'static str, error: DatabaseError) -> Self {
        Self::Database { doing, error: Box::new(error) }
    }

    fn refusal(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database { error, .. }
            | Self::Open(WireError::Refused(error) | WireError::Database(error)) => Some(error),
            _ => None,
        }
    }

    /// Somebody has to change something before it can succeed, so that there is no hurry to try again.
    pub(crate) fn is_lasting(&self) -> bool {
        let Some(error) = self.refusal() else { return matches!(self, Self::NoPublication) };
        let code = error.code.as_str();
        code == code::INSUFFICIENT_PRIVILEGE
            || code == code::NO_DATABASE
            || code == code::UNDEFINED_TABLE
            || code.starts_with(code::AUTHORIZATION)
            || (code == code::NOT_IN_STATE && error.message.contains("wal_level"))
    }

    /// What to tell subscriptions.
    pub(crate) fn gap(&self) -> GapReason {
        let code = self.refusal().map(|error| error.code.as_str());
        match (self, code) {
            (Self::Decode(_) | Self::Protocol(_) | Self::TooLarge(_), _) => GapReason::Unreadable,
            (Self::NoPublication, _) => GapReason::Unavailable,
            (_, Some(code::LIMIT_EXCEEDED | code::TOO_MANY)) => GapReason::Unavailable,
            (_, Some(_)) if self.is_lasting() => GapReason::Unavailable,
            (_, Some(code::NOT_IN_STATE | code::UNDEFINED_OBJECT)) => GapReason::Withdrawn,
            _ => GapReason::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, message: &str) -> StreamError {
        let (code, message) = (code.to_owned(), message.to_owned());
        let error = DatabaseError { code, message, ..DatabaseError::default() };
        StreamError::database("testing", error)
    }

    #[test]
    fn what_only_an_administrator_can_mend_is_not_tried_often() {
        let level = "logical decoding requires wal_level >= logical";
        assert!(refused("55000", level).is_lasting());
        assert!(refused("42501", "must be superuser or replication role").is_lasting());
        assert!(refused("28P01", "password authentication failed").is_lasting());
        assert!(refused("3D000", "database does not exist").is_lasting());
        assert!(refused("42P01", "relation does not exist").is_lasting());
        assert!(!refused("53400", "all replication slots are in use").is_lasting());
        assert!(!refused("57P01", "terminating connection").is_lasting());
        assert!(!StreamError::Lost(io::ErrorKind::UnexpectedEof.into()).is_lasting());
    }

    #[test]
    fn subscriptions_are_told_what_happened() {
        let level = "logical decoding requires wal_level >= logical";
        let gap = |code, message| refused(code, message).gap();
        assert_eq!(gap("55000", level), GapReason::Unavailable);
        assert_eq!(gap("53400", "all replication slots are in use"), GapReason::Unavailable);
        assert_eq!(gap("53300", "number of requested standby"), GapReason::Unavailable);
        assert_eq!(gap("55000", "cannot read from logical slot"), GapReason::Withdrawn);
        assert_eq!(gap("57P01", "terminating connection due to administrator"), GapReason::Lost);
        assert_eq!(gap("42704", "publication \"x\" does not exist"), GapReason::Withdrawn);
        assert_eq!(StreamError::Silent(Duration::from_secs(1)).gap(), GapReason::Lost);
        assert_eq!(StreamError::TooLarge(1).gap(), GapReason::Unreadable);
    }
}
