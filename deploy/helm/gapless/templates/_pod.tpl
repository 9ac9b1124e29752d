{{/* The pod, the same for a StatefulSet and a Deployment. */}}

{{/* Seconds before SIGTERM. Kubernetes takes a pod out of the Service while it ends it, and nobody waits for that: without this delay
     clients of a hub that drains would be sent to the same hub again. A lone hub (sled) has no other to send them to. */}}
{{- define "gapless.preStopSeconds" -}}
{{- if eq .Values.engine "jetstream" }}5{{ else }}0{{ end -}}
{{- end -}}

{{- define "gapless.pod" -}}
metadata:
  labels:
    {{- include "gapless.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A process reads its file once: another content is another pod.
    checksum/config: {{ include "gapless.toml" . | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  # The hub asks Kubernetes for nothing.
  automountServiceAccountToken: false
  enableServiceLinks: false
  # The delay before SIGTERM, the drain, and 10 s: the hub takes up to 4 s more when the store must still close, and the rest is for a
  # busy node. If it were less than the drain, SIGKILL would cut streams without a `retry:`, and a store would open more slowly.
  terminationGracePeriodSeconds: {{ add (include "gapless.preStopSeconds" . | int) (int .Values.drainSeconds) 10 }}
  securityContext:
    runAsNonRoot: true
    # The image's user. The group may write the volume, and read the Secrets.
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- if eq .Values.engine "jetstream" }}
  # A node that fails should take few hubs with it.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "gapless.selectorLabels" . | nindent 10 }}
  {{- end }}
  containers:
    - name: gapless
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["serve"]
      env:
        - name: GAPLESS_CONFIG
          value: /etc/gapless/config/gapless.toml
        # The image sets these for `docker run`, and a variable has precedence over the file. An empty one is none.
        - name: GAPLESS_LISTEN
          value: ""
        - name: GAPLESS_DATA
          value: ""
        - name: GAPLESS_DRAIN
          value: ""
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - name: {{ include "gapless.scheme" . }}
          containerPort: 8080
      # The hub listens when its log is open. Ten minutes for a large store after a crash, or until NATS answers.
      startupProbe:
        httpGet:
          path: /healthz
          port: 8080
          scheme: {{ include "gapless.scheme" . | upper }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 120
      # A restart cuts every stream: only for a process that has not answered for a minute.
      livenessProbe:
        httpGet:
          path: /healthz
          port: 8080
          scheme: {{ include "gapless.scheme" . | upper }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # Whether a publish would be accepted. It fails for 20 s before the hub is left out: an election of NATS takes 5 to 10 s, makes all
      # hubs unready at once, and they tell publishers themselves when to retry.
      readinessProbe:
        httpGet:
          path: /readyz
          port: 8080
          scheme: {{ include "gapless.scheme" . | upper }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 4
      {{- if ne (include "gapless.preStopSeconds" .) "0" }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ include "gapless.preStopSeconds" . }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/gapless/config
          readOnly: true
        {{- if eq .Values.engine "sled" }}
        - name: data
          mountPath: /data
        {{- end }}
        {{- range $index, $name := .Values.secrets }}
        - name: secret-{{ $index }}
          mountPath: /etc/gapless/secrets/{{ $name }}
          readOnly: true
        {{- end }}
        {{- if .Values.tls.secret }}
        - name: tls
          mountPath: /etc/gapless/tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "gapless.fullname" . }}
    {{- if and (eq .Values.engine "sled") .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- range $index, $name := .Values.secrets }}
    - name: secret-{{ $index }}
      secret:
        secretName: {{ $name }}
        # For the owner and the group.
        defaultMode: 0440
    {{- end }}
    {{- with .Values.tls.secret }}
    - name: tls
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
