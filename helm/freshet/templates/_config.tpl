{{/* The daemon's configuration: what the user wrote, with what the cluster decides. */}}

{{/* The volume is mounted here. The state lies in a folder below it, so that what is made beside it (`freshet state erase
     --retrain`) is on the same volume, and no lost+found is in it. */}}
{{- define "freshet.volumePath" -}}/var/lib/freshet{{- end -}}
{{- define "freshet.secretsPath" -}}/run/secrets/freshet{{- end -}}

{{- define "freshet.config" -}}
{{- $config := deepCopy (default dict .Values.config) -}}
{{- range $section := list "model" "stream" "memory" "learning" "serving" "log" -}}
  {{- if not (index $config $section) -}}{{- $_ := set $config $section dict -}}{{- end -}}
{{- end -}}
{{- if not $config.memory.path -}}
  {{- $_ := set $config.memory "path" (printf "%s/state" (include "freshet.volumePath" .)) -}}
{{- end -}}
{{- if not $config.stream.group -}}{{- $_ := set $config.stream "group" (include "freshet.fullname" .) -}}{{- end -}}
{{- if not $config.log.format -}}{{- $_ := set $config.log "format" "json" -}}{{- end -}}
{{- if and .Values.gpu.enabled (not $config.learning.device) -}}{{- $_ := set $config.learning "device" "cuda" -}}{{- end -}}
{{/* YAML reads a bare `off` as false. */}}
{{- if kindIs "bool" $config.learning.autocast -}}{{- $_ := set $config.learning "autocast" "off" -}}{{- end -}}
{{/* And the key `on` as true. */}}
{{- range $detector := dig "drift" "detectors" (list) $config -}}
  {{- if and (kindIs "map" $detector) (hasKey $detector "true") -}}
    {{- $_ := set $detector "on" (get $detector "true") -}}
    {{- $_ := unset $detector "true" -}}
  {{- end -}}
{{- end -}}
{{- $properties := default dict $config.stream.properties -}}
{{- $files := default dict $config.stream.properties_files -}}
{{- $secrets := include "freshet.secretsPath" . -}}
{{- with .Values.kafka -}}
  {{- $sasl := not (empty .sasl.mechanism) -}}
  {{- if or $sasl .tls.enabled -}}
    {{- $protocol := printf "%s%s" (ternary "sasl_" "" $sasl) (ternary "ssl" "plaintext" .tls.enabled) -}}
    {{- $_ := set $properties "security.protocol" $protocol -}}
  {{- end -}}
  {{- if $sasl -}}
    {{- $_ := set $properties "sasl.mechanism" .sasl.mechanism -}}
    {{- $_ := set $files "sasl.username" (printf "%s/sasl/username" $secrets) -}}
    {{- $_ := set $files "sasl.password" (printf "%s/sasl/password" $secrets) -}}
  {{- end -}}
  {{- if .tls.caSecret -}}{{- $_ := set $properties "ssl.ca.location" (printf "%s/tls-ca/ca.crt" $secrets) -}}{{- end -}}
  {{- if .tls.clientSecret -}}
    {{- $_ := set $properties "ssl.certificate.location" (printf "%s/tls-client/tls.crt" $secrets) -}}
    {{- $_ := set $properties "ssl.key.location" (printf "%s/tls-client/tls.key" $secrets) -}}
    {{- if .tls.keyPasswordKey -}}{{- $_ := set $files "ssl.key.password" (printf "%s/tls-client/key-password" $secrets) -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- $tokens := .Values.access.tokens -}}
{{- range $option, $key := dict "inference" $tokens.inferenceKey "feedback" $tokens.feedbackKey "admin" $tokens.adminKey -}}
  {{- if $key -}}
    {{- $_ := set $config.serving "tokens" (default dict $config.serving.tokens) -}}
    {{- $_ := set $config.serving.tokens (printf "%s_file" $option) (printf "%s/tokens/%s" $secrets $option) -}}
  {{- end -}}
{{- end -}}
{{- if .Values.access.tls.existingSecret -}}
  {{- $_ := set $config.serving "tls" (default dict $config.serving.tls) -}}
  {{- $_ := set $config.serving.tls "certificate_file" (printf "%s/tls/tls.crt" $secrets) -}}
  {{- $_ := set $config.serving.tls "key_file" (printf "%s/tls/tls.key" $secrets) -}}
{{- end -}}
{{- if $properties -}}{{- $_ := set $config.stream "properties" $properties -}}{{- end -}}
{{- if $files -}}{{- $_ := set $config.stream "properties_files" $files -}}{{- end -}}
{{- range $section, $options := $config -}}
  {{- if not $options -}}{{- $_ := unset $config $section -}}{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "freshet.port" -}}
{{- $serving := default dict (default dict .Values.config).serving -}}
{{- splitList ":" (default "0.0.0.0:8080" $serving.listen) | last -}}
{{- end -}}

{{/* HTTP or HTTPS, whoever has named the certificate. */}}
{{- define "freshet.scheme" -}}
{{- $config := include "freshet.config" . | fromYaml -}}
{{- ternary "HTTPS" "HTTP" (not (empty (dig "serving" "tls" "certificate_file" "" $config))) -}}
{{- end -}}

{{/* A duration of the configuration (`20s`, `1.5m`) in whole seconds, rounded up. */}}
{{- define "freshet.seconds" -}}
{{- $number := regexFind "^[0-9.]+" . | float64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $factor := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 "w" 604800.0) $unit | default 1.0 -}}
{{- mulf $number $factor | ceil | int -}}
{{- end -}}

{{- define "freshet.gracePeriod" -}}
{{- $serving := default dict (default dict .Values.config).serving -}}
{{- $drain := include "freshet.seconds" (default "20s" $serving.drain_timeout) | int -}}
{{- add .Values.shutdown.pauseSeconds $drain .Values.shutdown.settleSeconds -}}
{{- end -}}

{{/* The ports of the brokers, a JSON list; of a broker without one Kafka's own. None with `embedded`. */}}
{{- define "freshet.brokerPorts" -}}
{{- $stream := default dict (default dict .Values.config).stream -}}
{{- $brokers := default (list "localhost:9092") $stream.brokers -}}
{{- if kindIs "string" $brokers -}}{{- $brokers = splitList "," $brokers -}}{{- end -}}
{{- $ports := list -}}
{{- range $broker := $brokers -}}
  {{- $broker = trim $broker -}}
  {{- if ne $broker "embedded" -}}
    {{- $ports = append $ports (default "9092" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $broker)) | int) -}}
  {{- end -}}
{{- end -}}
{{- range .Values.networkPolicy.brokerPorts -}}{{- $ports = append $ports (int .) -}}{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
