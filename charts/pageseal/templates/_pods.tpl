{{/* What the pods of all components share. Each takes (dict "root" $ "component" "node" "values" .Values.node). */}}

{{- define "pageseal.podMetadata" -}}
labels:
  {{- include "pageseal.selector" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (dict "kubectl.kubernetes.io/default-container" "pageseal") .values.podAnnotations }}
annotations:
  {{- toYaml $annotations | nindent 2 }}
{{- end -}}

{{- define "pageseal.podCommon" -}}
{{- $values := .root.Values -}}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if $values.hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with $values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A taint on nodes whose driver is not ready yet must not keep the driver itself away. */}}
{{- define "pageseal.tolerations" -}}
tolerations:
  - key: csi.pageseal.dev/not-ready
    operator: Exists
  {{- with .values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* In embedded mode the database and the folder are on one node: by its name, since its hostname label may differ. */}}
{{- define "pageseal.affinity" -}}
{{- $embedded := .root.Values.embedded -}}
{{- if and $embedded.enabled (ne .component "operator") }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchFields:
            - key: metadata.name
              operator: In
              values: [{{ $embedded.node | quote }}]
{{- else }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "pageseal.restrictedPod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Of every container but the keeper's. */}}
{{- define "pageseal.containerRights" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Own name, place and node, then what the administrator adds. */}}
{{- define "pageseal.env" -}}
env:
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: POD_NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
  {{- with .values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "pageseal.ports" -}}
ports:
  - name: metrics
    containerPort: {{ .values.port }}
    protocol: TCP
{{- end -}}

{{/* /healthz says nothing of databases and stores: an outage there must not restart a component. */}}
{{- define "pageseal.liveness" -}}
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{- define "pageseal.readiness" -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{- define "pageseal.resources" -}}
{{- with .resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Authorities of the administrator, in every process that leads to databases and stores: flag, mount and volume. */}}
{{- define "pageseal.authoritiesFlag" -}}
{{- if .Values.trustedAuthorities.configMap }}
- --ca-file=/etc/pageseal/authorities/ca.crt
{{- end }}
{{- end -}}

{{- define "pageseal.authoritiesMount" -}}
{{- if .Values.trustedAuthorities.configMap }}
- name: authorities
  mountPath: /etc/pageseal/authorities
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pageseal.authoritiesVolume" -}}
{{- with .Values.trustedAuthorities }}
{{- if .configMap }}
- name: authorities
  configMap:
    name: {{ .configMap }}
    items:
      - key: {{ .key | quote }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* The flags that say what a Secret may name: the same in every process that reads one. */}}
{{- define "pageseal.placeFlags" -}}
{{- with .Values.allowedEndpoints }}
- --allowed-endpoints={{ join "," . }}
{{- end }}
{{- if .Values.ambientCredentials }}
- --ambient-credentials
{{- end }}
{{- end -}}
