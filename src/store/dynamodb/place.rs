//! Where free TNs lie, so that one look finds one in a small pool and no part of a large one gets hot.
//!
//! The first [`IN_ONE_PART`] TNs of the pool lie in one part, and the others in any of [`table::SHARDS`]. A partition
//! takes 1,000 writes a second, which is 250 sessions that open and end; a thousand TNs carry so many only if these last
//! four seconds.
//!
//! About how large the pool is says an item that is read along with others, and that counts the numbers which end in
//! 00, one in a hundred: thousands that are added at the same time do not queue up at it.

use super::{
    Dynamo,
    change::Change,
    item::{Item, VERSION, int, phone},
    table::{self, Key},
};
use crate::{domain::Number, store::Result};
use std::{
    fmt::{Display, Formatter, Result as Formatted},
    str::FromStr,
    sync::atomic::Ordering,
};

/// How many TNs lie in the first part before any lie elsewhere.
const IN_ONE_PART: u64 = 1_000;

/// Where a free TN lies: in which part of the draw, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) part: u32,
    pub(super) within: String,
}

impl Place {
    /// A place for one more TN of a pool of this size.
    pub(super) fn next(pool_size: u64) -> Self {
        let part = if pool_size < IN_ONE_PART { 0 } else { rand::random_range(0..table::SHARDS) };
        Self { part, within: format!("{:016x}", rand::random::<u64>()) }
    }

    /// A random place in a pool of this size: a part is as likely as TNs are that lie there.
    pub(super) fn random(pool_size: u64) -> Self {
        Self::next(rand::random_range(0..pool_size.max(1)))
    }

    pub(super) fn key(&self) -> Key {
        table::free(self.part, &self.within)
    }

    /// The entry of a free TN.
    pub(super) fn item(&self, tn: Number) -> Item {
        let mut item = Item::new(self.key());
        item.set("tn_number", phone(tn));
        item
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        write!(f, "{}#{}", self.part, self.within)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (part, within) = text.split_once('#').ok_or(())?;
        Ok(Self { part: part.parse().map_err(drop)?, within: within.to_owned() })
    }
}

/// What counts a TN that is added, or one that is removed, if it is one of those that are counted.
pub(super) fn counting(tn: Number, by: i64) -> Option<Change> {
    let count = "SET item_version = if_not_exists(item_version, :version) ADD hundreds :by";
    let change = Change::update(table::pool(), count).with("version", int(VERSION)).with("by", int(by));
    tn.digits().ends_with("00").then_some(change)
}

impl Dynamo {
    /// About how many TNs the pool has, by the item that counts them. The process remembers it.
    pub(super) fn learn_pool_size(&self, counted: Option<&Item>) -> Result<u64> {
        let hundreds = counted.map_or(Ok(None), |item| item.some_int("hundreds"))?.unwrap_or(0);
        let size = u64::try_from(hundreds).unwrap_or(0) * 100;
        self.pool_size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    /// A random place for a TN that becomes free, by the size of the pool when this process last read it.
    pub(super) fn place_again(&self) -> Place {
        Place::random(self.pool_size.load(Ordering::Relaxed))
    }
}
