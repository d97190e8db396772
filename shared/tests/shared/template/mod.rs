//! `template.yaml` and `samconfig.toml`: what a deployment is made of.

mod code;
mod environments;
mod mutations;
mod rules;
mod tables;

use std::{
    fs,
    ops::Index,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use yaml_rust2::{Yaml, YamlLoader};

pub(crate) static TEMPLATE: LazyLock<Template> =
    LazyLock::new(|| Template(yaml(&read("template.yaml"))));

/// A template as its text has it. The reader takes `!Ref X` for the text `X`, and any other function with
/// several arguments for their list.
#[derive(Clone)]
pub(crate) struct Template(Yaml);

/// A function that a queue feeds, and the mapping between them.
pub(crate) struct Worker<'a> {
    pub(crate) function: &'a str,
    pub(crate) queue: &'a str,
    pub(crate) mapping: &'a Yaml,
}

impl Template {
    pub(crate) fn properties(&self, resource: &str) -> &Yaml {
        &self["Resources"][resource]["Properties"]
    }

    /// The names of the resources of a type.
    pub(crate) fn resources(&self, kind: &str) -> Vec<&str> {
        of_type(&self["Resources"], kind)
    }

    /// The workers, in the order of their functions.
    pub(crate) fn workers(&self) -> Vec<Worker<'_>> {
        let functions = self.resources("AWS::Serverless::Function").into_iter();
        let workers = functions.flat_map(|function| {
            let events = &self.properties(function)["Events"];
            let mappings = of_type(events, "SQS").into_iter();
            mappings.map(move |name| {
                let mapping = &events[name]["Properties"];
                let queue = resource(text(&mapping["Queue"]));
                Worker {
                    function,
                    queue,
                    mapping,
                }
            })
        });
        workers.collect()
    }
}

impl Index<&str> for Template {
    type Output = Yaml;

    fn index(&self, section: &str) -> &Yaml {
        &self.0[section]
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(text: &str) -> Yaml {
    let documents = YamlLoader::load_from_str(text).unwrap();
    documents.into_iter().next().unwrap()
}

pub(crate) fn text(value: &Yaml) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?}"))
}

pub(crate) fn number(value: &Yaml) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value:?}"))
}

/// The names and values of a mapping; none, if it is not there.
fn entries(mapping: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    let entries = mapping.as_hash().into_iter().flatten();
    entries.map(|(name, value)| (text(name), value))
}

/// The texts of a list, or the one that stands for a list of one; none, if it is not there.
fn texts(list: &Yaml) -> Vec<&str> {
    match list.as_vec() {
        Some(list) => list.iter().map(text).collect(),
        None => list.as_str().into_iter().collect(),
    }
}

/// The names of those of a mapping's values that are of a type.
fn of_type<'a>(mapping: &'a Yaml, kind: &str) -> Vec<&'a str> {
    let typed = entries(mapping).filter(|(_, value)| value["Type"].as_str() == Some(kind));
    typed.map(|(name, _)| name).collect()
}

/// The resource that `!GetAtt X.Attribute` or `!Ref X` names.
fn resource(reference: &str) -> &str {
    reference
        .split_once('.')
        .map_or(reference, |(name, _)| name)
}
