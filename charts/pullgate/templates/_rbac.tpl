{{/*
A role and who has it. Of a dict: root, suffix of the name, namespace (empty: the whole cluster), account, rules; and
annotations, where helm is to make it as a hook.
*/}}
{{- define "pullgate.grant" -}}
---
{{ include "pullgate.role" . }}
---
{{ include "pullgate.binding" . }}
{{- end -}}

{{- define "pullgate.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ empty .namespace | ternary "ClusterRole" "Role" }}
{{ include "pullgate.grantMetadata" . }}
rules:
  {{- .rules | nindent 2 }}
{{- end -}}

{{- define "pullgate.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ empty .namespace | ternary "ClusterRoleBinding" "RoleBinding" }}
{{ include "pullgate.grantMetadata" . }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ or (empty .namespace) (default false .clusterRole) | ternary "ClusterRole" "Role" }}
  name: {{ include "pullgate.fullname" .root }}{{ .suffix }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{- define "pullgate.grantMetadata" -}}
metadata:
  name: {{ include "pullgate.fullname" .root }}{{ .suffix }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "pullgate.labels" .root | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "pullgate.rules.pullSecrets" -}}
# By name only: `list` and `watch` would show every Secret there is.
- apiGroups: [""]
  resources: [secrets, serviceaccounts]
  verbs: [get]
{{- end -}}

{{- define "pullgate.rules.namedSecrets" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- toYaml . | nindent 4 }}
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
{{- end -}}

{{- define "pullgate.rules.nodes" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{- define "pullgate.rules.tokens" -}}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end -}}

{{/* Of a dict: name of the webhook configurations, verbs. */}}
{{- define "pullgate.rules.webhooks" -}}
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations, mutatingwebhookconfigurations]
  resourceNames: [{{ .name }}]
  verbs: {{ .verbs }}
{{- end -}}

{{- define "pullgate.rules.servingSecret" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "pullgate.tlsSecret" . }}]
  verbs: [get]
{{- end -}}

{{- define "pullgate.rules.keeper" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "pullgate.keeperSecret" . }}{{ if eq .Values.tls.mode "self-managed" }}, {{ include "pullgate.fullname" . }}-ca{{ end }}]
  verbs: [get, update, patch]
# A name cannot be asked of what does not exist yet.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "pullgate.fullname" . }}-keeper]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
# The replicas that must serve a new certificate before the old CA goes.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end -}}
