//! Any bytes, taken for the messages of a stream, are changes or an error, and hold no more memory than they may.

#![no_main]

use std::sync::Arc;

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use plinth_replication::{Assembler, Decode, DecodeError, LogicalMessage, Lsn, Relation, Sink};

const SPOOL_BYTES: usize = 4096;

/// Looks at everything.
struct Reader;

impl Sink for Reader {
    fn change(&mut self, relation: &Arc<Relation>, decode: Decode<'_>) -> Result<(), DecodeError> {
        let change = decode()?;
        assert_eq!(change.relation.oid, relation.oid);
        let rows = change.new_row().into_iter().chain(change.old_row().map(|old| old.tuple()));
        for row in rows {
            assert_eq!(row.values().count(), relation.columns.len());
        }
        Ok(())
    }

    fn message(&mut self, _: LogicalMessage) {}

    fn committed(&mut self, _: Lsn) {}
}

fuzz_target!(|data: &[u8]| {
    let (mut assembler, mut rest) = (Assembler::new(SPOOL_BYTES), Bytes::copy_from_slice(data));
    // A byte says how long the next message is.
    while let Ok(length) = rest.try_get_u8() {
        let message = rest.split_to(usize::from(length).min(rest.len()));
        if assembler.take(Lsn(1), message, &mut Reader).is_err() {
            return;
        }
        assert!(assembler.spooled_bytes() <= SPOOL_BYTES);
    }
});
