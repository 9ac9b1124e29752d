//! Every key of the configuration, on one screen: its kind, its default, its range, and what it is for.
//!
//! This is the only place a key is written. The field of [`Config`], the flag (`--stream-keepalive`), the environment
//! variable (`GAPLESS_STREAM_KEEPALIVE`), the key of the file (`keepalive` under `[stream]`) and the line of `--help`
//! (the first paragraph here) all come from it. Keys of the first section stand at the top: `--listen`, `listen`.

use super::{
    access::{IssuerList, TokenList, TopicFilter},
    kinds::{
        Count, DurationText, EngineKind, FilePath, LogFilter, LogFormat, Maybe, Milliseconds, Path, Shards, Size,
        Switch, ValueKind,
    },
    list::ListOf,
    listen::{Listen, Mode},
    names::{AcmeDirectory, AllowedOrigin, Contact, Domain, Forwarded, Network, Token},
    resolve::Resolver,
    rules::RuleList,
    table::{ConfigKey, settings},
};

settings! {
    /// Hub
    hub: Hub {
        /// Addresses to listen on; port 0 takes a free one
        ///
        /// Several with commas: IP addresses, localhost:PORT (both families), unix:PATH (a socket file).
        listen: ListOf<Listen> = "127.0.0.1:8080";
        /// Permissions of socket files
        ///
        /// Who may connect to unix:PATH. The hub's user and group, because a proxy is put into the group.
        unix_mode: Mode = "0660";
        /// Directory of the store; made when missing
        data: Path = "./gapless-data";
        /// Keeper of the logs: sled (on disk) or memory (forgets)
        engine: EngineKind = "sled";
        /// Serve whoever reaches the address, without authentication
        ///
        /// Needed beyond the loopback, and behind a proxy, when no credential is configured; then the hub also answers to any
        /// name. Means nothing once a credential is configured.
        open: Switch = "false";
        /// Threads that serve connections; auto is one a core
        shards: Shards = "auto", "1"..="1024";
        /// Time streams have to end after SIGTERM or SIGINT
        ///
        /// Ten seconds, because process managers kill after 10 (docker) to 90 (systemd).
        drain: DurationText = "10s", "0s"..="10m";
    }

    /// Streams
    stream: Stream {
        /// Wait before a client reconnects
        ///
        /// A topic, or an event, may say otherwise.
        retry: Milliseconds = "3s", "100ms"..="1d";
        /// Silence before a keepalive is sent
        ///
        /// Proxies and phone networks cut after 30 to 60 s; the HTML standard recommends "every 15 seconds or so".
        keepalive: DurationText = "15s", "1s"..="10m";
        /// Time a reader may stall before it is cut
        ///
        /// It resumes without loss when it reconnects.
        write_timeout: DurationText = "30s", "1s"..="1h";
        /// Topics and patterns of one stream
        ///
        /// A thousand of them is 100 to 400 KiB, once for all streams that ask for the same.
        topics: Count = "1000", "1"..="100000";
        /// Newest frames of one selection in memory
        ///
        /// A reader within them costs no read of the disk: at 200 bytes an event, the last five thousand.
        ring_bytes: Size = "1MiB", "4KiB"..="1GiB";
        /// Newest frames of all selections in memory
        ring_bytes_total: Size = "256MiB", "1MiB"..="64GiB";
        /// Events in one read of the log
        page_events: Count = "1000", "1"..="100000";
        /// Data in one read of the log
        ///
        /// Each replaying stream holds one at a time: a thousand of them hold 64 MiB. More than what a socket's buffer
        /// takes at once would only wait in memory.
        page_bytes: Size = "64KiB", "4KiB"..="64MiB";
    }

    /// Connections
    http: Http {
        /// Connections at once
        ///
        /// Beyond, a newcomer is told to come back. Below the 20,000 descriptors that a service is usually given, with room for the store's files.
        /// Where the limit on open files is lower, as many as fit.
        connections: Count = "16000", "1"..="10000000";
        /// Time for a request's head to arrive
        header_timeout: DurationText = "30s", "1s"..="10m";
        /// Time a connection may idle between requests
        ///
        /// Above the 60 s for which nginx, and most load balancers, keep an idle connection: whoever sends the next request on
        /// it must be the one that closes it first, or a request meets a closing connection and is lost (502).
        idle_timeout: DurationText = "75s", "1s"..="1h";
        /// Silence inside a body before it is given up
        body_timeout: DurationText = "30s", "1s"..="1h";
        /// Least bytes a second of a body
        ///
        /// On average; a slow start, or a pause, of `body_timeout` is let pass. 64 kbit/s: a slow mobile line.
        body_rate: Size = "8KiB", "1"..="1GiB";
        /// Longest line of a request's head
        header_line_bytes: Size = "8KiB", "1KiB"..="1MiB";
        /// Longest head of a request
        header_bytes: Size = "64KiB", "8KiB"..="1MiB";
        /// Requests at once on one HTTP/2 connection
        ///
        /// A page's hundred streams and some publishes beside them.
        h2_streams: Count = "128", "1"..="10000";
        /// Proxies trusted for client addresses
        trusted_proxies: ListOf<Network> = "none";
        /// Header that names the client
        ///
        /// x-forwarded-for or forwarded: the one your proxy sets, because a client can write the other.
        forwarded: Forwarded = "x-forwarded-for";
    }

    /// TLS
    tls: Tls {
        /// Certificate chain, PEM; the hub speaks TLS
        ///
        /// Looked at every ten seconds, and at SIGHUP.
        cert: Maybe<FilePath> = "none";
        /// Private key of the certificate, PEM
        key: Maybe<FilePath> = "none";
        /// Domains to get certificates for by ACME
        acme: ListOf<Domain> = "none";
        /// Who ACME may write to about them
        acme_contact: ListOf<Contact> = "none";
        /// Directory of the ACME service
        ///
        /// A URL, or letsencrypt, or letsencrypt-staging.
        acme_directory: AcmeDirectory = "letsencrypt";
        /// Root certificates of the ACME service
        acme_roots: Maybe<FilePath> = "none";
    }

    /// Access
    access: Access {
        /// Static tokens
        ///
        /// Each a table with name, sha256, publish, subscribe and admin.
        tokens: TokenList = "[]";
        /// Issuers of JWTs
        ///
        /// Each a table with issuer, audience, algorithms, and key, key_file or jwks.
        issuers: IssuerList = "[]";
        /// Topics anyone may publish to
        anyone_publish: ListOf<TopicFilter> = "none";
        /// Topics anyone may subscribe to
        anyone_subscribe: ListOf<TopicFilter> = "none";
        /// File of revoked credentials
        revoked: Maybe<FilePath> = "none";
        /// Difference of clocks allowed for
        leeway: DurationText = "5s", "0s"..="5m";
        /// Cookie that may carry a token
        cookie: Maybe<Token> = "gapless";
        /// Take ?access_token= to subscribe
        ///
        /// For EventSource on another site, which can send neither header nor cookie. URLs end up in proxies' logs.
        query_subscribe: Switch = "true";
        /// Take ?access_token= to publish
        query_publish: Switch = "false";
    }

    /// Other sites
    cors: Cors {
        /// Origins whose pages may use the hub
        ///
        /// Exact, as `https://app.example`; with `*` as the first label or as the port, as `https://*.example`,
        /// `http://localhost:*`; `null`; or `*`, any.
        origins: ListOf<AllowedOrigin> = "none";
        /// Let those pages use cookies
        credentials: Switch = "false";
        /// Time a browser may remember a preflight
        max_age: DurationText = "10m", "0s"..="1d";
    }

    /// Limits
    limits: Limits {
        /// Connections of one address
        address_connections: Maybe<Count> = "none", "1"..="10000000";
        /// Streams of one address
        address_streams: Maybe<Count> = "none", "1"..="10000000";
        /// Events published a second by one address
        address_events: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Data published a second by one address
        address_bytes: Maybe<Size<u32>> = "none", "1KiB"..="1GiB";
        /// Streams of one holder of a token
        holder_streams: Maybe<Count> = "none", "1"..="10000000";
        /// Events published a second by one holder
        holder_events: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Data published a second by one holder
        holder_bytes: Maybe<Size<u32>> = "none", "1KiB"..="1GiB";
        /// Topics made an hour by one holder
        holder_topics: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Bad credentials a second of one address
        ///
        /// Beyond, its next ones are not looked at; those that were found good before still are.
        bad_credentials: Count<u32> = "20", "1"..="1000000";
    }

    /// Operators
    admin: Admin {
        /// Addresses for stats and metrics alone
        listen: ListOf<Listen> = "none";
    }

    /// Publishing
    publish: Publish {
        /// Data of one event
        event_bytes: Size = "1MiB", "1KiB"..="64MiB";
        /// Body of one batch
        batch_bytes: Size = "16MiB", "1KiB"..="256MiB";
        /// Bodies that are not yet durable
        ///
        /// Of all publishers together. One address, and one holder of a token, has at most half of what is free; beyond, it is told to come back.
        inflight_bytes: Size = "64MiB", "1MiB"..="16GiB";
        /// Time an Idempotency-Key is remembered
        idempotency_window: DurationText = "10m", "1s"..="7d";
        /// Idempotency-Keys remembered
        ///
        /// A batch to many topics counts as several. Half of them for one client; beyond, keyed publishes are told to come back. Four hundred keyed publishes a second for the whole window, in about 60 MB of memory.
        idempotency_keys: Count = "250000", "1"..="100000000";
    }

    /// Retention
    retention: Retention {
        /// Events a topic keeps; none is no limit
        max_events: Maybe<Count<u64>> = "none", "1"..="1000000000000";
        /// Age of a topic's events; none is no limit
        max_age: Maybe<DurationText> = "none", "1ms"..="36500d";
        /// Data a topic keeps; none is no limit
        max_bytes: Maybe<Size<u64>> = "none", "1"..="1024TiB";
        /// Limits by topic or pattern; first match wins
        rules: RuleList = "[]";
    }

    /// Store
    store: Store {
        /// Data all topics keep together; oldest go first
        ///
        /// Finite, because topics keep everything by default and the disk does not.
        max_bytes: Maybe<Size<u64>> = "10GiB", "1MiB"..="1024TiB";
        /// Size at which a new segment starts
        ///
        /// Space comes back a segment at a time: smaller frees sooner, larger copies less.
        rotate_bytes: Size<u64> = "256MiB", "1MiB"..="4GiB";
        /// Age at which a new segment starts
        rotate_age: DurationText = "1h", "1s"..="30d";
        /// Free space below which publishes are refused
        ///
        /// sled needs room to finish what it has begun; a full disk under it poisons the store.
        reserve_bytes: Size<u64> = "128MiB", "0"..="1TiB";
    }

    /// Log
    log: Log {
        /// What is logged: a level, or a filter as in RUST_LOG
        level: LogFilter = "info";
        /// How it is logged, to stderr: text or json
        format: LogFormat = "text";
    }
}
