use std::time::Duration;

use super::*;

fn limits(settings: LimitSettings) -> (Limits, Instant) {
    let start = Instant::now();
    (Limits::new(settings, start), start)
}

fn from(ip: &str) -> Caller<'static> {
    Caller { ip: Some(ip.parse().unwrap()), identity: None }
}

fn about(identity: &str) -> Caller<'_> {
    Caller { ip: None, identity: Some(identity) }
}

fn passed(limits: &Limits, kind: Kind, caller: Caller<'_>, now: Instant) -> usize {
    (0..1000).take_while(|_| limits.check(kind, caller, now).is_allowed()).count()
}

#[test]
fn an_address_has_its_burst_and_then_its_rate() {
    let (limits, now) = limits(LimitSettings::default());
    assert_eq!(passed(&limits, Kind::Token, from("192.0.2.1"), now), 30);
    let refused = limits.check(Kind::Token, from("192.0.2.1"), now);
    assert_eq!(refused, Decision::Refused { retry_after: 2 });
    let later = now + Duration::from_secs(2);
    assert_eq!(passed(&limits, Kind::Token, from("192.0.2.1"), later), 1);
}

#[test]
fn the_default_rates_are_those_of_gotrue() {
    let settings = LimitSettings::default();
    let rate = |kind| settings.rate(kind, Scope::Address).unwrap();
    let five_minutes = Duration::from_secs(300);
    assert_eq!(rate(Kind::Token), Rate::new(150, five_minutes, 30));
    assert_eq!(rate(Kind::Verify), Rate::new(30, five_minutes, 30));
    assert_eq!(rate(Kind::Otp), Rate::new(30, five_minutes, 30));
    assert_eq!(rate(Kind::Anonymous), Rate::new(30, Duration::from_secs(3600), 30));
    assert_eq!(rate(Kind::FactorVerify), Rate::new(15, Duration::from_secs(60), 30));
}

#[test]
fn kinds_addresses_and_identities_are_counted_apart() {
    let (limits, now) = limits(LimitSettings::default());
    assert_eq!(passed(&limits, Kind::Otp, from("192.0.2.1"), now), 30);
    assert_eq!(passed(&limits, Kind::Recover, from("192.0.2.1"), now), 30);
    assert_eq!(passed(&limits, Kind::Otp, from("192.0.2.2"), now), 30);
    assert_eq!(passed(&limits, Kind::Otp, about("192.0.2.1"), now), 30);
}

#[test]
fn an_identity_is_limited_from_all_addresses_together() {
    let (limits, now) = limits(LimitSettings::default());
    let attempt = |address: u8| {
        let ip = Some(IpAddr::from([198, 51, 100, address]));
        limits.check(Kind::Password, Caller { ip, identity: Some("a@b.example") }, now)
    };
    assert_eq!((0..200).filter(|address| attempt(*address).is_allowed()).count(), 30);
}

#[test]
fn who_is_refused_by_address_does_not_lock_an_account() {
    let settings = LimitSettings { burst: 5, ..LimitSettings::default() };
    let (limits, now) = limits(settings);
    let victim = Some("a@b.example");
    let attacker = Caller { identity: None, ..from("192.0.2.1") };
    assert_eq!(passed(&limits, Kind::Password, attacker, now), 5);
    for _ in 0..100 {
        let attempt = Caller { identity: victim, ..attacker };
        assert!(!limits.check(Kind::Password, attempt, now).is_allowed());
    }
    let own = Caller { identity: victim, ..from("192.0.2.2") };
    assert!(limits.check(Kind::Password, own, now).is_allowed());
}

#[test]
fn an_ipv6_network_is_one_caller_and_a_mapped_address_is_ipv4() {
    let (limits, now) = limits(LimitSettings::default());
    assert_eq!(passed(&limits, Kind::Otp, from("2001:db8:1:2::1"), now), 30);
    assert_eq!(passed(&limits, Kind::Otp, from("2001:db8:1:2:ffff::9"), now), 0);
    assert_eq!(passed(&limits, Kind::Otp, from("2001:db8:1:3::1"), now), 30);
    assert_eq!(passed(&limits, Kind::Otp, from("::ffff:192.0.2.7"), now), 30);
    assert_eq!(passed(&limits, Kind::Otp, from("192.0.2.7"), now), 0);
}

#[test]
fn a_flood_of_fresh_addresses_does_not_reset_a_spent_one() {
    let (limits, now) = limits(LimitSettings { capacity: 2048, ..LimitSettings::default() });
    assert_eq!(passed(&limits, Kind::Otp, about("victim@b.example"), now), 30);
    for fresh in 0..50_000_u32 {
        limits.check(
            Kind::Otp,
            Caller { ip: Some(IpAddr::from(fresh.to_be_bytes())), identity: None },
            now,
        );
    }
    assert_eq!(passed(&limits, Kind::Otp, about("victim@b.example"), now), 0);
    assert!(limits.callers.len() <= 2048);
}

#[test]
fn what_is_not_known_is_not_limited() {
    let (limits, now) = limits(LimitSettings::default());
    assert_eq!(passed(&limits, Kind::Otp, Caller::default(), now), 1000);
    assert_eq!(passed(&limits, Kind::Token, about("user"), now), 1000);
}

#[test]
fn the_instance_sends_so_many_messages_in_an_hour() {
    let two = crate::config::Rate { count: 2, per: Duration::from_secs(3600) };
    let (limits, now) = limits(LimitSettings { sms_sent: Some(two), ..LimitSettings::default() });
    assert_eq!((0..100).filter(|_| limits.check_email(now).is_allowed()).count(), 30);
    assert_eq!(limits.check_email(now), Decision::Refused { retry_after: 120 });
    assert_eq!((0..100).filter(|_| limits.check_sms(now).is_allowed()).count(), 2);
    let later = now + Duration::from_secs(3600);
    assert_eq!((0..100).filter(|_| limits.check_email(later).is_allowed()).count(), 30);
}

#[test]
fn no_limit_is_no_limit_and_zero_is_nothing() {
    let none = crate::config::Rate { count: 0, per: Duration::from_secs(3600) };
    let settings =
        LimitSettings { email_sent: None, sms_sent: Some(none), ..LimitSettings::default() };
    let (limits, now) = limits(settings);
    assert!((0..1000).all(|_| limits.check_email(now).is_allowed()));
    assert_eq!(limits.check_sms(now), Decision::Refused { retry_after: 3600 });
}

#[test]
fn callers_at_once_get_no_more_than_callers_in_turn() {
    let (limits, now) = limits(LimitSettings::default());
    let passed: usize = std::thread::scope(|scope| {
        let caller = || {
            let caller = Caller { identity: Some("a@b.example"), ..from("192.0.2.1") };
            (0..200).filter(|_| limits.check(Kind::Password, caller, now).is_allowed()).count()
        };
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(passed, 30);
}
