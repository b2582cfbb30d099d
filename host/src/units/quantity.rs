//! Formatting of quantities: three significant digits and a unit, joined by a non-breaking space.

/// Rounds `value` to three significant digits; returns it with its decimal exponent after rounding.
fn rounded(value: f64) -> (f64, i32) {
    let text = format!("{value:.2e}");
    let exponent = text.rsplit('e').next().and_then(|digits| digits.parse().ok());
    (text.parse().unwrap_or(value), exponent.unwrap_or(0))
}

/// Formats three significant digits of a value whose decimal exponent after rounding is `exponent`.
fn digits(value: f64, exponent: i32) -> String {
    format!("{value:.*}", usize::try_from(2 - exponent).unwrap_or(0))
}

/// Formats bytes with decimal prefixes: `999 B`, `1.23 kB`, `45.6 MB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}\u{a0}B");
    }
    let (value, exponent) = rounded(bytes as f64);
    let group = (exponent / 3).min(4);
    let unit = ["B", "kB", "MB", "GB", "TB"][group as usize];
    format!("{}\u{a0}{unit}", digits(value / 1000f64.powi(group), exponent - 3 * group))
}

/// Formats a duration: `12.3 ms`, `1.23 s`, `3 min 20 s`, `2 h 13 min`, `5.25 days`, `3.17 years`.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let days = seconds / 86_400.0;
    if days >= 730.0 {
        format!("{}\u{a0}years", number(days / 365.25))
    } else if days >= 2.0 {
        format!("{}\u{a0}days", number(days))
    } else if seconds >= 7200.0 {
        format!("{}\u{a0}h\u{a0}{}\u{a0}min", whole / 3600, whole % 3600 / 60)
    } else if seconds >= 120.0 {
        format!("{}\u{a0}min\u{a0}{}\u{a0}s", whole / 60, whole % 60)
    } else if seconds < 0.9995 {
        let (value, exponent) = rounded(seconds * 1e3);
        format!("{}\u{a0}ms", digits(value, exponent.max(0)))
    } else {
        let (value, exponent) = rounded(seconds);
        format!("{}\u{a0}s", digits(value, exponent))
    }
}

/// Formats a number without a unit: `0.693`, `1230`, `1.23·10⁻⁴`.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() { "not a number" } else { "infinite" }.into();
    }
    let (rounded, exponent) = rounded(value);
    if (-2..=4).contains(&exponent) {
        return digits(rounded, exponent);
    }
    // Taken from the text, because a power of ten with this exponent may not be representable.
    let text = format!("{value:.2e}");
    let mantissa = text.split('e').next().unwrap_or_default();
    format!("{mantissa}·{}", power_of_ten(exponent))
}

/// Formats a power of ten: `10⁻³`.
pub fn power_of_ten(exponent: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).expect("a digit"),
    };
    exponent
        .to_string()
        .chars()
        .fold("10".into(), |text: String, c| text + &String::from(raised(c)))
}

/// Formats a count in groups of three digits, separated by narrow non-breaking spaces.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(ascii).collect();
    groups.join("\u{202f}")
}

/// Formats a ratio above 1 with at least one digit of its excess over 1: `1.0002`, `2.33`.
pub fn excess(times: f64) -> String {
    let above = times - 1.0;
    if above >= 0.01 {
        return number(times);
    }
    let (_, exponent) = rounded(above);
    format!("{times:.*}", exponent.unsigned_abs() as usize)
}

/// Formats a count with its noun: `1 round`, `20 rounds`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (4_560_000_000, "4.56 GB"),
            (123_456_000_000_000_000, "123000 TB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn durations_range_from_milliseconds_to_years() {
        let cases = [
            (0.0, "0.00 ms"),
            (0.01234, "12.3 ms"),
            (0.9994, "999 ms"),
            (0.9996, "1.00 s"),
            (9.999, "10.0 s"),
            (119.9, "120 s"),
            (200.0, "3 min 20 s"),
            (7980.0, "2 h 13 min"),
            (453_600.0, "5.25 days"),
            (1e8, "3.17 years"),
        ];
        for (value, text) in cases {
            assert_eq!(seconds(value).replace('\u{a0}', " "), text);
        }
    }

    #[test]
    fn numbers_are_scientific_far_from_one() {
        let cases = [
            (0.0, "0"),
            (0.692_8, "0.693"),
            (0.009_999, "0.0100"),
            (12_345.0, "12300"),
            (-0.000_123_4, "-1.23·10⁻⁴"),
            (1.59e15, "1.59·10¹⁵"),
            (5e-324, "4.94·10⁻³²⁴"),
            (-1e-320, "-1.00·10⁻³²⁰"),
            (f64::MAX, "1.80·10³⁰⁸"),
            (f64::NAN, "not a number"),
            (f64::INFINITY, "infinite"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn nouns_agree_with_their_count() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row", "rows")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(115_200), "115\u{202f}200");
        assert_eq!(count(1_000_000), "1\u{202f}000\u{202f}000");
        assert_eq!(power_of_ten(-45_678_901), "10⁻⁴⁵⁶⁷⁸⁹⁰¹");
    }
}
