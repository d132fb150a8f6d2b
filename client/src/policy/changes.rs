//! A description of the differences between two policies.

use std::fmt::Display;

use super::{Allow, Approval, Egress, Policy, Privacy};

/// Each difference as a phrase, such as "`may_leave` no longer allows `updates`".
#[must_use]
pub fn changes(old: &Policy, new: &Policy) -> Vec<String> {
    let mut found = Changes::default();
    let Policy {
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
    } = new;
    let names = |list: &[Egress]| list.iter().map(|what| what.name()).collect::<Vec<_>>();
    found.list("may_leave", &names(&old.may_leave), &names(may_leave));
    let Allow { job_kinds, tasks, backbones, strategies, encodings, individual_updates, warm_start } = allow;
    found.list("allow.job_kinds", &old.allow.job_kinds, job_kinds);
    found.list("allow.tasks", &old.allow.tasks, tasks);
    found.list("allow.backbones", &old.allow.backbones, backbones);
    found.list("allow.strategies", &old.allow.strategies, strategies);
    found.list("allow.encodings", &old.allow.encodings, encodings);
    found.value("min_institutions", &old.min_institutions, min_institutions);
    found.value("max_epochs", &old.max_epochs, max_epochs);
    found.value("min_samples", &old.min_samples, min_samples);
    found.value("min_steps", &old.min_steps, min_steps);
    found.value("max_gpu_memory_percent", &old.max_gpu_memory_percent, max_gpu_memory_percent);
    found.value("allow.individual_updates", &old.allow.individual_updates, individual_updates);
    found.value("allow.warm_start", &old.allow.warm_start, warm_start);
    for ((key, old), (_, new)) in old.limits.all().into_iter().zip(limits.all()) {
        found.value(key, &old, &new);
    }
    let words = |hours: &Option<_>| {
        hours.map_or_else(|| "any time".to_owned(), |hours: super::Hours| hours.to_string())
    };
    found.value("hours", &words(&old.hours), &words(hours));
    let word = |approval: Approval| match approval {
        Approval::Automatic => "automatic",
        Approval::Manual => "manual",
    };
    found.value("approval", &word(old.approval), &word(*approval));
    found.value("privacy", &in_words(old.privacy), &in_words(*privacy));
    found.0
}

fn in_words(privacy: Option<Privacy>) -> String {
    let Some(Privacy { clip, noise_multiplier, max_epsilon, delta }) = privacy else {
        return "none".to_owned();
    };
    format!("clip {clip}, noise multiplier {noise_multiplier}, epsilon {max_epsilon} at delta {delta:e}")
}

#[derive(Default)]
struct Changes(Vec<String>);

impl Changes {
    fn list<T: PartialEq + Display>(&mut self, key: &str, old: &[T], new: &[T]) {
        let missing = |from: &[T], of: &[T]| -> Vec<String> {
            of.iter().filter(|word| !from.contains(word)).map(|word| format!("`{word}`")).collect()
        };
        for (verb, words) in [("no longer allows", missing(new, old)), ("now allows", missing(old, new))] {
            if !words.is_empty() {
                self.0.push(format!("`{key}` {verb} {}", words.join(", ")));
            }
        }
    }

    fn value<T: PartialEq + Display>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.0.push(format!("`{key}` is now {new}, it was {old}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::permissive;

    #[test]
    fn every_key_is_compared() {
        let old = permissive();
        assert_eq!(changes(&old, &old), Vec::<String>::new());
        let new: Policy = toml::from_str(
            "may_leave = [\"metrics\"]\nmin_institutions = 5\nmax_epochs = 3\nhours = \"22:00-06:00\"\n\
             min_samples = 7\nmin_steps = 8\napproval = \"manual\"\n\
             privacy = { clip = 1.0, noise_multiplier = 0.8, max_epsilon = 8, delta = 1e-5 }\n[allow]\njob_kinds = [\"evaluation\"]\n\
             individual_updates = true\nwarm_start = true\n[limits]\nrounds_per_job = 1\n\
             assignments_per_job = 2\nassignments_per_day = 3\nupload_mb_per_job = 4\n\
             upload_mb_per_day = \"unlimited\"\ndownload_mb_per_job = 6\ndownload_mb_per_day = 7",
        )
        .unwrap();
        let said = changes(&old, &new).join("\n");
        for phrase in [
            "`may_leave` no longer allows `frozen_weights`, `updates`, `statistics`, `provenance`, `failures`",
            "`allow.job_kinds` no longer allows `one-shot`, `rounds`",
            "`allow.job_kinds` now allows `evaluation`",
            "`allow.tasks` no longer allows `classification`",
            "`allow.backbones` no longer allows `convnextv2_atto`",
            "`allow.strategies` no longer allows `fed-avg`",
            "`min_institutions` is now 5, it was 2",
            "`max_epochs` is now 3, it was 10",
            "`min_samples` is now 7, it was 1",
            "`min_steps` is now 8, it was 1",
            "`allow.individual_updates` is now true, it was false",
            "`allow.warm_start` is now true, it was false",
            "`limits.rounds_per_job` is now 1, it was 1000",
            "`limits.assignments_per_job` is now 2, it was 3000",
            "`limits.assignments_per_day` is now 3, it was 1000",
            "`limits.upload_mb_per_job` is now 4, it was 500000",
            "`limits.upload_mb_per_day` is now unlimited, it was 100000",
            "`limits.download_mb_per_job` is now 6, it was 500000",
            "`limits.download_mb_per_day` is now 7, it was 100000",
            "`hours` is now 22:00-06:00, it was any time",
            "`approval` is now manual, it was automatic",
            "`privacy` is now clip 1, noise multiplier 0.8, epsilon 8 at delta 1e-5, it was none",
        ] {
            assert!(said.contains(phrase), "{phrase}:\n{said}");
        }
    }
}
