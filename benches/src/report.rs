//! docs/PERFORMANCE.md: a template that explains what is measured, and the figures of one run in it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};

use crate::machine::Machine;

const TEMPLATE: &str = include_str!("report.md");

/// What stands in the template's `{{places}}`.
#[derive(Debug, Default)]
pub(crate) struct Report(BTreeMap<String, String>);

impl Report {
    /// Of this machine.
    pub(crate) fn of(machine: &Machine) -> Self {
        let mut report = Self::default();
        for (place, text) in [
            ("date", &machine.date),
            ("commit", &machine.commit),
            ("processors", &machine.processors),
            ("memory", &machine.memory),
            ("system", &machine.system),
            ("load", &machine.load),
        ] {
            report.put(place, text);
        }
        report
    }

    /// Puts a text into a place.
    pub(crate) fn put(&mut self, place: &str, text: &impl ToString) {
        let text = text.to_string().trim_end().to_owned();
        self.0.insert(place.to_owned(), text);
    }

    /// Writes docs/PERFORMANCE.md.
    pub(crate) fn write(&self) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PERFORMANCE.md");
        let text = self.fill(TEMPLATE)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A template with every place filled. One that has nothing, and a text that has no place, are errors.
    fn fill(&self, template: &str) -> Result<String> {
        let mut text = String::new();
        let mut used = 0;
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (place, after) = after.split_once("}}").context("a place without an end")?;
            let filled = self.0.get(place);
            text.push_str(before);
            text.push_str(filled.with_context(|| format!("nothing for {place}"))?);
            used += 1;
            rest = after;
        }
        text.push_str(rest);
        ensure!(
            used == self.0.len(),
            "a figure has no place in the template"
        );
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::Scenario;

    #[test]
    fn the_template_has_a_place_for_each_scenario() {
        let mut report = Report::of(&Machine::read().unwrap());
        for scenario in Scenario::value_variants() {
            report.put(scenario.to_possible_value().unwrap().get_name(), &"");
        }
        for place in ["payload", "minutes"] {
            report.put(place, &"");
        }
        report.fill(TEMPLATE).unwrap();
    }

    #[test]
    fn every_place_is_filled_and_every_text_has_its_place() {
        let mut report = Report::default();
        report.put("a", &1);
        report.put("b", &"two\n");
        assert_eq!(report.fill("{{a}}, {{b}}.").unwrap(), "1, two.");
        assert!(report.fill("{{a}}, {{b}}, {{c}}").is_err());
        assert!(report.fill("{{a}}").is_err());
    }
}
