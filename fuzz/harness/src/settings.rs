//! Files that people write: settings of both programs, site policies and descriptions of data sets.

use eosfed_client::policy::{self, Decision, Policy, decide, explain};
use eosfed_client::settings as client;
use eosfed_client::settings::load_policy;
use eosfed_common::clock::Timestamp;
use eosfed_coordinator::settings as coordinator;
use eosfed_data::DatasetConfig;

use crate::folder::file;
use crate::samples;
use crate::target::Seeds;

/// A settings file, read as each of the four kinds.
pub fn settings(bytes: &[u8]) -> bool {
    let path = file("settings.toml", bytes);
    let errors: Vec<String> = [
        client::Settings::load(&path)
            .map(|settings| drop(settings.proxy()))
            .map_err(|error| error.to_string()),
        load_policy(&path).map(|policy| weigh(&policy)).map_err(|error| error.to_string()),
        eosfed_common::settings::load::<coordinator::Settings>(&path)
            .map(|settings| assert!(settings.keep_updates_for.as_secs() < u64::MAX))
            .map_err(|error| error.to_string()),
        DatasetConfig::load(&path)
            .map(|config| drop(config.named_bands()))
            .map_err(|error| error.to_string()),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    for error in &errors {
        assert!(error.contains("settings.toml"), "it names the file: {error}");
    }
    errors.len() < 4
}

/// What the policy says to all kinds of work, at any hour.
fn weigh(policy: &Policy) {
    assert!(!explain(policy).is_empty());
    for assignment in samples::assignments() {
        for now in [0, 1_800_000_000_000, u64::MAX] {
            let [alone, approved] = [false, true].map(|by| decide(policy, &assignment, by, Timestamp(now)));
            assert!(alone != Decision::Accept || approved == Decision::Accept, "approval takes nothing away");
        }
    }
}

pub(crate) fn seeds() -> Seeds {
    let proxy = client::Settings::commented("https://a:1", None, Some("http://proxy:3128"), None);
    let table = "task = \"change_detection\"\nbands = [\"red\", \"x\"]\nclasses = [\"a\", \"b\"]\nmask_values = [1, 2]\n\
                 nodata = -1.5\n[band_info.x]\n[layout]\nkind = \"table\"\nfile = \"a.csv\"\nimages = [\"p\", \"q\"]\n\
                 after = [\"r\", \"s\"]\ntarget = \"t\"\nsplit = \"u\"\n[split]\nby = \"location\"\nvalidation = 0.1\n";
    let good = [
        client::SAMPLE,
        &proxy,
        policy::SAMPLE,
        coordinator::SAMPLE,
        include_str!("../../../deploy/demo/policies/west.toml"),
        include_str!("../../../deploy/demo/eurosat/dataset.toml"),
        include_str!("../../../deploy/demo/landsat/dataset.toml"),
        include_str!("../../../deploy/demo/tour/labelled.toml"),
        "hours = \"22:00-06:00\"\napproval = \"automatic\"\nmay_leave = [\"updates\"]\n",
    ];
    let good = good.map(|text| text.as_bytes().to_vec()).into();
    let odd = vec![
        table.replace("\"u\"", "3").into_bytes(),
        "listen = \"127.0.0.1:99999\"\nnames = []\n".into(),
        "listen = \"127.0.0.1:1\"\nnames = []\nkeep_updates_for = \"99999999999999999999d\"\n".into(),
        "hours = \"24:01-99:99\"\n".into(),
        vec![0xff; 64],
    ];
    Seeds { good, odd }
}
