use serde_json::json;

use super::*;

#[test]
fn quantities_are_read() {
    for (text, bytes) in [
        ("0", 0),
        ("-0", 0),
        ("32768", 32768),
        ("+5", 5),
        ("007", 7),
        ("32Ki", 32768),
        ("1Mi", 1 << 20),
        ("1.5Gi", 3 << 29),
        ("0.5Ki", 512),
        (".5k", 500),
        ("5.", 5),
        ("1k", 1000),
        ("1M", 1_000_000),
        ("2e3", 2000),
        ("2E+3", 2000),
        ("2000e-3", 2),
        ("1000m", 1),
        ("5000000000n", 5),
        ("15Ei", 15 << 60),
        ("18E", 18_000_000_000_000_000_000),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse(text), Ok(bytes), "{text}");
    }
}

#[test]
fn other_texts_are_refused_with_the_reason() {
    use QuantityError::*;
    for text in ["", ".", "-", "k", "1.2.3", "1KI", "1ki", "1 k", " 1", "1b", "1e", "1ex", "0x10", "1e9999999999", "١"] {
        assert_eq!(parse(text), Err(Malformed(text.to_owned())));
    }
    for text in ["500m", "1.5", "1e-1", "0.3Ki", "1e-999999999", "0.00000000000000000000000000000000000000000000000001"] {
        assert_eq!(parse(text), Err(Fractional(text.to_owned())));
    }
    for text in ["18446744073709551616", "16Ei", "1e20", "1e999999999", "99999999999999999999999999999999999999999999"] {
        assert_eq!(parse(text), Err(TooLarge(text.to_owned())));
    }
    assert_eq!(parse("-1Ki"), Err(Negative("-1Ki".to_owned())));
}

#[test]
fn a_number_is_a_quantity_too() {
    let read = |value| serde_json::from_value::<Quantity>(value).map(|quantity| quantity.bytes());
    assert_eq!(read(json!(4096)).unwrap(), Ok(4096));
    assert_eq!(read(json!("4Ki")).unwrap(), Ok(4096));
    assert!(read(json!(true)).unwrap_err().to_string().contains("a quantity such as 32Ki"));
}
