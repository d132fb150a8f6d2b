use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::weights::{DEFAULT_TOP_K_SHARE, Encoding, Tensors, WeightsFile, write};

const CODES: [StepCode; 4] =
    [StepCode::Bf16, StepCode::Int8, StepCode::TopK { share: 0.1 }, StepCode::TopKBf16 { share: 0.1 }];

fn signature() -> Signature {
    Signature([("a.weight".to_owned(), vec![30, 20]), ("n.var".to_owned(), vec![3])].into())
}

struct Files {
    folder: tempfile::TempDir,
    base: Tensors,
}

impl Files {
    fn new() -> Self {
        let signature = signature();
        let base = signature.0.iter().map(|(name, shape)| {
            let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.37).sin().abs()).collect();
            (name.clone(), values)
        });
        let files = Self { folder: tempfile::tempdir().unwrap(), base: base.collect() };
        write(&files.path("base"), &signature, &files.base).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, code: StepCode, step: &dyn Fn(&str) -> Vec<f64>) -> PathBuf {
        let path = self.path("step");
        write_step(&path, &signature(), code, step).unwrap();
        path
    }

    fn check(&self, path: &Path, code: StepCode) -> Result<(), String> {
        let base = WeightsFile::open(&self.path("base")).unwrap();
        let base = base.check(&signature()).unwrap();
        let file = StepFile::open(path, code).unwrap();
        file.check(&signature(), &base).map(drop).map_err(|error| error.to_string())
    }

    /// Changes bytes of the last part of the last tensor of its dtype.
    fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }
}

fn step(name: &str) -> Vec<f64> {
    let length: usize = signature().0[name].iter().product();
    (0..length).map(|i| (i as f64 * 1.7).cos() * 1e-3).collect()
}

#[test]
fn what_is_written_is_accepted_and_the_same_step_gives_the_same_bytes() {
    let files = Files::new();
    for code in CODES {
        let path = files.write(code, &step);
        files.check(&path, code).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::read(files.write(code, &step)).unwrap(), bytes);
        for other in CODES.into_iter().filter(|other| *other != code) {
            let error = files.check(&path, other).unwrap_err();
            assert!(
                error.contains("not part") || error.contains("missing") || error.contains("dtype"),
                "{error}"
            );
        }
    }
}

#[test]
fn the_sizes_are_those_that_the_documentation_promises() {
    let length = 1_000_000;
    let bytes = |code: StepCode| code.parts(length).iter().map(Part::bytes).sum::<usize>() as f64 / 4e6;
    let of = |encoding: Encoding| bytes(encoding.code(DEFAULT_TOP_K_SHARE).unwrap());
    assert!((of(Encoding::Bf16) - 0.5).abs() < 1e-6);
    assert!((of(Encoding::Int8) - 0.2539).abs() < 1e-4, "{}", of(Encoding::Int8));
    assert!((of(Encoding::TopK) - 0.02).abs() < 1e-6);
    assert!((of(Encoding::TopKBf16) - 0.03625).abs() < 1e-6);
    assert!((bytes(StepCode::TopKBf16 { share: 0.25 }) - 0.15625).abs() < 1e-6);
    assert_eq!(Encoding::F32.code(0.01), None);
}

#[test]
fn hostile_values_are_named() {
    let files = Files::new();
    let path = files.write(StepCode::Int8, &|name| vec![0.5; step(name).len()]);
    // The scales of `a.weight` come first, for parts are ordered by the size of their values.
    let at = |bytes: &[u8], pattern: &[u8]| bytes.windows(pattern.len()).position(|w| w == pattern).unwrap();
    let scale = (0.5_f64 / 127.0) as f32;
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        let path = files.write(StepCode::Int8, &|name| vec![0.5; step(name).len()]);
        Files::damage(&path, |bytes| {
            let at = at(bytes, &scale.to_le_bytes());
            bytes[at..at + 4].copy_from_slice(&bad.to_le_bytes());
        });
        let error = files.check(&path, StepCode::Int8).unwrap_err();
        assert!(error.contains("scale of block 0"), "{error}");
    }
    let path_of_values = files.write(StepCode::Int8, &|name| vec![0.5; step(name).len()]);
    Files::damage(&path_of_values, |bytes| *bytes.last_mut().unwrap() = 0x80);
    let error = files.check(&path, StepCode::Int8).unwrap_err();
    assert!(error.contains("at least -127, found -128"), "{error}");

    let top_k = StepCode::TopK { share: 1.0 };
    let path = files.write(top_k, &step);
    Files::damage(&path, |bytes| {
        // Position 5 twice.
        let pattern: Vec<u8> = [4_u32, 5, 6].iter().flat_map(|p| p.to_le_bytes()).collect();
        let at = at(bytes, &pattern);
        bytes[at + 8..at + 12].copy_from_slice(&5_u32.to_le_bytes());
    });
    let error = files.check(&path, top_k).unwrap_err();
    assert!(error.contains("above the one before it and below"), "{error}");

    let path = files.write(StepCode::Bf16, &step);
    Files::damage(&path, |bytes| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&half::bf16::NAN.to_le_bytes());
    });
    assert!(files.check(&path, StepCode::Bf16).unwrap_err().contains("must be finite"));
}

#[test]
fn a_mask_has_a_bit_for_each_value_from_the_least_significant() {
    let code = StepCode::TopKBf16 { share: 0.3 };
    let step = [0.0, -2.0, 0.5, 3.0, 0.0, 0.0, 0.0, 0.1, 1.0];
    let values: Vec<u8> =
        [-2.0, 3.0, 1.0].iter().flat_map(|v| half::bf16::from_f64(*v).to_le_bytes()).collect();
    assert_eq!(code.encode(&step), [vec![0b0000_1010, 0b0000_0001], values.clone()]);
    let decoded = code.decode(&[&[0b0000_1010, 0b0000_0001], &values], step.len()).unwrap();
    assert_eq!(decoded, [0.0, -2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    // What is kept is rounded, and what that drops is not lost either.
    let lost = residual(code, &[1.001, 0.2, 0.3]);
    assert_eq!(lost, [0.001_f64 as f32, 0.2, 0.3]);
}

#[test]
fn hostile_masks_are_named() {
    let files = Files::new();
    let code = StepCode::TopKBf16 { share: 0.5 };
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let path = files.write(code, &step);
        Files::damage(&path, |bytes| change(bytes));
        files.check(&path, code).map_or_else(|error| error, |()| String::new())
    };
    assert_eq!(refused(&|_| ()), "");
    // The mask of `n.var` is the last byte: two of three values.
    let last = |mask: u8| refused(&move |bytes| *bytes.last_mut().unwrap() = mask);
    assert_eq!([0b011, 0b101, 0b110].map(last), ["", "", ""]);
    for (mask, expected) in [
        (0b000, "the mask must have 2 bits, found 0"),
        (0b010, "the mask must have 2 bits, found 1"),
        (0b111, "the mask must have 2 bits, found 3"),
        (0b1010, "no bits beyond position 2, found 0b00001000"),
        (0b1000_0001, "no bits beyond position 2, found 0b10000000"),
    ] {
        let error = last(mask);
        assert!(error.contains("`n.var`") && error.contains(expected), "{mask:#b}: {error}");
    }
    for bad in [half::bf16::NAN, half::bf16::INFINITY, half::bf16::NEG_INFINITY] {
        let error = refused(&move |bytes| {
            // Values are before the masks: 300 of `a.weight`, 2 of `n.var`; 75 and 1 bytes of masks.
            let last_value = bytes.len() - 76 - 2;
            bytes[last_value..last_value + 2].copy_from_slice(&bad.to_le_bytes());
        });
        assert!(error.contains("`n.var`") && error.contains("value 1 must be finite"), "{error}");
    }
    // Another share is another length.
    let path = files.write(StepCode::TopKBf16 { share: 0.4 }, &step);
    assert!(files.check(&path, code).unwrap_err().contains("`a.weight/value`"));
}

#[test]
fn a_step_that_makes_a_weight_overflow_is_refused() {
    let files = Files::new();
    let mut base = files.base.clone();
    base.get_mut("a.weight").unwrap()[7] = f32::MAX;
    write(&files.path("base"), &signature(), &base).unwrap();
    let huge = |name: &str| vec![f64::from(f32::MAX) / 2.0; step(name).len()];
    for code in
        [StepCode::Bf16, StepCode::Int8, StepCode::TopK { share: 1.0 }, StepCode::TopKBf16 { share: 1.0 }]
    {
        let error = files.check(&files.write(code, &huge), code).unwrap_err();
        assert!(error.contains("`a.weight` holds inf at position 7"), "{error}");
    }
}

#[test]
fn variances_stay_at_least_zero() {
    assert_eq!(moved(0.5, -0.75, "norm.1.3.var"), 0.0);
    assert_eq!(moved(0.5, -0.75, "norm.1.3.mean"), -0.25);
}

#[test]
fn of_equal_magnitudes_the_first_are_kept() {
    let code = StepCode::TopK { share: 0.5 };
    let step = [1.0, -2.0, 2.0, 1.0, -1.0, 1.0];
    let lost = residual(code, &step);
    assert_eq!(lost, [0.0, 0.0, 0.0, 1.0, -1.0, 1.0]);
}

proptest! {
    /// A step and what its encoding drops make up the whole, so that nothing is lost over the rounds.
    #[test]
    fn what_is_dropped_is_the_difference(
        step in prop::collection::vec(prop_oneof![Just(0.0), -1e-2..1e-2_f64, -1e30..1e30_f64], 1..700),
        code in prop::sample::select(CODES.to_vec()),
    ) {
        let parts = code.encode(&step);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let decoded = code.decode(&parts, step.len()).unwrap();
        let dropped = residual(code, &step);
        for (block, values) in step.chunks(BLOCK).enumerate() {
            let most = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            for (index, value) in values.iter().enumerate() {
                let (decoded, dropped) = (decoded[block * BLOCK + index], dropped[block * BLOCK + index]);
                prop_assert!((decoded + f64::from(dropped) - value).abs() <= value.abs() * 1e-7);
                let bound = match code {
                    StepCode::Bf16 => value.abs() / 256.0,
                    // Half a quantum, and the rounding of the scale.
                    StepCode::Int8 => most / 254.0 * (1.0 + 1e-4) + 1e-38,
                    StepCode::TopK { .. } | StepCode::TopKBf16 { .. } => value.abs(),
                };
                prop_assert!(f64::from(dropped).abs() <= bound * (1.0 + 1e-6), "{dropped} of {value}");
            }
        }
    }
}
