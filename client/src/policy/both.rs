//! The policy of a data set beside that of its site: what both allow. Pure.

use super::{Allow, Approval, Limits, Policy};

impl Policy {
    /// What this policy of a site and the one of a data set both allow. Hours, limits and noise are counted for the
    /// whole site, so they are the site's.
    ///
    /// # Errors
    /// If the policy of the data set has rules of these kinds.
    pub fn and_of_data_set(self, own: &Self) -> Result<Self, String> {
        let of_site = [
            ("limits", own.limits == Limits::default()),
            ("hours", own.hours.is_none()),
            ("privacy", own.privacy.is_none()),
        ];
        if let Some((key, _)) = of_site.into_iter().find(|(_, absent)| !absent) {
            return Err(format!(
                "`{key}` is for the whole site and belongs into policy.toml; the policy of a data set must have none"
            ));
        }
        let Self {
            allow,
            may_leave,
            min_institutions,
            max_epochs,
            min_samples,
            min_steps,
            max_gpu_memory_percent,
            limits,
            hours,
            approval,
            privacy,
        } = self;
        let automatic = [approval, own.approval] == [Approval::Automatic; 2];
        Ok(Self {
            allow: allow.and(&own.allow),
            may_leave: both(may_leave, &own.may_leave),
            min_institutions: min_institutions.max(own.min_institutions),
            max_epochs: max_epochs.min(own.max_epochs),
            min_samples: min_samples.max(own.min_samples),
            min_steps: min_steps.max(own.min_steps),
            max_gpu_memory_percent: max_gpu_memory_percent.min(own.max_gpu_memory_percent),
            limits,
            hours,
            approval: if automatic { Approval::Automatic } else { Approval::Manual },
            privacy,
        })
    }
}

impl Allow {
    fn and(self, own: &Self) -> Self {
        let Self { job_kinds, tasks, backbones, strategies, encodings, individual_updates, warm_start } =
            self;
        Self {
            job_kinds: both(job_kinds, &own.job_kinds),
            tasks: both(tasks, &own.tasks),
            backbones: both(backbones, &own.backbones),
            strategies: both(strategies, &own.strategies),
            encodings: both(encodings, &own.encodings),
            individual_updates: individual_updates && own.individual_updates,
            warm_start: warm_start && own.warm_start,
        }
    }
}

/// What is in both lists, in the order of the first.
fn both<T: PartialEq>(mut list: Vec<T>, other: &[T]) -> Vec<T> {
    list.retain(|one| other.contains(one));
    list
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::Task;
    use eosfed_common::plan::JobKind;

    use super::*;
    use crate::policy::{Egress, Privacy};
    use crate::testing::permissive;

    #[test]
    fn both_policies_must_allow() {
        let same = permissive().and_of_data_set(&permissive()).unwrap();
        assert_eq!(same, permissive());
        let own = Policy {
            allow: Allow {
                job_kinds: vec![JobKind::Rounds, JobKind::Evaluation],
                tasks: Vec::new(),
                ..permissive().allow
            },
            may_leave: vec![Egress::ClassNames, Egress::Updates],
            min_institutions: 5,
            max_epochs: 3,
            min_samples: 7000,
            min_steps: 9000,
            max_gpu_memory_percent: 10,
            approval: Approval::Manual,
            ..permissive()
        };
        let found = permissive().and_of_data_set(&own).unwrap();
        assert_eq!((found.allow.job_kinds, found.allow.tasks), (vec![JobKind::Rounds], Vec::<Task>::new()));
        assert_eq!(found.may_leave, [Egress::Updates]);
        assert_eq!((found.min_institutions, found.max_epochs, found.max_gpu_memory_percent), (5, 3, 10));
        assert_eq!((found.min_samples, found.min_steps, found.approval), (7000, 9000, Approval::Manual));
        // No policy of a data set takes a rule of the site away.
        let stricter = own.and_of_data_set(&permissive()).unwrap();
        assert_eq!(
            (stricter.min_institutions, stricter.max_epochs, stricter.approval),
            (5, 3, Approval::Manual)
        );
        assert!(stricter.allow.tasks.is_empty() && stricter.may_leave == [Egress::Updates]);
        let nothing = Policy { may_leave: Vec::new(), ..permissive() };
        assert!(permissive().and_of_data_set(&nothing).unwrap().may_leave.is_empty());
    }

    #[test]
    fn rules_that_are_counted_for_the_site_are_refused_in_a_data_set() {
        let privacy = Privacy { clip: 1.0, noise_multiplier: 0.8, max_epsilon: 8.0, delta: 1e-5 };
        let of_site = Policy { privacy: Some(privacy), ..permissive() };
        assert_eq!(of_site.clone().and_of_data_set(&permissive()).unwrap().privacy, Some(privacy));
        let error = permissive().and_of_data_set(&of_site).unwrap_err();
        assert!(error.contains("`privacy`") && error.contains("policy.toml"), "{error}");
    }
}
