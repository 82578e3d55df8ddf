//! Variants of an arm: the flags that its name may carry, read as a server reads them.

use clap::{Args as _, FromArgMatches as _};

use super::arms::{info, require_flag, unknown_arm};
use super::flags::ServeArgs;
use crate::error::{Error, Result};
use crate::plan::Variant;

/// Flags of a server that are not a matter of how an arm is set up: where it runs and listens, and
/// what it is told in secret.
const NOT_IN_A_VARIANT: &[&str] = &[
    "admin",
    "cores",
    "help",
    "key-file",
    "listen",
    "previous-key-file",
    "secrets-from-stdin",
    "store-url",
    "store-url-file",
];

/// Flags of a deployment, which are words in the name of an arm: `session@redis x3 haproxy`.
const OF_A_DEPLOYMENT: &[&str] = &["balance", "proxy", "servers"];

/// Refuses a variant, whose flags are given as such where one server is started.
pub(super) fn require_one(arm: &str) -> Result<()> {
    require_arm(arm)?;
    let variant = Variant::of(arm);
    match variant.flags.as_slice() {
        [] if !variant.is_deployed() => Ok(()),
        _ => Err(Error::Config(format!(
            "`{arm}` is a variant; give the arm, and its flags one by one"
        ))),
    }
}

/// Refuses a name that is neither an arm nor a variant of one.
///
/// # Errors
/// `Config`, with the arms there are, or with what is wrong with a variant's flags.
pub(in crate::cli) fn require_arm(name: &str) -> Result<()> {
    require_served(name, &[])
}

/// Refuses a name that is neither an arm nor a variant of one, and one that cannot be served with
/// these further arguments.
///
/// # Errors
/// As [`require_arm`].
pub(in crate::cli) fn require_served(name: &str, further: &[String]) -> Result<()> {
    if info(name).is_none() {
        return Err(Error::Config(unknown_arm(name)));
    }
    let variant = Variant::of(name);
    let refuse =
        |what: &str| Err(Error::Config(format!("expected a variant ARM+FLAG=VALUE, {what}")));
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".:_-".contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    for (flag, value) in &variant.flags {
        if !plain(flag) || !value.is_none_or(plain) {
            return refuse(&format!("of letters, digits and `.:_-`, found `{name}`"));
        }
        if NOT_IN_A_VARIANT.contains(flag) {
            return refuse(&format!("found `{name}`: a campaign sets --{flag} by itself"));
        }
        if OF_A_DEPLOYMENT.contains(flag) {
            return refuse(&format!(
                "found `{name}`: write a deployment as `{} x3 haproxy` or `{0} x3 nginx sticky`",
                variant.arm
            ));
        }
    }
    let words = ["serve".into(), variant.arm.to_string()];
    let read = ServeArgs::augment_args(clap::Command::new("serve").disable_help_flag(true))
        .try_get_matches_from(
            words.into_iter().chain(variant.arguments(further)).chain(further.iter().cloned()),
        )
        .and_then(|matches| ServeArgs::from_arg_matches(&matches));
    match read {
        Ok(args) => {
            let flags = variant.flags.iter();
            flags.map(|(flag, _)| flag).try_for_each(|flag| require_flag(variant.arm, flag, ""))?;
            args.require_deployment()
        }
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            refuse(&format!("found `{name}`: {first} (see authbench serve --help)"))
        }
    }
}

/// What each server of a deployment is started with: the flags that were given here, but for those
/// that say where it listens, what is shared and how it is deployed.
pub(super) fn member_arguments() -> Result<Vec<String>> {
    let command = ServeArgs::augment_args(clap::Command::new("serve").disable_help_flag(true));
    let words = std::env::args_os().skip_while(|word| word != "serve");
    let matches = command.clone().try_get_matches_from(words);
    let matches = matches.map_err(|error| Error::Bug(error.to_string()))?;
    let mut arguments = Vec::new();
    for argument in command.get_arguments() {
        let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        let given = matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        let is_of_all = [NOT_IN_A_VARIANT, OF_A_DEPLOYMENT, &["store-delay"]].concat();
        if !given || is_of_all.contains(&long) {
            continue;
        }
        if !argument.get_action().takes_values() {
            arguments.push(format!("--{long}"));
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            arguments.extend([format!("--{long}"), value.to_string_lossy().into_owned()]);
        }
    }
    Ok(arguments)
}
