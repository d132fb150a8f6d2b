//! Records in JSON: cards, releases, heads, what the daemon and the trainer say to each other, and the
//! daemon's journal.

use std::fmt::Debug;

use eosfed_cli::stac::{release_item, specialist_item};
use eosfed_client::state::State;
use eosfed_common::ablation::AblationFile;
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::task::{TrainTask, TrainerEvent};
use eosfed_common::traffic::ByteCounts;
use eosfed_testkit::{cards, releases};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::samples;
use crate::target::Seeds;

/// A record: written again, it is read as the same.
fn record<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let again = serde_json::to_vec(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&again).unwrap(), value);
    Some(value)
}

/// A record of any kind. What passes its check can also be worked with.
pub fn records(bytes: &[u8]) -> bool {
    let card = record::<Card>(bytes).map(|card| specialist_item(&card));
    let release = record::<ReleaseManifest>(bytes).map(|release| release_item(&release));
    let head = record::<HeadFile>(bytes).is_some_and(|head| {
        let good = head.check().is_ok();
        if good {
            size_up(&head);
        }
        good
    });
    let over = record::<HeadOver>(bytes).is_some_and(|over| {
        let good = over.check().is_ok();
        if good {
            assert!(over.cards().len() <= over.head.encoders.len());
            size_up(&over.head);
        }
        good
    });
    let task = record::<TrainTask>(bytes).is_some_and(|task| task.check().is_ok());
    let ablation = record::<AblationFile>(bytes).is_some_and(|file| {
        file.ablation().is_ok_and(|ablation| {
            assert!(ablation.without.len() == file.ablations.len() && ablation.check().is_ok());
            true
        })
    });
    card.is_some()
        || ablation
        || release.is_some()
        || head
        || over
        || task
        || record::<TrainerEvent>(bytes).is_some()
        || record::<State>(bytes).is_some()
        || record::<ByteCounts>(bytes).is_some()
}

/// What is derived from a head that is in order.
fn size_up(head: &HeadFile) {
    assert!(head.signature().max_file_bytes() < 1 << 40);
    assert!(head.bands().len() <= head.encoders.iter().map(|encoder| encoder.sources.concat().len()).sum());
    let learned = vec![0.5; head.encoders.len()];
    assert_eq!(head.strongest(Some(&learned), 1).map(|chosen| chosen.by_order().len()), Ok(1));
}

pub(crate) fn seeds() -> Seeds {
    let over = samples::over();
    let assignment = samples::assignments().remove(1);
    let held = json!({
        "assignment": assignment, "lease": { "token": "0123456789abcdef0123456789abcdef", "expires_at": 9 },
        "key": "0123456789abcdef0123456789abcdef", "since": 4
    });
    let records = [
        serde_json::to_value(cards::card()).unwrap(),
        serde_json::to_value(releases::release()).unwrap(),
        serde_json::to_value(releases::ablation_file()).unwrap(),
        serde_json::to_value(&over.head).unwrap(),
        serde_json::to_value(&over).unwrap(),
        serde_json::to_value(ByteCounts::default()).unwrap(),
        serde_json::to_value(State::default()).unwrap(),
        json!({ "phase": "training", "held": held, "deaths": 1, "process": { "pid": 4, "start_ticks": 9 } }),
        json!({ "phase": "measuring", "held": held }),
        json!({ "event": "progress", "step": 3, "loss": 0.5 }),
        json!({
            "event": "epoch", "epoch": 1, "step": 2, "loss": 0.7, "learning_rate": 0.1,
            "metrics": { "accuracy": 0.5 }
        }),
        json!({ "event": "failed", "reason": "no room" }),
    ];
    let mut good: Vec<Vec<u8>> = records.iter().map(|record| serde_json::to_vec(record).unwrap()).collect();
    good.push(serde_json::to_vec_pretty(&over).unwrap());
    let mut wide = serde_json::to_value(&over.head).unwrap();
    wide["composition"]["fusion"] = json!({ "kind": "mlp", "multiple": 4_294_967_295_u32 });
    let odd = vec![
        vec![b'['; 20_000],
        format!("{{\"event\":{}", "{\"a\":".repeat(4000)).into_bytes(),
        serde_json::to_vec(&wide).unwrap(),
        br#"{"event":"progress","step":3,"loss":1e999}"#.to_vec(),
    ];
    Seeds { good, odd }
}
