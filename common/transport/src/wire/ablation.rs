//! Ablations of heads over releases.

use eosfed_common::ablation::{Ablation, MAX_ABLATED, Without};
use eosfed_common::assignment::MAX_METRIC_NAME;
use eosfed_common::finite::Finite;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::printable::{MAX_NAME, MAX_WORD};
use eosfed_proto::v1;

use super::scoring::{part_message, scored_part};
use super::{Wire, WireError, at_most, finite, parse, printable, task, task_message, wrong};

impl Wire for Ablation {
    type Message = v1::RecordAblationRequest;

    fn from_message(message: v1::RecordAblationRequest) -> Result<Self, WireError> {
        let v1::RecordAblationRequest {
            release,
            head,
            task: kind,
            part,
            samples,
            metric,
            unit,
            all,
            without,
        } = message;
        let without = at_most("without", MAX_ABLATED, without)?;
        let ablation = Self {
            release: ReleaseNumber(release),
            head: printable("head", &head, 1..=MAX_NAME)?,
            task: task("task", kind)?,
            part: scored_part("part", part)?,
            samples,
            metric: printable("metric", &metric, 1..=MAX_METRIC_NAME)?,
            unit: printable("unit", &unit, 0..=MAX_WORD)?,
            all: finite("all", all)?,
            without: without.into_iter().map(Without::from_message).collect::<Result<_, _>>()?,
        };
        ablation.check().map_err(|rule| wrong("ablation", rule))?;
        Ok(ablation)
    }

    fn into_message(self) -> v1::RecordAblationRequest {
        let Self { release, head, task, part, samples, metric, unit, all, without } = self;
        v1::RecordAblationRequest {
            release: release.0,
            head,
            task: task_message(task).into(),
            part: part_message(part).into(),
            samples,
            metric,
            unit,
            all: all.get(),
            without: without.into_iter().map(Without::into_message).collect(),
        }
    }
}

impl Wire for Without {
    type Message = v1::ScoreWithout;

    fn from_message(message: v1::ScoreWithout) -> Result<Self, WireError> {
        let v1::ScoreWithout { weights, selection, score } = message;
        Ok(Self {
            weights: parse("weights", &weights)?,
            selection: selection.map(|factor| finite("selection", factor)).transpose()?,
            score: finite("score", score)?,
        })
    }

    fn into_message(self) -> v1::ScoreWithout {
        let Self { weights, selection, score } = self;
        v1::ScoreWithout {
            weights: weights.to_string(),
            selection: selection.map(Finite::get),
            score: score.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use eosfed_testkit::releases::ablation;

    use super::*;

    #[test]
    fn an_ablation_survives_the_wire() {
        let mut sent = ablation();
        assert_eq!(Ablation::from_message(sent.clone().into_message()), Ok(sent.clone()));
        sent.without[0].selection = None;
        assert_eq!(Ablation::from_message(sent.clone().into_message()), Ok(sent));
    }

    #[test]
    fn each_number_list_and_text_has_a_bound() {
        type Break = fn(&mut v1::RecordAblationRequest);
        let broken: [(&str, Break); 14] = [
            ("head", |message| message.head = "h".repeat(MAX_NAME + 1)),
            ("head", |message| message.head.clear()),
            ("task", |message| message.task = 0),
            ("part", |message| message.part = 0),
            ("ablation", |message| message.samples = 0),
            ("ablation", |message| message.samples = u64::MAX),
            ("metric", |message| message.metric = "m".repeat(MAX_METRIC_NAME + 1)),
            ("ablation", |message| message.metric = "recall".to_owned()),
            ("unit", |message| message.unit = "u".repeat(MAX_WORD + 1)),
            ("all", |message| message.all = f64::NAN),
            ("ablation", |message| message.all = 1.5),
            ("without", |message| message.without = vec![message.without[0].clone(); MAX_ABLATED + 1]),
            ("ablation", |message| message.without.clear()),
            ("selection", |message| message.without[0].selection = Some(f64::INFINITY)),
        ];
        for (field, change) in broken {
            let mut message = ablation().into_message();
            change(&mut message);
            assert_eq!(Ablation::from_message(message).unwrap_err().field, field);
        }
        let mut message = ablation().into_message();
        message.without[0].weights = "sha256:12".to_owned();
        assert_eq!(Ablation::from_message(message).unwrap_err().field, "weights");
    }
}
