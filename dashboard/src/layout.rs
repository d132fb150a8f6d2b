//! The frame of every page: title, navigation, who is looking, and whether the page is live.

use eosfed_common::clock::Timestamp;
use maud::{DOCTYPE, Markup, html};

use crate::assets::{ICON, SCRIPT, STYLE};
use crate::format::exact;
use crate::parts::said;

/// Seconds between two loads of a page without scripts.
const RELOAD: u32 = 30;

/// An entry of the navigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavEntry {
    /// The address.
    pub path: &'static str,
    /// What is there.
    pub label: &'static str,
}

/// What surrounds a page.
#[derive(Debug, Clone)]
pub struct Shell {
    /// Whose pages these are: `coordinator`, or the name of an institution.
    pub brand: String,
    /// Who looks at them, such as `operator ada`.
    pub viewer: String,
    /// The version of the program.
    pub version: String,
    /// The present time.
    pub now: Timestamp,
    /// The pages that the viewer may see.
    pub nav: Vec<NavEntry>,
    /// The address of the stream of changes, if pages are live.
    pub live: Option<&'static str>,
    /// The address that ends the viewer's session, if there is one.
    pub logout: Option<&'static str>,
}

/// A page without its frame.
#[derive(Debug)]
pub(crate) struct Content {
    /// The title.
    pub(crate) title: String,
    /// The address of the entry of the navigation that the page belongs to.
    pub(crate) section: &'static str,
    /// The parts of the page, each an element with an `id`.
    pub(crate) body: Markup,
}

impl Shell {
    /// The frame of a page for nobody in particular: without navigation.
    #[must_use]
    pub fn bare(brand: &str, now: Timestamp) -> Self {
        Self {
            brand: brand.to_owned(),
            viewer: "nobody".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now,
            nav: Vec::new(),
            live: None,
            logout: None,
        }
    }

    /// A page as a document of HTML.
    pub(crate) fn document(&self, content: &Content) -> String {
        let title = format!("{} · EoS-Fed {}", content.title, self.brand);
        let head = self.head(&title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (head)
                body data-live=[self.live] {
                    a.skip href="#main" { "Skip to the content" }
                    (self.header())
                    div.frame {
                        (self.nav(content.section))
                        main id="main" tabindex="-1" { (content.body) }
                    }
                    (self.footer())
                    p.unseen id="announcer" role="status" aria-live="polite" {}
                }
            }
        };
        page.into_string()
    }

    fn head(&self, title: &str) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(ICON.address());
                link rel="stylesheet" href=(STYLE.address());
                @if self.live.is_some() {
                    noscript { meta http-equiv="refresh" content=(RELOAD); }
                    script src=(SCRIPT.address()) defer {}
                }
            }
        }
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                a.brand href="/" { (logo()) span { "EoS-Fed" } span.of { (said(&self.brand)) } }
                div.who {
                    @if self.live.is_some() {
                        span.live id="live-state" role="status" { "Reloads every " (RELOAD) " s" }
                    }
                    span { (said(&self.viewer)) }
                    @if let Some(logout) = self.logout {
                a href=(logout) { "Log out" }
                    }
                }
            }
        }
    }

    fn nav(&self, section: &str) -> Markup {
        html! {
            nav.side aria-label="Pages" {
                ul {
                    @for entry in &self.nav {
                        li { a href=(entry.path) aria-current=[(entry.path == section).then_some("page")] { (entry.label) } }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            footer {
                span { "As of " (exact(self.now)) }
                span { "Version " (self.version) }
            }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg.logo viewBox="0 0 32 32" aria-hidden="true" focusable="false" {
            rect width="32" height="32" rx="7" {}
            path d="M16 16 8 9M16 16l8-7M16 16v9" {}
            circle cx="16" cy="16" r="4.5" {}
            circle cx="8" cy="9" r="3" {}
            circle cx="24" cy="9" r="3" {}
            circle cx="16" cy="25" r="3" {}
        }
    }
}
