//! The published schemas of `--output json`, and whether what a program printed keeps to them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// A row of `docs/reference/json.md` for one command.
struct Published {
    /// `eosfed` or `eosfed-client`.
    program: &'static str,
    /// The command, as it is written there.
    command: String,
    words: Vec<String>,
    options: Vec<String>,
    validator: Validator,
}

static PUBLISHED: LazyLock<Vec<Published>> = LazyLock::new(read);

/// The commands of a program that have a schema, without its name, as `docs/reference/json.md` writes them.
pub fn commands(program: &str) -> BTreeSet<&'static str> {
    PUBLISHED.iter().filter(|one| one.program == program).map(|one| one.command.as_str()).collect()
}

/// Checks what a command of this program printed as JSON; gives the command as `docs/reference/json.md` writes it. A member
/// that the schema does not have is an error too, so that the schemas are complete.
pub fn check(program: &str, arguments: &[&str], printed: &Value) -> &'static str {
    let published = find(program, arguments)
        .unwrap_or_else(|| panic!("no schema for `{program} {}`", arguments.join(" ")));
    let Published { command, validator, .. } = published;
    let errors = validator.iter_errors(printed).take(5);
    let errors: Vec<_> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "`{program} {command}` has printed\n{printed:#}\n{}", errors.join("\n"));
    command
}

/// Checks a line of an export of the ledger.
pub fn check_event(line: &Value) {
    static EVENT: LazyLock<Validator> = LazyLock::new(|| validator("schemas/event.json"));
    let errors: Vec<_> = EVENT.iter_errors(line).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{line:#}\n{}", errors.join("\n"));
}

/// The row whose words and options are all there; of several the most special.
fn find(program: &str, arguments: &[&str]) -> Option<&'static Published> {
    let fits = |one: &&Published| {
        one.program == program
            && one.words.iter().map(String::as_str).eq(arguments.iter().copied().take(one.words.len()))
            && one.options.iter().all(|option| arguments.contains(&option.as_str()))
    };
    PUBLISHED.iter().filter(fits).max_by_key(|one| one.words.len() + one.options.len())
}

/// A file of `docs/reference`.
fn reference(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference")).join(file)
}

fn read() -> Vec<Published> {
    let text = fs::read_to_string(reference("json.md")).unwrap();
    let mut published = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| [")) {
        let file = row.split_once('(').and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
        let commands = row.split('`').filter_map(|part| {
            let of = |program: &'static str| Some((program, part.strip_prefix(program)?.strip_prefix(' ')?));
            of("eosfed-client").or_else(|| of("eosfed"))
        });
        for (program, command) in commands {
            let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
            let words = command.split(' ').take_while(is_word).map(ToOwned::to_owned).collect();
            let options = command.split(' ').filter(|word| word.starts_with("--")).map(ToOwned::to_owned);
            let options = options.collect();
            published.push(Published {
                program,
                command: command.to_owned(),
                words,
                options,
                validator: validator(file),
            });
        }
    }
    published
}

fn validator(file: &str) -> Validator {
    let text = fs::read(reference(file)).unwrap();
    let mut schema = serde_json::from_slice(&text).unwrap();
    let open = shared_by_branches(&schema);
    close(&mut schema, false, &open);
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

/// The definitions whose members are among those of a branch of a choice.
fn shared_by_branches(schema: &Value) -> BTreeSet<String> {
    let branches = schema["oneOf"].as_array().into_iter().flatten();
    let shared = branches.filter(|branch| branch["properties"].is_object());
    let names = shared.filter_map(|branch| branch["$ref"].as_str()?.strip_prefix("#/$defs/"));
    names.map(ToOwned::to_owned).collect()
}

/// Makes a schema refuse members that it does not name. The branches of a choice whose object has other
/// members besides (`is_branch`), and the `open` definitions, stay open: the object around them is closed.
fn close(schema: &mut Value, is_branch: bool, open: &BTreeSet<String>) {
    let Some(members) = schema.as_object_mut() else { return };
    let has_properties = members.contains_key("properties");
    for (keyword, value) in members.iter_mut() {
        match (keyword.as_str(), value) {
            ("$defs", Value::Object(below)) => {
                below.iter_mut().for_each(|(name, one)| close(one, open.contains(name), open));
            }
            ("properties" | "patternProperties", Value::Object(below)) => {
                below.values_mut().for_each(|one| close(one, false, open));
            }
            ("items" | "additionalProperties", below) => close(below, false, open),
            ("oneOf" | "anyOf" | "allOf", Value::Array(below)) => {
                below.iter_mut().for_each(|one| close(one, has_properties, open));
            }
            _ => {}
        }
    }
    if has_properties && !is_branch && !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".to_owned(), json!(false));
    }
}
