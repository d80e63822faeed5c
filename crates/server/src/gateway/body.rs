//! Reading request bodies, each and all of them together within bounds.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as HttpBody;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::response::Situation;

/// So many bodies of the greatest length fit into memory at once.
const GREATEST_AT_ONCE: usize = 16;

/// The first bytes of every body are free: there are no more bodies than requests under way.
const FREE: usize = 16 << 10;

/// Unit in which room is taken, in bytes.
const UNIT: usize = 1 << 10;

/// The room for bodies. A client with a public key may send as many as there are requests under
/// way, and that many of the greatest length would not fit into memory.
pub(super) struct Bodies {
    limit: usize,
    room: Semaphore,
}

/// A whole body with the room that it takes.
pub(super) struct Body<'a> {
    pub(super) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    /// For bodies of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let units = limit.saturating_mul(GREATEST_AT_ONCE) / UNIT;
        Self { limit, room: Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS)) }
    }

    /// Reads a body to its end.
    pub(super) async fn read<B>(&self, body: B) -> Result<Body<'_>, Situation<'static>>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.read_at_most(body, self.limit).await
    }

    /// Reads a body of at most `limit` bytes, and never more than others may have, to its end.
    pub(super) async fn read_at_most<B>(
        &self,
        body: B,
        limit: usize,
    ) -> Result<Body<'_>, Situation<'static>>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = limit.min(self.limit);
        if body.is_end_stream() {
            return Ok(Body { bytes: Bytes::new(), _room: None });
        }
        // Refused before a byte of it is read when the client says how long it is.
        if body.size_hint().lower() > limit as u64 {
            return Err(Situation::BodyTooLarge(limit));
        }
        let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let mut body = std::pin::pin!(Limited::new(body, limit));
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        let mut room: Option<SemaphorePermit<'_>> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => Situation::BodyTooLarge(limit),
                false => Situation::BodyUnreadable,
            })?;
            let Ok(data) = frame.into_data() else { continue };
            // Room is taken for what came, not for what was announced, so that it costs to take it.
            self.enlarge(&mut room, first.len() + more.len() + data.len())?;
            if first.is_empty() && more.is_empty() {
                first = data;
                continue;
            }
            if more.is_empty() {
                // Reserved memory is nobody's until something is written to it.
                more.reserve(announced.unwrap_or_default());
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&data);
        }
        // Most bodies come in one piece, which is passed on as it is.
        let bytes = if more.is_empty() { first } else { more.freeze() };
        Ok(Body { bytes, _room: room })
    }

    /// Reads on without keeping anything, no further than the greatest length. Who writes a body reads an answer only then.
    pub(super) async fn drain<B>(&self, mut body: B)
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let mut left = self.limit;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    /// Makes `room` large enough for `length` bytes.
    fn enlarge<'a>(
        &'a self,
        room: &mut Option<SemaphorePermit<'a>>,
        length: usize,
    ) -> Result<(), Situation<'static>> {
        let needed = length.saturating_sub(FREE).div_ceil(UNIT);
        let held = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = u32::try_from(needed.saturating_sub(held)).unwrap_or(u32::MAX);
        if missing == 0 {
            return Ok(());
        }
        let more = self.room.try_acquire_many(missing).map_err(|_| Situation::Busy)?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    fn pieces(pieces: &[&'static [u8]]) -> impl HttpBody<Data = Bytes, Error = std::io::Error> {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        StreamBody::new(stream::iter(frames))
    }

    fn name(result: Result<Body<'_>, Situation<'_>>) -> String {
        match result {
            Ok(body) => String::from_utf8(body.bytes.to_vec()).unwrap(),
            Err(Situation::BodyTooLarge(limit)) => format!("longer than {limit}"),
            Err(Situation::Busy) => "busy".to_owned(),
            Err(_) => "unreadable".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_however_it_came() {
        let bodies = Bodies::new(8);
        assert_eq!(name(bodies.read(pieces(&[])).await), "");
        assert_eq!(name(bodies.read(pieces(&[b"abc"])).await), "abc");
        assert_eq!(name(bodies.read(pieces(&[b"abc", b"de", b"fgh"])).await), "abcdefgh");
        assert_eq!(name(bodies.read(pieces(&[b"abc", b"de", b"fghi"])).await), "longer than 8");
        assert_eq!(name(bodies.read(Full::from("123456789")).await), "longer than 8");
        assert_eq!(name(bodies.read_at_most(Full::from("abcd"), 3).await), "longer than 3");
        assert_eq!(name(bodies.read_at_most(pieces(&[b"ab", b"cd"]), 3).await), "longer than 3");
        assert_eq!(name(bodies.read_at_most(Full::from("123456789"), 99).await), "longer than 8");
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_drained_within_bounds() {
        let bodies = Bodies::new(8);
        let mut body = Full::from("1234");
        assert_eq!(name(bodies.read_at_most(&mut body, 3).await), "longer than 3");
        assert!(!body.is_end_stream());
        bodies.drain(&mut body).await;
        assert!(body.is_end_stream());
        let mut endless = StreamBody::new(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"abc")))
        }));
        bodies.drain(&mut endless).await;
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_give_their_room_back() {
        let limit = 64 << 10;
        let bodies = Bodies::new(limit);
        let great = || bodies.read(Full::from(vec![b'x'; limit]));
        let mut held = Vec::new();
        while let Ok(body) = great().await {
            held.push(body);
            assert!(held.len() < 100, "no bound");
        }
        assert!(held.len() >= GREATEST_AT_ONCE);
        assert_eq!(name(great().await), "busy");
        assert_eq!(name(bodies.read(Full::from("small")).await), "small");
        held.clear();
        assert_eq!(great().await.map(|body| body.bytes.len()).ok(), Some(limit));
    }
}
