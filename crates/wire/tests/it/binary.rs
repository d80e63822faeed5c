//! Rows in binary, as they come from the socket.

use plinth_wire::{Batch, BinaryRows, Connection, Format, Lane, Rows, Statement, WireError};

use crate::support::{batch_as, first, on_server, statement};

fn binary(sql: &str) -> Statement {
    Statement { format: Format::Binary, ..statement(sql, &[]) }
}

fn rows(rows: &Rows) -> &BinaryRows {
    match rows {
        Rows::Binary(rows) => rows,
        Rows::Text(_) | Rows::Large(..) => panic!("rows came as text"),
    }
}

fn described(rows: &BinaryRows) -> Vec<(&str, u32)> {
    rows.columns.iter().map(|column| (&*column.name, column.type_oid)).collect()
}

/// The first column of every row, which must not be NULL.
fn first_values(rows: &BinaryRows) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for mut rest in rows.messages.iter().map(|messages| &messages[..]) {
        while let [b'D', a, b, c, d, body @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
            let size = u32::from_be_bytes([body[2], body[3], body[4], body[5]]) as usize;
            values.push(body[6..6 + size].to_vec());
            rest = &body[length..];
        }
        assert!(rest.is_empty(), "messages are whole");
    }
    values
}

#[test]
fn binary_rows_stay_together_and_are_described() {
    on_server(async |config| {
        let mut connection = Connection::open(&config, 16).await.unwrap();
        let sql = "select i, 'x' || i as name from generate_series(1, 5000) i";
        let both = batch_as("r", &[statement("select 'before'", &[]), binary(sql), binary(sql)]);
        // Prepared in the first round, known in the second.
        for _ in 0..2 {
            let results = connection.run(&both).await.unwrap();
            assert_eq!(first(&results[0]), "before");
            for result in &results[1..] {
                let rows = rows(result);
                assert_eq!(described(rows), [("i", 23), ("name", 25)]);
                let expected: Vec<_> = (1..=5000_u32).map(|i| i.to_be_bytes().to_vec()).collect();
                assert!(first_values(rows) == expected);
            }
        }
    });
}

#[test]
fn results_without_rows_or_columns_are_described_too() {
    on_server(async |config| {
        let mut connection = Connection::open(&config, 16).await.unwrap();
        let statements = [binary("select 1 as one where false"), binary("set local a.b = 'c'")];
        let batch = Batch { rollback: true, ..batch_as("r", &statements) };
        let results = connection.run(&batch).await.unwrap();
        assert_eq!(described(rows(&results[0])), [("one", 23)]);
        assert_eq!(described(rows(&results[1])), []);
        assert!(rows(&results[0]).messages.is_empty());
    });
}

#[test]
fn a_domain_is_described_as_its_base_type_and_a_changed_type_anew() {
    on_server(async |config| {
        let mut connection = Connection::open(&config, 16).await.unwrap();
        let setup = ["create domain positive as int4", "create table t (v positive)"];
        let setup = setup.map(|sql| statement(sql, &[]));
        connection.run(&batch_as("r", &setup)).await.unwrap();
        let read = batch_as("r", &[binary("select v from t")]);
        let results = connection.run(&read).await.unwrap();
        assert_eq!(described(rows(&results[0])), [("v", 23)]);
        let alter = "alter table t alter v type text";
        connection.run(&batch_as("r", &[statement(alter, &[])])).await.unwrap();
        let refused = connection.run(&read).await.unwrap_err();
        assert!(matches!(refused, WireError::Database(error) if error.code == "0A000"));
        connection.forget_statements();
        let results = connection.run(&read).await.unwrap();
        assert_eq!(described(rows(&results[0])), [("v", 25)]);
    });
}

#[test]
fn a_failed_batch_leaves_no_expectation_of_binary_rows() {
    on_server(async |config| {
        let mut connection = Connection::open(&config, 16).await.unwrap();
        let fails = [statement("select 1 / 0", &[]), binary("select 2 as two")];
        connection.run(&batch_as("r", &fails)).await.unwrap_err();
        let text = batch_as("r", &[statement("select 3", &[]), statement("select 4", &[])]);
        let results = connection.run(&text).await.unwrap();
        assert_eq!((first(&results[0]), first(&results[1])), ("3".to_owned(), "4".to_owned()));
        let results = connection.run(&batch_as("r", &[binary("select 2 as two")])).await.unwrap();
        assert_eq!(described(rows(&results[0])), [("two", 23)]);
    });
}

#[test]
fn reads_that_share_a_connection_may_answer_in_either_form() {
    use plinth_wire::{Budget, Pool, PoolOptions};
    on_server(async |config| {
        let options = PoolOptions { read_connections: Some(1), ..PoolOptions::default() };
        let pool = Pool::new(config, Budget::new(4), options);
        let mut reads = tokio::task::JoinSet::new();
        for number in 0..40 {
            let pool = pool.clone();
            let even = number % 2 == 0;
            let one = if even { binary("select 7 as n") } else { statement("select 8 as n", &[]) };
            let batch = Batch { lane: Lane::Read, ..batch_as("r", &[one]) };
            reads.spawn(async move { (even, pool.run(batch).await.unwrap()) });
        }
        while let Some(read) = reads.join_next().await {
            let (even, results) = read.unwrap();
            if even {
                assert_eq!(first_values(rows(&results[0])), [7_u32.to_be_bytes()]);
            } else {
                assert_eq!(first(&results[0]), "8");
            }
        }
    });
}
