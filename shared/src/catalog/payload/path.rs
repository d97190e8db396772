//! Where in a payload something stands.

use std::fmt;

/// The most characters of a path that are written.
const MAX_CHARS: usize = 128;

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into the field of an object.
    Field(String),
    /// Into the element of a list.
    Element(usize),
}

/// The way from a payload's root to a value in it: `plans[0].id`. Of the root itself it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

impl Path {
    /// The way to a field of the root.
    pub(crate) fn field(name: &str) -> Self {
        Self::default().join(name)
    }

    /// The way on to a field.
    pub(crate) fn join(mut self, field: &str) -> Self {
        self.0.push(Step::Field(field.to_owned()));
        self
    }

    /// The way on to an element.
    pub(crate) fn element(mut self, index: usize) -> Self {
        self.0.push(Step::Element(index));
        self
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The memory that the path takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let names = self.0.iter().map(|step| match step {
            Step::Field(name) => name.len(),
            Step::Element(_) => 0,
        });
        size_of_val(self) + size_of_val(self.steps()) + names.sum::<usize>()
    }

    /// The same way written below a root with this name: `payload.plans[0].id`.
    #[must_use]
    pub fn below(&self, root: &str) -> String {
        let path = self.to_string();
        match path.chars().next() {
            None => root.to_owned(),
            Some('[') => format!("{root}{path}"),
            Some(_) => format!("{root}.{path}"),
        }
    }

    /// The way with every element of a list as one: `plans[].id`.
    pub(crate) fn of_all_elements(&self) -> String {
        self.written(|_| "[]".to_owned())
    }

    /// The path as a text, cut off where it gets too long: names are whatever a publisher sends.
    fn written(&self, element: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Element(index) => text.push_str(&element(*index)),
            }
            if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
                text.truncate(end);
                text.push('…');
                break;
            }
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(|index| format!("[{index}]")))
    }
}

impl From<&serde_ignored::Path<'_>> for Path {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path as Ignored;
        match path {
            Ignored::Root => Self::default(),
            Ignored::Map { parent, key } => Self::from(*parent).join(key),
            Ignored::Seq { parent, index } => Self::from(*parent).element(*index),
            // Steps of Rust's types, none in the JSON.
            Ignored::Some { parent }
            | Ignored::NewtypeStruct { parent }
            | Ignored::NewtypeVariant { parent } => Self::from(*parent),
        }
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Seq { index } => Some(Step::Element(*index)),
            // The place of a mistake in the JSON's own grammar, and a step of Rust's types.
            Segment::Unknown | Segment::Enum { .. } => None,
        });
        Self(steps.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_programmers_write_it() {
        let path = Path::field("plans").element(3).join("id");
        assert_eq!(path.to_string(), "plans[3].id");
        assert_eq!(path.of_all_elements(), "plans[].id");
        assert_eq!(path.below("payload"), "payload.plans[3].id");
        assert_eq!(Path::default().below("payload"), "payload");
        let long = Path::field("a").join(&"é".repeat(1_000)).join("b");
        assert_eq!(long.to_string(), format!("a.{}…", "é".repeat(126)));
        let element = Path::default().element(0);
        assert_eq!(element.below("payload"), "payload[0]");
    }
}
