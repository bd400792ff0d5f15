{{/* The two webhook configurations. */}}
{{- define "pullgate.webhookConfiguration" -}}
{{- $path := .path -}}
{{- $webhook := index .root.Values.webhooks .path -}}
{{- with .root -}}
apiVersion: admissionregistration.k8s.io/v1
kind: {{ $path | title | replace "Validate" "Validating" | replace "Mutate" "Mutating" }}WebhookConfiguration
metadata:
  name: {{ include "pullgate.fullname" . }}
  labels:
    {{- include "pullgate.labels" . | nindent 4 }}
  {{- $annotations := deepCopy .Values.webhooks.annotations }}
  {{- if eq .Values.tls.mode "cert-manager" }}
  {{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "pullgate.fullname" .)) }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
webhooks:
  - name: {{ $path }}.pullgate.dev
    # The keeper adds a segment to the path, and where it makes the certificate, caBundle.
    clientConfig:
      service:
        name: {{ include "pullgate.fullname" . }}
        namespace: {{ .Release.Namespace }}
        path: {{ include "pullgate.webhookPath" (dict "root" . "path" $path) }}
        port: 443
      {{- if eq .Values.tls.mode "files" }}
      {{- with .Values.tls.caBundle }}
      caBundle: {{ . }}
      {{- end }}
      {{- end }}
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: {{ $webhook.failurePolicy }}
    timeoutSeconds: {{ $webhook.timeoutSeconds }}
    matchPolicy: Equivalent
    {{- if eq $path "mutate" }}
    # Containers that other webhooks add afterwards are pinned too.
    reinvocationPolicy: IfNeeded
    {{- end }}
    # By the label that only the API server writes.
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: NotIn
          values:
            {{- concat (list "kube-system" .Release.Namespace) .Values.webhooks.excludeNamespaces | uniq | toYaml | nindent 12 }}
        {{- with .Values.webhooks.onlyNamespaces }}
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- toYaml . | nindent 12 }}
        {{- end }}
    matchConditions:
      # A mirror pod reports what a kubelet already runs. On anything else the annotation is a word of its author. A rule of
      # one's own may ask about deletions, which have no object.
      - name: not-a-mirror-pod
        expression: "request.resource.group != '' || request.resource.resource != 'pods' || object == null || !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
      # Labels, annotations, finalizers, replicas and status name no image.
      - name: pull-changed
        expression: >-
          {{- include (printf "pullgate.%s.changed" $path) . | nindent 10 }}
      {{- if eq $webhook.failurePolicy "Fail" }}
      # Before the first replica is ready nobody is asked, and nothing is refused: see armed.yaml.
      - name: armed
        expression: >-
          authorizer.serviceAccount('{{ .Release.Namespace }}', '{{ include "pullgate.serviceAccountName" . }}')
          .group('pullgate.dev').resource('webhooks').name('{{ include "pullgate.fullname" . }}').check('answer').allowed()
      {{- end }}
    rules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        # Of templates no digest is written: it would fight whatever manages them.
        resources: [pods{{ if eq $path "validate" }}, replicationcontrollers{{ end }}]
        scope: Namespaced
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [UPDATE]
        resources: [pods/ephemeralcontainers]
        scope: Namespaced
      {{- if eq $path "validate" }}
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments, statefulsets, daemonsets, replicasets]
        scope: Namespaced
      - apiGroups: [batch]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [jobs, cronjobs]
        scope: Namespaced
      {{- with $webhook.extraRules }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- end }}
{{- end -}}
{{- end -}}

{{/* The path with the segment that the keeper added, where there is a cluster to ask: without it API servers are strangers until the keeper's next look. Of a dict: root, path. */}}
{{- define "pullgate.webhookPath" -}}
{{- $kind := eq .path "mutate" | ternary "MutatingWebhookConfiguration" "ValidatingWebhookConfiguration" }}
{{- $live := lookup "admissionregistration.k8s.io/v1" $kind "" (include "pullgate.fullname" .root) }}
{{- $webhook := $live.webhooks | default list | first | default dict }}
{{- $known := dig "clientConfig" "service" "path" "" $webhook }}
{{- hasPrefix (printf "/%s/" .path) $known | ternary $known (printf "/%s" .path) }}
{{- end -}}

{{/*
CEL: whether an update changes what pullgate would look at. [[a, b].map(o, f(o))].exists(p, …) gives a name, p, to the pod specs
before and after. Every field may be missing. Of a pod only images can change. Where another kind keeps its pod spec
(config.kinds) is not known here.
*/}}
{{- define "pullgate.mutate.changed" -}}
request.operation != 'UPDATE' ||
[[object, oldObject].map(o, o.?spec.orValue({}))].exists(p, {{ include "pullgate.imagesChanged" . | trim }})
{{- end -}}

{{- define "pullgate.validate.changed" -}}
request.operation != 'UPDATE' ||
!(request.resource.group in ['', 'apps', 'batch']) && object.?spec != oldObject.?spec ||
[[object, oldObject].map(o, o.?spec.?jobTemplate.?spec.?template.?spec.or(o.?spec.?template.?spec).or(o.?spec).orValue({}))].exists(p,
{{ include "pullgate.imagesChanged" . | trim }} ||
request.resource.resource != 'pods' && (
p[0].?volumes.orValue([]).filter(v, has(v.image)).map(v, [v.image.?reference.orValue(''), v.image.?pullPolicy.orValue('')]) !=
p[1].?volumes.orValue([]).filter(v, has(v.image)).map(v, [v.image.?reference.orValue(''), v.image.?pullPolicy.orValue('')])
{{- range list "imagePullSecrets" "serviceAccountName" "nodeName" "runtimeClassName" "nodeSelector" "affinity" "tolerations" "os" }} ||
p[0].?{{ . }} != p[1].?{{ . }}
{{- end }}))
{{- end -}}

{{- define "pullgate.imagesChanged" -}}
{{- range list "containers" "initContainers" "ephemeralContainers" }}
{{- if ne . "containers" }} ||{{ end }}
p[0].?{{ . }}.orValue([]).map(c, [c.?image.orValue(''), c.?imagePullPolicy.orValue('')]) !=
p[1].?{{ . }}.orValue([]).map(c, [c.?image.orValue(''), c.?imagePullPolicy.orValue('')])
{{- end }}
{{- end -}}
