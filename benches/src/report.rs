//! docs/PERFORMANCE.md: a template that explains what is measured, and the figures of each scenario with the run
//! that produced them.
//!
//! A run may measure some scenarios only. Writing the page renders the whole template, and keeps the figures of the
//! other scenarios: comments in the page mark where those begin and end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use bench::payload::PAYLOAD_BYTES;

use crate::{figures::counted, machine::Machine};

const TEMPLATE: &str = include_str!("report.md");

/// The comments around the figures of a scenario.
const BEGIN: &str = "<!-- figures of ";
const END: &str = "<!-- end of figures -->";

/// The figures of scenarios, by their names.
#[derive(Debug, Default)]
pub(crate) struct Report(BTreeMap<String, String>);

impl Report {
    /// Adds the figures of a scenario, measured on this machine.
    pub(crate) fn put(&mut self, scenario: &str, figures: &str, machine: &Machine) {
        let text = format!("{}\n\nRun: {machine}.", figures.trim_end());
        self.0.insert(scenario.to_owned(), text);
    }

    /// Writes these figures to docs/PERFORMANCE.md, beside those that the page has of other scenarios.
    pub(crate) fn write(self) -> Result<()> {
        let path = page();
        let said = || path.display().to_string();
        let old = std::fs::read_to_string(&path).with_context(said)?;
        let mut report = Self::read(&old);
        report.0.extend(self.0);
        std::fs::write(&path, report.page()?).with_context(said)
    }

    /// The figures in a page.
    fn read(page: &str) -> Self {
        let begun = page.split(BEGIN).skip(1);
        let figures = begun.filter_map(|begun| {
            let (scenario, rest) = begun.split_once(" -->")?;
            let (figures, _) = rest.split_once(END)?;
            // Of a scenario that there is no more, the page has no place for figures.
            TEMPLATE
                .contains(&format!("{{{{{scenario}}}}}"))
                .then_some(())?;
            Some((scenario.to_owned(), figures.trim().to_owned()))
        });
        Self(figures.collect())
    }

    /// The page with these figures. Figures of every scenario are needed.
    fn page(&self) -> Result<String> {
        let marked = self.0.iter().map(|(scenario, figures)| {
            let text = format!("{BEGIN}{scenario} -->\n\n{figures}\n\n{END}");
            (scenario.clone(), text)
        });
        let mut places: BTreeMap<_, _> = marked.collect();
        places.insert("payload".to_owned(), counted(PAYLOAD_BYTES));
        fill(TEMPLATE, &places)
    }
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PERFORMANCE.md")
}

/// A template with every `{{place}}` filled. One that has nothing, and a text that has no place, are errors.
fn fill(template: &str, places: &BTreeMap<String, String>) -> Result<String> {
    let mut text = String::new();
    let mut used = 0;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").context("a place without an end")?;
        let filled = places.get(place);
        text.push_str(before);
        text.push_str(filled.with_context(|| format!("nothing for {place}"))?);
        used += 1;
        rest = after;
    }
    text.push_str(rest);
    ensure!(
        used == places.len(),
        "a figure has no place in the template"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::Scenario;

    #[test]
    fn page_is_the_template_with_figures_of_every_scenario() {
        let page = std::fs::read_to_string(page()).unwrap();
        let report = Report::read(&page);
        let names = Scenario::value_variants()
            .iter()
            .map(|scenario| scenario.to_possible_value().unwrap());
        let names: Vec<_> = names.map(|name| name.get_name().to_owned()).collect();
        assert!(names.iter().all(|name| report.0.contains_key(name)));
        assert_eq!(report.page().unwrap(), page);
    }

    #[test]
    fn figures_of_other_scenarios_are_kept() {
        let page = std::fs::read_to_string(page()).unwrap();
        let old = Report::read(&page);
        let machine = Machine::read().unwrap();
        let mut report = Report::read(&page);
        report.put("bill", "| 1.00 |\n", &machine);
        let new = Report::read(&report.page().unwrap());
        assert_eq!(new.0["bill"], format!("| 1.00 |\n\nRun: {machine}."));
        for (scenario, figures) in old.0.iter().filter(|(scenario, _)| *scenario != "bill") {
            assert_eq!(new.0.get(scenario), Some(figures));
        }
    }

    #[test]
    fn every_place_is_filled_and_every_text_has_its_place() {
        let places = |places: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = |(place, text): &(&str, &str)| ((*place).to_owned(), (*text).to_owned());
            places.iter().map(owned).collect()
        };
        let both = places(&[("a", "1"), ("b", "two")]);
        assert_eq!(fill("{{a}}, {{b}}.", &both).unwrap(), "1, two.");
        assert!(fill("{{a}}, {{b}}, {{c}}", &both).is_err());
        assert!(fill("{{a}}", &both).is_err());
        assert!(fill("{{a}}, {{b", &both).is_err());
    }
}
