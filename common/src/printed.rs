//! JSON as programs print it for people and their scripts: points in time are texts (RFC 3339, UTC, with
//! milliseconds). What is stored, signed or sent has the same types and holds milliseconds since the Unix epoch; its
//! bytes never change. Which values are points in time, their type says: [`Timestamp`] serialises under a name that
//! the serialiser of this module knows.

use std::fmt::Display;

use schemars::{JsonSchema, Schema, schema_for};
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::clock::Timestamp;

/// A value as JSON on several lines.
///
/// # Errors
/// If the value cannot be JSON.
pub fn pretty<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Printed(value))
}

/// A value as JSON on one line.
///
/// # Errors
/// If the value cannot be JSON.
pub fn line<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Printed(value))
}

/// The schema of what [`pretty`] and [`line()`] make of values of a type.
#[must_use]
pub fn schema<T: JsonSchema>() -> Schema {
    let mut schema = schema_for!(T);
    if let Some(time) = schema.pointer_mut(&format!("/$defs/{}", Timestamp::schema_name())) {
        *time = json!({
            "description": "A point in time, UTC, with milliseconds (RFC 3339).",
            "type": "string",
            "format": "date-time",
        });
    }
    schema
}

/// A value that serialises as it is printed.
struct Printed<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Printed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Printer(serializer))
    }
}

/// Passes everything on, and points in time as texts.
struct Printer<S>(S);

/// Methods that pass on a value without parts.
macro_rules! pass_on {
    ($($method:ident $type:ty),+) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        })+
    };
}

impl<S: Serializer> Serializer for Printer<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Printer<S::SerializeSeq>;
    type SerializeTuple = Printer<S::SerializeTuple>;
    type SerializeTupleStruct = Printer<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Printer<S::SerializeTupleVariant>;
    type SerializeMap = Printer<S::SerializeMap>;
    type SerializeStruct = Printer<S::SerializeStruct>;
    type SerializeStructVariant = Printer<S::SerializeStructVariant>;

    pass_on! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_i128 i128, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_u128 u128, serialize_f32 f32, serialize_f64 f64, serialize_char char, serialize_str &str,
        serialize_bytes &[u8], serialize_unit_struct &'static str
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Printed(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if name == Timestamp::SERIALISED_AS {
            let time = serde_json::to_value(value).and_then(serde_json::from_value::<Timestamp>);
            return self.0.serialize_str(&time.map_err(S::Error::custom)?.to_rfc3339());
        }
        self.0.serialize_newtype_struct(name, &Printed(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Printed(value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(length).map(Printer)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(length).map(Printer)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, length).map(Printer)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, index, variant, length).map(Printer)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(length).map(Printer)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, length).map(Printer)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, index, variant, length).map(Printer)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// A serialiser of values with parts without names, each passed on as it is printed.
macro_rules! of_elements {
    ($($trait:ident $method:ident),+) => {
        $(impl<S: $trait> $trait for Printer<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Printed(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })+
    };
}

of_elements! {
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
}

/// A serialiser of values with named fields, each passed on as it is printed.
macro_rules! of_fields {
    ($($trait:ident),+) => {
        $(impl<S: $trait> $trait for Printer<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.0.serialize_field(key, &Printed(value))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.0.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })+
    };
}

of_fields! { SerializeStruct, SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for Printer<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(&Printed(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Printed(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const AT: Timestamp = Timestamp(1_795_000_000_123);
    const TEXT: &str = "2026-11-18T11:06:40.123Z";

    /// One of each way in which a type can hold another.
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Unit,
        Newtype(Timestamp),
        Tuple(Timestamp, u32),
        Struct { at: Timestamp },
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Tagged {
        Inner { deadline: Timestamp },
        Other(Inner),
    }

    #[derive(Serialize)]
    struct Inner {
        at: Timestamp,
        number: u64,
    }

    #[derive(Serialize)]
    struct Pair(Timestamp, u64);

    #[derive(Serialize)]
    struct Named(u64);

    #[derive(Serialize)]
    struct All {
        at: Timestamp,
        none: Option<Timestamp>,
        some: Option<Timestamp>,
        list: Vec<Timestamp>,
        map: BTreeMap<String, Timestamp>,
        kinds: [Kind; 4],
        pair: Pair,
        tuple: (Timestamp, f64, char, bool),
        named: Named,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<Timestamp>,
        unit: (),
        #[serde(flatten)]
        tagged: Tagged,
        others: Vec<Tagged>,
    }

    fn all() -> All {
        let inner = || Inner { at: AT, number: AT.0 };
        All {
            at: AT,
            none: None,
            some: Some(AT),
            list: vec![AT],
            map: BTreeMap::from([("a".to_owned(), AT)]),
            kinds: [Kind::Unit, Kind::Newtype(AT), Kind::Tuple(AT, 7), Kind::Struct { at: AT }],
            pair: Pair(AT, AT.0),
            tuple: (AT, 0.5, 'x', true),
            named: Named(AT.0),
            absent: None,
            unit: (),
            tagged: Tagged::Inner { deadline: AT },
            others: vec![Tagged::Other(inner())],
        }
    }

    #[test]
    fn points_in_time_are_texts_wherever_they_are_and_nothing_else_changes() {
        let expected = json!({
            "at": TEXT, "none": null, "some": TEXT, "list": [TEXT], "map": {"a": TEXT},
            "kinds": ["unit", {"newtype": TEXT}, {"tuple": [TEXT, 7]}, {"struct": {"at": TEXT}}],
            "pair": [TEXT, AT.0], "tuple": [TEXT, 0.5, "x", true], "named": AT.0, "unit": null,
            "kind": "inner", "deadline": TEXT, "others": [{"kind": "other", "at": TEXT, "number": AT.0}],
        });
        for text in [pretty(&all()), line(&all())] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text.unwrap()).unwrap(), expected);
        }
        assert!(!line(&all()).unwrap().contains('\n'));
    }

    /// What is stored, signed and sent.
    #[test]
    fn other_json_holds_milliseconds() {
        assert_eq!(serde_json::to_string(&AT).unwrap(), "1795000000123");
        assert_eq!(serde_json::from_str::<Timestamp>("1795000000123").unwrap(), AT);
        assert!(serde_json::from_str::<Timestamp>(&format!("\"{TEXT}\"")).is_err());
        let text = serde_json::to_string(&all()).unwrap();
        assert!(text.starts_with(r#"{"at":1795000000123,"none":null,"some":1795000000123,"#), "{text}");
        assert!(!text.contains("2026"), "{text}");
    }

    #[test]
    fn the_schema_has_texts_where_the_value_has() {
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is looked at")]
        struct Document {
            at: Option<Timestamp>,
            number: u64,
        }
        let schema = schema::<Document>();
        assert_eq!(schema.pointer("/$defs/Timestamp/format"), Some(&json!("date-time")));
        assert_eq!(schema.pointer("/properties/number/format"), Some(&json!("uint64")));
        let stored = schema_for!(Document);
        assert_eq!(stored.pointer("/$defs/Timestamp/type"), Some(&json!("integer")));
    }
}
