//! Who meets whom: random markets, the same ones each time.

/// Random numbers from a seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// The TNs that a market uses.
pub(super) trait Pool {
    type Session;

    /// Opens a session of these two; `None`: refused.
    async fn open(&mut self, pair: [usize; 2]) -> Option<Self::Session>;

    async fn end(&mut self, session: Self::Session);
}

/// People, and how many sessions each may have at a time.
pub(super) struct Market {
    maxima: Vec<usize>,
    /// The first so many people meet only the others; absent: anybody meets anybody.
    drivers: Option<usize>,
    /// How many of the sessions that are possible there are, in percent.
    load: usize,
}

impl Market {
    /// Anybody meets anybody; each has up to `busiest` sessions.
    pub(super) fn of_equals(people: usize, busiest: usize) -> Self {
        Self { maxima: vec![busiest; people], drivers: None, load: 95 }
    }

    /// The same, but only one person in twenty has more than two.
    pub(super) fn with_few_busy(people: usize, busiest: usize) -> Self {
        let maximum = |n| if n % 20 == 0 { busiest } else { 2 };
        Self { maxima: (0..people).map(maximum).collect(), drivers: None, load: 95 }
    }

    /// Drivers with up to `busiest` sessions, and customers, each with up to `each`, for as many as the drivers have.
    pub(super) fn of_drivers(people: usize, busiest: usize, each: usize) -> Self {
        let drivers = (people * each / (each + busiest)).max(1);
        let maximum = |n| if n < drivers { busiest } else { each };
        Self { maxima: (0..people).map(maximum).collect(), drivers: Some(drivers), load: 95 }
    }

    /// The same with half of the sessions.
    pub(super) fn half_full(self) -> Self {
        Self { load: 50, ..self }
    }

    fn most_sessions(&self) -> usize {
        let sum = |part: &[usize]| part.iter().sum::<usize>();
        match self.drivers {
            Some(drivers) => sum(&self.maxima[..drivers]).min(sum(&self.maxima[drivers..])),
            None => sum(&self.maxima) / 2,
        }
    }

    /// Two people who may have one more session.
    fn pair(&self, random: &mut Random, counts: &[usize]) -> [usize; 2] {
        let people = self.maxima.len();
        loop {
            let (a, b) = match self.drivers {
                Some(drivers) => (random.below(drivers), drivers + random.below(people - drivers)),
                None => (random.below(people), random.below(people)),
            };
            if a != b && [a, b].iter().all(|person| counts[*person] < self.maxima[*person]) {
                return [a, b];
            }
        }
    }

    /// Opens sessions until there are as many as the load says, then ends a random one before each of `more` others.
    /// Whether none was refused.
    pub(super) async fn fits(&self, pool: &mut impl Pool, more: usize) -> bool {
        let mut random = Random(1);
        let (mut live, mut counts) = (Vec::new(), vec![0; self.maxima.len()]);
        let full = self.most_sessions() * self.load / 100;
        for _ in 0..full + more {
            if live.len() == full {
                let (session, pair): (_, [usize; 2]) = live.swap_remove(random.below(live.len()));
                pool.end(session).await;
                pair.iter().for_each(|person| counts[*person] -= 1);
            }
            let pair = self.pair(&mut random, &counts);
            let Some(session) = pool.open(pair).await else { return false };
            pair.iter().for_each(|person| counts[*person] += 1);
            live.push((session, pair));
        }
        true
    }
}
