package mesh

import "strconv"

const mebibyte = 1 << 20

// The configurations of coordinator and worker, as far as the supervisor fills them: their own Config types say what each field
// means, and read it strictly, so that a difference shows as a process that does not start.

type coordinatorConfig struct {
	Node        string   `yaml:"node"`
	DataDir     string   `yaml:"data_dir"`
	ObjectStore string   `yaml:"object_store"`
	Mode        string   `yaml:"mode"`
	Listen      listen   `yaml:"listen"`
	Announce    string   `yaml:"announce,omitempty"`
	Voters      []voter  `yaml:"voters,omitempty"`
	Founders    []string `yaml:"founders"`
	Mesh        pins     `yaml:"mesh"`
	Metrics     *metrics `yaml:"metrics,omitempty"`
	Tracing     *tracing `yaml:"tracing,omitempty"`

	Witnesses      []witness `yaml:"witnesses,omitempty"`
	SignIn         *signIn   `yaml:"sign_in,omitempty"`
	AwaitsHandover bool      `yaml:"awaits_handover,omitempty"`
	Join           bool      `yaml:"join,omitempty"`
	Recover        bool      `yaml:"recover,omitempty"`
}

type signIn struct {
	ExternalURL string `yaml:"external_url"`
	SignIn      `yaml:",inline"`
}

type witness struct {
	Key string `yaml:"key"`
	URL string `yaml:"url"`
}

type listen struct {
	Raft   string `yaml:"raft"`
	Mesh   string `yaml:"mesh"`
	API    string `yaml:"api"`
	Flight string `yaml:"flight,omitempty"`
}

type metrics struct {
	Listen string `yaml:"listen"`
}

type tracing struct {
	Endpoint string  `yaml:"endpoint"`
	Ratio    float64 `yaml:"ratio"`
}

// tracesTo sends all of them, and none where there is no collector.
func tracesTo(endpoint string) *tracing {
	if endpoint == "" {
		return nil
	}
	return &tracing{endpoint, 1}
}

// metricsAt is nil for a mesh of an earlier build, which has no address for them.
func metricsAt(address string) *metrics {
	if address == "" {
		return nil
	}
	return &metrics{address}
}

type voter struct {
	Name string `yaml:"name"`
	Raft string `yaml:"raft"`
}

type pins struct {
	MarbleRunManifest string `yaml:"marblerun_manifest"`
	Coordinator       string `yaml:"coordinator"`
}

func (m *Mesh) coordinatorConfig(s State, c CoordinatorAddress) coordinatorConfig {
	cfg := coordinatorConfig{
		Node: c.Name, DataDir: m.path(c.Name, "data"), ObjectStore: s.ObjectStore, Mode: s.Mode,
		Listen:   listen{Raft: c.Raft, Mesh: c.Mesh, API: c.API, Flight: c.Flight},
		Founders: s.Founders, Metrics: metricsAt(c.Metrics), Tracing: tracesTo(m.options.Traces),
		Mesh: pins{MarbleRunManifest: string(s.MarbleRunManifest), Coordinator: string(s.Coordinator)},

		AwaitsHandover: s.Succeeds != "", Join: c.Join, Recover: c.Name == m.options.Recover,
	}
	for _, w := range s.Witnesses {
		cfg.Witnesses = append(cfg.Witnesses, witness(w))
	}
	if s.SignIn != nil {
		cfg.SignIn = &signIn{ExternalURL: c.Page(), SignIn: *s.SignIn}
	}
	for _, v := range s.Coordinators { // all that there are, so that a first one that lost its state finds that others have theirs
		if c.Join {
			break
		}
		cfg.Voters = append(cfg.Voters, voter{Name: v.Name, Raft: v.Raft})
	}
	return cfg
}

type workerConfig struct {
	Worker       string   `yaml:"worker"`
	DataDir      string   `yaml:"data_dir"`
	ObjectStore  string   `yaml:"object_store"`
	Mode         string   `yaml:"mode"`
	Listen       string   `yaml:"listen"`
	Announce     string   `yaml:"announce,omitempty"`
	Coordinators []string `yaml:"coordinators"`
	Mesh         pins     `yaml:"mesh"`
	Metrics      *metrics `yaml:"metrics,omitempty"`
	Tracing      *tracing `yaml:"tracing,omitempty"`
	Memory       string   `yaml:"memory,omitempty"`
}

func (m *Mesh) workerConfig(s State, w WorkerAddress) workerConfig {
	cfg := workerConfig{
		Worker: w.Name, DataDir: m.path(w.Name, "data"), ObjectStore: s.ObjectStore, Mode: s.Mode, Listen: w.Mesh, Metrics: metricsAt(w.Metrics), Tracing: tracesTo(m.options.Traces),
		Mesh: pins{MarbleRunManifest: string(s.MarbleRunManifest), Coordinator: string(s.Coordinator)},
	}
	if total := totalMemory(); total > 0 { // a worker alone would take four fifths; here they share them
		cfg.Memory = strconv.FormatUint(total/mebibyte*4/5/uint64(len(s.Workers)), 10) + "MiB"
	}
	for _, c := range s.Coordinators {
		cfg.Coordinators = append(cfg.Coordinators, c.Mesh)
	}
	return cfg
}
