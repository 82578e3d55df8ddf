//! What does a credential cost on the wire? The same load over HTTP/1.1 and HTTP/2, with TLS and
//! without; the server counts the bytes that pass its sockets. The level is the place in [`WAYS`].

use serde::Deserialize;

use super::check::within;
use super::load::{self, CONNECTIONS_MAX, PILOT, PILOT_LEVEL, arrivals, browse, check_window};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::load::{LoadModel, UserChoice};
use crate::plan::{ADMIN_FILL, Action, PopulatePlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// The same open load on servers that differ in what they speak.
pub(super) struct Wire;

#[derive(Deserialize)]
struct Table {
    wire: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    speak: Vec<String>,
    rate: String,
    users: u32,
    connections: u32,
    blocks: u32,
    pilot: Span,
    warmup: Span,
    measure: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speak: WAYS.iter().map(|way| way.name.to_owned()).collect(),
            rate: "10%".into(),
            users: 16,
            connections: 16,
            blocks: 3,
            pilot: Span::from_millis(300),
            warmup: Span::from_millis(200),
            measure: Span::from_millis(1000),
        }
    }
}

/// A way to speak: its name in a campaign file, what reports call it, and what the server is told.
struct Way {
    name: &'static str,
    label: &'static str,
    flags: &'static [&'static str],
}

/// The ways, whose levels begin with 1.
const WAYS: [Way; 4] = [
    Way { name: "http1", label: "HTTP/1.1", flags: &[] },
    Way { name: "http2", label: "HTTP/2", flags: &["--http2"] },
    Way { name: "http1-tls", label: "HTTP/1.1 over TLS", flags: &["--tls"] },
    Way { name: "http2-tls", label: "HTTP/2 over TLS", flags: &["--http2", "--tls"] },
];

fn way(level: u32) -> Option<&'static Way> {
    WAYS.get(level.checked_sub(1)? as usize)
}

impl Experiment for Wire {
    fn name(&self) -> &'static str {
        "wire"
    }

    fn question(&self) -> &'static str {
        "What does a credential cost on the wire, over HTTP/1.1, HTTP/2 and TLS?"
    }

    fn method(&self) -> &'static str {
        "Each server logs its users in by itself. Then users read GET /me at a fixed rate that \
         does not wait for the answers (Poisson arrivals). The server counts requests and bytes \
         that pass its sockets, frames and TLS records included, without what TCP and IP add. Over \
         HTTP/1.1 each connection carries one request at a time. Over HTTP/2 the client, reqwest, \
         sends all requests over one connection, as a gateway does. HTTP/2 can send a header that \
         was sent before as one byte (HPACK); whether it does is the client's choice. The library \
         h2, which reqwest uses, keeps the values of `authorization` and `cookie` out of its \
         table, so every request carries the whole credential, Huffman-coded. The library borrows \
         that rule from nghttp2, which curl uses; a browser may have another. Handshakes come \
         before the load."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "A request on the wire",
            note: "Received: the request with its credential. Sent: the answer.",
            metrics: &[
                metric::WIRE_READ_BYTES_PER_REQUEST,
                metric::WIRE_WRITTEN_BYTES_PER_REQUEST,
                metric::CPU_US_PER_REQUEST,
                metric::RESPONSE_P50_US,
                metric::RESPONSE_P99_US,
                metric::GENERATOR_CPU_US_PER_REQUEST,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Protocol", noun: "", at_zero: PILOT_LEVEL })
    }

    fn level(&self, level: u32) -> String {
        self.level_cell(level)
    }

    fn level_cell(&self, level: u32) -> String {
        match (level, way(level)) {
            (_, Some(way)) => way.label.into(),
            (PILOT, None) => PILOT_LEVEL.into(),
            (unknown, None) => format!("protocol {unknown}"),
        }
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { speak, rate, users, connections, blocks, pilot, warmup, measure } =
            spec.section::<Table>()?.wire;
        let users = within(spec, "[wire] users", users, 1..=CONNECTIONS_MAX)?;
        let connections = within(spec, "[wire] connections", connections, 1..=CONNECTIONS_MAX)?;
        check_window(spec, "wire", "measure", measure)?;
        check_window(spec, "wire", "pilot", pilot)?;
        let levels = levels(spec, &speak)?;
        let model = arrivals(spec, "[wire] rate", &rate)?;
        let pilot = matches!(model, LoadModel::PilotShare(_))
            .then(|| load::pilot(spec, users, connections.min(users), (warmup, pilot)));
        let populate = PopulatePlan { first_user: 0, users, leave: false, keep: true };
        let choice = (users, UserChoice::Uniform);
        let load = browse(model, choice, connections, (warmup, measure));
        let cell = |arm: &String, level: &u32| Cell {
            arm: arm.clone(),
            level: *level,
            server: ADMIN_FILL
                .iter()
                .chain(&["--count-wire"])
                .chain(way(*level).map_or(&[][..], |way| way.flags))
                .map(ToString::to_string)
                .collect(),
            actions: vec![Action::Populate(populate.clone()), Action::Load(load.clone())],
        };
        let cells = Cells::of_every_arm(spec, blocks, &levels, cell).cells;
        Ok(Cells { blocks, cells: pilot.into_iter().chain(cells).collect() })
    }

    fn measures(&self, metric: &Metric) -> bool {
        metric.is_of_load
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        load::observed(record)
    }

    fn conclusions(&self, trials: &[&TrialRecord], _: u32, _: u64) -> Vec<String> {
        load::of_pilots(trials).into_iter().collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        load::doubts(record)
    }
}

/// The levels of these names, ascending.
fn levels(spec: &Spec, speak: &[String]) -> Result<Vec<u32>> {
    let refuse = |found: &str| {
        let known: Vec<&str> = WAYS.iter().map(|way| way.name).collect();
        spec.refuse(format!("[wire] speak: expected some of {}, found {found}", known.join(", ")))
    };
    let level = |name: &String| {
        let place = WAYS.iter().position(|way| way.name == name);
        place.map(|place| place as u32 + 1).ok_or_else(|| refuse(&format!("`{name}`")))
    };
    let mut levels = speak.iter().map(level).collect::<Result<Vec<_>>>()?;
    levels.sort_unstable();
    levels.dedup();
    if levels.is_empty() {
        return Err(refuse("an empty list"));
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, record};
    use super::*;
    use crate::experiment::expand;
    use crate::record::{ActionRecord, ServerUse, WireUse};
    use crate::spec::Overrides;

    fn plan(table: &str) -> Result<crate::plan::Plan> {
        let text = format!("name='t'\narms=['none','session@memory','jwt-hs256']\n{table}");
        expand(&Spec::parse("t.toml", &text, Overrides::default())?)
    }

    #[test]
    fn servers_differ_in_what_they_speak_and_nothing_else() {
        let plan = plan("[wire]\nblocks=1\n").unwrap();
        let trials: Vec<_> = plan.trials.iter().filter(|trial| trial.level != PILOT).collect();
        assert_eq!(trials.len(), 16, "three arms and the twin in four ways");
        for trial in trials {
            let flags = trial.server.join(" ");
            let own = match trial.level {
                1 => "",
                2 => " --http2",
                3 => " --tls",
                4 => " --http2 --tls",
                other => panic!("{other}"),
            };
            assert_eq!(flags, format!("{} --count-wire{own}", ADMIN_FILL.join(" ")));
        }
        let pilots: Vec<_> = plan.trials.iter().filter(|trial| trial.level == PILOT).collect();
        assert!(pilots.len() == 1 && pilots[0].is_pilot() && pilots[0].arm == "none");
    }

    #[test]
    fn bytes_are_those_that_passed_the_sockets_per_request() {
        let plan = plan("[wire]\nblocks=1\nrate='1000/s'\n").unwrap();
        let mut did = load(1_000);
        let server = did.server.take().unwrap();
        let wire = WireUse { requests: 900, read_bytes: 360_000, written_bytes: 90_000 };
        did.server = Some(ServerUse { wire: Some(wire), ..server });
        let populated = ActionRecord::Populate(crate::record::LoginRecord::default());
        let record = record(&plan.trials[0], vec![populated, ActionRecord::Load(Box::new(did))]);
        let seen = Wire.observe(&record);
        let value = |wanted: &Metric| seen.iter().find(|seen| seen.metric == wanted).unwrap().value;
        assert_eq!(value(metric::WIRE_READ_BYTES_PER_REQUEST), 400.0);
        assert_eq!(value(metric::WIRE_WRITTEN_BYTES_PER_REQUEST), 100.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for (table, part) in [
            ("speak=[]", "an empty list"),
            ("speak=['spdy']", "found `spdy`"),
            ("rate='fast'", "[wire] rate"),
            ("users=0", "[wire] users"),
            ("connections=0", "[wire] connections"),
            ("measure='1ms'", "[wire] measure"),
            ("pilot='1ms'", "[wire] pilot"),
            ("blocks='x'", "blocks"),
        ] {
            let error = plan(&format!("[wire]\n{table}\n")).unwrap_err();
            assert!(error.to_string().contains(part), "{table}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
