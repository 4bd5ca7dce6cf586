//! The hash of a person in SQL: the key comes with each statement, so that no connection keeps an old one.

use crate::domain::{Number, OptOutKey};
use rusqlite::{Connection, Error, functions::FunctionFlags};

/// The hash of the person with this number, an SQL expression.
macro_rules! person {
    ($number:literal) => {
        concat!("person_hash((SELECT key FROM opt_out_key), ", $number, ")")
    };
}
pub(super) use person;

/// Defines the SQL function of [`OptOutKey::hash`].
pub(super) fn define(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("person_hash", 2, flags, |context| {
        let wrong = |error: String| Error::UserFunctionError(error.into());
        let key: OptOutKey = context.get_raw(0).as_str()?.parse().map_err(|_| wrong("no key".into()))?;
        let number = u64::try_from(context.get::<i64>(1)?).ok().and_then(|number| number.try_into().ok());
        let number: Number = number.ok_or_else(|| wrong("no phone number".into()))?;
        Ok(key.hash(number).bytes().to_vec())
    })
}
