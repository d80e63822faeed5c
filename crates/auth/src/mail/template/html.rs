//! Where in an HTML document one is, as far as it decides how a value must be escaped.

use super::go::Problem;

/// A place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Text,
    /// In a comment, which is left out.
    Comment,
    /// Inside an element whose content is no markup: script, style, title, textarea.
    Raw(&'static str),
    /// In a tag, after its name; the name is kept.
    Tag(String),
    /// In a tag's name.
    TagName(String),
    /// In the name of an attribute: (tag, attribute).
    Attribute(String, String),
    /// After the equals sign.
    BeforeValue(String, String),
    /// In a value.
    Value { tag: String, attribute: String, quote: Option<char>, part: Part },
}

/// How far a URL in an attribute has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Start,
    Path,
    Query,
}

const RAW: [&str; 4] = ["script", "style", "title", "textarea"];

const URL_ATTRIBUTES: [&str; 9] =
    ["href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc"];

impl Place {
    /// Goes on through `text`; what comes back is the text without comments.
    pub(super) fn advance(&mut self, text: &str) -> String {
        let mut kept = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let (Self::Text, Some(after)) = (&*self, rest.strip_prefix('<'))
                && !opens_tag(after)
            {
                // Otherwise a value right behind it would become a tag.
                kept.push_str("&lt;");
                rest = after;
                continue;
            }
            let (used, keep) = self.step(rest, character);
            let (head, tail) = rest.split_at(used);
            if keep {
                kept.push_str(head);
            }
            rest = tail;
        }
        kept
    }

    /// Takes one step; how many bytes it took and whether they stay.
    fn step(&mut self, rest: &str, character: char) -> (usize, bool) {
        let one = character.len_utf8();
        let place = std::mem::replace(self, Self::Text);
        let (next, used, keep) = match place {
            Self::Text => return self.text_step(rest, one),
            Self::Comment => match rest.starts_with("-->") {
                true => (Self::Text, 3, false),
                false => (Self::Comment, one, false),
            },
            Self::Raw(name) => match closes(rest, name) {
                true => (Self::TagName(format!("/{name}")), 2 + name.len(), true),
                false => (Self::Raw(name), one, true),
            },
            other => (other.tag_step(character), one, true),
        };
        *self = next;
        (used, keep)
    }

    fn text_step(&mut self, rest: &str, one: usize) -> (usize, bool) {
        if rest.starts_with("<!--") {
            *self = Self::Comment;
            return (4, false);
        }
        *self = if rest.starts_with('<') { Self::TagName(String::new()) } else { Self::Text };
        (one, true)
    }

    /// A character inside a tag.
    fn tag_step(self, character: char) -> Self {
        let blank = character.is_ascii_whitespace();
        match self {
            Self::TagName(name) => match character {
                '>' => after(&name),
                _ if blank => Self::Tag(name),
                other => Self::TagName(pushed(name, other)),
            },
            Self::Tag(tag) => match character {
                '>' => after(&tag),
                '/' => Self::Tag(tag),
                _ if blank => Self::Tag(tag),
                other => Self::Attribute(tag, pushed(String::new(), other)),
            },
            Self::Attribute(tag, name) => match character {
                '>' => after(&tag),
                '=' => Self::BeforeValue(tag, name),
                // `a = b` is rare; a blank ends the name, and the equals sign begins a value all the same.
                _ if blank && name.ends_with(' ') => Self::Attribute(tag, name),
                _ if blank => Self::Attribute(tag, name + " "),
                other if name.ends_with(' ') => Self::Attribute(tag, pushed(String::new(), other)),
                other => Self::Attribute(tag, pushed(name, other)),
            },
            Self::BeforeValue(tag, name) => match character {
                '>' => after(&tag),
                _ if blank => Self::BeforeValue(tag, name),
                quote @ ('"' | '\'') => Self::value(tag, name, Some(quote)),
                other => Self::value(tag, name, None).tag_step(other),
            },
            Self::Value { tag, quote: Some(quote), .. } if character == quote => Self::Tag(tag),
            Self::Value { tag, quote: None, .. } if blank => Self::Tag(tag),
            Self::Value { tag, quote: None, .. } if character == '>' => after(&tag),
            Self::Value { tag, attribute, quote, part } => {
                let part = match (part, character) {
                    (Part::Query, _) | (_, '?' | '#') => Part::Query,
                    _ => Part::Path,
                };
                Self::Value { tag, attribute, quote, part }
            }
            other => other,
        }
    }

    fn value(tag: String, name: String, quote: Option<char>) -> Self {
        Self::Value { tag, attribute: name.trim_end().to_owned(), quote, part: Part::Start }
    }

    /// The filter that a value needs here. `foreign` values are what users write, who must not choose a link's scheme.
    pub(super) fn filter(&mut self, foreign: bool) -> Result<&'static str, Problem> {
        match self {
            Self::Text | Self::Raw("title" | "textarea") => Ok("html"),
            Self::Comment => Ok("nothing"),
            Self::Raw(name) => Err(Problem(format!("a value inside <{name}> is not supported"))),
            Self::Value { attribute, quote: Some(_), part, .. } => {
                if attribute.starts_with("on") || attribute == "style" || attribute == "srcdoc" {
                    return Err(Problem(format!(
                        "a value in the attribute `{attribute}` is not supported"
                    )));
                }
                if !URL_ATTRIBUTES.contains(&attribute.as_str()) {
                    return Ok("html");
                }
                let filter = match part {
                    Part::Start if foreign => "link",
                    Part::Path if foreign => "segment",
                    Part::Start | Part::Path => "url",
                    Part::Query => "query",
                };
                if *part == Part::Start {
                    *part = Part::Path;
                }
                Ok(filter)
            }
            Self::Value { .. } | Self::BeforeValue(..) => {
                Err(Problem::new("a value in an attribute needs quotation marks around it"))
            }
            _ => Err(Problem::new("a value inside a tag is only supported in a quoted attribute")),
        }
    }

    /// The place after two branches that end in `self` and `other`, which may differ only in how far a URL has got.
    pub(super) fn join(self, other: Self) -> Result<Self, Problem> {
        if self == other {
            return Ok(self);
        }
        match (self, other) {
            (
                Self::Value { tag, attribute, quote, .. },
                Self::Value { tag: tag2, attribute: attribute2, quote: quote2, .. },
            ) if tag == tag2 && attribute == attribute2 && quote == quote2 => {
                Ok(Self::Value { tag, attribute, quote, part: Part::Query })
            }
            _ => Err(Problem::new(
                "the branches end in different places of the HTML, one of them inside a tag",
            )),
        }
    }
}

fn pushed(mut text: String, character: char) -> String {
    text.push(character.to_ascii_lowercase());
    text
}

/// The place after a tag's `>`.
fn after(tag: &str) -> Place {
    RAW.iter().find(|raw| **raw == tag).map_or(Place::Text, |raw| Place::Raw(raw))
}

/// Whether what follows a `<` makes it the beginning of a tag or comment.
fn opens_tag(after: &str) -> bool {
    after.starts_with(|next: char| next.is_ascii_alphabetic() || next == '/' || next == '!')
}

fn closes(rest: &str, name: &str) -> bool {
    rest.strip_prefix("</")
        .and_then(|rest| rest.get(..name.len()))
        .is_some_and(|end| end.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_after(html: &str, foreign: bool) -> Result<&'static str, String> {
        let mut place = Place::Text;
        place.advance(html);
        place.filter(foreign).map_err(|problem| problem.0)
    }

    #[test]
    fn the_place_decides_the_filter() {
        for (html, foreign, filter) in [
            ("<p>Hello ", true, "html"),
            ("a < b ", true, "html"),
            ("<a href=\"", false, "url"),
            ("<a href=\"", true, "link"),
            ("<a class='x' href = '", true, "link"),
            ("<A HREF=\"/x/", true, "segment"),
            ("<A HREF=\"/x/", false, "url"),
            ("<a href=\"https://a.test/?next=", true, "query"),
            ("<img alt=\"", true, "html"),
            ("<title>", true, "html"),
            ("<br/><style>a{}</style><b>", true, "html"),
            ("<!-- <a href=\"", true, "nothing"),
            ("<!doctype html><html><body>", true, "html"),
        ] {
            assert_eq!(filter_after(html, foreign), Ok(filter), "{html}");
        }
    }

    #[test]
    fn places_where_escaping_does_not_help_are_refused() {
        for html in [
            "<style>a{color:",
            "<script>x=",
            "<a onclick=\"",
            "<p style=\"",
            "<a href=",
            "<a href=x",
            "<p ",
            "<p cl",
            "<p",
        ] {
            assert!(filter_after(html, false).is_err(), "{html}");
        }
    }

    #[test]
    fn comments_are_left_out() {
        let mut place = Place::Text;
        assert_eq!(place.advance("a<!-- [if mso]> <b> -->c"), "ac");
        assert_eq!(place, Place::Text);
    }

    #[test]
    fn a_value_cannot_complete_a_tag() {
        let mut place = Place::Text;
        assert_eq!(place.advance("1 < 2 <3 <"), "1 &lt; 2 &lt;3 &lt;");
        assert_eq!(place.filter(true).unwrap(), "html");
    }
}
