//! A strict reader of the HTML that pages may have: every element is closed where it was opened, every
//! attribute is quoted, and no id is there twice.

use std::collections::BTreeSet;

const VOID: [&str; 6] = ["meta", "link", "input", "br", "img", "hr"];

/// Checks a document.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut rest = text.strip_prefix("<!DOCTYPE html>").ok_or("it has no doctype")?;
    let mut open: Vec<&str> = Vec::new();
    let mut ids = BTreeSet::new();
    while let Some(start) = rest.find('<') {
        let end = rest[start..]
            .find('>')
            .ok_or_else(|| format!("a tag is not closed: {}", near(&rest[start..])))?;
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?} before {}", near(rest)));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(format!("<{tag}> is no tag"));
        }
        if let Some(id) = id(attributes)?
            && !ids.insert(id)
        {
            return Err(format!("the id {id} is there twice"));
        }
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are not closed")) }
}

fn near(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The id among attributes, each of which is a name, or a name with a quoted value.
fn id(attributes: &str) -> Result<Option<&str>, String> {
    let mut rest = attributes.trim();
    let mut found = None;
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let name = &rest[..end];
        if rest[end..].starts_with('=') {
            let value = rest[end + 1..].strip_prefix('"').ok_or_else(|| format!("{name} is not quoted"))?;
            let close = value.find('"').ok_or_else(|| format!("{name} does not end"))?;
            if name == "id" {
                found = Some(&value[..close]);
            }
            rest = value[close + 1..].trim_start();
        } else {
            rest = rest[end..].trim_start();
        }
    }
    Ok(found)
}
