//! What must hold of the outcome of any request whatsoever.

use plinth_rest::{Error, Outcome, Prepared};

/// Why an outcome is not one that a client may be given.
pub(crate) type Broken = String;

/// Checks an outcome: an error tells the client's mistake; statements bind as many values as they name.
pub(crate) fn hold(outcome: Result<Outcome, Error>) -> Result<(), Broken> {
    match outcome {
        Err(error) => refused(&error),
        Ok(Outcome::Answer(_)) => Ok(()),
        Ok(Outcome::Query(prepared)) => statements(&prepared),
    }
}

fn refused(error: &Error) -> Result<(), Broken> {
    let client = error.status.is_client_error() || error.status.is_redirection();
    if !client || !error.code.starts_with("PGRST") || error.to_response().body.is_empty() {
        return Err(format!("{error}"));
    }
    Ok(())
}

fn statements(prepared: &Prepared) -> Result<(), Broken> {
    for statement in &prepared.statements {
        let count = statement.params.len();
        let (last, beyond) = (format!("${count}"), format!("${}", count + 1));
        // Names may hold anything, dollars too.
        let unquoted: String = statement.sql.split('"').step_by(2).collect();
        let bound = (count == 0 || statement.sql.contains(&last)) && !unquoted.contains(&beyond);
        if !bound || statement.sql.contains('\0') {
            return Err(format!("{count} values for {}", statement.sql));
        }
    }
    Ok(())
}
