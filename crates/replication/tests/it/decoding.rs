//! The decoder: what is written is read, and whatever is written is no panic.

use bytes::Bytes;
use plinth_replication::decode::{Message, Raw};
use plinth_replication::{DecodeError, Lsn, Old, PgTime, ReplicaIdentity, Tuple, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::encode::{self, Cell, PLAIN};

pub(crate) fn decode(message: Bytes) -> Result<Message, DecodeError> {
    Raw::split(message, false)?.decode()
}

fn cells(tuple: &Tuple) -> Vec<Cell> {
    let cell = |value| match value {
        Value::Null => Cell::Null,
        Value::Unchanged => Cell::Unchanged,
        Value::Text(bytes) => Cell::Text(bytes.to_vec()),
        Value::Binary(bytes) => Cell::Binary(bytes.to_vec()),
    };
    tuple.values().map(cell).collect()
}

fn a_cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        Just(Cell::Null),
        Just(Cell::Unchanged),
        vec(any::<u8>(), 0..40).prop_map(Cell::Text),
        vec(any::<u8>(), 0..40).prop_map(Cell::Binary),
    ]
}

fn a_row() -> impl Strategy<Value = Vec<Cell>> {
    vec(a_cell(), 0..12)
}

/// Any message that PostgreSQL may send outside of parts.
fn a_message() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        any::<(u32, u64, i64)>().prop_map(|(xid, lsn, time)| encode::begin(xid, lsn, time)),
        any::<(u64, u64, i64)>().prop_map(|(lsn, end, time)| encode::commit(lsn, end, time)),
        (any::<u64>(), "[a-zü]{0,9}").prop_map(|(lsn, name)| encode::origin(lsn, &name)),
        (any::<u32>(), "[a-zü]{0,9}", vec("[a-z]{1,9}", 0..9)).prop_map(|(oid, name, columns)| {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            PLAIN.relation(oid, &name, &columns)
        }),
        (any::<u32>(), "[a-z]{0,9}").prop_map(|(oid, name)| PLAIN.kind(oid, "public", &name)),
        (any::<u32>(), a_row()).prop_map(|(oid, new)| PLAIN.insert(oid, &new)),
        (
            any::<u32>(),
            proptest::option::of((prop_oneof![Just(b'K'), Just(b'O')], a_row())),
            a_row()
        )
            .prop_map(|(oid, old, new)| {
                let old = old.as_ref().map(|(kind, cells)| (*kind, cells.as_slice()));
                PLAIN.update(oid, old, &new)
            }),
        (any::<u32>(), prop_oneof![Just(b'K'), Just(b'O')], a_row())
            .prop_map(|(oid, kind, old)| PLAIN.delete(oid, kind, &old)),
        (vec(any::<u32>(), 0..9), 0..4u8).prop_map(|(oids, how)| PLAIN.truncate(&oids, how)),
        (any::<bool>(), "[a-z]{0,9}", vec(any::<u8>(), 0..40))
            .prop_map(|(with, prefix, content)| PLAIN.logical(with, &prefix, &content)),
        any::<(u32, bool)>().prop_map(|(xid, first)| encode::stream_start(xid, first)),
        Just(encode::stream_stop()),
        any::<(u32, u64, u64, i64)>()
            .prop_map(|(xid, lsn, end, time)| encode::stream_commit(xid, lsn, end, time)),
        any::<(u32, u32)>().prop_map(|(xid, subxid)| encode::stream_abort(xid, subxid)),
    ]
}

proptest! {
    #[test]
    fn rows_are_read_as_they_were_written(oid: u32, old in a_row(), new in a_row(), key: bool) {
        let kind = if key { b'K' } else { b'O' };
        let Ok(Message::Insert { relation, new: read }) = decode(PLAIN.insert(oid, &new)) else {
            panic!("no insert");
        };
        prop_assert_eq!((relation, cells(&read)), (oid, new.clone()));
        prop_assert_eq!((read.len(), read.get(new.len())), (new.len(), None));
        let updated = decode(PLAIN.update(oid, Some((kind, &old)), &new));
        let Ok(Message::Update { old: Some(before), new: after, .. }) = updated else {
            panic!("no update");
        };
        prop_assert_eq!(cells(before.tuple()), old.clone());
        prop_assert_eq!(matches!(before, Old::Key(_)), key);
        prop_assert_eq!(cells(&after), new);
        let Ok(Message::Delete { old: gone, .. }) = decode(PLAIN.delete(oid, kind, &old)) else {
            panic!("no delete");
        };
        prop_assert_eq!(cells(gone.tuple()), old);
    }

    #[test]
    fn every_message_is_read_and_every_part_of_it_is_missed(message in a_message()) {
        prop_assert!(decode(message.clone()).is_ok(), "{message:?}");
        for length in 0..message.len() {
            let cut = decode(message.slice(..length));
            prop_assert!(cut.is_err(), "{length} bytes of {message:?} are {cut:?}");
        }
        let mut longer = message.to_vec();
        longer.push(0);
        prop_assert!(decode(longer.into()).is_err());
    }

    #[test]
    fn changed_bytes_are_an_error_or_another_message(
        message in a_message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_part: bool,
    ) {
        let mut bytes = message.to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(Message::Insert { new, .. }) =
            Raw::split(bytes.into(), in_part).and_then(Raw::decode)
        {
            prop_assert_eq!(new.values().count(), new.len());
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in vec(any::<u8>(), 0..200), in_part: bool) {
        let _ = Raw::split(bytes.into(), in_part).and_then(Raw::decode);
    }
}

#[test]
fn transactions_are_read() {
    let (lsn, time) = (Lsn(0x16_0000_0001), PgTime(-1));
    let begun = Message::Begin { final_lsn: lsn, commit_time: time, xid: 7 };
    assert_eq!(decode(encode::begin(7, lsn.0, -1)), Ok(begun));
    let committed = Message::Commit { commit_lsn: lsn, end_lsn: Lsn(9), commit_time: time };
    assert_eq!(decode(encode::commit(lsn.0, 9, -1)), Ok(committed));
    let aborted = Message::StreamAbort { xid: 7, subxid: 8 };
    assert_eq!(decode(encode::stream_abort(7, 8)), Ok(aborted.clone()));
    // As those who asked for parallel streams get it.
    let mut longer = encode::stream_abort(7, 8).to_vec();
    longer.extend([0; 16]);
    assert_eq!(decode(longer.into()), Ok(aborted));
}

#[test]
fn a_table_of_postgresql_s_own_has_its_schema() {
    let mut message = PLAIN.relation(1, "t", &["a"]).to_vec();
    // tag, oid, "public"
    message.drain(5..11);
    let Ok(Message::Relation(relation)) = decode(message.into()) else { panic!("no relation") };
    assert_eq!(&*relation.schema, "pg_catalog");
    assert_eq!(relation.identity, ReplicaIdentity::Default);
    assert!(relation.columns[0].key);
}

#[test]
fn counts_that_lie_allocate_nothing() {
    let mut message = PLAIN.truncate(&[1], 0).to_vec();
    message[1..5].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(decode(message.clone().into()), Err(DecodeError::Short));
    message[1..5].copy_from_slice(&(-1i32).to_be_bytes());
    assert_eq!(decode(message.into()), Err(DecodeError::NegativeCount));
}

#[test]
fn what_is_not_understood_is_named() {
    assert_eq!(decode(Bytes::from_static(b"")), Err(DecodeError::Short));
    assert_eq!(decode(Bytes::from_static(b"?")), Err(DecodeError::UnknownMessage(b'?')));
    assert_eq!(decode(Bytes::from_static(b"Y\0\0\0\x01\xff\0\0")), Err(DecodeError::NotUtf8));
    assert_eq!(decode(Bytes::from_static(b"E!")), Err(DecodeError::Trailing(1)));
    let unknown = DecodeError::UnknownKind { of: "value", kind: b'?' };
    assert_eq!(decode(Bytes::from_static(b"I\0\0\0\x01N\0\x01?")), Err(unknown));
}
