//! The work of a handler (`--handler-cpu`, `--handler-wait`): the same for every arm, for anyone
//! who is let in, and for nobody else.

use std::time::Duration;

use crate::common::{Arm, available_arms, options};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use servers::Work;

/// Far more than anything that a request does otherwise, on however busy a machine.
const CPU: Duration = Duration::from_millis(60);

/// CPU time of this thread, on which the handlers of these tests run too.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[tokio::test]
async fn every_protected_handler_burns_it_once_and_no_other_does() {
    for info in available_arms() {
        let arm = Arm::working(info, options(), Work { cpu: CPU, ..Work::default() }).await;
        let item = json!({ "item": "apple" });
        let begun = thread_cpu();
        let credential = arm.login(7).await;
        let login = thread_cpu() - begun;
        arm.me("no credential of ours").await.expect(401);
        arm.get("/nowhere", &credential).await.expect(404);
        let others = thread_cpu() - begun;
        assert!(others < CPU, "{}: {login:?} for a login, {others:?} in all", info.arm);

        // A credential may be replaced by what a change answers, and ends with a logout.
        let mut burnt = Vec::new();
        for path in ["/me", "GET /cart", "/cart", "/logout-all", "/logout"] {
            let credential = arm.login(7).await;
            let begun = thread_cpu();
            let answer = match path {
                "/me" => arm.me(&credential).await,
                "GET /cart" => arm.get("/cart", &credential).await,
                path => arm.post(path, &credential, &item).await,
            };
            burnt.push((path, answer.status.as_u16(), thread_cpu() - begun));
        }
        for (path, status, burnt) in burnt {
            if status == 200 {
                let most = 2 * CPU;
                assert!(CPU * 9 / 10 < burnt && burnt < most, "{}{path}: {burnt:?}", info.arm);
            } else {
                assert!(path != "/me" && burnt < CPU, "{}{path}: {status}", info.arm);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_protected_handler_waits_and_a_refusal_does_not() {
    let work = Work { wait: Duration::from_millis(5), ..Work::default() };
    // Arms with a store that stands behind a timer of its own would see it run out while the
    // clock is paused.
    for info in available_arms().into_iter().filter(|info| info.store.is_none()) {
        let arm = Arm::working(info, options(), work).await;
        let credential = arm.login(7).await;
        let begun = tokio::time::Instant::now();
        arm.me("no credential of ours").await.expect(401);
        assert_eq!(begun.elapsed(), Duration::ZERO, "{}", info.arm);
        arm.me(&credential).await.expect(200);
        assert_eq!(begun.elapsed(), work.wait, "{}", info.arm);
    }
}
