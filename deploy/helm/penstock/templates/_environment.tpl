{{/* A value as the environment has it. Helm reads whole numbers as floats, and would write 1e+06. */}}
{{- define "penstock.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}{{- int64 . -}}{{- else -}}{{- . -}}{{- end -}}
{{- end -}}

{{/* Kafka's address, where it holds no credentials. */}}
{{- define "penstock.kafkaUrl" -}}
{{- $parameters := list -}}
{{- with .Values.kafka.mechanism -}}{{- $parameters = append $parameters (printf "mechanism=%s" .) -}}{{- end -}}
{{- with .Values.kafka.region -}}{{- $parameters = append $parameters (printf "region=%s" .) -}}{{- end -}}
{{- with .Values.kafka.ca -}}{{- $parameters = append $parameters (printf "ca=%s" .) -}}{{- end -}}
{{- ternary "kafka+ssl" "kafka" .Values.kafka.tls -}}://{{- join "," .Values.kafka.brokers -}}
{{- if $parameters -}}?{{- join "&" $parameters -}}{{- end -}}
{{- end -}}

{{/* Settings of all processes, as a YAML map. What `settings` says wins. */}}
{{- define "penstock.settings" -}}
PENSTOCK_HOST: "0.0.0.0"
PENSTOCK_PORT: "8080"
PENSTOCK_DRAIN_GRACE_MS: {{ mul .Values.stop.graceSeconds 1000 | quote }}
{{- if eq .Values.mode "embedded" }}
PENSTOCK_DATA: /var/lib/penstock
{{- else }}
PENSTOCK_LOG_NAME: {{ .Values.kafka.name }}
PENSTOCK_LOG_PARTITIONS: {{ .Values.kafka.partitions | quote }}
PENSTOCK_LOG_GROUP_PROTOCOL: {{ .Values.kafka.groupProtocol }}
PENSTOCK_STORE_NAME: {{ .Values.mongodb.name }}
{{- if not .Values.kafka.inSecret }}
PENSTOCK_LOG_URL: {{ include "penstock.kafkaUrl" . | quote }}
{{- end }}
{{- if not .Values.mongodb.inSecret }}
PENSTOCK_STORE_URL: {{ .Values.mongodb.url | quote }}
{{- end }}
{{- if and .Values.redis.enabled (not .Values.redis.inSecret) }}
PENSTOCK_CACHE_URL: {{ .Values.redis.url | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ include "penstock.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* The same as a list of variables, for what runs before the ConfigMap is there. */}}
{{- define "penstock.settingsList" -}}
{{- range $name, $value := include "penstock.settings" . | fromYaml }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* One variable out of the Secret: (list . "PENSTOCK_…" "key") */}}
{{- define "penstock.secretVariable" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "penstock.secretName" (index . 0) }}
      key: {{ index . 2 }}
{{- end -}}

{{/* The variables of a role beside the ConfigMap: (list . "role"). Workers get no keys. */}}
{{- define "penstock.environment" -}}
{{- $ := index . 0 -}}
{{- $role := index . 1 -}}
{{- $keys := $.Values.secrets.keys -}}
{{- $engines := include "penstock.engines" . | fromJsonArray -}}
{{- if ne $role "worker" }}
{{ include "penstock.secretVariable" (list $ "PENSTOCK_SECRET" $keys.secret) }}
{{- end }}
{{- if has $role (list "api" "serve" "prepare") }}
{{ include "penstock.secretVariable" (list $ "PENSTOCK_ADMIN_KEY" $keys.adminKey) }}
{{- end }}
{{- if and (has "kafka" $engines) $.Values.kafka.inSecret }}
{{ include "penstock.secretVariable" (list $ "PENSTOCK_LOG_URL" $keys.kafkaUrl) }}
{{- end }}
{{- if and (has "mongodb" $engines) $.Values.mongodb.inSecret }}
{{ include "penstock.secretVariable" (list $ "PENSTOCK_STORE_URL" $keys.mongodbUrl) }}
{{- end }}
{{- if and (has "redis" $engines) $.Values.redis.inSecret }}
{{ include "penstock.secretVariable" (list $ "PENSTOCK_CACHE_URL" $keys.redisUrl) }}
{{- end }}
{{- if eq $role "api" }}
- {name: PENSTOCK_INGEST_URLS, value: "http://{{ include "penstock.fullname" $ }}-ingest:8080"}
- {name: PENSTOCK_QUERY_URLS, value: "http://{{ include "penstock.fullname" $ }}-query:8080"}
{{- else if eq $role "worker" }}
- {name: PENSTOCK_METRICS_PORT, value: "8080"}
{{- end }}
{{- if eq (include "penstock.scheme" .) "https" }}
- {name: PENSTOCK_TLS_CERT, value: /etc/penstock/tls/tls.crt}
- {name: PENSTOCK_TLS_KEY, value: /etc/penstock/tls/tls.key}
{{- end }}
{{- range $name, $value := (default dict (index $.Values $role)).settings }}
- name: {{ $name }}
  value: {{ include "penstock.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* The time that a drain takes, in seconds, of a role: (list . "role") */}}
{{- define "penstock.drainSeconds" -}}
{{- $ := index . 0 -}}
{{- $own := (index $.Values (index . 1)).settings -}}
{{- $drain := default (default 10000 $.Values.settings.PENSTOCK_DRAIN_MS) $own.PENSTOCK_DRAIN_MS -}}
{{- div (add (int $drain) 999) 1000 -}}
{{- end -}}
