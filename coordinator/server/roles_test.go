package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"concordat.dev/protocol/answer"
)

// callers are one of each kind of the room: an organisation that founded it, another one, stewards of both, an analyst, an auditor.
var callers = []string{"clinic", "registry", "dana", "rita", "ann", "alex"}

// admitted says whom the gate lets make each call that takes a person; what each may then do with whose data, other tests say. A new call has to be
// written down here.
var admitted = map[string]string{
	"AnalystService/History":             "clinic registry dana rita ann alex",
	"AnalystService/Budget":              "clinic registry dana rita ann alex",
	"ParticipantService/ProposeManifest": "clinic registry dana rita",
	"ParticipantService/SignManifest":    "clinic registry dana rita alex",
	"ParticipantService/GetManifest":     "clinic registry dana rita ann alex",
	"ParticipantService/SubmitStatement": "clinic registry dana rita alex",
	"ParticipantService/ListPlans":       "clinic registry dana rita ann alex",
	"ParticipantService/OpenUpload":      "dana rita",
	"ParticipantService/UploadStatus":    "dana rita",
	"ParticipantService/CompleteUpload":  "dana rita",
	"ParticipantService/ListDatasets":    "clinic registry dana rita ann alex",
	"ParticipantService/DeleteDataset":   "clinic registry dana rita",
	"AuditorService/Checkpoint":          "clinic registry dana rita ann alex",
	"AuditorService/Entries":             "clinic registry dana rita alex",
	"AuditorService/Receipt":             "clinic registry dana rita ann alex",
	"DocumentService/Check":              "clinic registry dana rita ann alex",
	"DocumentService/Explain":            "clinic registry dana rita ann alex",
	"DocumentService/Compare":            "clinic registry dana rita ann alex",
	"DocumentService/Try":                "clinic registry dana rita ann alex",
	"SavedService/Save":                  "dana rita ann alex",
	"SavedService/List":                  "dana rita ann alex",
	"SavedService/Delete":                "dana rita ann alex",
	"HandoverService/HandOver":           "clinic registry",
	"NodeService/Membership":             "clinic registry dana rita ann alex",
	"NodeService/ChangeNodes":            "clinic registry dana rita alex",
	"NodeService/Backup":                 "clinic registry dana rita",
}

// refusedByTheGate are its words for a role that is not enough (api.gate).
const refusedByTheGate = "needs one of the roles"

func TestEveryCallAsksForItsRole(t *testing.T) {
	m := newMesh(t, 1)
	m.activate(1, m.manifest(1, nil))
	for i, who := range callers { // a query that somebody may not ask is refused as a query is
		if got, err := m.as(who, i%3).query("SELECT 1", nil); who != "ann" && (err != nil || len(got.Refusals) != 1 || got.Refusals[0].Code != answer.NotPermitted) {
			t.Errorf("Query as %s: %v %+v", who, err, got.Answer)
		}
	}
	open := []string{"AnalystService/Query", // above; and those that need no person: TestEveryCallOfAPersonNeedsAPerson
		"AdminService/Status", "SessionService/Get", "SessionService/SignOut", "SessionService/Sign", "NodeService/Self", "NodeService/Recover", "HandoverService/Successor",
	}
	marbles := []string{"WorkerService", "CoordinatorService", "FollowService", "WorkerHandoverService"}
	seen := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("concordat.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				name := string(service.Name()) + "/" + string(method.Name())
				if slices.Contains(open, name) || slices.Contains(marbles, string(service.Name())) {
					continue
				}
				want, known := admitted[name]
				if !known {
					t.Errorf("%s: say whom the gate admits", name)
				}
				seen++
				m.asksForRole(name, method.IsStreamingServer() || method.IsStreamingClient(), strings.Fields(want))
			}
		}
		return true
	})
	if seen != len(admitted) {
		t.Errorf("%d calls of %d were made", seen, len(admitted))
	}
}

// asksForRole makes a call as each of callers and tells whom the gate refused.
func (m *mesh) asksForRole(name string, stream bool, want []string) {
	m.t.Helper()
	for i, who := range callers {
		text := m.call(who, i%3, "/concordat.v1."+name, stream, fmt.Sprintf(`{"collaboration":%q}`, room))
		if refused := strings.Contains(text, refusedByTheGate); refused == slices.Contains(want, who) {
			m.t.Errorf("%s as %s: %.300s", name, who, text)
		}
	}
}

// call makes a call in JSON and gives the answer as text. Fields that the call does not have are left out.
func (m *mesh) call(who string, at int, path string, stream bool, body string) string {
	m.t.Helper()
	p := m.as(who, at)
	defer p.http.CloseIdleConnections()
	for _, text := range []string{body, "{}"} {
		contentType, framed := "application/json", text
		if stream {
			contentType, framed = "application/connect+json", fmt.Sprintf("\x00\x00\x00\x00%c%s", len(text), text)
		}
		req, err := http.NewRequestWithContext(m.ctx(), http.MethodPost, p.base+path, strings.NewReader(framed))
		must(m.t, err)
		req.Header.Set("Content-Type", contentType)
		res, err := p.http.Do(req)
		must(m.t, err)
		out := new(strings.Builder)
		must(m.t, res.Write(out))
		must(m.t, res.Body.Close())
		if !strings.Contains(out.String(), "unknown field") {
			return out.String()
		}
	}
	return ""
}
