package dnsupdate

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Data keys of a Secret with a TSIG key.
const (
	dataName      = "name"
	dataAlgorithm = "algorithm"
	dataSecret    = "secret"
)

// algorithms that a key may have, by the names that tsig-keygen prints; the first is the default.
var algorithms = []string{dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512, dns.HmacSHA224, dns.HmacSHA1}

// Key is a TSIG key (RFC 8945).
type Key struct {
	// Name is fully qualified, as the server knows it; Algorithm one of hmac-sha1, -sha224, -sha256, -sha384 and -sha512.
	Name, Algorithm string
	// Secret is in base64. It is never shown.
	Secret string
}

func (k Key) String() string { return strings.TrimSuffix(k.Name, ".") }

// GoString keeps the secret out of %#v.
func (k Key) GoString() string { return k.String() }

// ParseKey reads the data of a Secret: `name`, `secret` in base64, and `algorithm`, by default hmac-sha256. No error tells anything of the
// secret. A line break at the end of a value, as tools leave it that write Secrets from files, does not count.
func ParseKey(data map[string][]byte) (*Key, error) {
	value := func(name string) string { return strings.TrimSpace(string(data[name])) }
	name, secret := value(dataName), value(dataSecret)
	for key, text := range map[string]string{dataName: name, dataSecret: secret} {
		if text == "" {
			return nil, fmt.Errorf("it has no data key %q; it has %v, and a TSIG key has %s, %s (base64) and %s (by default hmac-sha256)",
				key, slices.Sorted(maps.Keys(data)), dataName, dataSecret, dataAlgorithm)
		}
	}
	if !isName(name) {
		return nil, fmt.Errorf("data key %q: %q is not a name of a key", dataName, name)
	}
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("data key %q is not base64: put in what tsig-keygen prints between the quotes after the word secret", dataSecret)
	}
	algorithm := dns.CanonicalName(value(dataAlgorithm))
	if algorithm == "." {
		algorithm = algorithms[0]
	}
	if !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("data key %q: %q is not one of hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384 and hmac-sha512",
			dataAlgorithm, strings.TrimSuffix(algorithm, "."))
	}
	return &Key{Name: dns.CanonicalName(name), Algorithm: algorithm, Secret: base64.StdEncoding.EncodeToString(raw)}, nil
}
