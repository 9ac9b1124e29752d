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
{{- include "gapless.refuseSecrets" . -}}
{{- end -}}

{{/* Secrets in the configuration. The hub refuses most of them, too, but only when everybody who may read ConfigMaps has read them. No message
     repeats one: it would be in the log of whatever runs Helm. */}}
{{- define "gapless.refuseSecrets" -}}
{{- $nats := .Values.config.nats | default dict -}}
{{- $inUrl := "%s has a user name or a secret, and a ConfigMap is no place for one: %s" -}}
{{/* The URL of a NATS server has nothing but a host and a port, so that any @ is after a user, also of a password that has a slash. */}}
{{- if contains "@" (join " " ($nats.servers | default list)) -}}
{{- fail (printf $inUrl "config.nats.servers" "put it into a Secret, name that in `secrets`, and the file in password_file, nkey_file, credentials_file or token_file") -}}
{{- end -}}
{{- if contains "@" (join " " ($nats.monitor | default list)) -}}
{{- fail (printf $inUrl "config.nats.monitor" "leave it out, a monitoring port takes none") -}}
{{- end -}}
{{/* A path may have an @, and only a key is in a query. */}}
{{- range $name, $provider := (.Values.config.relay | default dict).providers -}}
{{- if or $provider.key (regexMatch "^([^/?#]*://)?[^/?#]*@|[?#]" (toString $provider.url)) -}}
{{- fail (printf $inUrl (printf "config.relay.providers.%s (url or key)" $name) "put it into a Secret, and name a variable of `extraEnv` in key_env, or a file of `secrets` in key_file") -}}
{{- end -}}
{{- end -}}
{{- range (.Values.config.access | default dict).issuers -}}
{{- if regexMatch "^([^/?#]*://)?[^/?#]*@" (toString .jwks) -}}
{{- fail (printf $inUrl (printf "the jwks of issuer %s" (toString .issuer)) "leave it out, nobody needs a secret to fetch public keys") -}}
{{- end -}}
{{- if and .key (or (contains "HS" (toString .algorithms)) (ne (include "gapless.isPublicKey" (toString .key)) "true")) -}}
{{- fail (printf "the key of issuer %s is a secret, or at least no public key (PEM or a JWK set), and a ConfigMap is no place for one: put it into a Secret, name that in `secrets`, and the file in key_file" (toString .issuer)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" for a public key as PEM, and for a JWK set without the members that secrets have: d and its like (RSA, EC, OKP), k (oct). */}}
{{- define "gapless.isPublicKey" -}}
{{- if hasPrefix "{" (trim .) -}}
{{- $keys := (fromJson .).keys -}}
{{- $public := and $keys (kindIs "slice" $keys) -}}
{{- if $public -}}
{{- range $key := $keys -}}
{{- if not (kindIs "map" $key) -}}
{{- $public = false -}}
{{- else -}}
{{- range $member := list "d" "p" "q" "dp" "dq" "qi" "oth" "k" -}}
{{- if hasKey $key $member -}}{{- $public = false -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $public -}}true{{- end -}}
{{- else if and (hasPrefix "-----BEGIN PUBLIC KEY-----" (trim .)) (not (contains "PRIVATE" .)) -}}true
{{- end -}}
{{- end -}}
