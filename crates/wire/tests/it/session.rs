//! One session: batches, errors, prepared statements.

use plinth_wire::{ConnectConfig, Connection, WireError};

use crate::support::{batch, batch_as, first, on_server, statement};

async fn open(config: &ConnectConfig) -> Connection {
    Connection::open(config, 4).await.unwrap()
}

#[test]
fn a_batch_gives_the_rows_of_every_statement() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let statements = [
            statement("select $1::int + 1, null, ''", &["41"]),
            statement("select generate_series(1, 3)", &[]),
            statement("create temporary table t (x int)", &[]),
        ];
        let results = session.run(&batch_as("r", &statements)).await.unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0].text()[0][0].as_deref(), Some(&b"42"[..]));
        assert_eq!(results[0].text()[0][1], None);
        assert_eq!(results[0].text()[0][2].as_deref(), Some(&b""[..]));
        assert_eq!(results[1].text().len(), 3);
        assert!(results[2].text().is_empty());
    });
}

#[test]
fn settings_of_one_batch_are_gone_in_the_next() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let set = "select set_config('request.jwt.claims', 'x', true)";
        let get = "select coalesce(current_setting('request.jwt.claims', true), '')";
        let results = session.run(&batch(&[set, get])).await.unwrap();
        assert_eq!(first(&results[1]), "x");
        let results = session.run(&batch(&[get])).await.unwrap();
        assert_eq!(first(&results[0]), "");
    });
}

#[test]
fn a_failing_statement_undoes_those_before_it_and_stops_those_after_it() {
    on_server(async |config| {
        let mut session = open(&config).await;
        session.run(&batch(&["create temporary table t (x int)"])).await.unwrap();
        let error = session
            .run(&batch(&["insert into t values (1)", "select 1 / 0", "insert into t values (2)"]))
            .await
            .unwrap_err();
        let WireError::Database(error) = error else { panic!("{error:?}") };
        assert_eq!((error.code.as_str(), error.message.as_str()), ("22012", "division by zero"));
        let results = session.run(&batch(&["select count(*) from t"])).await.unwrap();
        assert_eq!(first(&results[0]), "0");
    });
}

#[test]
fn a_constraint_that_fails_at_the_commit_is_an_error_of_the_batch() {
    on_server(async |config| {
        let mut session = open(&config).await;
        session
            .run(&batch(&[
                "create temporary table t (x int unique deferrable initially deferred)",
                "insert into t values (1)",
            ]))
            .await
            .unwrap();
        let error = session.run(&batch(&["insert into t values (1)"])).await.unwrap_err();
        let WireError::Database(error) = error else { panic!("{error:?}") };
        assert_eq!(error.code, "23505");
        assert_eq!(error.constraint.as_deref(), Some("t_x_key"));
    });
}

#[test]
fn a_batch_that_is_to_be_rolled_back_gives_its_rows_and_keeps_nothing() {
    on_server(async |config| {
        let mut session = open(&config).await;
        session.run(&batch(&["create temporary table t (x int)"])).await.unwrap();
        let mut insert = batch(&["insert into t values (1) returning x", "select count(*) from t"]);
        insert.rollback = true;
        let results = session.run(&insert).await.unwrap();
        assert_eq!(results.len(), 2);
        assert_eq!((first(&results[0]), first(&results[1])), ("1".to_owned(), "1".to_owned()));
        let results = session.run(&batch(&["select count(*) from t"])).await.unwrap();
        assert_eq!(first(&results[0]), "0");
        // An error in the middle of such a batch leaves no transaction behind either.
        let mut broken = batch(&["select 1 / 0"]);
        broken.rollback = true;
        assert!(session.run(&broken).await.is_err());
        assert!(session.run(&batch(&["select 1"])).await.is_ok());
    });
}

#[test]
fn a_transaction_that_a_statement_opened_does_not_reach_the_next_batch() {
    on_server(async |config| {
        let mut session = open(&config).await;
        session.run(&batch(&["create temporary table t (x int)"])).await.unwrap();
        session.run(&batch(&["begin", "insert into t values (1)"])).await.unwrap();
        let results = session.run(&batch(&["select count(*) from t"])).await.unwrap();
        assert_eq!(first(&results[0]), "0");
    });
}

#[test]
fn statements_are_prepared_once_per_role_and_within_the_bound() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let prepared = "select count(*) from pg_prepared_statements";
        for _ in 0..3 {
            session.run(&batch_as("a", &[statement("select 1", &[])])).await.unwrap();
            session.run(&batch_as("b", &[statement("select 1", &[])])).await.unwrap();
        }
        let results = session.run(&batch_as("a", &[statement(prepared, &[])])).await.unwrap();
        assert_eq!(first(&results[0]), "3", "one text under two roles, and this statement itself");
        for number in 0..20 {
            let sql = format!("select {number}");
            session.run(&batch_as("a", &[statement(&sql, &[])])).await.unwrap();
        }
        let results = session.run(&batch_as("a", &[statement(prepared, &[])])).await.unwrap();
        assert_eq!(first(&results[0]), "5", "the bound of four, and one more until the next batch");
    });
}

#[test]
fn with_room_for_none_no_statement_keeps_a_name() {
    on_server(async |config| {
        let mut session = Connection::open(&config, 0).await.unwrap();
        let pair =
            [statement("select $1::int", &["1"]), statement("select $1::text || 'x'", &["2"])];
        for _ in 0..3 {
            let results = session.run(&batch_as("r", &pair)).await.unwrap();
            assert_eq!((first(&results[0]), first(&results[1])), ("1".to_owned(), "2x".to_owned()));
            assert!(session.run(&batch(&["select 1", "select 1 / 0"])).await.is_err());
        }
        let prepared = "select count(*) from pg_prepared_statements";
        let results = session.run(&batch(&[prepared])).await.unwrap();
        assert_eq!(first(&results[0]), "0");
    });
}

#[test]
fn a_statement_that_occurs_twice_in_a_batch_is_prepared_once() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let twice = [statement("select $1::int", &["1"]), statement("select $1::int", &["2"])];
        let results = session.run(&batch_as("r", &twice)).await.unwrap();
        assert_eq!((first(&results[0]), first(&results[1])), ("1".to_owned(), "2".to_owned()));
    });
}

#[test]
fn large_parameters_and_answers_pass_in_both_directions_at_once() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let large = "x".repeat(8 * 1024 * 1024);
        let statements: Vec<_> =
            (0..3).map(|_| statement("select $1::text || 'y'", &[&large])).collect();
        let results = session.run(&batch_as("r", &statements)).await.unwrap();
        for rows in &results {
            assert_eq!(first(rows).len(), large.len() + 1);
        }
    });
}

#[test]
fn copy_is_refused_rather_than_waited_for() {
    on_server(async |config| {
        let mut session = open(&config).await;
        session.run(&batch(&["create temporary table t (x int)"])).await.unwrap();
        let error = session.run(&batch(&["copy t from stdin"])).await.unwrap_err();
        assert!(matches!(error, WireError::Protocol(_)), "{error:?}");
    });
}

#[test]
fn a_wrong_password_is_a_refusal() {
    on_server(async |config| {
        let mut config = config.clone();
        config.password = Some(plinth_wire::Secret::new("wrong"));
        let error = Connection::open(&config, 4).await.unwrap_err();
        let WireError::Refused(error) = error else { panic!("{error:?}") };
        assert_eq!(error.code, "28P01");
    });
}

#[test]
fn an_answer_beyond_the_bound_ends_the_session_instead_of_filling_memory() {
    on_server(async |config| {
        let mut session = open(&config).await;
        let many = "select repeat('x', 1000000) from generate_series(1, 300)";
        let error = session.run(&batch(&[many])).await.unwrap_err();
        assert!(matches!(error, WireError::TooLarge(_)), "{error:?}");
        let mut session = open(&config).await;
        let one = "select repeat('x', 300000000)";
        let error = session.run(&batch(&[one])).await.unwrap_err();
        assert!(matches!(error, WireError::TooLarge(_)), "{error:?}");
    });
}
