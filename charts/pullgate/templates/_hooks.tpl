{{/* A Job of one pullgate command, with a ServiceAccount that is there only for it. Of a dict: root, suffix, events, args. */}}
{{- define "pullgate.hookJob" -}}
{{- with .root -}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "pullgate.fullname" . }}{{ $.suffix }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "pullgate.labels" . | nindent 4 }}
  annotations:
    {{- include "pullgate.hookAnnotations" (dict "events" $.events "weight" "-10") | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "pullgate.fullname" . }}{{ $.suffix }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "pullgate.labels" . | nindent 4 }}
  annotations:
    {{- include "pullgate.hookAnnotations" (dict "events" $.events "weight" "0") | nindent 4 }}
spec:
  backoffLimit: 3
  template:
    metadata:
      labels:
        {{- include "pullgate.labels" . | nindent 8 }}
        app.kubernetes.io/component: hook
    spec:
      serviceAccountName: {{ include "pullgate.fullname" . }}{{ $.suffix }}
      automountServiceAccountToken: true
      restartPolicy: Never
      {{- include "pullgate.podSettings" . | nindent 6 }}
      containers:
        - name: hook
          {{- include "pullgate.containerSettings" . | nindent 10 }}
          args:
            {{- range $.args }}
            - {{ . }}
            {{- end }}
          resources:
            {{- toYaml .Values.keeper.resources | nindent 12 }}
{{- end -}}
{{- end -}}

{{- define "pullgate.hookAnnotations" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "pullgate.rules.ready" -}}
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ include "pullgate.fullname" . }}]
  verbs: [get]
{{- end -}}

{{- define "pullgate.rules.uninstall" -}}
- apiGroups: [batch]
  resources: [jobs]
  resourceNames: [{{ include "pullgate.fullname" . }}-ready]
  verbs: [delete]
- apiGroups: [""]
  resources: [pods]
  resourceNames: [{{ include "pullgate.fullname" . }}-test]
  verbs: [delete]
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ include "pullgate.fullname" . }}-keeper]
  verbs: [get, delete]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "pullgate.keeperSecret" . }}{{ if eq .Values.tls.mode "self-managed" }}, {{ include "pullgate.fullname" . }}-ca{{ end }}]
  verbs: [delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "pullgate.fullname" . }}-keeper]
  verbs: [delete]
{{- end -}}

{{- define "pullgate.rules.uninstallCluster" -}}
{{ include "pullgate.rules.webhooks" (dict "name" (include "pullgate.fullname" .) "verbs" "[delete]") }}
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterrolebindings]
  resourceNames: [{{ include "pullgate.fullname" . }}-armed]
  verbs: [delete]
{{- end -}}
