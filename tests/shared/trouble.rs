//! The server on a bad day: reviews go on, each with the right answer, and sharing comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::Failure;
use crate::parts::free_ports;
use crate::world::{BETWEEN, Replica, TRIES, World};

/// Reviews under way at once, and all reviews of one load.
const AT_ONCE: usize = 8;
const REVIEWS: usize = 600;

/// What happens to the server at a third and at two thirds of the load.
struct Course<'a> {
    world: &'a World,
    replicas: [Replica; 2],
}

pub(crate) async fn comes_later(world: &World) -> Result<String, Failure> {
    let [port] = free_ports()?;
    let url = format!("redis://127.0.0.1:{port}");
    let (first, second) = (world.replica(&url)?, world.replica(&url)?);
    for _ in 0..10 {
        let image = world.image();
        first.allows(&image).await?;
        second.pins(&image).await?;
    }
    let alone = first.counters();
    let _server = world.server_at(port, &[])?;
    world.shared_image(&first, &second).await?;
    Ok(format!("alone: {alone}; then {}", second.counters()))
}

pub(crate) async fn killed(world: &World) -> Result<String, Failure> {
    let server = world.server(&[])?;
    let course = Course::start(world, &server.url()).await?;
    let mut restarted = None;
    course
        .run(
            async || server.kill().await,
            async || {
                restarted = Some(world.server_at(server.port, &[])?);
                Ok(())
            },
        )
        .await
}

pub(crate) async fn stopped(world: &World) -> Result<String, Failure> {
    let server = world.server(&[])?;
    let course = Course::start(world, &server.url()).await?;
    let timeouts = |course: &Course<'_>| -> u64 {
        let count = |replica: &Replica| replica.count("reads", "timeout") + replica.count("writes", "timeout");
        course.replicas.iter().map(count).sum()
    };
    let before = timeouts(&course);
    let remark = course.run(async || server.signal(Signal::STOP), async || server.signal(Signal::CONT)).await?;
    if timeouts(&course) == before {
        return Err(format!("a server that hangs was never noticed\n{remark}").into());
    }
    Ok(remark)
}

// === impl Course ===

impl<'a> Course<'a> {
    /// Two replicas that share.
    async fn start(world: &'a World, url: &str) -> Result<Self, Failure> {
        let replicas = [world.replica(url)?, world.replica(url)?];
        world.shared_image(&replicas[0], &replicas[1]).await?;
        Ok(Self { world, replicas })
    }

    /// A load, with what befalls the server and what ends it; then sharing must come back.
    async fn run(
        &self,
        befall: impl AsyncFnOnce() -> Result<(), Failure>,
        end: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        let images: Arc<Vec<String>> = Arc::new((0..REVIEWS / 2).map(|_| self.world.image()).collect());
        let done = Arc::new(AtomicUsize::new(0));
        let mut load = JoinSet::new();
        for worker in 0..AT_ONCE {
            let (images, done, replicas) = (Arc::clone(&images), Arc::clone(&done), self.replicas.clone());
            load.spawn(async move {
                for number in (worker..REVIEWS).step_by(AT_ONCE) {
                    // One replica meets an image, and half a load later the other one does.
                    let replica = &replicas[usize::from(number >= REVIEWS / 2)];
                    let image = &images[number % images.len()];
                    match number % 4 {
                        0 | 1 => replica.allows(image).await?,
                        2 => replica.pins(image).await?,
                        _ => replica.denies(&format!("{image}-missing")).await?,
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, Failure>(())
            });
        }
        reach(&done, REVIEWS / 3).await?;
        befall().await?;
        reach(&done, REVIEWS * 2 / 3).await?;
        let during = self.replicas.each_ref().map(Replica::counters);
        end().await?;
        while let Some(outcome) = load.join_next().await {
            outcome??;
        }
        self.world.shared_image(&self.replicas[0], &self.replicas[1]).await?;
        let resting: u64 = self.replicas.iter().map(|replica| replica.count("reads", "resting")).sum();
        if resting == 0 {
            return Err(format!("the server was asked all the time: {}", during.join(" | ")).into());
        }
        Ok(format!("{REVIEWS} reviews right; {}", self.replicas.each_ref().map(Replica::counters).join(" | ")))
    }
}

/// Waits until so many reviews are done; a load that stands still fails.
async fn reach(done: &AtomicUsize, goal: usize) -> Result<(), Failure> {
    let mut still = 0;
    let mut last = 0;
    while done.load(Ordering::SeqCst) < goal {
        tokio::time::sleep(BETWEEN).await;
        let now = done.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
        if still > TRIES {
            return Err(format!("the load stands still after {now} reviews").into());
        }
    }
    Ok(())
}
