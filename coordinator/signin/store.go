package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// store holds sessions and sign-ins that are under way, by the digests of their secrets. Both are bounded: beyond the limits the oldest go.
type store struct {
	mu       sync.Mutex
	now      func() time.Time
	idle     time.Duration
	absolute time.Duration
	sessions map[[sha256.Size]byte]*Session
	flows    map[[sha256.Size]byte]flow
}

// flow is a sign-in that has begun.
type flow struct {
	provider *provider
	state    string
	nonce    string
	verifier string
	back     string // path to return to
	expires  time.Time
}

func newStore(now func() time.Time, idle, absolute time.Duration) *store {
	return &store{
		now: now, idle: idle, absolute: absolute, sessions: map[[sha256.Size]byte]*Session{}, flows: map[[sha256.Size]byte]flow{},
	}
}

// begin makes a session of its own secret, whatever the browser had before, and returns it.
func (s *store) begin(i Identity) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	ofOne := 0
	for id, x := range s.sessions {
		if over(x, now) {
			delete(s.sessions, id)
		} else if x.Issuer == i.Issuer && x.Subject == i.Subject {
			ofOne++
		}
	}
	if ofOne >= maxOfOne {
		s.drop(func(x *Session) bool { return x.Issuer == i.Issuer && x.Subject == i.Subject })
	}
	if len(s.sessions) >= maxSessions {
		s.drop(func(*Session) bool { return true })
	}
	secret := rand.Text() + rand.Text()
	s.sessions[sha256.Sum256([]byte(secret))] = &Session{Identity: i, Expires: now.Add(s.absolute), IdleExpires: now.Add(s.idle)}
	return secret
}

// drop ends the oldest session for which it holds.
func (s *store) drop(which func(*Session) bool) {
	var oldest [sha256.Size]byte
	var first time.Time
	for id, x := range s.sessions {
		if which(x) && (first.IsZero() || x.Expires.Before(first)) {
			oldest, first = id, x.Expires
		}
	}
	delete(s.sessions, oldest)
}

func over(x *Session, now time.Time) bool {
	return !now.Before(x.Expires) || !now.Before(x.IdleExpires)
}

// find looks for a live session, and with use notes that it is used.
func (s *store) find(secret string, use bool) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sha256.Sum256([]byte(secret))
	x := s.sessions[id]
	if x == nil {
		return Session{}, false
	}
	now := s.now()
	if over(x, now) {
		delete(s.sessions, id)
		return Session{}, false
	}
	if use {
		x.IdleExpires = now.Add(s.idle)
	}
	if x.IdleExpires.After(x.Expires) {
		x.IdleExpires = x.Expires
	}
	return *x, true
}

func (s *store) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sha256.Sum256([]byte(secret)))
}

// start keeps a sign-in and returns its secret.
func (s *store) start(f flow) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest [sha256.Size]byte
	var first time.Time
	for id, x := range s.flows {
		switch {
		case !now.Before(x.expires):
			delete(s.flows, id)
		case first.IsZero() || x.expires.Before(first):
			oldest, first = id, x.expires
		}
	}
	if len(s.flows) >= maxFlows {
		delete(s.flows, oldest)
	}
	f.expires = now.Add(flowLimit)
	secret := rand.Text()
	s.flows[sha256.Sum256([]byte(secret))] = f
	return secret
}

// take hands a sign-in out once.
func (s *store) take(secret string) (flow, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sha256.Sum256([]byte(secret))
	f, ok := s.flows[id]
	delete(s.flows, id)
	return f, ok && s.now().Before(f.expires)
}
