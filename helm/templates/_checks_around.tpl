{{- /* What the chart puts around the server. */ -}}
{{- define "trailgate.checkAround" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- if not .Values.service.http.enabled -}}
{{- fail "serviceMonitor reads metrics from the Service's HTTP port; set service.http.enabled=true" -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.metricsClients) -}}
{{- fail "networkPolicy keeps Prometheus from the metrics that serviceMonitor has it read; name its pods in networkPolicy.metricsClients" -}}
{{- end -}}
{{- include "trailgate.checkMetrics" . -}}
{{- end -}}
{{- if .Values.grpcRoute.enabled -}}
{{- if not .Values.grpcRoute.parentRefs -}}
{{- fail "grpcRoute belongs to no gateway; name one in grpcRoute.parentRefs" -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.clients) -}}
{{- fail "networkPolicy keeps out the gateway that grpcRoute leads from; name its pods in networkPolicy.clients" -}}
{{- end -}}
{{- if and (include "trailgate.asksCertificate" .) (not (include "trailgate.hasPolicy" .)) -}}
{{- fail "whoever comes through grpcRoute's gateway and sends no token has the name in the gateway's certificate, and without a policy may ask everything; say in policy.rules what each may ask, or leave tls.clientCA out and have tokens alone" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled .Values.grpcRoute.backendTLSPolicy (include "trailgate.isSource" .Values.tls.serverCA) (ne .Values.tls.serverCA.key "ca.crt") -}}
{{- fail (printf "tls.serverCA.key %s is not read by gateways, which look for ca.crt; give the authority that key, or set grpcRoute.backendTLSPolicy=false" .Values.tls.serverCA.key) -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.clientLabels) -}}
{{- fail "networkPolicy.clientLabels is empty, which would be every pod; give a label, or set networkPolicy.enabled=false" -}}
{{- end -}}
{{- range $name := list "aws_endpoint_url" "queue_endpoint_url" "otlp_endpoint" "jwt_keys" -}}
{{- $url := get $.Values.config $name | default "" -}}
{{- /* keys may be a file */ -}}
{{- if and (regexMatch "^https?:" $url) $policy.enabled (not $policy.egress) -}}
{{- /* a name may end with a number as well */ -}}
{{- $port := regexFind ":[0-9]+$" (urlParse $url).host | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" $url)) -}}
{{- if ne $port "443" -}}
{{- fail (printf "networkPolicy lets nothing out to port %s of config.%s; allow it in networkPolicy.egress" $port $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether the server lets Prometheus read its metrics, as far as that can be told. */}}
{{- define "trailgate.checkMetrics" -}}
{{- $monitor := .Values.serviceMonitor -}}
{{- $shows := or $monitor.clientCertificate.secretName $monitor.bearerToken.secretName -}}
{{- if and $monitor.clientCertificate.secretName (not (include "trailgate.asksCertificate" .)) -}}
{{- fail "serviceMonitor.clientCertificate is shown to a server that asks for none; set tls.clientCA, or leave it out" -}}
{{- end -}}
{{- if and $monitor.bearerToken.secretName (not (include "trailgate.takesTokens" .)) -}}
{{- fail "serviceMonitor.bearerToken is sent to a server that takes none; set config.jwt_issuer, or leave it out" -}}
{{- end -}}
{{- if .Values.policy.rules -}}
{{- $read := false -}}
{{- $anyone := dict -}}
{{- range .Values.policy.rules -}}
{{- $may := or (has "Metrics" .methods) (has "*" .methods) -}}
{{- if $may -}}{{- $read = true -}}{{- end -}}
{{- if and .anonymous (not (hasKey $anyone "may")) -}}{{- $_ := set $anyone "may" $may -}}{{- end -}}
{{- end -}}
{{- if not $read -}}
{{- fail "policy.rules let nobody read the metrics that serviceMonitor has Prometheus read; add a rule with methods: [Metrics] for it" -}}
{{- end -}}
{{- if not (or $shows $anyone.may) -}}
{{- fail "policy.rules let no one read metrics who shows nothing; set serviceMonitor.clientCertificate or serviceMonitor.bearerToken, or add a rule with anonymous: true and methods: [Metrics]" -}}
{{- end -}}
{{- else if and (not $shows) (not (include "trailgate.hasPolicy" .)) (or (include "trailgate.asksCertificate" .) (include "trailgate.takesTokens" .)) -}}
{{- fail "the server tells metrics to those alone whom it knows; set serviceMonitor.clientCertificate or serviceMonitor.bearerToken, or a policy with a rule for anonymous" -}}
{{- end -}}
{{- end -}}
