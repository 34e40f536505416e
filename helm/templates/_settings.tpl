{{/* Where what the server reads is mounted. */}}
{{- define "trailgate.mount" -}}
/etc/trailgate
{{- end -}}

{{/* The most servers that there are at once. */}}
{{- define "trailgate.most" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int -}}
{{- end -}}

{{/* How many more there are while they are renewed: a quarter where a strategy does not
     say it, which is Kubernetes's default. */}}
{{- define "trailgate.surge" -}}
{{- $strategy := .Values.strategy -}}
{{- if or (not $strategy) (eq (toString $strategy.type) "Recreate") -}}
0
{{- else -}}
{{- $surge := dig "maxSurge" nil ($strategy.rollingUpdate | default dict) -}}
{{- if kindIs "invalid" $surge -}}{{- $surge = "25%" -}}{{- end -}}
{{- if hasSuffix "%" (toString $surge) -}}
{{- $percent := trimSuffix "%" $surge | int -}}
{{- div (add (mul (include "trailgate.most" . | int) $percent) 99) 100 -}}
{{- else -}}
{{- int $surge -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether both ports speak TLS: "true", or nothing. */}}
{{- define "trailgate.tls" -}}
{{- if or .Values.config.tls_cert .Values.tls.secretName .Values.tls.certificate.enabled -}}true{{- end -}}
{{- end -}}

{{/* Whether callers are asked for a certificate. */}}
{{- define "trailgate.asksCertificate" -}}
{{- if or .Values.config.tls_client_ca (include "trailgate.isSource" .Values.tls.clientCA) -}}true{{- end -}}
{{- end -}}

{{/* Whether callers' tokens are looked at. */}}
{{- define "trailgate.takesTokens" -}}
{{- if .Values.config.jwt_issuer -}}true{{- end -}}
{{- end -}}

{{/* Whether key pairs of AWS's clients are known. */}}
{{- define "trailgate.takesKeys" -}}
{{- if or .Values.config.aws_keys .Values.awsKeys.secret -}}true{{- end -}}
{{- end -}}

{{- define "trailgate.hasPolicy" -}}
{{- if or .Values.config.policy .Values.policy.rules (include "trailgate.isSource" .Values.policy) -}}true{{- end -}}
{{- end -}}

{{/* Whether a ConfigMap or Secret is named. */}}
{{- define "trailgate.isSource" -}}
{{- if or .configMap .secret -}}true{{- end -}}
{{- end -}}

{{/* The Secret of the server's certificate. */}}
{{- define "trailgate.tlsSecret" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "trailgate.fullname" .)) -}}
{{- end -}}

{{/* The name by which the server is called, and its certificate is checked. */}}
{{- define "trailgate.serverName" -}}
{{- .Values.tls.serverName | default (printf "%s.%s.svc" (include "trailgate.fullname" .) .Release.Namespace) -}}
{{- end -}}

{{/* Where the server's authority is, as JSON: of configMap, secret and key those that
     are known; nothing where it is a public one. */}}
{{- define "trailgate.serverCA" -}}
{{- $ca := .Values.tls.serverCA -}}
{{- if $ca.configMap -}}
{{- dict "configMap" $ca.configMap "key" $ca.key | toJson -}}
{{- else if $ca.secret -}}
{{- dict "secret" $ca.secret "key" $ca.key | toJson -}}
{{- else if .Values.tls.certificate.enabled -}}
{{- dict "secret" (include "trailgate.tlsSecret" .) "key" "ca.crt" | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* The server's settings as JSON: those of config, and those that the chart knows. */}}
{{- define "trailgate.settings" -}}
{{- $settings := dict -}}
{{- range $key, $value := .Values.config -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $settings $key $value -}}{{- end -}}
{{- end -}}
{{- $at := include "trailgate.mount" . -}}
{{- if or .Values.tls.secretName .Values.tls.certificate.enabled -}}
{{- $_ := set $settings "tls_cert" (printf "%s/tls/tls.crt" $at) -}}
{{- $_ := set $settings "tls_key" (printf "%s/tls/tls.key" $at) -}}
{{- end -}}
{{- if include "trailgate.isSource" .Values.tls.clientCA -}}
{{- $_ := set $settings "tls_client_ca" (printf "%s/tls/client-ca.crt" $at) -}}
{{- end -}}
{{- if or .Values.jwt.keys.inline (include "trailgate.isSource" .Values.jwt.keys) -}}
{{- $_ := set $settings "jwt_keys" (printf "%s/jwks.json" $at) -}}
{{- end -}}
{{- if .Values.awsKeys.secret -}}
{{- $_ := set $settings "aws_keys" (printf "%s/aws/keys.yaml" $at) -}}
{{- end -}}
{{- if or .Values.policy.rules (include "trailgate.isSource" .Values.policy) -}}
{{- $_ := set $settings "policy" (printf "%s/policy.yaml" $at) -}}
{{- end -}}
{{- $most := include "trailgate.most" . | int -}}
{{- if gt $most 1 -}}
{{- if not (hasKey $settings "replicas") -}}{{- $_ := set $settings "replicas" $most -}}{{- end -}}
{{- /* a subscription that moves is told up to a settle horizon again, and its new
       server reads that: so not much more often than these fifteen minutes */ -}}
{{- if not (hasKey $settings "max_connection_age") -}}{{- $_ := set $settings "max_connection_age" "1h" -}}{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{/* Settings as YAML: JSON's values are, and leave no account without its quotes. */}}
{{- define "trailgate.yaml" -}}
{{- range $key, $value := . }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end -}}

{{/* What of the settings needs a restart. */}}
{{- define "trailgate.restarting" -}}
{{- include "trailgate.yaml" (omit (include "trailgate.settings" . | fromJson) "log_level") -}}
{{- end -}}

{{/* The sources of the one volume that the server reads. */}}
{{- define "trailgate.sources" -}}
- configMap:
    name: {{ include "trailgate.fullname" . }}
{{- if or .Values.tls.secretName .Values.tls.certificate.enabled }}
- secret:
    name: {{ include "trailgate.tlsSecret" . }}
    items:
      - {key: tls.crt, path: tls/tls.crt}
      - {key: tls.key, path: tls/tls.key}
{{- end }}
{{- include "trailgate.source" (dict "from" .Values.tls.clientCA "path" "tls/client-ca.crt") }}
{{- include "trailgate.source" (dict "from" .Values.jwt.keys "path" "jwks.json") }}
{{- include "trailgate.source" (dict "from" .Values.awsKeys "path" "aws/keys.yaml") }}
{{- include "trailgate.source" (dict "from" .Values.policy "path" "policy.yaml") }}
{{- if or .Values.jwt.keys.inline .Values.policy.rules }}
- configMap:
    name: {{ include "trailgate.fullname" . }}-access
{{- end }}
{{- end -}}

{{- define "trailgate.source" -}}
{{- with .from.configMap }}
- configMap:
    name: {{ . }}
    items:
      - {key: {{ $.from.key }}, path: {{ $.path }}}
{{- end }}
{{- with .from.secret }}
- secret:
    name: {{ . }}
    items:
      - {key: {{ $.from.key }}, path: {{ $.path }}}
{{- end }}
{{- end -}}
