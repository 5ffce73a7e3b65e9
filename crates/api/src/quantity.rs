//! Kubernetes quantities (`32Ki`, `1M`, `1.5Gi`, `2e3`), read as a number of bytes.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A quantity as it is written in the object, where it may be a number as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity(pub String);

impl Quantity {
    /// The number of bytes that the text stands for.
    pub fn bytes(&self) -> Result<u64, QuantityError> {
        parse(&self.0)
    }

    /// The text as it is written in the object.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not follow the grammar.
    #[error("invalid quantity {0:?}: write a number with an optional suffix (k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei), such as 32Ki")]
    Malformed(String),
    /// Less than zero.
    #[error("quantity {0:?} is negative")]
    Negative(String),
    /// Not whole.
    #[error("quantity {0:?} is not a whole number of bytes")]
    Fractional(String),
    /// More than 64 bits hold.
    #[error("quantity {0:?} is too large")]
    TooLarge(String),
}

/// Reads a quantity as a whole number of bytes.
pub fn parse(text: &str) -> Result<u64, QuantityError> {
    let malformed = || QuantityError::Malformed(text.to_owned());
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number_len = unsigned.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, suffix) = unsigned.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(malformed());
    }
    let scale = Scale::parse(suffix).ok_or_else(malformed)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    if negative {
        return Err(QuantityError::Negative(text.to_owned()));
    }
    let too_large = || QuantityError::TooLarge(text.to_owned());
    let trimmed = digits.trim_end_matches('0');
    // value = trimmed * 10^exponent * 2^scale.binary
    let exponent = scale.decimal + i64::try_from(digits.len() - trimmed.len()).map_err(|_| too_large())?
        - i64::try_from(fraction.len()).map_err(|_| too_large())?;
    whole_number(trimmed, exponent, scale.binary).map_err(|fault| match fault {
        Fault::TooLarge => too_large(),
        Fault::Fractional => QuantityError::Fractional(text.to_owned()),
    })
}

enum Fault {
    TooLarge,
    Fractional,
}

fn whole_number(digits: &str, exponent: i64, binary: u32) -> Result<u64, Fault> {
    // A part below one needs more than 38 digits only when it is finer than any suffix can make whole again.
    let mantissa: u128 = digits.parse().map_err(|_| if exponent < 0 { Fault::Fractional } else { Fault::TooLarge })?;
    let scaled = mantissa.checked_mul(1 << binary).ok_or(Fault::TooLarge)?;
    let power = |exponent: u64| u32::try_from(exponent).ok().and_then(|exponent| 10_u128.checked_pow(exponent));
    let value = if exponent >= 0 {
        power(exponent.unsigned_abs()).and_then(|power| scaled.checked_mul(power)).ok_or(Fault::TooLarge)?
    } else {
        let power = power(exponent.unsigned_abs()).ok_or(Fault::Fractional)?;
        if scaled % power != 0 {
            return Err(Fault::Fractional);
        }
        scaled / power
    };
    u64::try_from(value).map_err(|_| Fault::TooLarge)
}

struct Scale {
    decimal: i64,
    binary: u32,
}

impl Scale {
    fn parse(suffix: &str) -> Option<Self> {
        let decimal = |decimal| Some(Self { decimal, binary: 0 });
        let binary = |binary| Some(Self { decimal: 0, binary });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            _ => {
                let exponent = suffix.strip_prefix(['e', 'E'])?;
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                // More than 9 digits are out of range for every number that is not 0.
                let exponent: i64 = if plain && digits.len() <= 9 { exponent.parse().ok()? } else { return None };
                decimal(exponent)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 32Ki, or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-kubernetes-int-or-string": true })
    }
}

#[cfg(test)]
mod tests;
