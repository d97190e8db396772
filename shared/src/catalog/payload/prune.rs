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
