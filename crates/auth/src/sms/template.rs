//! What a message says.

/// What is said if nothing else is configured.
pub const DEFAULT_TEMPLATE: &str = "Your code is {{ .Code }}";

/// `template` with the code for each `{{ .Code }}`, however it is spaced. Nothing else is replaced: a
/// text message has no other variable.
pub fn render(template: &str, code: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        match after.split_once("}}") {
            Some((name, after)) if name.trim() == ".Code" => {
                text.push_str(code);
                rest = after;
            }
            _ => {
                text.push_str("{{");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_put_in() {
        assert_eq!(render(DEFAULT_TEMPLATE, "123456"), "Your code is 123456");
        assert_eq!(render("{{.Code}} oder {{  .Code\t}}!", "1"), "1 oder 1!");
    }

    #[test]
    fn nothing_else_is_replaced() {
        for template in ["", "no code", "{{ .Token }}", "{{ .Code", "}} {{", "{ .Code }", "{{"] {
            assert_eq!(render(template, "123456"), template);
        }
        assert_eq!(render("{{ {{ .Code }}", "1"), "{{ 1");
    }

    #[test]
    fn a_code_is_not_a_template() {
        assert_eq!(render("{{ .Code }}", "{{ .Code }}"), "{{ .Code }}");
    }
}
