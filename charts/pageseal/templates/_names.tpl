{{/* Names, labels and images: said once. Selectors are made of the first three labels only and never change. */}}

{{- define "pageseal.name" -}}
{{- if contains "pageseal" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-pageseal" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pageseal.selector" -}}
app.kubernetes.io/name: pageseal
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Of objects; .component may be empty. */}}
{{- define "pageseal.labels" -}}
app.kubernetes.io/name: pageseal
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A whole image reference. With image.registry set, it takes the place of the registry's host in every one. */}}
{{- define "pageseal.image" -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.image.registry -}}
{{- $parts := splitList "/" $repository -}}
{{- $first := first $parts -}}
{{- if and (gt (len $parts) 1) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $repository = join "/" (rest $parts) -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- $repository -}}
{{- if .image.digest -}}
{{- printf "@%s" .image.digest -}}
{{- else -}}
{{- printf ":%s" (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The address that /metrics and /healthz are served at; IPv6 in brackets. */}}
{{- define "pageseal.http" -}}
{{- $host := .root.Values.metrics.host -}}
{{- if contains ":" $host -}}[{{ $host }}]{{- else -}}{{ $host }}{{- end -}}:{{ .port }}
{{- end -}}

{{/* Namespaces whose Secrets an account may read: the list, the release's own where it is empty; "*" is handled by who asks. */}}
{{- define "pageseal.namespaces" -}}
{{- toJson (.namespaces | default (list .root.Release.Namespace) | uniq) -}}
{{- end -}}
