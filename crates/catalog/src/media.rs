//! Media types that SQL makes: domains that are named after one.

use crate::QualifiedName;

/// The name of the domain that stands for every media type.
pub const ANY_MEDIA_TYPE: &str = "*/*";

/// What makes a body of one media type: an aggregate over the rows of a relation (or of any), or a
/// function whose own result is the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaHandler {
    /// The aggregate; of a function's result the domain that it returns.
    pub name: QualifiedName,
    /// The relation whose rows it takes, or the function; `None` when any row will do.
    pub target: Option<QualifiedName>,
    /// The domain's name as it is written, such as `text/html` or [`ANY_MEDIA_TYPE`].
    pub media_type: String,
    /// Whether its values are bytes rather than text.
    pub bytes: bool,
}

impl MediaHandler {
    /// Whether it makes bodies of `media_type`; case does not matter.
    pub fn makes(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type)
    }

    /// Whether it makes bodies of whatever type is asked for.
    pub fn makes_anything(&self) -> bool {
        self.media_type == ANY_MEDIA_TYPE
    }
}
