//! Recorded reviews, over HTTPS.
use pullgate::finding::Code;
use crate::gate::{Gate, scene};

#[tokio::test]
async fn each_code() {
    for code in Code::ALL {
        let scene = scene(code).await;
        let answer = scene.gate.validate(&scene.review).await;
        println!("{code} {}\n{}\n{:?}\n{:?}\n", answer.allowed(), answer.message(), answer.warnings(), scene.gate.asked());
    }
    let gate = Gate::start().await;
    println!("{}", gate.metrics.render());
}
