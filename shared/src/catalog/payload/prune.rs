//! Cutting fields out of a JSON text. What stays keeps its order, and its numbers and texts their
//! spelling: it is copied, never read and written again.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::path::{Path, Step};

/// What is to be cut out of a value: all of it, or something below it.
#[derive(Default)]
struct Cut<'a> {
    whole: bool,
    below: HashMap<&'a Step, Cut<'a>>,
}

/// The text of an object without the values at these paths.
pub(crate) fn without(json: &RawValue, paths: &[Path]) -> serde_json::Result<Box<RawValue>> {
    let mut cut = Cut::default();
    for path in paths {
        let mut at = &mut cut;
        for step in path.steps() {
            at = at.below.entry(step).or_default();
        }
        at.whole = true;
    }
    let mut text = String::with_capacity(json.get().len());
    write(json, &cut, &mut text)?;
    RawValue::from_string(text)
}

fn write(json: &RawValue, cut: &Cut<'_>, text: &mut String) -> serde_json::Result<()> {
    if cut.below.is_empty() {
        text.push_str(json.get());
    } else if json.get().starts_with('{') {
        let fields: IndexMap<String, &RawValue> = serde_json::from_str(json.get())?;
        let kept = fields.into_iter().filter_map(|(name, value)| {
            let step = Step::Field(name);
            let cut = cut.below.get(&step);
            kept(cut).then_some((step, value, cut))
        });
        list(text, ['{', '}'], kept, |text, (step, value, cut)| {
            if let Step::Field(name) = step {
                text.push_str(&serde_json::to_string(&name)?);
                text.push(':');
            }
            write(value, cut.unwrap_or(&Cut::default()), text)
        })?;
    } else if json.get().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(json.get())?;
        let kept = elements.into_iter().enumerate();
        let kept = kept.map(|(index, value)| (value, cut.below.get(&Step::Element(index))));
        list(
            text,
            ['[', ']'],
            kept.filter(|(_, cut)| self::kept(*cut)),
            |text, (value, cut)| write(value, cut.unwrap_or(&Cut::default()), text),
        )?;
    } else {
        // What was to be cut out of stood under the same name before this: only the last one is kept.
        text.push_str(json.get());
    }
    Ok(())
}

fn kept(cut: Option<&Cut<'_>>) -> bool {
    cut.is_none_or(|cut| !cut.whole)
}

/// Writes items between brackets, with commas between them.
fn list<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    text.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item)?;
    }
    text.push(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path as it is written, with points between its steps: `plans.0.id`.
    fn path(written: &str) -> Path {
        written
            .split('.')
            .fold(Path::default(), |path, step| match step.parse() {
                Ok(index) => path.element(index),
                Err(_) => path.join(step),
            })
    }

    fn pruned(json: &str, paths: &[&str]) -> String {
        let json = RawValue::from_string(json.to_owned()).expect("JSON");
        let paths: Vec<_> = paths.iter().copied().map(path).collect();
        let kept = without(&json, &paths).expect("JSON");
        kept.get().to_owned()
    }

    #[test]
    fn what_stays_keeps_its_order_and_its_spelling() {
        let json = r#"{"z": 299.00, "token": 1, "a": {"b":  "\u00e9\/", "c": 1e3}, "m": [ 1, 2 ]}"#;
        assert_eq!(
            pruned(json, &["token"]),
            r#"{"z":299.00,"a":{"b":  "\u00e9\/", "c": 1e3},"m":[ 1, 2 ]}"#
        );
        assert_eq!(
            pruned(json, &["a.c"]),
            r#"{"z":299.00,"token":1,"a":{"b":"\u00e9\/"},"m":[ 1, 2 ]}"#
        );
    }

    #[test]
    fn without_a_path_nothing_is_touched() {
        for json in [r#"{ "a" :1 }"#, "[ ]", "null", r#""text""#] {
            assert_eq!(pruned(json, &[]), json);
        }
    }

    #[test]
    fn fields_and_elements_are_cut_out_at_every_depth() {
        let json = r#"{"a":[{"x":1,"y":2},[{"x":3}],4],"b":{"x":{"y":5}}}"#;
        for (paths, kept) in [
            (
                &["a.0.x", "a.1.0.x", "b.x.y"][..],
                r#"{"a":[{"y":2},[{}],4],"b":{"x":{}}}"#,
            ),
            (&["a.0", "a.2"], r#"{"a":[[{"x":3}]],"b":{"x":{"y":5}}}"#),
            (&["a", "b"], "{}"),
            (
                &["b.x", "b.x.y"],
                r#"{"a":[{"x":1,"y":2},[{"x":3}],4],"b":{}}"#,
            ),
        ] {
            assert_eq!(pruned(json, paths), kept, "{paths:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_missed() {
        let json = r#"{"a":[1],"b":null}"#;
        assert_eq!(pruned(json, &["c", "a.7", "a.x", "b.x", "b.0"]), json);
    }

    #[test]
    fn names_are_compared_as_they_are_meant_not_as_they_are_spelt() {
        let json = r#"{"\u0074oken":1,"a\"b":2,"é":3,"":4}"#;
        assert_eq!(pruned(json, &["token"]), r#"{"a\"b":2,"é":3,"":4}"#);
    }

    #[test]
    fn of_what_is_there_twice_the_last_one_stays_and_is_cut_as_both_are() {
        let json = r#"{"a":{"token":1},"a":{"b":2,"token":3},"c":4}"#;
        assert_eq!(pruned(json, &["a.token"]), r#"{"a":{"b":2},"c":4}"#);
        let json = r#"{"a":{"token":1},"a":"text"}"#;
        assert_eq!(pruned(json, &["a.token"]), r#"{"a":"text"}"#);
        let json = r#"{"a":[{"token":1}],"a":{"b":2}}"#;
        assert_eq!(pruned(json, &["a.0.token"]), r#"{"a":{"b":2}}"#);
    }
}
