package token

import (
	"bytes"
	"slices"

	"github.com/nyaruka/phonenumbers"

	"concordat.dev/protocol/document"
)

// address is how email addresses are read: which rules of providers hold.
type address struct{ googlemail, dots, tags, everywhere bool }

func providers(options []string) address {
	has := func(o string) bool { return slices.Contains(options, o) }
	return address{has(document.Googlemail), has(document.GmailDots), has(document.PlusTags), has(document.PlusTagsEverywhere)}
}

// taggers are the providers of version 1 that deliver name+tag to name.
var taggers = []string{"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "mac.com",
	"fastmail.com", "proton.me", "protonmail.com", "pm.me"}

// email trims, lower-cases and asks for one @ with something before it and a domain with a dot after it. Rules of single
// providers hold where the namespace says so: they change, and a wrong one merges two persons.
func (a address) email(dst, id []byte) ([]byte, bool) {
	start := len(dst)
	dst, ok := lower(dst, id)
	text := dst[start:]
	at := bytes.IndexByte(text, '@')
	if !ok || len(text) > 254 || at < 1 || bytes.IndexByte(text[at+1:], '@') >= 0 {
		return dst, false
	}
	for _, b := range text {
		if b <= ' ' || b == 0x7f || b == ',' || b == ';' || b == '<' || b == '>' {
			return dst, false
		}
	}
	domain := text[at+1:]
	dot := bytes.LastIndexByte(domain, '.')
	if dot <= 0 || dot == len(domain)-1 || domain[0] == '.' {
		return dst, false
	}
	if a == (address{}) {
		return dst, true
	}
	return a.provider(dst, start, start+at)
}

// provider applies the rules of providers to the address that begins at start, in place. A tag goes before dots do.
func (a address) provider(dst []byte, start, at int) ([]byte, bool) {
	var room [254]byte
	domain := append(room[:0], dst[at+1:]...)
	google := string(domain) == "gmail.com" || string(domain) == "googlemail.com"
	end := at
	if a.everywhere || a.tags && slices.Contains(taggers, string(domain)) {
		if plus := bytes.IndexByte(dst[start:at], '+'); plus > 0 {
			end = start + plus
		}
	}
	to := start
	for _, b := range dst[start:end] {
		if b == '.' && google && a.dots {
			continue
		}
		dst[to] = b
		to++
	}
	if to == start {
		return dst, false
	}
	if google && a.googlemail {
		domain = append(domain[:0], "gmail.com"...)
	}
	return append(append(dst[:to], '@'), domain...), true
}

// region is the country whose national numbers are taken; ZZ takes none.
type region string

// phone gives E.164. Without a region only numbers with their country code are taken ("+49…" or "0049…"): a national number means
// another person in another country.
func (r region) phone(dst, id []byte) ([]byte, bool) {
	id = trim(id)
	if len(id) > 64 {
		return dst, false
	}
	text := string(id)
	if len(text) > 2 && text[:2] == "00" {
		text = "+" + text[2:]
	}
	number, err := phonenumbers.Parse(text, string(r))
	if err != nil || !phonenumbers.IsValidNumber(number) || number.GetExtension() != "" {
		return dst, false
	}
	return append(dst, phonenumbers.Format(number, phonenumbers.E164)...), true
}
