//! From a kind of mail and its values to a subject, a text and an HTML body.
//!
//! Templates are written in Go's syntax, as far as mails need it, because that is what people have. They are translated once, when
//! they are loaded; in HTML every value is escaped for the very place where it stands.

mod expression;
mod filters;
mod go;
mod html;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::json;

use super::message::one_line;
use super::{Mail, MailKind, plain, words};
use filters::Bounded;
use go::Language;

/// Bytes of a rendered body.
const OUTPUT: usize = 1 << 20;
/// Characters of a subject.
const SUBJECT: usize = 400;
/// Steps that rendering a template may take.
const FUEL: u64 = 200_000;

/// Where a body comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here it is.
    Inline(String),
    /// A file, read when the templates are loaded.
    File(PathBuf),
}

/// What a project says differently about one kind of mail: `subject`, `content` and `content_path` of `[auth.email.template.*]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSource {
    /// The subject; `None` is the built-in one.
    pub subject: Option<String>,
    /// The HTML body; `None` is the built-in one.
    pub html: Option<Content>,
    /// The text body; `None` is the built-in one, or what the HTML says when that was replaced.
    pub text: Option<Content>,
}

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject in one line.
    pub subject: String,
    /// The HTML body.
    pub html: String,
    /// The text body.
    pub text: String,
}

/// Why templates cannot be loaded or rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file cannot be read.
    #[error("mail template `{kind}`: cannot read {path}")]
    File {
        /// Which mail.
        kind: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not written as it must be.
    #[error("mail template `{kind}`, {part}, line {line}: {problem}")]
    Syntax {
        /// Which mail.
        kind: &'static str,
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// With these values it grows too large or takes too long.
    #[error("mail template `{kind}`, {part}: cannot be rendered: {problem}")]
    Render {
        /// Which mail.
        kind: &'static str,
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// What went wrong; without values.
        problem: String,
    },
}

/// A project's templates, checked and translated.
#[derive(Debug)]
pub struct MailTemplates {
    environment: Environment<'static>,
    /// Kinds whose text is made from their HTML.
    text_from_html: Vec<MailKind>,
}

impl MailTemplates {
    /// Loads the built-in templates with a project's own in their place.
    ///
    /// # Errors
    /// [`TemplateError`] that names the mail, the part and the line.
    pub fn load(own: &BTreeMap<MailKind, TemplateSource>) -> Result<Self, TemplateError> {
        let mut templates = Self { environment: environment(), text_from_html: Vec::new() };
        let nothing = TemplateSource::default();
        for kind in MailKind::ALL {
            templates.add_kind(kind, own.get(&kind).unwrap_or(&nothing))?;
        }
        Ok(templates)
    }

    fn add_kind(&mut self, kind: MailKind, own: &TemplateSource) -> Result<(), TemplateError> {
        let built_in = words::template(kind);
        let subject = own.subject.clone().unwrap_or(built_in.subject);
        self.add(kind, "subject", &subject)?;
        let html = read(kind, own.html.as_ref())?;
        let text = read(kind, own.text.as_ref())?;
        match (&html, &text) {
            (Some(_), None) => self.text_from_html.push(kind),
            _ => self.add(kind, "text", text.as_deref().unwrap_or(&built_in.text))?,
        }
        self.add(kind, "html", html.as_deref().unwrap_or(&built_in.html))
    }

    fn add(
        &mut self,
        kind: MailKind,
        part: &'static str,
        source: &str,
    ) -> Result<(), TemplateError> {
        let language = if part == "html" { Language::Html } else { Language::Text };
        let fault =
            |line, problem| TemplateError::Syntax { kind: kind.name(), part, line, problem };
        let code = go::translate(source, language).map_err(|it| fault(it.line, it.problem))?;
        self.environment
            .add_template_owned(name(kind, part), code)
            .map_err(|error| fault(error.line().unwrap_or(1), error.kind().to_string()))
    }

    /// Puts a mail's values into its templates.
    ///
    /// # Errors
    /// [`TemplateError::Render`] when the result is too large or the template takes too many steps.
    pub fn render(&self, mail: &Mail) -> Result<Rendered, TemplateError> {
        let values = values(mail);
        let subject = one_line(&self.part(mail.kind, "subject", &values)?);
        let html = self.part(mail.kind, "html", &values)?;
        let text = if self.text_from_html.contains(&mail.kind) {
            plain::from_html(&html)
        } else {
            self.part(mail.kind, "text", &values)?
        };
        Ok(Rendered { subject: subject.chars().take(SUBJECT).collect(), html, text })
    }

    fn part(
        &self,
        kind: MailKind,
        part: &'static str,
        values: &Value,
    ) -> Result<String, TemplateError> {
        let mut output = Bounded::new(OUTPUT);
        self.environment
            .get_template(&name(kind, part))
            .and_then(|template| template.render_captured_to(values.clone(), &mut output).map(drop))
            .map_err(|error| {
                let problem = std::error::Error::source(&error)
                    .map_or_else(|| error.kind().to_string(), ToString::to_string);
                TemplateError::Render { kind: kind.name(), part, problem }
            })?;
        Ok(output.into_text())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_syntax(syntax());
    environment.set_fuel(Some(FUEL));
    filters::register(&mut environment);
    environment
}

/// The engine's own syntax, but a line end at the end stays.
fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.keep_trailing_newline(true);
    builder.build().unwrap_or_default()
}

fn name(kind: MailKind, part: &str) -> String {
    format!("{}.{part}", kind.name())
}

fn read(kind: MailKind, content: Option<&Content>) -> Result<Option<String>, TemplateError> {
    match content {
        None => Ok(None),
        Some(Content::Inline(text)) => Ok(Some(text.clone())),
        Some(Content::File(path)) => read_file(path).map(Some).map_err(|source| {
            TemplateError::File { kind: kind.name(), path: path.clone(), source }
        }),
    }
}

/// Reads a file, but no more of it than a template may have, so that a device or a huge file does no harm.
fn read_file(path: &Path) -> io::Result<String> {
    let most = u64::try_from(go::SOURCE).unwrap_or(u64::MAX);
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(std::fs::File::open(path)?, most + 1), &mut text)?;
    Ok(text)
}

fn values(mail: &Mail) -> Value {
    let values = &mail.values;
    Value::from(Serde(json!({ "v": {
        "SiteURL": values.site_url,
        "ConfirmationURL": values.confirmation_url.expose(),
        "RedirectTo": values.redirect_to,
        "Token": values.token.expose(),
        "TokenHash": values.token_hash.expose(),
        "Email": values.email,
        "NewEmail": values.new_email,
        "OldEmail": values.old_email,
        "SendingTo": mail.to,
        "Phone": values.phone,
        "OldPhone": values.old_phone,
        "Provider": values.provider,
        "FactorType": values.factor_type,
        "Data": values.data,
    }})))
}

#[cfg(test)]
mod tests;
