//! Every key of the configuration, in one table: its kind, its default, its range, and its purpose.
//!
//! Each key is defined only here. The field of [`Config`], the flag (`--stream-keepalive`), the environment variable
//! (`GAPLESS_STREAM_KEEPALIVE`), the key in the file (`keepalive` under `[stream]`) and the line of `--help` (the first
//! paragraph here) are generated from it. Keys of the first section have no prefix: `--listen`, and `listen` at the top
//! of the file.

use super::{
    access::{IssuerList, TokenList, TopicFilter},
    kinds::{
        Count, DurationText, EngineKind, FilePath, LogFilter, LogFormat, Maybe, Milliseconds, Path, PlainText,
        ProtocolKind, Shards, Size, Switch, ValueKind,
    },
    list::ListOf,
    listen::{Listen, Mode},
    mercure::MercureUrl,
    names::{AcmeDirectory, AllowedOrigin, Contact, Domain, Forwarded, Network, Token},
    nats::{HubName, MonitorUrl, NatsServer, SubjectToken},
    otlp::{CollectorUrl, SampledShare},
    provider_key::VariableName,
    providers::{DialectKind, ProviderTables},
    resolve::Resolver,
    rules::RuleList,
    table::{ConfigKey, settings},
};

settings! {
    /// Hub
    hub: Hub {
        /// Addresses to listen on; port 0: a free one
        ///
        /// A comma-separated list of IP:PORT, localhost:PORT (both address families) and unix:PATH (a Unix socket).
        listen: ListOf<Listen> = "127.0.0.1:8080";
        /// Permissions of Unix sockets
        ///
        /// The default lets the hub's user and group connect: a reverse proxy joins the group.
        unix_mode: Mode = "0660";
        /// Directory of the store; created when missing
        data: Path = "./gapless-data";
        /// Engine: sled (disk), jetstream (NATS), memory
        ///
        /// With jetstream the log is in a NATS JetStream stream, and many hubs serve it. With memory nothing is durable.
        engine: EngineKind = "sled";
        /// Further protocols: durable-streams, mercure
        ///
        /// Each on the same topics, at paths of its own. One that is not named is not there.
        protocols: ListOf<ProtocolKind> = "none";
        /// Allow every request, without authentication
        ///
        /// Required beyond the loopback, and behind a proxy, when no credential is configured; the hub then accepts
        /// requests for any host name, too. Has no effect once a credential is configured.
        open: Switch = "false";
        /// Threads that serve connections; auto is one per core
        shards: Shards = "auto", "1"..="1024";
        /// Directory of static files to serve at /site/
        ///
        /// To everyone, without authentication. Files of up to 64 MiB; hidden ones, and links that lead out, are left out.
        site: Maybe<Path> = "none";
        /// Time for streams to end after SIGTERM or SIGINT
        ///
        /// Ten seconds, because process managers send SIGKILL after 10 s (docker) to 90 s (systemd).
        drain: DurationText = "10s", "0s"..="10m";
    }

    /// Streams
    stream: Stream {
        /// Delay before a client reconnects
        ///
        /// A topic or an event may override it.
        retry: Milliseconds = "3s", "100ms"..="1d";
        /// Idle time before a keepalive is sent
        ///
        /// Proxies and mobile networks close idle connections after 30 to 60 s; the HTML standard recommends "every 15
        /// seconds or so".
        keepalive: DurationText = "15s", "1s"..="10m";
        /// Time a client may stall before it is cut off
        write_timeout: DurationText = "30s", "1s"..="1h";
        /// Most topics and patterns of one stream
        ///
        /// A thousand take 100 to 400 KiB of memory, shared by all streams with the same selection.
        topics: Count = "1000", "1"..="100000";
        /// Memory for one selection's newest events
        ///
        /// A client whose position is among them is served without reading the disk. At 200 bytes an event, the default
        /// holds the last five thousand.
        ring_bytes: Size = "1MiB", "4KiB"..="1GiB";
        /// Memory for all selections' newest events
        ring_bytes_total: Size = "256MiB", "1MiB"..="64GiB";
        /// Most events in one read of the log
        page_events: Count = "1000", "1"..="100000";
        /// Most data in one read of the log
        ///
        /// Each replaying stream holds one such page: a thousand streams hold 64 MiB. Data that does not fit into a
        /// socket's buffer would only wait in memory.
        page_bytes: Size = "64KiB", "4KiB"..="64MiB";
    }

    /// Connections
    http: Http {
        /// Most connections at once
        ///
        /// Further clients are told to retry later. The default leaves room for the store's files below the usual limit
        /// of 20,000 open files. Where that limit is lower, as many as fit.
        connections: Count = "16000", "1"..="10000000";
        /// Time for a request's head to arrive
        header_timeout: DurationText = "30s", "1s"..="10m";
        /// Longest idle time between two requests
        ///
        /// Above the 60 s for which nginx, and most load balancers, keep an idle connection: the client side
        /// must close it first, or its next request can meet a closing connection and fail (502).
        idle_timeout: DurationText = "75s", "1s"..="1h";
        /// Time a body may stall before it is aborted
        body_timeout: DurationText = "30s", "1s"..="1h";
        /// Lowest rate of a body, in bytes a second
        ///
        /// An average; a slow start or a pause of up to `body_timeout` is tolerated. The default is 64 kbit/s, a slow
        /// mobile line.
        body_rate: Size = "8KiB", "1"..="1GiB";
        /// Longest line of a request's head
        header_line_bytes: Size = "8KiB", "1KiB"..="1MiB";
        /// Longest head of a request
        header_bytes: Size = "64KiB", "8KiB"..="1MiB";
        /// Concurrent requests on one HTTP/2 connection
        h2_streams: Count = "128", "1"..="10000";
        /// Proxies trusted for client addresses
        trusted_proxies: ListOf<Network> = "none";
        /// Header with the client's address
        ///
        /// x-forwarded-for or forwarded. Choose the one that your proxy sets, because clients can forge the other.
        forwarded: Forwarded = "x-forwarded-for";
    }

    /// TLS
    tls: Tls {
        /// Certificate chain, PEM; enables TLS
        ///
        /// Checked for changes every ten seconds, and at SIGHUP.
        cert: Maybe<FilePath> = "none";
        /// Private key of the certificate, PEM
        key: Maybe<FilePath> = "none";
        /// Domains to get certificates for by ACME
        acme: ListOf<Domain> = "none";
        /// Contacts for the ACME account
        acme_contact: ListOf<Contact> = "none";
        /// Directory of the ACME service
        acme_directory: AcmeDirectory = "letsencrypt";
        /// Root certificates of the ACME service
        acme_roots: Maybe<FilePath> = "none";
    }

    /// Access
    access: Access {
        /// Static tokens
        ///
        /// A list of tables with name, sha256, publish, subscribe, relay and admin.
        tokens: TokenList = "[]";
        /// Issuers of JWTs
        ///
        /// A list of tables with issuer, audience, algorithms, and key, key_file or jwks.
        issuers: IssuerList = "[]";
        /// Topics anyone may publish to
        anyone_publish: ListOf<TopicFilter> = "none";
        /// Topics anyone may subscribe to
        anyone_subscribe: ListOf<TopicFilter> = "none";
        /// File of revoked credentials
        revoked: Maybe<FilePath> = "none";
        /// Tolerated clock difference for JWTs
        leeway: DurationText = "5s", "0s"..="5m";
        /// Cookie that may carry a token
        cookie: Maybe<Token> = "gapless";
        /// Accept ?access_token= to subscribe
        ///
        /// For EventSource on another site, which can send neither header nor cookie. URLs end up in proxies' logs.
        query_subscribe: Switch = "true";
        /// Accept ?access_token= to publish
        query_publish: Switch = "false";
    }

    /// Durable Streams
    durable_streams: DurableStreams {
        /// Time that a long poll waits for data
        ///
        /// As the protocol proposes. Below the 60 s after which stock proxies time out.
        long_poll: DurationText = "30s", "100ms"..="55s";
    }

    /// Mercure
    mercure: Mercure {
        /// URL of the hub
        ///
        /// What relative topics and patterns are relative to, and the claim aud of tokens of dialect 1.
        url: Maybe<MercureUrl> = "none";
        /// Key of publishers' tokens, a file
        publisher_key: Maybe<FilePath> = "none";
        /// Algorithms of publishers' tokens
        publisher_algorithms: ListOf<PlainText> = "HS256";
        /// Key of subscribers' tokens, a file
        subscriber_key: Maybe<FilePath> = "none";
        /// Algorithms of subscribers' tokens
        subscriber_algorithms: ListOf<PlainText> = "HS256";
        /// Issuer of tokens of dialect 1
        issuer: Maybe<PlainText> = "none";
        /// Let anyone read public updates
        anonymous: Switch = "false";
        /// Tell which subscriptions are active
        ///
        /// Those whose token grants it: in events, when one begins or ends, and at /.well-known/mercure/subscriptions. Not from
        /// jetstream, where a hub knows only its own subscribers.
        subscriptions: Switch = "false";
    }

    /// Other sites
    cors: Cors {
        /// Origins whose pages may use the hub
        ///
        /// Exact, as `https://app.example`; with `*` as the first label or as the port, as `https://*.example`,
        /// `http://localhost:*`; `null`; or `*`, any.
        origins: ListOf<AllowedOrigin> = "none";
        /// Let those pages send cookies
        credentials: Switch = "false";
        /// Time a browser may cache a preflight
        max_age: DurationText = "10m", "0s"..="1d";
    }

    /// Limits
    limits: Limits {
        /// Connections of one address
        address_connections: Maybe<Count> = "none", "1"..="10000000";
        /// Streams of one address
        address_streams: Maybe<Count> = "none", "1"..="10000000";
        /// Events a second from one address
        address_events: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Data a second from one address
        address_bytes: Maybe<Size<u32>> = "none", "1KiB"..="1GiB";
        /// Streams of one holder of a token
        holder_streams: Maybe<Count> = "none", "1"..="10000000";
        /// Events a second from one holder
        holder_events: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Data a second from one holder
        holder_bytes: Maybe<Size<u32>> = "none", "1KiB"..="1GiB";
        /// Topics created an hour by one holder
        holder_topics: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Runs at once of one holder
        holder_runs: Maybe<Count> = "none", "1"..="10000000";
        /// Runs begun a minute by one holder
        holder_runs_per_minute: Maybe<Count<u32>> = "none", "1"..="10000000";
        /// Tokens a day of one holder
        ///
        /// Those of prompts and answers, as the providers count them. A run is charged when it ends: one that began may
        /// exceed the limit, and later ones wait.
        holder_tokens_per_day: Maybe<Count<u32>> = "none", "1"..="4000000000";
        /// Bad credentials a second of one address
        ///
        /// Beyond that, its further credentials are refused unchecked; those that were valid before still work.
        bad_credentials: Count<u32> = "20", "1"..="1000000";
    }

    /// Relay
    relay: Relay {
        /// Relay openai, anthropic, gemini or ollama
        ///
        /// Each at its public URL, with the key of its SDKs' environment variable. A provider of the same name counts
        /// instead.
        dialects: ListOf<DialectKind> = "none";
        /// Providers by name
        ///
        /// A table of tables with dialect, url, key_env or key_file, models, on_disconnect and endpoints.
        providers: ProviderTables = "{}";
        /// Age of a run's events in its own topic
        ///
        /// A day, for which an Idempotency-Key is remembered, too.
        keep: DurationText = "24h", "1m"..="36500d";
        /// Time for a connection to a provider
        connect_timeout: DurationText = "10s", "100ms"..="5m";
        /// Time for a provider's first byte
        ///
        /// As the SDKs' own: a model that reasons may think for minutes, and may have to be loaded first.
        first_byte_timeout: DurationText = "10m", "1s"..="1d";
        /// Time a provider may be silent
        silence_timeout: DurationText = "5m", "1s"..="1d";
        /// Longest run
        run_timeout: DurationText = "1h", "1s"..="7d";
        /// Largest body of a request to a provider
        ///
        /// Anthropic's own limit, and room for some images.
        request_bytes: Size = "32MiB", "1KiB"..="256MiB";
        /// Largest event of a provider
        event_bytes: Size = "1MiB", "1KiB"..="64MiB";
        /// Largest answer of a provider
        answer_bytes: Size = "64MiB", "1KiB"..="4GiB";
        /// Most runs at once
        ///
        /// Each may hold a connection to its provider: with `http.connections`, the default stays below the usual limit
        /// of 20,000 open files. At up to 64 KiB each they take 128 MiB.
        runs: Count = "2000", "1"..="1000000";
        /// Most runs that are remembered
        ///
        /// For their state, their list, and Idempotency-Keys; beyond it the oldest that has ended is forgotten. Its events
        /// stay.
        history: Count = "100000", "1"..="10000000";
    }

    /// Operators
    admin: Admin {
        /// Separate addresses for stats and metrics
        listen: ListOf<Listen> = "none";
    }

    /// Publishing
    publish: Publish {
        /// Most data of one event
        event_bytes: Size = "1MiB", "1KiB"..="64MiB";
        /// Largest body of one batch
        batch_bytes: Size = "16MiB", "1KiB"..="256MiB";
        /// Memory for bodies not yet durable
        ///
        /// Shared by all publishers. One address, and one holder of a token, may use at most half of what is free;
        /// beyond that it is told to retry later.
        inflight_bytes: Size = "64MiB", "1MiB"..="16GiB";
        /// Time an Idempotency-Key is remembered
        idempotency_window: DurationText = "10m", "1s"..="7d";
        /// Most Idempotency-Keys remembered
        ///
        /// A batch to many topics counts as several. One client may use half of them; beyond that, its keyed publishes
        /// are told to retry later. The default allows four hundred keyed publishes a second over the whole window, in
        /// about 60 MB of memory.
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
        /// Data of all topics; the oldest is removed first
        ///
        /// Limited by default, because without retention limits topics would fill the disk.
        max_bytes: Maybe<Size<u64>> = "10GiB", "1MiB"..="1024TiB";
        /// Size at which a new segment starts
        ///
        /// Space is freed a segment at a time: smaller segments free it sooner, larger ones copy less.
        rotate_bytes: Size<u64> = "256MiB", "1MiB"..="4GiB";
        /// Age at which a new segment starts
        rotate_age: DurationText = "1h", "1s"..="30d";
        /// Free space below which publishes are refused
        ///
        /// sled needs space to finish writes that it has begun; when its disk is full, the store is poisoned.
        reserve_bytes: Size<u64> = "128MiB", "0"..="1TiB";
    }

    /// NATS
    nats: Nats {
        /// NATS servers of the engine jetstream
        ///
        /// A comma-separated list of nats://HOST:PORT, or tls://HOST:PORT, which requires TLS. Any one of them tells the
        /// others; name several, so that a hub starts when one is down.
        servers: ListOf<NatsServer> = "none";
        /// Stream that is the log
        stream: SubjectToken = "GAPLESS";
        /// First token of the stream's subjects
        prefix: SubjectToken = "gapless";
        /// File of NATS credentials (.creds)
        credentials_file: Maybe<FilePath> = "none";
        /// File with the seed of an NKEY
        nkey_file: Maybe<FilePath> = "none";
        /// User, with a password
        user: Maybe<PlainText> = "none";
        /// File with the user's password
        password_file: Maybe<FilePath> = "none";
        /// Variable with the user's password
        password_env: Maybe<VariableName> = "none";
        /// File with a token
        token_file: Maybe<FilePath> = "none";
        /// Variable with a token
        token_env: Maybe<VariableName> = "none";
        /// Root certificates of the servers, PEM
        roots_file: Maybe<FilePath> = "none";
        /// Monitoring ports, for gapless check
        ///
        /// As http://10.0.0.1:8222, one for each server. Only they tell whether each write is synced to the disk.
        monitor: ListOf<MonitorUrl> = "none";
        /// This hub's name in logs and in the stream
        ///
        /// auto: the host's name. Each process adds a random part.
        hub_id: HubName = "auto";
        /// Most messages in one atomic batch
        ///
        /// NATS's own limit. More only if each server's `jetstream.limits.batch.max_msgs` allows it.
        max_batch: Count = "1000", "32"..="50000";
        /// How long gapless import keeps old ids valid
        ///
        /// Clients that come back later with an id of the imported store receive a gap.
        old_ids: DurationText = "30d", "1s"..="3650d";
    }

    /// OpenTelemetry
    otlp: Otlp {
        /// Collector to export traces and metrics to
        ///
        /// By OTLP over HTTP, as protobuf. /v1/traces and /v1/metrics are added to the URL.
        endpoint: Maybe<CollectorUrl> = "none";
        /// File of headers to send along, as credentials
        headers_file: Maybe<FilePath> = "none";
        /// Export a span for each sampled request
        traces: Switch = "true";
        /// Export the metrics
        metrics: Switch = "true";
        /// Share of traces that begin here, 0 to 1
        sample: SampledShare = "1";
        /// Time between two exports of metrics
        interval: DurationText = "1m", "1s"..="1h";
        /// Time for one attempt to export
        timeout: DurationText = "10s", "100ms"..="5m";
        /// Name of this service
        service_name: PlainText = "gapless";
    }

    /// Log
    log: Log {
        /// What to log: a level, or a filter as in RUST_LOG
        level: LogFilter = "info";
        /// Format of the log on stderr: text or json
        format: LogFormat = "text";
        /// Log each finished request and stream
        ///
        /// One line each, without the query, headers and body, whatever the level is.
        requests: Switch = "false";
    }
}
