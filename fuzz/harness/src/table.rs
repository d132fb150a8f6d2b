//! The index of a data set, whose rows name images and labels: a CSV file, a Parquet file or an item collection.

use std::sync::Arc;

use eosfed_data::{Dataset, Limits, Split};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::folder::file;
use crate::target::Seeds;

/// The ending of an index decides how it is read; here, the first bytes decide about the ending.
fn name(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'{', ..] => "index.json",
        [b'P', b'A', b'R', b'1', ..] => "index.parquet",
        _ => "index.csv",
    }
}

fn config(name: &str) -> String {
    format!(
        "task = \"multilabel\"\nbands = [\"red\", \"nir\"]\nclasses = [\"forest\", \"water\"]\n[layout]\n\
         kind = \"table\"\nfile = \"{name}\"\nroot = \"no-such-folder\"\nimages = [\"red\", \"nir\"]\n\
         target = \"labels\"\nsplit = \"part\"\n"
    )
}

/// An index; the images that it names are not there, which shows only when they are read.
pub fn table(bytes: &[u8]) -> bool {
    let name = name(bytes);
    file(name, bytes);
    let limits = Limits { side: 64, bands: 4, bytes: 1 << 16 };
    match Dataset::open(&file("dataset.toml", config(name).as_bytes()), &limits) {
        Ok(dataset) => {
            assert!(Split::ALL.iter().any(|part| !dataset.is_empty(*part)));
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(name) || said.contains("dataset.toml"), "it names the file: {said}");
            false
        }
    }
}

/// Two items, which state things about the numbers of their assets in each way.
const ITEMS: &str = r#"{"type": "FeatureCollection", "features": [
    {"id": "a", "bbox": [1, 2, 3, 4], "properties": {"labels": ["forest", "water"], "part": "train", "nodata": 0},
     "assets": {"red": {"href": "a.tif", "raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 0, "unit": "m"}]},
                "nir": {"href": "file:///b.tif", "raster:scale": 2, "bands": [{"raster:offset": 1e-3, "nodata": "nan"}]}}},
    {"id": "b", "properties": {"labels": "", "part": "test"},
     "assets": {"red": {"href": "c.tif", "unit": "m"}, "nir": {"href": "./c.tif", "unit": "m"}}}]}"#;

/// A Parquet file with the columns of the index.
fn parquet() -> Vec<u8> {
    let columns = ["red", "nir", "labels", "part"];
    let fields: String = columns.iter().map(|name| format!("required binary {name} (UTF8);")).collect();
    let schema = Arc::new(parse_message_type(&format!("message index {{ {fields} }}")).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in [["a.tif", "c.tif"], ["b.tif", "d.tif"], ["forest", ""], ["train", "test"]] {
        let mut column = group.next_column().unwrap().unwrap();
        let values = values.map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

pub(crate) fn seeds() -> Seeds {
    let header = "red,nir,labels,part\n";
    let good = vec![
        format!("{header}a.tif,b.tif,forest;water,train\nc.tif,d.tif,,test\n").into_bytes(),
        format!("part,other,{}\"validation\",\"x\ny\",\"a,b\",c,water\n", "red,nir,labels\n").into_bytes(),
        ITEMS.as_bytes().to_vec(),
        parquet(),
    ];
    let odd = vec![
        format!("{header}{}", ",".repeat(20_000)).into_bytes(),
        format!("{header}\"{}", "a".repeat(40_000)).into_bytes(),
        format!("{}\n", "a,".repeat(10_000)).into_bytes(),
        b"red,nir,labels,part\n\xff\xfe,b,forest,train\n".to_vec(),
        format!("{{\"features\": {}", "[".repeat(20_000)).into_bytes(),
        ITEMS.replace("[{\"scale\"", &format!("[{}{{\"scale\"", "{},".repeat(3000))).into_bytes(),
    ];
    Seeds { good, odd }
}
