{{- define "concordat.labels" -}}
app.kubernetes.io/name: concordat
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "concordat.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- if eq .Values.mode "sgx" }}
{{- with .Values.sgx.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.sgx.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "concordat.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* resources of a program, with enclave memory in mode sgx */}}
{{- define "concordat.resources" -}}
{{- $limits := deepCopy .resources.limits }}
{{- if eq .root.Values.mode "sgx" }}
{{- $_ := set $limits "sgx.intel.com/epc" .epc }}
{{- end }}
resources: {requests: {{ toJson .resources.requests }}, limits: {{ toJson $limits }}}
{{- end }}

{{- define "concordat.marble" -}}
- {name: EDG_MARBLE_TYPE, value: {{ .type }}}
- {name: EDG_MARBLE_COORDINATOR_ADDR, value: "{{ .root.Release.Name }}-marblerun:2001"}
- {name: EDG_COORDINATOR_CLIENT_ADDR, value: "{{ .root.Release.Name }}-marblerun:4433"}
- {name: EDG_MARBLE_UUID_FILE, value: /var/lib/concordat/uuid}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}

{{- define "concordat.annotations" -}}
{{- if eq .Values.mode "sgx" }}
sgx.intel.com/quote-provider: aesmd
{{- end }}
{{- end }}

{{- define "concordat.image" -}}
{{ .root.Values.images.registry }}/{{ .program }}:{{ .root.Values.images.tag }}
{{- end }}

{{- /* an enclave's entry point differs from a plain program: gramine-sgx NAME, whose arguments its manifest measures */}}
{{- define "concordat.command" -}}
{{- if eq .root.Values.mode "sgx" -}}
[gramine-sgx, {{ .program }}]
{{- else -}}
{{ prepend .arguments .program | toJson }}
{{- end -}}
{{- end }}
