package server_test

import (
	"net/http"
	"strings"
	"testing"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Whatever call there is, an unsigned one and one by a key that nobody knows come to nothing. A new service has to be named here.
func TestEveryCallOfAPersonNeedsAPerson(t *testing.T) {
	m := newMesh(t, 0)
	open := map[string]bool{"/concordat.v1.AdminService/Status": true}
	marbles := map[string]bool{"WorkerService": true, "CoordinatorService": true}
	checked := 0
	services := concordatv1.File_concordat_v1_concordat_proto.Services()
	for i := range services.Len() {
		service := services.Get(i)
		for j := range service.Methods().Len() {
			method := service.Methods().Get(j)
			path := "/" + string(service.FullName()) + "/" + string(method.Name())
			for _, who := range []string{"", "stranger"} {
				want := http.StatusUnauthorized
				switch {
				case marbles[string(service.Name())] && who == "":
					want = http.StatusNotFound
				case open[path] && who == "":
					want = http.StatusOK
				}
				if got := m.post(who, path, method.IsStreamingServer()); got != want {
					t.Errorf("%s as %q: HTTP %d, want %d", path, who, got, want)
				}
				checked++
			}
		}
	}
	if checked < 40 {
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
