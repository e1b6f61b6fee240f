package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/fileblob"  // the default: a folder
	_ "gocloud.dev/blob/memblob"   // for tests and the sandbox
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
)

var (
	// ErrMissing says that the store has no such object.
	ErrMissing = errors.New("object is missing")
	// ErrTooLarge says that an object is larger than anything Concordat writes there.
	ErrTooLarge = errors.New("object is too large")
)

// Store is the object store. It is outside of what is trusted: it may lose, change, swap or keep whatever it holds.
type Store struct {
	bucket *blob.Bucket
	remote bool // it may be away for a while
}

// Open opens a store by its gocloud.dev URL: "file:///var/lib/concordat", "s3://bucket?region=…" (with endpoint, use_path_style and so on for
// other servers than Amazon's), "azblob://container", "mem://". A folder is made where it is missing. Credentials come as the SDKs of S3 and Azure look for them.
func Open(ctx context.Context, address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	if u.Scheme == "file" {
		q := u.Query()
		q.Set("create_dir", "true")
		q.Set("no_tmp_dir", "true") // a rename must not cross file systems
		q.Set("metadata", "skip")
		q.Set("dir_file_mode", "0700")
		u.RawQuery = q.Encode()
	}
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open the object store %s: %w", u.Redacted(), err)
	}
	return &Store{bucket, u.Scheme != "file" && u.Scheme != "mem"}, nil
}

// Close lets the store go.
func (s *Store) Close() error { return s.bucket.Close() }

// Put writes an object wholly or not at all.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	// Upload and not WriteAll, which would hash the body by MD5 twice; whoever reads an object checks its SHA-256.
	err := s.try(ctx, func(ctx context.Context) error {
		var r io.Reader = bytes.NewReader(body)
		if !s.remote {
			r = &inPieces{rest: body}
		}
		return s.bucket.Upload(ctx, key, r, &blob.WriterOptions{ContentType: "application/octet-stream"})
	})
	if err != nil {
		return fmt.Errorf("write object %s: %w", key, err)
	}
	return nil
}

// writeBytes is how much is written to a file at once. For a single write of 64 MiB the kernel looks for large pieces of memory to keep it in, which takes it
// five times as long as for a thousand of 64 KiB (Linux 6.18, ext4).
const writeBytes = 64 << 10

// inPieces gives its bytes to a writer in pieces, without a copy.
type inPieces struct{ rest []byte }

func (p *inPieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// WriteTo is what io.Copy calls.
func (p *inPieces) WriteTo(w io.Writer) (total int64, err error) {
	for len(p.rest) > 0 && err == nil {
		var n int
		n, err = w.Write(p.rest[:min(len(p.rest), writeBytes)])
		p.rest, total = p.rest[n:], total+int64(n)
	}
	return total, err
}

// Get reads an object of at most limit bytes.
func (s *Store) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	return s.GetInto(ctx, key, limit, func(n int) []byte { return make([]byte, n) })
}

// GetInto does so into memory that room gives for a body of n bytes.
func (s *Store) GetInto(ctx context.Context, key string, limit int64, room func(n int) []byte) ([]byte, error) {
	var body []byte
	err := s.try(ctx, func(ctx context.Context) (err error) {
		body, err = s.get(ctx, key, limit, room)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, missing(err))
	}
	return body, nil
}

func (s *Store) get(ctx context.Context, key string, limit int64, room func(n int) []byte) ([]byte, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	if r.Size() > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, r.Size(), limit)
	}
	body := room(int(r.Size()))
	_, err = io.ReadFull(r, body)
	return body, err
}

// Size is that of an object, in bytes.
func (s *Store) Size(ctx context.Context, key string) (n int64, err error) {
	err = s.try(ctx, func(ctx context.Context) error {
		a, err := s.bucket.Attributes(ctx, key)
		if err == nil {
			n = a.Size
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("size of object %s: %w", key, missing(err))
	}
	return n, nil
}

// Delete removes objects; one that is missing already is no error. All are tried.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	var all []error
	for _, key := range keys {
		err := s.try(ctx, func(ctx context.Context) error { return s.bucket.Delete(ctx, key) })
		if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			all = append(all, fmt.Errorf("delete object %s: %w", key, err))
		}
	}
	return errors.Join(all...)
}

// List gives the keys that begin with prefix, in order.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	err := s.try(ctx, func(ctx context.Context) error {
		keys = nil
		for it := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			object, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			keys = append(keys, object.Key)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list objects %s: %w", prefix, err)
	}
	return keys, nil
}

func missing(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return err
}
