//! Numbers as PostgreSQL prints them.

use std::fmt::Write as _;

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// A number that is known to be small and not negative.
pub(super) fn small(number: i64) -> u32 {
    number as u32
}

/// Appends two digits of a number below 100.
pub(super) fn digits2(json: &mut Vec<u8>, number: u32) {
    let at = number as usize % 100 * 2;
    json.extend_from_slice(&PAIRS[at..at + 2]);
}

/// Appends a number with at least four digits.
pub(super) fn padded4(json: &mut Vec<u8>, number: i64) {
    if number < 10_000 {
        digits2(json, small(number / 100));
        digits2(json, small(number % 100));
    } else {
        integer(json, number);
    }
}

/// Appends an integer.
pub(super) fn integer(json: &mut Vec<u8>, number: i64) {
    if number < 0 {
        json.push(b'-');
    }
    let mut buffer = [0; 20];
    let mut start = buffer.len();
    let mut rest = number.unsigned_abs();
    while rest >= 10 {
        start -= 2;
        let at = (rest % 100) as usize * 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[at..at + 2]);
        rest /= 100;
    }
    if rest > 0 || start == buffer.len() {
        start -= 1;
        buffer[start] = b'0' + rest as u8;
    }
    json.extend_from_slice(&buffer[start..]);
}

/// Appends a `numeric` from its base-10,000 digits; `None` when they are none.
pub(super) fn numeric(json: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (header, digits) = value.split_first_chunk::<8>()?;
    let ([count, weight, sign, scale], _) = header.as_chunks::<2>() else { return None };
    let [count, sign, scale] = [count, sign, scale].map(|pair| u16::from_be_bytes(*pair));
    let weight = i64::from(i16::from_be_bytes(*weight));
    let (digits, _) = digits.as_chunks::<2>();
    if digits.len() != usize::from(count) {
        return None;
    }
    // JSON has no such numbers.
    let sign_or_word: &[u8] = match sign {
        0 => b"",
        0x4000 => b"-",
        0xC000 => b"\"NaN\"",
        0xD000 => b"\"Infinity\"",
        0xF000 => b"\"-Infinity\"",
        _ => return None,
    };
    json.extend_from_slice(sign_or_word);
    if sign_or_word.len() > 1 {
        return Some(());
    }
    let digit = |place: i64| -> i64 {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place));
        digit.map_or(0, |digit| u16::from_be_bytes(*digit).into())
    };
    integer(json, if weight < 0 { 0 } else { digit(0) });
    (1..=weight).for_each(|place| padded4(json, digit(place)));
    if scale > 0 {
        json.push(b'.');
        let end = json.len() + usize::from(scale);
        let mut place = weight + 1;
        while json.len() < end {
            padded4(json, digit(place));
            place += 1;
        }
        json.truncate(end);
    }
    Some(())
}

/// What the decimal digits of a binary floating point number depend on.
struct Binary {
    /// The number is `mantissa * 2^exponent`.
    mantissa: u64,
    exponent: i32,
    /// Whether the next smaller number is only half as far away as the next larger one.
    lower_is_closer: bool,
}

/// Appends a `float4`.
pub(super) fn float4(json: &mut Vec<u8>, number: f32) {
    let bits = number.to_bits();
    let (fraction, exponent) = (bits & 0x7f_ffff, (bits >> 23 & 0xff) as i32);
    let normal = exponent > 0;
    let binary = Binary {
        mantissa: u64::from(fraction) | u64::from(normal) << 23,
        exponent: exponent.max(1) - 150,
        lower_is_closer: fraction == 0 && exponent > 1,
    };
    float(json, number, &binary, 6, 9);
}

/// Appends a `float8`.
pub(super) fn float8(json: &mut Vec<u8>, number: f64) {
    let bits = number.to_bits();
    let (fraction, exponent) = (bits & 0xf_ffff_ffff_ffff, (bits >> 52 & 0x7ff) as i32);
    let normal = exponent > 0;
    let binary = Binary {
        mantissa: fraction | u64::from(normal) << 52,
        exponent: exponent.max(1) - 1075,
        lower_is_closer: fraction == 0 && exponent > 1,
    };
    float(json, number, &binary, 15, 17);
}

/// Appends the shortest decimal that lies strictly between the neighbours' halfway points. `fixed`
/// is the first power of ten that is written with an exponent, `most` the digits that always do.
fn float<F>(json: &mut Vec<u8>, number: F, binary: &Binary, fixed: i32, most: usize)
where
    F: std::fmt::LowerExp + Into<f64> + Copy,
{
    let wide: f64 = number.into();
    if wide.is_nan() {
        return json.extend_from_slice(b"\"NaN\"");
    }
    if wide.is_infinite() {
        let text: &[u8] = if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" };
        return json.extend_from_slice(text);
    }
    if wide.is_sign_negative() {
        json.push(b'-');
    }
    if wide == 0.0 {
        return json.push(b'0');
    }
    let mut text = String::with_capacity(32);
    // Writing to memory does not fail.
    let _ = write!(text, "{number:e}");
    let mut decimal = Decimal::parse(&text);
    // A halfway point itself is a legal shortest decimal elsewhere, but not to PostgreSQL.
    let mut precision = decimal.digits.len();
    while precision < most && binary.is_halfway(&decimal) {
        text.clear();
        let _ = write!(text, "{number:.precision$e}");
        decimal = Decimal::parse(&text);
        precision += 1;
    }
    binary.settle_tie(&mut decimal);
    decimal.write(json, fixed);
}

/// Decimal digits, the first before the point, times a power of ten.
struct Decimal {
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// Takes `-1.25e-7` apart, without its sign.
    fn parse(text: &str) -> Self {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_digit).collect();
        Self { digits, exponent: exponent.parse().unwrap_or_default() }
    }

    fn write(&self, json: &mut Vec<u8>, fixed: i32) {
        let (digits, exponent) = (&self.digits, self.exponent);
        let zeros = |json: &mut Vec<u8>, count: usize| json.resize(json.len() + count, b'0');
        if exponent < -4 || exponent >= fixed {
            json.push(digits[0]);
            if digits.len() > 1 {
                json.push(b'.');
                json.extend_from_slice(&digits[1..]);
            }
            json.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.unsigned_abs() < 100 {
                return digits2(json, exponent.unsigned_abs());
            }
            return integer(json, exponent.abs().into());
        }
        let before = usize::try_from(exponent + 1).unwrap_or_default();
        if before == 0 {
            json.extend_from_slice(b"0.");
            zeros(json, (-1 - exponent).unsigned_abs() as usize);
            json.extend_from_slice(digits);
        } else if before >= digits.len() {
            json.extend_from_slice(digits);
            zeros(json, before - digits.len());
        } else {
            json.extend_from_slice(&digits[..before]);
            json.push(b'.');
            json.extend_from_slice(&digits[before..]);
        }
    }

    /// The digits as a number, and the power of ten of the last one.
    fn scaled(&self) -> (u128, i32) {
        let value =
            self.digits.iter().fold(0, |value, digit| value * 10 + u128::from(digit - b'0'));
        (value, self.exponent + 1 - self.digits.len() as i32)
    }
}

impl Binary {
    /// Whether a decimal lies exactly halfway between this number and one of its neighbours.
    fn is_halfway(&self, decimal: &Decimal) -> bool {
        let (value, tens) = decimal.scaled();
        // In quarters of the last binary place, so that a halfway point below a power of two is whole.
        let mantissa = u128::from(self.mantissa) * 4;
        let below = if self.lower_is_closer { 1 } else { 2 };
        [mantissa + 2, mantissa - below]
            .into_iter()
            .any(|point| same(value, tens, point, self.exponent - 2))
    }

    /// Of two decimals that are equally near, the one whose last digit is even is right, if it is
    /// near enough.
    fn settle_tie(&self, decimal: &mut Decimal) {
        let (value, tens) = decimal.scaled();
        let Some(last) = decimal.digits.last_mut().filter(|last| **last % 2 == 1) else { return };
        let is = |value| same(value, tens - 1, self.mantissa.into(), self.exponent);
        let below_is_near =
            || !self.lower_is_closer || 5.0 * 10_f64.powi(tens - 1) < 2_f64.powi(self.exponent - 2);
        // Neither can carry: a last digit of zero would have made a shorter decimal.
        if is(value * 10 + 5) {
            *last += 1;
        } else if is(value * 10 - 5) && below_is_near() {
            *last -= 1;
        }
    }
}

/// Whether `decimal * 10^tens` is `binary * 2^twos`, exactly.
fn same(decimal: u128, tens: i32, binary: u128, twos: i32) -> bool {
    let odd = |number: u128| (number >> number.trailing_zeros(), number.trailing_zeros() as i32);
    let (mut decimal, decimal_twos) = odd(decimal);
    let (mut binary, binary_twos) = odd(binary);
    if decimal_twos + tens != binary_twos + twos {
        return false;
    }
    // The powers of five decide: both sides are below 2^60, so more than 27 of them never fit.
    let fives = tens.unsigned_abs();
    if fives > 27 {
        return false;
    }
    let side = if tens > 0 { &mut decimal } else { &mut binary };
    *side *= 5_u128.pow(fives);
    decimal == binary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut json = Vec::new();
        write(&mut json);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn integers_of_every_length() {
        let mut number = 1_i64;
        for _ in 0..19 {
            for near in [number - 1, number, number.saturating_add(1), -number] {
                assert_eq!(written(|json| integer(json, near)), near.to_string());
            }
            number = number.saturating_mul(10);
        }
        for number in [i64::MIN, i64::MAX, 0, 7, -10] {
            assert_eq!(written(|json| integer(json, number)), number.to_string());
        }
    }

    #[test]
    fn floats_use_an_exponent_where_postgresql_does() {
        let double = |number| written(|json| float8(json, number));
        assert_eq!(double(1e15), "1e+15");
        assert_eq!(double(123_456_789_012_345.0), "123456789012345");
        assert_eq!(double(0.0001), "0.0001");
        assert_eq!(double(0.00001), "1e-05");
        assert_eq!(double(-0.0), "-0");
        assert_eq!(double(f64::MAX), "1.7976931348623157e+308");
        assert_eq!(double(5e-324), "5e-324");
        assert_eq!(double(f64::NAN), "\"NaN\"");
        assert_eq!(double(f64::NEG_INFINITY), "\"-Infinity\"");
        let single = |number| written(|json| float4(json, number));
        assert_eq!(single(1e6), "1e+06");
        assert_eq!(single(100_000.5), "100000.5");
        assert_eq!(single(0.1), "0.1");
    }

    #[test]
    fn ties_between_decimals_go_to_the_even_one_that_is_near_enough() {
        let double = |number| written(|json| float8(json, number));
        assert_eq!(double(4_878_040_363_054_149.0 / 4.0), "1.2195100907635372e+15");
        assert_eq!(double(2_f64.powi(-25)), "2.9802322387695312e-08");
        assert_eq!(double(2_f64.powi(-24)), "5.960464477539063e-08");
    }

    #[test]
    fn a_halfway_point_is_not_the_shortest_decimal() {
        // 9.007199254740993e15 is nearer to no other number, but exactly between two.
        assert!(same(5, 0, 20, -2) && same(25, -1, 5, -1) && !same(26, -1, 5, -1));
        assert!(same(3, 2, 75, 2) && !same(3, 28, 75, 2));
        let halfway = Decimal::parse("9.007199254740993e15");
        let number = Binary { mantissa: 1 << 52, exponent: 1, lower_is_closer: true };
        assert!(number.is_halfway(&halfway));
        assert!(!number.is_halfway(&Decimal::parse("9.007199254740992e15")));
    }
}
