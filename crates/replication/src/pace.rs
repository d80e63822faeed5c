//! How often to look for work, and when changes should be streamed instead.

use std::time::{Duration, Instant};

/// Finds of about this long ago still count.
const MEMORY: Duration = Duration::from_secs(60);
/// How much longer each look in vain makes the wait for the next.
const GROWTH: f64 = 1.5;
/// A project that streams is quiet when it is this many times less busy than one that begins to.
const HYSTERESIS: f64 = 4.0;
/// A project cannot be busier than this many times what deserves a stream, so that it is forgotten in known time.
const CEILING: f64 = 4.0;

/// Bounds of a [`Pace`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PaceOptions {
    /// Wait after a look that found something.
    pub busiest: Duration,
    /// Longest wait, when nothing was found for long.
    pub idlest: Duration,
    /// Wait while a stream tells of changes: only what the stream missed is found then.
    pub safety: Duration,
    /// So many finds a minute deserve a stream. However much is found at once is one find.
    pub stream_at: f64,
    /// How long a project is quiet before its stream is given back.
    pub release_after: Duration,
}

impl Default for PaceOptions {
    /// 50 ms to 2 s; 10 s beside a stream, which 20 finds a minute deserve and two quiet minutes end.
    fn default() -> Self {
        Self {
            busiest: Duration::from_millis(50),
            idlest: Duration::from_secs(2),
            safety: Duration::from_secs(10),
            stream_at: 20.0,
            release_after: Duration::from_secs(120),
        }
    }
}

/// How a project should be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve {
    /// By looking now and then.
    Poll,
    /// By a stream of changes, which costs a slot.
    Stream,
}

/// Decides for one project, from what was found when. It knows no clock: time is passed in and never goes back.
///
/// The wait for the next look is shortest after a find and half as long again after each look in vain. Finds are counted with a
/// memory of about a minute; a project with enough of them deserves a stream, and keeps it until it has been quiet for a while.
#[derive(Debug, Clone)]
pub struct Pace {
    options: PaceOptions,
    wait: Duration,
    last_look: Instant,
    /// Somebody said that there may be something.
    hinted: bool,
    /// The stream tells of changes at the moment.
    live: bool,
    /// Finds of the last minute, older ones counting less.
    finds: f64,
    counted_at: Instant,
    serve: Serve,
    /// Since when a project that streams has been quiet.
    quiet_since: Option<Instant>,
}

impl Pace {
    /// A project of which nothing is known: the first look is due.
    pub fn new(options: PaceOptions, now: Instant) -> Self {
        Self {
            options,
            wait: options.busiest,
            last_look: now,
            hinted: true,
            live: false,
            finds: 0.0,
            counted_at: now,
            serve: Serve::Poll,
            quiet_since: None,
        }
    }

    /// A look was taken, because its time had come or because the stream said so, and found so many things.
    pub fn looked(&mut self, now: Instant, found: usize) {
        self.hinted = false;
        self.last_look = now;
        self.wait = match found {
            0 => self.wait.mul_f64(GROWTH).min(self.options.idlest),
            _ => self.options.busiest,
        };
        self.fade(now);
        if found > 0 {
            self.finds = (self.finds + 1.0).min(self.options.stream_at * CEILING);
        }
        self.decide(now);
    }

    /// Somebody knows that there may be something: look at once.
    pub fn hint(&mut self) {
        self.hinted = true;
    }

    /// The stream tells of changes from now on, or does not any more. In both cases something may have been missed.
    pub fn set_live(&mut self, live: bool) {
        self.hinted = true;
        self.live = live;
        self.wait = self.options.busiest;
    }

    /// When to look next. Beside a live stream this is the safety net alone.
    pub fn next_look(&self) -> Instant {
        match (self.hinted, self.live) {
            (true, _) => self.last_look,
            (false, true) => self.last_look + self.options.safety,
            (false, false) => self.last_look + self.wait,
        }
    }

    /// How the project should be served.
    pub fn serve(&mut self, now: Instant) -> Serve {
        self.fade(now);
        self.decide(now);
        self.serve
    }

    fn fade(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at);
        self.finds *= (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.counted_at = now;
    }

    fn decide(&mut self, now: Instant) {
        match self.serve {
            Serve::Poll if self.finds >= self.options.stream_at => {
                self.serve = Serve::Stream;
                self.quiet_since = None;
            }
            Serve::Poll => {}
            Serve::Stream if self.finds >= self.options.stream_at / HYSTERESIS => {
                self.quiet_since = None;
            }
            Serve::Stream => {
                let since = *self.quiet_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= self.options.release_after {
                    self.serve = Serve::Poll;
                    self.quiet_since = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A project and its clock.
    struct Project {
        pace: Pace,
        now: Instant,
    }

    impl Project {
        fn new() -> Self {
            let now = Instant::now();
            Self { pace: Pace::new(PaceOptions::default(), now), now }
        }

        fn wait(&self) -> Duration {
            self.pace.next_look().saturating_duration_since(self.now)
        }

        /// Looks when it is time to; returns how long that took.
        fn look(&mut self, found: usize) -> Duration {
            let wait = self.wait();
            self.now += wait;
            self.pace.looked(self.now, found);
            wait
        }

        /// Finds something every `every`, for `long`.
        fn find(&mut self, every: Duration, long: Duration) {
            let end = self.now + long;
            while self.now < end {
                self.pace.looked(self.now, 1);
                self.now += every;
            }
        }

        fn serve(&mut self) -> Serve {
            self.pace.serve(self.now)
        }
    }

    #[test]
    fn the_first_look_is_due_at_once() {
        assert_eq!(Project::new().wait(), Duration::ZERO);
    }

    #[test]
    fn looks_in_vain_become_rare_and_a_find_makes_them_frequent() {
        let mut project = Project::new();
        let mut last = Duration::ZERO;
        for _ in 0..50 {
            let wait = project.look(0);
            assert!(wait >= last && wait <= PaceOptions::default().idlest);
            last = wait;
        }
        assert_eq!(last, PaceOptions::default().idlest);
        project.look(3);
        assert_eq!(project.wait(), PaceOptions::default().busiest);
    }

    #[test]
    fn a_hint_is_followed_at_once_and_once() {
        let mut project = Project::new();
        for _ in 0..20 {
            project.look(0);
        }
        project.pace.hint();
        assert_eq!(project.look(0), Duration::ZERO);
        assert!(project.wait() >= SECOND);
    }

    #[test]
    fn rare_work_deserves_no_stream() {
        let mut project = Project::new();
        project.find(10 * SECOND, 3600 * SECOND);
        assert_eq!(project.serve(), Serve::Poll);
    }

    #[test]
    fn much_at_once_is_one_find() {
        let mut project = Project::new();
        project.look(100_000);
        assert_eq!(project.serve(), Serve::Poll);
    }

    #[test]
    fn frequent_work_deserves_a_stream_within_seconds() {
        let mut project = Project::new();
        project.find(SECOND / 20, 2 * SECOND);
        assert_eq!(project.serve(), Serve::Stream);
    }

    #[test]
    fn a_stream_is_given_back_after_quiet_minutes_and_not_before() {
        let mut project = Project::new();
        project.find(SECOND / 20, 600 * SECOND);
        let mut kept = Duration::ZERO;
        while project.serve() == Serve::Stream {
            project.now += SECOND;
            kept += SECOND;
            assert!(kept < 3600 * SECOND, "it is never given back");
        }
        assert!(kept > PaceOptions::default().release_after, "{kept:?}");
        // However busy it was: the ceiling bounds what there is to forget.
        assert!(kept < 300 * SECOND, "{kept:?}");
    }

    #[test]
    fn work_that_is_neither_frequent_nor_rare_does_not_flap() {
        let mut project = Project::new();
        project.find(SECOND, 120 * SECOND);
        assert_eq!(project.serve(), Serve::Stream);
        // A third of what would deserve a stream keeps one.
        project.find(9 * SECOND, 3600 * SECOND);
        assert_eq!(project.serve(), Serve::Stream);
    }

    #[test]
    fn beside_a_live_stream_only_the_safety_net_is_left() {
        let mut project = Project::new();
        project.look(1);
        project.pace.set_live(true);
        assert_eq!(project.look(0), Duration::ZERO, "what came before the stream is looked for");
        assert_eq!(project.wait(), PaceOptions::default().safety);
        project.pace.set_live(false);
        assert_eq!(project.look(0), Duration::ZERO, "what the stream missed is looked for");
        assert!(project.wait() < SECOND);
    }

    #[test]
    fn time_that_stands_still_does_no_harm() {
        let mut project = Project::new();
        for _ in 0..1000 {
            project.pace.looked(project.now, 1);
        }
        assert_eq!(project.serve(), Serve::Stream);
        assert!(project.pace.finds.is_finite());
    }
}
