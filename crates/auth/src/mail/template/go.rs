//! Go's template syntax, as the templates that people bring are written in, translated for the template engine.

use super::expression::{self, Expression};
use super::html::Place;

/// Blocks within blocks.
const DEPTH: usize = 32;
/// Bytes of a template's source.
pub(super) const SOURCE: usize = 256 << 10;

/// What is wrong with a piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem(pub(super) String);

impl Problem {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What is wrong with a template, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// What the result is, which decides how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Html,
    Text,
}

/// Translates `source`. The result reads its values from `v`.
pub(super) fn translate(source: &str, language: Language) -> Result<String, Fault> {
    if source.len() > SOURCE {
        let problem = format!("the template is larger than {SOURCE} bytes");
        return Err(Fault { line: 1, problem });
    }
    let mut translator = Translator::new(language);
    let mut rest = source;
    let mut trim = false;
    loop {
        let line =
            1 + source.get(..source.len() - rest.len()).unwrap_or_default().matches('\n').count();
        let fault = |problem: Problem| Fault { line, problem: problem.0 };
        let (text, action) = match rest.split_once("{{") {
            Some((text, after)) => (text, Some(after)),
            None => (rest, None),
        };
        let line_of_action = line + text.matches('\n').count();
        let action = action
            .map(Action::read)
            .transpose()
            .map_err(|problem| Fault { line: line_of_action, problem: problem.0 })?;
        let text = if trim { text.trim_start() } else { text };
        let trims_before = action.as_ref().is_some_and(|action| action.trims_before);
        translator.text(if trims_before { text.trim_end() } else { text });
        let Some(action) = action else { return translator.finish().map_err(fault) };
        translator
            .action(action.body, line_of_action)
            .map_err(|problem| Fault { line: line_of_action, problem: problem.0 })?;
        trim = action.trims_after;
        rest = action.rest;
    }
}

/// `{{- body -}} rest`
struct Action<'a> {
    trims_before: bool,
    body: &'a str,
    trims_after: bool,
    rest: &'a str,
}

impl<'a> Action<'a> {
    /// Reads what follows the opening braces.
    fn read(text: &'a str) -> Result<Self, Problem> {
        let marked = text.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace));
        let inner = marked.unwrap_or(text);
        let end = end_of(inner).ok_or_else(|| Problem::new("`{{` has no `}}`"))?;
        let (body, rest) = inner.split_at(end);
        let trimmed = body.strip_suffix('-').filter(|body| body.ends_with(char::is_whitespace));
        Ok(Self {
            trims_before: marked.is_some(),
            body: trimmed.unwrap_or(body).trim(),
            trims_after: trimmed.is_some(),
            rest: rest.get(2..).unwrap_or_default(),
        })
    }
}

/// Where the closing braces are, outside texts and comments.
fn end_of(text: &str) -> Option<usize> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let after = comment.find("*/")? + 2;
        let end = comment.get(after..)?.find("}}")?;
        return Some(text.len() - comment.len() + after + end);
    }
    let mut mark = None;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match (mark, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), close) if open == close && !escaped => mark = None,
            (None, '"' | '`') => mark = Some(character),
            (None, '}') if text.get(index..).is_some_and(|rest| rest.starts_with("}}")) => {
                return Some(index);
            }
            _ => {}
        }
        escaped = false;
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    If,
    With,
    Range,
}

struct Block {
    kind: Kind,
    line: usize,
    has_else: bool,
    /// Where the block began.
    start: Place,
    /// Where the branches that are over ended.
    end: Option<Place>,
    /// Whether the dot has a meaning of its own in this branch.
    dot: bool,
}

struct Translator {
    language: Language,
    place: Place,
    blocks: Vec<Block>,
    output: String,
}

impl Translator {
    fn new(language: Language) -> Self {
        Self { language, place: Place::Text, blocks: Vec::new(), output: String::new() }
    }

    /// Text stays, save for what the template engine would take for its own.
    fn text(&mut self, text: &str) {
        let kept = match self.language {
            Language::Html => self.place.advance(text),
            Language::Text => text.to_owned(),
        };
        let mut characters = kept.chars().peekable();
        while let Some(character) = characters.next() {
            let special =
                character == '{' && matches!(characters.peek(), None | Some('{' | '%' | '#'));
            if special {
                self.output.push_str("{{ \"{\" }}");
            } else {
                self.output.push(character);
            }
        }
    }

    fn action(&mut self, body: &str, line: usize) -> Result<(), Problem> {
        if body.starts_with("/*") {
            return match body.ends_with("*/") {
                true => Ok(()),
                false => Err(Problem::new("a comment must stand alone in its braces")),
            };
        }
        let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        match word {
            "if" => self.open(Kind::If, rest, line),
            "with" => self.open(Kind::With, rest, line),
            "range" => self.open(Kind::Range, rest, line),
            "else" => self.alternative(rest.trim()),
            "end" if rest.trim().is_empty() => self.close(),
            "define" | "template" | "block" | "break" | "continue" => {
                Err(Problem(format!("`{word}` is not supported")))
            }
            _ => self.value(body),
        }
    }

    fn value(&mut self, body: &str) -> Result<(), Problem> {
        let Expression { code, foreign, encoded } = self.expression(body)?;
        let filter = match self.language {
            Language::Text => "text",
            Language::Html => match self.place.filter(foreign)? {
                "query" | "url" | "link" | "segment" if encoded => "html",
                filter => filter,
            },
        };
        self.output.push_str(&format!("{{{{ {code}|{filter} }}}}"));
        Ok(())
    }

    fn expression(&self, text: &str) -> Result<Expression, Problem> {
        let assigns = text.contains(":=") && !text.contains('"');
        if assigns {
            return Err(Problem::new("variables are not supported"));
        }
        let depth = self.blocks.iter().filter(|block| block.dot).count();
        let dot = (depth > 0).then(|| format!("d{depth}"));
        expression::translate(text, dot.as_deref())
    }

    fn open(&mut self, kind: Kind, condition: &str, line: usize) -> Result<(), Problem> {
        if self.blocks.len() == DEPTH {
            return Err(Problem::new("too many blocks within each other"));
        }
        let Expression { code, .. } = self.expression(condition)?;
        let dot = format!("d{}", self.blocks.iter().filter(|block| block.dot).count() + 1);
        self.output.push_str(&match kind {
            Kind::If => format!("{{% if {code} %}}"),
            Kind::With => format!("{{% with {dot} = {code} %}}{{% if {dot} %}}"),
            Kind::Range => format!("{{% for {dot} in {code}|elements %}}"),
        });
        let start = self.place.clone();
        self.blocks.push(Block {
            kind,
            line,
            has_else: false,
            start,
            end: None,
            dot: kind != Kind::If,
        });
        Ok(())
    }

    fn alternative(&mut self, rest: &str) -> Result<(), Problem> {
        let code = match rest.strip_prefix("if") {
            Some(condition) => Some(self.expression_of_else(condition)?),
            None if rest.is_empty() => None,
            None => return Err(Problem(format!("`else {rest}` is not supported"))),
        };
        let Some(block) = self.blocks.last_mut() else {
            return Err(Problem::new("`else` without `if`"));
        };
        if block.has_else {
            return Err(Problem::new("a second `else`"));
        }
        let place = std::mem::replace(&mut self.place, block.start.clone());
        block.end = Some(match block.end.take() {
            Some(end) => end.join(place)?,
            None => place,
        });
        match code {
            Some(_) if block.kind != Kind::If => {
                return Err(Problem::new("`else if` belongs to `if`"));
            }
            Some(code) => self.output.push_str(&format!("{{% elif {code} %}}")),
            None => {
                block.has_else = true;
                block.dot = false;
                self.output.push_str("{% else %}");
            }
        }
        Ok(())
    }

    fn expression_of_else(&self, condition: &str) -> Result<String, Problem> {
        if !condition.starts_with(char::is_whitespace) {
            return Err(Problem(format!("`else if{condition}` is not supported")));
        }
        Ok(self.expression(condition)?.code)
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(block) = self.blocks.pop() else {
            return Err(Problem::new("`end` without `if`, `with` or `range`"));
        };
        self.output.push_str(match block.kind {
            Kind::If => "{% endif %}",
            Kind::With => "{% endif %}{% endwith %}",
            Kind::Range => "{% endfor %}",
        });
        let mut place = std::mem::replace(&mut self.place, Place::Text);
        if let Some(end) = block.end {
            place = place.join(end)?;
        }
        if !block.has_else {
            // Nothing may have been shown at all.
            place = place.join(block.start)?;
        }
        self.place = place;
        Ok(())
    }

    fn finish(self) -> Result<String, Problem> {
        match self.blocks.last() {
            Some(block) => {
                Err(Problem(format!("the block that begins in line {} has no `end`", block.line)))
            }
            None => Ok(self.output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> String {
        translate(source, Language::Html).unwrap()
    }

    fn fault(source: &str) -> (usize, String) {
        let fault = translate(source, Language::Html).unwrap_err();
        (fault.line, fault.problem)
    }

    #[test]
    fn actions_become_the_engines_own() {
        assert_eq!(html("<p>{{ .Email }}</p>"), "<p>{{ v[\"Email\"]|html }}</p>");
        assert_eq!(
            html("{{if .NewEmail}}a{{else}}b{{end}}"),
            "{% if v[\"NewEmail\"] %}a{% else %}b{% endif %}"
        );
        assert_eq!(
            html("{{ with .Data.team }}{{ .name }}{{ end }}"),
            "{% with d1 = v[\"Data\"][\"team\"] %}{% if d1 %}{{ d1[\"name\"]|html }}{% endif %}{% endwith %}"
        );
    }

    #[test]
    fn marks_trim_the_blanks_beside_them() {
        assert_eq!(html("a \n {{- .Token -}} \n b"), "a{{ v[\"Token\"]|html }}b");
        assert_eq!(html("a {{-1}}"), "a {{ -1|html }}");
        assert_eq!(html("a {{- /* note }} */ -}} b"), "ab");
    }

    #[test]
    fn the_engines_own_marks_are_only_text() {
        assert_eq!(html("a{% x %}{# y #}"), "a{{ \"{\" }}% x %}{{ \"{\" }}# y #}");
    }

    #[test]
    fn faults_name_their_line() {
        assert_eq!(fault("a\nb {{ .Nope }}").0, 2);
        assert_eq!(
            fault("a\n\n{{ template \"x\" }}"),
            (3, "`template` is not supported".to_owned())
        );
        assert_eq!(fault("{{ end }}").0, 1);
        assert!(fault("x\n{{ if .Email }}\n\n").1.contains("line 2"));
        assert!(fault("{{ $x := .Email }}").1.contains("variables"));
        assert!(fault("{{ .Email ").1.contains("no `}}`"));
        assert!(fault("{{ if .Email }}{{ else }}{{ else }}{{ end }}").1.contains("second"));
        assert!(fault("{{ else }}").1.contains("without"));
        assert!(fault("{{ if .Email }}<a href=\"{{ end }}").1.contains("different places"));
        assert!(fault(&"{{ if .Email }}".repeat(40)).1.contains("too many"));
        assert!(fault(&"x".repeat(SOURCE + 1)).1.contains("larger"));
    }
}
