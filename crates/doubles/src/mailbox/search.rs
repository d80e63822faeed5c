//! Mailpit's search language, the part that tests and people use.

use super::{Message, Person};

/// Terms of one search; more are ignored.
const TERMS: usize = 32;

/// A parsed query: all terms must hold.
pub(super) struct Query {
    terms: Vec<Term>,
}

struct Term {
    negated: bool,
    field: Field,
    text: String,
}

#[derive(Clone, Copy)]
enum Field {
    To,
    From,
    Cc,
    Bcc,
    ReplyTo,
    Addressed,
    Subject,
    MessageId,
    /// `is:read` and `is:unread`.
    Is,
    /// `has:attachment`.
    Has,
    /// `tag:`; nothing here is ever tagged.
    Tag,
    Anywhere,
}

const FIELDS: [(&str, Field); 11] = [
    ("to:", Field::To),
    ("from:", Field::From),
    ("cc:", Field::Cc),
    ("bcc:", Field::Bcc),
    ("reply-to:", Field::ReplyTo),
    ("addressed:", Field::Addressed),
    ("subject:", Field::Subject),
    ("message-id:", Field::MessageId),
    ("is:", Field::Is),
    ("has:", Field::Has),
    ("tag:", Field::Tag),
];

impl Query {
    /// Reads `to:ada subject:"two words" -is:read text`. Case does not matter.
    pub(super) fn parse(text: &str) -> Self {
        let terms = words(text).into_iter().take(TERMS).map(|word| term(&word)).collect();
        Self { terms }
    }

    /// Whether there is nothing to search for.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn matches(&self, message: &Message) -> bool {
        self.terms.iter().all(|term| term.holds(message) != term.negated)
    }
}

impl Term {
    fn holds(&self, message: &Message) -> bool {
        let text = self.text.as_str();
        match self.field {
            Field::To => names(&message.to, text),
            Field::From => names(std::slice::from_ref(&message.from), text),
            Field::Cc => names(&message.cc, text),
            Field::Bcc => names(&message.bcc, text),
            Field::ReplyTo => names(&message.reply_to, text),
            Field::Addressed => self.addressed(message),
            Field::Subject => contains(&message.subject, text),
            Field::MessageId => contains(&message.message_id, text),
            Field::Is => match text {
                "read" => message.is_read(),
                "unread" => !message.is_read(),
                _ => false,
            },
            Field::Has => text.starts_with("attachment") && !message.attachments.is_empty(),
            Field::Tag => false,
            Field::Anywhere => {
                self.addressed(message)
                    || contains(&message.subject, text)
                    || contains(&message.text, text)
                    || contains(&message.html, text)
            }
        }
    }

    fn addressed(&self, message: &Message) -> bool {
        let lists = [&message.to, &message.cc, &message.bcc, &message.reply_to];
        names(std::slice::from_ref(&message.from), &self.text)
            || lists.iter().any(|list| names(list, &self.text))
    }
}

/// Splits at blanks outside quotation marks, which are taken away.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| word.chars().any(char::is_alphanumeric));
    words
}

fn term(word: &str) -> Term {
    let lower = word.to_lowercase();
    let positive = lower.strip_prefix(['-', '!']);
    let text = positive.unwrap_or(&lower);
    let field = FIELDS.iter().find_map(|(prefix, field)| {
        text.strip_prefix(prefix).map(|rest| (*field, rest.trim().to_owned()))
    });
    let (field, text) = field.unwrap_or_else(|| (Field::Anywhere, text.to_owned()));
    Term { negated: positive.is_some(), field, text }
}

fn names(people: &[Person], text: &str) -> bool {
    people.iter().any(|person| contains(&person.name, text) || contains(&person.address, text))
}

fn contains(haystack: &str, lower: &str) -> bool {
    haystack.to_lowercase().contains(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> bool {
        let source = b"From: Bob <bob@example.com>\r\nTo: ada+x@example.com\r\nSubject: Confirm your address\r\n\r\nThe code is 123456\r\n";
        let recipients = ["ada+x@example.com".to_owned()];
        let message = Message::parse(source.to_vec(), "bob@example.com", &recipients, "");
        Query::parse(query).matches(&message)
    }

    #[test]
    fn fields_narrow_the_search() {
        assert!(found("to:ada+x@example.com"));
        assert!(found("TO:ADA+X@EXAMPLE.COM subject:confirm"));
        assert!(found("from:bob addressed:ada"));
        assert!(!found("to:bob"));
        assert!(!found("to:ada subject:invited"));
    }

    #[test]
    fn quotes_keep_words_together() {
        assert!(found("subject:\"your address\""));
        assert!(found("\"code is\""));
        assert!(!found("subject:\"address your\""));
    }

    #[test]
    fn a_minus_or_exclamation_mark_excludes() {
        assert!(!found("-to:ada"));
        assert!(found("!subject:invited 123456"));
        assert!(found("is:unread -is:read -has:attachment"));
    }

    #[test]
    fn a_query_of_nothing_is_empty() {
        assert!(Query::parse("  \"\" - ").is_empty());
    }
}
