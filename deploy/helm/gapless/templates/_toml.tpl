{{/* The configuration as TOML. Helm's own toToml writes whole numbers as 1000.0, which the hub refuses. */}}

{{- define "gapless.toml" -}}
# The hub's settings, written by Helm: change the values instead.
engine = {{ .Values.engine | toJson }}
listen = {{ printf "%s:8080" .Values.bindAddress | toJson }}
drain = {{ printf "%ds" (int .Values.drainSeconds) | toJson }}
{{- if eq .Values.engine "sled" }}
data = "/data"
{{- end }}
{{- range $key, $value := .Values.config }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "gapless.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $section, $keys := .Values.config }}
{{- if and (kindIs "map" $keys) $keys }}

[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "gapless.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.tls.secret }}

[tls]
cert = "/etc/gapless/tls/tls.crt"
key = "/etc/gapless/tls/tls.key"
{{- end }}
{{ end -}}

{{/* A value. A JSON string is a TOML string, too; tables are inline. Helm has every number of a values file as a float. */}}
{{- define "gapless.toml.value" -}}
{{- if kindIs "map" . -}}
{
{{- $first := true -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- if not $first }},{{ end }} {{ $key | toJson }} = {{ include "gapless.toml.value" $value -}}
{{- $first = false -}}
{{- end -}}
{{- end }} }
{{- else if kindIs "slice" . -}}
[
{{- range $index, $value := . -}}
{{- if $index }}, {{ end }}{{ include "gapless.toml.value" $value -}}
{{- end -}}
]
{{- else if kindIs "float64" . -}}
{{- if ne . (floor .) -}}
{{- fail (printf "config: %v is no whole number; durations and sizes are text, as \"1h 30m\" and \"1GiB\"" .) -}}
{{- end -}}
{{- int64 . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
