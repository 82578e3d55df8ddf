//! How long a stranger's token lives, by what it says of itself and by waiting for its end.

use std::time::Duration;

use serde_json::Value;

use super::row::{Finding, PASSER_BY, Row, no_token, replayed, steps};
use crate::attack::attacker::Attacker;
use crate::attack::forge::Token;
use crate::attack::moment::now;
use crate::attack::options::CUT_SHORT;
use crate::error::Result;
use crate::record::CaseOutcome::{Accepted, Allowed, Failed, Property, Refused};

/// Longer lives than this are a property, ...
const LIFE_LONG: u64 = 86_400;
/// ... and longer ones than this a fault: nobody can take such a token back (RFC 9700, 2.2.1).
const LIFE_MAX: u64 = 30 * 86_400;
/// How long the end of a token is waited for.
const WAIT_MAX: u64 = 120;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("15k", "how long a token lives, by its `exp`", "a day at most", life),
        steps("15l", "a token after its end, waited for", "refused", past_its_end),
    ]
}

/// When a token ends, in seconds since 1970, and how long it lives; nothing where it does not say.
fn end(claims: &serde_json::Map<String, Value>) -> Option<(u64, u64)> {
    let moment = |name: &str| {
        let value = claims.get(name)?;
        value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))
    };
    let exp = moment("exp")?;
    Some((exp, exp.saturating_sub(moment("iat").unwrap_or_else(now))))
}

/// A span of seconds in words.
fn words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn claims(text: &str, attacker: &Attacker<'_>) -> std::result::Result<Token, String> {
    let token = Token::read(text, attacker.form, None).ok_or_else(|| no_token(attacker.form))?;
    if token.claims.is_empty() {
        return Err("its claims cannot be read".into());
    }
    if token.claims.get("exp").is_some_and(Value::is_string) {
        return Err("its `exp` is a text".into());
    }
    Ok(token)
}

fn life(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let token = match claims(&attacker.a.text(), attacker) {
        Ok(token) => token,
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    Ok(match end(&token.claims) {
        None => Finding::new(Failed, "no `exp`: it is good for ever"),
        Some((_, life)) if life > LIFE_MAX => Finding::new(Failed, words(life)),
        Some((_, life)) if life > LIFE_LONG => Finding::new(Property, words(life)),
        Some((_, life)) => Finding::new(Allowed, words(life)),
    })
}

fn past_its_end(attacker: &mut Attacker<'_>) -> Result<Finding> {
    if attacker.ours() {
        return Ok(Finding::not_applicable("an arm is started with a short life: see 39b"));
    }
    let login = attacker.log_in(PASSER_BY)?;
    let token = match claims(&login.text(), attacker) {
        Ok(token) => token,
        Err(why) => return Ok(Finding::not_applicable(why)),
    };
    let Some((exp, life)) = end(&token.claims) else {
        return Ok(Finding::not_applicable("it has no `exp`: see 15k"));
    };
    if exp.saturating_sub(now()) > WAIT_MAX {
        let why = format!("it lives for {}, and {WAIT_MAX} s are waited", words(life));
        return Ok(Finding::not_applicable(why));
    }
    let leeway = attacker.options.leeway.as_secs();
    let mut let_in = false;
    loop {
        attacker.interrupt.check_or(CUT_SHORT)?;
        let past = now().saturating_sub(exp);
        if now() <= exp {
            std::thread::sleep(PAUSE);
            continue;
        }
        let mut finding = replayed(attacker, &login);
        if finding.outcome != Accepted {
            if let_in && finding.outcome == Refused {
                finding.outcome = Property;
                finding.found = format!("{}, up to {past} s after its end", finding.found);
            }
            return Ok(finding);
        }
        if past > leeway {
            finding.found = format!("{}, {past} s after its end", finding.found);
            return Ok(finding);
        }
        if attacker.is_time_up() {
            return Ok(Finding::new(Failed, "the time for the suite was over before its leeway"));
        }
        let_in = true;
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_read_and_said() {
        let claims = |text: &str| serde_json::from_str(text).unwrap();
        assert_eq!(end(&claims(r#"{"iat":100,"exp":1000}"#)), Some((1000, 900)));
        assert_eq!(end(&claims(r#"{"exp":1000.5,"iat":999}"#)), Some((1000, 1)));
        assert_eq!(end(&claims(r#"{"sub":"1"}"#)), None);
        assert_eq!([words(4), words(900), words(86_400)], ["4 s", "15 min", "24 h"]);
        assert_eq!(words(315_360_000), "3650 days");
    }
}
