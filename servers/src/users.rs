//! The users: a synthetic directory that is a pure function of a number and takes no memory.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, Digest, SHA256};
use serde::{Serialize, Serializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Number of users, `user-0` to `user-99999999`.
///
/// User n, for n below [`USERS`], is called `user-{n}`, has the password `password-{n}`, and the
/// facts that every arm tells about them. A million of them can log in, so a password is checked
/// by default against a digest ([`PasswordHash::Derived`]), which is no way to store real
/// passwords: there is nothing stored. [`PasswordHash::Argon2id`] adds the real cost of one
/// evaluation per login. A name that does not exist takes the same path as a wrong password and
/// must never be told from it.
///
/// Evaluations are bounded, and so is the queue before them: logins can take neither all cores from
/// those who are logged in, nor the patience of those who log in. How often somebody may try is not
/// bounded, neither per user nor per address: a limit would be in the way of what is measured, and
/// anyone who puts such a login before real users has to add one (NIST SP 800-63B, 3.2.2).
pub const USERS: u32 = 100_000_000;

/// Logins that may wait for an argon2id evaluation; one more is told to come later.
pub const LOGINS_WAITING_MAX: usize = 64;
/// How long one of them waits at most: 5 s.
pub const LOGIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Number of a user, below [`USERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserId(u32);

impl UserId {
    /// The user of this number; `None` if the number is too large.
    #[must_use]
    pub const fn new(n: u32) -> Option<Self> {
        if n < USERS { Some(Self(n)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Reads the one canonical form: decimal, no sign, no leading zero.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let canonical = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 8;
        if !canonical {
            return None;
        }
        let mut n = 0_u32;
        for &digit in text {
            if !digit.is_ascii_digit() {
                return None;
            }
            n = n * 10 + u32::from(digit - b'0');
        }
        Self::new(n)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Most users.
    Member,
    /// One user in a hundred.
    Admin,
}

impl Role {
    /// `member` or `admin`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Member, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// Most bytes of a [`Name`].
pub const NAME_BYTES_MAX: usize = 23;

/// A display name of at most [`NAME_BYTES_MAX`] bytes, kept in place: copying one allocates
/// nothing, and neither a session record nor a verified token has a second allocation for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    length: u8,
    bytes: [u8; NAME_BYTES_MAX],
}

impl Name {
    /// A name of this text, if it is not too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { length: u8::try_from(text.len()).ok()?, bytes })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was copied from a str in `new`, so the default is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The facts about a user that a session records, a token carries and `GET /me` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct User {
    /// Number.
    #[serde(rename = "user_id")]
    pub id: UserId,
    /// Display name, `User {n}` in the directory.
    pub name: Name,
    /// Role.
    pub role: Role,
}

impl User {
    /// What the directory says about this user.
    #[must_use]
    pub fn of(id: UserId) -> Self {
        let mut name = Name { length: 5, bytes: [0; NAME_BYTES_MAX] };
        name.bytes[..5].copy_from_slice(b"User ");
        let mut digits = [0; 8];
        let mut n = id.number();
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(n % 10).unwrap_or_default();
            n /= 10;
            if n == 0 {
                break;
            }
        }
        for &digit in &digits[start..] {
            name.bytes[usize::from(name.length)] = digit;
            name.length += 1;
        }
        let role = if id.number().is_multiple_of(100) { Role::Admin } else { Role::Member };
        Self { id, name, role }
    }
}

/// How a password is checked at login, the same for every arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordHash {
    /// Two SHA-256 digests and a comparison in constant time: about a microsecond.
    #[default]
    Derived,
    /// One argon2id evaluation (19,456 KiB, 2 passes, 1 lane) of the presented password and a salt
    /// of the user's, besides the derived check. There is no stored hash to compare the result
    /// with: the *cost* is real, the decision remains the derived check's.
    Argon2id,
}

/// A name of no [`PasswordHash`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `derived` or `argon2id`, found `{0}`")]
pub struct UnknownPasswordHash(String);

impl FromStr for PasswordHash {
    type Err = UnknownPasswordHash;

    fn from_str(text: &str) -> Result<Self, UnknownPasswordHash> {
        match text {
            "derived" => Ok(Self::Derived),
            "argon2id" => Ok(Self::Argon2id),
            _ => Err(UnknownPasswordHash(text.into())),
        }
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Derived => "derived",
            Self::Argon2id => "argon2id",
        })
    }
}

/// The password was not checked, which says nothing about whether it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckFailed {
    /// Too many others wait, or have waited for too long.
    #[error("{LOGINS_WAITING_MAX} logins are waiting already; try again later")]
    Busy,
    /// Hashing failed.
    #[error("the password was not checked: hashing failed or was shut down")]
    Hashing,
}

/// The directory.
#[derive(Debug)]
pub struct Users {
    hash: PasswordHash,
    /// Evaluations that may be under way.
    hashing: Arc<Semaphore>,
    /// Evaluations that may be under way or waited for.
    places: Arc<Semaphore>,
}

/// Leave to evaluate argon2id once, which ends when the evaluation does and not when the one that
/// wanted it goes away.
struct Leave {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Users {
    /// A directory that checks passwords in this way, with at most half of the machine's cores
    /// busy hashing at a time, so that requests that are already authenticated are not stalled by
    /// logins, and [`LOGINS_WAITING_MAX`] logins behind those.
    #[must_use]
    pub fn new(hash: PasswordHash) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = (cores / 2).max(1);
        Self {
            hash,
            hashing: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns + LOGINS_WAITING_MAX)),
        }
    }

    /// Waits for leave to hash, in the order of arrival.
    async fn leave(&self) -> Result<Leave, CheckFailed> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| CheckFailed::Busy)?;
        let turn = timeout(LOGIN_WAIT_MAX, Arc::clone(&self.hashing).acquire_owned()).await;
        let turn = turn.map_err(|_| CheckFailed::Busy)?.map_err(|_| CheckFailed::Hashing)?;
        Ok(Leave { _place: place, _turn: turn })
    }

    /// The user of this name and password; `None` where either is wrong, without saying which.
    ///
    /// # Errors
    /// [`CheckFailed::Busy`] where too many wait already, [`CheckFailed::Hashing`] where hashing
    /// failed or the runtime is shutting down.
    pub async fn check(&self, username: &str, password: &str) -> Result<Option<User>, CheckFailed> {
        if self.hash == PasswordHash::Argon2id {
            let leave = self.leave().await?;
            let salt = digest(username, "salt");
            let password = password.as_bytes().to_vec();
            let evaluate = move || {
                let evaluated = argon2id(&password, salt.as_ref());
                drop(leave);
                evaluated
            };
            let evaluated = tokio::task::spawn_blocking(evaluate).await;
            evaluated.map_err(|_| CheckFailed::Hashing)??;
        }
        let id = username.strip_prefix("user-").and_then(|n| UserId::parse(n.as_bytes()));
        // A name that does not exist is compared with somebody's password anyway.
        let right = format!("password-{}", id.unwrap_or(UserId(0)));
        let expected = digest(username, &right);
        let presented = digest(username, password);
        let equal = verify_slices_are_equal(expected.as_ref(), presented.as_ref()).is_ok();
        Ok(id.filter(|_| equal).map(User::of))
    }
}

fn digest(username: &str, text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(username.as_bytes());
    context.update(&[0]);
    context.update(text.as_bytes());
    context.finish()
}

fn argon2id(password: &[u8], salt: &[u8]) -> Result<(), CheckFailed> {
    let mut out = [0; 32];
    // The defaults of argon2 0.6 are the OWASP minimum: argon2id, m=19456 KiB, t=2, p=1.
    argon2::Argon2::default()
        .hash_password_into(password, salt, &mut out)
        .map_err(|_| CheckFailed::Hashing)?;
    black_box(out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (text, n) in [("0", 0), ("7", 7), ("99999999", 99_999_999)] {
            assert_eq!(UserId::parse(text.as_bytes()).unwrap().number(), n);
        }
        for text in ["", "00", "01", "+1", "-1", "1 ", " 1", "1.0", "1e3", "100000000", "\u{661}"] {
            assert_eq!(UserId::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn facts_follow_from_the_number() {
        for n in [0, 9, 10, 17, 12_345, 99_999_999] {
            let user = User::of(UserId::new(n).unwrap());
            assert_eq!(user.name.as_str(), format!("User {n}"));
            assert_eq!(user.role == Role::Admin, n % 100 == 0);
        }
        assert_eq!(Name::new(&"x".repeat(23)).unwrap().as_str().len(), 23);
        assert_eq!(Name::new(&"x".repeat(24)), None);
    }

    #[tokio::test]
    async fn only_the_right_pair_is_right_whatever_the_hash() {
        for hash in [PasswordHash::Derived, PasswordHash::Argon2id] {
            let users = Users::new(hash);
            let user = users.check("user-7", "password-7").await.unwrap().unwrap();
            assert_eq!(user.id.number(), 7);
            for (name, password) in [
                ("user-7", "password-8"),
                ("user-7", ""),
                ("user-07", "password-7"),
                ("user-100000000", "password-100000000"),
                ("nobody", "password-0"),
                ("", ""),
            ] {
                assert_eq!(users.check(name, password).await, Ok(None), "{name} {password}");
            }
        }
    }

    /// What becomes of so many logins that begin at once, each begun before the next.
    fn begin(users: &Arc<Users>, logins: usize) -> Vec<JoinHandle<Result<(), CheckFailed>>> {
        let log_in = |users: Arc<Users>| async move {
            users.check("user-7", "password-7").await.map(|user| assert!(user.is_some()))
        };
        (0..logins).map(|_| tokio::spawn(log_in(Arc::clone(users)))).collect()
    }

    #[tokio::test]
    async fn a_login_beyond_the_queue_is_refused_at_once_and_the_others_get_in_or_are_told() {
        let users = Arc::new(Users::new(PasswordHash::Argon2id));
        let places = users.places.available_permits();
        let first = begin(&users, places);
        // All of them have a place before this one is polled: this runtime has one thread.
        let beyond = begin(&users, 20);
        for login in beyond {
            assert_eq!(login.await.unwrap(), Err(CheckFailed::Busy));
        }
        let mut done = 0;
        for login in first {
            match login.await.unwrap() {
                Ok(()) => done += 1,
                Err(error) => assert_eq!(error, CheckFailed::Busy),
            }
        }
        assert!(done >= 1, "nobody got in");
        assert_eq!(users.places.available_permits(), places);
        assert!(users.check("user-7", "password-7").await.is_ok());
    }

    #[tokio::test]
    async fn a_login_does_not_wait_for_ever() {
        let users = Arc::new(Users::new(PasswordHash::Argon2id));
        let turns = users.hashing.available_permits();
        let hold = Arc::clone(&users.hashing).acquire_many_owned(turns as u32).await.unwrap();
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        for login in begin(&users, 3) {
            assert_eq!(login.await.unwrap(), Err(CheckFailed::Busy));
        }
        assert_eq!(begun.elapsed().as_secs(), LOGIN_WAIT_MAX.as_secs());
        drop(hold);
        tokio::time::resume();
        assert!(users.check("user-7", "password-7").await.is_ok());
    }

    /// Otherwise as many evaluations could be begun at once as there are clients who hang up.
    #[test]
    fn a_login_that_was_given_up_keeps_its_turn_until_it_is_evaluated() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // The one thread that could evaluate is taken.
        let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let taken = tokio::task::spawn_blocking(move || wait.recv());
            let users = Arc::new(Users::new(PasswordHash::Argon2id));
            let turns = users.hashing.available_permits();
            let given_up = begin(&users, turns);
            while users.hashing.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            given_up.iter().for_each(JoinHandle::abort);
            for login in given_up {
                assert!(login.await.unwrap_err().is_cancelled());
            }
            assert_eq!(users.hashing.available_permits(), 0);
            go_on.send(()).unwrap();
            taken.await.unwrap().unwrap();
            assert!(users.check("user-7", "password-7").await.is_ok());
        });
    }

    #[test]
    fn a_password_hash_reads_back_what_it_prints() {
        for hash in [PasswordHash::Derived, PasswordHash::Argon2id] {
            assert_eq!(hash.to_string().parse(), Ok(hash));
        }
        assert!("bcrypt".parse::<PasswordHash>().is_err());
    }
}
