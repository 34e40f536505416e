{{/*
Refuses values that contradict each other, with a line that says what to do:
here rather than in a pod that ends again and again.
*/}}
{{- define "trailgate.checks" -}}
{{- include "trailgate.checkFiles" . -}}
{{- include "trailgate.checkCallers" . -}}
{{- include "trailgate.checkPolicy" . -}}
{{- include "trailgate.checkListening" . -}}
{{- include "trailgate.checkSources" . -}}
{{- include "trailgate.checkReplicas" . -}}
{{- include "trailgate.checkPod" . -}}
{{- include "trailgate.checkAround" . -}}
{{- end -}}

{{- define "trailgate.checkListening" -}}
{{- $config := .Values.config -}}
{{- range $name := list "listen" "http_listen" -}}
{{- $address := get $config $name -}}
{{- if or (hasPrefix "127." $address) (hasPrefix "[::1]" $address) -}}
{{- fail (printf "config.%s %s is reached by nobody outside of the pod; set it to 0.0.0.0:%s" $name $address (include "trailgate.port" $address)) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "trailgate.port" $config.listen) (include "trailgate.port" $config.http_listen) -}}
{{- fail (printf "config.listen and config.http_listen have both port %s; set another for one of them" (include "trailgate.port" $config.listen)) -}}
{{- end -}}
{{- if and .Values.service.http.enabled (eq (int .Values.service.port) (int .Values.service.http.port)) -}}
{{- fail (printf "service.port and service.http.port are both %d; set another for one of them" (int .Values.service.port)) -}}
{{- end -}}
{{- end -}}

{{/* What the server refuses as well. */}}
{{- define "trailgate.checkSources" -}}
{{- $config := .Values.config -}}
{{- $asks := list -}}
{{- range $name := list "organization" "assume_role_arn" "profile" -}}
{{- if get $config $name -}}{{- $asks = append $asks $name -}}{{- end -}}
{{- end -}}
{{- if $config.demo -}}
{{- if $config.aws_endpoint_url -}}
{{- fail "config.demo has an endpoint of its own; leave config.aws_endpoint_url out" -}}
{{- end -}}
{{- range $asks -}}
{{- fail (printf "config.demo needs no AWS, and config.%s asks it; leave out either" .) -}}
{{- end -}}
{{- if $config.all_regions -}}
{{- fail "config.demo has Regions of its own; leave config.all_regions out" -}}
{{- end -}}
{{- end -}}
{{- if and (eq (toString $config.credentials) "simulator") $asks -}}
{{- fail (printf "config.credentials simulator makes keys from config.account, and config.%s needs real ones; leave out either" (first $asks)) -}}
{{- end -}}
{{- if $config.profile -}}
{{- range $name := list "account" "organization" "assume_role_arn" -}}
{{- if get $config $name -}}
{{- fail (printf "each config.profile is for its own account; leave config.%s out, or config.profile" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $config.organization (not $config.assume_role_arn) -}}
{{- fail "config.organization finds accounts, and each needs a role to be read by; name it with config.assume_role_arn, such as arn:aws:iam::{account}:role/TrailgateReader" -}}
{{- end -}}
{{- if and $config.assume_role_arn (not (or $config.account $config.organization)) -}}
{{- fail "config.assume_role_arn needs accounts; name them with config.account, or set config.organization=true" -}}
{{- end -}}
{{- if not $config.assume_role_arn -}}
{{- range $name := list "assume_role_external_id" "assume_role_session_name" "assume_role_in_own_account" -}}
{{- if get $config $name -}}
{{- fail (printf "config.%s does nothing without config.assume_role_arn; name the role there" $name) -}}
{{- end -}}
{{- end -}}
{{- if .Values.externalIdSecret.name -}}
{{- fail "externalIdSecret does nothing without config.assume_role_arn; name the role there" -}}
{{- end -}}
{{- $simulated := or $config.demo $config.aws_endpoint_url (eq (toString $config.credentials) "simulator") -}}
{{- if and (gt (len ($config.account | default list)) 1) (not $simulated) -}}
{{- fail (printf "config.account has %d accounts, and there are credentials for one; name a role to assume in each with config.assume_role_arn" (len $config.account)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.externalIdSecret.name $config.assume_role_external_id -}}
{{- fail "externalIdSecret and config.assume_role_external_id say the same; leave out either" -}}
{{- end -}}
{{- if and $config.all_regions $config.region -}}
{{- fail "config.all_regions has every Region; leave config.region out, and name in config.exclude_region those that are not wanted" -}}
{{- end -}}
{{- if and $config.scope_refresh (not (or $config.organization $config.all_regions)) -}}
{{- fail "config.scope_refresh does nothing without config.organization or config.all_regions; leave it out" -}}
{{- end -}}
{{- if and $config.trail (not $config.queue) -}}
{{- fail "config.trail goes with a queue, whose files it lists after a start; name one with config.queue" -}}
{{- end -}}
{{- if and (hasKey $config "rate") (not $config.rate) (not (or $config.demo $config.aws_endpoint_url)) -}}
{{- fail "config.rate 0 is for a simulator, and AWS would throttle every tool of the account; set a rate, at most 2, or config.aws_endpoint_url" -}}
{{- end -}}
{{- end -}}

{{- define "trailgate.checkReplicas" -}}
{{- $scaled := .Values.autoscaling -}}
{{- $most := include "trailgate.most" . | int -}}
{{- $name := ternary "autoscaling.maxReplicas" "replicaCount" $scaled.enabled -}}
{{- $share := int (.Values.config.replicas | default 0) -}}
{{- $least := $most -}}
{{- if $scaled.enabled -}}
{{- $least = int $scaled.minReplicas -}}
{{- if gt $least $most -}}
{{- fail (printf "autoscaling.minReplicas %d is more than autoscaling.maxReplicas %d; set it to as many or less" $least $most) -}}
{{- end -}}
{{- if not $share -}}
{{- fail (printf "autoscaling changes how many servers there are, and each has 1/config.replicas of every quota, whatever their number; set config.replicas=%d if it is meant that fewer leave a part of it unspent" $most) -}}
{{- end -}}
{{- end -}}
{{- if and $share (lt $share $most) -}}
{{- fail (printf "%s %d with config.replicas %d spend more than the quota; set config.replicas=%d, or leave it out with replicaCount" $name $most $share $most) -}}
{{- end -}}
{{- if gt $most 64 -}}
{{- fail (printf "%s %d is more than the 64 servers that can share a quota; set it to less" $name $most) -}}
{{- end -}}
{{- if gt $most 1 -}}
{{- if .Values.config.queue -}}
{{- fail (printf "%s %d would share config.queue, of which each message reaches one of them and its subscribers alone; set replicaCount=1, without autoscaling" $name $most) -}}
{{- end -}}
{{- if eq (toString .Values.strategy.type) "Recreate" -}}
{{- fail (printf "strategy Recreate stops all of %s %d at once; leave strategy out, and they are renewed one after the other" $name $most) -}}
{{- end -}}
{{- end -}}
{{- $surge := include "trailgate.surge" . | int -}}
{{- if $surge -}}
{{- if .Values.config.queue -}}
{{- fail "strategy has a new server begin before an old one is gone, and both take from config.queue; leave strategy out, or set strategy.rollingUpdate.maxSurge=0" -}}
{{- end -}}
{{- if lt ($share | default $most) (int (add $most $surge)) -}}
{{- fail (printf "strategy has %d servers while they are renewed, which spend more than the quota; leave strategy out, set strategy.rollingUpdate.maxSurge=0, or config.replicas=%d" (add $most $surge) (add $most $surge)) -}}
{{- end -}}
{{- end -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (not (kindIs "invalid" $budget.minAvailable)) -}}
{{- if not (kindIs "invalid" $budget.maxUnavailable) -}}
{{- fail "podDisruptionBudget has both minAvailable and maxUnavailable; set either to null" -}}
{{- end -}}
{{- if or (eq (toString $budget.minAvailable) "100%") (and (not (kindIs "string" $budget.minAvailable)) (ge (int $budget.minAvailable) $least)) -}}
{{- fail (printf "podDisruptionBudget.minAvailable %v of %d lets no node be drained; set it to less, or null and maxUnavailable=1" $budget.minAvailable $least) -}}
{{- end -}}
{{- end -}}
{{- if and $budget.enabled (kindIs "invalid" $budget.minAvailable) (has (toString $budget.maxUnavailable) (list "0" "0%" "<nil>")) -}}
{{- fail "podDisruptionBudget lets no node be drained; set maxUnavailable=1" -}}
{{- end -}}
{{- end -}}

{{- define "trailgate.checkPod" -}}
{{- $age := .Values.config.max_connection_age -}}
{{- if and $age (eq (include "trailgate.seconds" $age) "0") -}}
{{- fail (printf "config.max_connection_age %s ends connections at once; set some minutes, or leave it out" $age) -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.terminationGracePeriodSeconds) -}}
{{- $needed := add (int .Values.preStopSleepSeconds) (include "trailgate.shutdownSeconds" . | int) -}}
{{- if le (int64 .Values.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds %d kills calls that preStopSleepSeconds and config.shutdown_grace give %d seconds; set it to more, or to null" (int .Values.terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- end -}}
{{- include "trailgate.checkAuditLog" . -}}
{{- $limit := dig "limits" "memory" "" .Values.resources -}}
{{- if $limit -}}
{{- $cache := .Values.config.cache_size | default "256MB" -}}
{{- $feed := .Values.config.feed_size | default "64MB" -}}
{{- /* docs/memory.md: 420 MB that are held beside, 40 MB a queue, and 100 MB for calls */ -}}
{{- $beside := add 520 (mul 40 (len (.Values.config.queue | default list))) -}}
{{- /* and with an archive 34 MB of events that wait, and what it writes and merges with */ -}}
{{- $archive := ternary (add (include "trailgate.bytes" (.Values.config.archive_memory | default "256MB") | int64) 34000000) 0 (not (empty .Values.config.archive)) -}}
{{- $held := add (include "trailgate.bytes" $cache | int64) (include "trailgate.bytes" $feed | int64) (mul $beside 1000000) $archive -}}
{{- if lt (include "trailgate.bytes" $limit | int64) $held -}}
{{- fail (printf "resources.limits.memory %v is less than config.cache_size, config.feed_size, what an archive takes and the %d MB that a server may take beside, %d MB together; set it to more" $limit $beside (div $held 1000000)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a pod writes into its own file system ends with it. */}}
{{- define "trailgate.checkAuditLog" -}}
{{- $path := .Values.config.audit_log -}}
{{- if and $path (ne $path "-") -}}
{{- /* the deepest mount has it */ -}}
{{- $holder := dict "mountPath" "" -}}
{{- range concat (list (dict "mountPath" (include "trailgate.mount" .) "readOnly" true)) .Values.extraVolumeMounts -}}
{{- $at := trimSuffix "/" .mountPath -}}
{{- if and (or (eq $path $at) (hasPrefix (printf "%s/" $at) $path)) (ge (len .mountPath) (len $holder.mountPath)) -}}
{{- $holder = . -}}
{{- end -}}
{{- end -}}
{{- if not $holder.mountPath -}}
{{- fail (printf "config.audit_log %s is in no volume, and the pod's own file system cannot be written and ends with it; mount one there by extraVolumes and extraVolumeMounts, or set config.audit_log=\"-\" for standard output" $path) -}}
{{- end -}}
{{- if $holder.readOnly -}}
{{- fail (printf "config.audit_log %s is in %s, which is mounted readOnly; mount another volume by extraVolumeMounts, or set config.audit_log=\"-\" for standard output" $path $holder.mountPath) -}}
{{- end -}}
{{- end -}}
{{- end -}}
