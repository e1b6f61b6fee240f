package marble

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// attestation is where Gramine shows an enclave its attestation: write 64 bytes, read a quote over them.
const attestation = "/dev/attestation"

// headerSize is how long the header of Open Enclave before a quote is.
const headerSize = 16

// Quote gives a bare SGX quote over SHA-256 of data, and zeros; nil where the process is in no enclave of Gramine. What has not run on
// hardware: all of it.
func Quote() func(data []byte) ([]byte, error) {
	quote := gramineQuote(attestation)
	if quote == nil {
		return nil
	}
	return func(data []byte) ([]byte, error) {
		wrapped, err := quote(data)
		if err != nil {
			return nil, err
		}
		return wrapped[headerSize:], nil
	}
}

// gramineQuote quotes SHA-256 of a certificate, as MarbleRun's own marbles do under Gramine, behind the header of Open Enclave that MarbleRun's
// validator wants. Nil where the process is in no such enclave: then it is simulation. (What has not run on hardware: all of it.)
func gramineQuote(folder string) func(certificate []byte) ([]byte, error) {
	if _, err := os.Stat(filepath.Join(folder, "user_report_data")); err != nil {
		return nil
	}
	return func(certificate []byte) ([]byte, error) {
		sum := sha256.Sum256(certificate)
		var data [64]byte // zeros follow the digest
		copy(data[:], sum[:])
		f, err := os.OpenFile(filepath.Join(folder, "user_report_data"), os.O_WRONLY, 0) //nolint:gosec // G304: Gramine's, not a caller's
		if err != nil {
			return nil, fmt.Errorf("quote by Gramine: %w", err)
		}
		_, err = f.Write(data[:])
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, fmt.Errorf("quote by Gramine: %w", err)
		}
		quote, err := os.ReadFile(filepath.Join(folder, "quote")) //nolint:gosec // G304: Gramine's, not a caller's
		if err != nil {
			return nil, fmt.Errorf("quote by Gramine: %w", err)
		}
		return append(binary.LittleEndian.AppendUint64([]byte{1, 0, 0, 0, 2, 0, 0, 0}, uint64(len(quote))), quote...), nil
	}
}
