//! What heads have learned to select, read from their files.

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::finite::Finite;
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::weights::WeightsFile;

use crate::engine::{Core, Handle};

/// Most bytes of a description that are read.
const MAX_DOCUMENT: usize = 2 << 20;

/// The files of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadFiles {
    /// Its description with the release under it.
    pub(super) document: BlobRef,
    /// Its weights.
    pub(super) weights: BlobRef,
}

/// The weights that each head has learned for specialists, by their names. A head without a learned selection
/// has none, and so has one whose files cannot be read.
pub(super) async fn selections(engine: &Handle, heads: Vec<HeadFiles>) -> Vec<BTreeMap<String, Finite>> {
    let number = heads.len();
    let read = engine.call(async move |core: &Core| {
        let mut all = Vec::new();
        for head in heads {
            all.push(selection(core, head).await.unwrap_or_default());
        }
        Ok(all)
    });
    read.await.unwrap_or_else(|_| vec![BTreeMap::new(); number])
}

async fn selection(core: &Core, files: HeadFiles) -> Option<BTreeMap<String, Finite>> {
    let document = core.blobs().read(files.document.digest, 0, MAX_DOCUMENT).await.ok()?;
    let HeadOver { head, .. } = HeadOver::from_bytes(&document).ok()?;
    let signature = head.signature();
    if !signature.0.contains_key(HeadFile::SELECTION) {
        return None;
    }
    let file = WeightsFile::open(&core.blobs().local(files.weights.digest)?).ok()?;
    let learned: Vec<f32> = file.check(&signature).ok()?.values(HeadFile::SELECTION).iter().collect();
    let mut weights = BTreeMap::new();
    for (name, weight) in head.selection_weights(&learned) {
        let weight = Finite::new(f64::from(weight))?;
        // An encoder may be there for several dates or bands; the largest weight counts.
        let known = weights.entry(name.to_owned()).or_insert(weight);
        if weight.get() > known.get() {
            *known = weight;
        }
    }
    Some(weights)
}
