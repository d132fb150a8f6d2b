use std::path::PathBuf;

use super::*;
use crate::files;

fn signature() -> Signature {
    Signature([("a.bias".to_owned(), vec![2]), ("a.weight".to_owned(), vec![2, 3])].into())
}

fn tensors() -> Tensors {
    [("a.bias".to_owned(), vec![1.0, -2.0]), ("a.weight".to_owned(), vec![0.5; 6])].into()
}

fn file(tensors: &Tensors, signature: &Signature) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write(&path, signature, tensors).unwrap();
    (folder, path)
}

#[test]
fn written_weights_read_back_and_have_the_digest_of_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let digest = write(&path, &signature(), &tensors()).unwrap();
    assert_eq!(digest, files::digest(&path).unwrap());
    let file = WeightsFile::open(&path).unwrap();
    let checked = file.check(&signature()).unwrap();
    assert_eq!(checked.values("a.bias").iter().collect::<Vec<_>>(), [1.0, -2.0]);
    assert_eq!(write(&path, &signature(), &tensors()).unwrap(), digest);
}

#[test]
fn values_that_are_not_finite_are_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tensors = tensors();
        tensors.get_mut("a.weight").unwrap()[4] = bad;
        let (_folder, path) = file(&tensors, &signature());
        let error = WeightsFile::open(&path).unwrap().check(&signature()).unwrap_err().to_string();
        assert!(error.contains("`a.weight`") && error.contains("position 4"), "{error}");
    }
}

#[test]
fn missing_extra_and_reshaped_tensors_are_named() {
    let (_folder, path) = file(&tensors(), &signature());
    let opened = WeightsFile::open(&path).unwrap();
    let check = |expected: Signature| opened.check(&expected).unwrap_err().to_string();
    let mut more = signature();
    more.0.insert("b".to_owned(), vec![1]);
    assert!(check(more).contains("`b` is missing"));
    let mut fewer = signature();
    fewer.0.remove("a.bias");
    assert!(check(fewer).contains("`a.bias` is not part"));
    let mut other = signature();
    other.0.insert("a.weight".to_owned(), vec![3, 2]);
    assert!(check(other).contains("shape [2, 3], expected [3, 2]"));
}

#[test]
fn truncated_and_random_bytes_are_refused() {
    let (folder, path) = file(&tensors(), &signature());
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 7, 8, 20, whole.len() - 1] {
        let cut = folder.path().join("cut");
        std::fs::write(&cut, &whole[..length]).unwrap();
        assert!(WeightsFile::open(&cut).unwrap().check(&signature()).is_err(), "{length}");
    }
    let huge = folder.path().join("huge");
    std::fs::write(&huge, [0xff; 64]).unwrap();
    assert!(WeightsFile::open(&huge).unwrap().check(&signature()).is_err());
}
