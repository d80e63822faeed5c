//! Where to look for queued jobs of limited bindings: whose turn comes next, and where the jobs of each turn begin.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::sources::Reading;
use crate::store::{Limited, Look, Turn};

/// Keys of a binding whose jobs are known to be queued. Those beyond are learned when these are fewer.
pub(super) const MOST_TURNS: usize = 50_000;

/// Keys that a look asks at least,
const KEYS: usize = 8;

/// and when it found nothing, since those may be at their limit, and others not.
const MORE_KEYS: usize = 256;

/// A binding with more keys without room than one look asks rests so much longer than the look took.
const REST: u32 = 4;

/// Looks that took jobs, of which it is remembered when they did.
const MOST_BEGUN: usize = 256;

/// Numbers of jobs, or of places, that one look for new jobs reads at most.
pub(super) const MOST_NEWS: i64 = 20_000;

/// The turns of limited bindings.
///
/// A look at a turn begins with the first job that stayed behind at the last one, or behind all that was taken, and so steps
/// over nothing that remains of ended jobs. Turns without a job are forgotten. They are learned again from new jobs, which
/// have the highest numbers, from jobs whose time has come, and from the survey of whole queues, which finds the rest.
#[derive(Debug, Default)]
pub(super) struct Turns {
    rings: HashMap<i32, Ring>,
    /// How far new jobs were read; `None` before the first survey.
    news: Option<Reading>,
}

/// The turns of one binding.
#[derive(Debug, Default)]
struct Ring {
    /// By key and priority.
    begins: BTreeMap<String, BTreeMap<u8, Begin>>,
    /// The key that had the last turn.
    last: String,
    /// The first seat, at the last look.
    first_seat: i64,
    /// No look before that.
    rests_until: Option<Instant>,
    /// When this engine let jobs begin, the oldest first.
    begun: VecDeque<Instant>,
}

/// Where the jobs of a turn begin.
#[derive(Debug)]
struct Begin {
    place: i64,
    /// Somebody has seen a job of it since the look that is under way began.
    heard: bool,
    /// There are more of them than one look sees.
    cut: Option<Cut>,
}

/// How far looks have come in a turn whose first jobs stay behind. Every other look goes on there, until the turn ends; those
/// between see whether the first ones can be taken by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    place: i64,
    /// Whether the next look begins there.
    is_next: bool,
}

impl Begin {
    /// Where the next look begins.
    fn next(&self) -> i64 {
        self.cut.filter(|cut| cut.is_next).map_or(self.place, |cut| cut.place)
    }
}

impl Ring {
    fn begin(&mut self, turn: &Turn) -> Option<&mut Begin> {
        self.begins.get_mut(&turn.fair)?.get_mut(&turn.priority)
    }

    fn forget(&mut self, turn: &Turn) {
        if let Some(begins) = self.begins.get_mut(&turn.fair) {
            begins.remove(&turn.priority);
            if begins.is_empty() {
                self.begins.remove(&turn.fair);
            }
        }
    }
}

impl Turns {
    /// How many keys of a binding have jobs.
    pub(super) fn keys(&self, binding: i32) -> usize {
        self.rings.get(&binding).map_or(0, |ring| ring.begins.len())
    }

    /// Where to look for `most` jobs of a binding, `again` after a look that found none: at the turns that come next.
    pub(super) fn next(&mut self, binding: i32, most: usize, again: bool) -> Look {
        let Some(ring) = self.rings.get_mut(&binding) else { return Look::default() };
        let last = ring.last.as_str();
        let after = ring.begins.range::<str, _>((Bound::Excluded(last), Bound::Unbounded));
        let before = ring.begins.range::<str, _>((Bound::Unbounded, Bound::Included(last)));
        let round = after.chain(before);
        let keys: Vec<_> = round.take(most.max(if again { MORE_KEYS } else { KEYS })).collect();
        let depth = most.div_ceil(keys.len().max(1));
        let turn = |fair: &String, (&priority, begin): (&u8, &Begin)| Turn {
            binding,
            fair: fair.clone(),
            priority,
            place: begin.next(),
        };
        let turns =
            keys.into_iter().flat_map(|(fair, begins)| begins.iter().map(move |it| turn(fair, it)));
        let turns: Vec<_> = turns.collect();
        for turn in &turns {
            if let Some(begin) = ring.begin(turn) {
                begin.heard = false;
            }
        }
        Look { turns, depth, first_seat: ring.first_seat }
    }

    /// Remembers what a look at a binding came to.
    pub(super) fn passed(&mut self, binding: i32, look: &Look, limited: &Limited) {
        let Some(ring) = self.rings.get_mut(&binding) else { return };
        if !limited.looked && limited.taken.is_empty() {
            return;
        }
        ring.first_seat = limited.first_seat.unwrap_or(ring.first_seat);
        let mut taken: HashMap<(&str, u8), (usize, i64)> = HashMap::new();
        for (job, fair) in &limited.taken {
            let (jobs, last) = taken.entry((fair, job.priority)).or_insert((0, job.place));
            (*jobs, *last) = (*jobs + 1, job.place.max(*last));
        }
        let (stays, cuts) = (places(&limited.stays), places(&limited.cuts));
        if !limited.taken.is_empty() {
            ring.begun.truncate(MOST_BEGUN - 1);
            ring.begun.push_back(Instant::now());
        }
        let mut most = 0;
        for turn in &look.turns {
            let of = (turn.fair.as_str(), turn.priority);
            let (jobs, last) =
                taken.get(&of).map_or((0, None), |(jobs, last)| (*jobs, Some(last + 1)));
            if jobs >= most {
                // The last one in the last round.
                (most, ring.last) = (jobs, turn.fair.clone());
            }
            let (cut, Some(begin)) = (cuts.get(&of).copied(), ring.begin(turn)) else { continue };
            if begin.cut == Some(Cut { place: turn.place, is_next: true }) {
                begin.cut = cut.or(last).map(|place| Cut { place, is_next: false });
                continue;
            }
            let stays = stays.get(&of).copied();
            let far = begin.cut.map_or(i64::MIN, |cut| cut.place);
            let cut = cut.filter(|cut| stays.is_none_or(|stays| stays < *cut));
            begin.cut = cut.map(|cut| Cut { place: cut.max(far), is_next: true });
            if begin.place != turn.place {
                // Somebody learned meanwhile of a job before that.
                continue;
            }
            match stays.or(last) {
                Some(next) => begin.place = next,
                None if begin.heard => {}
                None => ring.forget(turn),
            }
        }
    }

    /// How long the binding still rests at this moment, if it does.
    pub(super) fn rest(&self, binding: i32, now: Instant) -> Option<Duration> {
        let until = self.rings.get(&binding)?.rests_until?;
        until.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    /// A look that began then found too many keys without room: the next one comes after a rest of this length.
    pub(super) fn take_rest(&mut self, binding: i32, begun: Instant) -> Duration {
        let rest = begun.elapsed() * REST;
        if let Some(ring) = self.rings.get_mut(&binding) {
            ring.rests_until = Some(Instant::now() + rest);
        }
        rest
    }

    /// When jobs that this engine began leave room in a limit of beginnings in such a time, at the earliest. Room that jobs of
    /// other engines leave is found by the next look, whenever it comes.
    pub(super) fn room_in(&mut self, binding: i32, per: Duration) -> Option<Duration> {
        let begun = &mut self.rings.get_mut(&binding)?.begun;
        while begun.front().is_some_and(|at| at.elapsed() > per) {
            begun.pop_front();
        }
        begun.front().map(|at| per.saturating_sub(at.elapsed()))
    }

    /// The server may have crashed and given numbers once more: seats are counted from the beginning again.
    pub(super) fn doubt(&mut self) {
        for ring in self.rings.values_mut() {
            ring.first_seat = 0;
        }
    }

    /// Learns of a queued job. Says whether a look would not have found it.
    pub(super) fn learn(&mut self, turn: Turn) -> bool {
        let ring = self.rings.entry(turn.binding).or_default();
        if ring.begins.len() >= MOST_TURNS && !ring.begins.contains_key(&turn.fair) {
            return false;
        }
        let begins = ring.begins.entry(turn.fair).or_default();
        let unknown = Begin { place: i64::MAX, heard: false, cut: None };
        let begin = begins.entry(turn.priority).or_insert(unknown);
        let earlier = turn.place < begin.place;
        *begin = Begin { place: turn.place.min(begin.place), heard: true, ..*begin };
        earlier
    }

    /// Learns what a survey of these bindings has found, beside which `end` was the last number that was given. Says whether
    /// there is something new.
    pub(super) fn surveyed(&mut self, bindings: &[(i32, u8)], end: i64, found: Vec<Turn>) -> bool {
        self.rings.retain(|binding, _| bindings.iter().any(|it| it.0 == *binding));
        self.news.get_or_insert_with(|| Reading::at(end));
        let mut some = false;
        for turn in found {
            some |= self.learn(turn);
        }
        some
    }

    /// From which number on to look for new jobs.
    pub(super) fn news(&mut self) -> Option<i64> {
        self.news.as_mut().map(|news| news.begin(Instant::now()))
    }

    /// Learns of new jobs, which were looked for from `from` on when `end` was the last number that was given. Says whether
    /// there may be more.
    pub(super) fn heard(&mut self, from: i64, end: i64, found: Vec<Turn>) -> bool {
        for turn in found {
            self.learn(turn);
        }
        let Some(news) = &mut self.news else { return false };
        if end + 1 < from {
            // Numbers that were given shortly before a crash are given again.
            *news = Reading::at(end);
            return false;
        }
        news.read_to((end + 1).min(from + MOST_NEWS));
        end >= from + MOST_NEWS
    }
}

/// Their places, by key and priority.
fn places(turns: &[Turn]) -> HashMap<(&str, u8), i64> {
    turns.iter().map(|turn| ((turn.fair.as_str(), turn.priority), turn.place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Claimed;

    fn turn(fair: &str, place: i64) -> Turn {
        Turn { binding: 1, fair: fair.to_owned(), priority: 0, place }
    }

    fn taken(fair: &str, place: i64) -> (Claimed, String) {
        let job = Claimed {
            id: place,
            binding: 1,
            priority: 0,
            place,
            key: None,
            input: None,
            attempt: 1,
            failures: 0,
            waited: std::time::Duration::ZERO,
            has_steps: false,
            alone: false,
        };
        (job, fair.to_owned())
    }

    fn turns(all: &[(&str, i64)]) -> Turns {
        let mut turns = Turns::default();
        for (fair, place) in all {
            assert!(turns.learn(turn(fair, *place)));
        }
        turns
    }

    fn next(turns: &mut Turns) -> Vec<Turn> {
        turns.next(1, 2, false).turns
    }

    fn came_to(taken: Vec<(Claimed, String)>, stays: Vec<Turn>) -> Limited {
        Limited { looked: true, taken, stays, first_seat: Some(7), ..Limited::default() }
    }

    #[test]
    fn every_other_look_at_a_turn_that_is_too_long_for_one_goes_on_where_the_last_one_ended() {
        let mut turns = turns(&[("a", 1)]);
        let mut look = |wanted: i64, cut: Option<i64>| {
            let look = turns.next(1, 2, false);
            assert_eq!(look.turns, [turn("a", wanted)]);
            let cuts = cut.map(|place| turn("a", place)).into_iter().collect();
            let limited = Limited { cuts, ..came_to(Vec::new(), vec![turn("a", wanted)]) };
            turns.passed(1, &look, &limited);
        };
        look(1, Some(500));
        look(500, Some(900));
        look(1, Some(500));
        look(900, None);
        // It has ended.
        look(1, Some(500));
        look(500, Some(900));
        look(1, None);
        look(1, None);
    }

    #[test]
    fn a_look_begins_behind_what_was_taken_and_with_what_stayed() {
        let mut turns = turns(&[("a", 1), ("b", 2), ("c", 3)]);
        let look = turns.next(1, 6, false);
        assert_eq!((look.turns.len(), look.depth, look.first_seat), (3, 2, 0));
        let (jobs, stays) = (vec![taken("a", 4), taken("a", 9), taken("b", 5)], vec![turn("b", 2)]);
        turns.passed(1, &look, &came_to(jobs, stays));
        // Nothing is queued of the third. The first had the last turn.
        assert_eq!(next(&mut turns), [turn("b", 2), turn("a", 10)]);
        assert_eq!(turns.next(1, 1, false).first_seat, 7);
    }

    #[test]
    fn what_was_learned_during_a_look_is_not_forgotten() {
        let mut turns = turns(&[("a", 5), ("b", 5)]);
        let look = turns.next(1, 2, false);
        assert!(turns.learn(turn("a", 3)));
        assert!(!turns.learn(turn("a", 4)));
        turns.passed(1, &look, &came_to(vec![taken("a", 8)], Vec::new()));
        assert_eq!(next(&mut turns), [turn("a", 3)]);
    }

    #[test]
    fn a_turn_of_which_a_job_was_seen_during_a_look_is_not_forgotten() {
        let mut turns = turns(&[("a", 5)]);
        let look = turns.next(1, 2, false);
        assert!(!turns.learn(turn("a", 6)));
        turns.passed(1, &look, &came_to(Vec::new(), Vec::new()));
        let look = turns.next(1, 2, false);
        assert_eq!(look.turns, [turn("a", 5)]);
        turns.passed(1, &look, &came_to(Vec::new(), Vec::new()));
        assert_eq!(next(&mut turns), []);
    }

    #[test]
    fn who_has_too_many_keys_without_room_rests() {
        let (mut turns, now) = (turns(&[("a", 5)]), Instant::now());
        assert_eq!(turns.rest(1, now), None);
        let rest = turns.take_rest(1, now - Duration::from_secs(1));
        assert!(rest >= Duration::from_secs(4));
        assert!(turns.rest(1, now).is_some());
        assert_eq!(turns.rest(1, now + rest * 2), None);
    }

    #[test]
    fn there_is_room_when_the_first_beginning_is_over() {
        let mut turns = turns(&[("a", 5)]);
        let look = turns.next(1, 2, false);
        assert_eq!(turns.room_in(1, Duration::from_secs(60)), None);
        turns.passed(1, &look, &came_to(vec![taken("a", 5)], vec![turn("a", 6)]));
        let room = turns.room_in(1, Duration::from_secs(60)).unwrap();
        assert!(room > Duration::ZERO && room <= Duration::from_secs(60));
        assert_eq!(turns.room_in(1, Duration::ZERO), None);
    }

    #[test]
    fn who_could_not_look_has_learned_nothing() {
        let mut turns = turns(&[("a", 5), ("b", 5)]);
        let look = turns.next(1, 2, false);
        turns.passed(1, &look, &Limited::default());
        assert_eq!(next(&mut turns), [turn("a", 5), turn("b", 5)]);
    }

    #[test]
    fn new_jobs_are_read_once_and_no_more_than_so_many_at_a_time() {
        let mut turns = Turns::default();
        assert_eq!(turns.news(), None);
        turns.surveyed(&[(1, 0)], 100_000, Vec::new());
        let from = turns.news().unwrap();
        assert!(from <= 100_000);
        assert!(turns.heard(from, 200_000, vec![turn("a", 100_001)]));
        assert_eq!(turns.news(), Some(from + MOST_NEWS));
        assert!(!turns.heard(200_001, 200_000, Vec::new()));
        // Numbers went back.
        turns.heard(200_001, 150_000, Vec::new());
        assert!(turns.news().unwrap() <= 150_000);
    }
}
