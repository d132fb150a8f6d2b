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

/// Whatever the order of the pieces, the bytes are those of the library that wrote files before.
#[test]
fn a_file_written_in_pieces_has_the_same_bytes() {
    let length = (1 << 14) + 3;
    let mut shapes = signature().0;
    shapes.extend([("b".to_owned(), vec![0]), ("c".to_owned(), vec![]), ("d.é".to_owned(), vec![length])]);
    for names in 1..=shapes.len() {
        let signature = Signature(shapes.clone().into_iter().take(names).collect());
        let values = |(name, shape): (&String, &Vec<usize>)| {
            let count: usize = shape.iter().product();
            (name.clone(), (0..count).map(|index| index as f32 - 0.5).collect())
        };
        let tensors: Tensors = signature.0.iter().map(values).collect();
        let (folder, whole) = file(&tensors, &signature);
        let path = folder.path().join("pieces");
        std::fs::write(&path, vec![7; 1 << 18]).unwrap();
        let writer = WeightsWriter::create(&path, &signature).unwrap();
        for (tensor, values) in tensors.values().enumerate().rev() {
            let middle = values.len() / 3;
            writer.write(tensor, middle, &values[middle..]).unwrap();
            writer.write(tensor, 0, &values[..middle]).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap(), "{names} tensors");
    }
}

#[test]
#[should_panic(expected = "values 2 and 1 more of 2")]
fn a_piece_does_not_reach_into_the_next_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let writer = WeightsWriter::create(&folder.path().join("w"), &signature()).unwrap();
    drop(writer.write(0, 2, &[1.0]));
}

/// A check that reads finds what a check of the mapped file finds.
#[test]
fn a_file_that_is_read_is_checked_alike() {
    let signature = Signature([("a".to_owned(), vec![70_000]), ("b".to_owned(), vec![3])].into());
    let good: Tensors = [("a".to_owned(), vec![1.0; 70_000]), ("b".to_owned(), vec![0.0; 3])].into();
    let check = |tensors: &Tensors, signature_of_file: &Signature| {
        let (_folder, path) = file(tensors, signature_of_file);
        let opened = WeightsFile::open(&path).unwrap();
        let mapped = opened.check(&signature).map(|checked| checked.verified());
        let mut seen = Tensors::new();
        let read = opened.check_by_reading(&signature, |tensor, start, piece| {
            let name = signature.0.keys().nth(tensor).unwrap();
            let values = seen.entry(name.clone()).or_default();
            assert_eq!(values.len(), start);
            values.extend(piece.iter().map(|stored| f32::from_le_bytes(*stored)));
        });
        assert_eq!(
            read.is_ok(),
            seen == *tensors,
            "each value is shown once, in order, and only what is finite"
        );
        assert_eq!(read.is_ok(), mapped.is_ok());
        let (read, mapped) = (read.err(), mapped.err());
        assert_eq!(read.as_ref().map(ToString::to_string), mapped.as_ref().map(ToString::to_string));
        read
    };
    assert!(check(&good, &signature).is_none());
    for (tensor, position) in [("a", 0), ("a", 69_999), ("a", 16_384), ("b", 2)] {
        for bad in [f32::NAN, f32::NEG_INFINITY] {
            let mut tensors = good.clone();
            tensors.get_mut(tensor).unwrap()[position] = bad;
            let error = check(&tensors, &signature).unwrap().to_string();
            assert!(error.contains(&format!("position {position}")), "{error}");
        }
    }
    let other = Signature([("a".to_owned(), vec![70_000])].into());
    assert!(check(&[("a".to_owned(), vec![1.0; 70_000])].into(), &other).is_some());
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
