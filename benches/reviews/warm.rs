//! Warm reviews: how many a second one worker thread answers, against the servers that judge nothing, and how late an
//! answer is at half of that. The servers take turns in short rounds, so that what else the machine does hits all.

use std::time::{Duration, Instant};

use pullgate::metrics::Metrics;
use tokio::runtime::Runtime;

use crate::bed::Bed;
use crate::load::{self, Load};
use crate::servers::Server;
use crate::table::{Row, median, microseconds, milliseconds, quantile, spread};
use crate::threads::Spent;
use crate::{Failure, runtime};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(700);
const AT_HALF: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 16;

/// The share of a round that a server's thread may wait for a core before wall-clock figures say little.
const BUSY: f64 = 0.05;

/// One server, its clients and what they measured.
struct Side {
    server: Server,
    load: Option<Load>,
    rounds: Vec<Round>,
}

/// One server under load for a while.
struct Round {
    answered: f64,
    wall: f64,
    server: Spent,
}

pub(crate) fn measure(bed: &Bed) -> Result<Vec<Row>, Failure> {
    let metrics = Metrics::new();
    let servers = [Server::pullgate(bed, metrics.clone())?, Server::reading(bed)?, Server::plain(bed)?];
    let mut sides = servers.map(|server| Side { server, load: None, rounds: Vec::new() });

    let client = runtime("client", 1)?;
    connect(bed, &client, &mut sides)?;
    for side in &mut sides {
        side.round(&client, WARM_UP)?;
    }
    bed.registry.clear_log();
    for _ in 0..ROUNDS {
        for side in &mut sides {
            let round = side.round(&client, ROUND)?;
            side.rounds.push(round);
        }
    }
    let asked = bed.registry.requests().len();

    let [pullgate, reading, plain] = &mut sides;
    let half = median(pullgate.rounds.iter().map(Round::per_second)) / 2.0;
    let latencies = [pullgate.at(&client, half)?, reading.at(&client, half)?];
    let busy = busy(&[pullgate, reading, plain]);
    let mut rows = speed(pullgate, reading, plain);
    rows.push(Row::beside(
        "  the machine",
        if busy > BUSY {
            format!("BUSY with other work: threads waited {:.0} % of the time; only CPU times count", 100.0 * busy)
        } else {
            format!("quiet: threads waited {:.0} % of the time", 100.0 * busy)
        },
    ));
    rows.push(Row::beside("  registry requests meanwhile", asked.to_string()));
    let [ours, theirs] = latencies;
    let p99 = quantile(&ours, 0.99);
    rows.push(Row::held(
        format!("warm p99 at half of peak, {half:.0}/s on schedule"),
        format!("{:.3} ms", milliseconds(p99)),
        "<= 1 ms",
        p99 <= Duration::from_millis(1),
    ));
    let quantiles = |latencies: &[Duration]| {
        [0.5, 0.99, 0.999].map(|share| format!("{:.3}", milliseconds(quantile(latencies, share)))).join(", ")
    };
    rows.push(Row::beside("  p50, p99, p99.9: pullgate", format!("{} ms", quantiles(&ours))));
    rows.push(Row::beside("  p50, p99, p99.9: reading only", format!("{} ms", quantiles(&theirs))));
    for side in sides {
        side.server.stop();
    }
    client.shutdown_background();
    Ok(rows)
}

/// Opens the connections of every side and looks at one answer of each.
fn connect(bed: &Bed, client: &Runtime, sides: &mut [Side]) -> Result<(), Failure> {
    let tls = load::tls(bed.ca_pem())?;
    let request = load::request("/validate", &bed.recorded());
    for side in sides {
        let mut load = client.block_on(Load::open(side.server.address, &tls, CONNECTIONS, request.clone()))?;
        let answer = client.block_on(load.answer())?;
        if !answer.contains(r#""allowed":true"#) || answer.contains("findings") {
            return Err(format!("{} answers {answer}", side.server.name).into());
        }
        side.load = Some(load);
    }
    Ok(())
}

fn speed(pullgate: &Side, reading: &Side, plain: &Side) -> Vec<Row> {
    let named = [("pullgate", pullgate), ("reading only, pullgate's listener", reading), ("axum + rustls only", plain)];
    let mut rows = Vec::new();
    for (name, baseline, goal) in
        [("reading only, pullgate's listener", reading, ">= 0.7"), ("axum + rustls only", plain, ">= 0.7")]
    {
        let pairs = |of: fn(&Round) -> f64| -> Vec<f64> {
            pullgate.rounds.iter().zip(&baseline.rounds).map(|(ours, theirs)| of(ours) / of(theirs)).collect()
        };
        let (wall, core) = (pairs(Round::per_second), pairs(Round::per_core_second));
        let figure = format!("{}, by CPU time {}", spread(&wall, 2), spread(&core, 2));
        // The worse of the two: wall time flatters where the client or the machine is the limit.
        let worse = median(wall).min(median(core));
        rows.push(Row::held(format!("warm reviews/s on one thread, against {name}"), figure, goal, worse >= 0.7));
    }
    for (name, side) in named {
        let figures = |of: fn(&Round) -> f64| -> Vec<f64> { side.rounds.iter().map(of).collect() };
        let share = |of: fn(&Round) -> f64| 100.0 * median(side.rounds.iter().map(of));
        rows.push(Row::beside(
            format!("  reviews/s: {name}"),
            format!(
                "{}; {} us of CPU each",
                spread(&figures(Round::per_second), 0),
                spread(&figures(Round::cpu_us), 1)
            ),
        ));
        rows.push(Row::beside(
            "    its thread on a core + waiting for one",
            format!(
                "{:.0} % + {:.0} %",
                share(|round| round.share(round.server.running)),
                share(|round| round.share(round.server.waiting))
            ),
        ));
    }
    rows
}

/// The share of time in which the servers' threads were ready and had no core.
fn busy(sides: &[&mut Side]) -> f64 {
    median(sides.iter().flat_map(|side| &side.rounds).map(|round| round.share(round.server.waiting)))
}

// === impl Side ===

impl Side {
    fn round(&mut self, client: &Runtime, time: Duration) -> Result<Round, Failure> {
        let load = self.load.take().ok_or("a side without clients")?;
        let before = Spent::by(self.server.name)?;
        let began = Instant::now();
        // A task, so that all of it runs on the threads that are measured.
        let (load, answered) = client.block_on(client.spawn(load.saturate(time, u32::MAX)))??;
        let wall = began.elapsed().as_secs_f64();
        let server = Spent::by(self.server.name)?.since(before);
        self.load = Some(load);
        Ok(Round { answered: f64::from(answered), wall, server })
    }

    /// Sorted latencies at `rate`.
    fn at(&mut self, client: &Runtime, rate: f64) -> Result<Vec<Duration>, Failure> {
        let load = self.load.take().ok_or("a side without clients")?;
        let (load, latencies) = client.block_on(client.spawn(load.on_schedule(rate, AT_HALF)))??;
        self.load = Some(load);
        Ok(latencies)
    }
}

// === impl Round ===

impl Round {
    fn per_second(&self) -> f64 {
        self.answered / self.wall
    }

    fn per_core_second(&self) -> f64 {
        self.answered / self.server.running.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        microseconds(self.server.running) / self.answered
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.wall
    }
}
