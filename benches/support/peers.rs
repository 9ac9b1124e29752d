//! Mercure and Centrifugo as processes: how each is started, and the credentials of the requests to it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gapless::load::dialect::AuthorizationHeader;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::contender::{built, sources};

/// The secret that publishers and the server share; of the length that HS256 requires.
const KEY: &str = "gapless-benches-gapless-benches-gapless-benches";

/// Where Mercure keeps events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In a file, each event synced before it is acknowledged and delivered; its default.
    Bolt,
    /// Not at all.
    Local,
}

/// Where Centrifugo keeps its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// In its own memory; its default.
    Memory,
    /// In a Redis, with or without its append-only file.
    Redis(Aof),
}

/// Redis' `appendonly` and `appendfsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aof {
    /// `appendonly no`: Redis' default.
    No,
    /// `everysec`: up to a second of events is lost with the machine.
    EverySecond,
    /// `always`: synced before the reply.
    Always,
}

/// Mercure, with its store in `dir`.
///
/// Its documentation recommends nothing for speed but a high limit of open files
/// (<https://mercure.rocks/docs/hub/cookbooks>), which `rounds::raise_limit` makes. A history without a limit is its
/// default, and the fastest: nothing is trimmed.
///
/// # Errors
/// When it is not built.
pub(crate) fn mercure(transport: Transport, dir: &Path) -> Result<Command, String> {
    let mut command = Command::new(built("bin/mercure")?);
    command.arg(if transport == Transport::Bolt { "bolt" } else { "local" }).arg(KEY).arg(dir);
    Ok(command)
}

/// Centrifugo on `port`, its history in its memory or in the Redis on the port `redis`.
///
/// What its documentation recommends for speed is of the machine (<https://centrifugal.dev/docs/server/infra_tuning>):
/// room for open files, which `rounds::raise_limit` makes. Three limits are above their defaults, so that what a bench
/// asks for can be recovered: `recovery_max_publication_limit`; `queue_max_size`, for it comes in one message; and
/// Redis' `io_timeout` (<https://centrifugal.dev/docs/server/history_and_recovery>).
///
/// # Errors
/// When it is not built.
pub(crate) fn centrifugo(dir: &Path, port: u16, redis: Option<u16>) -> Result<Command, String> {
    let mut config = centrifugo_config(port);
    if let Some(redis) = redis {
        let address = format!("redis://127.0.0.1:{redis}");
        config["engine"] = json!({ "type": "redis", "redis": { "address": [address], "io_timeout": "30s" } });
    }
    centrifugo_with(&config, &dir.join("centrifugo.json"))
}

/// Centrifugo on `port`, over the NATS servers at `urls`, which carry events to its other nodes and keep none
/// (<https://centrifugal.dev/docs/server/engines>).
///
/// # Errors
/// When it is not built.
pub(crate) fn centrifugo_over_nats(dir: &Path, port: u16, urls: &[String]) -> Result<Command, String> {
    let mut config = centrifugo_config(port);
    config["broker"] = json!({ "enabled": true, "type": "nats", "nats": { "url": urls.join(",") } });
    let channels = config["channel"]["without_namespace"].as_object_mut().expect("ours");
    channels.retain(|option, _| option.starts_with("allow_"));
    centrifugo_with(&config, &dir.join("centrifugo.json"))
}

fn centrifugo_config(port: u16) -> Value {
    let text = fs::read_to_string(sources().join("centrifugo.json")).expect("ours");
    let mut config: Value = serde_json::from_str(&text).expect("ours");
    config["http_server"]["port"] = port.into();
    config["http_api"]["key"] = KEY.into();
    config
}

fn centrifugo_with(config: &Value, file: &Path) -> Result<Command, String> {
    let mut command = Command::new(built("bin/centrifugo")?);
    fs::write(file, config.to_string()).expect("a fresh directory");
    command.arg("--config").arg(file);
    Ok(command)
}

/// Redis on `port` of the loopback (<https://redis.io/docs/latest/operate/oss_and_stack/management/persistence>), with
/// its files in `dir` and nothing but the append-only file.
///
/// # Errors
/// When there is none.
pub(crate) fn redis(aof: Aof, dir: &Path, port: u16) -> Result<Command, String> {
    let program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from);
    let program = program.into_iter().find(|path| path.exists());
    let mut command = Command::new(program.ok_or("redis-server is not installed: benches/contenders/install.sh")?);
    let (append, sync) = match aof {
        Aof::No => ("no", "no"),
        Aof::EverySecond => ("yes", "everysec"),
        Aof::Always => ("yes", "always"),
    };
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"]);
    command.args(["--appendonly", append, "--appendfsync", sync, "--loglevel", "warning", "--dir"]).arg(dir);
    command.stdout(Stdio::null());
    Ok(command)
}

/// The credential for Mercure: a JWT that may publish to and read everything, for an hour.
pub(crate) fn mercure_token() -> AuthorizationHeader {
    let rights = json!({ "publish": ["*"], "subscribe": ["*"] });
    let claims = json!({ "mercure": rights, "exp": get_current_timestamp() + 3600 });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(KEY.as_bytes())).expect("a key");
    AuthorizationHeader::new(&format!("Bearer {token}"))
}

/// The credential for Centrifugo's API. Its streams are anonymous and ignore it.
pub(crate) fn centrifugo_key() -> AuthorizationHeader {
    AuthorizationHeader::new(&format!("apikey {KEY}"))
}
