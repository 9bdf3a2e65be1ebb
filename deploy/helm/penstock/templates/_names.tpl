{{- define "penstock.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the pods of all roles have in common, and nothing else has: for selectors. */}}
{{- define "penstock.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The roles of a mode, those that take HTTP, and the one that the world asks. */}}
{{- define "penstock.roles" -}}
{{- if eq .Values.mode "roles" -}}["api","ingest","query","worker"]{{- else -}}["serve"]{{- end -}}
{{- end -}}

{{- define "penstock.front" -}}
{{- if eq .Values.mode "roles" -}}api{{- else -}}serve{{- end -}}
{{- end -}}

{{- define "penstock.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "penstock.secretName" -}}
{{- default (include "penstock.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* How a role is spoken to: (list . "role"). Ours among themselves speak plainly. */}}
{{- define "penstock.scheme" -}}
{{- $ := index . 0 -}}
{{- if and $.Values.tls.secretName (eq (index . 1) (include "penstock.front" $)) -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* The engines that a role works with, as a list: (list . "role") */}}
{{- define "penstock.engines" -}}
{{- $ := index . 0 -}}
{{- $engines := list -}}
{{- if ne $.Values.mode "embedded" -}}
{{- if not (has (index . 1) (list "api" "query")) -}}{{- $engines = append $engines "kafka" -}}{{- end -}}
{{- $engines = append $engines "mongodb" -}}
{{- if $.Values.redis.enabled -}}{{- $engines = append $engines "redis" -}}{{- end -}}
{{- end -}}
{{- toJson $engines -}}
{{- end -}}

{{/* Annotations of a sync wave: (list . "wave"), where Argo CD is to have them. */}}
{{- define "penstock.wave" -}}
{{- if (index . 0).Values.argocd.waves -}}
argocd.argoproj.io/sync-wave: {{ index . 1 | quote }}
{{- end -}}
{{- end -}}

{{/* metadata of an object: (list . "name" "component" "wave" annotations) */}}
{{- define "penstock.metadata" -}}
{{- $ := index . 0 -}}
{{- $annotations := merge (dict) (index . 4) -}}
{{- if $.Values.argocd.waves -}}
{{- $_ := set $annotations "argocd.argoproj.io/sync-wave" (index . 3) -}}
{{- end -}}
name: {{ index . 1 }}
namespace: {{ $.Release.Namespace }}
labels:
  {{- include "penstock.labels" $ | nindent 2 }}
  {{- with index . 2 }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
