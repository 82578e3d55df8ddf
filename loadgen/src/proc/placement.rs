//! Which cores the server and the generator get: disjoint sets, so that neither runs at the other's
//! expense. On two cores each has one; on more the server gets half and the generator the rest.

use crate::record::Placement;

/// Divides the cores this process may use. A single core cannot be divided: both sides share it,
/// and the report says so.
pub fn place(cores: &[usize]) -> Placement {
    let half = cores.len() / 2;
    if half == 0 {
        return Placement { server: cores.to_vec(), generator: cores.to_vec() };
    }
    Placement { server: cores[..half].to_vec(), generator: cores[half..].to_vec() }
}

/// Keeps the calling thread, and what it starts, on these cores; empty: where it is. A refusal is
/// no error: placement is checked where the cores are chosen.
pub fn pin(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_divided() {
        assert_eq!(place(&[0, 1]), Placement { server: vec![0], generator: vec![1] });
        let of_five = place(&[0, 1, 2, 3, 4]);
        assert_eq!((of_five.server.len(), of_five.generator.len()), (2, 3));
        assert!(!of_five.shared());
        assert!(place(&[3]).shared());
    }
}
