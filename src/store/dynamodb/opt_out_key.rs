//! The key of opt-outs: an item that the first caller who needs it makes.

use super::{
    Dynamo,
    change::Change,
    item::Item,
    keys::{self, Key},
};
use crate::{
    domain::{Number, OptOutKey},
    store::{Result, StoreError},
};

/// The item of this key.
fn item(key: &OptOutKey) -> Item {
    Item::new(&keys::opt_out_key()).with("opt_out_key", key.digits().to_owned())
}

/// Reads the key from its item.
pub(super) fn read(item: &Item) -> Result<OptOutKey> {
    item.get::<String>("opt_out_key")?
        .parse()
        .map_err(|_| StoreError::Unreadable("the key of opt-outs".into()))
}

impl Dynamo {
    /// The key of opt-outs.
    pub(super) async fn opt_out_key(&self) -> Result<OptOutKey> {
        if let Some(key) = self.cached_key.recent() {
            return Ok(key);
        }
        let stored = async || self.calls.get(keys::opt_out_key()).await;
        let mut found = stored().await?;
        if found.is_none() {
            let fresh = Change::insert(keys::opt_out_key(), item(&OptOutKey::random()));
            let _unless_another_made_it = self.calls.write(vec![fresh]).await?;
            found = stored().await?;
        }
        let missing = || StoreError::Unavailable("the key of opt-outs is missing".into());
        let key = read(&found.ok_or_else(missing)?)?;
        self.cached_key.keep(&key);
        Ok(key)
    }

    /// Replaces the key, which no opt-out needs yet.
    pub(super) async fn replace_opt_out_key(&self, key: &OptOutKey) -> Result<bool> {
        let is_stored = self.calls.write(vec![Change::put(item(key))]).await?.is_ok();
        self.cached_key.keep(key);
        Ok(is_stored)
    }

    /// The key of the item with a person's opt-outs.
    pub(super) async fn opt_outs_of(&self, person: Number) -> Result<Key> {
        Ok(keys::opt_outs(self.opt_out_key().await?.hash(person)))
    }
}
