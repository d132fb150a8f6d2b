//! The keys of a file, read from the JSON schema of its type.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Map, Value};

/// A table of the file, such as `[trainer]`, with its keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// Its dotted path, such as `layout (kind = "scenes")`; empty for the top level.
    pub path: String,
    /// What it is for.
    pub meaning: String,
    /// Its keys, in the order of their names.
    pub keys: Vec<Key>,
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    /// Its name.
    pub name: String,
    /// The type of its value, in words.
    pub kind: String,
    /// Its default as TOML; none if it is required or optional without a default.
    pub default: Option<String>,
    /// Whether the file must have it.
    pub required: bool,
    /// What the value must keep to.
    pub rule: String,
    /// What it means.
    pub meaning: String,
}

/// All tables of the schema `root`.
///
/// # Errors
/// If a key has no description, or the schema has a form that is not known here.
pub(crate) fn tables(root: &Value) -> anyhow::Result<Vec<Table>> {
    let mut walk = Walk { root, tables: Vec::new() };
    walk.object("", root.as_object().context("the schema is no object")?, "")?;
    Ok(walk.tables)
}

struct Walk<'a> {
    root: &'a Value,
    tables: Vec<Table>,
}

impl<'a> Walk<'a> {
    /// Follows a reference to its definition, and an optional value to the value.
    fn resolve(&self, schema: &'a Map<String, Value>) -> anyhow::Result<&'a Map<String, Value>> {
        if let Some(Value::String(reference)) = schema.get("$ref") {
            let pointer = reference.strip_prefix('#').context("a reference out of the schema")?;
            let found = self.root.pointer(pointer).and_then(Value::as_object);
            return self.resolve(found.with_context(|| format!("{reference} is not there"))?);
        }
        let Some(Value::Array(choices)) = schema.get("anyOf") else { return Ok(schema) };
        let given: Vec<_> = choices.iter().filter_map(Value::as_object).collect();
        match given.iter().filter(|one| !is_null(one)).collect::<Vec<_>>()[..] {
            [one] => self.resolve(one),
            _ => Ok(schema),
        }
    }

    fn object(&mut self, path: &str, schema: &'a Map<String, Value>, meaning: &str) -> anyhow::Result<()> {
        let at = self.tables.len();
        self.tables.push(Table { path: path.to_owned(), meaning: meaning.to_owned(), keys: Vec::new() });
        let required = names(schema.get("required"));
        let mut keys = Vec::new();
        for (name, property) in properties(schema) {
            keys.push(self.key(path, name, property, required.contains(&name.as_str()))?);
        }
        self.tables[at].keys = keys;
        self.variants(path, schema)
    }

    /// The tables of a tagged enum, one for each of its variants.
    fn variants(&mut self, path: &str, schema: &'a Map<String, Value>) -> anyhow::Result<()> {
        for variant in list(schema.get("oneOf")).iter().filter_map(Value::as_object) {
            let (tag, value) =
                tag(variant).with_context(|| format!("`{path}` has a variant without a tag"))?;
            self.object(&format!("{path} ({tag} = \"{value}\")"), variant, described(variant))?;
        }
        Ok(())
    }

    fn key(&mut self, path: &str, name: &str, property: &'a Value, required: bool) -> anyhow::Result<Key> {
        let whole = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let property = property.as_object().with_context(|| format!("`{whole}` has no schema"))?;
        let resolved = self.resolve(property)?;
        let own = described(property);
        let meaning = if own.is_empty() { described(resolved) } else { own };
        anyhow::ensure!(!meaning.is_empty(), "`{whole}` has no description; document the field");
        let kind = self.kind(resolved)?;
        self.descend(&whole, resolved, meaning)?;
        let default = property.get("default").filter(|value| !value.is_null()).map(inline);
        Ok(Key {
            name: name.to_owned(),
            kind,
            required: required && default.is_none(),
            default,
            rule: rule(property, resolved),
            meaning: meaning.to_owned(),
        })
    }

    /// Adds the tables below a key.
    fn descend(&mut self, path: &str, schema: &'a Map<String, Value>, meaning: &str) -> anyhow::Result<()> {
        if schema.contains_key("properties") {
            return self.object(path, schema, meaning);
        }
        if list(schema.get("oneOf")).iter().filter_map(Value::as_object).any(|one| tag(one).is_some()) {
            return self.variants(path, schema);
        }
        // A value of several forms: those that are tables have keys.
        for form in list(schema.get("anyOf")).iter().filter_map(Value::as_object) {
            let form = self.resolve(form)?;
            self.descend(path, form, described(form))?;
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", ".NAME")] {
            if let Some(inner) = schema.get(key).and_then(Value::as_object) {
                let inner = self.resolve(inner)?;
                self.descend(&format!("{path}{suffix}"), inner, described(inner))?;
            }
        }
        Ok(())
    }

    fn kind(&self, schema: &'a Map<String, Value>) -> anyhow::Result<String> {
        if let Some(Value::Array(values)) = schema.get("enum") {
            return Ok(one_of(values.iter()));
        }
        let choices = list(schema.get("oneOf"));
        let words: Vec<_> = choices.iter().filter_map(|one| one.get("const")).collect();
        if !words.is_empty() && words.len() == choices.len() {
            return Ok(one_of(words.into_iter()));
        }
        if !choices.is_empty() {
            return Ok("table".to_owned());
        }
        if let Some(items) = schema.get("items").and_then(Value::as_object) {
            return Ok(format!("list of: {}", self.kind(self.resolve(items)?)?));
        }
        if let Some(values) = schema.get("additionalProperties").and_then(Value::as_object) {
            return Ok(format!("table of: {}", self.kind(self.resolve(values)?)?));
        }
        if let Some(Value::Array(choices)) = schema.get("anyOf") {
            let kinds: anyhow::Result<Vec<_>> = choices
                .iter()
                .filter_map(Value::as_object)
                .map(|one| self.kind(self.resolve(one)?))
                .collect();
            return Ok(kinds?.join(", or "));
        }
        Ok(match schema.get("type") {
            Some(Value::String(one)) => word(one).to_owned(),
            Some(Value::Array(several)) => {
                let words = several.iter().filter_map(Value::as_str).filter(|one| *one != "null");
                words.map(word).collect::<Vec<_>>().join(", or ")
            }
            _ => anyhow::bail!("a value of no known type: {schema:?}"),
        })
    }
}

fn is_null(schema: &Map<String, Value>) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

fn word(kind: &str) -> &str {
    match kind {
        "object" => "table",
        "number" => "float",
        other => other,
    }
}

fn one_of<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let words: Vec<_> = values.filter(|value| !value.is_null()).map(|value| format!("`{value}`")).collect();
    words.join(", ")
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn names(value: Option<&Value>) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

fn properties(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let tag = tag(schema).map(|(tag, _)| tag.to_owned());
    let all = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    all.filter(move |(name, _)| tag.as_deref() != Some(name.as_str()))
}

/// The key and the value that tell a variant of a tagged enum from the others.
fn tag(variant: &Map<String, Value>) -> Option<(&str, &str)> {
    let properties = variant.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, schema)| Some((name.as_str(), schema.get("const")?.as_str()?)))
}

fn described(schema: &Map<String, Value>) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// A value as TOML on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs: Vec<_> = (table.iter().filter(|(_, value)| !value.is_null()))
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The bounds of a value, in words.
fn rule(property: &Map<String, Value>, resolved: &Map<String, Value>) -> String {
    let found = |key: &str| property.get(key).or_else(|| resolved.get(key));
    let mut rules = Vec::new();
    match (found("minimum"), found("maximum")) {
        (Some(least), Some(most)) if !is_type_bound(most) => rules.push(format!("{least} to {most}")),
        (Some(least), _) if *least != 0 => rules.push(format!("at least {least}")),
        (_, Some(most)) if !is_type_bound(most) => rules.push(format!("at most {most}")),
        _ => {}
    }
    if let Some(text) = found("x-rule").and_then(Value::as_str) {
        rules.push(text.to_owned());
    }
    rules.join("; ")
}

/// Whether a bound only says how the program stores the number.
fn is_type_bound(bound: &Value) -> bool {
    let stored = [u64::from(u8::MAX), u64::from(u16::MAX), u64::from(u32::MAX), u64::MAX];
    bound.as_u64().is_some_and(|bound| stored.contains(&bound))
}

/// Every key of all tables by its dotted path, without the notes on variants.
pub(crate) fn paths(tables: &[Table]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for table in tables {
        let plain: String = plain(&table.path);
        for key in &table.keys {
            let path = if plain.is_empty() { key.name.clone() } else { format!("{plain}.{}", key.name) };
            all.insert(path, table.path.clone());
        }
    }
    all
}

fn plain(path: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for letter in path.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
    }
    text.replace(' ', "")
}
