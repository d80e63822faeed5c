//! The settings of a session that decide how values of some types print.

/// How sessions print values whose text depends on settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Printing {
    /// `TimeZone` is UTC under one of its names: a `timestamptz` ends in `+00:00`.
    pub utc: bool,
    /// `extra_float_digits` asks for the shortest exact form of a `real` or a `double precision`.
    pub exact_floats: bool,
    /// `bytea_output` is `hex`.
    pub hex_bytea: bool,
}

impl Printing {
    /// The settings that decide, in the order in which [`Printing::of`] takes them.
    pub const SETTINGS: [&str; 3] = ["TimeZone", "extra_float_digits", "bytea_output"];

    /// What the values of [`Printing::SETTINGS`] mean.
    pub fn of(values: [&str; 3]) -> Self {
        let [time_zone, extra_float_digits, bytea_output] = values;
        Self {
            utc: Self::is_utc(time_zone),
            exact_floats: extra_float_digits.parse().is_ok_and(|digits: i32| digits > 0),
            hex_bytea: bytea_output == "hex",
        }
    }

    /// Whether a time zone is UTC under one of its names.
    pub fn is_utc(time_zone: &str) -> bool {
        let name = time_zone.strip_prefix("Etc/").unwrap_or(time_zone);
        ["UTC", "GMT", "UCT", "Zulu", "Universal"].contains(&name)
    }

    /// What is left for sessions in which one setting has another value.
    pub(crate) fn unless(&mut self, setting: &str, value: &str) {
        let places = [&mut self.utc, &mut self.exact_floats, &mut self.hex_bytea];
        for (index, place) in places.into_iter().enumerate() {
            if Self::SETTINGS[index].eq_ignore_ascii_case(setting) {
                let mut values = [""; 3];
                values[index] = value;
                let one = Self::of(values);
                *place &= [one.utc, one.exact_floats, one.hex_bytea][index];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_how_values_print() {
        let all = Printing { utc: true, exact_floats: true, hex_bytea: true };
        assert_eq!(Printing::of(["Etc/UTC", "1", "hex"]), all);
        assert_eq!(Printing::of(["Europe/Berlin", "0", "escape"]), Printing::default());
        let mut left = all;
        left.unless("statement_timeout", "0");
        left.unless("timezone", "GMT");
        assert_eq!(left, all);
        left.unless("timezone", "Asia/Tokyo");
        assert_eq!(left, Printing { utc: false, ..all });
    }
}
