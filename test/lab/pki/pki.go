// Package pki makes the lab's certificates: one authority that signs the API server's certificate and every client's, and
// kubeconfigs that carry them.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// validity is how long certificates last; a lab does not live that long.
const validity = 30 * 24 * time.Hour

// Authority signs the certificates of one lab.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Pair is a certificate with its private key, both in PEM.
type Pair struct {
	Cert, Key []byte
}

// Identity is who a client is to the API server: a user and its groups.
type Identity struct {
	User   string
	Groups []string
}

// NewAuthority makes an authority whose key exists only in this process.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	template := newTemplate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return &Authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return a.pem }

func newTemplate(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand never fails
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// Server signs a server's certificate for addresses and names.
func (a *Authority) Server(name string, hosts ...string) (Pair, error) {
	return a.server(name, hosts, x509.ExtKeyUsageServerAuth)
}

// Peer signs the certificate of one that serves its peers and calls them, for addresses and names.
func (a *Authority) Peer(name string, hosts ...string) (Pair, error) {
	return a.server(name, hosts, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

func (a *Authority) server(name string, hosts []string, usage ...x509.ExtKeyUsage) (Pair, error) {
	template := newTemplate(pkix.Name{CommonName: name})
	template.ExtKeyUsage = usage
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return a.sign(template)
}

// Client signs a client's certificate.
func (a *Authority) Client(id Identity) (Pair, error) {
	template := newTemplate(pkix.Name{CommonName: id.User, Organization: id.Groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(template)
}

func (a *Authority) sign(template *x509.Certificate) (Pair, error) {
	name := template.Subject.CommonName
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	keyPEM, err := encodeKey(key)
	return Pair{Cert: encode("CERTIFICATE", der), Key: keyPEM}, err
}

// ServiceAccountKey makes the key with which the API server signs tokens.
func ServiceAccountKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	return encodeKey(key)
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Context is the name of the current context in kubeconfigs, and of its cluster. Further servers of the same API are "lab/2" and so on, as
// pkg/apiservers wants them; each is a context too, for kubectl, which uses one server only.
const Context = "lab"

// WriteKubeconfig writes a kubeconfig for the servers of one API, the preferred one first, with a client certificate of its own; only root may
// read it.
func (a *Authority) WriteKubeconfig(path string, servers []string, id Identity) error {
	pair, err := a.Client(id)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.CurrentContext = Context
	config.AuthInfos[id.User] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	for i, server := range servers {
		name := Context
		if i > 0 {
			name = fmt.Sprintf("%s/%d", Context, i+1)
		}
		config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: a.pem}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: id.User, Namespace: "demo"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", id.User, err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil { // 0600, and its directory exists
		return fmt.Errorf("kubeconfig of %s: %w", id.User, err)
	}
	return nil
}
