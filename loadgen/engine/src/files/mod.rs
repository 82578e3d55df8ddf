//! Every file that authbench reads or writes, but for those of the kernel.
//!
//! On a shared machine a name may lead elsewhere: to a link, a pipe that nobody fills, a device, or
//! a file without end. So what is read has a limit of size for its [`Kind`] and is looked at after
//! it was opened ([`read`], [`read_text`]), and what is written is written by the name itself
//! ([`Dir`], [`write()`]): no symbolic link at that name is followed, and in a [`Dir`] none on
//! the way. The path of a folder that the user named is the user's own: links in it are followed.
//!
//! Nothing else in this crate may open a file outside of `/proc`, `/sys` and `/etc`.

mod folder;
mod read;

pub use folder::{Dir, check_output, is_temporary, write};
pub use read::{Kind, read, read_text};
