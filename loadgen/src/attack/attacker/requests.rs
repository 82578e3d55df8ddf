//! The requests of an attack: the journey's first step, with what is changed about it.

use servers::contract::CredentialCarrier;

use super::Attacker;
use crate::attack::login::Login;
use crate::attack::recipe::Person;
use crate::attack::request::{Field, assembled, push_query, rendered, replaced, with_body};
use crate::attack::signed::Signed;
use crate::journey::{FIELD_END, Who};

impl<'a> Attacker<'a> {
    /// The field that carries a credential, and nothing else.
    pub(in crate::attack) fn carrier(&self, credential: &[u8]) -> Field {
        match (self.header(), self.cookie()) {
            (Some((name, template)), _) => {
                (name.into(), replaced(template.as_bytes(), b"{credential}", credential))
            }
            (None, name) => {
                let name = name.unwrap_or_default();
                ("Cookie".into(), [name.as_bytes(), b"=", credential].concat())
            }
        }
    }

    /// The step's fields for this user, with another credential.
    pub(in crate::attack) fn fields_of(&self, login: &Login, credential: &[u8]) -> Vec<Field> {
        let mut held = self.mark.clone();
        if let Some(end) = login.held().iter().position(|byte| *byte == FIELD_END) {
            held.extend_from_slice(&login.held()[end..]);
        }
        let who = Who { n: login.user, credential: &held };
        rendered(&self.script, self.step, who)
            .into_iter()
            .map(|(name, value)| (name, replaced(&value, &self.mark, credential)))
            .collect()
    }

    /// A's step with this in the place of the credential.
    pub(in crate::attack) fn fields(&self, credential: &[u8]) -> Vec<Field> {
        self.fields_of(&self.a, credential)
    }

    /// A's step without what carries the credential.
    pub(in crate::attack) fn bare(&self) -> Vec<Field> {
        let marked =
            |value: &[u8]| value.windows(self.mark.len()).any(|window| window == self.mark);
        let mut fields = self.fields(&self.mark);
        for (name, value) in &mut fields {
            if name.eq_ignore_ascii_case("cookie") && marked(value) {
                let rest: Vec<_> =
                    value.split(|b| *b == b';').filter(|cookie| !marked(cookie)).collect();
                *value = rest.join(&b';').trim_ascii().to_vec();
            }
        }
        fields.retain(|(name, value)| {
            let empty = name.eq_ignore_ascii_case("cookie") && value.is_empty();
            !marked(value) && !empty
        });
        fields
    }

    /// The header and the text around the credential, where a header of its own carries it.
    pub(in crate::attack) fn header(&self) -> Option<(&'a str, &'a str)> {
        match self.target.login.as_ref().map(|login| &login.send) {
            Some(CredentialCarrier::Header { name, template }) => Some((name, template)),
            _ => None,
        }
    }

    /// The cookie that carries the credential.
    pub(in crate::attack) fn cookie(&self) -> Option<&'a str> {
        match self.target.login.as_ref().map(|login| &login.send) {
            Some(CredentialCarrier::Cookie(name)) => Some(name),
            _ => None,
        }
    }

    /// The bytes of the step with these fields and this behind its path.
    pub(in crate::attack) fn request(&self, query: &str, fields: &[Field]) -> Vec<u8> {
        self.request_of(self.a.user, query, fields)
    }

    pub(super) fn request_of(&self, user: u64, query: &str, fields: &[Field]) -> Vec<u8> {
        let who = Who { n: user, credential: self.a.held() };
        let request = &self.script.requests[self.step];
        let mut path = Vec::new();
        request.path.write(who, &mut path);
        push_query(&mut path, query);
        assembled(&self.script, self.step, who, &path, fields)
    }

    /// The bytes of the step with these fields and this body.
    pub(in crate::attack) fn request_with_body(&self, fields: &[Field], body: &[u8]) -> Vec<u8> {
        let who = Who { n: self.a.user, credential: self.a.held() };
        let mut path = Vec::new();
        self.script.requests[self.step].path.write(who, &mut path);
        with_body(&self.script, self.step, &path, fields, body)
    }

    /// The body of the step for A.
    pub(in crate::attack) fn body(&self) -> Vec<u8> {
        let who = Who { n: self.a.user, credential: self.a.held() };
        let mut body = Vec::new();
        if let Some(template) = &self.script.requests[self.step].body {
            template.write(who, &mut body);
        }
        body
    }

    /// The bytes of B's step with A's credential; `None` if its path names no user.
    pub(in crate::attack) fn step_of_b(&self) -> Option<Vec<u8>> {
        let path = |user| {
            let who = Who { n: user, credential: self.a.held() };
            let mut path = Vec::new();
            self.script.requests[self.step].path.write(who, &mut path);
            path
        };
        (path(self.a.user) != path(self.b.user))
            .then(|| self.request_of(self.b.user, "", &self.fields(self.a.credential())))
    }

    /// The name and the number of a user, as the server knows them.
    pub(in crate::attack) fn person(&self, user: u64) -> Person {
        let number = self.script.population.number(user).to_string();
        Person { name: self.name_and_password(user).0, number }
    }

    /// The cookies of A's step, name and value.
    pub(in crate::attack) fn jar(&self) -> Vec<(String, String)> {
        let fields = self.fields(self.a.credential());
        let cookies = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let texts = cookies.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let pairs: Vec<String> =
            texts.flat_map(|text| text.split(';').map(str::to_owned).collect::<Vec<_>>()).collect();
        let pairs = pairs.iter().filter_map(|pair| pair.trim().split_once('='));
        pairs.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// A's step with these cookies in the place of its own.
    pub(in crate::attack) fn with_jar(&self, jar: &[(String, String)]) -> Vec<Field> {
        let mut fields = self.fields(self.a.credential());
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
        let pairs: Vec<String> =
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.push(("Cookie".into(), pairs.join("; ").into_bytes()));
        fields
    }

    /// A's cookie, where it is one that a framework signs.
    pub(in crate::attack) fn signed(&self) -> Option<Signed> {
        let name = self.cookie()?;
        let signature = self.jar().into_iter().find(|(other, _)| *other == format!("{name}.sig"));
        Signed::read(name, &self.a.text(), signature.as_ref().map(|(_, value)| value.as_str()))
    }

    /// The method and the path of the step, as they stand in its first line.
    pub(in crate::attack) fn line(&self) -> String {
        let request = &self.script.requests[self.step];
        let who = Who { n: self.a.user, credential: self.a.held() };
        format!("{} {}", request.method, request.path.text(who))
    }

    /// The host as it stands in a request.
    pub(in crate::attack) fn authority(&self) -> &str {
        &self.script.authority
    }
}
