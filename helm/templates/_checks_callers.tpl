{{- /* Who may call, and how the server knows them. */ -}}

{{/* What is said twice, or in part. */}}
{{- define "trailgate.checkFiles" -}}
{{- $config := .Values.config -}}
{{- $isMounted := or .Values.tls.secretName .Values.tls.certificate.enabled -}}
{{- if and (not $isMounted) (ne (empty $config.tls_cert) (empty $config.tls_key)) -}}
{{- fail "config.tls_cert and config.tls_key go together; set both, or tls.secretName" -}}
{{- end -}}
{{- $inline := or .Values.jwt.keys.inline (include "trailgate.isSource" .Values.jwt.keys) -}}
{{- $rules := or .Values.policy.rules (include "trailgate.isSource" .Values.policy) -}}
{{- range $setting, $others := dict
  "tls_cert" (list "tls" $isMounted)
  "tls_key" (list "tls" $isMounted)
  "tls_client_ca" (list "tls.clientCA" (include "trailgate.isSource" .Values.tls.clientCA))
  "jwt_keys" (list "jwt.keys" $inline)
  "aws_keys" (list "awsKeys" .Values.awsKeys.secret)
  "policy" (list "policy" $rules)
-}}
{{- if and (get $config $setting) (last $others) -}}
{{- fail (printf "config.%s and %s say the same; leave out either" $setting (first $others)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $source := dict "tls.clientCA" .Values.tls.clientCA "tls.serverCA" .Values.tls.serverCA "jwt.keys" .Values.jwt.keys "policy" .Values.policy -}}
{{- $given := list -}}
{{- range $part := list "inline" "rules" "configMap" "secret" -}}
{{- if get $source $part -}}{{- $given = append $given (printf "%s.%s" $name $part) -}}{{- end -}}
{{- end -}}
{{- if gt (len $given) 1 -}}
{{- fail (printf "%s say the same; leave out all but one" (join " and " $given)) -}}
{{- end -}}
{{- end -}}
{{- if and (include "trailgate.takesKeys" .) (not $config.serve_aws) -}}
{{- fail "awsKeys is for AWS's own clients, and they are not answered; set config.serve_aws=true, or leave it out" -}}
{{- end -}}
{{- if and .Values.tls.certificate.enabled (not .Values.tls.certificate.issuerRef.name) -}}
{{- fail "tls.certificate is signed by nobody; name an issuer of cert-manager's with tls.certificate.issuerRef.name" -}}
{{- end -}}
{{- with .Values.jwt.keys.inline -}}
{{- $set := fromJson . -}}
{{- if or (hasKey $set "Error") (not (kindIs "slice" $set.keys)) (not $set.keys) -}}
{{- fail "jwt.keys.inline is no JSON Web Key Set ({\"keys\": […]}); give the issuer's, such as from kubectl get --raw /openid/v1/jwks, by --set-file" -}}
{{- end -}}
{{- range $set.keys -}}
{{- if or (hasKey . "d") (hasKey . "k") -}}
{{- fail "jwt.keys.inline has a private key or a shared secret; give public keys alone, and take that one out of use" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the server would refuse, and what would have nobody known. */}}
{{- define "trailgate.checkCallers" -}}
{{- $config := .Values.config -}}
{{- $tls := include "trailgate.tls" . -}}
{{- $certificates := include "trailgate.asksCertificate" . -}}
{{- $tokens := include "trailgate.takesTokens" . -}}
{{- $keys := or $config.jwt_keys .Values.jwt.keys.inline (include "trailgate.isSource" .Values.jwt.keys) -}}
{{- if and $certificates (not $tls) -}}
{{- fail "tls.clientCA asks for certificates, and there is no TLS; name the server's own with tls.secretName or tls.certificate" -}}
{{- end -}}
{{- if and (include "trailgate.isSource" .Values.tls.serverCA) (not $tls) -}}
{{- fail "tls.serverCA is of a certificate, and there is no TLS; name it with tls.secretName or tls.certificate" -}}
{{- end -}}
{{- if and (or $tokens $config.jwt_audience $keys) (not (and $tokens $config.jwt_audience $keys)) -}}
{{- fail "config.jwt_issuer, config.jwt_audience and jwt.keys go together: whose tokens are taken, for whom they are, and what they are signed with; set all three" -}}
{{- end -}}
{{- if and $tls (or $certificates $tokens) -}}
{{- if $config.insecure -}}
{{- fail "config.insecure is not so: there is TLS, and callers are asked who they are; leave it out" -}}
{{- end -}}
{{- else if not $config.insecure -}}
{{- if $tls -}}
{{- fail "nobody is asked who they are, so whoever reaches the server may read every event; set tls.clientCA, or config.jwt_issuer and what goes with it, or config.insecure=true if that is meant" -}}
{{- else if $tokens -}}
{{- fail "tokens in plain text are everybody's on the way; name a certificate with tls.secretName or tls.certificate, or set config.insecure=true if something else encrypts" -}}
{{- else -}}
{{- fail "there is neither TLS nor anyone asked who they are, so whoever reaches the server may read every event; set tls.secretName or tls.certificate, and tls.clientCA or config.jwt_issuer, or config.insecure=true if that is meant (networkPolicy says which pods do)" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Rules that are for nobody who can be known. */}}
{{- define "trailgate.checkPolicy" -}}
{{- $certificates := include "trailgate.asksCertificate" . -}}
{{- $tokens := include "trailgate.takesTokens" . -}}
{{- $keys := include "trailgate.takesKeys" . -}}
{{- range $i, $rule := .Values.policy.rules -}}
{{- $named := or $rule.subjects $rule.claims -}}
{{- if not (or $rule.callers $rule.keys $named $rule.users $rule.anonymous) -}}
{{- fail (printf "policy.rules[%d] names nobody; name callers, keys, subjects, claims or users, or say anonymous: true" $i) -}}
{{- end -}}
{{- $proxied := and $.Values.config.console $.Values.config.console_proxy -}}
{{- if not (or $rule.anonymous (and $rule.callers $certificates) (and $named $tokens) (and $rule.users $proxied) (and $rule.keys $keys)) -}}
{{- if $rule.callers -}}
{{- fail (printf "policy.rules[%d] is for callers, who are known by certificates, and none is asked for; set tls.clientCA, or leave the rule out" $i) -}}
{{- else if $rule.keys -}}
{{- fail (printf "policy.rules[%d] is for keys, and none is known; set config.serve_aws and awsKeys.secret, or leave the rule out" $i) -}}
{{- else if and $rule.users (not $named) -}}
{{- fail (printf "policy.rules[%d] is for users, whom a proxy brings to the console; set config.console=true and config.console_proxy, or leave the rule out" $i) -}}
{{- else -}}
{{- fail (printf "policy.rules[%d] is for tokens, and none is taken; set config.jwt_issuer, config.jwt_audience and jwt.keys, or leave the rule out" $i) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
