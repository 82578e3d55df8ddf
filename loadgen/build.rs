//! Hands two facts of a build to the program, which writes them into every campaign, because a
//! figure belongs to the build that made it: the compiler's version, and the lockfile.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=AUTHBENCH_RUSTC={}", version.unwrap_or_default().trim());
    // A package has a lockfile of its own; in the repository it is that of the workspace.
    let own = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let lockfiles = [own.join("Cargo.lock"), own.join("../Cargo.lock")];
    let Some(lockfile) = lockfiles.iter().find(|path| path.is_file()) else {
        println!("cargo::error=no Cargo.lock in {} or above", own.display());
        return;
    };
    println!("cargo::rustc-env=AUTHBENCH_LOCKFILE={}", lockfile.display());
    println!("cargo::rerun-if-changed={}", lockfile.display());
    println!("cargo::rerun-if-changed=build.rs");
}
