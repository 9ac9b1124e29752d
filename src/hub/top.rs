//! tmp
use crate::event::TopicName;
/// tmp
#[derive(Default, Debug)]
pub struct Top {}
impl Top {
    /// t
    pub fn record(&self, _: &TopicName, _: u64, _: u64) {}
}
