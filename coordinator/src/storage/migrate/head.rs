//! Schema 2 kept the head of a downstream job, with the release under it, inside the job, and once more when
//! it was trained. Schema 3 keeps it as a blob, of which the job knows the digest.

use eosfed_common::head::HeadOver;
use serde_json::{Value, json};

use crate::domain::HeadRef;
use crate::storage::record::Record;

/// Replaces a job's head by a reference, unless it is one already. Gives the record of the document, which
/// becomes a blob at the next start. A value that is not a head stays unchanged and cannot be read later.
pub(super) fn to_3(job: &mut Value) -> Option<Record> {
    if let Some(trained) = job.get_mut("trained").and_then(Value::as_object_mut) {
        trained.remove("head");
    }
    let head = job.get_mut("head").filter(|head| head.get("document").is_none())?;
    let over: HeadOver = serde_json::from_value(head.clone()).ok()?;
    let (reference, bytes) = HeadRef::of(&over).ok()?;
    // A JSON record has no order of fields, so the digest is that of the stored bytes.
    let document: Value = serde_json::from_slice(&bytes).ok()?;
    let stored = eosfed_common::assignment::BlobRef::of(document.to_string().as_bytes());
    *head = json!(HeadRef { document: stored, ..reference });
    Some(Record { tree: "documents".to_owned(), key: stored.digest.to_string(), record: document })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::assignment::BlobRef;

    fn over() -> Value {
        let normalisation = json!([{ "band": "red", "mean": 0.1, "std": 0.02 }]);
        let digest = eosfed_common::digest::Digest::of(b"w").to_string();
        json!({
            "head": {
                "name": "cover", "release": 3, "task": "segmentation", "classes": ["a", "b"],
                "input_size": null, "samples": 0, "training": null,
                "encoders": [{
                    "name": "west", "backbone": "convnextv2_atto", "weights": digest, "random_seed": null,
                    "normalisation": normalisation, "sources": [["red"]]
                }]
            },
            "release": { "number": 3, "created_at": 5, "note": "", "specialists": [{
                "name": "west", "version": 1, "weights": digest, "weights_bytes": 1,
                "normalisation": normalisation, "input_size": null, "metrics": {}, "licence": "MIT",
                "energy": { "kwh": 0.0, "source": "unavailable" },
                "model": {
                    "backbone": "convnextv2_atto", "task": "segmentation", "bands": ["red"],
                    "classes": ["a", "b"]
                },
                "provenance": {
                    "job": "j-0a1b2c3d", "mode": "one-shot", "institutions": ["west"], "rounds": 0,
                    "samples": 9, "seed": 0, "frozen_at": 5
                }
            }] }
        })
    }

    #[test]
    fn a_head_becomes_a_reference_and_its_document_says_the_same() {
        let mut job = json!({ "head": over(), "trained": { "head": { "name": "cover" }, "rounds": 1 } });
        let Record { tree, key, record } = to_3(&mut job).unwrap();
        let bytes = record.to_string().into_bytes();
        let HeadRef { document, release, signature, bands } =
            serde_json::from_value(job["head"].clone()).unwrap();
        assert_eq!(
            (tree.as_str(), key, document),
            ("documents", document.digest.to_string(), BlobRef::of(&bytes))
        );
        let read = HeadOver::from_bytes(&bytes).unwrap();
        assert_eq!(read, serde_json::from_value(over()).unwrap());
        assert_eq!((release.0, &signature, bands), (3, &read.head.signature(), read.head.bands()));
        assert_eq!(job["trained"], json!({ "rounds": 1 }));
        let once = job.clone();
        assert_eq!((to_3(&mut job), &job), (None, &once), "a second migration changes nothing");
    }

    #[test]
    fn a_value_that_is_not_a_head_stays() {
        for head in [json!(null), json!({ "head": 1 }), json!([])] {
            let mut job = json!({ "head": head });
            let before = job.clone();
            assert_eq!((to_3(&mut job), job), (None, before));
        }
    }
}
