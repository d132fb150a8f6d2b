//! Statements of institutions about their data sets.

use eosfed_common::data_statement::{DataStatement, PartSizes, SignedDataStatement};
use eosfed_common::model::{MAX_BANDS, MAX_CLASSES};
use eosfed_common::plan::MAX_SAMPLES;
use eosfed_common::printable::MAX_NAME;
use eosfed_proto::v1;

use super::{Wire, WireError, parse, printable, required, task, task_message, words, wrong};

impl Wire for DataStatement {
    type Message = v1::DataStatement;

    fn from_message(message: v1::DataStatement) -> Result<Self, WireError> {
        let v1::DataStatement {
            institution,
            dataset,
            task: kind,
            bands,
            classes,
            training,
            validation,
            test,
            inventory,
        } = message;
        if bands.is_empty() {
            return Err(wrong("bands", "at least one"));
        }
        Ok(Self {
            institution: parse("institution", &institution)?,
            dataset: printable("dataset", &dataset, 0..=MAX_NAME)?,
            task: task("task", kind)?,
            bands: words("bands", MAX_BANDS, bands)?,
            classes: words("classes", MAX_CLASSES, classes)?,
            samples: PartSizes {
                training: samples("training", training)?,
                validation: samples("validation", validation)?,
                test: samples("test", test)?,
            },
            inventory: parse("inventory", &inventory)?,
        })
    }

    fn into_message(self) -> v1::DataStatement {
        let Self { institution, dataset, task: kind, bands, classes, samples, inventory } = self;
        let PartSizes { training, validation, test } = samples;
        v1::DataStatement {
            institution: institution.to_string(),
            dataset,
            task: task_message(kind).into(),
            bands,
            classes,
            training,
            validation,
            test,
            inventory: inventory.to_string(),
        }
    }
}

impl Wire for SignedDataStatement {
    type Message = v1::StateDataRequest;

    fn from_message(message: v1::StateDataRequest) -> Result<Self, WireError> {
        let v1::StateDataRequest { statement, signature } = message;
        Ok(Self {
            statement: DataStatement::from_message(required("statement", statement)?)?,
            signature: parse("signature", &signature)?,
        })
    }

    fn into_message(self) -> v1::StateDataRequest {
        let Self { statement, signature } = self;
        v1::StateDataRequest { statement: Some(statement.into_message()), signature: signature.to_string() }
    }
}

fn samples(field: &'static str, count: u64) -> Result<u64, WireError> {
    if count <= MAX_SAMPLES {
        return Ok(count);
    }
    Err(wrong(field, format!("at most {MAX_SAMPLES} samples, found `{count}`")))
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::data_statements::{signed, statement};

    use super::*;

    #[test]
    fn a_statement_survives_the_wire() {
        let stated = signed("west", 90);
        assert_eq!(SignedDataStatement::from_message(stated.clone().into_message()), Ok(stated));
    }

    /// Breaks one thing of a good message.
    type Break = fn(&mut v1::DataStatement);

    #[test]
    fn each_number_list_and_text_has_a_bound() {
        let broken: [(&str, Break); 9] = [
            ("training", |message| message.training = MAX_SAMPLES + 1),
            ("validation", |message| message.validation = u64::MAX),
            ("test", |message| message.test = MAX_SAMPLES + 1),
            ("bands", |message| message.bands = vec!["b".to_owned(); MAX_BANDS + 1]),
            ("bands", |message| message.bands.clear()),
            ("classes", |message| message.classes = vec!["c".to_owned(); MAX_CLASSES + 1]),
            ("classes", |message| message.classes = vec![String::new()]),
            ("dataset", |message| message.dataset = "x".repeat(MAX_NAME + 1)),
            ("task", |message| message.task = 0),
        ];
        for (field, change) in broken {
            let mut message = statement("west", 90).into_message();
            change(&mut message);
            assert_eq!(DataStatement::from_message(message).unwrap_err().field, field);
        }
    }
}
