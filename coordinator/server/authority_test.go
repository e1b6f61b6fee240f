package server_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Whatever call there is, an unsigned one and one by a key that nobody knows come to nothing. A new service has to be named here.
func TestEveryCallOfAPersonNeedsAPerson(t *testing.T) {
	m := newMesh(t, 0)
	// Who asks for them is told something, whoever it is: of the mesh and its nodes, where to sign in, that one is signed out, and that nobody signs or recovers here.
	open := map[string]int{
		"/concordat.v1.AdminService/Status": http.StatusOK, "/concordat.v1.SessionService/Get": http.StatusOK,
		"/concordat.v1.SessionService/SignOut": http.StatusOK, "/concordat.v1.SessionService/Sign": http.StatusForbidden,
		"/concordat.v1.NodeService/Self": http.StatusOK, "/concordat.v1.NodeService/Recover": http.StatusOK, "/concordat.v1.HandoverService/Successor": http.StatusOK,
	}
	people := map[string]bool{}
	for _, name := range []string{"Analyst", "Participant", "Auditor", "Admin", "Session", "Saved", "Node", "Document", "Handover"} {
		people[name+"Service"] = true
	}
	checked := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("concordat.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				path := "/" + string(service.FullName()) + "/" + string(method.Name())
				for _, who := range []string{"", "stranger"} {
					want := http.StatusUnauthorized
					switch {
					case !people[string(service.Name())] && who == "":
						want = http.StatusNotFound
					case open[path] != 0 && who == "":
						want = open[path]
					}
					if got := m.post(who, path, method.IsStreamingServer() || method.IsStreamingClient()); got != want {
						t.Errorf("%s as %q: HTTP %d, want %d", path, who, got, want)
					}
					checked++
				}
			}
		}
		return true
	})
	if checked < 60 {
		t.Errorf("only %d calls checked", checked)
	}
}

// post makes an empty call in JSON and tells the HTTP status that it stands for; streams answer 200 and carry their error at the end.
func (m *mesh) post(who, path string, stream bool) int {
	m.t.Helper()
	p := m.as(who, 0)
	defer p.http.CloseIdleConnections()
	contentType, body := "application/json", "{}"
	if stream {
		contentType, body = "application/connect+json", "\x00\x00\x00\x00\x02{}"
	}
	req, err := http.NewRequestWithContext(m.ctx(), http.MethodPost, p.base+path, strings.NewReader(body))
	must(m.t, err)
	req.Header.Set("Content-Type", contentType)
	res, err := p.http.Do(req)
	must(m.t, err)
	defer func() { must(m.t, res.Body.Close()) }()
	text := new(strings.Builder)
	must(m.t, res.Write(text))
	if stream && res.StatusCode == http.StatusOK && strings.Contains(text.String(), `"code":"unauthenticated"`) {
		return http.StatusUnauthorized
	}
	return res.StatusCode
}
