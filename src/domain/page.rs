//! Lists that are read page by page.

/// The requested part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most this many elements; `None`: the whole list.
    pub limit: Option<u32>,
    /// The `next` of the previous page.
    pub after: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Part<T> {
    /// The elements, in a stable order. The pages together have each element that existed all the time exactly once.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

impl<T> Part<T> {
    /// The page of a list that was read one element further than `limit`: the extra element shows that there is a next
    /// page.
    pub(crate) fn cut(mut items: Vec<T>, limit: Option<u32>, cursor: impl Fn(&T) -> String) -> Self {
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// The page with each element converted.
    pub(crate) fn map<U>(self, value: impl FnMut(T) -> U) -> Part<U> {
        Part { items: self.items.into_iter().map(value).collect(), next: self.next }
    }
}
