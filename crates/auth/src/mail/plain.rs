//! What an HTML body says, as text, for those whose reader shows no HTML.

/// Elements that begin and end a paragraph.
const BLOCKS: [&str; 15] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "ul",
    "ol",
    "section",
    "header",
    "footer",
    "blockquote",
];
/// Elements that begin a line.
const LINES: [&str; 3] = ["br", "tr", "li"];
/// Elements that say nothing.
const SILENT: [&str; 4] = ["head", "style", "script", "title"];

/// Takes the markup away: blocks become paragraphs, links show where they lead.
pub(super) fn from_html(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some((text, tail)) = rest.split_once('<') {
        page.text(text);
        if let Some(comment) = tail.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((tag, after)) = split_tag(tail) else {
            rest = "";
            break;
        };
        page.tag(tag);
        rest = after;
    }
    page.text(rest);
    page.finish()
}

/// The tag up to its `>`, which may stand within quotation marks.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '>') => return Some((text.get(..index)?, text.get(index + 1..)?)),
            _ => {}
        }
    }
    None
}

#[derive(Default)]
struct Page {
    output: String,
    /// Line ends that are due before the next word.
    breaks: usize,
    /// Whether a blank is due before the next word.
    blank: bool,
    silent: Option<String>,
    /// Target of the link that is open, and where its words begin.
    link: Option<(String, usize)>,
}

impl Page {
    fn text(&mut self, html: &str) {
        if self.silent.is_some() {
            return;
        }
        let text = unescape(html);
        self.blank |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            self.word(word);
            self.blank = true;
        }
        let ends_in_blank = text.ends_with(char::is_whitespace);
        self.blank = ends_in_blank || (self.blank && text.trim().is_empty());
    }

    fn word(&mut self, word: &str) {
        if self.output.is_empty() {
            self.breaks = 0;
        } else if self.breaks > 0 {
            self.output.extend(std::iter::repeat_n('\n', self.breaks.min(2)));
            self.breaks = 0;
        } else if self.blank {
            self.output.push(' ');
        }
        self.blank = false;
        self.output.push_str(word);
    }

    fn tag(&mut self, tag: &str) {
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name: String =
            tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        match &self.silent {
            Some(silent) if closing && *silent == name => self.silent = None,
            Some(_) => {}
            None if !closing && SILENT.contains(&name.as_str()) => self.silent = Some(name),
            None if BLOCKS.contains(&name.as_str()) => self.breaks = 2,
            None if LINES.contains(&name.as_str()) => self.breaks = self.breaks.max(1),
            None if name == "a" && closing => self.end_link(),
            None if name == "a" => {
                self.link = attribute(tag, "href").map(|target| (target, self.output.len()));
            }
            None => {}
        }
    }

    fn end_link(&mut self) {
        let Some((target, start)) = self.link.take() else { return };
        let words = self.output.get(start..).unwrap_or_default().trim().to_owned();
        if target.starts_with('#') || words == target {
            return;
        }
        if !words.is_empty() {
            self.output.push(':');
            self.blank = true;
        }
        self.word(&target);
    }

    fn finish(self) -> String {
        self.output + "\n"
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.match_indices(name).find(|(index, _)| {
        let before = lower.get(..*index).and_then(|before| before.chars().next_back());
        before.is_some_and(char::is_whitespace)
    })?;
    let rest = tag.get(at.0 + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|mark| matches!(mark, '"' | '\''));
    let value = match quote {
        Some(quote) => rest.get(1..)?.split(quote).next()?,
        None => rest.split(char::is_whitespace).next()?,
    };
    Some(unescape(value).trim().to_owned())
}

/// Undoes the entities that mails commonly have.
fn unescape(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let end = after.find(';').filter(|end| *end <= 10);
        let character = end.and_then(|end| entity(after.get(..end)?));
        match (character, end) {
            (Some(character), Some(end)) => {
                text.push(character);
                rest = after.get(end + 1..).unwrap_or_default();
            }
            _ => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "copy" => Some('©'),
        "mdash" => Some('—'),
        "ndash" => Some('–'),
        "hellip" => Some('…'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|character| !character.is_control())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_paragraphs_and_targets() {
        let html = "<html><head><title>No</title><style>p{}</style></head><body><h1>Hello&nbsp;&amp; <b>wel</b>come</h1>\n<p>Line<br>two <a class='x' href='https://a.test/?a=1&amp;b=2'>here</a>.</p><!-- no --><ul><li>one</li><li>two</li></ul></body></html>";
        assert_eq!(
            from_html(html),
            "Hello & welcome\n\nLine\ntwo here: https://a.test/?a=1&b=2.\n\none\ntwo\n"
        );
    }

    #[test]
    fn a_link_that_shows_its_target_is_not_repeated() {
        assert_eq!(from_html("<a href=\"https://a.test\">https://a.test</a>"), "https://a.test\n");
        assert_eq!(from_html("<a href=\"https://a.test\"><img src=\"x\"></a>"), "https://a.test\n");
    }

    #[test]
    fn broken_markup_ends_quietly() {
        for html in ["<", "<a href=\"", "&", "&#xZZ;", "&#0;", "<!-- x", "<style>", "</a>"] {
            assert!(from_html(html).len() < 10, "{html}");
        }
    }
}
