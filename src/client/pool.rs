//! STUB for type checking; replaced by the helper's.
use bytes::Bytes;
use http_body_util::Full;
/// x
#[derive(Debug)]
pub struct PooledClient;
/// x
#[derive(Debug)]
pub struct PooledBody;
/// x
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// x
    #[error("{0}")]
    NotSent(String),
    /// x
    #[error("{0}")]
    Unknown(String),
}
impl PooledClient {
    /// x
    pub async fn send(&self, _request: http::Request<Full<Bytes>>) -> Result<http::Response<PooledBody>, SendError> {
        unimplemented!()
    }
}
impl PooledBody {
    /// x
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        unimplemented!()
    }
}
