package upload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// ErrReport says that a sealed report does not open for this client: another one chose its recipient.
var ErrReport = errors.New("the ingest report is sealed to another client")

const (
	maxRecipient = 4096
	maxReport    = 4 << 20
)

// SealedReport is how an ingest report travels and is kept: whether the file was taken, which coordinators know anyway, and the report for the owner alone.
type SealedReport struct {
	Accepted bool   `json:"accepted"`
	Sealed   []byte `json:"sealed"` // an age file, in base64
}

// Tolerance is what share of its rows, or how many, may be bad and left out; the larger of both holds. Zero is none.
type Tolerance struct {
	Rows  int64   `json:"rows,omitempty"`
	Share float64 `json:"share,omitempty"` // of the rows in the file, at most 1
}

// ReportRecipient reads the recipient that a client made for the report of one upload: hybrid (age1pq1…) or X25519 (age1…).
func ReportRecipient(text string) (age.Recipient, error) {
	var r age.Recipient
	var err error
	switch {
	case len(text) > maxRecipient:
		return nil, fmt.Errorf("%w: report: longer than %d bytes", ErrInvalid, maxRecipient)
	case strings.HasPrefix(text, "age1pq1"):
		r, err = age.ParseHybridRecipient(text)
	default:
		r, err = age.ParseX25519Recipient(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: report is the age recipient (age1pq1… or age1…) that the client made for the ingest report: %w", ErrInvalid, err)
	}
	return r, nil
}

// SealReport encrypts the JSON of a report to the recipient that the statement names.
func SealReport(recipient string, accepted bool, report []byte) ([]byte, error) {
	r, err := ReportRecipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("seal the report: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, r)
	if err != nil {
		return nil, fmt.Errorf("seal the report: %w", err)
	}
	if _, err = w.Write(report); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("seal the report: %w", err)
	}
	return json.Marshal(SealedReport{accepted, sealed.Bytes()})
}

// OpenReport gives the JSON of a report. An error matches ErrReport when it was sealed to somebody else.
func OpenReport(identity age.Identity, raw []byte) ([]byte, error) {
	var s SealedReport
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("open the report: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(s.Sealed), identity)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReport, err)
	}
	report, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("open the report: %w", err)
	}
	if len(report) > maxReport {
		return nil, fmt.Errorf("open the report: more than %d bytes", maxReport)
	}
	return report, nil
}

func (s Statement) validateReport() error {
	if _, err := ReportRecipient(s.Report); err != nil {
		return err
	}
	if t := s.Tolerate; t != nil && (t.Rows < 0 || !(t.Share >= 0 && t.Share <= 1)) {
		return fmt.Errorf("%w: tolerate: rows from 0, share from 0 to 1", ErrInvalid)
	}
	return nil
}
