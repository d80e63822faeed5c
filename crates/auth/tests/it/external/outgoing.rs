//! Where discovery may lead us: nowhere inside, unless the settings say so.

use plinth_auth::outgoing::OutgoingError;
use plinth_doubles::oidc::Misbehaviour;

use super::*;

fn strict() -> Arc<Directory> {
    let outgoing = Outgoing::new(OutgoingPolicy::default(), Duration::from_secs(5)).unwrap();
    Directory::new(outgoing, DirectorySettings::default())
}

async fn discovery(issuer: &str, directory: Arc<Directory>) -> Result<Url, ExternalError> {
    let settings = ProviderSettings {
        id: "custom:probe".to_owned(),
        client_ids: vec!["client".to_owned()],
        redirect_uri: REDIRECT.to_owned(),
        custom: Some(Custom::Oidc { issuer: issuer.to_owned(), discovery_url: None }),
        ..Default::default()
    };
    let provider = Provider::new(settings, directory).unwrap();
    provider.authorize_url(&AuthorizeRequest { state: "s", ..Default::default() }).await
}

fn is_refused(outcome: &Result<Url, ExternalError>) -> bool {
    matches!(outcome, Err(ExternalError::Outgoing(OutgoingError::Refused(_))))
}

#[tokio::test]
async fn discovery_does_not_lead_inside() {
    let double = stand_in().await;
    let port = double.address().port();
    for issuer in [
        "http://169.254.169.254".to_owned(),
        "https://169.254.169.254".to_owned(),
        "https://10.0.0.1".to_owned(),
        "https://192.168.1.1:8443/realms/x".to_owned(),
        "https://[::1]".to_owned(),
        "https://[fd00::1]".to_owned(),
        "https://[::ffff:169.254.169.254]".to_owned(),
        "https://localhost".to_owned(),
        "https://anything.localhost".to_owned(),
        "https://0".to_owned(),
        "https://2852039166".to_owned(),
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "file:///etc/passwd".to_owned(),
        "not a url".to_owned(),
    ] {
        let outcome = discovery(&issuer, strict()).await;
        let refused = is_refused(&outcome)
            || matches!(outcome, Err(ExternalError::Malformed("discovery document")));
        assert!(refused, "{issuer}: {outcome:?}");
    }
    assert_eq!(double.requests("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (double, inside) = (stand_in().await, stand_in().await);
    let target = format!("{}/.well-known/openid-configuration", inside.url());
    double.misbehave(Some(Misbehaviour::Redirect(target)));
    let outcome = discovery(&double.url(), directory()).await;
    assert!(matches!(outcome, Err(ExternalError::Status(302))), "{outcome:?}");
    assert_eq!(inside.requests("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn a_document_cannot_lead_where_its_address_could_not() {
    let double = stand_in().await;
    // In development this machine may be called, but still nothing else inside.
    for url in ["http://169.254.169.254/token", "https://10.0.0.1/token"] {
        let settings = ProviderSettings {
            custom: Some(Custom::OAuth2 {
                authorization_url: format!("{}/authorize", double.url()),
                token_url: url.to_owned(),
                userinfo_url: url.to_owned(),
            }),
            ..custom(&double)
        };
        let provider = provider(settings);
        let error = provider.exchange("code", None, None).await.unwrap_err();
        assert!(matches!(error, ExternalError::Outgoing(OutgoingError::Refused(_))), "{error:?}");
        let tokens = ProviderTokens::of(Secret::new("stored"));
        let error = provider.profile(&tokens, None).await.unwrap_err();
        assert!(matches!(error, ExternalError::Outgoing(OutgoingError::Refused(_))), "{error:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::HugeBody));
    let outcome = discovery(&double.url(), directory()).await;
    let too_long = matches!(outcome, Err(ExternalError::Outgoing(OutgoingError::TooLong(_))));
    assert!(too_long, "{outcome:?}");
}

#[tokio::test]
async fn a_slow_provider_costs_a_bounded_time() {
    let double = stand_in().await;
    double.misbehave(Some(Misbehaviour::Slow(Duration::from_secs(60))));
    let policy = OutgoingPolicy { allow_http_loopback: true, ..Default::default() };
    let outgoing = Outgoing::new(policy, Duration::from_millis(200)).unwrap();
    let directory = Directory::new(outgoing, DirectorySettings::default());
    let outcome = discovery(&double.url(), directory).await;
    let timed_out = matches!(outcome, Err(ExternalError::Outgoing(OutgoingError::TimedOut(_))));
    assert!(timed_out, "{outcome:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let address = stand_in().await.url();
    let outcome = discovery(&address, directory()).await;
    let unreachable =
        matches!(outcome, Err(ExternalError::Outgoing(OutgoingError::Unreachable { .. })));
    assert!(unreachable, "{outcome:?}");
}
