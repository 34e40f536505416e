{{- define "trailgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The longest suffix is "-dashboard": names have 63 characters. */}}
{{- define "trailgate.fullname" -}}
{{- $name := include "trailgate.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the servers' pods, for good: a Deployment's selector cannot change. */}}
{{- define "trailgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "trailgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trailgate.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trailgate.labels" -}}
{{ include "trailgate.selectorLabels" . }}
{{ include "trailgate.commonLabels" . }}
{{- end -}}

{{- define "trailgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "trailgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "trailgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The port of an address. */}}
{{- define "trailgate.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{/* The whole seconds of a span such as 1h30m, rounded up. */}}
{{- define "trailgate.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d|w)" . -1 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- $unit := trimPrefix $number . -}}
{{- if eq $unit "ms" -}}
{{- $sum = add $sum (div (add ($number | int64) 999) 1000) -}}
{{- else -}}
{{- $sum = add $sum (mul ($number | int64) (get $units $unit)) -}}
{{- end -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* The bytes of a size, of a setting (256MB) or a quantity (1.5Gi). */}}
{{- define "trailgate.bytes" -}}
{{- $text := . -}}
{{- if not (kindIs "string" .) -}}{{- $text = printf "%.0f" (float64 .) -}}{{- end -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text | trim | trimSuffix "B" -}}
{{- $units := dict "" 1 "k" 1000 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (float64 $number) (float64 (get $units $unit | default 0)) | int64 -}}
{{- end -}}

{{- define "trailgate.shutdownSeconds" -}}
{{- include "trailgate.seconds" (.Values.config.shutdown_grace | default "30s") -}}
{{- end -}}

{{- define "trailgate.terminationSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (int .Values.preStopSleepSeconds) (include "trailgate.shutdownSeconds" . | int) 10 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
