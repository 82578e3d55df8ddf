//! Whether each step of a login captures what later ones send, and never the other way round.

use contract::{Login, Target};

/// The names of all values that steps capture.
///
/// # Errors
/// Which value is used before it is captured, or cannot have its name.
pub(super) fn captured<'a>(target: &'a Target, login: &'a Login) -> Result<Vec<&'a str>, String> {
    let mut names: Vec<&str> = Vec::new();
    for (step, name) in
        login.step.iter().flat_map(|step| step.capture.keys().map(move |n| (step, n)))
    {
        let fits = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let reserved = ["n", "username", "password", "credential"].contains(&name.as_str());
        if reserved || name.is_empty() || !name.chars().all(fits) {
            return Err(format!(
                "login step `{}`: expected `capture` to give a value a name of its own, of \
                 letters, digits, `_`, `-` and `.`; found `{name}`",
                step.name
            ));
        } else if target.users.columns().contains(name) {
            return Err(format!(
                "login step `{}`: `capture` names a value `{name}`, as a column of the users' file \
                 is called; rename one of them",
                step.name
            ));
        }
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for (index, step) in login.step.iter().enumerate() {
        for name in names.iter().filter(|name| uses(login, index, name)) {
            if let Some(later) = captured_at(login, name).filter(|at| *at >= index) {
                return Err(too_late(login, index, name, later, &step.name));
            }
        }
    }
    Ok(names)
}

fn uses(login: &Login, step: usize, name: &str) -> bool {
    let hole = format!("{{{name}}}");
    login.step[step].texts().iter().any(|text| text.contains(&hole))
}

/// The first step that captures a value.
fn captured_at(login: &Login, name: &str) -> Option<usize> {
    login.step.iter().position(|step| step.capture.contains_key(name))
}

fn too_late(login: &Login, index: usize, name: &str, later: usize, own: &str) -> String {
    let other = &login.step[later].name;
    let mut begun = vec![index];
    let what = if later == index {
        "which only its own answer gives; a step before it has to capture it".into()
    } else if needs(login, later, index, &mut begun) {
        format!(
            "which step `{other}` captures, and `{other}` needs in turn what `{own}` captures: a \
             cycle; one of the two has to do without the other's value"
        )
    } else {
        format!("which step `{other}` captures after it; move `{other}` before `{own}`")
    };
    format!("login step `{own}`: it sends {{{name}}}, {what}")
}

/// Whether a step needs what `other` captures, itself or through the steps whose values it sends.
fn needs(login: &Login, step: usize, other: usize, seen: &mut Vec<usize>) -> bool {
    let names = login.step.iter().flat_map(|step| step.capture.keys());
    let used: Vec<usize> = names
        .filter(|name| uses(login, step, name))
        .filter_map(|name| captured_at(login, name))
        .collect();
    used.contains(&other)
        || used.into_iter().any(|next| {
            let is_new = !seen.contains(&next);
            seen.push(next);
            is_new && needs(login, next, other, seen)
        })
}
