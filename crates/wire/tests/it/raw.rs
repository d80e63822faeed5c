//! What is no batch: the bytes of a session.

use plinth_wire::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::on_server;

#[test]
fn a_session_for_replication_is_its_bytes_after_the_start_up() {
    on_server(async |mut config| {
        config.settings.push(("replication".to_owned(), "database".to_owned()));
        let (mut stream, unread) = Connection::open(&config, 0).await.unwrap().into_raw();
        assert!(unread.is_empty(), "the start-up ends with the server's ReadyForQuery");
        // Query (PostgreSQL "Message Formats"): only senders of the log know this command.
        stream.write_all(b"Q\0\0\0\x14IDENTIFY_SYSTEM\0").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"Z\0\0\0\x05I") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert!(answer.windows(9).any(|window| window == b"systemid\0"), "{answer:?}");
        stream.write_all(b"X\0\0\0\x04").await.unwrap();
        assert_eq!(stream.read_to_end(&mut answer).await.unwrap(), 0);
    });
}
