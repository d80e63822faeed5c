//! Filters: `column=op.value`.

use super::cursor::{Cursor, Expected};
use super::field::{self, Field, Text};
use super::list;
use crate::Error;

/// Operators that only ever take one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SimpleOperator {
    NotEqual,
    Contains,
    Contained,
    Overlaps,
    StrictlyLeft,
    StrictlyRight,
    NotExtendsRight,
    NotExtendsLeft,
    Adjacent,
}

/// Operators that may be followed by `(any)` or `(all)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuantOperator {
    Equal,
    GreaterEqual,
    Greater,
    LessEqual,
    Less,
    Like,
    ILike,
    Match,
    IMatch,
}

/// `(any)` or `(all)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// What may follow `is.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsValue {
    Null,
    NotNull,
    True,
    False,
    Unknown,
}

/// Full-text operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FtsOperator {
    Plain,
    Phrase,
    Websearch,
    Query,
}

/// An operator with its operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    Simple(SimpleOperator, Text<'a>),
    Quant(QuantOperator, Option<Quantifier>, Text<'a>),
    In(Vec<Text<'a>>),
    Is(IsValue),
    IsDistinct(Text<'a>),
    Fts(FtsOperator, Option<&'a str>, Text<'a>),
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    pub(crate) field: Field<'a>,
    pub(crate) negated: bool,
    pub(crate) operation: Operation<'a>,
}

/// What the value of a filter parameter turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    /// An operator and its operand.
    Operation { negated: bool, operation: Operation<'a> },
    /// No operator: an argument of a function. Only when that is allowed.
    Argument,
}

/// Parses the value of `column=…`.
///
/// With `arguments` a value without an operator is an argument of a function, not an error.
pub(crate) fn condition(value: &str, arguments: bool) -> Result<Condition<'_>, Error> {
    let mut cursor = Cursor::new(value);
    match operation(&mut cursor, &everything) {
        Some((negated, operation)) => Ok(Condition::Operation { negated, operation }),
        None if arguments && cursor.position() == 0 => Ok(Condition::Argument),
        None => Err(cursor.error(&format!("failed to parse filter ({value})"), 0)),
    }
}

/// How the operand of an operator is read; differs inside logic trees.
pub(super) type Operand<'f, 'a> = dyn Fn(&mut Cursor<'a>) -> Text<'a> + 'f;

fn everything<'a>(cursor: &mut Cursor<'a>) -> Text<'a> {
    let rest = cursor.rest();
    cursor.advance(rest.len());
    Text::Borrowed(rest)
}

/// `[not.]operator.operand`
pub(super) fn operation<'a>(
    cursor: &mut Cursor<'a>,
    operand: &Operand<'_, 'a>,
) -> Option<(bool, Operation<'a>)> {
    let negated = cursor.rest().starts_with("not.");
    if negated {
        cursor.advance("not.".len());
    } else if cursor.rest().starts_with("not") {
        let mark = cursor.mark();
        cursor.advance("not".len());
        field::delimiter(cursor);
        cursor.rewind(mark);
    }
    if let Some(known) = known_operator(cursor.rest()) {
        cursor.advance(known.length);
        return Some((negated, known.operator.with_operand(cursor, operand)?));
    }
    if !negated {
        cursor.ahead("not");
    }
    unknown_operator(cursor);
    None
}

/// An operator up to and including its delimiter.
struct Known<'a> {
    operator: Operator<'a>,
    length: usize,
}

#[derive(Clone, Copy)]
enum Operator<'a> {
    Simple(SimpleOperator),
    Quant(QuantOperator, Option<Quantifier>),
    In,
    Is,
    IsDistinct,
    Fts(FtsOperator, Option<&'a str>),
}

/// Recognises `op.`, `op(any).` and `fts(config).` at the start of `text`.
fn known_operator(text: &str) -> Option<Known<'_>> {
    let word = text.find(|c: char| !c.is_ascii_lowercase())?;
    let (argument, length) = match text.as_bytes()[word] {
        b'.' => (None, word + 1),
        b'(' => {
            let close = word + text[word..].find(").")?;
            (Some(&text[word + 1..close]), close + 2)
        }
        _ => return None,
    };
    let operator = operator(&text[..word])?.with_argument(argument)?;
    Some(Known { operator, length })
}

fn operator(word: &str) -> Option<Operator<'static>> {
    use {FtsOperator as F, QuantOperator as Q, SimpleOperator as S};
    Some(match word {
        "eq" => Operator::Quant(Q::Equal, None),
        "gte" => Operator::Quant(Q::GreaterEqual, None),
        "gt" => Operator::Quant(Q::Greater, None),
        "lte" => Operator::Quant(Q::LessEqual, None),
        "lt" => Operator::Quant(Q::Less, None),
        "like" => Operator::Quant(Q::Like, None),
        "ilike" => Operator::Quant(Q::ILike, None),
        "match" => Operator::Quant(Q::Match, None),
        "imatch" => Operator::Quant(Q::IMatch, None),
        "neq" => Operator::Simple(S::NotEqual),
        "cs" => Operator::Simple(S::Contains),
        "cd" => Operator::Simple(S::Contained),
        "ov" => Operator::Simple(S::Overlaps),
        "sl" => Operator::Simple(S::StrictlyLeft),
        "sr" => Operator::Simple(S::StrictlyRight),
        "nxr" => Operator::Simple(S::NotExtendsRight),
        "nxl" => Operator::Simple(S::NotExtendsLeft),
        "adj" => Operator::Simple(S::Adjacent),
        "in" => Operator::In,
        "is" => Operator::Is,
        "isdistinct" => Operator::IsDistinct,
        "fts" => Operator::Fts(F::Query, None),
        "plfts" => Operator::Fts(F::Plain, None),
        "phfts" => Operator::Fts(F::Phrase, None),
        "wfts" => Operator::Fts(F::Websearch, None),
        _ => return None,
    })
}

impl<'a> Operator<'a> {
    /// Adds what stood in parentheses, if this operator takes it.
    fn with_argument(self, argument: Option<&'a str>) -> Option<Self> {
        let Some(argument) = argument else { return Some(self) };
        match self {
            Self::Quant(operator, _) => match argument {
                "any" => Some(Self::Quant(operator, Some(Quantifier::Any))),
                "all" => Some(Self::Quant(operator, Some(Quantifier::All))),
                _ => None,
            },
            Self::Fts(operator, _) => {
                let mut cursor = Cursor::new(argument);
                let config = field::identifier(&mut cursor)?;
                cursor.rest().is_empty().then_some(Self::Fts(operator, Some(config)))
            }
            _ => None,
        }
    }

    fn with_operand(
        self,
        cursor: &mut Cursor<'a>,
        operand: &Operand<'_, 'a>,
    ) -> Option<Operation<'a>> {
        Some(match self {
            Self::Simple(operator) => Operation::Simple(operator, operand(cursor)),
            Self::Quant(operator, quantifier) => {
                Operation::Quant(operator, quantifier, operand(cursor))
            }
            Self::In => Operation::In(list::list(cursor)?),
            Self::Is => Operation::Is(is_value(cursor)?),
            Self::IsDistinct => Operation::IsDistinct(operand(cursor)),
            Self::Fts(operator, config) => Operation::Fts(operator, config, operand(cursor)),
        })
    }
}

/// Every word that [`operator`] knows, in the order in which messages expect them.
const WORDS: [&str; 25] = [
    "in",
    "is",
    "isdistinct",
    "fts",
    "plfts",
    "phfts",
    "wfts",
    "neq",
    "cs",
    "cd",
    "ov",
    "sl",
    "sr",
    "nxr",
    "nxl",
    "adj",
    "eq",
    "gte",
    "gt",
    "lte",
    "lt",
    "like",
    "ilike",
    "match",
    "imatch",
];

/// Notes what is wrong with the operator at the cursor. Never moves.
fn unknown_operator(cursor: &mut Cursor<'_>) {
    cursor.labelled("operator (eq, gt, ...)", |cursor| {
        let mark = cursor.mark();
        for word in WORDS {
            if cursor.token(word) {
                unknown_suffix(cursor, word);
            }
            cursor.rewind(mark);
        }
        None::<()>
    });
}

fn unknown_suffix(cursor: &mut Cursor<'_>, word: &str) {
    let mark = cursor.mark();
    let argument = match operator(word) {
        Some(Operator::Quant(..)) if cursor.token("(") => {
            cursor.token("any") || cursor.token("all")
        }
        Some(Operator::Fts(..)) if cursor.token("(") => field::identifier(cursor).is_some(),
        _ => false,
    };
    if !(argument && cursor.token(")")) {
        cursor.rewind(mark);
    }
    field::delimiter(cursor);
}

fn is_value(cursor: &mut Cursor<'_>) -> Option<IsValue> {
    const VALUES: [(&str, IsValue); 5] = [
        ("null", IsValue::Null),
        ("not_null", IsValue::NotNull),
        ("true", IsValue::True),
        ("false", IsValue::False),
        ("unknown", IsValue::Unknown),
    ];
    cursor.labelled("isVal: (null, not_null, true, false, unknown)", |cursor| {
        let mark = cursor.mark();
        for (word, value) in VALUES {
            if word.chars().all(|c| letter(cursor, c)) {
                return Some(value);
            }
            cursor.rewind(mark);
        }
        None
    })
}

/// One letter in either case.
fn letter(cursor: &mut Cursor<'_>, expected: char) -> bool {
    let found = cursor.peek().is_some_and(|c| c.eq_ignore_ascii_case(&expected));
    if found {
        cursor.advance(1);
    } else {
        cursor.miss(Expected::Unnamed);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Operation<'_> {
        match condition(value, false).unwrap() {
            Condition::Operation { operation, .. } => operation,
            Condition::Argument => panic!("no operator in {value}"),
        }
    }

    fn failure(value: &str) -> (String, String) {
        explain(&condition(value, false).unwrap_err())
    }

    fn explain(error: &Error) -> (String, String) {
        assert_eq!((error.code.as_str(), error.status.as_u16()), ("PGRST100", 400));
        let message = error.message.rsplit_once('(').unwrap().1.to_owned();
        (format!("({message}"), error.details.as_str().unwrap().to_owned())
    }

    #[test]
    fn every_operator_is_known() {
        // Those of which the operand is free.
        for word in WORDS.into_iter().filter(|word| !["in", "is"].contains(word)) {
            let value = format!("{word}.va.l(u)e");
            match parse(&value) {
                Operation::Simple(_, text)
                | Operation::Quant(_, None, text)
                | Operation::IsDistinct(text)
                | Operation::Fts(_, None, text) => assert_eq!(text, "va.l(u)e"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn quantifiers_and_configurations_stand_in_parentheses() {
        let any = Operation::Quant(QuantOperator::Like, Some(Quantifier::Any), "{a*,b*}".into());
        assert_eq!(parse("like(any).{a*,b*}"), any);
        let all = Operation::Quant(QuantOperator::Equal, Some(Quantifier::All), "{1}".into());
        assert_eq!(parse("eq(all).{1}"), all);
        let fts = Operation::Fts(FtsOperator::Websearch, Some("english"), "a or b".into());
        assert_eq!(parse("wfts(english).a or b"), fts);
    }

    #[test]
    fn negation_comes_first() {
        let parsed = condition("not.eq.1", false).unwrap();
        assert!(matches!(parsed, Condition::Operation { negated: true, .. }));
        assert_eq!(failure("not.not.eq.1").0, "(line 1, column 5)");
    }

    #[test]
    fn is_takes_five_words_in_any_case() {
        assert_eq!(parse("is.NULL"), Operation::Is(IsValue::Null));
        assert_eq!(parse("is.not_null"), Operation::Is(IsValue::NotNull));
        let (at, details) = failure("is.nil");
        assert_eq!(at, "(line 1, column 5)");
        assert_eq!(
            details,
            "unexpected \"i\" expecting isVal: (null, not_null, true, false, unknown)"
        );
    }

    #[test]
    fn an_unknown_operator_is_told_as_clients_expect() {
        let (at, details) = failure("noop.0");
        assert_eq!(at, "(line 1, column 1)");
        assert_eq!(details, "unexpected \"o\" expecting \"not\" or operator (eq, gt, ...)");
        assert_eq!(
            failure("val").1,
            "unexpected \"v\" expecting \"not\" or operator (eq, gt, ...)"
        );
        assert_eq!(failure("fts().value").0, "(line 1, column 5)");
        assert_eq!(failure("fts().value").1, "unexpected \")\" expecting operator (eq, gt, ...)");
        assert_eq!(failure("is().value").0, "(line 1, column 3)");
        assert_eq!(failure("in().value").1, "unexpected \"(\" expecting operator (eq, gt, ...)");
        assert!(failure("").1.starts_with("unexpected end of input"));
        let told = |value| {
            let (at, details) = failure(value);
            format!("{at} {details}")
        };
        let operator = "expecting operator (eq, gt, ...)";
        assert_eq!(
            told("not"),
            "(line 1, column 4) unexpected end of input expecting delimiter (.)"
        );
        assert_eq!(told("nothing"), "(line 1, column 4) unexpected \"h\" expecting delimiter (.)");
        assert_eq!(told("eq(some).1"), format!("(line 1, column 4) unexpected \"s\" {operator}"));
        assert_eq!(told("eq(any.1"), format!("(line 1, column 7) unexpected \".\" {operator}"));
        assert_eq!(told("eq(any)1"), format!("(line 1, column 8) unexpected \"1\" {operator}"));
        assert_eq!(told("fts(a-b).1"), format!("(line 1, column 6) unexpected \"-\" {operator}"));
    }

    #[test]
    fn a_value_without_operator_may_be_an_argument() {
        assert_eq!(condition("plain", true).unwrap(), Condition::Argument);
        assert_eq!(condition("eq", true).unwrap(), Condition::Argument);
        assert!(condition("in.x", true).is_err());
        assert!(condition("is.x", true).is_err());
    }
}
