//! Receipts as JSON: `{"topic","id","time","subscribers"}`.
//!
//! Written without serde, because most receipts differ from the one before them only in the number of the id.

use std::io::Write;

use serde::Serialize;

use crate::{
    event::{Epoch, Millis, TopicName},
    http::message::{json_text, problem::Problem},
    hub::Acknowledgment,
};

/// Initial capacity for a receipt and its line feed, in bytes: enough for a topic name of ordinary length.
pub(super) const RECEIPT_BYTES: usize = 128;

/// Writes receipts. Keeps the parts that the next receipt is likely to share.
#[derive(Debug, Default)]
pub(super) struct ReceiptWriter {
    /// `{"topic":"…","id":"<epoch>-` for the topic and the epoch of the previous receipt.
    head: (Option<(TopicName, Epoch)>, Vec<u8>),
    /// `","time":"…","subscribers":` for the time of the previous receipt.
    time: (Option<Millis>, Vec<u8>),
}

impl ReceiptWriter {
    /// Appends a receipt.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, Acknowledgment { receipt, subscribers }: &Acknowledgment) {
        let (previous, head) = &mut self.head;
        if previous.as_ref().is_none_or(|(topic, epoch)| *topic != receipt.topic || *epoch != receipt.epoch) {
            head.clear();
            head.extend_from_slice(b"{\"topic\":");
            json_text::write(head, &receipt.topic.as_str());
            head.extend_from_slice(b",\"id\":\"");
            head.extend_from_slice(receipt.epoch.as_str().as_bytes());
            head.push(b'-');
            *previous = Some((receipt.topic.clone(), receipt.epoch));
        }
        let (time, after) = &mut self.time;
        if *time != Some(receipt.time) {
            after.clear();
            write!(after, "\",\"time\":\"{}\",\"subscribers\":", receipt.time).expect("memory");
            *time = Some(receipt.time);
        }
        out.extend_from_slice(head);
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(receipt.seq.0).as_bytes());
        out.extend_from_slice(after);
        out.extend_from_slice(digits.format(*subscribers).as_bytes());
        out.push(b'}');
    }

    /// `{"events":[…]}`, the response to a batch.
    pub(super) fn list(&mut self, receipts: &[Acknowledgment]) -> Vec<u8> {
        let mut out = b"{\"events\":[".to_vec();
        for (n, receipt) in receipts.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            self.write(&mut out, receipt);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// The line in place of a receipt when a line of a stream is refused: `{"error":{…problem…}}`.
#[derive(Serialize)]
struct RefusedLine<'a> {
    error: &'a Problem,
}

/// Appends the line in place of a receipt.
pub(super) fn write_refusal(out: &mut Vec<u8>, problem: &Problem) {
    json_text::write(out, &RefusedLine { error: problem });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{engine::Receipt, event::Seq};

    #[test]
    fn each_receipt_has_its_own_fields() {
        let receipt_of = |epoch, topic: &str, seq, time, subscribers| Acknowledgment {
            receipt: Receipt {
                topic: TopicName::new(topic).expect("valid"),
                epoch: Epoch::new(epoch).expect("valid"),
                seq: Seq(seq),
                time: Millis(time),
            },
            subscribers,
        };
        let receipt = |topic: &str, seq, time, subscribers| receipt_of("abcd", topic, seq, time, subscribers);
        let all = [
            receipt("a", 1, 0, 0),
            receipt("a", 2, 0, 3),
            receipt("a\"\\b", 3, 0, 0),
            receipt("a\"\\b", u64::MAX, 1_000, u32::MAX),
            receipt("a", 5, 1_000, 0),
            receipt_of("efgh", "a", 1, 1_000, 0),
            receipt("a", 6, 1_000, 0),
        ];
        let list = ReceiptWriter::default().list(&all);
        let parsed: Value = serde_json::from_slice(&list).expect("JSON");
        let want = |Acknowledgment { receipt, subscribers }: &Acknowledgment| {
            json!({
                "topic": receipt.topic.as_str(),
                "id": format!("{}-{}", receipt.epoch, receipt.seq),
                "time": receipt.time.to_string(),
                "subscribers": subscribers,
            })
        };
        assert_eq!(parsed, json!({ "events": all.iter().map(want).collect::<Vec<_>>() }));
    }
}
