use plinth_wire::Secret;
use serde_json::{Value, json};

use super::*;
use crate::mail::MailValues;

fn mail(kind: MailKind, data: Value) -> Mail {
    let values = MailValues {
        site_url: "https://app.test".into(),
        confirmation_url: Secret::new(
            "https://api.test/auth/v1/verify?token=abc&type=signup&redirect_to=https://app.test",
        ),
        redirect_to: "https://app.test/welcome?a=1&b=2".into(),
        token: Secret::new("123456"),
        token_hash: Secret::new("abc"),
        email: "ada@example.com".into(),
        new_email: "ada@new.example.com".into(),
        old_email: "ada@old.example.com".into(),
        phone: "+491701".into(),
        old_phone: "+491700".into(),
        provider: "github".into(),
        factor_type: "totp".into(),
        data,
    };
    Mail { kind, to: "ada@example.com".into(), values }
}

fn with(source: TemplateSource) -> Result<MailTemplates, TemplateError> {
    MailTemplates::load(&BTreeMap::from([(MailKind::Invite, source)]))
}

fn render(html: &str, data: Value) -> String {
    let html = Some(Content::Inline(html.to_owned()));
    let templates = with(TemplateSource { html, ..TemplateSource::default() }).unwrap();
    templates.render(&mail(MailKind::Invite, data)).unwrap().html
}

#[test]
fn every_built_in_mail_renders_in_both_forms() {
    let templates = MailTemplates::load(&BTreeMap::new()).unwrap();
    for kind in MailKind::ALL {
        let rendered = templates.render(&mail(kind, json!({}))).unwrap();
        assert!(!rendered.subject.is_empty() && !rendered.subject.contains('{'), "{rendered:?}");
        assert!(rendered.html.starts_with("<!doctype html>"));
        assert!(!rendered.html.contains("{{") && !rendered.text.contains("{{"));
        assert!(!rendered.text.contains('<'), "{}", rendered.text);
    }
}

#[test]
fn links_and_codes_are_in_the_mails_that_need_them() {
    let templates = MailTemplates::load(&BTreeMap::new()).unwrap();
    let link = "https://api.test/auth/v1/verify?token=abc&type=signup&redirect_to=https://app.test";
    use MailKind::{Confirmation, EmailChange, Invite, MagicLink, Reauthentication, Recovery};
    for kind in [Confirmation, Invite, MagicLink, Recovery, EmailChange] {
        let rendered = templates.render(&mail(kind, json!({}))).unwrap();
        assert!(rendered.text.contains(link), "{}", rendered.text);
        assert!(rendered.html.contains(&format!("href=\"{}\"", link.replace('&', "&amp;"))));
    }
    for kind in [Confirmation, MagicLink, Recovery, EmailChange, Reauthentication] {
        let rendered = templates.render(&mail(kind, json!({}))).unwrap();
        assert!(rendered.text.contains("123456") && rendered.html.contains("123456"), "{kind:?}");
    }
}

#[test]
fn a_projects_template_in_go_syntax_works() {
    let source = r#"{{- /* greeting */ -}}
<h2>{{ if eq .Data.lang "de" }}Hallo{{ else if eq .Data.lang "fr" "it" }}Salut{{ else }}Hello{{ end }} {{ .Data.first_name }}</h2>
{{- with .Data.team }}<p>{{ .name }} invites {{ $.Email }}</p>{{ else }}<p>alone</p>{{ end }}
{{- range .Data.roles }}<i>{{ . }}</i>{{ end }}
{{- if and .NewEmail (not .Data.none) }}!{{ end }} {% raw %}"#;
    let data =
        json!({"lang": "de", "first_name": "Jürgen", "team": {"name": "Ops"}, "roles": ["a", "b"]});
    assert_eq!(
        render(source, data),
        "<h2>Hallo Jürgen</h2><p>Ops invites ada@example.com</p><i>a</i><i>b</i>! {% raw %}"
    );
    assert_eq!(render(source, json!({"lang": "it"})), "<h2>Salut </h2><p>alone</p>! {% raw %}");
}

#[test]
fn what_is_missing_is_empty() {
    assert_eq!(render("a{{ .Data.x.y.z }}{{ index .Data \"q\" \"r\" }}b", json!({})), "ab");
    assert_eq!(render("a{{ .Data.x }}b", Value::Null), "ab");
    assert_eq!(
        render(
            "{{ len .Data.list }}{{ .Data.yes }}{{ .Data.n }}{{ .Data.o }}",
            json!({"list": [1, 2], "yes": true, "n": 7, "o": {"a": [null]}})
        ),
        "2true7{&#34;a&#34;:[null]}"
    );
}

#[test]
fn values_cannot_become_markup() {
    let evil =
        json!({"name": "<script>x</script>\"'", "site": "javascript:alert(1)", "q": "x&admin=1"});
    assert_eq!(
        render("<p title=\"{{ .Data.name }}\">{{ .Data.name }}</p>", evil.clone()),
        "<p title=\"&lt;script&gt;x&lt;/script&gt;&#34;&#39;\">&lt;script&gt;x&lt;/script&gt;&#34;&#39;</p>"
    );
    assert_eq!(render("<a href=\"{{ .Data.site }}\">", evil.clone()), "<a href=\"#\">");
    assert_eq!(
        render(
            "<a href=\"{{ .SiteURL }}/c?token_hash={{ .TokenHash }}&q={{ .Data.q }}&next={{ .RedirectTo }}\">",
            evil
        ),
        "<a href=\"https://app.test/c?token_hash=abc&q=x%26admin%3D1&next=https%3A%2F%2Fapp.test%2Fwelcome%3Fa%3D1%26b%3D2\">"
    );
}

#[test]
fn values_cannot_make_up_a_scheme_or_a_tag_together() {
    let evil = json!({"a": "javascript", "b": ":alert(1)", "t": "img src=x onerror=y>"});
    assert_eq!(
        render("<a href=\"{{ .Data.a }}{{ .Data.b }}\">", evil.clone()),
        "<a href=\"javascript%3Aalert%281%29\">"
    );
    assert_eq!(render("<{{ .Data.t }}", evil), "&lt;img src=x onerror=y&gt;");
}

#[test]
fn a_subject_is_one_line_of_text() {
    let subject = Some("{{ .Data.name }} & co\nBcc: x@example.com".to_owned());
    let templates = with(TemplateSource { subject, ..TemplateSource::default() }).unwrap();
    let name = "A\r\nBcc: evil@example.com\r\n\r\n<body>";
    let rendered = templates.render(&mail(MailKind::Invite, json!({"name": name}))).unwrap();
    assert_eq!(rendered.subject, "A Bcc: evil@example.com <body> & co Bcc: x@example.com");
}

#[test]
fn output_and_steps_are_bounded() {
    let html = Some(Content::Inline(
        "{{ range .Data.l }}{{ range $.Data.l }}{{ range $.Data.l }}x{{ end }}{{ end }}{{ end }}"
            .into(),
    ));
    let templates = with(TemplateSource { html, ..TemplateSource::default() }).unwrap();
    let list: Vec<u32> = (0..1_000).collect();
    let error = templates.render(&mail(MailKind::Invite, json!({"l": list}))).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");

    let html = Some(Content::Inline("{{ range .Data.l }}{{ $.Data.s }}{{ end }}".into()));
    let templates = with(TemplateSource { html, ..TemplateSource::default() }).unwrap();
    let data = json!({"l": (0..100).collect::<Vec<u32>>(), "s": "x".repeat(100_000)});
    let error = templates.render(&mail(MailKind::Invite, data)).unwrap_err();
    assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
}

#[test]
fn a_fault_names_mail_part_and_line() {
    let html = Some(Content::Inline("<p>\n{{ .UserName }}</p>".into()));
    let error = with(TemplateSource { html, ..TemplateSource::default() }).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "mail template `invite`, html, line 2: the value `.UserName` is not known"
        ),
        "{error}"
    );
}

#[test]
fn content_comes_from_a_file_and_its_text_from_its_html() {
    let path = std::env::temp_dir().join(format!("plinth-mail-{}.html", uuid::Uuid::new_v4()));
    std::fs::write(&path, "<h1>Hi</h1><p><a href=\"{{ .ConfirmationURL }}\">Join &amp; go</a></p>")
        .unwrap();
    let source =
        TemplateSource { html: Some(Content::File(path.clone())), ..TemplateSource::default() };
    let templates = with(source.clone()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let rendered = templates.render(&mail(MailKind::Invite, json!({}))).unwrap();
    assert_eq!(
        rendered.text,
        "Hi\n\nJoin & go: https://api.test/auth/v1/verify?token=abc&type=signup&redirect_to=https://app.test\n"
    );
    assert!(matches!(with(source), Err(TemplateError::File { kind: "invite", .. })));
}

proptest::proptest! {
    /// Pieces of templates in any order are refused or rendered, and a user's data stays text.
    #[test]
    fn no_template_panics_or_lets_markup_through(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..24),
    ) {
        let html = Some(Content::Inline(pieces.concat()));
        if let Ok(templates) = with(TemplateSource { html, ..TemplateSource::default() }) {
            let data = json!({"x": "<u onclick=\"'", "l": ["<u", 1], "o": {"x": "<u>"}});
            if let Ok(rendered) = templates.render(&mail(MailKind::Invite, data)) {
                proptest::prop_assert!(!rendered.html.contains("<u"), "{}", rendered.html);
            }
        }
    }
}

const PIECES: [&str; 30] = [
    "{{",
    "}}",
    "{{ .Data.x }}",
    "{{.Data.x}}",
    "{{- .Data.x -}}",
    "{{ if .Data.x }}",
    "{{ else }}",
    "{{ end }}",
    "{{ with .Data.o }}",
    "{{ range .Data.l }}",
    "{{ . }}",
    "{{ .x }}",
    "{{/* c */}}",
    "<",
    ">",
    "<!--",
    "-->",
    "<a href=\"",
    "<a href='",
    "<p title=",
    "\"",
    "'",
    " ",
    "ü",
    "{%",
    "%}",
    "{#",
    "<style>",
    "</style>",
    "{",
];
