{{/* The name of what belongs to a part: (list . "coordinator") */}}
{{- define "eosfed.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" ($root.Release.Name | trunc 40 | trimSuffix "-") (index . 1) -}}
{{- end }}

{{- define "eosfed.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: eosfed
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "eosfed.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: eosfed
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "eosfed.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ printf "%s%s@%s" $root.Values.registry $image.name $image.digest }}
{{- else -}}
{{ printf "%s%s:%s" $root.Values.registry $image.name ($image.tag | default $root.Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{/* The user of the images. The group gets the volume itself once, and not again what is in it: keys
     that a group may read are refused. */}}
{{- define "eosfed.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "eosfed.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "eosfed.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .className }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end }}
