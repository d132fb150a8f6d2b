//! A graph in columns: what came from what.

use maud::{Markup, Render, html};

const COLUMN: usize = 190;
const NODE: usize = 150;
const ROW: usize = 38;
const HEIGHT: usize = 26;
const TOP: usize = 26;
/// Longest label in characters.
const MAX_LABEL: usize = 21;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    /// Its column.
    pub(crate) column: usize,
    /// Its name.
    pub(crate) label: String,
    /// The page about it.
    pub(crate) href: String,
}

/// A graph whose edges run from a column to a later one.
#[derive(Debug)]
pub(crate) struct Graph {
    /// What it shows.
    pub(crate) title: &'static str,
    /// The titles of the columns.
    pub(crate) columns: &'static [&'static str],
    /// Nodes in the order of their rows.
    pub(crate) nodes: Vec<Node>,
    /// Edges, by the places of nodes.
    pub(crate) edges: Vec<(usize, usize)>,
}

impl Graph {
    /// A graph without nodes.
    pub(crate) const fn new(title: &'static str, columns: &'static [&'static str]) -> Self {
        Self { title, columns, nodes: Vec::new(), edges: Vec::new() }
    }

    /// The place of a node, which is added if it is new.
    pub(crate) fn node(&mut self, node: Node) -> usize {
        if let Some(place) = self.nodes.iter().position(|known| *known == node) {
            return place;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds an edge, once.
    pub(crate) fn edge(&mut self, from: usize, to: usize) {
        if !self.edges.contains(&(from, to)) {
            self.edges.push((from, to));
        }
    }

    /// The left upper corner of each node.
    fn places(&self) -> Vec<(usize, usize)> {
        let mut filled = vec![0; self.columns.len()];
        let place = |node: &Node| {
            let row = filled[node.column];
            filled[node.column] += 1;
            (node.column * COLUMN, TOP + row * ROW)
        };
        self.nodes.iter().map(place).collect()
    }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= MAX_LABEL {
        return label.to_owned();
    }
    label.chars().take(MAX_LABEL - 1).chain(['…']).collect()
}

fn edge((x1, y1): (usize, usize), (x2, y2): (usize, usize)) -> String {
    let (x1, y1, y2) = (x1 + NODE, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
    let middle = usize::midpoint(x1, x2);
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
}

impl Render for Graph {
    fn render(&self) -> Markup {
        let places = self.places();
        let height = places.iter().map(|place| place.1 + ROW).max().unwrap_or(TOP);
        let width = (self.columns.len().max(1) - 1) * COLUMN + NODE;
        html! {
            div.scroll tabindex="0" role="region" aria-label=(self.title) id="lineage-scroll" {
                svg.lineage viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="group" aria-label=(self.title) {
                    g.titles aria-hidden="true" {
                        @for (column, title) in self.columns.iter().enumerate() { text x=(column * COLUMN) y="14" { (title) } }
                    }
                    g.edges aria-hidden="true" {
                        @for (from, to) in &self.edges { path d=(edge(places[*from], places[*to])) {} }
                    }
                    @for (node, (x, y)) in self.nodes.iter().zip(&places) {
                        a href=(node.href) class={ "node c" (node.column) } {
                            title { (self.columns[node.column]) " " (node.label) }
                            rect x=(x) y=(y) width=(NODE) height=(HEIGHT) rx="6" {}
                            text x=(x + 8) y=(y + 17) { (shortened(&node.label)) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_drawn_once_and_long_names_are_shortened() {
        let mut graph = Graph::new("Lineage", &["from", "to"]);
        let node = |column, label: &str| Node { column, label: label.to_owned(), href: "/x".to_owned() };
        let west = graph.node(node(0, "west"));
        let long = graph.node(node(1, &"x".repeat(40)));
        assert_eq!(graph.node(node(0, "west")), west);
        graph.edge(west, long);
        graph.edge(west, long);
        let html = graph.render().into_string();
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        assert_eq!(html.matches("<path").count(), 1, "{html}");
        assert!(html.contains(&format!(">{}…<", "x".repeat(20))), "{html}");
    }
}
