package token

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"concordat.dev/protocol/document"
)

// FuzzNormalize asks that a normal form is UTF-8 and its own normal form, so that owners who normalise themselves match.
func FuzzNormalize(f *testing.F) {
	for _, id := range []string{" Ann@Example.ORG ", "+49 (0)30 901820", "0049 30 901820", "030 901820", "J.ane+x@googlemail.com", "İ", "\ufeff\u00a0x", "\xff", "B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9"} {
		f.Add([]byte(id))
	}
	f.Fuzz(func(t *testing.T, id []byte) {
		for _, rules := range []document.Namespace{{}, {Normalize: "trim"}, {Normalize: "lower"}, {Normalize: "email"}, {Normalize: "phone_e164"}, {Prehashed: "sha256_hex"},
			{Normalize: "phone_e164", Region: "DE"}, {Normalize: "phone_e164", Region: "US", Prehashed: document.SHA256HexOrPlain},
			{Normalize: "email", Options: []string{document.GmailDots, document.Googlemail, document.PlusTags}}, {Normalize: "email", Options: []string{document.PlusTagsEverywhere, document.GmailDots}}} {
			normalize, err := NewNormalizer(rules)
			if err != nil {
				t.Fatal(err)
			}
			once, ok := normalize(nil, id)
			if !ok {
				continue
			}
			twice, ok := normalize(nil, once)
			if !ok || !bytes.Equal(once, twice) || !utf8.Valid(once) {
				t.Errorf("%+v: %q becomes %q, which becomes %q (%v)", rules, id, once, twice, ok)
			}
		}
	})
}
