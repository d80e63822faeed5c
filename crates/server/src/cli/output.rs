//! Everything that the commands print: results on standard output, progress on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Colours, when the stream is a terminal and `NO_COLOR` is not set.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    enabled: bool,
}

impl Paint {
    /// Colours for a stream that is, or is not, a terminal.
    pub fn new(terminal: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { enabled: terminal && wanted }
    }

    /// Bold.
    pub fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// Dim.
    pub fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    /// Green.
    pub fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// Yellow.
    pub fn yellow(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Red.
    pub fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.enabled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// The two streams of a command.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Colours of standard output.
    pub paint: Paint,
    /// Colours of standard error.
    pub error_paint: Paint,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            paint: Paint::new(io::stdout().is_terminal()),
            error_paint: Paint::new(io::stderr().is_terminal()),
        }
    }
}

impl Output {
    /// A line of the result. A reader who went away (`| head`) is no error.
    pub fn line(&self, text: impl Display) {
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// The result without a line end.
    pub fn text(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// A line about what is going on.
    pub fn progress(&self, text: impl Display) {
        let mark = self.error_paint.green("•");
        let _ = writeln!(io::stderr().lock(), "{mark} {text}");
    }

    /// Something that the operator should know.
    pub fn warn(&self, text: impl Display) {
        let mark = self.error_paint.yellow("warning:");
        let _ = writeln!(io::stderr().lock(), "{mark} {text}");
    }

    /// An error with its causes, and what to do about it.
    pub fn error(&self, error: &anyhow::Error) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{} {error}", self.error_paint.red("error:"));
        let mut said = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            // Some errors repeat their source in their own text.
            if !said.contains(&cause) {
                let _ = writeln!(stderr, "  {} {cause}", self.error_paint.dim("because:"));
                said = cause;
            }
        }
        if let Some(hint) = error.downcast_ref::<Hinted>().map(|hinted| &hinted.hint) {
            let _ = writeln!(stderr, "  {} {hint}", self.error_paint.yellow("hint:"));
        }
    }

    /// Asks a question that has yes and no for answers; no when nobody can answer.
    pub fn confirm(&self, question: &str) -> bool {
        if !io::stdin().is_terminal() {
            return false;
        }
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let mut answer = String::new();
        let _ = io::stdin().read_line(&mut answer);
        matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }
}

/// An error with a way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Hinted {
    message: String,
    hint: String,
}

/// An error that says what to do about it.
pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { message: message.into(), hint: hint.into() })
}
