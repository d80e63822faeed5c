//! Queues, flows, schedules, keys, and who is let in.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use plinth_work::message::{Guard, ROUTES, Request};
use serde_json::json;
use tokio::sync::Notify;

use crate::message_support::{Post, courier, courier_options};
use crate::support::with_bench;

const NOTHING_LEFT: &str = "select count(*) from plinth.message";

#[test]
fn a_queue_delivers_in_order_and_one_at_a_time() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        // Another instance must not make it two.
        let other = courier(bench, courier_options(), Arc::new(Notify::new()));
        post.endpoint.says(500, &[], "");
        post.endpoint.takes(Duration::from_millis(20), 5);
        let target = format!("/v2/enqueue/line/{}/q", post.endpoint.url);
        for number in 1..=5 {
            let headers = [("upstash-retry-delay", "50")];
            post.ask("POST", &target, &headers, number.to_string()).await;
        }
        let got = post.endpoint.wait(6).await;
        let order: Vec<_> = got.iter().map(|got| got.body.as_str()).collect();
        assert_eq!(order, ["1", "1", "2", "3", "4", "5"]);
        assert_eq!(post.endpoint.most_at_once(), 1);
        bench.until(NOTHING_LEFT, "0").await;
        let (_, queue) = post.ask("GET", "/v2/queues/line", &[], "").await;
        assert_eq!((&queue["parallelism"], &queue["lag"]), (&json!(1), &json!(0)));
        other.stop().await;
        post.close().await;
    });
}

#[test]
fn a_paused_queue_waits_and_a_wider_one_does_more_at_once() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let queue = json!({"queueName": "wide", "parallelism": 3, "paused": true});
        post.ask("POST", "/v2/queues", &[], queue.to_string()).await;
        post.endpoint.takes(Duration::from_millis(150), 6);
        let target = format!("/v2/enqueue/wide/{}/q", post.endpoint.url);
        for _ in 0..6 {
            post.ask("POST", &target, &[], "").await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(post.endpoint.got().is_empty());
        post.ask("POST", "/v2/queues/wide/resume", &[], "").await;
        post.endpoint.wait(6).await;
        bench.until(NOTHING_LEFT, "0").await;
        assert_eq!(post.endpoint.most_at_once(), 3);
        post.close().await;
    });
}

#[test]
fn a_paused_queue_stays_paused_when_it_is_made_wider() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let write = async |queue: serde_json::Value| {
            let (status, answer) = post.ask("POST", "/v2/queues", &[], queue.to_string()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let (_, queue) = post.ask("GET", "/v2/queues/held", &[], "").await;
            (queue["parallelism"].as_i64().unwrap(), queue["paused"].as_bool().unwrap())
        };
        assert_eq!(write(json!({"queueName": "held", "parallelism": 2})).await, (2, false));
        assert_eq!(write(json!({"queueName": "held", "paused": true})).await, (2, true));
        // What the client sends for `upsert({parallelism: 3})`.
        let wider = json!({"queueName": "held", "parallelism": 3, "paused": false});
        assert_eq!(write(wider).await, (3, true));
        post.ask("POST", "/v2/queues/held/resume", &[], "").await;
        assert_eq!(write(json!({"queueName": "held"})).await, (3, false));
        let none = json!({"queueName": "held", "parallelism": 0}).to_string();
        let (status, _) = post.ask("POST", "/v2/queues", &[], none).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        post.close().await;
    });
}

#[test]
fn a_queue_that_is_deleted_cancels_what_waits_in_it() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.ask("POST", "/v2/queues/held/pause", &[], "").await;
        let target = format!("/v2/enqueue/held/{}/q", post.endpoint.url);
        let (_, sent) = post.ask("POST", &target, &[], "").await;
        post.ask("DELETE", "/v2/queues/held", &[], "").await;
        assert_eq!(bench.text(NOTHING_LEFT).await, "0");
        let target = format!("/v2/events?messageId={}", sent["messageId"].as_str().unwrap());
        let (_, log) = post.ask("GET", &target, &[], "").await;
        assert_eq!(log["events"][0]["state"], "CANCELED");
        assert_eq!(log["events"][0]["queueName"], "held");
        post.close().await;
    });
}

#[test]
fn a_queue_has_the_same_name_everywhere() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let url = &post.endpoint.url;
        for name in ["two words", "a/b", "ü"] {
            let escaped =
                percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
            let target = format!("/v2/enqueue/{escaped}/{url}/q");
            let queue = json!({"queueName": name}).to_string();
            let batch = json!([{"destination": url, "queue": name}]).to_string();
            for (target, body) in [(&*target, ""), ("/v2/queues", &queue), ("/v2/batch", &batch)] {
                let (status, answer) = post.ask("POST", target, &[], body.to_owned()).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{name} {target} {answer}");
            }
        }
        post.close().await;
    });
}

#[test]
fn a_flow_keeps_its_parallelism_and_its_rate() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        post.endpoint.takes(Duration::from_millis(60), 6);
        for _ in 0..6 {
            let headers = [
                ("upstash-flow-control-key", "two"),
                ("upstash-flow-control-value", "parallelism=2"),
            ];
            post.publish("/f", &headers, "").await;
        }
        bench.until(NOTHING_LEFT, "0").await;
        assert_eq!(post.endpoint.most_at_once(), 2);

        for _ in 0..5 {
            let headers = [
                ("upstash-flow-control-key", "slow"),
                ("upstash-flow-control-value", "rate=2, period=1h"),
            ];
            post.publish("/r", &headers, "").await;
        }
        post.endpoint.wait(8).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(post.endpoint.got().len(), 8);
        let (_, flow) = post.ask("GET", "/v2/flowControl/slow", &[], "").await;
        assert_eq!(
            (&flow["rateMax"], &flow["rateCount"], &flow["ratePeriod"]),
            (&json!(2), &json!(2), &json!(3600))
        );
        assert_eq!(flow["waitListSize"], 3);
        // Pinned numbers count, whatever messages say.
        post.ask("POST", "/v2/flowControl/slow/pin?rate=100&period=1", &[], "").await;
        bench.until(NOTHING_LEFT, "0").await;
        let (_, flow) = post.ask("GET", "/v2/flowControl/slow", &[], "").await;
        assert_eq!(flow["isPinnedRate"], true);
        post.close().await;
    });
}

#[test]
fn a_schedule_ticks_once_for_all_instances() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let other = courier(bench, courier_options(), Arc::new(Notify::new()));
        let target = format!("/v2/schedules/{}/tick?x=1", post.endpoint.url);
        let headers = [
            ("upstash-cron", "* * * * * *"),
            ("upstash-schedule-id", "each"),
            ("upstash-forward-x-s", "s"),
        ];
        let (status, made) = post.ask("POST", &target, &headers, "now").await;
        assert_eq!((status, &made["scheduleId"]), (StatusCode::CREATED, &json!("each")));
        let got = post.endpoint.wait(2).await;
        assert_eq!(got[0].path, "/tick?x=1");
        assert_eq!((got[0].header("upstash-schedule-id"), got[0].header("x-s")), ("each", "s"));
        let (status, _) = post.ask("PATCH", "/v2/schedules/each/pause", &[], "").await;
        assert_eq!(status, StatusCode::OK);
        bench.until(NOTHING_LEFT, "0").await;
        let ticks = "select count(*) = count(distinct date_trunc('second', at)) from plinth.message_event where state = 'CREATED'";
        assert_eq!(bench.text(ticks).await, "true");
        let (_, schedule) = post.ask("GET", "/v2/schedules/each", &[], "").await;
        assert_eq!(
            (&schedule["isPaused"], &schedule["cron"]),
            (&json!(true), &json!("* * * * * *"))
        );
        assert!(
            schedule["lastScheduleStates"]
                .as_object()
                .unwrap()
                .values()
                .all(|state| state == "SUCCESS")
        );
        post.ask("DELETE", "/v2/schedules/each", &[], "").await;
        let (_, none) = post.ask("GET", "/v2/schedules", &[], "").await;
        assert_eq!(none, json!([]));
        let (status, _) = post.ask("POST", &target, &[("upstash-cron", "never")], "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        other.stop().await;
        post.close().await;
    });
}

#[test]
fn the_next_key_becomes_the_current_one() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let (_, before) = post.ask("GET", "/v2/keys", &[], "").await;
        let (_, after) = post.ask("POST", "/v2/keys/rotate", &[], "").await;
        assert_eq!(after["current"], before["next"]);
        assert_ne!(after["next"], before["next"]);
        post.close().await;
    });
}

#[test]
fn nothing_is_answered_to_strangers_but_webhooks() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let ask = async |route: &plinth_work::message::Route, authorization: Option<&str>| {
            let path = route.path.replace("{*}", "https://a.test").replace(['{', '}'], "");
            let method: Method = route.method.replace('*', "POST").parse().unwrap();
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert("authorization", value.parse().unwrap());
            }
            let request = Request {
                method: &method,
                path: &path,
                prefix: "",
                query: "",
                headers: &headers,
                body: Default::default(),
                client_ip: Ipv4Addr::LOCALHOST.into(),
                host: None,
                is_service: false,
            };
            post.messages.answer(request).await.status
        };
        let ours = format!("Bearer {}", post.keys.token().expose());
        for route in ROUTES {
            for stranger in [None, Some("Bearer x"), Some("Basic x"), Some("")] {
                let refused = ask(route, stranger).await == StatusCode::UNAUTHORIZED;
                assert_eq!(refused, route.guard == Guard::Token, "{} {}", route.method, route.path);
            }
            let status = ask(route, Some(&ours)).await;
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{} {}", route.method, route.path);
            assert!(!status.is_server_error(), "{} {}: {status}", route.method, route.path);
        }
        post.close().await;
    });
}

#[test]
fn messages_of_a_lost_instance_are_delivered_by_another() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let id = post.publish("/x", &[("upstash-delay", "1h")], "").await;
        // As an instance leaves it that was killed in the middle.
        bench
            .run(
                "begin; insert into plinth.worker (name, alive_until) values ('gone', now() - interval '1 s');
                 update plinth.message set state = 'r', attempt = 1, due_at = now(), worker = (select max(id) from plinth.worker); commit",
            )
            .await;
        let got = post.endpoint.wait(1).await;
        assert_eq!(got[0].header("upstash-message-id"), id);
        bench.until(NOTHING_LEFT, "0").await;
        post.close().await;
        let workers =
            "select coalesce(string_agg(to_jsonb(worker)::text, ' '), '') from plinth.worker";
        assert_eq!(bench.text(workers).await, "");
    });
}

#[test]
fn messages_of_a_worker_are_queued_again_when_its_lease_was_ended() {
    with_bench("", async |bench| {
        bench
            .run(
                "insert into plinth.worker (name, alive_until) values ('late', now() - interval '1 s');
                 insert into plinth.message (id, state, due_at, url, settings, body, attempt, worker)
                 select 'msg', 'r', now(), 'http://a.test', '{}', '', 1, id from plinth.worker",
            )
            .await;
        // Who ends the lease also forgets the worker; before that, nothing of it may look as if it were done with.
        assert_eq!(bench.text("select plinth.reclaim_messages()").await, "0");
        bench.run("update plinth.worker set alive_until = '-infinity'").await;
        assert_eq!(bench.text("select plinth.reclaim_messages()").await, "1");
    });
}

#[test]
fn what_a_lost_instance_would_write_is_fenced_off() {
    with_bench("", async |bench| {
        let post = Post::open(bench).await;
        let id = post.publish("/x", &[("upstash-delay", "1h")], "").await;
        bench.run("update plinth.message set state = 'r', attempt = 2, worker = 7").await;
        for (attempt, worker) in [(1, 7), (2, 8)] {
            let stale = format!(
                "select plinth.finish_message('{id}', {attempt}, {worker}, '{{\"state\": \"done\"}}')"
            );
            let error = bench.owner.batch_execute(&stale).await.unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some("PLF01"));
        }
        post.close().await;
    });
}
