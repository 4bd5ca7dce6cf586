//! Where free TNs lie, so that one look finds one in a small pool and no part of a large one gets hot.
//!
//! The first [`IN_ONE_PART`] TNs of the pool lie in one part, and the others in any of [`table::SHARDS`]. A partition
//! takes 1,000 write units a second, and a TN that is taken and becomes free again costs it four, in transactions. So a
//! part carries 250 sessions a second, for which a thousand TNs are enough only if sessions last less than four seconds.
//!
//! An item that is read along with others says about how large the pool is. It counts one number in [`COUNTED`], so that
//! thousands that are added at the same time do not queue up at it: the thousand may be five hundred, or two thousand.
//!
//! The size decides only where a TN is laid and where it is looked for first: all parts are looked at before anybody is
//! told that none is free. But in a pool that was large and is small now, those that lie elsewhere are drawn only while
//! none is free in the first part.

use super::{
    Dynamo,
    change::Change,
    item::{Item, VERSION, int, phone},
    table::{self, Key},
};
use crate::{domain::Number, store::Result};
use std::{fmt, str::FromStr, sync::atomic::Ordering};

/// How many TNs lie in the first part before any lie elsewhere.
const IN_ONE_PART: u64 = 1_000;
/// Of how many numbers one is counted: of each so many that follow one another. The remainder tells which, and not the
/// last digits, since round numbers are sold apart.
const COUNTED: u64 = 97;

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

    /// A random place in a pool of this size: each part is as likely as its share of the TNs.
    pub(super) fn random(pool_size: u64) -> Self {
        // Until one more is counted, others are added.
        Self::next(rand::random_range(0..pool_size.saturating_add(COUNTED)))
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// What counts a TN that is added (`by` 1) or removed (-1), if it is one of those that are counted.
pub(super) fn counting(tn: Number, by: i64) -> Option<Change> {
    let count = "SET item_version = if_not_exists(item_version, :version) ADD counted_tns :by";
    let change = Change::update(table::pool(), count).with("version", int(VERSION)).with("by", int(by));
    tn.as_u64().is_multiple_of(COUNTED).then_some(change)
}

impl Dynamo {
    /// About how many TNs the pool has, by the item that counts them. The process remembers it.
    pub(super) fn learn_pool_size(&self, pool: Option<&Item>) -> Result<u64> {
        let counted = pool.map_or(Ok(None), |item| item.some_int("counted_tns"))?.unwrap_or(0);
        let size = u64::try_from(counted).unwrap_or(0).saturating_mul(COUNTED);
        self.pool_size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    /// A random place for a TN that becomes free, by the size of the pool as this process last read it.
    pub(super) fn place_again(&self) -> Place {
        Place::random(self.pool_size.load(Ordering::Relaxed))
    }
}
