//! The unit of targets: numbers in another unit are learned, and compared with answers, without an error.

use eosfed_common::model::Task;

use super::DatasetConfig;

impl DatasetConfig {
    /// Compares the unit of its targets with that of a model's, which is empty if it states none. Gives a note if only one
    /// of them is stated.
    ///
    /// # Errors
    /// If both are stated and differ, with both.
    pub fn compare_unit(&self, model: &str) -> Result<Option<String>, String> {
        let own = self.unit();
        if self.task != Task::Regression || own == model {
            return Ok(None);
        }
        if units_differ(own, model) {
            return Err(format!(
                "its target must be in `{model}`, the unit of the model's, found `{own}` (`target_unit` in dataset.toml); bring \
                 the targets into that unit, or write the model's word for it if both mean the same"
            ));
        }
        Ok(Some(if own.is_empty() {
            format!(
                "the model's target is in `{model}`, and the data set does not say the unit of its own (`target_unit` in \
                 dataset.toml), so they are not compared"
            )
        } else {
            format!(
                "the data set's target is in `{own}` (`target_unit` in dataset.toml), and the model does not say the unit of \
                 its own (`model.target.unit` of a plan, `target.unit` of head.json), so they are not compared"
            )
        }))
    }
}

/// Whether two units are stated, which empty ones are not, and differ.
#[must_use]
pub fn units_differ(one: &str, other: &str) -> bool {
    !one.is_empty() && !other.is_empty() && one != other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_equal_differ_or_are_not_said() {
        let text = "task = \"regression\"\nbands = [\"red\"]\nclasses = [\"height\"]\nUNIT[layout]\nkind = \"scenes\"\n\
                    images = [\"a.tif\"]\nmasks = [\"b.tif\"]\ntile = 32\n";
        let of = |unit: &str| toml::from_str::<DatasetConfig>(&text.replace("UNIT", unit)).unwrap();
        let metres = of("target_unit = \"m\"\n");
        assert_eq!(metres.compare_unit("m"), Ok(None));
        let differ = metres.compare_unit("cm").unwrap_err();
        assert!(differ.contains("must be in `cm`") && differ.contains("found `m`"), "{differ}");
        let silent = metres.compare_unit("").unwrap().unwrap();
        assert!(silent.contains("target is in `m`") && silent.contains("`model.target.unit`"), "{silent}");
        let unsaid = of("").compare_unit("cm").unwrap().unwrap();
        assert!(unsaid.contains("in `cm`") && unsaid.contains("`target_unit`"), "{unsaid}");
        assert_eq!(of("").compare_unit(""), Ok(None));
        let classes = DatasetConfig { task: Task::Segmentation, ..of("") };
        assert_eq!(classes.compare_unit("cm"), Ok(None));
    }
}
