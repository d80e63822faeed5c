use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, join, sink};

use super::*;

/// What comes of `text` when it arrives in pieces of `size` bytes.
fn in_pieces(text: &str, size: usize) -> String {
    let mut requests = Requests::default();
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(size) {
        match requests.follow(piece) {
            Some(encoded) => out.extend_from_slice(&encoded),
            None => out.extend_from_slice(piece),
        }
    }
    String::from_utf8(out).unwrap()
}

fn check(given: &str, expected: &str) {
    for size in [1, 2, 7, given.len()] {
        assert_eq!(in_pieces(given, size), expected, "in pieces of {size}");
    }
}

#[test]
fn queries_are_encoded_in_every_request_of_a_connection() {
    check(
        "\r\nGET /a?x=d->>b&y=in.(\"c\") HTTP/1.1\r\nhost: \"x\"\r\nConnection: Keep-Alive\r\n\r\n\
         GET /b?z=<1&w=d#>>a HTTP/1.1\nx: y\n\nHEAD /c?\" HTTP/1.1\r\n\r\n",
        "\r\nGET /a?x=d-%3E%3Eb&y=in.(%22c%22) HTTP/1.1\r\nhost: \"x\"\r\nConnection: Keep-Alive\r\n\r\n\
         GET /b?z=%3C1&w=d%23%3E%3Ea HTTP/1.1\nx: y\n\nHEAD /c?%22 HTTP/1.1\r\n\r\n",
    );
    check("GET /\"a\" HTTP/1.1\r\n\r\n", "GET /\"a\" HTTP/1.1\r\n\r\n");
}

#[test]
fn nothing_is_encoded_after_a_head_that_may_have_a_body() {
    let long = format!("content-length:{}1", " ".repeat(HEADER_BYTES));
    for header in [
        "Content-Length: 30",
        "content-length : 30",
        "transfer-encoding: chunked",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "expect: 100-continue",
        "upgrade: websocket",
        "connection: upgrade",
        "x: y\r\n folded: line",
        "no header",
        "  ",
        &long,
    ] {
        let text = format!("POST /a HTTP/1.1\r\n{header}\r\n\r\nGET /b?\" HTTP/1.1\r\n\r\n");
        check(&text, &text);
    }
    check("CONNECT a?\n\nGET /b?\" HTTP/1.1\n\n", "CONNECT a?\n\nGET /b?\" HTTP/1.1\n\n");
}

#[tokio::test]
async fn a_small_buffer_gets_everything_in_turn() {
    let mut stream = Encoded::new(&b"GET /?\"\"\" HTTP/1.1\r\n\r\n"[..]);
    let mut text = Vec::new();
    let mut two = [0; 2];
    loop {
        match stream.read(&mut two).await.unwrap() {
            0 => break,
            count => text.extend_from_slice(&two[..count]),
        }
    }
    assert_eq!(text, b"GET /?%22%22%22 HTTP/1.1\r\n\r\n");
}

/// Bytes that arrive in pieces.
struct Pieces {
    bytes: Vec<u8>,
    given: usize,
    size: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.size.min(self.bytes.len() - self.given).min(buffer.remaining());
        buffer.put_slice(&self.bytes[self.given..self.given + count]);
        self.given += count;
        Poll::Ready(Ok(()))
    }
}

/// A request as it is understood: head and body.
type Seen = (String, Vec<u8>);

/// The requests that the HTTP implementation sees on a connection.
async fn seen(stream: impl AsyncRead + Unpin) -> Vec<Seen> {
    let all = Arc::<Mutex<Vec<Seen>>>::default();
    let service = service_fn(|request: Request<Incoming>| {
        let all = all.clone();
        async move {
            let (parts, body) = request.into_parts();
            let head = format!("{} {} {:?}", parts.method, parts.uri, parts.headers);
            let Ok(body) = body.collect().await else { return Ok(Response::default()) };
            all.lock().unwrap().push((head, body.to_bytes().to_vec()));
            Ok::<_, Infallible>(Response::<Empty<Bytes>>::default())
        }
    });
    let stream = TokioIo::new(join(stream, sink()));
    let _ = http1::Builder::new().serve_connection(stream, service).await;
    std::mem::take(&mut *all.lock().unwrap())
}

async fn seen_as_typed(text: &[u8], size: usize) -> Vec<Seen> {
    seen(Pieces { bytes: text.to_vec(), given: 0, size }).await
}

async fn seen_encoded(text: &[u8], size: usize) -> Vec<Seen> {
    seen(Encoded::new(Pieces { bytes: text.to_vec(), given: 0, size })).await
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'t>(&mut self, among: &[&'t str]) -> &'t str {
        among[self.roll(among.len())]
    }
}

/// What looks like a request wherever it stands.
const BAIT: &str = "\r\n\r\nGET /bait?<\"> HTTP/1.1\r\n\r\n";

/// Requests one after the other on one connection, many of them with bodies.
fn conversation(dice: &mut Dice, quotes: [&str; 3]) -> String {
    let mut text = String::new();
    for _ in 0..=dice.roll(4) {
        let quote = dice.pick(&quotes);
        let line = format!("/path?a{quote}b={quote}c");
        let header = dice.pick(&["x: <\">\r\n", "connection: keep-alive\r\n", "X-Q: \"?\"\n", ""]);
        text.push_str(&match dice.roll(6) {
            0 | 1 => format!("GET {line} HTTP/1.1\r\n{header}\r\n"),
            2 => format!("\r\nHEAD {line} HTTP/1.1\n{header}\n"),
            3 => format!(
                "POST {line} HTTP/1.1\r\n{header}Content-Length: {}\r\n\r\n{BAIT}",
                BAIT.len()
            ),
            4 => format!(
                "PUT {line} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{header}\r\n{:x}\r\n{BAIT}\r\n0\r\n\r\n",
                BAIT.len()
            ),
            _ => format!(
                "PATCH {line} HTTP/1.1\r\nExpect: 100-continue\r\ncontent-length: {}\r\n{header}\r\n{BAIT}",
                BAIT.len()
            ),
        });
    }
    text
}

#[tokio::test]
async fn requests_begin_and_end_where_they_did() {
    let mut dice = Dice(1);
    let mut whole = 0;
    for round in 0..300 {
        let text = conversation(&mut dice, ["", "->>", "(\"x\")"]);
        let size = 1 + dice.roll(200);
        let (typed, encoded) =
            (seen_as_typed(text.as_bytes(), size).await, seen_encoded(text.as_bytes(), size).await);
        // What is refused as it was typed ends the connection; what came before it is the same.
        assert!(encoded.starts_with(&typed), "round {round}: {text:?}");
        assert!(encoded.iter().all(|(head, body)| {
            !head.contains("/bait") && (body.is_empty() || body == BAIT.as_bytes())
        }));
        let plain = text.replace("->>", "-%3E%3E").replace("(\"x\")", "(%22x%22)");
        let wanted = seen_as_typed(plain.as_bytes(), size).await;
        assert!(wanted.starts_with(&encoded), "round {round}: {text:?}");
        whole += usize::from(encoded.len() > typed.len() && encoded.len() == wanted.len());
    }
    assert!(whole > 50, "only {whole} conversations were understood better");
}

#[tokio::test]
async fn broken_requests_begin_and_end_where_they_did() {
    let harm = [
        "\0",
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        ":",
        "\"",
        "<",
        "?",
        "\r\n ",
        "Content-Length: 3\r\n",
        "content-length : 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:\tidentity\r\n",
        "Transfer-Encoding:\n chunked\r\n",
        "\x0bContent-Length: 9\r\n",
        BAIT,
        "\r\n\r\n",
        "0\r\n\r\n",
    ];
    let mut dice = Dice(7);
    for round in 0..2000 {
        let mut text = conversation(&mut dice, ["", "", "\""]);
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(text.len() + 1);
            text.insert_str(at, dice.pick(&harm));
        }
        let size = 1 + dice.roll(200);
        let typed = seen_as_typed(text.as_bytes(), size).await;
        let encoded = seen_encoded(text.as_bytes(), size).await;
        assert!(encoded.starts_with(&typed), "round {round}: {text:?}\n{typed:?}\n{encoded:?}");
    }
}
