//! All SQL of a spec, and what each text must give: for those who prepare it against a database.

use super::spec::{
    BindingSpec, Concurrency, Deed, HookSpec, Limit, MeterSpec, Priority, Role, ScheduleSpec, Step,
    Work,
};
use super::sql::Sql;

/// What SQL must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Nothing that is looked at.
    Nothing,
    /// One column of type jsonb or json.
    Json,
    /// One column of type jsonb or json, or none at all.
    JsonOrNothing,
    /// One column: the key of a row.
    Key,
    /// One column of a type that has a text.
    Text,
    /// As an expression without a row: a boolean.
    Test,
    /// As an expression on the columns of the binding's table: a boolean.
    Condition,
    /// As an expression on the columns of the binding's table: anything that has a text.
    Column,
    /// As an expression on the columns of the binding's table: a whole number.
    Number,
}

impl Wants {
    /// Whether the text is an expression on the columns of the binding's table.
    pub fn has_columns(self) -> bool {
        matches!(self, Self::Condition | Self::Column | Self::Number)
    }

    /// Whether the text is a statement, and not an expression.
    pub fn is_statement(self) -> bool {
        !self.has_columns() && self != Self::Test
    }
}

/// One SQL text of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlText {
    /// Where it stands in its declaration: `input`, `done[0]`, `steps[1].input`, `with.run`.
    pub path: String,
    /// The text.
    pub sql: Sql,
    /// What it must give.
    pub wants: Wants,
    /// Whose rights it has. Expressions on the row's columns are the trigger's, and so nobody's: the owner's here.
    pub role: Role,
}

/// Collects texts that have the rights of one role.
struct Texts {
    role: Role,
    all: Vec<SqlText>,
}

impl Texts {
    fn one(&mut self, path: impl Into<String>, sql: Option<&Sql>, wants: Wants) {
        let role = self.role;
        self.all.extend(sql.map(|sql| SqlText {
            path: path.into(),
            sql: sql.clone(),
            wants,
            role,
        }));
    }

    fn many(&mut self, path: &str, sql: &[Sql]) {
        for (index, sql) in sql.iter().enumerate() {
            self.one(format!("{path}[{index}]"), Some(sql), Wants::Nothing);
        }
    }

    /// The statement of the action `sql`, which has a role of its own.
    fn settings(
        &mut self,
        path: &str,
        action: &str,
        with: &serde_json::Map<String, serde_json::Value>,
    ) {
        if action != "sql" {
            return;
        }
        let read = |name: &str| with.get(name).cloned();
        let sql = read("run").and_then(|run| serde_json::from_value(run).ok());
        let role = read("role").and_then(|role| serde_json::from_value(role).ok());
        self.all.extend(sql.map(|sql| SqlText {
            path: format!("{path}with.run"),
            sql,
            wants: Wants::JsonOrNothing,
            role: role.unwrap_or(self.role),
        }));
    }

    fn work(&mut self, work: &Work) {
        self.settings("", &work.action, &work.with);
        self.one("input", work.input.as_ref(), Wants::Json);
        self.many("running", &work.running);
        self.many("done", &work.done);
        self.many("failed", &work.failed);
        self.many("each_step", &work.each_step);
        self.steps("steps", &work.steps);
    }

    fn steps(&mut self, path: &str, steps: &[Step]) {
        for (index, step) in steps.iter().enumerate() {
            let path = format!("{path}[{index}].");
            self.one(format!("{path}when"), step.when.as_ref(), Wants::Test);
            match &step.deed {
                Deed::Act { action, with, input, .. } => {
                    self.settings(&path, action, with);
                    self.one(format!("{path}input"), input.as_ref(), Wants::Json);
                }
                Deed::Sleep { .. } => {}
                Deed::Wait { key, .. } => {
                    self.one(format!("{path}wait.key"), key.as_ref(), Wants::Text);
                }
                Deed::Call(call) => self.one(format!("{path}row"), call.row.as_ref(), Wants::Key),
                Deed::Parallel(steps) => self.steps(&format!("{path}parallel"), steps),
            }
        }
    }
}

impl BindingSpec {
    /// All its SQL.
    pub fn sql_texts(&self) -> Vec<SqlText> {
        let mut texts = Texts { role: Role::Owner, all: Vec::new() };
        texts.one("when", Some(&self.when), Wants::Condition);
        texts.one("cancel_when", self.cancel_when.as_ref(), Wants::Condition);
        let limit = self.limit.as_ref().and_then(|Limit { key, .. }| key.as_ref());
        texts.one("limit.key", limit, Wants::Column);
        let concurrency =
            self.concurrency.as_ref().and_then(|Concurrency { key, .. }| key.as_ref());
        texts.one("concurrency.key", concurrency, Wants::Column);
        texts.one("fair", self.fair.as_ref(), Wants::Column);
        if let Priority::Of(sql) = &self.priority {
            texts.one("priority", Some(sql), Wants::Number);
        }
        texts.role = self.work.role;
        texts.work(&self.work);
        texts.all
    }
}

impl HookSpec {
    /// All its SQL.
    pub fn sql_texts(&self) -> Vec<SqlText> {
        let mut texts = Texts { role: self.work.role, all: Vec::new() };
        texts.one("row", self.call.as_ref().and_then(|call| call.row.as_ref()), Wants::Key);
        texts.work(&self.work);
        texts.all
    }
}

impl ScheduleSpec {
    /// All its SQL.
    pub fn sql_texts(&self) -> Vec<SqlText> {
        let mut texts = Texts { role: self.work.role, all: Vec::new() };
        texts.work(&self.work);
        texts.all
    }
}

impl MeterSpec {
    /// All its SQL.
    pub fn sql_texts(&self) -> Vec<SqlText> {
        let mut texts = Texts { role: self.role, all: Vec::new() };
        texts.many("record", &self.record);
        texts.all
    }
}
