#!/usr/bin/env python3
"""The source of gapless.json: `deploy/grafana/dashboard.py > deploy/grafana/gapless.json`. A test fails when the two differ.

A panel is a title, what it tells, and its queries. `HUB` in a query selects the hubs that are chosen at the top.
"""

import json

HUB = 'job=~"$job",instance=~"$instance"'
# Grafana makes it at least four scrape intervals, so that a rate has samples.
RATE = "$__rate_interval"

# A row of Grafana is 24 units wide.
WIDTH = 24


def panel(title, about, *queries, unit="short", width=8, height=8, kind="timeseries", stack=False, red_above=None, red_below=None):
    """A query is PromQL, and the name of its lines: `{{instance}}`."""
    steps = [{"value": None, "color": "green"}]
    if red_above is not None:
        steps.append({"value": red_above, "color": "red"})
    if red_below is not None:
        steps = [{"value": None, "color": "red"}, {"value": red_below, "color": "green"}]
    defaults = {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {"fillOpacity": 30 if stack else 5, "showPoints": "never", "stacking": {"mode": "normal" if stack else "none", "group": "A"}}
    else:
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "value", "colorMode": "value", "graphMode": "none",
            "justifyMode": "auto", "orientation": "auto", "wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard",
        }
        defaults["color"] = {"mode": "thresholds"}
    targets = [
        {"refId": chr(ord("A") + n), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend, "instant": kind == "stat", "range": kind != "stat"}
        for n, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind, "title": title, "description": about, "datasource": DATASOURCE, "targets": targets,
        "gridPos": {"x": 0, "y": 0, "w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
    }  # fmt: skip


def stat(title, about, query, **more):
    return panel(title, about, (query, ""), kind="stat", width=4, height=4, **more)


def rate(metric, labels="", by="instance"):
    return f"sum by ({by}) (rate({metric}{{{HUB}{labels}}}[{RATE}]))"


def quantiles(metric, name=""):
    """The median and 99 % of a histogram, of the chosen hubs together, and the legend of each."""
    buckets = f"sum by (le) (rate({metric}_bucket{{{HUB}}}[{RATE}]))"
    return tuple((f"histogram_quantile({q}, {buckets})", f"{name}{legend}") for q, legend in ((0.5, "median"), (0.99, "99 %")))


DATASOURCE = {"type": "prometheus", "uid": "$datasource"}

ROWS = {
    "Is it well?": [
        stat("Ready hubs", "Hubs that accept publishes now", f"sum(gapless_ready{{{HUB}}})", red_below=1),
        stat("Hubs", "Hubs that answer", f"count(gapless_build_info{{{HUB}}})", red_below=1),
        stat("Streams", "Open now, of all hubs", f"sum(gapless_streams{{{HUB}}})"),
        stat("Lost", "Gaps `lost` told within a day: the disk has lost events. See OPERATIONS.md, Damage", f'sum(increase(gapless_gaps_total{{{HUB},reason="lost"}}[1d]))', red_above=1),
        stat("Damaged parts", "Of all stores, since they were made", f"sum(gapless_store_losses{{{HUB}}})", red_above=1),
        stat("Shortest uptime", "Of the hub that was started last", f"min(gapless_uptime_seconds{{{HUB}}})", unit="s"),
    ],
    "Traffic": [
        panel("Published", "Events accepted a second", (rate("gapless_published_events_total"), "{{instance}}"), unit="eps"),
        panel("Delivered", "Events given to streams a second, once for each stream", (rate("gapless_delivered_events_total"), "{{instance}}"), unit="eps"),
        panel("Topics", "In use. Each name takes memory until it is deleted", (f"gapless_topics{{{HUB}}}", "{{instance}}")),
        panel("Data published", "Bytes a second", (rate("gapless_published_bytes_total"), "{{instance}}"), unit="Bps"),
        panel("Data delivered", "Bytes a second, as written to streams", (rate("gapless_delivered_bytes_total"), "{{instance}}"), unit="Bps"),
        panel("Removed events", "Removed by operators, a minute", (f"60 * {rate('gapless_removed_events_total')}", "{{instance}}")),
    ],
    "Streams": [
        panel("By state", "live: at the newest events. replaying: catch up after they came. lagged: too slow for the ring, and read the log", (f"sum by (state) (gapless_streams{{{HUB}}})", "{{state}}"), stack=True),
        panel("By hub", "Open streams", (f"sum by (instance) (gapless_streams{{{HUB}}})", "{{instance}}")),
        panel(
            "Connections", "Open, and accepted at most",
            (f"gapless_connections{{{HUB}}}", "{{instance}}"), (f"min(gapless_connections_limit{{{HUB}}})", "limit"),
        ),
        panel("Connections accepted", "A second: clients that come back all the time show here", (rate("gapless_accepted_connections_total"), "{{instance}}"), unit="cps"),
        panel("Resumed", "Streams a second that began with a cursor", (rate("gapless_resumed_streams_total"), "{{instance}}")),
        panel(
            "Ended by the hub", "Streams a minute: the client did not read, its credential ended, an operator ended it",
            (f"60 * {rate('gapless_slow_readers_cut_total')}", "{{instance}} did not read"),
            (f"60 * {rate('gapless_lapsed_streams_total')}", "{{instance}} credential"),
            (f"60 * {rate('gapless_operator_ended_streams_total')}", "{{instance}} operator"),
        ),
    ],
    "Lag and gaps": [
        panel("Behind", "Streams that read the log, because they were too slow (lagged) or have just come (replaying)", (f'gapless_streams{{{HUB},state=~"lagged|replaying"}}', "{{instance}} {{state}}")),
        panel("Replayed", "Events a second that were read from the log for streams", (rate("gapless_replayed_events_total"), "{{instance}}"), unit="eps"),
        panel("Gaps told", "A minute. trimmed: retention was faster. lost: the disk. unknown: another log. ahead: a cursor past the end", (f"60 * {rate('gapless_gaps_total', by='reason')}", "{{reason}}"), stack=True),
    ],
    "Refusals": [
        panel("By code", "Requests a second, by the code of the problem. Codes appear with the first refusal", (rate("gapless_refused_requests_total", by="code"), "{{code}}"), unit="reqps", stack=True),
        panel("Limits met", "Times a second that an address or a holder met a limit, by its key in [limits]", (rate("gapless_quota_refused_total", by="limit"), "{{limit}}"), stack=True),
        panel("Accounts", "Addresses and holders that are counted. Above 100,000 and 10,000 newcomers share one account", (f"sum by (kind) (gapless_quota_accounts{{{HUB}}})", "{{kind}}")),
    ],
    "Log and disk": [
        panel("Commit latency", "Until a commit is durable: the median and 99 % of the commits of all chosen hubs", *quantiles("gapless_commit_seconds"), unit="s"),
        panel("Publish latency", "From the head of a publish until its events are durable, of all chosen hubs; without streams", *quantiles("gapless_publish_seconds"), unit="s"),
        panel(
            "Mean commit", "Until a commit is durable: the mean of the commits of the last minutes. 1 to 10 ms as a rule",
            (f"{rate('gapless_commit_seconds_sum')} / {rate('gapless_commit_seconds_count')}", "{{instance}}"), unit="s",
        ),
        panel("Commits", "A second. Events that come together share one", (rate("gapless_commits_total"), "{{instance}}")),
        panel("Waiting for a commit", "Bytes of events. At 64 MiB publishers are refused", (f"gapless_store_queued_bytes{{{HUB}}}", "{{instance}}"), unit="bytes"),
        panel("Kept data", "Bytes of events that the log keeps; store.max_bytes is its bound", (f"gapless_store_bytes{{{HUB}}}", "{{instance}}"), unit="bytes"),
        panel(
            "Disk", "What the store takes, and what the hub may still use. A hub over NATS or in memory has none",
            (f"gapless_store_disk_bytes{{{HUB}}}", "{{instance}} store"), (f"gapless_store_disk_free_bytes{{{HUB}}}", "{{instance}} free"), unit="bytes",
        ),
        panel("Disk used", "Of the store's disk, by everything on it", (f"1 - gapless_store_disk_free_bytes{{{HUB}}} / gapless_store_disk_total_bytes{{{HUB}}}", "{{instance}}"), unit="percentunit"),
        panel("Kept events", "Events that the log keeps", (f"gapless_store_events{{{HUB}}}", "{{instance}}")),
        panel("Removed, not yet off the disk", "Segments that hold bytes of removed events. For a minute at most", (f"gapless_store_unscrubbed{{{HUB}}}", "{{instance}}")),
        panel(
            "Clock", "Seconds that event times are ahead of the machine's clock, and that it has leapt. 0 as a rule",
            (f"gapless_clock_ahead_seconds{{{HUB}}}", "{{instance}} ahead"), (f"gapless_clock_leapt_seconds{{{HUB}}}", "{{instance}} leapt"), unit="s",
        ),
    ],
    "Memory and CPU": [
        panel("Publish bodies", "Bytes being received or committed; publish.inflight_bytes is the bound", (f"gapless_publishing_bytes{{{HUB}}}", "{{instance}}"), unit="bytes"),
        panel("Memory of the container", "From the kubelet (cAdvisor); the hub itself does not tell", ('container_memory_working_set_bytes{container="gapless"}', "{{namespace}}/{{pod}}"), unit="bytes"),
        panel("CPU of the container", "Cores, from the kubelet (cAdvisor)", (f'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{container="gapless"}}[{RATE}]))', "{{namespace}}/{{pod}}")),
        panel("Log pages read", "A second. Rises with streams that lag, and with rings that are too small", (rate("gapless_log_pages_total"), "{{instance}}")),
        panel("Log lines dropped", "A minute, because stderr was not read in time", (f"60 * {rate('gapless_log_lines_dropped_total')}", "{{instance}}")),
        panel(
            "Export by OTLP", "A minute: spans that the collector took, spans that were dropped, attempts that failed. Only with otlp.endpoint",
            (f"60 * {rate('gapless_otlp_exported_spans_total')}", "{{instance}} spans"),
            (f"60 * {rate('gapless_otlp_dropped_spans_total')}", "{{instance}} dropped"),
            (f"60 * {rate('gapless_otlp_failed_exports_total', by='instance, signal')}", "{{instance}} failed {{signal}}"),
        ),
    ],
    "Relay": [
        panel("Running", "Runs that have not ended, and streams that read them", (f"gapless_relay_running_runs{{{HUB}}}", "{{instance}} runs"), (f"gapless_relay_viewers{{{HUB}}}", "{{instance}} viewers")),
        panel("Ended runs", "A minute, by their ending. Only with a provider", (f"60 * {rate('gapless_relay_runs_total', by='provider, status')}", "{{provider}} {{status}}"), stack=True),
        panel("Refused by providers", "A minute, by HTTP status. Statuses appear with the first refusal", (f"60 * {rate('gapless_relay_upstream_errors_total', by='provider, status')}", "{{provider}} {{status}}"), stack=True),
        panel("Time to durable", "From a provider's frame until it is durable, of all chosen hubs", *quantiles("gapless_relay_added_seconds"), *quantiles("gapless_relay_first_added_seconds", "first "), unit="s"),
        panel("Tokens", "A minute, as the providers count them", (f"60 * {rate('gapless_relay_tokens_total', by='provider, direction')}", "{{provider}} {{direction}}")),
        panel("Joined", "Requests a minute that joined a run in place of a new one", (f"60 * {rate('gapless_relay_joined_requests_total')}", "{{instance}}")),
    ],
}


def laid_out():
    """The rows one below the other, their panels from left to right."""
    panels, y = [], 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": []})
        y += 1
        x = 0
        for one in row:
            place = one["gridPos"]
            if x + place["w"] > WIDTH:
                x, y = 0, y + place["h"]
            place["x"], place["y"] = x, y
            x += place["w"]
            panels.append(one)
        y += row[-1]["gridPos"]["h"]
    for number, one in enumerate(panels, 1):
        one["id"] = number
    return panels


def choice(name, query, label):
    return {
        "type": "query", "name": name, "label": label, "datasource": DATASOURCE, "query": query, "refresh": 2, "sort": 1,
        "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


DASHBOARD = {
    "uid": "gapless",
    "title": "gapless",
    "description": "Hubs of gapless, one or several. Made by deploy/grafana/dashboard.py.",
    "tags": ["gapless"],
    "schemaVersion": 39,
    "editable": True,
    "graphTooltip": 1,
    "refresh": "30s",
    "time": {"from": "now-3h", "to": "now"},
    "templating": {
        "list": [
            {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1},
            choice("job", "label_values(gapless_build_info, job)", "Job"),
            choice("instance", 'label_values(gapless_build_info{job=~"$job"}, instance)', "Hub"),
        ]
    },
    "annotations": {
        "list": [
            {
                "name": "Starts", "enable": True, "hide": False, "iconColor": "blue", "datasource": DATASOURCE,
                "expr": f"resets(gapless_uptime_seconds{{{HUB}}}[{RATE}]) > 0", "titleFormat": "{{instance}} started",
            }
        ]
    },
    "panels": laid_out(),
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(DASHBOARD, indent=1, ensure_ascii=False))
