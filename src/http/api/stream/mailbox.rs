//! How one core asks the others about their open streams. Streams stay on their core and have no locks, so each core
//! has a mailbox, and answers between its other tasks.

use std::{rc::Rc, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    open_streams::{ShardPage, StreamId, StreamQuery},
    shard::StreamShard,
};

/// Questions that wait for one core: more operators at once wait in their own tasks.
const MAILBOX: usize = 4;

/// How long the answers of all cores may take. A core looks at 100,000 streams in some 100 ms.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A question to one core, and where its answer goes.
#[derive(Debug)]
pub enum StreamQuestion {
    /// The core's part of a page.
    List(Arc<StreamQuery>, oneshot::Sender<ShardPage>),
    /// End the stream with this number: is there one?
    End(u64, oneshot::Sender<bool>),
    /// End all streams of this holder: how many are ended now?
    EndAll(Arc<str>, oneshot::Sender<u64>),
}

/// The mailboxes of all cores.
#[derive(Debug)]
pub struct StreamMailboxes {
    senders: Box<[mpsc::Sender<StreamQuestion>]>,
    /// Until a core takes its own.
    receivers: Mutex<Vec<Option<mpsc::Receiver<StreamQuestion>>>>,
}

/// A core has not answered in time, or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not all cores have answered")]
pub struct Unanswered;

impl StreamMailboxes {
    /// The mailboxes of as many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..cores)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(MAILBOX);
                (sender, Some(receiver))
            })
            .unzip();
        Self { senders: senders.into(), receivers: Mutex::new(receivers) }
    }

    /// The mailbox of a core, once.
    pub fn take(&self, core: usize) -> Option<mpsc::Receiver<StreamQuestion>> {
        self.receivers.lock().get_mut(core)?.take()
    }

    /// A page of the open streams of all cores, in order, at most [`StreamQuery::limit`] of them; whether there are more;
    /// and how many are meant in total. Each core answers for a moment of its own. Cancel safe.
    ///
    /// # Errors
    /// When a core does not answer.
    pub async fn list(&self, query: StreamQuery) -> Result<(ShardPage, bool), Unanswered> {
        let query = Arc::new(query);
        let parts = ask(&self.senders, |answer| StreamQuestion::List(Arc::clone(&query), answer)).await?;
        let mut page = ShardPage::default();
        for part in parts {
            page.total += part.total;
            page.streams.extend(part.streams);
        }
        page.streams.sort_unstable_by_key(|stream| stream.place);
        let more = page.streams.len() > query.limit;
        page.streams.truncate(query.limit);
        Ok((page, more))
    }

    /// Ends a stream. Returns whether there is one with this id. Resolves when its task is told, not when it has ended.
    ///
    /// # Errors
    /// When its core does not answer.
    pub async fn end(&self, id: StreamId) -> Result<bool, Unanswered> {
        let Some(core) = self.senders.get(id.shard) else { return Ok(false) };
        let answers = ask(std::slice::from_ref(core), |answer| StreamQuestion::End(id.number, answer)).await?;
        Ok(answers.contains(&true))
    }

    /// Ends all streams of a holder that are open now. Returns how many that are. A core that was asked ends them also when
    /// this future is dropped.
    ///
    /// # Errors
    /// When a core does not answer.
    pub async fn end_all(&self, holder: &str) -> Result<u64, Unanswered> {
        let holder: Arc<str> = holder.into();
        let ended = ask(&self.senders, |answer| StreamQuestion::EndAll(Arc::clone(&holder), answer)).await?;
        Ok(ended.iter().sum())
    }
}

/// The answers of all these cores, which work at the same time.
async fn ask<T>(
    cores: &[mpsc::Sender<StreamQuestion>],
    question: impl Fn(oneshot::Sender<T>) -> StreamQuestion,
) -> Result<Vec<T>, Unanswered> {
    let all = async {
        let mut waiting = Vec::with_capacity(cores.len());
        for core in cores {
            let (sender, answer) = oneshot::channel();
            core.send(question(sender)).await.map_err(|_| Unanswered)?;
            waiting.push(answer);
        }
        let mut answers = Vec::with_capacity(cores.len());
        for answer in waiting {
            answers.push(answer.await.map_err(|_| Unanswered)?);
        }
        Ok(answers)
    };
    timeout(ANSWER_TIMEOUT, all).await.unwrap_or(Err(Unanswered))
}

/// Answers the questions to one core, one after another, for as long as the process lives.
pub async fn answer_questions(shard: Rc<StreamShard>, mut questions: mpsc::Receiver<StreamQuestion>) {
    while let Some(question) = questions.recv().await {
        // Who has asked may have given up.
        match question {
            StreamQuestion::List(query, answer) => {
                let page = shard.list(&query, || answer.is_closed()).await;
                drop(answer.send(page));
            }
            StreamQuestion::End(number, answer) => drop(answer.send(shard.end(number).await)),
            StreamQuestion::EndAll(holder, answer) => drop(answer.send(shard.end_all(&holder).await)),
        }
    }
}
