//! The places of TNs in the free list.
//!
//! The first [`SINGLE_SHARD_LIMIT`] TNs of the pool are in one shard, so that in a small pool one query finds a free one.
//! The others are in any of [`keys::FREE_SHARDS`], because a shard takes 250 sessions a second, at four transactional
//! write units each.
//!
//! The size estimate decides only in which shard a TN is put and in which shard a search begins. Every search covers all
//! shards before it finds that no TN is free.

use super::{
    item::{Attribute, Item},
    keys::{self, Key},
};
use crate::domain::Number;
use aws_sdk_dynamodb::types::AttributeValue;

/// The size of the pool from which on TNs are put in all shards.
const SINGLE_SHARD_LIMIT: u64 = 1_000;
/// One number in 97 is counted, so that thousands that are added together do not contend. It is chosen by the remainder and
/// not by the last digits, because round numbers are sold separately.
pub(super) const SAMPLE_RATE: u64 = 97;

/// An entry of the free list: its shard, and its random sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FreeSlot {
    pub(super) shard: u32,
    pub(super) sort_key: String,
}

impl FreeSlot {
    /// A slot for one more TN of a pool of this size.
    pub(super) fn next(pool_size: u64) -> Self {
        let shard = if pool_size < SINGLE_SHARD_LIMIT { 0 } else { rand::random_range(0..keys::FREE_SHARDS) };
        Self { shard, sort_key: format!("{:016x}", rand::random::<u64>()) }
    }

    /// A random slot in a pool of this size: each shard is as likely as its share of the TNs.
    pub(super) fn random(pool_size: u64) -> Self {
        // Up to this many were added since the last counted one.
        Self::next(rand::random_range(0..pool_size.saturating_add(SAMPLE_RATE)))
    }

    pub(super) fn key(&self) -> Key {
        keys::free(self.shard, &self.sort_key)
    }

    /// The entry of a free TN.
    pub(super) fn item(&self, tn: Number) -> Item {
        Item::new(&self.key()).with("tn_number", tn)
    }
}

impl Attribute for FreeSlot {
    fn write(&self) -> Option<AttributeValue> {
        format!("{}#{}", self.shard, self.sort_key).write()
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        let (shard, sort_key) = value?.as_s().ok()?.split_once('#')?;
        Some(Self { shard: shard.parse().ok()?, sort_key: sort_key.to_owned() })
    }
}
