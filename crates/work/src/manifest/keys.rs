//! The keys of a manifest: what each holds, its bounds, its default, its meaning.

mod action;
mod binding;
mod hook;
mod places;
mod schedule;
mod step;
mod work;

use super::bounds::*;
use super::name::Name;
use super::shape::{Choice, Form, Key, Need, Shape};
use Form::{Column, Columns, Expression, Integer, Number, Secrets, Settings, Span, Statement};
use Form::{Statements, Switch, Table, Tables, Text, TextTable, Texts, Word};
use Need::{Default, Optional, Required};

pub(super) use action::{BUILT_IN, settings_of};
use binding::BINDING;
use hook::HOOK;
pub(super) use places::{OF_BINDING, OF_HOOK, OF_SCHEDULE, Places};
use schedule::SCHEDULE;
pub(super) use work::RETRY;
use work::work_keys;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Whose rights SQL may have. Those of the owner are the usual ones.
const ROLES: &[&str] = &["owner", "service_role", "authenticated", "anon"];

/// Names in the SQL of a meter.
pub(super) const OF_METER: &[Name] =
    &[Name::Usage, Name::Action, Name::Binding, Name::Row, Name::Job, Name::Attempt];

const fn key(name: &'static str, form: Form, need: Need, about: &'static str) -> Key {
    Key { name, form, need, about }
}

/// The whole file.
pub(super) static MANIFEST: Shape = Shape {
    id: "manifest",
    title: "blueprint.toml",
    about: "The manifest of a blueprint: what its rows do by themselves.",
    groups: &[&[
        key("name", Form::Name, Optional, "Name of the blueprint; the folder's without it."),
        key("title", Text, Optional, "One line about it."),
        key("description", Text, Optional, "A paragraph about it."),
        key(
            "binding",
            Tables { shape: &BINDING, most: MAX_BINDINGS },
            Optional,
            "Rows that move by themselves.",
        ),
        key("hook", Tables { shape: &HOOK, most: MAX_HOOKS }, Optional, "Inbound webhooks."),
        key(
            "schedule",
            Tables { shape: &SCHEDULE, most: MAX_SCHEDULES },
            Optional,
            "Work at given times.",
        ),
        key(
            "sealed",
            Columns,
            Optional,
            "Columns that hold secrets, by table: values are sealed before they are stored and opened only for actions.",
        ),
        key(
            "meter",
            Tables { shape: &METER, most: MAX_METERS },
            Optional,
            "Records of what actions use.",
        ),
    ]],
    choices: &[],
    needs: &[],
};

/// Records of use.
pub(super) static METER: Shape = Shape {
    id: "meter",
    title: "[[meter]]",
    about: "SQL that records what a call of an action used, such as tokens and cost, in the transaction that takes its result: once for each report of the action, also where the attempt failed, and once for a success without any. Steps of a flow are calls, the flow is none.",
    groups: &[&[
        key("name", Form::Name, Required, "Its name, unique among meters."),
        key(
            "actions",
            Texts { most: MAX_NAMES },
            Required,
            "Which actions: names, or `openai.*` for all of a connector, or `*`.",
        ),
        key(
            "record",
            Statements(OF_METER),
            Required,
            "The SQL. `$row` is a text here, and null where there is no row.",
        ),
        key("role", Word(ROLES), Default("\"owner\""), "Whose rights the SQL has."),
    ]],
    choices: &[],
    needs: &[],
};
