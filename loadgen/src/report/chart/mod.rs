//! Charts: what is shown is gathered from the analysis ([`drawing::Drawing`]), and one code draws
//! it for the page ([`page_figures`]) and for files of their own ([`alone`]). Colours are the
//! style sheet's. Every coordinate is rounded, so a rebuilt page is the same page.

mod arms;
mod axis;
mod certainty;
mod context;
mod crossover;
mod draw;
mod drawing;
mod labels;
mod page;
mod percentiles;
mod rate;
mod sweep;
mod table;

pub(super) use arms::{arm_name, glyph, look, shapes, symbols};
pub(super) use page::{Alone, Figure, Section, alone, page_figures};

#[cfg(test)]
mod tests;
