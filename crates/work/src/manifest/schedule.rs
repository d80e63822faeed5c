//! Reads work at given times.

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::fields::Fields;
use super::keys::OF_SCHEDULE;
use super::spec::{CatchUp, ScheduleSpec};
use super::work;

/// The schedule of a table; `None` when it lacks what it must have.
pub(super) fn read(fields: &Fields<'_>) -> Option<ScheduleSpec> {
    let name = fields.text("name");
    let cron = fields.text("cron").and_then(|cron| check_cron(fields, &cron));
    let timezone = fields.text("timezone").filter(|name| is_timezone(fields, name));
    let jitter_ms = fields.span("jitter");
    let catch_up = read_catch_up(fields);
    let run = fields.statements("run");
    let mut work = work::read(fields, &OF_SCHEDULE);
    if fields.has("run") {
        work.done = run;
    }
    Some(ScheduleSpec {
        name: name?,
        cron: cron?,
        timezone: timezone?,
        jitter_ms: jitter_ms?,
        catch_up: catch_up?,
        work,
    })
}

/// The pattern with single spaces between its fields.
fn check_cron(fields: &Fields<'_>, cron: &str) -> Option<String> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    match parser.parse(cron) {
        Ok(_) => Some(cron.split_whitespace().collect::<Vec<_>>().join(" ")),
        Err(error) => {
            let hint = "five fields, such as `*/5 * * * *`, or six with seconds first".to_owned();
            fields.problem("cron", format!("is no cron pattern: {error}"), hint);
            None
        }
    }
}

fn is_timezone(fields: &Fields<'_>, name: &str) -> bool {
    let known = TimeZone::get(name).is_ok();
    if !known {
        let hint = "names are those of the IANA database, such as `Europe/Berlin`".to_owned();
        fields.problem("timezone", format!("`{}` is no time zone", name.escape_debug()), hint);
    }
    known
}

fn read_catch_up(fields: &Fields<'_>) -> Option<CatchUp> {
    let word = fields.word("catch_up");
    let most = fields.integer("catch_up_max");
    if fields.has("catch_up_max") && word.as_deref().is_some_and(|word| word != "all") {
        fields.problem("catch_up_max", "means nothing without `catch_up = \"all\"`", None);
    }
    Some(match word?.as_str() {
        "skip" => CatchUp::Skip,
        "all" => CatchUp::All(most?),
        _ => CatchUp::One,
    })
}
