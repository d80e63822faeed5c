//! A run's steps as people see them: one after the other, or side by side. Pure.

use serde_json::{Map, Value, json};

/// A run with its steps in groups, from what the database says of it.
pub(super) fn run(mut run: Value) -> Value {
    let Some(fields) = run.as_object_mut() else { return run };
    fields.remove("cursor");
    let retries = fields.remove("retries").unwrap_or(json!(3));
    let redacted = fields.remove("redacted").is_some_and(|redacted| redacted == true);
    let headers = fields.remove("headers").unwrap_or(json!({}));
    let entries = fields.remove("entries").unwrap_or_default();
    let pending = fields.remove("pending").unwrap_or_default();
    let failed = fields.get("workflowState").is_some_and(|state| state == "RUN_FAILED");
    let mut groups = groups(&entries, &retries, &headers, redacted);
    groups.extend(next(&pending, &retries, failed));
    fields.insert("steps".to_owned(), Value::Array(groups));
    run
}

/// Steps that have a result. Those of one fan-out follow each other, whatever their order.
fn groups(entries: &Value, retries: &Value, headers: &Value, redacted: bool) -> Vec<Value> {
    let mut groups: Vec<(bool, Vec<Value>)> = Vec::new();
    for (place, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let step = if place == 0 { Some(first(entry)) } else { later(entry) };
        let Some(mut step) = step else { continue };
        if redacted {
            redact(&mut step);
        }
        step.insert("messageId".to_owned(), entry["messageId"].clone());
        step.insert("createdAt".to_owned(), entry["time"].clone());
        step.insert("retries".to_owned(), retries.clone());
        step.insert("headers".to_owned(), headers.clone());
        step.insert("state".to_owned(), json!("STEP_SUCCESS"));
        step.insert("callType".to_owned(), json!("step"));
        let parallel = step.get("concurrent").and_then(Value::as_i64).is_some_and(|n| n > 1);
        match groups.last_mut() {
            Some((true, steps)) if parallel => steps.push(Value::Object(step)),
            _ => groups.push((parallel, vec![Value::Object(step)])),
        }
    }
    let named = |(parallel, steps): (bool, Vec<Value>)| json!({"type": if parallel { "parallel" } else { "sequential" }, "steps": steps});
    groups.into_iter().map(named).collect()
}

/// The run's payload.
fn first(entry: &Value) -> Map<String, Value> {
    let step = json!({
        "stepId": 0, "stepName": "init", "stepType": "Initial", "concurrent": 1, "out": entry["body"],
    });
    step.as_object().cloned().unwrap_or_default()
}

/// Hides what is of the body of a step.
fn redact(step: &mut Map<String, Value>) {
    for part in ["out", "callBody"] {
        if let Some(value) = step.get_mut(part) {
            *value = json!("REDACTED");
        }
    }
}

/// A result; plans of parallel steps have none.
fn later(entry: &Value) -> Option<Map<String, Value>> {
    let step: Value = serde_json::from_str(entry["body"].as_str()?).ok()?;
    let step = step.as_object()?.clone();
    (step.get("stepId").and_then(Value::as_i64) != Some(0)).then_some(step)
}

/// Deliveries that are still to come, or stand still.
fn next(pending: &Value, retries: &Value, failed: bool) -> Option<Value> {
    let steps: Vec<Value> = pending
        .as_array()?
        .iter()
        .map(|message| {
            let state = match message["state"].as_str() {
                Some("d") => "STEP_FAILED",
                _ if failed => "STEP_CANCELED",
                _ if message["retried"].as_i64().is_some_and(|retried| retried > 0) => "STEP_RETRY",
                _ => "STEP_PROGRESS",
            };
            let mut step = json!({
                "messageId": message["messageId"], "state": state, "retries": retries, "retried": message["retried"],
                "notBefore": message["due"],
            });
            if let Some(name) = message.get("stepName") {
                step["stepName"] = name.clone();
            }
            step
        })
        .collect();
    (!steps.is_empty()).then(|| json!({"type": "next", "steps": steps}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_were_to_be_redacted_are_not_shown() {
        let later =
            json!({"stepId": 1, "stepName": "s", "out": "\"hidden\"", "callBody": "hidden"});
        let found = json!({
            "workflowRunId": "wfr_1", "redacted": true,
            "entries": [
                {"messageId": "m", "body": "hidden", "time": 1},
                {"messageId": "n", "body": later.to_string(), "time": 2},
            ],
        });
        let run = run(found);
        assert!(!run.to_string().contains("hidden"), "{run}");
        assert_eq!(run["steps"][0]["steps"][0]["out"], "REDACTED");
        assert_eq!(run["steps"][1]["steps"][0]["stepName"], "s");
        assert!(run.get("redacted").is_none());
    }

    #[test]
    fn steps_are_grouped_as_they_ran() {
        let entry = |id: i64, name: &str, concurrent: i64| {
            let body =
                json!({"stepId": id, "stepName": name, "concurrent": concurrent}).to_string();
            json!({"messageId": name, "body": body, "time": 1})
        };
        let found = json!({
            "workflowRunId": "wfr_1", "workflowState": "RUN_STARTED", "retries": 3, "cursor": "x",
            "entries": [
                {"messageId": "m", "body": "{}", "time": 1}, entry(1, "one", 1), entry(0, "plan", 2),
                entry(0, "plan", 2), entry(3, "right", 2), entry(2, "left", 2), entry(4, "last", 1)
            ],
            "pending": [{"messageId": "p", "state": "q", "retried": 1, "due": 5, "stepName": "next"}],
            "headers": {"x-own": ["yes"]},
        });
        let run = run(found);
        let groups = run["steps"].as_array().unwrap();
        let shown: Vec<_> = groups
            .iter()
            .map(|group| {
                (group["type"].as_str().unwrap(), group["steps"].as_array().unwrap().len())
            })
            .collect();
        assert_eq!(
            shown,
            [("sequential", 1), ("sequential", 1), ("parallel", 2), ("sequential", 1), ("next", 1)]
        );
        assert_eq!(groups[0]["steps"][0]["stepType"], "Initial");
        assert_eq!(groups[4]["steps"][0]["state"], "STEP_RETRY");
        assert_eq!(groups[4]["steps"][0]["stepName"], "next");
        for group in &groups[..4] {
            assert_eq!(group["steps"][0]["headers"], json!({"x-own": ["yes"]}));
        }
        assert!(run.get("entries").is_none() && run.get("cursor").is_none());
    }
}
