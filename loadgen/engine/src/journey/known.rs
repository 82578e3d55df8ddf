//! What is known of a user where a request is made, and the fields that hold it.

use contract::CredentialSource;

use super::capture::{Before, Capture, Extract};
use super::template::Held;

/// The name of the value that `[login.csrf]` gives.
pub(super) const TOKEN: &str = "csrf";

/// What is known of a user where a request is made.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) credential: Held,
    /// Other values, by the name of their hole.
    pub(super) values: Vec<(String, Held)>,
    /// The cookies that are held by name.
    pub(super) cookies: Vec<(String, Held)>,
    /// The token for the next credential; `None` where nothing refreshes.
    pub(super) refresh: Option<Held>,
    /// The field of all others.
    pub(super) jar: Option<u8>,
    /// Whether no field is held behind that one.
    pub(super) jar_is_last: bool,
    /// What each field holds.
    pub(super) fields: Vec<Capture>,
}

impl Known {
    pub(super) fn value(&self, name: &str) -> Option<Held> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, held)| *held)
    }

    /// Makes the one field that there is, but for a jar, all that is held.
    pub(super) fn be_whole(&mut self) {
        let whole = if self.jar.is_some() { Held::Alone } else { Held::Whole };
        let held = self.values.iter_mut().chain(&mut self.cookies).map(|(_, held)| held);
        for held in held.chain([&mut self.credential]) {
            if *held != Held::Nowhere {
                *held = whole;
            }
        }
    }

    /// The same after an answer that only redirects: cookies change, and everything else stays.
    /// Where it leads is held behind these fields.
    pub(super) fn carried(&self) -> Result<Self, String> {
        let stays = |(index, capture): (u8, &Capture)| {
            let source = match &capture.source {
                Some(cookie @ (Extract::Cookie(_) | Extract::Jar(_))) => Some(cookie.clone()),
                _ => None,
            };
            Capture { source, before: Before::Field(index) }
        };
        let mut fields = Fields((0u8..).zip(&self.fields).map(stays).collect());
        let jar = match self.jar {
            Some(jar) => jar,
            None => fields.add_jar(None, &self.cookies)?,
        };
        let known = self.clone();
        Ok(Self { jar: Some(jar), jar_is_last: false, fields: fields.0, ..known })
    }

    pub(super) fn cookie(&self, name: &str) -> Option<Held> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, held)| *held)
    }
}

/// The fields that are held of a user from an answer on.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<Capture>);

impl Fields {
    /// The field for the value at `source`, or else for the one that was `before`. A value that
    /// two descriptions name is held once.
    pub(super) fn add(
        &mut self,
        source: Option<&CredentialSource>,
        before: Option<Held>,
    ) -> Result<Held, String> {
        let source = source.map(Extract::new).transpose()?;
        let before = match before {
            None | Some(Held::Nowhere) => Before::Nothing,
            Some(Held::Whole | Held::Alone) => Before::Field(0),
            Some(Held::Field(index)) => Before::Field(index),
        };
        self.put(source, before).map(Held::Field)
    }

    /// The field for the cookie of this name: what the answer sets, or else what it `was`, or else
    /// what the jar has.
    pub(super) fn add_cookie(
        &mut self,
        name: &str,
        was: Option<Held>,
        jar: Option<u8>,
    ) -> Result<Held, String> {
        let source = CredentialSource::Cookie(name.into());
        let held = self.add(Some(&source), was)?;
        if let (Held::Field(index), Some(jar)) = (held, jar) {
            let capture = &mut self.0[usize::from(index)];
            if capture.before == Before::Nothing {
                capture.before = Before::Jar(jar);
            }
        }
        Ok(held)
    }

    /// The field for all cookies but those that are held by name.
    pub(super) fn add_jar(
        &mut self,
        before: Option<u8>,
        named: &[(String, Held)],
    ) -> Result<u8, String> {
        let elsewhere = named.iter().map(|(name, _)| name.clone()).collect();
        let before = before.map_or(Before::Nothing, Before::Field);
        self.put(Some(Extract::Jar(elsewhere)), before)
    }

    fn put(&mut self, source: Option<Extract>, before: Before) -> Result<u8, String> {
        let same = |capture: &Capture| source.is_some() && capture.source == source;
        let index = match self.0.iter().position(same) {
            Some(index) => {
                let known = &mut self.0[index].before;
                *known = if *known == Before::Nothing { before } else { *known };
                index
            }
            None => {
                self.0.push(Capture { source, before });
                self.0.len() - 1
            }
        };
        u8::try_from(index).map_err(|_| "it has too many cookies".to_string())
    }
}
