use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::outgoing::double::{Double, closed, json as answer, silent};

const SMS: Sms<'static> = Sms {
    phone: "15551234567",
    text: "Your code is 123456",
    code: "123456",
    channel: Channel::Sms,
};

fn twilio() -> Provider {
    Provider::Twilio(Twilio {
        account_sid: "AC1".to_owned(),
        auth_token: Secret::new("hidden"),
        message_service_sid: "MG1".to_owned(),
        content_sid: Some("HX1".to_owned()),
    })
}

fn verify() -> Provider {
    Provider::TwilioVerify(TwilioVerify {
        account_sid: "AC1".to_owned(),
        auth_token: Secret::new("hidden"),
        message_service_sid: "VA1".to_owned(),
    })
}

fn messagebird() -> Provider {
    let access_key = Secret::new("hidden");
    Provider::Messagebird(Messagebird { originator: "Plinth".to_owned(), access_key })
}

fn textlocal() -> Provider {
    Provider::Textlocal(Textlocal { api_key: Secret::new("hidden"), sender: "Plinth".to_owned() })
}

fn vonage() -> Provider {
    Provider::Vonage(Vonage {
        api_key: Secret::new("key"),
        api_secret: Secret::new("hidden"),
        from: "Plinth".to_owned(),
    })
}

fn all() -> [Provider; 5] {
    [twilio(), verify(), messagebird(), textlocal(), vonage()]
}

fn carrier(provider: Provider, base: &str) -> HttpSms {
    HttpSms::new(outgoing::client().unwrap(), provider).with_base(base)
}

fn fields(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

async fn id(provider: Provider, status: u16, body: Value) -> Result<String, String> {
    let double = Double::json(status, body).await;
    let sent = carrier(provider, &double.base).send(SMS).await;
    sent.map(|id| id.0).map_err(|error| error.to_string())
}

#[tokio::test]
async fn twilio_is_posted_a_form_with_basic_authentication() {
    let double = Double::json(201, json!({"sid": "SM1", "status": "queued"})).await;
    let carrier = carrier(twilio(), &double.base);
    assert_eq!(carrier.send(SMS).await.unwrap(), MessageId("SM1".to_owned()));
    let whatsapp = Sms { channel: Channel::Whatsapp, ..SMS };
    carrier.send(whatsapp).await.unwrap();

    let [sms, whatsapp] = double.asked().try_into().unwrap();
    assert_eq!(sms.uri.path(), "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(
        sms.headers["authorization"].to_str().unwrap(),
        format!("Basic {}", STANDARD.encode("AC1:hidden"))
    );
    assert_eq!(
        sms.form(),
        fields(&[
            ("Channel", "sms"),
            ("To", "+15551234567"),
            ("From", "MG1"),
            ("Body", "Your code is 123456"),
        ])
    );
    assert_eq!(
        whatsapp.form(),
        fields(&[
            ("Channel", "whatsapp"),
            ("To", "whatsapp:+15551234567"),
            ("From", "MG1"),
            ("ContentSid", "HX1"),
            ("ContentVariables", r#"{"1":"123456"}"#),
        ])
    );
}

#[test]
fn a_whatsapp_sender_that_is_a_number_is_marked() {
    let Provider::Twilio(mut account) = twilio() else { unreachable!() };
    account.message_service_sid = "+15550001111".to_owned();
    account.content_sid = None;
    let form = account.request(&Sms { channel: Channel::Whatsapp, ..SMS }).form;
    assert!(form.contains(&("From", "whatsapp:+15550001111".to_owned())));
    assert!(form.contains(&("Body", SMS.text.to_owned())));
}

#[tokio::test]
async fn twilio_s_failures_are_told() {
    let refused = json!({"code": 21211, "message": "Bad number.", "more_info": "https://t/21211"});
    assert_eq!(
        id(twilio(), 400, refused).await.unwrap_err(),
        "twilio error: Bad number. More information: https://t/21211"
    );
    let failed = json!({"sid": "SM1", "status": "failed", "error_message": "No credit"});
    assert_eq!(
        id(twilio(), 201, failed).await.unwrap_err(),
        "twilio error: No credit for message SM1"
    );
}

#[tokio::test]
async fn twilio_verify_sends_and_compares_codes_itself() {
    let double = Double::start(|count| match count {
        0 => answer(201, r#"{"sid":"VE1","status":"pending"}"#),
        1 => answer(200, r#"{"status":"approved","valid":true}"#),
        2 => answer(200, r#"{"status":"pending","valid":false}"#),
        _ => answer(404, r#"{"code":20404,"message":"not found"}"#),
    });
    let double = double.await;
    let carrier = carrier(verify(), &double.base);
    assert!(carrier.makes_codes());
    assert_eq!(carrier.send(SMS).await.unwrap(), MessageId("VE1".to_owned()));
    let code = Secret::new("123456");
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        verdicts.push(carrier.check("15551234567", &code).await.unwrap());
    }
    assert_eq!(verdicts, [true, false, false]);

    let asked = double.asked();
    assert_eq!(asked[0].uri.path(), "/v2/Services/VA1/Verifications");
    assert_eq!(asked[0].form(), fields(&[("To", "+15551234567"), ("Channel", "sms")]));
    assert_eq!(asked[1].uri.path(), "/v2/Services/VA1/VerificationCheck");
    assert_eq!(asked[1].form(), fields(&[("To", "+15551234567"), ("Code", "123456")]));
}

#[tokio::test]
async fn other_carriers_compare_no_codes() {
    for provider in [twilio(), messagebird(), textlocal(), vonage()] {
        let carrier = carrier(provider, "http://127.0.0.1:9");
        assert!(!carrier.makes_codes());
        assert!(!carrier.check("15551234567", &Secret::new("123456")).await.unwrap());
    }
}

#[tokio::test]
async fn messagebird_is_posted_a_form_with_its_key() {
    let double = Double::json(201, json!({"id": "m1", "recipients": {"totalSentCount": 1}})).await;
    let sent = carrier(messagebird(), &double.base).send(SMS).await.unwrap();
    assert_eq!(sent, MessageId("m1".to_owned()));
    let [asked] = double.asked().try_into().unwrap();
    assert_eq!(asked.uri.path(), "/messages");
    assert_eq!(asked.headers["authorization"], "AccessKey hidden");
    assert_eq!(
        asked.form(),
        fields(&[
            ("originator", "Plinth"),
            ("body", "Your code is 123456"),
            ("recipients", "15551234567"),
            ("type", "sms"),
            ("datacoding", "unicode"),
        ])
    );
}

#[tokio::test]
async fn messagebird_s_failures_are_told() {
    let refused = json!({"errors": [{"code": 2, "description": "Request not allowed"}]});
    assert_eq!(
        id(messagebird(), 401, refused).await.unwrap_err(),
        "messagebird error: Request not allowed"
    );
    let unsent = json!({"id": "m1", "recipients": {"totalSentCount": 0}});
    assert_eq!(
        id(messagebird(), 201, unsent).await.unwrap_err(),
        "messagebird error: total sent count is 0"
    );
}

#[tokio::test]
async fn textlocal_is_posted_a_form_with_its_key() {
    let double = Double::json(200, json!({"status": "success", "messages": [{"id": 7}]})).await;
    let sent = carrier(textlocal(), &double.base).send(SMS).await.unwrap();
    assert_eq!(sent, MessageId("7".to_owned()));
    let [asked] = double.asked().try_into().unwrap();
    assert_eq!(asked.uri.path(), "/send");
    assert_eq!(
        asked.form(),
        fields(&[
            ("sender", "Plinth"),
            ("apikey", "hidden"),
            ("message", "Your code is 123456"),
            ("numbers", "15551234567"),
        ])
    );
}

#[tokio::test]
async fn textlocal_s_failures_are_told() {
    let refused = json!({"status": "failure", "errors": [{"code": 51, "message": "No number"}]});
    assert_eq!(
        id(textlocal(), 200, refused).await.unwrap_err(),
        "textlocal error: No number (code: 51)"
    );
    let vague = json!({"status": "failure"});
    assert_eq!(id(textlocal(), 200, vague).await.unwrap_err(), "textlocal error: failure");
}

#[tokio::test]
async fn vonage_is_posted_a_form_with_its_keys() {
    let body = json!({"messages": [{"status": "0", "message-id": "v1"}]});
    let double = Double::json(200, body).await;
    let carrier = carrier(vonage(), &double.base);
    assert_eq!(carrier.send(SMS).await.unwrap(), MessageId("v1".to_owned()));
    carrier.send(Sms { text: "Ваш код 123456", ..SMS }).await.unwrap();

    let [ascii, cyrillic] = double.asked().try_into().unwrap();
    assert_eq!(ascii.uri.path(), "/sms/json");
    assert_eq!(
        ascii.form(),
        fields(&[
            ("from", "Plinth"),
            ("to", "15551234567"),
            ("text", "Your code is 123456"),
            ("api_key", "key"),
            ("api_secret", "hidden"),
        ])
    );
    assert!(cyrillic.form().contains(&("type".to_owned(), "unicode".to_owned())));
}

#[tokio::test]
async fn vonage_s_failures_are_told() {
    let refused = json!({"messages": [{"status": "4", "error-text": "Bad credentials"}]});
    assert_eq!(
        id(vonage(), 200, refused).await.unwrap_err(),
        "vonage error: Bad credentials (status: 4)"
    );
}

#[tokio::test]
async fn no_answer_counts_as_sent_that_does_not_say_so() {
    for provider in all() {
        let name = provider.name();
        for (status, body) in
            [(200, "{}"), (200, "<html>"), (500, "oops"), (200, r#"{"messages":[]}"#)]
        {
            let double = Double::start(move |_| answer(status, body)).await;
            let error = carrier(provider.clone(), &double.base).send(SMS).await.unwrap_err();
            let unreadable = matches!(error, SmsError::Unreadable(told) if told == name);
            assert!(unreadable, "{name} {body} {error:?}");
            assert_eq!(double.asked().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_carrier_that_cannot_be_reached_is_an_error_in_time() {
    let down = carrier(twilio(), &closed().await).send(SMS).await.unwrap_err();
    assert!(matches!(down, SmsError::Unreachable { provider: "twilio", .. }));
    let timeout = Duration::from_millis(100);
    let slow = HttpSms { timeout, ..carrier(vonage(), &silent().await) };
    assert!(matches!(slow.send(SMS).await, Err(SmsError::Timeout("vonage"))));
}

#[tokio::test]
async fn whatsapp_is_twilio_s_only() {
    let whatsapp = Sms { channel: Channel::Whatsapp, ..SMS };
    for provider in [messagebird(), textlocal(), vonage()] {
        let error = carrier(provider, "http://127.0.0.1:9").send(whatsapp).await.unwrap_err();
        assert!(matches!(error, SmsError::Channel { channel: "whatsapp", .. }));
    }
    assert!(
        [twilio(), verify()].map(|p| carrier(p, "x")).iter().all(|c| c.supports(Channel::Whatsapp))
    );
}

#[test]
fn neither_keys_nor_codes_are_printed() {
    for provider in all() {
        assert!(!format!("{:?}", carrier(provider, "x")).contains("hidden"));
    }
    let printed = format!("{SMS:?}");
    assert!(!printed.contains("123456") && !printed.contains("1555"), "{printed}");
}

#[test]
fn channels_have_their_names() {
    assert_eq!(Channel::of_name(""), Some(Channel::Sms));
    assert_eq!(Channel::of_name("whatsapp").map(Channel::name), Some("whatsapp"));
    assert_eq!(Channel::of_name("pigeon"), None);
}
