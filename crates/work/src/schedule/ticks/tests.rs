use super::*;

fn pattern(cron: &str, zone: &str) -> Pattern {
    Pattern::parse(cron, zone).unwrap()
}

fn second(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_second()
}

fn shown(seconds: &[i64]) -> Vec<String> {
    seconds.iter().map(|at| Timestamp::from_second(*at).unwrap().to_string()).collect()
}

/// All ticks after `from`, up to `to`.
fn between(pattern: &Pattern, from: i64, to: i64) -> Vec<i64> {
    let mut ticks = Vec::new();
    let mut at = from;
    while let Some(next) = pattern.next(at).filter(|next| *next <= to) {
        ticks.push(next);
        at = next;
    }
    ticks
}

#[test]
fn patterns_have_five_fields_or_six_and_a_zone() {
    let from = second("2026-01-01T00:00:00Z");
    assert_eq!(pattern("*/5 * * * *", "UTC").next(from), Some(from + 300));
    assert_eq!(pattern("*/10 * * * * *", "UTC").next(from), Some(from + 10));
    let daily = pattern("0 3 * * *", "Asia/Tokyo").next(from).unwrap();
    assert_eq!(shown(&[daily]), ["2026-01-01T18:00:00Z"]);
    for (cron, zone) in [
        ("* * * *", "UTC"),
        ("* * * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("", "UTC"),
        ("* * * * *", "Europe/Nowhere"),
        ("* * * * *", ""),
    ] {
        assert!(Pattern::parse(cron, zone).is_err(), "{cron} {zone}");
    }
    assert_eq!(pattern("0 0 30 2 *", "UTC").next(from), None);
}

#[test]
fn a_time_that_clocks_leave_out_is_done_after_the_gap() {
    // On 29 March 2026 it is 03:00 in Berlin one second after 01:59:59.
    let days = (second("2026-03-28T12:00:00Z"), second("2026-03-30T12:00:00Z"));
    let daily = between(&pattern("30 2 * * *", "Europe/Berlin"), days.0, days.1);
    assert_eq!(shown(&daily), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let hours = (second("2026-03-29T00:00:00Z"), second("2026-03-29T02:00:00Z"));
    let often = between(&pattern("*/30 * * * *", "Europe/Berlin"), hours.0, hours.1);
    assert_eq!(often.len(), 4, "{:?}", shown(&often));
}

#[test]
fn a_time_that_comes_twice_is_done_once_and_steps_go_on() {
    // On 25 October 2026 it is 02:00 in Berlin one second after 02:59:59.
    let days = (second("2026-10-24T12:00:00Z"), second("2026-10-26T12:00:00Z"));
    let daily = between(&pattern("30 2 * * *", "Europe/Berlin"), days.0, days.1);
    assert_eq!(shown(&daily), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    let hours = (second("2026-10-24T23:45:00Z"), second("2026-10-25T02:15:00Z"));
    let often = between(&pattern("*/30 * * * *", "Europe/Berlin"), hours.0, hours.1);
    assert_eq!(often.len(), 5, "{:?}", shown(&often));
    assert!(often.windows(2).all(|pair| pair[1] - pair[0] == 1800));
}

#[test]
fn looking_back_finds_what_looking_ahead_finds() {
    let zones =
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
    let patterns = [
        "30 2 * * *",
        "*/7 * * * *",
        "0 */3 * * *",
        "15 1,2,3 * * *",
        "0 0 * * 1-5",
        "59 23 L * *",
    ];
    for zone in zones {
        for cron in patterns {
            let pattern = pattern(cron, zone);
            for day in
                ["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"]
            {
                let from = second(&format!("{day}T00:00:00Z"));
                let to = from + 2 * 86_400;
                let next = pattern.next(from).unwrap();
                let ahead = between(&pattern, from, to);
                assert_eq!(
                    pattern.due(next, to, CatchUp::All(10_000)),
                    ahead,
                    "{cron} {zone} {day}"
                );
            }
        }
    }
}

#[test]
fn ticks_that_are_on_time_are_done_whatever_the_policy() {
    let now = second("2026-06-01T12:00:30Z");
    let every = pattern("*/10 * * * * *", "UTC");
    let all: Vec<i64> = vec![now - 20, now - 10, now];
    for policy in [CatchUp::Skip, CatchUp::One, CatchUp::All(1)] {
        assert_eq!(every.due(now - 20, now, policy), all, "{policy:?}");
        assert_eq!(every.due(now + 10, now, policy), Vec::<i64>::new());
    }
}

#[test]
fn missed_ticks_are_done_by_policy() {
    let now = second("2026-06-01T12:30:00Z");
    let hourly = pattern("0 * * * *", "UTC");
    let (next, hour) = (now - 1800 - 9 * 3600, 3600);
    let last = now - 1800;
    assert_eq!(hourly.due(next, now, CatchUp::Skip), Vec::<i64>::new());
    assert_eq!(hourly.due(next, now, CatchUp::One), [last]);
    assert_eq!(hourly.due(next, now, CatchUp::All(3)), [last - 2 * hour, last - hour, last]);
    assert_eq!(hourly.due(next, now, CatchUp::All(1000)).len(), 10);
    // One that comes just now stands for those that were missed.
    let on_time = last + 5;
    assert_eq!(hourly.due(next, on_time, CatchUp::Skip), [last]);
    assert_eq!(hourly.due(next, on_time, CatchUp::One), [last]);
    assert_eq!(hourly.due(next, on_time, CatchUp::All(2)), [last - 2 * hour, last - hour, last]);
}

#[test]
fn a_long_absence_costs_no_more_than_the_policy_allows() {
    let now = second("2026-06-01T12:00:00Z");
    let every = pattern("* * * * * *", "UTC");
    let begun = std::time::Instant::now();
    assert_eq!(every.due(0, now, CatchUp::All(1000)).len(), 1000 + 61);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}
