{{- define "sojourn.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for a CronJob's 52 characters with the longest process' name. */}}
{{- define "sojourn.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) .Values.fullnameOverride | trunc 33 | trimSuffix "-" }}
{{- end }}

{{/* Of a process: dict "root" $ "name" "surveySink". */}}
{{- define "sojourn.of" -}}
{{ include "sojourn.fullname" .root }}-{{ kebabcase .name }}
{{- end }}

{{/* With a component, or of the release as a whole. */}}
{{- define "sojourn.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sojourn.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .name }}
app.kubernetes.io/component: {{ kebabcase . }}
{{- end }}
{{- end }}

{{- define "sojourn.labels" -}}
{{ include "sojourn.selectorLabels" . }}
app.kubernetes.io/part-of: sojourn
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* dict "root" $ "called" name, and if there are any "name" component, "labels", "annotations", "namespace". */}}
{{- define "sojourn.metadata" -}}
name: {{ .called }}
namespace: {{ default .root.Release.Namespace .namespace }}
labels:
  {{- include "sojourn.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sojourn.derived" -}}
{{ .Files.Get "files/derived.yaml" | fromYaml | toJson }}
{{- end }}

{{/* All processes by name, as JSON: what the values say over their defaults, under "of" what the code says, and whether they are "exposed". */}}
{{- define "sojourn.processes" -}}
{{- $found := dict }}
{{- if .Values.services.enabled }}
{{- range $name, $of := (include "sojourn.derived" . | fromJson).components }}
  {{- $process := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy (index $.Values $name)) }}
  {{- if $process.enabled }}
    {{- $exposed := and $process.hosts $of.paths (ne $.Values.exposure.kind "none") | empty | not }}
    {{- $_ := set $found $name (merge (dict "of" $of "exposed" $exposed) $process) }}
  {{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* Those that serve HTTP, so all but the evaluation. */}}
{{- define "sojourn.serving" -}}
{{ omit (include "sojourn.processes" . | fromJson) "surveyEvaluation" | toJson }}
{{- end }}

{{/* The services that `helm test` asks, as a JSON list. */}}
{{- define "sojourn.doctored" -}}
{{- $found := list }}
{{- if .Values.doctor.enabled }}
{{- range $name, $process := include "sojourn.processes" . | fromJson }}
  {{- if eq $name $process.of.service }}
    {{- $found = append $found $name }}
  {{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "sojourn.serviceAccountName" -}}
{{ default (include "sojourn.of" .) .process.serviceAccount.name }}
{{- end }}

{{/* dict "root" $ "service" name: a digest beats a tag. */}}
{{- define "sojourn.image" -}}
{{- $image := .root.Values.image }}
{{- $registry := ternary "" (printf "%s/" $image.registry) (empty $image.registry) }}
{{- with index $image.digests .service }}
{{- printf "%s%s@%s" $registry $.service . }}
{{- else }}
{{- printf "%s%s:%s" $registry .service (default .root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "sojourn.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sojourn.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "sojourn.resources" -}}
{{- $companies := int64 .root.Values.sizing.companies }}
{{- $of := .process.resources }}
{{- $memory := add (int64 $of.memoryMi) (div (add (mul $companies (int64 $of.memoryBytesPerCompany)) 1048575) 1048576) }}
requests:
  cpu: {{ $of.cpu | quote }}
  memory: {{ $memory }}Mi
limits:
  memory: {{ ceil (mulf $memory $of.memoryLimitFactor) | int64 }}Mi
{{- end }}

{{/*
What a pod has as files, in /etc/sojourn/<name>, so that what takes a Secret's place is read without a restart: as JSON, each with
its "name", "secret" and "keys". dict "root" $ "role" "survey", and for whoever talks to Kafka "user" "survey".
*/}}
{{- define "sojourn.secrets" -}}
{{- $postgres := .root.Values.postgres }}
{{- $kafka := .root.Values.kafka }}
{{- $found := list (dict "name" "postgres-role" "secret" (print $postgres.secretPrefix .role) "keys" (list "password")) }}
{{- with $postgres.caSecret }}
  {{- $found = append $found (dict "name" "postgres-ca" "secret" . "keys" (list $postgres.caKey)) }}
{{- end }}
{{- if and .user (ne $kafka.securityProtocol "PLAINTEXT") }}
  {{- $keys := ternary (list $kafka.certificateKey $kafka.privateKeyKey) (list "password") (eq $kafka.securityProtocol "SSL") }}
  {{- $found = append $found (dict "name" "kafka-user" "secret" (print $kafka.secretPrefix .user) "keys" $keys) }}
  {{- if and $kafka.caSecret (hasSuffix "SSL" $kafka.securityProtocol) }}
    {{- $found = append $found (dict "name" "kafka-ca" "secret" $kafka.caSecret "keys" (list $kafka.caKey)) }}
  {{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "sojourn.secretMounts" -}}
{{- range include "sojourn.secrets" . | fromJsonArray }}
- name: {{ .name }}
  mountPath: /etc/sojourn/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "sojourn.secretVolumes" -}}
{{- range include "sojourn.secrets" . | fromJsonArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    items:
      {{- range .keys }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- end }}

{{- define "sojourn.databasePassword" -}}
/etc/sojourn/postgres-role/password
{{- end }}

{{/* Where PostgreSQL itself is, whatever pooler stands before it, as JSON. */}}
{{- define "sojourn.direct" -}}
{{- $postgres := .Values.postgres }}
{{- ternary $postgres.direct $postgres (not (empty $postgres.direct.host)) | toJson }}
{{- end }}

{{/* Without the password, which is in a file: dict "root" $ "role" "survey" "at" what has a host and a port. */}}
{{- define "sojourn.databaseUrl" -}}
{{- $postgres := .root.Values.postgres }}
{{- $parameters := deepCopy $postgres.parameters }}
{{- if $postgres.caSecret }}
{{- $_ := set $parameters "sslrootcert" (printf "/etc/sojourn/postgres-ca/%s" $postgres.caKey) }}
{{- end }}
{{- $query := list }}
{{- range $name, $value := $parameters }}
{{- $query = append $query (printf "%s=%s" $name (urlquery $value)) }}
{{- end }}
{{- $role := index (include "sojourn.derived" .root | fromJson).roles .role }}
{{- printf "postgresql://%s@%s:%d/%s%s" $role.name .at.host (int .at.port) $postgres.database (ternary (printf "?%s" (join "&" $query)) "" (not (empty $query))) }}
{{- end }}

{{/* What a process takes from its ConfigMap, as JSON: what the values say, over what follows from them. */}}
{{- define "sojourn.settings" -}}
{{- $values := .root.Values }}
{{- $of := .process.of }}
{{- $settings := dict "LOG_FORMAT" "json" }}
{{- $_ := set $settings (replace "_URL" "_PASSWORD_FILE" $of.database) (include "sojourn.databasePassword" .root) }}
{{- if ne .name "surveyEvaluation" }}
{{- $_ := set $settings "HTTP_HOST" "0.0.0.0" }}
{{- $_ := set $settings "HTTP_PORT" "8000" }}
{{- end }}
{{- if $of.user }}
  {{- $_ := set $settings "KAFKA_BOOTSTRAP_SERVERS" $values.kafka.bootstrapServers }}
  {{- $_ := set $settings "KAFKA_SECURITY_PROTOCOL" $values.kafka.securityProtocol }}
  {{- if hasPrefix "SASL" $values.kafka.securityProtocol }}
    {{- $_ := set $settings "KAFKA_USERNAME" $of.user }}
    {{- $_ := set $settings "KAFKA_PASSWORD_FILE" "/etc/sojourn/kafka-user/password" }}
  {{- else if eq $values.kafka.securityProtocol "SSL" }}
    {{- $_ := set $settings "KAFKA_CERTIFICATE_FILE" (printf "/etc/sojourn/kafka-user/%s" $values.kafka.certificateKey) }}
    {{- $_ := set $settings "KAFKA_KEY_FILE" (printf "/etc/sojourn/kafka-user/%s" $values.kafka.privateKeyKey) }}
  {{- end }}
  {{- if and $values.kafka.caSecret (hasSuffix "SSL" $values.kafka.securityProtocol) }}
    {{- $_ := set $settings "KAFKA_CA_FILE" (printf "/etc/sojourn/kafka-ca/%s" $values.kafka.caKey) }}
  {{- end }}
{{- end }}
{{- if $of.tokens }}
  {{- $at := ternary "127.0.0.1" (include "sojourn.of" (dict "root" .root "name" "registration")) (eq .name "registration") }}
  {{- $_ := set $settings "JWKS" (printf "http://%s:8000/.well-known/jwks.json" $at) }}
{{- end }}
{{- if eq $of.database "CATALOG_URL" }}
  {{- $_ := set $settings "WAREHOUSE" $values.warehouse.location }}
{{- end }}
{{- if and .process.exposed $values.exposure.proxies }}
  {{- $_ := set $settings "FORWARDED_ALLOW_IPS" (join "," $values.exposure.proxies) }}
{{- end }}
{{- range $setting, $file := .process.files }}
  {{- $_ := set $settings $setting (printf "/etc/sojourn/files/%s/%s" (kebabcase (lower $setting)) $file.key | trimSuffix "/") }}
{{- end }}
{{- mergeOverwrite $settings .process.environment .process.settings | toJson }}
{{- end }}

{{/* A process' pod: dict "root" $ "name" "survey" "process" merged; with "does" a command that ends, as "called" instead. */}}
{{- define "sojourn.pod" -}}
{{- $values := .root.Values }}
{{- $of := .process.of }}
{{- $serves := not (or .does (eq .name "surveyEvaluation")) }}
{{- $labels := dict "root" .root "name" (default .name .called) }}
{{- $claim := and (eq $of.database "CATALOG_URL") $values.warehouse.existingClaim }}
{{- $secrets := dict "root" .root "role" $of.service "user" $of.user }}
metadata:
  labels:
    {{- include "sojourn.labels" $labels | nindent 4 }}
    {{- with .process.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/settings: {{ include "sojourn.settings" . | sha256sum }}
    {{- with .process.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sojourn.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "sojourn.podSecurity" . | nindent 4 }}
  terminationGracePeriodSeconds: {{ add (int .process.drainSeconds) (int .process.stopSeconds) 5 }}
  {{- if not $serves }}
  restartPolicy: Never
  {{- else if .process.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range .process.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.process.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "sojourn.selectorLabels" $ | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  containers:
    - name: {{ kebabcase $labels.name }}
      image: {{ include "sojourn.image" (dict "root" .root "service" $of.service) }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command: {{ default $of.command .does | toJson }}
      securityContext:
        {{- include "sojourn.containerSecurity" . | nindent 8 }}
      resources:
        {{- include "sojourn.resources" . | trim | nindent 8 }}
      envFrom:
        - configMapRef:
            name: {{ include "sojourn.of" . }}
      env:
        {{- $direct := include "sojourn.direct" .root | fromJson }}
        {{- $pooled := eq $of.database "DATABASE_URL" }}
        - name: {{ $of.database }}
          value: {{ include "sojourn.databaseUrl" (dict "root" .root "role" $of.service "at" (ternary $values.postgres $direct $pooled)) | quote }}
        {{- if and $pooled $values.postgres.direct.host }}
        - name: LISTEN_DATABASE_URL
          value: {{ include "sojourn.databaseUrl" (dict "root" .root "role" $of.service "at" $direct) | quote }}
        {{- end }}
        {{- if and .does $of.tokens (eq .name "registration") }}
        - name: JWKS {{- /* which is at no port of its own pod, as it is for the service */}}
          value: http://{{ include "sojourn.of" . }}:8000/.well-known/jwks.json
        {{- end }}
        {{- range $variable, $from := .process.secretEnvironment }}
        - name: {{ $variable }}
          valueFrom:
            secretKeyRef:
              name: {{ $from.secret }}
              key: {{ $from.key }}
        {{- end }}
      {{- if $serves }}
      ports:
        - name: http
          containerPort: 8000
      startupProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ max 1 (div (int .process.startSeconds) 5) }}
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /live, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- if .process.drainSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ int .process.drainSeconds }}
      {{- end }}
      {{- end }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- include "sojourn.secretMounts" $secrets | trim | nindent 8 }}
        {{- if $claim }}
        - name: warehouse
          mountPath: {{ $values.warehouse.location }}
          {{- if ne .name "surveySink" }}
          readOnly: true
          {{- end }}
        {{- end }}
        {{- range $setting, $_ := .process.files }}
        - name: {{ kebabcase (lower $setting) }}
          mountPath: /etc/sojourn/files/{{ kebabcase (lower $setting) }}
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- include "sojourn.secretVolumes" $secrets | trim | nindent 4 }}
    {{- if $claim }}
    - name: warehouse
      persistentVolumeClaim:
        claimName: {{ $values.warehouse.existingClaim }}
    {{- end }}
    {{- range $setting, $file := .process.files }}
    - name: {{ kebabcase (lower $setting) }}
      {{- if $file.secret }}
      secret:
        secretName: {{ $file.secret }}
      {{- else }}
      configMap:
        name: {{ $file.configMap }}
      {{- end }}
    {{- end }}
  {{- with .process.podSpec }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "sojourn.egressToDns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{- define "sojourn.egressToPostgres" -}}
- to:
    {{- toYaml .Values.networkPolicy.postgres | nindent 4 }}
  ports:
    {{- range list (int .Values.postgres.port) (int (include "sojourn.direct" . | fromJson).port) | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{/* Where a process may go: dict "root" $ "name" "survey" "process" merged "processes" all of them. */}}
{{- define "sojourn.egress" -}}
{{- $policy := .root.Values.networkPolicy }}
{{- include "sojourn.egressToDns" .root }}
{{ include "sojourn.egressToPostgres" .root }}
{{- if .process.of.user }}
- to:
    {{- toYaml $policy.kafka | nindent 4 }}
  ports:
    {{- range splitList "," .root.Values.kafka.bootstrapServers | uniq }}
    - {protocol: TCP, port: {{ regexFind "[0-9]+$" (trim .) }}}
    {{- end }}
{{- end }}
{{- if and .process.of.tokens (ne .name "registration") .processes.registration }}
{{ include "sojourn.egressToProcess" (dict "root" .root "name" "registration") }}
{{- end }}
{{- with include "sojourn.portsOutside" . | fromJsonArray }}
- to:
    {{- toYaml $policy.outside | nindent 4 }}
  ports:
    {{- range . }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}
{{- with .process.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sojourn.egressToProcess" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "sojourn.selectorLabels" . | nindent 10 }}
  ports:
    - {protocol: TCP, port: http}
{{- end }}

{{/* The ports of what settings lead to outside of the cluster, as a JSON list. */}}
{{- define "sojourn.portsOutside" -}}
{{- $settings := include "sojourn.settings" . | fromJson }}
{{- $ports := list }}
{{- with index $settings "SMTP_HOST" }}
  {{- $ports = append $ports (default "25" (index $settings "SMTP_PORT") | int) }}
{{- end }}
{{- range tuple "VIES_URL" "OIDC_ISSUER" "JWKS" }}
  {{- with index $settings . }}
    {{- $url := urlParse . }}
    {{- if eq $url.scheme "https" }}
      {{- $ports = append $ports (regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default "443" | int) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- if hasPrefix "s3://" (default "" (index $settings "WAREHOUSE")) }}
  {{- $ports = append $ports 443 }}
{{- end }}
{{- uniq $ports | toJson }}
{{- end }}

{{/* What a resource says, with the values' own on top: dict "said" yaml "spec" map. */}}
{{- define "sojourn.spec" -}}
{{ mergeOverwrite (fromYaml .said) (deepCopy .spec) | toYaml }}
{{- end }}
