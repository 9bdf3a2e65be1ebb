{{/* The security context of a container: nothing but what a process of ours needs. */}}
{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end -}}

{{/* The same of a pod (Pod Security Standards, restricted). */}}
{{- define "penstock.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.securityContext.runAsUser }}
runAsGroup: {{ int64 .Values.securityContext.runAsGroup }}
fsGroup: {{ int64 .Values.securityContext.runAsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "penstock.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- range .Values.trust }}
- {name: trust-{{ .name }}, mountPath: /etc/penstock/trust/{{ .name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "penstock.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range .Values.trust }}
- name: trust-{{ .name }}
  secret: {secretName: {{ .secret }}}
{{- end }}
{{- end -}}

{{- define "penstock.probe" -}}
{{- $ := index . 0 -}}
{{- $times := index $.Values.probes (index . 1) -}}
httpGet:
  path: {{ index . 2 }}
  port: http
  scheme: {{ include "penstock.scheme" (list $ (index . 3)) | upper }}
periodSeconds: {{ $times.periodSeconds }}
failureThreshold: {{ $times.failureThreshold }}
timeoutSeconds: {{ $times.timeoutSeconds }}
{{- end -}}

{{/* The pod of a role: (list . "role") */}}
{{- define "penstock.pod" -}}
{{- $ := index . 0 -}}
{{- $role := index . 1 -}}
{{- $own := index $.Values $role -}}
metadata:
  labels:
    {{- include "penstock.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
    {{- with $own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration makes other pods.
    checksum/configuration: {{ include "penstock.settings" $ | sha256sum }}
    {{- with $own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "penstock.fullname" $ }}-{{ $role }}
  automountServiceAccountToken: false
  # A Service called penstock would otherwise set PENSTOCK_PORT to an address.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int $.Values.stop.pauseSeconds) (int $.Values.stop.graceSeconds) (include "penstock.drainSeconds" (list $ $role) | int) (int $.Values.stop.marginSeconds) }}
  securityContext:
    {{- include "penstock.podSecurity" $ | nindent 4 }}
  {{- with $.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  topologySpreadConstraints:
    {{- range $key, $unsatisfied := dict "topology.kubernetes.io/zone" $.Values.spread.zones "kubernetes.io/hostname" $.Values.spread.nodes }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: {{ $unsatisfied }}
      labelSelector:
        matchLabels:
          {{- include "penstock.selector" $ | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: penstock
      image: {{ include "penstock.image" $ | quote }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: [{{ $role }}]
      envFrom:
        - configMapRef: {name: {{ include "penstock.fullname" $ }}}
      {{- with include "penstock.environment" . }}
      env:
        {{- . | trim | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080, protocol: TCP}
      startupProbe:
        {{- include "penstock.probe" (list $ "startup" "/livez" $role) | nindent 8 }}
      readinessProbe:
        {{- include "penstock.probe" (list $ "readiness" "/readyz" $role) | nindent 8 }}
      # Of the process alone: what Kafka, MongoDB or Redis do must not end it.
      livenessProbe:
        {{- include "penstock.probe" (list $ "liveness" "/livez" $role) | nindent 8 }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ $.Values.stop.pauseSeconds }}}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        {{- include "penstock.containerSecurity" $ | nindent 8 }}
      volumeMounts:
        {{- include "penstock.mounts" $ | nindent 8 }}
        {{- if eq (include "penstock.scheme" .) "https" }}
        - {name: tls, mountPath: /etc/penstock/tls, readOnly: true}
        {{- end }}
        {{- if eq $.Values.mode "embedded" }}
        - {name: data, mountPath: /var/lib/penstock}
        {{- end }}
  volumes:
    {{- include "penstock.volumes" $ | nindent 4 }}
    {{- if eq (include "penstock.scheme" .) "https" }}
    - name: tls
      secret: {secretName: {{ $.Values.tls.secretName }}}
    {{- end }}
    {{- if eq $.Values.mode "embedded" }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ default (include "penstock.fullname" $) $own.persistence.existingClaim }}
    {{- end }}
{{- end -}}
