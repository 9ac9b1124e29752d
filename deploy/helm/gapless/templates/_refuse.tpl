{{/* What would not work is refused before anything is installed. */}}

{{/* "true" when a credential is configured: then nothing is open without a grant. */}}
{{- define "gapless.hasCredentials" -}}
{{- $access := .Values.config.access | default dict -}}
{{- if or $access.tokens $access.issuers $access.anyone_publish $access.anyone_subscribe -}}true{{- end -}}
{{- end -}}

{{- define "gapless.refuse" -}}
{{- $config := .Values.config -}}
{{- if eq .Values.engine "sled" -}}
{{- if ne (int .Values.replicas) 1 -}}
{{- fail (printf "replicas is %d: with the engine sled there is exactly one hub, because two processes cannot share a store. Several hubs need engine: jetstream (values-jetstream.yaml, docs/JETSTREAM.md)" (int .Values.replicas)) -}}
{{- end -}}
{{- else if not (.Values.config.nats | default dict).servers -}}
{{- fail "engine is jetstream: set config.nats.servers, as [\"nats://nats-0.nats-headless:4222\"]" -}}
{{- end -}}
{{- if not (or (include "gapless.hasCredentials" .) $config.open) -}}
{{- fail "the hub has no credential: configure config.access (docs/OPERATIONS.md, \"Access\"), or set config.open=true to let everyone who reaches the Service publish, read and delete" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (include "gapless.hasCredentials" .) (not .Values.serviceMonitor.tokenSecret.name) -}}
{{- fail "/metrics needs a token with the grant admin: name its Secret in serviceMonitor.tokenSecret" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled is true: name the hosts in ingress.hosts" -}}
{{- end -}}
{{- range (.Values.config.access | default dict).issuers -}}
{{- if and .key (or (contains "HS" (toString .algorithms)) (contains "PRIVATE" .key)) -}}
{{- fail (printf "the key of issuer %s is a secret, and a ConfigMap is no place for one: put it into a Secret, name that in `secrets`, and the file in key_file" (toString .issuer)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
