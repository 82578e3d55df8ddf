//! What ids are made of: twenty logins, and the arithmetic of what changes between them.

use super::row::{Expected, Finding, PASSER_BY, Row, Work, fire, steps};
use super::shots::{Shot, listed};
use crate::attack::attacker::Attacker;
use crate::attack::forge::Form;
use crate::attack::recipe::{Recipe, neighbours, renamed};
use crate::error::{Error, Result};
use crate::record::CaseOutcome::{Accepted, Allowed, Failed, Property, Refused};

/// Logins that are compared.
const LOGINS: u64 = 20;
/// Random bits of an id below which it can be guessed (OWASP ASVS 5, 7.2.3; NIST SP 800-63B, 7.1).
const BITS_LEAST: f64 = 64.0;
/// A place with fewer characters than this in twenty ids does not show its alphabet.
const VARIED: usize = 5;
/// With fewer ids than this no place shows it.
const IDS_LEAST: usize = 15;
/// Shots of a row.
const SHOTS_MAX: usize = 48;

pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("51a", "the ids of 20 logins: how much of them is random", "64 bits or more", bits),
        steps("51b", "the ids of 20 logins: their order", "none", order),
        Row {
            id: "51c",
            what: "ids next to those of 20 logins",
            expected: Expected::Refused,
            work: Work::Steps(near),
        },
        Row {
            id: "51d",
            what: "the credential made for B: B's name and number in A's",
            expected: Expected::Refused,
            work: Work::Steps(of_b),
        },
    ]
}

/// The ids of twenty logins, or the finding if they failed.
fn ids(attacker: &mut Attacker<'_>) -> Result<std::result::Result<Vec<String>, Finding>> {
    if attacker.form != Form::Id {
        let why = format!("the credential is {}, not an id", attacker.form.name());
        return Ok(Err(Finding::not_applicable(why)));
    }
    if attacker.logins.is_none() {
        let mut all = Vec::new();
        let mut failed = None;
        for login in 0..LOGINS {
            match attacker.log_in(PASSER_BY + login % 2) {
                Ok(login) => all.push(login.text()),
                Err(Error::Target(why)) => {
                    failed = Some(format!("{why} (login {} of {LOGINS})", login + 1));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        attacker.logins = Some(failed.map_or(Ok(all), Err));
    }
    let logins = attacker.logins.clone().unwrap_or(Ok(Vec::new()));
    Ok(logins.map_err(|why| Finding::new(Failed, why)))
}

/// What changes between ids.
#[derive(Clone, Debug, PartialEq)]
struct Arithmetic {
    /// Different ids.
    distinct: usize,
    length: usize,
    /// Places that are the same in all of them.
    fixed: usize,
    /// Places that show the alphabet, and its size.
    free: usize,
    alphabet: usize,
    /// Bits of the places that change and do not show it.
    rest: f64,
    /// Whether each is greater than the one before.
    rises: bool,
}

impl Arithmetic {
    fn of(ids: &[String]) -> Self {
        let mut different: Vec<&String> = ids.iter().collect();
        different.sort();
        different.dedup();
        let length = ids.iter().map(|id| id.chars().count()).max().unwrap_or(0);
        let texts: Vec<Vec<char>> = different.iter().map(|id| id.chars().collect()).collect();
        let seen = |place: usize| {
            let mut seen: Vec<Option<&char>> = texts.iter().map(|text| text.get(place)).collect();
            seen.sort();
            seen.dedup();
            seen
        };
        let places: Vec<_> = (0..length).map(seen).collect();
        let changing = places.iter().filter(|seen| seen.len() > 1);
        let characters: Vec<char> = changing.flatten().copied().flatten().copied().collect();
        let shows = |seen: &&Vec<Option<&char>>| {
            seen.len() >= VARIED || seen.len() > 1 && different.len() < IDS_LEAST
        };
        let free = places.iter().filter(shows).count();
        let hidden = places.iter().filter(|seen| seen.len() > 1 && !shows(seen));
        let by_length = |a: &String, b: &String| (a.len(), a) < (b.len(), b);
        Self {
            distinct: different.len(),
            length,
            fixed: places.iter().filter(|seen| seen.len() < 2).count(),
            free,
            alphabet: alphabet(&characters),
            rest: hidden.map(|seen| (seen.len() as f64).log2()).sum(),
            rises: different.len() > 2 && ids.windows(2).all(|pair| by_length(&pair[0], &pair[1])),
        }
    }

    fn bits(&self) -> f64 {
        self.free as f64 * (self.alphabet as f64).log2() + self.rest
    }

    /// The sum in words.
    fn words(&self) -> String {
        let Self { length, fixed, free, alphabet, .. } = self;
        let rest = if self.rest > 0.0 { format!(" + {:.0}", self.rest) } else { String::new() };
        format!(
            "{length} characters, {fixed} the same in all; {free} x log2({alphabet}){rest} = \
             at most {:.0} bits",
            self.bits().floor()
        )
    }
}

/// The size of the smallest usual alphabet that has these characters.
fn alphabet(characters: &[char]) -> usize {
    let all = |of: fn(&char) -> bool| characters.iter().all(of);
    if all(char::is_ascii_digit) {
        10
    } else if all(|c| c.is_ascii_digit() || ('a'..='f').contains(c))
        || all(|c| c.is_ascii_digit() || ('A'..='F').contains(c))
    {
        16
    } else if all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
        || all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
    {
        36
    } else if all(char::is_ascii_alphanumeric) {
        62
    } else {
        64
    }
}

fn bits(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let ids = match ids(attacker)? {
        Ok(ids) => ids,
        Err(finding) => return Ok(finding),
    };
    let sum = Arithmetic::of(&ids);
    let words = sum.words();
    Ok(if sum.bits() < BITS_LEAST {
        Finding::new(Failed, words)
    } else if sum.distinct < ids.len() {
        let found = format!("{} different ids: a user gets the same again; {words}", sum.distinct);
        Finding::new(Property, found)
    } else {
        Finding::new(Allowed, words)
    })
}

fn order(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let ids = match ids(attacker)? {
        Ok(ids) => ids,
        Err(finding) => return Ok(finding),
    };
    let sum = Arithmetic::of(&ids);
    Ok(match (sum.rises, sum.bits() < BITS_LEAST) {
        (false, _) => Finding::new(Allowed, "none"),
        (true, false) => {
            Finding::new(Property, "each is greater than the one before: they tell their time")
        }
        (true, true) => {
            Finding::new(Failed, "each is greater than the one before: a counter, or a clock")
        }
    })
}

fn near(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let ids = match ids(attacker)? {
        Ok(ids) => ids,
        Err(finding) => return Ok(finding),
    };
    let Some(last) = ids.last() else { return Ok(Finding::not_applicable("no id")) };
    let mut made = neighbours(last, &ids);
    let recipe = Recipe::of(last, &attacker.person(PASSER_BY + (LOGINS - 1) % 2));
    let number = recipe.as_ref().and_then(|recipe| recipe.text.parse::<u64>().ok());
    if let (Some(recipe), Some(number)) = (&recipe, number) {
        let near = (number.saturating_sub(4)..number + 4).filter(|other| *other != number);
        made.extend(near.map(|number| recipe.made(&number.to_string())));
    }
    if made.is_empty() {
        return Ok(Finding::not_applicable("an id has no neighbours: it ends in mixed letters"));
    }
    let mut finding = sent(attacker, made, last)?;
    if let Some(recipe) = recipe {
        finding.found.push_str(&format!("; an id is {}", recipe.name()));
        finding.outcome = finding.outcome.min(Failed);
    }
    Ok(finding)
}

fn of_b(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if matches!(attacker.form, Form::Jwt | Form::Jwe | Form::Paseto) {
        return Ok(Finding::not_applicable("the credential is a token: see 5g"));
    }
    let (a, b) = (attacker.person(0), attacker.person(1));
    let own = attacker.a.text();
    let mut made = renamed(&own, &a, &b);
    let recipe = Recipe::of(&own, &a).filter(|recipe| [&a.name, &a.number].contains(&&recipe.text));
    if let Some(recipe) = &recipe {
        let text = if recipe.text == a.name { &b.name } else { &b.number };
        made.push(recipe.made(text));
    }
    if made.is_empty() {
        return Ok(Finding::not_applicable("nothing of the user is in the credential"));
    }
    let mut finding = sent(attacker, made, &own)?;
    if let Some(recipe) = recipe {
        finding.found.push_str(&format!("; A's is {}", recipe.name()));
        finding.outcome = finding.outcome.min(Failed);
    }
    Ok(finding)
}

/// Sends each of these in the place of the credential, and says which one got in.
fn sent(attacker: &mut Attacker<'_>, made: Vec<String>, after: &str) -> Result<Finding> {
    let own = attacker.a.text();
    let made = made.into_iter().filter(|made| *made != own).take(SHOTS_MAX);
    let mut refused = 0;
    for credential in made {
        let shots = listed(vec![Shot::Credential(credential.clone().into_bytes())]);
        let Ok(volley) = shots else { continue };
        let mut finding = fire(attacker, Expected::Refused, volley)?;
        if finding.outcome == Accepted {
            finding.found = format!("{} by `{credential}`, made from `{after}`", finding.found);
        }
        if finding.outcome != Refused {
            return Ok(finding);
        }
        refused += 1;
    }
    Ok(Finding::new(Refused, format!("{refused} of {refused} refused")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(make: impl Fn(u64) -> String) -> Arithmetic {
        Arithmetic::of(&(0..20).map(make).collect::<Vec<_>>())
    }

    /// Digits without order.
    fn scattered(n: u64, places: u32) -> String {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) as u128;
        let wide = mixed.wrapping_mul(0x2545_f491_4f6c_dd1d_2545_f491_4f6c_dd1d);
        format!("{:032x}", wide ^ (wide >> 61))[..places as usize].into()
    }

    #[test]
    fn a_counter_has_few_bits_and_an_order() {
        let counter = of(|n| (1001 + n).to_string());
        assert!(counter.bits() < 10.0 && counter.rises, "{counter:?}");
        let clock = of(|n| format!("6924a0ff9f31c2a07b{:06x}", n + 1000));
        assert!(clock.bits() < 16.0 && clock.rises, "{clock:?}");
    }

    #[test]
    fn random_digits_have_the_bits_of_their_alphabet() {
        let long = of(|n| scattered(n, 32));
        assert_eq!((long.fixed, long.alphabet, long.rises), (0, 16, false), "{long:?}");
        assert!(long.bits() > 100.0, "{}", long.words());
        let short = of(|n| scattered(n, 4));
        assert!(short.bits() <= 16.0, "{}", short.words());
        let behind_a_clock = of(|n| format!("{:012x}-{}", 1000 + n, scattered(n, 20)));
        assert!(behind_a_clock.rises && behind_a_clock.bits() > 64.0, "{behind_a_clock:?}");
    }

    #[test]
    fn two_ids_show_no_alphabet_place_by_place() {
        let two = of(|n| scattered(n % 2, 32));
        assert_eq!(two.distinct, 2);
        assert!(two.bits() > 64.0, "{}", two.words());
        assert!(of(|n| format!("user-{}", n % 2)).bits() < 5.0);
    }
}
