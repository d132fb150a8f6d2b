//! Statements of institutions about their data sets.

use eosfed_common::data_statement::{
    DataStatement, MAX_DATA_SETS, PartSizes, SignedDataStatement, StatedDataSet,
};
use eosfed_common::model::{MAX_BANDS, MAX_CLASSES};
use eosfed_common::plan::MAX_SAMPLES;
use eosfed_common::printable::MAX_NAME;
use eosfed_proto::v1;

use super::{Wire, WireError, at_most, parse, printable, required, task, task_message, words, wrong};

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
            further,
            partial,
        } = message;
        let first =
            v1::StatedDataSet { dataset, task: kind, bands, classes, training, validation, test, inventory };
        let StatedDataSet { dataset, task, bands, classes, samples, inventory } =
            StatedDataSet::from_message(first)?;
        let further = at_most("further", MAX_DATA_SETS - 1, further)?;
        Ok(Self {
            institution: parse("institution", &institution)?,
            dataset,
            task,
            bands,
            classes,
            samples,
            inventory,
            further: further.into_iter().map(StatedDataSet::from_message).collect::<Result<_, _>>()?,
            partial,
        })
    }

    fn into_message(self) -> v1::DataStatement {
        let Self { institution, dataset, task: kind, bands, classes, samples, inventory, further, partial } =
            self;
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
            further: further.into_iter().map(Wire::into_message).collect(),
            partial,
        }
    }
}

impl Wire for StatedDataSet {
    type Message = v1::StatedDataSet;

    fn from_message(message: v1::StatedDataSet) -> Result<Self, WireError> {
        let v1::StatedDataSet { dataset, task: kind, bands, classes, training, validation, test, inventory } =
            message;
        if bands.is_empty() {
            return Err(wrong("bands", "at least one"));
        }
        Ok(Self {
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

    fn into_message(self) -> v1::StatedDataSet {
        let Self { dataset, task: kind, bands, classes, samples, inventory } = self;
        let PartSizes { training, validation, test } = samples;
        v1::StatedDataSet {
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
    use eosfed_testkit::data_statements::{further, signed, statement};

    use super::*;

    #[test]
    fn a_statement_survives_the_wire() {
        let stated = signed("west", 90);
        assert_eq!(SignedDataStatement::from_message(stated.clone().into_message()), Ok(stated));
        let several = DataStatement { further: further(2), partial: true, ..statement("west", 90) };
        assert_eq!(DataStatement::from_message(several.clone().into_message()), Ok(several));
    }

    #[test]
    fn a_statement_of_one_data_set_is_signed_as_before_there_could_be_several() {
        let json = serde_json::to_string(&statement("west", 90)).unwrap();
        assert!(!json.contains("further") && !json.contains("partial"), "{json}");
    }

    /// Breaks one thing of a good message.
    type Break = fn(&mut v1::DataStatement);

    #[test]
    fn each_number_list_and_text_has_a_bound() {
        let broken: [(&str, Break); 13] = [
            ("training", |message| message.training = MAX_SAMPLES + 1),
            ("validation", |message| message.validation = u64::MAX),
            ("test", |message| message.test = MAX_SAMPLES + 1),
            ("bands", |message| message.bands = vec!["b".to_owned(); MAX_BANDS + 1]),
            ("bands", |message| message.bands.clear()),
            ("classes", |message| message.classes = vec!["c".to_owned(); MAX_CLASSES + 1]),
            ("classes", |message| message.classes = vec![String::new()]),
            ("dataset", |message| message.dataset = "x".repeat(MAX_NAME + 1)),
            ("task", |message| message.task = 0),
            ("further", |message| message.further = vec![message.further[0].clone(); MAX_DATA_SETS]),
            ("training", |message| message.further[0].training = u64::MAX),
            ("bands", |message| message.further[0].bands.clear()),
            ("inventory", |message| message.further[0].inventory = "none".to_owned()),
        ];
        for (field, change) in broken {
            let mut message = DataStatement { further: further(1), ..statement("west", 90) }.into_message();
            change(&mut message);
            assert_eq!(DataStatement::from_message(message).unwrap_err().field, field);
        }
    }
}
