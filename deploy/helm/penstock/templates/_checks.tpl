{{/* What the schema cannot say. Each sentence names the values that do not go together. */}}
{{- define "penstock.checks" -}}
{{- if ne .Values.mode "embedded" -}}
{{- if not .Values.kafka.brokers -}}
{{- fail "kafka.brokers: name at least one host:port, or choose mode: embedded" -}}
{{- end -}}
{{- if and (not .Values.mongodb.url) (not .Values.mongodb.inSecret) -}}
{{- fail "mongodb.url: give an address, or set mongodb.inSecret" -}}
{{- end -}}
{{- if and .Values.redis.enabled (not .Values.redis.url) (not .Values.redis.inSecret) -}}
{{- fail "redis.url: give an address, set redis.inSecret, or redis.enabled: false" -}}
{{- end -}}
{{- if and (eq .Values.kafka.mechanism "AWS_MSK_IAM") (not .Values.kafka.region) (not .Values.kafka.inSecret) -}}
{{- fail "kafka.region: AWS_MSK_IAM needs the region of the cluster" -}}
{{- end -}}
{{- if and .Values.kafka.mechanism (not .Values.kafka.tls) -}}
{{- fail "kafka.tls: AWS_MSK_IAM goes over TLS only" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.secrets.externalSecret.enabled (or (not .Values.secrets.externalSecret.store.name) (not .Values.secrets.externalSecret.remoteKey)) -}}
{{- fail "secrets.externalSecret: store.name and remoteKey are needed" -}}
{{- end -}}
{{- range $role := include "penstock.roles" . | fromJsonArray -}}
{{- $own := index $.Values $role -}}
{{- $most := $own.replicas -}}
{{- if ne $own.autoscaling.mode "none" -}}
{{- $most = $own.autoscaling.maxReplicas -}}
{{- if gt (int $own.autoscaling.minReplicas) (int $most) -}}
{{- fail (printf "%s.autoscaling: minReplicas is larger than maxReplicas" $role) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $role "worker") (gt (int $most) (int $.Values.kafka.partitions)) -}}
{{- fail (printf "worker: %d workers for %d partitions: those beyond have nothing to do (kafka.partitions)" (int $most) (int $.Values.kafka.partitions)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.entry.prefix -}}
{{- fail "entry.prefix: an Ingress cannot take it off the path; choose gateway, traefik or kong" -}}
{{- end -}}
{{- if and (eq .Values.kong.policy "redis") (not .Values.kong.redisHost) -}}
{{- fail "kong.redisHost: the policy redis needs it" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parents) -}}
{{- fail "gateway.parents: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- end -}}
