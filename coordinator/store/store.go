// Package store keeps what is too big for the replicated state in the object store: the encrypted parts of uploads, as they come, and
// releases, sealed under a key of the coordinators.
//
// Invariant: a part is kept under its number and the digest that its sender named, or not at all, and never overwritten. A release opens only under its own
// name, and its digest is in the replicated state.
//
// Sees: ciphertext; released aggregates, which it seals
package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/fileblob"  // the default: a folder
	_ "gocloud.dev/blob/memblob"   // for tests
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"

	"concordat.dev/coordinator/seal"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/upload"
)

// MaxPart is the most that one part holds: 64 MiB of plaintext and what age adds to it.
const MaxPart = upload.MaxCiphertext

// MaxParts is the most parts of one upload.
const MaxParts = upload.MaxParts

// The reasons why a part or a release is not kept or not given.
var (
	ErrDigest   = errors.New("the bytes do not have the digest that was named")
	ErrTooLarge = errors.New("the part is too large")
	ErrMissing  = errors.New("not in the object store")
	// ErrAway says that the store did not do what was asked, after the SDK's own attempts. What was kept before stays.
	ErrAway = errors.New("the object store doesn't answer as it should: try again in a while")
)

// source remembers why there is no more to read.
type source struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func failed(what string, err error) error { return fmt.Errorf("store: %s: %w", what, away(err)) }

// away says of what the store failed at whether it is away; what it does not have, may not do, or was not waited for is something else.
func away(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.InvalidArgument, gcerrors.Unimplemented, gcerrors.Canceled:
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// Store is the object store of a mesh.
type Store struct {
	bucket *blob.Bucket
}

// Open opens a store by its gocloud.dev URL, file://, s3:// or azblob://. A folder is made where it is missing.
func Open(ctx context.Context, location string) (*Store, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	if u.Scheme == "file" {
		if err := os.MkdirAll(u.Path, 0o700); err != nil {
			return nil, fmt.Errorf("store: open: %w", err)
		}
		q := u.Query()
		q.Set("no_tmp_dir", "true") // beside the file: a rename must not cross file systems
		q.Set("metadata", "skip")   // it would cost an MD5 of every part; names say the digest
		u.RawQuery = q.Encode()
	}
	b, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", u.Redacted(), err)
	}
	return &Store{bucket: b}, nil
}

// Close lets go of the store.
func (s *Store) Close() error { return s.bucket.Close() }

// Check says whether the object store answers.
func (s *Store) Check(ctx context.Context) error {
	ok, err := s.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = ErrMissing
	}
	return err
}

// PartKey is the name of a part's object. The digest in it makes it one object's for good, and spares asking each for it.
func PartKey(upload string, number uint32, digest canon.Digest) string {
	return fmt.Sprintf("uploads/%s/%d-%s", upload, number, strings.TrimPrefix(digest.String(), digestPrefix))
}

const digestPrefix = "sha256:"

// partOf reads what PartKey wrote.
func partOf(name string, size int64) (Part, bool) {
	number, digest, ok := strings.Cut(path.Base(name), "-")
	n, err := strconv.ParseUint(number, 10, 32)
	p := Part{Number: uint32(n), Digest: canon.Digest(digestPrefix + digest), Size: size}
	return p, ok && err == nil && p.Digest.Valid()
}

// Part is an uploaded part.
type Part struct {
	Number uint32
	Digest canon.Digest
	Size   int64
}

// PutPart keeps a part whose bytes have the digest. Sent again with the same digest, it is not written again.
func (s *Store) PutPart(ctx context.Context, upload string, number uint32, digest canon.Digest, body io.Reader) error {
	name := PartKey(upload, number, digest)
	if have, err := s.bucket.Exists(ctx, name); err == nil && have {
		_, err := io.Copy(io.Discard, io.LimitReader(body, MaxPart+1))
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // cancelled, the writer keeps nothing
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, name, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return failed(fmt.Sprintf("part %d", number), err)
	}
	sum := sha256.New()
	from := &source{Reader: io.LimitReader(body, MaxPart+1)}
	n, err := io.Copy(io.MultiWriter(w, sum), from)
	switch {
	case from.err != nil: // whoever sends it is gone
	case err != nil:
		err = away(err)
	case n > MaxPart:
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxPart)
	case digestOf(sum) != digest:
		err = fmt.Errorf("%w: %s, not %s", ErrDigest, digestOf(sum), digest)
	default:
		if err = w.Close(); err == nil {
			return nil
		}
		return failed(fmt.Sprintf("part %d", number), err)
	}
	cancel()
	_ = w.Close() // it says that it was cancelled, or again what went wrong
	return fmt.Errorf("store: part %d: %w", number, err)
}

func digestOf(h hash.Hash) canon.Digest { return canon.Of([sha256.Size]byte(h.Sum(nil))) }

// Parts lists an upload's parts by number; a number that was sent with several contents stands there several times.
func (s *Store) Parts(ctx context.Context, upload string) ([]Part, error) {
	var parts []Part
	err := s.each(ctx, "uploads/"+upload, func(name string, size int64) error {
		if p, ok := partOf(name, size); ok {
			parts = append(parts, p)
		}
		return nil
	})
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(string(a.Digest), string(b.Digest)))
	})
	return parts, err
}

// DropUpload deletes an upload's parts.
func (s *Store) DropUpload(ctx context.Context, upload string) error {
	return s.Sweep(ctx, "uploads/"+upload, nil)
}

// Sweep deletes everything in a folder but the objects to keep, such as what a worker that died while it sealed a dataset left behind.
func (s *Store) Sweep(ctx context.Context, folder string, keep []string) error {
	var names []string
	err := s.each(ctx, folder, func(name string, _ int64) error {
		if !slices.Contains(keep, name) {
			names = append(names, name)
		}
		return nil
	})
	return errors.Join(err, s.Delete(ctx, names...))
}

func (s *Store) each(ctx context.Context, folder string, do func(name string, size int64) error) error {
	list := s.bucket.List(&blob.ListOptions{Prefix: folder + "/"})
	for {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(o.Key, o.Size)
		}
		if err != nil {
			return failed("list "+folder, err)
		}
	}
}

// Delete removes objects; those that are not there are no error.
func (s *Store) Delete(ctx context.Context, names ...string) error {
	var errs []error
	for _, name := range names {
		if err := s.bucket.Delete(ctx, name); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			errs = append(errs, failed("delete "+name, err))
		}
	}
	return errors.Join(errs...)
}

// ReleaseFolder is where the releases of a query are: one, and what attempts left that died.
func ReleaseFolder(query string) string { return "releases/" + query }

// PutRelease seals a release under the id of its query. It never overwrites: each attempt has a name of its own.
func (s *Store) PutRelease(ctx context.Context, keys seal.Ring, query, attempt string, plain []byte) (name string, digest canon.Digest, err error) {
	name = ReleaseFolder(query) + "/" + attempt
	sealed := keys.Seal(plain, name)
	if err := s.bucket.WriteAll(ctx, name, sealed, nil); err != nil {
		return "", "", failed("release "+query, err)
	}
	return name, canon.Sum(sealed), nil
}

// Release gives back what PutRelease sealed. Gone or changed, it is ErrMissing or ErrDigest.
func (s *Store) Release(ctx context.Context, keys seal.Ring, name string, digest canon.Digest) ([]byte, error) {
	if !strings.HasPrefix(name, "releases/") {
		return nil, fmt.Errorf("store: %q: %w", name, ErrMissing)
	}
	sealed, err := s.bucket.ReadAll(ctx, name)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("store: %s: %w", name, ErrMissing)
	}
	if err != nil {
		return nil, failed(name, err)
	}
	if canon.Sum(sealed) != digest {
		return nil, fmt.Errorf("store: %s: %w", name, ErrDigest)
	}
	return keys.Open(sealed, name)
}
