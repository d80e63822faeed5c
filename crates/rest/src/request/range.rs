//! Which rows of a result are wanted: `limit`, `offset` and the `Range` header.

use http::{HeaderMap, Method, header};

use crate::Error;

/// A window on rows: `lower` to `upper`, both included; no `upper` means to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) lower: i64,
    pub(crate) upper: Option<i64>,
}

impl Range {
    /// Every row.
    pub(crate) const ALL: Self = Self { lower: 0, upper: None };
    /// No row, as `limit=0` asks for.
    pub(crate) const NONE: Self = Self { lower: 0, upper: Some(-1) };

    /// What `limit` and `offset` mean together.
    pub(crate) fn of(limit: Option<i64>, offset: Option<i64>) -> Self {
        let lower = offset.unwrap_or(0);
        Self { lower, upper: limit.map(|limit| lower.saturating_add(limit).saturating_sub(1)) }
    }

    /// What the texts of `limit` and `offset` mean together. A text that is no number is as if it had
    /// not been given, except that a limit beside an offset is then a limit of nothing.
    pub(crate) fn of_texts(limit: Option<&str>, offset: Option<&str>) -> Self {
        let number = limit.and_then(integer);
        let nothing = limit.filter(|_| offset.is_some()).map(|_| 0);
        Self::of(number.or(nothing), offset.and_then(integer))
    }

    /// How many rows at most.
    pub(crate) fn limit(self) -> Option<i64> {
        self.upper.map(|upper| upper.saturating_sub(self.lower).saturating_add(1))
    }

    /// At most `rows` rows, when there is such a bound.
    pub(crate) fn capped(self, rows: Option<u64>) -> Self {
        let Some(rows) = rows else { return self };
        let cap = Self::of(Some(i64::try_from(rows).unwrap_or(i64::MAX)), Some(self.lower));
        if self.is_limit_zero() { Self::NONE } else { self.intersect(cap) }
    }

    fn intersect(self, other: Self) -> Self {
        let upper = match (self.upper, other.upper) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { lower: self.lower.max(other.lower), upper }
    }

    fn is_empty(self) -> bool {
        self.upper.is_some_and(|upper| upper < self.lower)
    }

    /// Whether it ends before the first row, as `limit=0` does when there is no offset.
    fn is_limit_zero(self) -> bool {
        self.upper == Some(-1)
    }
}

/// A whole number, clamped to what fits.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.starts_with('+') {
        return None;
    }
    let number: i128 = text.parse().ok()?;
    Some(i64::try_from(number.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or_default())
}

/// The window of the whole request; the header counts for GET only.
///
/// # Errors
///
/// `PGRST103` for a negative limit and for a header whose bounds are the wrong way round, `PGRST114`
/// for a window on PUT.
pub(crate) fn top_level(
    method: &Method,
    headers: &HeaderMap,
    asked: Option<Range>,
) -> Result<Range, Error> {
    let header = if *method == Method::GET { from_header(headers) } else { Range::ALL };
    let asked = asked.unwrap_or(Range::ALL);
    let range = if asked.is_limit_zero() { Range::NONE } else { header.intersect(asked) };
    if range.is_empty() && !asked.is_limit_zero() {
        return Err(if header.is_empty() {
            Error::range_reversed()
        } else {
            Error::negative_limit()
        });
    }
    if *method == Method::PUT && range != Range::ALL {
        return Err(Error::put_with_limit());
    }
    Ok(range)
}

/// The `Range` header (`0-9`, `10-`); anything else in it is ignored.
fn from_header(headers: &HeaderMap) -> Range {
    let value = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((lower, upper)) = value.and_then(|value| value.split_once('-')) else {
        return Range::ALL;
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if lower.is_empty() || !digits(lower) || !digits(upper) {
        return Range::ALL;
    }
    let number = |text: &str| text.parse().unwrap_or(i64::MAX);
    Range { lower: number(lower), upper: (!upper.is_empty()).then(|| number(upper)) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with_header(value: &'static str, asked: Option<Range>) -> Result<Range, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(value));
        top_level(&Method::GET, &headers, asked)
    }

    #[test]
    fn limit_and_offset_make_a_window() {
        let range = Range::of(Some(10), Some(20));
        assert_eq!((range.lower, range.upper, range.limit()), (20, Some(29), Some(10)));
        assert_eq!(Range::of(None, None), Range::ALL);
        assert_eq!(Range::of(Some(i64::MAX), Some(5)).upper, Some(i64::MAX - 1));
    }

    #[test]
    fn the_cap_bounds_the_window() {
        assert_eq!(Range::of(Some(10), Some(5)).capped(Some(3)).limit(), Some(3));
        assert_eq!(Range::ALL.capped(Some(1000)).limit(), Some(1000));
        assert_eq!(Range::NONE.capped(Some(1000)), Range::NONE);
        assert_eq!(Range::of(Some(2), None).capped(Some(3)).limit(), Some(2));
    }

    #[test]
    fn the_header_and_the_limit_intersect() {
        assert_eq!(with_header("0-9", None).unwrap().limit(), Some(10));
        assert_eq!(with_header("5-", None).unwrap(), Range { lower: 5, upper: None });
        assert_eq!(with_header("0-9", Some(Range::of(Some(3), None))).unwrap().limit(), Some(3));
        assert_eq!(with_header("0-9", Some(Range::NONE)).unwrap(), Range::NONE);
        assert_eq!(with_header("bytes=0-9", None).unwrap(), Range::ALL);
    }

    #[test]
    fn empty_windows_are_refused() {
        let told = |result: Result<Range, Error>| {
            let error = result.unwrap_err();
            assert_eq!((error.code.as_str(), error.status.as_u16()), ("PGRST103", 416));
            error.details.as_str().unwrap().to_owned()
        };
        assert!(told(with_header("9-5", None)).starts_with("The lower boundary"));
        let asked = |limit, offset| {
            top_level(&Method::GET, &HeaderMap::new(), Some(Range::of_texts(limit, offset)))
        };
        for (limit, offset) in [("-1", None), ("0", Some("2")), ("x", Some("2")), ("3", Some("-4"))]
        {
            assert!(told(asked(Some(limit), offset)).starts_with("Limit should be"), "{limit}");
        }
        for (limit, offset) in [("0", None), ("0", Some("0")), ("x", Some("0")), ("4", Some("-4"))]
        {
            assert_eq!(asked(Some(limit), offset).unwrap(), Range::NONE, "{limit}");
        }
        assert_eq!(asked(Some("6"), Some("-4")).unwrap(), Range::of(Some(2), None));
        assert_eq!(asked(None, Some("-4")).unwrap(), Range::ALL);
    }

    #[test]
    fn numbers_that_are_none_are_as_if_not_given() {
        for text in ["", "x", "1.5", "+1", "1_000", "0x1"] {
            assert_eq!(integer(text), None, "{text}");
            assert_eq!(Range::of_texts(Some(text), None), Range::ALL);
        }
        assert_eq!((integer(" 7 "), integer("-7")), (Some(7), Some(-7)));
        assert_eq!(integer("99999999999999999999999"), Some(i64::MAX));
    }

    #[test]
    fn put_takes_no_window() {
        let asked = Some(Range::of(Some(1), None));
        let error = top_level(&Method::PUT, &HeaderMap::new(), asked).unwrap_err();
        assert_eq!(error.code, "PGRST114");
    }
}
