//! Every file that authbench reads or writes, but for those of the kernel: on a shared machine a
//! name may lead to a link, a pipe that nobody fills, a device, or a file without end. Nothing else
//! in this crate may open a file outside of `/proc`, `/sys` and `/etc`.

mod folder;
mod read;

pub use folder::{Dir, check_output, is_temporary, write};
pub use read::{Kind, read, read_text};
