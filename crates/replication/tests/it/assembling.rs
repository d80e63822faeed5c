//! From messages to committed changes.

use std::sync::Arc;

use bytes::Bytes;
use plinth_replication::{Assembler, Decode, DecodeError, LogicalMessage, Lsn, Relation, Sink};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::encode::{
    Cell, PLAIN, begin, commit, of, origin, stream_abort, stream_commit, stream_start, stream_stop,
};
use crate::support::told;

/// Writes down what comes.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    /// Wants nothing, so that nothing is decoded.
    deaf: bool,
}

impl Sink for Notes {
    fn change(&mut self, _: &Arc<Relation>, decode: Decode<'_>) -> Result<(), DecodeError> {
        if !self.deaf {
            let change = decode()?;
            let origin = change.transaction.origin.as_deref().unwrap_or_default();
            self.lines.push(format!("{} {} {origin}", change.transaction.xid, told(&change)));
        }
        Ok(())
    }

    fn message(&mut self, message: LogicalMessage) {
        let xid = message.transaction.map(|transaction| transaction.xid);
        self.lines.push(format!("{xid:?} {}", message.prefix));
    }

    fn committed(&mut self, end: Lsn) {
        self.lines.push(format!("end {end}"));
    }
}

fn assemble(messages: &[Bytes]) -> Result<Vec<String>, DecodeError> {
    let (mut assembler, mut notes) = (Assembler::new(10_000), Notes::default());
    for message in messages {
        assembler.take(Lsn(1), message.clone(), &mut notes)?;
    }
    assert_eq!(assembler.spooled_bytes(), 0, "nothing is left of transactions that are over");
    Ok(notes.lines)
}

fn text(text: &str) -> [Cell; 1] {
    [Cell::Text(text.into())]
}

#[test]
fn changes_of_a_transaction_carry_it() {
    let messages = [
        begin(7, 10, 0),
        origin(3, "far"),
        PLAIN.relation(1, "t", &["a"]),
        PLAIN.insert(1, &text("x")),
        PLAIN.logical(true, "with", b""),
        commit(10, 11, 0),
        PLAIN.logical(false, "without", b""),
        begin(8, 20, 0),
        PLAIN.delete(1, b'K', &text("x")),
        PLAIN.truncate(&[1], 2),
        commit(20, 21, 0),
    ];
    let expected = [
        "7 t + x far",
        "Some(7) with",
        "end 0/B",
        "None without",
        "8 t - x ",
        "8 t truncated cascade=false restart=true ",
        "end 0/15",
    ];
    assert_eq!(assemble(&messages).unwrap(), expected);
}

#[test]
fn parts_wait_for_their_commit_and_others_pass_them_by() {
    let messages = [
        stream_start(7, true),
        of(7).relation(1, "t", &["a"]),
        of(7).insert(1, &text("x")),
        of(9).insert(1, &text("undone")),
        stream_stop(),
        begin(8, 20, 0),
        PLAIN.relation(1, "t", &["a"]),
        PLAIN.insert(1, &text("y")),
        commit(20, 21, 0),
        stream_start(10, true),
        of(10).insert(1, &text("never")),
        stream_stop(),
        stream_abort(7, 9),
        stream_start(7, false),
        of(7).update(1, None, &text("z")),
        of(11).logical(true, "message", b""),
        stream_stop(),
        stream_abort(10, 10),
        stream_commit(7, 30, 31, 0),
    ];
    let expected = ["8 t + y ", "end 0/15", "7 t + x ", "7 t ~ z ", "Some(7) message", "end 0/1F"];
    assert_eq!(assemble(&messages).unwrap(), expected);
}

#[test]
fn a_table_that_only_a_part_has_seen_is_unknown_until_its_commit() {
    let aborted = [
        stream_start(7, true),
        of(7).relation(1, "t", &["a", "b"]),
        stream_stop(),
        stream_abort(7, 7),
        begin(8, 20, 0),
        PLAIN.insert(1, &text("x")),
    ];
    assert_eq!(assemble(&aborted), Err(DecodeError::UnknownRelation(1)));
}

#[test]
fn what_parts_hold_is_bounded() {
    let (mut assembler, mut notes) = (Assembler::new(10_000), Notes::default());
    assembler.take(Lsn(1), stream_start(7, true), &mut notes).unwrap();
    let row = of(7).insert(1, &text(&"x".repeat(100)));
    let mut taken = 0;
    let error = loop {
        match assembler.take(Lsn(1), row.clone(), &mut notes) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, DecodeError::SpoolFull(10_000));
    assert!((20..100).contains(&taken), "{taken}");
}

#[test]
fn messages_out_of_place_are_errors() {
    let relation = PLAIN.relation(1, "t", &["a"]);
    for messages in [
        vec![PLAIN.insert(1, &text("x"))],
        vec![relation.clone(), PLAIN.insert(1, &text("x"))],
        vec![relation.clone(), PLAIN.truncate(&[1], 0)],
        vec![PLAIN.logical(true, "x", b"")],
        vec![commit(1, 1, 0)],
        vec![begin(1, 1, 0), begin(2, 2, 0)],
        vec![begin(1, 1, 0), stream_start(2, true)],
        vec![stream_start(2, true), stream_start(2, false)],
        vec![stream_start(2, true), begin(1, 1, 0)],
        vec![stream_start(2, false)],
        vec![stream_stop()],
        vec![stream_commit(2, 1, 1, 0)],
        vec![stream_abort(2, 2)],
        vec![stream_abort(2, 3)],
        vec![begin(1, 1, 0), relation, PLAIN.insert(1, &[Cell::Null, Cell::Null])],
    ] {
        assert!(assemble(&messages).is_err(), "{messages:?}");
    }
}

#[test]
fn a_row_that_nobody_wants_is_not_looked_into() {
    let (mut assembler, mut notes) = (Assembler::new(0), Notes { deaf: true, ..Notes::default() });
    let broken = Bytes::from_static(b"I\0\0\0\x01broken");
    for message in [begin(1, 1, 0), PLAIN.relation(1, "t", &["a"]), broken] {
        assembler.take(Lsn(1), message, &mut notes).unwrap();
    }
}

/// Messages that make sense one by one, of few transactions and tables, so that they often fit together.
fn a_message() -> impl Strategy<Value = Bytes> {
    let xid = || 1..4u32;
    prop_oneof![
        xid().prop_map(|xid| begin(xid, 1, 0)),
        Just(commit(1, 2, 0)),
        Just(PLAIN.relation(1, "t", &["a"])),
        Just(PLAIN.insert(1, &text("x"))),
        Just(PLAIN.truncate(&[1], 0)),
        (xid(), any::<bool>()).prop_map(|(xid, first)| stream_start(xid, first)),
        xid().prop_map(|xid| of(xid).relation(1, "t", &["a"])),
        xid().prop_map(|xid| of(xid).insert(1, &text("x"))),
        Just(stream_stop()),
        xid().prop_map(|xid| stream_commit(xid, 1, 2, 0)),
        (xid(), xid()).prop_map(|(xid, subxid)| stream_abort(xid, subxid)),
    ]
}

proptest! {
    #[test]
    fn any_order_of_messages_is_an_error_or_makes_sense(messages in vec(a_message(), 0..60)) {
        let (mut assembler, mut notes) = (Assembler::new(2_000), Notes::default());
        let mut failed = false;
        for message in messages {
            let taken = assembler.take(Lsn(1), message, &mut notes);
            // A stream that goes on after an error is no use, but no harm either.
            failed |= taken.is_err();
            prop_assert!(failed || assembler.spooled_bytes() <= 2_000);
        }
    }
}
