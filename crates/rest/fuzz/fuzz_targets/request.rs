//! Any request is answered or refused, never a panic, and its statements bind what they name.
//!
//! The input is parts with a line feed between them: method, path, query string, `Prefer`, `Accept`,
//! `Range`, `Accept-Profile`, `Content-Type`, and the rest is the body.

#![no_main]
#![allow(dead_code, unreachable_pub)]

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use plinth_catalog::Catalog;

#[path = "../../tests/it/catalog.rs"]
mod catalog;
#[path = "../../tests/it/properties.rs"]
mod properties;
#[path = "../../tests/it/shapes.rs"]
mod shapes;

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog::catalog);

const HEADERS: [&str; 5] = ["prefer", "accept", "range", "accept-profile", "content-type"];

fn request(data: &[u8]) -> Option<shapes::Shape> {
    let mut parts = data.splitn(4 + HEADERS.len(), |byte| *byte == b'\n');
    let mut shape = shapes::request("GET", "/");
    shape.method = Method::from_bytes(parts.next()?).ok()?;
    let mut text = || Some(std::str::from_utf8(parts.next()?).ok()?.to_owned());
    shape.path = text()?;
    shape.query = text()?;
    for name in HEADERS {
        let Some(value) = text() else { return Some(shape) };
        if let Ok(value) = HeaderValue::from_str(&value)
            && !value.is_empty()
        {
            shape.headers.insert(HeaderName::from_static(name), value);
        }
    }
    shape.body = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    Some(shape)
}

fuzz_target!(|data: &[u8]| {
    if let Some(shape) = request(data) {
        properties::hold(shape.prepare(&CATALOG)).unwrap();
    }
});
