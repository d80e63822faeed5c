//! Globs as the allow list writes them: `*` and `?` stop at `.` and `/`, `**` does not, `[a-z]`,
//! `[!a-z]`, `{a,b}`, and `\` before a character that means itself.

/// Most patterns that the braces of one may stand for.
const MOST_ALTERNATIVES: usize = 256;

/// Why a text is no glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `{` without `}`, or the other way round.
    #[error("a brace has no partner")]
    Brace,
    /// `[` without `]`, or nothing between them.
    #[error("a bracket has no partner, or nothing is between them")]
    Bracket,
    /// `\` at the end.
    #[error("a backslash at the end escapes nothing")]
    Escape,
    /// Braces for more than 256 patterns.
    #[error("its braces stand for too many patterns")]
    TooMany,
}

/// A pattern without braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// One character that does not separate.
    One,
    /// Any that do not separate.
    Star,
    /// Any.
    DoubleStar,
    /// One of these, or one of none of these.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A part of a pattern: still with its braces.
#[derive(Debug, Clone)]
enum Part {
    Token(Token),
    Either(Vec<Vec<Part>>),
}

const fn separates(character: char) -> bool {
    matches!(character, '.' | '/')
}

impl Glob {
    /// The patterns that a text with braces stands for.
    pub(super) fn all(text: &str) -> Result<Vec<Self>, GlobError> {
        let characters: Vec<char> = text.chars().collect();
        let mut at = 0;
        let parts = sequence(&characters, &mut at, 0)?;
        if at < characters.len() {
            return Err(GlobError::Brace);
        }
        Ok(expand(&parts)?.into_iter().map(Self).collect())
    }

    /// Whether the whole text is such a one.
    pub(super) fn matches(&self, text: &str) -> bool {
        // The places in the pattern that can be reached with what was read so far.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        for character in text.chars() {
            let mut next = vec![false; self.0.len() + 1];
            for (place, token) in self.0.iter().enumerate().filter(|(place, _)| reached[*place]) {
                match token {
                    Token::Star | Token::DoubleStar => next[place] |= token.takes(character),
                    token => next[place + 1] |= token.takes(character),
                }
            }
            self.skip_stars(&mut next);
            if !next.contains(&true) {
                return false;
            }
            reached = next;
        }
        reached[self.0.len()]
    }

    /// Stars match nothing, too.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (place, token) in self.0.iter().enumerate() {
            if reached[place] && matches!(token, Token::Star | Token::DoubleStar) {
                reached[place + 1] = true;
            }
        }
    }

    /// The part of the pattern that stands for host and port: what follows `://`, or all when there is
    /// none, up to the next slash.
    pub(super) fn authority(&self) -> Self {
        let slash = Token::Literal('/');
        let begins = [Token::Literal(':'), slash.clone(), slash.clone()];
        let start = self.0.windows(3).position(|three| three == begins).map_or(0, |at| at + 3);
        let rest = self.0[start..].iter();
        Self(rest.take_while(|token| **token != slash).cloned().collect())
    }
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Literal(own) => *own == character,
            Self::One | Self::Star => !separates(character),
            Self::DoubleStar => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

/// Reads to the end, or to the `,` or `}` that ends an alternative.
fn sequence(text: &[char], at: &mut usize, depth: usize) -> Result<Vec<Part>, GlobError> {
    let mut parts = Vec::new();
    while let Some(&character) = text.get(*at) {
        if depth > 0 && matches!(character, ',' | '}') {
            break;
        }
        *at += 1;
        parts.push(match character {
            '}' => return Err(GlobError::Brace),
            '{' => Part::Either(alternatives(text, at, depth + 1)?),
            '[' => Part::Token(class(text, at)?),
            '?' => Part::Token(Token::One),
            '*' => Part::Token(stars(text, at)),
            '\\' => Part::Token(Token::Literal(escaped(text, at)?)),
            other => Part::Token(Token::Literal(other)),
        });
    }
    Ok(parts)
}

fn alternatives(text: &[char], at: &mut usize, depth: usize) -> Result<Vec<Vec<Part>>, GlobError> {
    if depth > 8 {
        return Err(GlobError::TooMany);
    }
    let mut all = Vec::new();
    loop {
        all.push(sequence(text, at, depth)?);
        let end = text.get(*at).ok_or(GlobError::Brace)?;
        *at += 1;
        if *end == '}' {
            return Ok(all);
        }
    }
}

fn stars(text: &[char], at: &mut usize) -> Token {
    let more = text[*at..].iter().take_while(|character| **character == '*').count();
    *at += more;
    if more == 0 { Token::Star } else { Token::DoubleStar }
}

fn escaped(text: &[char], at: &mut usize) -> Result<char, GlobError> {
    let character = text.get(*at).ok_or(GlobError::Escape)?;
    *at += 1;
    Ok(*character)
}

fn class(text: &[char], at: &mut usize) -> Result<Token, GlobError> {
    let negated = text.get(*at) == Some(&'!');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let low = match escaped(text, at).map_err(|_| GlobError::Bracket)? {
            ']' if ranges.is_empty() => return Err(GlobError::Bracket),
            ']' => return Ok(Token::Class { negated, ranges }),
            '\\' => escaped(text, at)?,
            other => other,
        };
        let ranged = text.get(*at) == Some(&'-') && text.get(*at + 1).is_some_and(|c| *c != ']');
        let high = if ranged {
            *at += 1;
            match escaped(text, at)? {
                '\\' => escaped(text, at)?,
                other => other,
            }
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn expand(parts: &[Part]) -> Result<Vec<Vec<Token>>, GlobError> {
    let mut all = vec![Vec::new()];
    for part in parts {
        match part {
            Part::Token(token) => all.iter_mut().for_each(|one| one.push(token.clone())),
            Part::Either(alternatives) => {
                let mut tails = Vec::new();
                for alternative in alternatives {
                    tails.extend(expand(alternative)?);
                }
                if all.len() * tails.len() > MOST_ALTERNATIVES {
                    return Err(GlobError::TooMany);
                }
                let joined = all.iter().flat_map(|head| {
                    tails.iter().map(|tail| [head.as_slice(), tail.as_slice()].concat())
                });
                all = joined.collect();
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::all(pattern).unwrap().iter().any(|glob| glob.matches(text))
    }

    #[test]
    fn stars_stop_at_separators_unless_there_are_two() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "a.c", false),
            ("a*c", "a/c", false),
            ("a**c", "a.b/c", true),
            ("a**", "a", true),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.example.org", false),
            ("**.example.org", "a.b.example.org", true),
            ("a?c", "abc", true),
            ("a?c", "a.c", false),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "ax", false),
            ("[a\\]]", "]", true),
            ("{a,b}c", "bc", true),
            ("{a,b{c,d}}", "bd", true),
            ("{a,b}c", "cc", false),
            ("{,a}b", "b", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a,b", "a,b", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        let many = "{a,b}".repeat(9);
        for (pattern, error) in [
            ("{a", GlobError::Brace),
            ("a}", GlobError::Brace),
            ("[a", GlobError::Bracket),
            ("[]", GlobError::Bracket),
            ("a\\", GlobError::Escape),
            (many.as_str(), GlobError::TooMany),
        ] {
            assert_eq!(Glob::all(pattern), Err(error), "{pattern}");
        }
    }

    #[test]
    fn the_authority_is_between_the_slashes() {
        for (pattern, authority) in [
            ("https://*.example.org/**", "*.example.org"),
            ("https://example.org", "example.org"),
            ("**", "**"),
            ("**.example.org/**", "**.example.org"),
            ("myapp://callback", "callback"),
        ] {
            let glob = &Glob::all(pattern).unwrap()[0];
            assert_eq!(glob.authority(), Glob::all(authority).unwrap()[0], "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_breaks_the_reader(pattern in "[a.*?/{},\\[\\]!\\\\-]{0,30}", text in "[a./]{0,20}") {
            if let Ok(globs) = Glob::all(&pattern) {
                globs.iter().for_each(|glob| { glob.matches(&text); });
            }
        }

        #[test]
        fn a_text_without_signs_matches_itself_alone(text in "[a-z:/.]{1,20}", other in "[a-z:/.]{1,20}") {
            prop_assert!(matches(&text, &text));
            prop_assert_eq!(matches(&text, &other), text == other);
        }
    }
}
