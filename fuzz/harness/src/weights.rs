//! Uploads: weights as the coordinator and the client read them.

use eosfed_common::weights::{Signature, Tensors, WeightsFile, write};

use crate::folder::{file, fresh};
use crate::target::Seeds;

fn signature() -> Signature {
    Signature([("a.bias".to_owned(), vec![2]), ("a.weight".to_owned(), vec![2, 3])].into())
}

/// A file of weights, checked whole and in part.
pub fn weights(bytes: &[u8]) -> bool {
    let Ok(weights) = WeightsFile::open(&file("weights.safetensors", bytes)) else { return false };
    let part = Signature([("a.bias".to_owned(), vec![2])].into());
    if let Ok(checked) = weights.check_part(&part) {
        assert!(checked.values("a.bias").iter().all(f32::is_finite));
    }
    let Ok(checked) = weights.check(&signature()) else { return false };
    let offsets = weights.check_layout(&signature()).unwrap();
    for (name, shape) in signature().0 {
        let values = checked.values(&name);
        assert_eq!(values.len(), shape.iter().product::<usize>());
        assert!(values.iter().all(f32::is_finite));
        assert!(offsets[&name] + values.len() * 4 <= bytes.len(), "values lie inside the file");
    }
    true
}

/// A file with this header, whatever its length says, and room for values behind it.
fn with_header(length: u64, header: &str) -> Vec<u8> {
    [&length.to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat()
}

pub(crate) fn seeds() -> Seeds {
    let folder = fresh();
    let path = folder.path().join("w");
    let tensors: Tensors =
        [("a.bias".to_owned(), vec![1.0, -2.0]), ("a.weight".to_owned(), vec![0.5; 6])].into();
    write(&path, &signature(), &tensors).unwrap();
    let good = vec![std::fs::read(path).unwrap()];
    let entry = |shape: &str, offsets: &str| {
        let header = format!(r#"{{"a.bias":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
        with_header(header.len() as u64, &header)
    };
    let many: Vec<_> = (0..20_000)
        .map(|name| format!(r#""{name}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
        .collect();
    let many = format!("{{{}}}", many.join(","));
    let odd = vec![
        with_header(u64::MAX, "{}"),
        with_header(1 << 62, "{}"),
        with_header(100_000_000, "{}"),
        with_header(99_999_999, "{}"),
        entry("[18446744073709551615]", "[0,8]"),
        entry("[4294967296,4294967296,4]", "[0,8]"),
        entry("[2]", "[0,18446744073709551615]"),
        entry("[2]", "[8,0]"),
        entry("[2]", "[18446744073709551608,0]"),
        with_header(many.len() as u64, &many),
        with_header(40_000, &"[".repeat(40_000)),
    ];
    Seeds { good, odd }
}
