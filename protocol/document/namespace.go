package document

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Namespace says how identifiers that mean the same unit are normalised before they become tokens. Every field is part of what the tokens'
// key is derived from, so that two rules never give tokens that only seem comparable. The rules in words: docs/DATASET-CYCLE.md.
type Namespace struct {
	Normalize string   `yaml:"normalize,omitempty" json:"normalize,omitempty"` // none | trim | lower | email | phone_e164; default none
	Version   int      `yaml:"version,omitempty" json:"version,omitempty"`     // of the rules that the names mean; left out: 1, the only one
	Options   []string `yaml:"options,omitempty" json:"options,omitempty"`     // email: EmailOptions, sorted
	Region    string   `yaml:"region,omitempty" json:"region,omitempty"`       // phone_e164: the country (two capital letters) of numbers without country code
	Prehashed string   `yaml:"prehashed,omitempty" json:"prehashed,omitempty"` // "" | sha256_hex | sha256_hex_or_plain
	Then      *Further `yaml:"then,omitempty" json:"then,omitempty"`
}

// Further is the second identifier of a namespace: what a row counts under that lacks the first.
type Further struct {
	Name      string   `yaml:"name" json:"name"` // as policies name it
	Normalize string   `yaml:"normalize,omitempty" json:"normalize,omitempty"`
	Version   int      `yaml:"version,omitempty" json:"version,omitempty"`
	Options   []string `yaml:"options,omitempty" json:"options,omitempty"`
	Region    string   `yaml:"region,omitempty" json:"region,omitempty"`
	Prehashed string   `yaml:"prehashed,omitempty" json:"prehashed,omitempty"`
}

// The values of a namespace's fields.
const (
	NormalizeEmail     = "email"
	NormalizePhone     = "phone_e164"
	RulesVersion       = 1
	SHA256Hex          = "sha256_hex"          // values come hashed
	SHA256HexOrPlain   = "sha256_hex_or_plain" // either; those that come plain are normalised and hashed
	Googlemail         = "googlemail"          // googlemail.com is gmail.com
	GmailDots          = "gmail_dots"          // dots before the @ mean nothing at gmail.com and googlemail.com
	PlusTags           = "plus_tags"           // what follows + before the @ means nothing where the provider says so
	PlusTagsEverywhere = "plus_tags_everywhere"
)

// EmailOptions are what options of an email namespace may say.
func EmailOptions() []string {
	return []string{GmailDots, Googlemail, PlusTags, PlusTagsEverywhere}
}

// Rules are those of the second identifier, as if it were the only one of a namespace.
func (f Further) Rules() Namespace {
	return Namespace{Normalize: f.Normalize, Version: f.Version, Options: f.Options, Region: f.Region, Prehashed: f.Prehashed}
}

// First are the rules of the first identifier alone.
func (n Namespace) First() Namespace {
	n.Then = nil
	return n
}

// Identifier gives the rules of the identifier that a policy's unit names; "" is the first.
func (n Namespace) Identifier(name string) (Namespace, bool) {
	if name == "" {
		return n.First(), true
	}
	if n.Then == nil || n.Then.Name != name {
		return Namespace{}, false
	}
	return n.Then.Rules(), true
}

// WithDefaults returns a copy in which normalize says what it means when left out, and options are sorted. A version that is left out means 1
// for good, so that manifests that were signed without one stay readable.
func (n Namespace) WithDefaults() Namespace {
	n.Normalize, n.Options = or(n.Normalize, "none"), slices.Sorted(slices.Values(n.Options))
	if n.Then != nil {
		t := *n.Then
		t.Normalize, t.Options = or(t.Normalize, "none"), slices.Sorted(slices.Values(t.Options))
		n.Then = &t
	}
	return n
}

// Explicit is WithDefaults with the versions written out: what tokens' keys are derived from.
func (n Namespace) Explicit() Namespace {
	n = n.WithDefaults()
	n.Version = or(n.Version, RulesVersion)
	if n.Then != nil {
		n.Then.Version = or(n.Then.Version, RulesVersion)
	}
	return n
}

var regionForm = regexp.MustCompile(`^[A-Z]{2}$`)

func checkNamespace(c checker, path string, n Namespace) {
	checkRules(c, path, n.First())
	if n.Then == nil {
		return
	}
	c.id(path+".then.name", n.Then.Name, idForm, "for instance phone")
	checkRules(c, path+".then", n.Then.Rules())
}

func checkRules(c checker, path string, n Namespace) {
	c.oneOf(path+".normalize", or(n.Normalize, "none"), "none", "trim", "lower", NormalizeEmail, NormalizePhone)
	c.require(or(n.Version, RulesVersion) == RulesVersion, path+".version", fmt.Sprintf("version %d of the rules is not known", n.Version), "write 1, or leave it out")
	if n.Prehashed != "" {
		c.oneOf(path+".prehashed", n.Prehashed, SHA256Hex, SHA256HexOrPlain)
	}
	told := n.Normalize == NormalizeEmail || n.Normalize == NormalizePhone
	c.require(n.Prehashed != SHA256HexOrPlain || told, path+".prehashed", "a hash can't be told from a plain identifier here", "use normalize: email or phone_e164, or have all values come hashed: sha256_hex")
	for i, o := range n.Options {
		c.oneOf(fmt.Sprintf("%s.options[%d]", path, i), o, EmailOptions()...)
	}
	c.unique(path+".options", n.Options)
	c.require(len(n.Options) == 0 || n.Normalize == NormalizeEmail, path+".options", "have no effect without normalize: email", "remove them")
	c.require(!slices.Contains(n.Options, PlusTags) || !slices.Contains(n.Options, PlusTagsEverywhere), path+".options", "plus_tags_everywhere holds plus_tags", "write one of them")
	c.require(n.Region == "" || n.Normalize == NormalizePhone, path+".region", "has no effect without normalize: phone_e164", "remove it")
	c.require(n.Region == "" || regionForm.MatchString(n.Region), path+".region", fmt.Sprintf("%.20q is not a country", n.Region), "write two capital letters, for instance DE")
	c.require(n.Prehashed != SHA256Hex || len(n.Options) == 0 && n.Region == "", path+".prehashed", "options and region have no effect on values that come hashed",
		"remove them; whoever hashes applies such rules before, or use sha256_hex_or_plain")
}

// warnNamespace says what a lint has to know of rules that can make one unit of two persons.
func warnNamespace(c checker, path string, n Namespace) {
	if slices.Contains(n.Options, PlusTagsEverywhere) {
		c.add(path+".options", "plus_tags_everywhere makes one person of two where a provider takes + for an ordinary letter", "use plus_tags, which knows the providers that ignore what follows it")
	}
	if n.Then != nil {
		c.add(path+".then", "a person known by "+n.Then.Name+" alone in one dataset and by the first identifier in another is two units: joins miss this person, and the loss counts up to four times",
			"fill the first identifier in wherever it is known; an owner who knows both can upload a second dataset with identifier: "+n.Then.Name+", which joins those that know no more")
	}
}

// checkUnitIdentifiers holds what a policy says of its unit's identifiers against the namespace.
func checkUnitIdentifiers(c checker, p *Policy, n Namespace) {
	rules, ok := n.Identifier(p.Unit.Identifier)
	known := "the namespace has one identifier"
	if n.Then != nil {
		known = "the namespace's second identifier is " + n.Then.Name
	}
	c.require(ok, "unit.identifier", fmt.Sprintf("%.60q is not known: %s", p.Unit.Identifier, known), "leave it out for the first")
	text := func(column, identifier string, hashed bool) {
		t := p.Columns[column].Type
		c.require(!hashed || t == "" || t == "varchar", join("columns", column)+".type", identifier+" of a prehashed namespace are text", "use varchar")
	}
	text(p.Unit.Column, "identifiers", ok && rules.Prehashed != "")
	if p.Unit.Then == "" {
		return
	}
	if !c.require(n.Then != nil && p.Unit.Identifier == "", "unit.then", "there is no identifier after that of the unit column: "+known,
		"name a second identifier in the namespace (then), which is the most there can be, or remove this") {
		return
	}
	col, ok := p.Columns[p.Unit.Then]
	c.require(ok && p.Unit.Then != p.Unit.Column, "unit.then", fmt.Sprintf("%.80q is not another column", p.Unit.Then), "name the column that holds "+n.Then.Name)
	c.require(!ok || col.Role == "hidden", join("columns", p.Unit.Then)+".role", "a second identifier stands nowhere in SQL", "make it hidden")
	c.require(!ok || slices.Contains(typesOf["identifier"], col.Type), join("columns", p.Unit.Then)+".type", fmt.Sprintf("an identifier cannot be of type %.20s", col.Type),
		"use one of: "+strings.Join(typesOf["identifier"], ", "))
	text(p.Unit.Then, "identifiers", n.Then.Prehashed != "")
}
