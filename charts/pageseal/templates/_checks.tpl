{{/* What a schema cannot say, or not in words that help: values that need each other. */}}
{{- define "pageseal.check" -}}
{{- $v := .Values -}}
{{- if $v.embedded.enabled -}}
{{- if not $v.embedded.node -}}
{{- fail "embedded.node: is missing; name the one node that is to hold database and objects (kubectl get nodes)" -}}
{{- end -}}
{{- if not $v.embedded.directory -}}
{{- fail "embedded.directory: is missing; name a directory of that node, for example /var/lib/pageseal" -}}
{{- end -}}
{{- if hasPrefix (printf "%s/" $v.kubeletDir) (printf "%s/" $v.embedded.directory) -}}
{{- fail (printf "embedded.directory: %s lies below kubeletDir, which belongs to the kubelet; name a directory outside it" $v.embedded.directory) -}}
{{- end -}}
{{- end -}}
{{- if $v.hostNetwork -}}
{{- $ports := list $v.controller.port $v.node.port $v.keeper.port $v.operator.port -}}
{{- if lt (len (uniq $ports)) (len $ports) -}}
{{- fail "hostNetwork: controller.port, node.port, keeper.port and operator.port must differ, since they share a node's addresses" -}}
{{- end -}}
{{- end -}}
{{- if and $v.controller.secretFinalizer (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "controller.secretFinalizer: wanted Kubernetes 1.30 or later, whose admission policies limit what the controller may write; found %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- $names := list -}}
{{- range $v.storageClasses -}}
{{- if has .name $names -}}
{{- fail (printf "storageClasses: %s is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $field, $list := dict "controller.secretNamespaces" $v.controller.secretNamespaces "operator.namespaces" $v.operator.namespaces -}}
{{- if and (has "*" $list) (gt (len $list) 1) -}}
{{- fail (printf "%s: \"*\" means every namespace and stands alone" $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
