//! Keys of an inbound webhook.

use super::step::HOOK_STEP;
use super::*;

/// How a hook's deliveries may be verified.
const SCHEMES: &[&str] = &[
    "hmac-sha256",
    "hmac-sha1",
    "stripe",
    "github",
    "standard-webhooks",
    "jwt-hs256",
    "path-token",
    "shared-header",
    "none",
];

/// Names where a hook finds the row of the binding that it calls.
const OF_HOOK_CALL: &[Name] = &[Name::Body, Name::Headers, Name::Event];

/// An inbound webhook.
pub(in crate::manifest) static HOOK: Shape = Shape {
    id: "hook",
    title: "[[hook]]",
    about: "`POST /hooks/v1/NAME` verifies a delivery, stores it once, answers, and a job does the rest.",
    groups: &[
        &[
            key(
                "name",
                Form::Name,
                Required,
                "Its name, which is part of its address. Unique among bindings, hooks and schedules.",
            ),
            key("verify", Table(&VERIFY), Required, "How a delivery proves where it comes from."),
            key(
                "event_id",
                Text,
                Optional,
                "Where the provider's id of the delivery is: the name of a header, or a JSON path that begins with `$` (RFC 9535). Without it the SHA-256 of the body counts. What has been stored already is answered and not done again.",
            ),
            key(
                "binding",
                Form::Name,
                Optional,
                "A binding whose work is done, in place of an action, by a job of its own that gets the delivery, `{body, headers, event}`, where the binding has no `input`. The hook's job waits for it: `done` sees what it gave, and it fails with it.",
            ),
            key(
                "row",
                Statement(OF_HOOK_CALL),
                Optional,
                "A query for the key of the row that `binding` is for; no row: nothing is done. A key that no row of the table has is a failure.",
            ),
            key("action", Form::Action, Optional, "What is done before `done`: `noop` without it."),
        ],
        &work_keys(&OF_HOOK, &HOOK_STEP),
    ],
    choices: &[Choice { keys: &["action", "binding"], required: false }],
    needs: &[
        ("row", "binding"),
        ("binding", "row"),
        ("with", "action"),
        ("input", "action"),
        ("steps", "action"),
        ("each_step", "action"),
    ],
};

/// How a delivery is verified.
pub(in crate::manifest) static VERIFY: Shape = Shape {
    id: "verify",
    title: "verify",
    about: "How a delivery proves where it comes from, over the bytes of its body as they came.",
    groups: &[&[
        key("scheme", Word(SCHEMES), Required, "The kind of proof. `none` lets everybody in."),
        key(
            "secret",
            Secrets { most: MAX_SECRETS },
            Optional,
            "The secret; a list while it is changed. Every scheme but `none` has one.",
        ),
        key(
            "header",
            Text,
            Optional,
            "The header with the signature, token or secret. `hmac-sha256`, `hmac-sha1` and `shared-header` need it; the other schemes know theirs.",
        ),
        key(
            "prefix",
            Text,
            Optional,
            "What stands in the header before the signature, such as `sha256=`.",
        ),
        key(
            "encoding",
            Word(&["hex", "base64"]),
            Optional,
            "How a signature by `hmac-sha256` or `hmac-sha1` is written: `hex` without it.",
        ),
        key(
            "tolerance",
            Span { least: SECOND, most: DAY },
            Optional,
            "How old a signature with a time in it may be: 5m without it. For `stripe`, `standard-webhooks` and `jwt-hs256`.",
        ),
    ]],
    choices: &[],
    needs: &[],
};
