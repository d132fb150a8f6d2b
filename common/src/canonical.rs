//! One text for each JSON value, which is hashed or signed.

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;

/// The canonical JSON of a value: members in the order of their names, no white space. Without floats it is
/// that of RFC 8785; a float is written as `serde_json` writes it, with the fewest digits that read back.
/// Zero has no sign, because messages of the protocol lose it.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    without_negative_zero(&mut sorted);
    sorted.to_string()
}

fn without_negative_zero(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => *value = Value::from(0.0),
        Value::Array(list) => list.iter_mut().for_each(without_negative_zero),
        Value::Object(members) => members.values_mut().for_each(without_negative_zero),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The digest of the canonical JSON of plain data.
///
/// # Panics
/// If a value has no JSON: plain data always has.
#[must_use]
pub fn digest_of<T: Serialize>(value: &T) -> Digest {
    let value = serde_json::to_value(value).expect("plain data has a JSON form");
    Digest::of(canonical(&value).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_value_has_one_text() {
        let value = json!({ "b": [-0.0, 1e-7, 3], "a": { "y": 0.1, "x": "\u{1b}ö" } });
        assert_eq!(canonical(&value), r#"{"a":{"x":"\u001bö","y":0.1},"b":[0.0,1e-7,3]}"#);
        assert_eq!(digest_of(&0.0), digest_of(&-0.0));
    }
}
