//! Which comparisons are corrected together: a family is the metrics that answer the same question,
//! of every arm at every level of an experiment. A metric that names none of these is a family of
//! its own, called by its label.

/// Requests per second.
pub const THROUGHPUT: &str = "throughput";
/// Times that count from the plan.
pub const RESPONSE_TIME: &str = "response time";
/// Times that count from the write.
pub const SERVICE_TIME: &str = "service time";
/// CPU time of server and store per request.
pub const CPU_PER_REQUEST: &str = "CPU per request";
/// Memory under a load.
pub const MEMORY: &str = "memory";
/// What one more session adds.
pub const MEMORY_PER_SESSION: &str = "memory per session";
/// What one more connection adds.
pub const MEMORY_PER_CONNECTION: &str = "memory per connection";
/// What goes when users do.
pub const MEMORY_THAT_COMES_BACK: &str = "memory that comes back";
/// The rates that a server holds.
pub const CAPACITY: &str = "capacity";
/// Logins per second.
pub const LOGINS: &str = "logins";
/// CPU time of server and store per login.
pub const CPU_PER_LOGIN: &str = "CPU per login";
/// Bytes of a request and of its credential.
pub const BYTES_ON_THE_WIRE: &str = "bytes on the wire";
/// What the generator itself takes.
pub const GENERATOR: &str = "generator";
/// How long renewals take.
pub const RENEWAL_TIME: &str = "time of a renewal";
/// The parameters of the scalability law.
pub const SCALABILITY: &str = "scalability";
