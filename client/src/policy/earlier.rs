//! Policies of earlier versions. They are refused, with the line to write instead.
//!
//! They named the kind of a job by two keys: `job_kinds = ["specialist"]` and `modes = ["rounds"]`.

use eosfed_common::toml_text;
use toml::{Table, Value};

/// What to write instead, if the text is a policy with words of earlier versions.
pub(crate) fn advice(text: &str) -> Option<String> {
    let policy: Table = toml_text::from_str(text).ok()?;
    let allow = policy.get("allow")?.as_table()?;
    let kinds = words(allow, "job_kinds");
    if !allow.contains_key("modes") && !kinds.contains(&"specialist") {
        return None;
    }
    let modes = words(allow, "modes");
    let mut now: Vec<&str> = Vec::new();
    for kind in kinds {
        match kind {
            "specialist" => now.extend(["one-shot", "rounds"].iter().filter(|kind| modes.contains(kind))),
            // Its rounds needed the word for rounds too.
            "downstream" if !modes.contains(&"rounds") => {}
            other => now.push(other),
        }
    }
    let list: Vec<_> = now.iter().map(|kind| format!("\"{kind}\"")).collect();
    Some(format!(
        "`allow.job_kinds` now names each kind of job by itself, and `allow.modes` is gone: `specialist` became \
         `one-shot` and `rounds`; write `job_kinds = [{}]` instead of these two lines",
        list.join(", ")
    ))
}

fn words<'a>(allow: &'a Table, key: &str) -> Vec<&'a str> {
    let list = allow.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use crate::settings::load_policy;

    fn refused(allow: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, format!("[allow]\n{allow}\n")).unwrap();
        load_policy(&path).unwrap_err().to_string()
    }

    #[test]
    fn an_old_word_is_refused_with_what_it_became() {
        for (old, new) in [
            ("job_kinds = [\"specialist\"]\nmodes = [\"rounds\"]", "[\"rounds\"]"),
            (
                "job_kinds = [\"specialist\"]\nmodes = [\"one-shot\", \"rounds\"]",
                "[\"one-shot\", \"rounds\"]",
            ),
            ("job_kinds = [\"specialist\"]", "[]"),
            (
                "job_kinds = [\"downstream\", \"evaluation\"]\nmodes = [\"rounds\"]",
                "[\"downstream\", \"evaluation\"]",
            ),
            ("job_kinds = [\"downstream\", \"evaluation\"]\nmodes = [\"one-shot\"]", "[\"evaluation\"]"),
        ] {
            let said = refused(old);
            assert!(
                said.contains("policy.toml") && said.contains(&format!("write `job_kinds = {new}`")),
                "{said}"
            );
        }
    }

    #[test]
    fn other_mistakes_get_no_such_advice() {
        for mistake in ["job_kinds = [\"lunch\"]", "job_kinds = 7", "mode = []"] {
            let said = refused(mistake);
            assert!(!said.contains("instead of these two lines"), "{said}");
        }
    }
}
