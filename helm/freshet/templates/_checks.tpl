{{/* What a schema cannot say. Each message says what is wrong and what to do. */}}

{{- define "freshet.check" -}}
{{- $config := default dict .Values.config -}}
{{- $stream := default dict $config.stream -}}
{{- $memory := default dict $config.memory -}}
{{- $serving := default dict $config.serving -}}
{{- $learning := default dict $config.learning -}}

{{- if not $stream.topic -}}
  {{- fail "config.stream.topic is not set: name the topic to learn from" -}}
{{- end -}}
{{- if .Values.serveOnly.enabled -}}
  {{- fail "serveOnly.enabled: replicas that only serve are not there yet: the daemon cannot follow another's model. The trainer serves by itself; leave serveOnly.enabled at false" -}}
{{- end -}}

{{- $secret := "password|secret|^ssl\\.key\\.pem$|^sasl\\.oauthbearer\\.config$" -}}
{{- range $name, $_ := default dict $stream.properties -}}
  {{- if regexMatch $secret $name -}}
    {{- fail (printf "config.stream.properties: '%s' is a secret; put it into a Secret and use kafka.sasl or kafka.tls, or secretFiles with config.stream.properties_files" $name) -}}
  {{- end -}}
{{- end -}}
{{- $mine := list -}}
{{- if or .Values.kafka.sasl.mechanism .Values.kafka.tls.enabled -}}{{- $mine = append $mine "security.protocol" -}}{{- end -}}
{{- if .Values.kafka.sasl.mechanism -}}{{- $mine = concat $mine (list "sasl.mechanism" "sasl.mechanisms" "sasl.username" "sasl.password") -}}{{- end -}}
{{- if .Values.kafka.tls.caSecret -}}{{- $mine = append $mine "ssl.ca.location" -}}{{- end -}}
{{- if .Values.kafka.tls.clientSecret -}}{{- $mine = concat $mine (list "ssl.certificate.location" "ssl.key.location" "ssl.key.password") -}}{{- end -}}
{{- range $name := $mine -}}
  {{- if or (hasKey (default dict $stream.properties) $name) (hasKey (default dict $stream.properties_files) $name) -}}
    {{- fail (printf "config.stream: '%s' is set there and follows from the value kafka too; keep one of the two" $name) -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.kafka.sasl.mechanism (not .Values.kafka.sasl.existingSecret) -}}
  {{- fail "kafka.sasl.existingSecret is not set: name the Secret with the user name and the password" -}}
{{- end -}}
{{- if and .Values.kafka.sasl.existingSecret (not .Values.kafka.sasl.mechanism) -}}
  {{- fail "kafka.sasl.mechanism is not set: say how the brokers check the password in kafka.sasl.existingSecret" -}}
{{- end -}}
{{- if and (or .Values.kafka.tls.caSecret .Values.kafka.tls.clientSecret) (not .Values.kafka.tls.enabled) -}}
  {{- fail "kafka.tls names a Secret but kafka.tls.enabled is false: the connection would not be encrypted" -}}
{{- end -}}
{{- if and .Values.kafka.tls.keyPasswordKey (not .Values.kafka.tls.clientSecret) -}}
  {{- fail "kafka.tls.keyPasswordKey is set without kafka.tls.clientSecret, in which it would be" -}}
{{- end -}}
{{- range .Values.secretFiles -}}
  {{- if has .name (list "sasl" "tls-ca" "tls-client" "tokens" "tls") -}}
    {{- fail (printf "secretFiles: the name '%s' is taken by the values kafka and access; choose another one" .name) -}}
  {{- end -}}
{{- end -}}

{{- $tokens := .Values.access.tokens -}}
{{- $files := default dict $serving.tokens -}}
{{- $keys := dict "inference" $tokens.inferenceKey "feedback" $tokens.feedbackKey "admin" $tokens.adminKey -}}
{{- range $option, $key := $keys -}}
  {{- if and $key (not $tokens.existingSecret) -}}
    {{- fail (printf "access.tokens.%sKey is set without access.tokens.existingSecret, in which it would be" $option) -}}
  {{- end -}}
  {{- if and $key (hasKey $files (printf "%s_file" $option)) -}}
    {{- fail (printf "config.serving.tokens.%s_file is set and follows from access.tokens.%sKey too; keep one of the two" $option $option) -}}
  {{- end -}}
{{- end -}}
{{- if and $tokens.existingSecret (not (or $tokens.inferenceKey $tokens.feedbackKey $tokens.adminKey)) -}}
  {{- fail "access.tokens.existingSecret is set but no key of it: everything would stay open. Name inferenceKey, feedbackKey or adminKey" -}}
{{- end -}}
{{- $tls := default dict $serving.tls -}}
{{- if and .Values.access.tls.existingSecret (or $tls.certificate_file $tls.key_file) -}}
  {{- fail "config.serving.tls names a certificate or key, which follows from access.tls too; keep one of the two" -}}
{{- end -}}
{{- if and $tls.client_ca_file (ne $tls.client_ca_file "none") -}}
  {{- fail "config.serving.tls.client_ca_file asks every client for a certificate, and probes have none: the pod would never be ready. Ask for tokens (access.tokens), or for certificates in a proxy" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (or $tokens.inferenceKey $files.inference_file) (not .Values.serviceMonitor.tokenSecret.name) -}}
  {{- fail "serviceMonitor.enabled: /metrics asks for a token, and Prometheus has none: name a Secret with one in serviceMonitor.tokenSecret" -}}
{{- end -}}

{{- $volume := include "freshet.volumePath" . -}}
{{- if and $memory.path (not (hasPrefix (printf "%s/" $volume) $memory.path)) -}}
  {{- fail (printf "config.memory.path is '%s', where no volume is mounted: choose a folder below %s/, or leave it out" $memory.path $volume) -}}
{{- end -}}
{{- $listen := default "0.0.0.0:8080" $serving.listen -}}
{{- if or (hasPrefix "localhost:" $listen) (hasPrefix "127." $listen) (hasPrefix "[::1]:" $listen) -}}
  {{- fail (printf "config.serving.listen is '%s', which nobody outside of the container reaches, probes neither: use 0.0.0.0:PORT or [::]:PORT" $listen) -}}
{{- end -}}
{{- $port := include "freshet.port" . -}}
{{- if not (regexMatch "^[0-9]+$" $port) -}}
  {{- fail (printf "config.serving.listen is '%s': expected an address and a port, such as 0.0.0.0:8080" $listen) -}}
{{- end -}}
{{- if or (lt (int $port) 1024) (gt (int $port) 65535) -}}
  {{- fail (printf "config.serving.listen is '%s': a container without privileges needs a port from 1024 to 65535; service.port may be any" $listen) -}}
{{- end -}}

{{- if and .Values.gpu.enabled (eq (toString $learning.device) "cpu") -}}
  {{- fail "gpu.enabled asks for a GPU that config.learning.device: cpu would leave idle" -}}
{{- end -}}
{{- if and (not .Values.gpu.enabled) (hasPrefix "cuda" (toString $learning.device)) -}}
  {{- fail (printf "config.learning.device is '%s' but gpu.enabled is false: the pod would get no GPU" $learning.device) -}}
{{- end -}}

{{- if and .Values.keda.enabled (gt (int .Values.keda.maxReplicas) 1) -}}
  {{- fail (printf "keda.maxReplicas is %d: more than one trainer cannot work, since each would learn from its own part of the topic alone and serve another model; replicas that only serve are not there yet. Keep it at 1" (int .Values.keda.maxReplicas)) -}}
{{- end -}}
{{- if and .Values.keda.enabled (eq (int .Values.trainer.replicas) 0) -}}
  {{- fail "keda.enabled starts and stops the trainer: trainer.replicas: 0 would have no effect. Switch KEDA off to stop it" -}}
{{- end -}}
{{- if and .Values.keda.enabled (eq (join "," (default (list) (kindIs "string" $stream.brokers | ternary (list $stream.brokers) $stream.brokers))) "embedded") -}}
  {{- fail "keda.enabled needs brokers that KEDA can ask for the lag: the embedded one lives in the daemon" -}}
{{- end -}}
{{- if and .Values.persistence.existingClaim (not .Values.persistence.enabled) -}}
  {{- fail "persistence.existingClaim is set but persistence.enabled is false" -}}
{{- end -}}
{{- range .Values.trainer.env -}}
  {{- if regexMatch "^FRESHET_(MEMORY__PATH|SERVING__LISTEN)$" (toString .name) -}}
    {{- fail (printf "trainer.env: %s would part the daemon from its volume, Service and probes; set the option in config" .name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
