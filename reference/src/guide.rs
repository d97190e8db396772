//! `WEBHOOKS.md` as a part of the API's page: whoever has the page alone has the guide, too.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html::push_html};

const GUIDE: &str = include_str!("../../docs/WEBHOOKS.md");

/// Where the page has what other files of `docs/` have. A link to any other file is left out, its text stays: the
/// page is served without the files.
const ON_THE_PAGE: [(&str, &str); 2] = [("API.md", "#reference"), ("EVENTS.md", "#events")];

/// The guide as HTML, without its title.
pub(crate) struct Guide {
    /// Its sections' headings with their anchors.
    pub(crate) sections: Vec<(String, String)>,
    /// The sections.
    pub(crate) html: String,
}

impl Guide {
    pub(crate) fn read() -> Self {
        let events: Vec<Event<'_>> = Parser::new_ext(GUIDE, Options::ENABLE_TABLES).collect();
        let mut sections = Vec::new();
        let mut page = Vec::with_capacity(events.len());
        let mut link_is_kept = true;
        let mut rest = events.into_iter();
        while let Some(event) = rest.next() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    let inner: Vec<_> = rest
                        .by_ref()
                        .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                        .collect();
                    let title = text(&inner);
                    let anchor = anchor(&title);
                    match level {
                        HeadingLevel::H1 => continue,
                        HeadingLevel::H2 => sections.push((anchor.clone(), title)),
                        _ => {}
                    }
                    page.push(Event::Start(heading(level, anchor)));
                    page.extend(inner);
                    page.push(Event::End(TagEnd::Heading(level)));
                }
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }) => {
                    let here = place(&dest_url);
                    link_is_kept = here.is_some();
                    if let Some(dest_url) = here {
                        page.push(Event::Start(Tag::Link {
                            link_type,
                            dest_url,
                            title,
                            id,
                        }));
                    }
                }
                Event::End(TagEnd::Link) if !link_is_kept => {}
                // A table is as wide as its words make it: it scrolls, and not the page.
                Event::Start(Tag::Table(alignments)) => {
                    page.push(Event::Html("<div class=\"wide\">".into()));
                    page.push(Event::Start(Tag::Table(alignments)));
                }
                Event::End(TagEnd::Table) => {
                    page.push(Event::End(TagEnd::Table));
                    page.push(Event::Html("</div>\n".into()));
                }
                event => page.push(event),
            }
        }
        let mut html = String::new();
        push_html(&mut html, page.into_iter());
        Self { sections, html }
    }
}

fn heading(level: HeadingLevel, anchor: String) -> Tag<'static> {
    Tag::Heading {
        level,
        id: Some(anchor.into()),
        classes: Vec::new(),
        attrs: Vec::new(),
    }
}

/// The anchor that Markdown's readers give to a heading.
pub(crate) fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "_- ".contains(*c);
    let kept: String = heading.to_lowercase().chars().filter(kept).collect();
    kept.replace(' ', "-")
}

fn text(events: &[Event<'_>]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// What a link of the guide is on the page, if the page has that.
fn place<'a>(link: &CowStr<'a>) -> Option<CowStr<'a>> {
    if link.starts_with('#') || link.starts_with("https://") {
        return Some(link.clone());
    }
    let (_, place) = ON_THE_PAGE.iter().find(|(file, _)| **file == **link)?;
    Some((*place).into())
}

#[cfg(test)]
mod tests {
    use shared::{catalog, deliver::schedule::RetrySchedule};

    use super::*;
    use crate::openapi;

    #[test]
    fn every_header_of_a_delivery_is_in_the_guide() {
        let document = openapi::document();
        for (_, item) in document["webhooks"].as_object().unwrap() {
            for header in item["post"]["parameters"].as_array().unwrap() {
                let name = header["name"].as_str().unwrap();
                assert!(GUIDE.contains(&format!("\n| `{name}` | ")), "{name}");
            }
        }
    }

    #[test]
    fn the_payload_in_the_guide_is_the_example_of_its_event() {
        let event = catalog::find("assignment.assignment_created").unwrap();
        assert!(GUIDE.contains(&format!("\n```json\n{}\n```\n", event.example())));
    }

    #[test]
    fn the_waits_in_the_guide_are_those_of_the_default_schedule() {
        let (_, retries) = GUIDE.split_once("\n### Retries\n").unwrap();
        let (retries, _) = retries.split_once("\n### ").unwrap();
        let rows = retries.lines().filter_map(|line| line.strip_prefix("| "));
        let waits: Vec<_> = rows
            .filter(|row| row.starts_with(|c: char| c.is_ascii_digit()))
            .map_while(|row| {
                let wait = row.split(" | ").nth(1)?;
                let (number, unit) = wait.split_once(' ')?;
                Some(format!("{number}{}", &unit[..1]))
            })
            .collect();
        assert_eq!(waits.join(","), RetrySchedule::DEFAULT);
    }

    #[test]
    fn the_guide_has_no_words_of_who_runs_the_platform() {
        for word in [
            "AWS",
            "Lambda",
            "SQS",
            "DynamoDB",
            "CloudWatch",
            "dead-letter",
        ] {
            assert!(!GUIDE.contains(word), "{word}");
        }
    }

    #[test]
    fn links_to_other_files_lead_to_the_page_or_are_their_text() {
        let html = Guide::read().html;
        assert!(html.contains("<a href=\"#events\">list of events</a>"));
        assert!(html.contains("whether it has fixed ones, and which"));
        assert!(!html.contains(".md\""));
    }
}
