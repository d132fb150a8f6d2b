//! The index of a data set: a CSV file whose lines name images and labels.

use eosfed_data::{Dataset, Limits, Split};

use crate::folder::file;
use crate::target::Seeds;

const CONFIG: &str = "task = \"multilabel\"\nbands = [\"red\", \"nir\"]\nclasses = [\"forest\", \"water\"]\n[layout]\n\
                      kind = \"table\"\nfile = \"index.csv\"\nroot = \"no-such-folder\"\nimages = [\"red\", \"nir\"]\n\
                      target = \"labels\"\nsplit = \"part\"\n";

/// An index; the images that it names are not there, which shows only when they are read.
pub fn table(bytes: &[u8]) -> bool {
    file("index.csv", bytes);
    let limits = Limits { side: 64, bands: 4, bytes: 1 << 16 };
    match Dataset::open(&file("dataset.toml", CONFIG.as_bytes()), &limits) {
        Ok(dataset) => {
            assert!(Split::ALL.iter().any(|part| !dataset.is_empty(*part)));
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("index.csv") || said.contains("dataset.toml"), "it names the file: {said}");
            false
        }
    }
}

pub(crate) fn seeds() -> Seeds {
    let header = "red,nir,labels,part\n";
    let good = vec![
        format!("{header}a.tif,b.tif,forest;water,train\nc.tif,d.tif,,test\n").into_bytes(),
        format!("part,other,{}\"validation\",\"x\ny\",\"a,b\",c,water\n", "red,nir,labels\n").into_bytes(),
    ];
    let odd = vec![
        format!("{header}{}", ",".repeat(20_000)).into_bytes(),
        format!("{header}\"{}", "a".repeat(40_000)).into_bytes(),
        format!("{}\n", "a,".repeat(10_000)).into_bytes(),
        b"red,nir,labels,part\n\xff\xfe,b,forest,train\n".to_vec(),
    ];
    Seeds { good, odd }
}
