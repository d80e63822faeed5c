//! The manifest of a blueprint: `blueprint.toml`, from text to values that an engine can work with.
//!
//! [`Manifest::parse`] reads all of it or says everything that is wrong. What comes out is a [`BindingSpec`],
//! [`HookSpec`], [`ScheduleSpec`], [`SealedSpec`] or [`MeterSpec`] each: the normal form, which is stored and which is
//! all that running it needs. A [`Declared`] one also knows where it stands in the file, for those who check it further.

mod binding;
pub mod bounds;
mod cross;
mod fields;
mod hook;
mod json;
mod keys;
mod name;
mod other;
mod problem;
mod reader;
mod schedule;
mod schema;
mod shape;
mod source;
mod span;
mod spec;
mod spell;
mod sql;
#[cfg(test)]
mod tests;
mod texts;
mod wording;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::de::DeTable;

pub use name::Name;
pub use problem::{FILE, Problem};
pub use schema::json_schema;
pub(crate) use span::parse_millis;
pub use spec::{
    BindingSpec, Call, CatchUp, Concurrency, Deed, ENV, Encoding, EventId, HookSpec, Limit,
    MeterSpec, Priority, Relation, Retry, Role, ScheduleSpec, Scheme, SealedSpec, Step, Verify,
    Work, variables,
};
pub(crate) use spell::did_you_mean;
pub use sql::{Rendered, STATEMENTS, Sql, SqlError};
pub use texts::{SqlText, Wants};
pub(crate) use work::FLOW;

use bounds::{MAX_MANIFEST_BYTES, MAX_PROBLEMS};
use fields::Fields;
use other::SealedPlaces;
use reader::Reader;
use source::{Source, TextPlace};

/// What a blueprint's rows do by themselves.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Name of the blueprint, if it says one.
    pub name: Option<String>,
    /// Rows that move.
    pub bindings: Vec<Declared<BindingSpec>>,
    /// Inbound webhooks.
    pub hooks: Vec<Declared<HookSpec>>,
    /// Work at given times.
    pub schedules: Vec<Declared<ScheduleSpec>>,
    /// Columns that hold secrets.
    pub sealed: Vec<SealedSpec>,
    /// Records of what actions use.
    pub meters: Vec<Declared<MeterSpec>>,
    source: Source,
    sealed_at: SealedPlaces,
}

/// Something of a manifest, and where it stands.
#[derive(Debug, Clone)]
pub struct Declared<T> {
    /// What it says.
    pub spec: T,
    /// The table, in bytes of the file.
    at: Range<usize>,
    /// Where values stand, by their keys: for problems that are found later.
    keys: BTreeMap<&'static str, Range<usize>>,
    /// Where SQL stands, by its path.
    places: BTreeMap<String, TextPlace>,
}

impl Manifest {
    /// Reads the text of a manifest. One that says nothing about work is empty, and sound.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of the file, up to [`bounds::MAX_PROBLEMS`].
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let source = Source::new(text);
        let reader = Reader::new(&source);
        let manifest = if text.len() > MAX_MANIFEST_BYTES {
            reader.problem(
                0,
                format!("the manifest is longer than {MAX_MANIFEST_BYTES} bytes"),
                None,
            );
            None
        } else {
            read(&reader, text)
        };
        let mut problems = reader.problems();
        problems.truncate(MAX_PROBLEMS);
        match manifest {
            Some(content) if problems.is_empty() => Ok(content.with(source)),
            _ => Err(problems),
        }
    }

    /// The environment variables that actions and hooks read.
    pub fn variables(&self) -> BTreeSet<&str> {
        let of_hooks = self.hooks.iter().flat_map(|hook| &hook.spec.verify.secrets);
        let works = self.bindings.iter().map(|one| &one.spec.work);
        let works = works.chain(self.hooks.iter().map(|one| &one.spec.work));
        let works = works.chain(self.schedules.iter().map(|one| &one.spec.work));
        of_hooks.map(String::as_str).chain(works.flat_map(Work::variables)).collect()
    }

    /// A problem of `declared`, at a key of it (`action`, `steps[0].action`), or at the nearest one around it, or at its
    /// beginning.
    pub fn problem<T>(
        &self,
        declared: &Declared<T>,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        self.problem_at(declared.place_of(key), message.into(), hint)
    }

    /// A problem of the SQL at `path` (see [`SqlText::path`]), `offset` bytes into the SQL.
    pub fn sql_problem<T>(
        &self,
        declared: &Declared<T>,
        path: &str,
        offset: usize,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let place = declared.places.get(path);
        let at = place.map_or(declared.at.start, |place| self.source.in_text(place, offset));
        self.problem_at(at, message.into(), hint)
    }

    /// A problem of a table of `[sealed]`, or of a column of it.
    pub fn sealed_problem(
        &self,
        sealed: &SealedSpec,
        column: Option<&str>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let at = |column: Option<&str>| {
            self.sealed_at.get(&(sealed.on.clone(), column.map(str::to_owned)))
        };
        let at = at(column).or_else(|| at(None)).copied().unwrap_or_default();
        self.problem_at(at, message.into(), hint)
    }

    fn problem_at(&self, offset: usize, message: String, hint: Option<String>) -> Problem {
        let (line, column) = self.source.position(offset);
        Problem { line, column, message, hint }
    }
}

/// All of a manifest but its source.
struct Content {
    name: Option<String>,
    bindings: Vec<Declared<BindingSpec>>,
    hooks: Vec<Declared<HookSpec>>,
    schedules: Vec<Declared<ScheduleSpec>>,
    sealed: Vec<SealedSpec>,
    meters: Vec<Declared<MeterSpec>>,
    sealed_at: SealedPlaces,
}

impl Content {
    fn with(self, source: Source) -> Manifest {
        let Self { name, bindings, hooks, schedules, sealed, meters, sealed_at } = self;
        Manifest { name, bindings, hooks, schedules, sealed, meters, source, sealed_at }
    }
}

fn read(reader: &Reader<'_>, text: &str) -> Option<Content> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.problem(at, format!("no TOML: {}", error.message()), None);
    }
    // What a broken text was taken for is not worth more messages.
    if !errors.is_empty() {
        return None;
    }
    let fields =
        Fields::new(reader, &keys::MANIFEST, Some(document.get_ref()), 0..0, String::new());
    for name in ["title", "description"] {
        fields.text(name);
    }
    let name = fields.text("name");
    let (sealed, sealed_at) = other::read_sealed(&fields);
    let content = Content {
        name,
        bindings: declared(reader, &fields, "binding", binding::read),
        hooks: declared(reader, &fields, "hook", hook::read),
        schedules: declared(reader, &fields, "schedule", schedule::read),
        sealed,
        meters: declared(reader, &fields, "meter", other::read_meter),
        sealed_at,
    };
    cross::check(reader, &content);
    Some(content)
}

fn declared<'a, T>(
    reader: &Reader<'_>,
    fields: &Fields<'a>,
    key: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Vec<Declared<T>> {
    let mut all = Vec::new();
    for (index, table) in fields.tables(key).into_iter().enumerate() {
        // Paths begin at the declaration itself.
        let prefix = format!("{key}[{index}].");
        let spec = read(&table);
        let places = reader.take_places().into_iter().filter_map(|(path, place)| {
            let path = path.strip_prefix(&prefix)?;
            // What a schedule runs is `done` in its normal form.
            let path =
                path.strip_prefix("run[").map_or(path.to_owned(), |rest| format!("done[{rest}"));
            Some((path, place))
        });
        let places = places.collect();
        all.extend(spec.map(|spec| Declared {
            spec,
            at: table.at(),
            keys: table.key_places(),
            places,
        }));
    }
    all
}
