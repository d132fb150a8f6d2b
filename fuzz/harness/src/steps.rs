//! Uploads that are encoded steps, as admission reads them: with each encoding, from the same starting weights.

use eosfed_common::weights::{
    Encoding, Signature, StepCode, StepFile, Tensors, WeightsFile, write, write_step,
};

use crate::folder::{file, fresh};
use crate::target::Seeds;

fn signature() -> Signature {
    Signature([("a.weight".to_owned(), vec![20, 15]), ("n.var".to_owned(), vec![3])].into())
}

fn codes() -> impl Iterator<Item = StepCode> {
    Encoding::ALL.iter().filter_map(|encoding| encoding.code(0.1))
}

fn base() -> Vec<u8> {
    let folder = fresh();
    let tensors: Tensors = signature()
        .0
        .into_iter()
        .map(|(name, shape)| {
            (name, (0..shape.iter().product()).map(|i: usize| (i as f32).sin().abs()).collect())
        })
        .collect();
    write(&folder.path().join("base"), &signature(), &tensors).unwrap();
    std::fs::read(folder.path().join("base")).unwrap()
}

/// A file of a step in any encoding. What is accepted lies inside the file.
pub fn steps(bytes: &[u8]) -> bool {
    let start = WeightsFile::open(&file("base.safetensors", &base())).unwrap();
    let start = start.check(&signature()).unwrap();
    let path = file("step.safetensors", bytes);
    let mut accepted = false;
    for code in codes() {
        let Ok(step) = StepFile::open(&path, code) else { return false };
        if step.check(&signature(), &start).is_ok() {
            accepted = true;
            let layout = step.check_layout(&signature()).unwrap();
            assert!(
                layout.values().flatten().all(|offset| *offset < bytes.len()),
                "parts lie inside the file"
            );
        }
    }
    accepted
}

pub(crate) fn seeds() -> Seeds {
    let folder = fresh();
    let path = folder.path().join("step");
    let good = codes().map(|code| {
        let step = |name: &str| {
            let length: usize = signature().0[name].iter().product();
            (0..length).map(|i| (i as f64).cos() * 1e-3).collect()
        };
        write_step(&path, &signature(), code, step).unwrap();
        std::fs::read(&path).unwrap()
    });
    Seeds { good: good.collect(), odd: vec![base()] }
}
