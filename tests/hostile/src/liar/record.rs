//! What institutions send to the lying coordinator: every field that is set, and every text.

use std::collections::BTreeSet;

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, ReflectMessage as _, Value};

/// The fields and texts of all messages so far.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Record {
    /// Fields with another value than their default, such as `TrainingReport.samples`.
    fields: BTreeSet<String>,
    /// Values of fields of text, and names of values of enumerations.
    texts: BTreeSet<String>,
}

/// Reads messages of the protocol by their descriptors, so that no field can be forgotten.
#[derive(Debug, Clone)]
pub(super) struct Reader(DescriptorPool);

impl Reader {
    /// A reader of this version's protocol.
    ///
    /// # Errors
    /// If the descriptors cannot be read.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(DescriptorPool::decode(eosfed_proto::DESCRIPTORS)?))
    }

    /// Adds a message, which is called `name` in the protocol.
    ///
    /// # Errors
    /// If the protocol has no such message.
    pub(super) fn note(&self, record: &mut Record, name: &str, message: &impl Message) -> anyhow::Result<()> {
        let descriptor = self.0.get_message_by_name(&format!("eosfed.v1.{name}"));
        let descriptor = descriptor.with_context(|| format!("the protocol has no `{name}`"))?;
        record.add(&DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?);
        Ok(())
    }
}

impl Record {
    fn add(&mut self, message: &DynamicMessage) {
        for (field, value) in message.fields() {
            self.fields.insert(format!("{}.{}", message.descriptor().name(), field.name()));
            self.add_value(&field.kind(), value);
        }
    }

    fn add_value(&mut self, kind: &Kind, value: &Value) {
        match (value, kind) {
            (Value::Message(inner), _) => self.add(inner),
            (Value::List(list), _) => list.iter().for_each(|value| self.add_value(kind, value)),
            (Value::String(text), _) => drop(self.texts.insert(text.clone())),
            (Value::EnumNumber(number), Kind::Enum(names)) => {
                let name = names
                    .get_value(*number)
                    .map_or_else(|| number.to_string(), |known| known.name().to_owned());
                self.texts.insert(name);
            }
            _ => {}
        }
    }
}
