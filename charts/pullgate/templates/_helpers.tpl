{{- define "pullgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of every object, and of the Service that the certificate must name. Suffixes such as "-keeper" fit behind it. */}}
{{- define "pullgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "pullgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pullgate.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pullgate.instanceLabels" -}}
app.kubernetes.io/name: {{ include "pullgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of the pods that the Service leads to. */}}
{{- define "pullgate.selectorLabels" -}}
{{ include "pullgate.instanceLabels" . }}
app.kubernetes.io/component: webhook
{{- end -}}

{{- define "pullgate.labels" -}}
{{ include "pullgate.instanceLabels" . }}
app.kubernetes.io/part-of: pullgate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pullgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pullgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pullgate.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secret of the serving certificate. */}}
{{- define "pullgate.tlsSecret" -}}
{{- $own := printf "%s-tls" (include "pullgate.fullname" .) -}}
{{- if eq .Values.tls.mode "files" -}}
{{- default $own .Values.tls.secretName -}}
{{- else -}}
{{- $own -}}
{{- end -}}
{{- end -}}

{{/* The Secret that the keeper writes: the certificate, or only the path where others make the certificate. */}}
{{- define "pullgate.keeperSecret" -}}
{{- printf "%s-%s" (include "pullgate.fullname" .) (eq .Values.tls.mode "self-managed" | ternary "tls" "path") -}}
{{- end -}}

{{/* What the pods of the chart have in common. */}}
{{- define "pullgate.podSettings" -}}
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pullgate.containerSettings" -}}
image: {{ include "pullgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "pullgate.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- define "pullgate.address" -}}
{{- printf "%s:%d" (index . 0) (index . 1 | int) -}}
{{- end -}}

{{/* Whether one of the two webhooks refuses what cannot be asked about. */}}
{{- define "pullgate.failsClosed" -}}
{{- $validate := and .Values.webhooks.validate.enabled (eq .Values.webhooks.validate.failurePolicy "Fail") -}}
{{- $mutate := and .Values.webhooks.mutate.enabled (eq .Values.webhooks.mutate.failurePolicy "Fail") -}}
{{- if or $validate $mutate }}yes{{ end -}}
{{- end -}}

{{/* A cluster-wide webhook is installed once. `helm template` has no cluster to look at. */}}
{{- define "pullgate.onlyRelease" -}}
{{- range $kind := list "ValidatingWebhookConfiguration" "MutatingWebhookConfiguration" -}}
{{- range (lookup "admissionregistration.k8s.io/v1" $kind "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $release := index $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" -}}
{{- if and (eq (index $labels "app.kubernetes.io/part-of" | default "") "pullgate") (or (ne ($release | default "") $.Release.Name) (ne ($namespace | default "") $.Release.Namespace)) -}}
{{- fail (printf "pullgate is installed already, as release %q in namespace %q (%s %s): a cluster takes one. Upgrade that release, or uninstall it first" ($release | default "(none)") ($namespace | default "(none)") $kind .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
